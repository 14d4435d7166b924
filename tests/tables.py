"""Tables in the documentation that tests make, so that a page says what was found and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

_DOCS = Path(__file__).parent.parent / "docs"


def compare_with_page(page: str, mark: str, lines: list[str]) -> None:
    """Assert that *page* has the table *lines* below its comment *mark*; AGENTTAPE_WRITE_TABLES=1 writes it."""
    path = _DOCS / page
    before, comment, rest = path.read_text(encoding="utf-8").partition(f"<!-- {mark}: made by a test -->\n\n")
    assert comment, f"{page} has no table {mark}"
    written, blank, after = rest.partition("\n\n")
    if os.environ.get("AGENTTAPE_WRITE_TABLES"):
        path.write_text(f"{before}{comment}{chr(10).join(lines)}{blank or chr(10)}{after}", encoding="utf-8")
        return
    found = written.splitlines()
    assert found == lines, "\n".join(each for each in lines if each not in found)
