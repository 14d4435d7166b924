"""What ``--agenttape-diff`` found, in a file: as data, as a page, or as Markdown for a comment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.report.changes_markdown import as_markdown
from pytest_agenttape.plugin.report.html import render_changes
from pytest_agenttape.reading.diff_text import what_happened
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.folding import changes_to_tell
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.suite_diff import CHANGES, RecordingChange, SuiteDiff
from pytest_agenttape.reading.suite_diff_text import divergences_of, summed_up
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.timeline import timeline

_SHOWN = 20_000  # characters of one call


def write_changes(path: Path, diff: SuiteDiff) -> str | None:
    """Write *diff* to *path*, by its extension; return an error message if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(path.suffix, diff), encoding="utf-8", errors="backslashreplace")
    except (OSError, AgentTapeError) as error:
        return f"the report was not written: {error}"
    return None


def as_document(diff: SuiteDiff) -> dict[str, Any]:
    """Return *diff* as JSON types.

    Returns:
        ``{"old", "new", "summary", "equal", "changes"}``; each change has ``change``, ``path``, ``was``, ``cause``,
        ``tools``, ``calls``, ``tokens`` and ``cost`` as ``{"old", "new"}``, and its ``divergences``.
    """
    return {
        "old": diff.old,
        "new": diff.new,
        "summary": summed_up(diff),
        "equal": diff.equal,
        "changes": [_change(each) for each in diff.changes],
    }


def _text(suffix: str, diff: SuiteDiff) -> str:
    if suffix == ".md":
        return as_markdown(diff)
    document = as_document(diff)
    return render_changes(document) if suffix == ".html" else json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _change(change: RecordingChange) -> dict[str, Any]:
    old, new = Facts.of(*change.before), Facts.of(*change.after)
    divergences = divergences_of(change)
    return {
        "change": CHANGES[change.sign],
        "path": visible(change.path.as_posix()),
        "was": None if change.was is None else visible(change.was.as_posix()),
        "cause": what_happened(divergences[0]) if divergences else None,
        "tools": dict(change.tools),
        "calls": {"old": old.kinds.total(), "new": new.kinds.total(), **_counted(divergences)},
        "tokens": {"old": old.tokens.total, "new": new.tokens.total},
        "cost": {"old": _amount(old.cost), "new": _amount(new.cost)},
        "story": {"old": _story(change.before), "new": _story(change.after)} if change.diff is None else None,
        "divergences": [_divergence(each) for each in divergences],
    }


def _counted(divergences: Sequence[Divergence]) -> dict[str, int]:
    return dict(Counter(CHANGES[each.sign] for each in divergences))


def _amount(cost: Decimal | None) -> str | None:
    return None if cost is None else f"{cost:f}"


def _divergence(each: Divergence) -> dict[str, Any]:
    before = each.call if each.sign == "-" else each.before
    after = None if each.sign == "-" else each.call
    return {
        "change": CHANGES[each.sign],
        "call": summary_line(each.call),
        "follows": each.follows,
        "fields": [{"path": diff.path, "old": diff.recorded, "new": diff.asked} for diff in changes_to_tell(each)],
        "story": {"old": _story([before] if before else []), "new": _story([after] if after else [])},
    }


def _story(calls: Sequence[Interaction]) -> str:
    text = repr(timeline(calls)) if calls else ""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}\n… {len(text) - _SHOWN:,} more characters"
