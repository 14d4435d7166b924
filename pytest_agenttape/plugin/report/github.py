"""Annotations on GitHub: workflow commands in the output of a job."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.whole_run import WholeRun
from pytest_agenttape.plugin.report.wording import shown

_MESSAGE_SHOWN = 2_000


def workflow_commands(ledger: Ledger, verdict: WholeRun, root: Path) -> Iterator[str]:
    """Return the lines that annotate a run; node ids are relative to *root*. Empty outside of GitHub workflows."""
    if not os.environ.get("GITHUB_ACTIONS"):
        return
    for nodeid, record in sorted(ledger.records.items()):
        path, line = ledger.places.get(nodeid, (root / nodeid.partition("::")[0], None))
        place = Path(path), line
        if record.error:
            yield _annotation("error", place, f"{nodeid}: {record.error[:_MESSAGE_SHOWN]}")
        if record.unplayed_alone:
            yield _annotation("warning", place, f"{record.unplayed_alone} unplayed in {shown(record.path)} ({nodeid})")
        if record.pending is not None:
            yield _annotation("notice", place, f"a recording is pending for {shown(record.path)} ({nodeid})")
    for path, count in verdict.unplayed.items():
        yield _annotation("warning", (path, None), f"{count} unplayed, shared by {ledger.count_users(path)} tests")
    yield from (_annotation("warning", (path, None), "no test claims this") for path in verdict.orphans)


def _annotation(level: str, place: tuple[Path, int | None], message: str) -> str:
    """Return a workflow command; GitHub identifies files by their path in the repository."""
    path, line = place
    root = os.environ.get("GITHUB_WORKSPACE") or os.curdir
    file = path.relative_to(root).as_posix() if path.is_relative_to(root) else shown(path)
    file = _escaped(file).replace(":", "%3A").replace(",", "%2C")
    where = f"file={file}" if line is None else f"file={file},line={line}"
    return f"::{level} {where},title=agenttape::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
