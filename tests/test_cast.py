"""docs/cast.svg shows what docs/start.md shows; AGENTTAPE_WRITE_TABLES=1 makes it."""

from __future__ import annotations

import os

from tests.cast import svg
from tests.test_docs import ROOT, blocks_of


def test_the_cast_is_made_of_the_transcripts_that_run() -> None:
    marks = [(block.comment.partition("cast: ")[2], block.text) for block in blocks_of(ROOT / "docs" / "start.md")]
    made = svg([(title, text) for title, text in marks if title])
    path = ROOT / "docs" / "cast.svg"
    if os.environ.get("AGENTTAPE_WRITE_TABLES"):
        path.write_text(made, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made
