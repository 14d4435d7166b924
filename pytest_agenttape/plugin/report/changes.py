"""What ``--agenttape-diff`` found, in a file: as data, as a page, or as Markdown for a comment."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.report import about
from pytest_agenttape.plugin.report.changed_calls import change_of, rows_alone
from pytest_agenttape.plugin.report.changes_markdown import as_markdown
from pytest_agenttape.plugin.report.file import write, write_document
from pytest_agenttape.plugin.report.shown_calls import recorded_steps
from pytest_agenttape.reading.diff_text import what_happened
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.suite_diff import CHANGES, RecordingChange, SuiteDiff
from pytest_agenttape.reading.suite_diff_text import divergences_of, summed_up


def write_changes(path: Path, diff: SuiteDiff, config: pytest.Config) -> str | None:
    """Write *diff* to *path*, by its extension; return an error message if that fails."""
    if path.suffix == ".md":
        return write(path, as_markdown(diff))
    return write_document(path, as_document(diff, config))


def as_document(diff: SuiteDiff, config: pytest.Config) -> dict[str, Any]:
    """Return *diff* as JSON types; docs/pytest.md has its schema."""
    return {
        **about.document("changes", config),
        "old": diff.old,
        "new": diff.new,
        "summary": summed_up(diff),
        "equal": diff.equal,
        "changes": [_change(each) for each in diff.changes],
    }


def _change(change: RecordingChange) -> dict[str, Any]:
    old, new = Facts.of(*change.before), Facts.of(*change.after)
    divergences = divergences_of(change)
    return {
        "change": CHANGES[change.sign],
        "path": visible(change.path.as_posix()),
        "was": None if change.was is None else visible(change.was.as_posix()),
        "tools": dict(change.tools),
        "calls": {"old": old.kinds.total(), "new": new.kinds.total()},
        "tokens": {"old": old.tokens.total, "new": new.tokens.total},
        "cost": {"old": _amount(old.cost), "new": _amount(new.cost)},
        **_sides(change),
        "cause": what_happened(divergences[0]) if divergences else None,
        "after": recorded_steps(change.after),
    }


def _sides(change: RecordingChange) -> dict[str, Any]:
    if change.diff is not None:
        return change_of(change.before, change.diff)
    rows = rows_alone(change.sign, change.before or change.after)
    return {"summary": CHANGES[change.sign], "before": recorded_steps(change.before), "rows": rows, "not_reached": 0}


def _amount(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"
