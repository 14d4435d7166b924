"""What JUnit's report says of a test's cassette."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_agenttape.plugin.report.test_record import TestRecord


def properties(record: TestRecord, root: Path) -> list[tuple[str, object]]:
    """Return the properties of a test; the path is relative to *root*, as the test's own name is."""
    path = record.path
    if path.drive == root.drive:  # else Windows has no way from one to the other
        path = Path(os.path.relpath(path, root))
    return [
        ("agenttape_path", path.as_posix()),
        ("agenttape_mode", record.mode),
        ("agenttape_calls", record.calls),
        ("agenttape_live", record.live),
        ("agenttape_input_tokens", record.input_tokens),
        ("agenttape_output_tokens", record.output_tokens),
        ("agenttape_tokens", record.tokens),
    ]
