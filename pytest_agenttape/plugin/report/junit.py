"""The properties of a test's cassette in the JUnit report."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_agenttape.plugin.report.test_record import TestRecord


def properties(record: TestRecord, root: Path) -> list[tuple[str, object]]:
    """Return the properties of a test; the path is relative to *root*, like the test's name."""
    return [
        ("agenttape_path", _relative(record.path, root)),
        ("agenttape_mode", record.mode),
        ("agenttape_calls", record.calls),
        ("agenttape_live", record.live),
        ("agenttape_input_tokens", record.input_tokens),
        ("agenttape_output_tokens", record.output_tokens),
        ("agenttape_tokens", record.tokens),
    ]


def _relative(path: Path, root: Path) -> str:
    text, start = str(path), f"{root}{os.sep}"
    if text.startswith(start) and os.pardir not in text:  # as nearly every cassette's: looking costs a tenth
        return text.removeprefix(start).replace(os.sep, "/")
    if path.drive == root.drive:  # on Windows there is no relative path between drives
        path = Path(os.path.relpath(path, root))
    return path.as_posix()
