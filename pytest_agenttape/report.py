"""What a run says about its cassettes at its end, and the verdicts that only the whole run can give."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_agenttape import orphans
from pytest_agenttape.ledger import Ledger, Told


def judge(ledger: Ledger, session: pytest.Session) -> None:
    """Find orphans, delete them where that was asked for, and fail the run where strictness says so."""
    if ledger.is_whole and session.testscollected:
        found = orphans.find(
            map(Path, ledger.told("folders")),
            {Path(path) for path in ledger.told("claimed")},
            ledger.told("modules"),
            session.config.rootpath,
        )
        if ledger.updates_snapshots and not getattr(session.config.option, "no_cleanup_snapshots", False):
            orphans.delete(found)
            ledger.deleted = [str(path) for path in found]
        else:
            ledger.orphans = [str(path) for path in found]
    failing = ledger.orphans if ledger.is_strict else []
    if (failing or _strictly_unplayed(ledger)) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def write_summary(ledger: Ledger, terminal: pytest.TerminalReporter) -> None:
    """Write the summary lines; nothing when everything was replayed as recorded."""
    lines = list(_lines(ledger))
    if not lines:
        return
    terminal.section("agenttape", sep="-")
    for line in lines:
        terminal.write_line(line)


def unplayed_of_shared(ledger: Ledger) -> dict[str, int]:
    """Return how many recordings of each shared cassette none of the tests that used it played."""
    left: dict[str, set[int]] = {}
    for told in ledger.tests.values():
        if told["shared"]:
            mine = set(told["unplayed"])
            left[told["path"]] = left[told["path"]] & mine if told["path"] in left else mine
    return {path: len(indexes) for path, indexes in left.items() if indexes}


def _strictly_unplayed(ledger: Ledger) -> bool:
    strict = {told["path"] for told in ledger.tests.values() if told["strict"]}
    return bool(strict & unplayed_of_shared(ledger).keys())


def _lines(ledger: Ledger) -> Iterator[str]:
    tests = sorted(ledger.tests.items())
    for nodeid, told in tests:
        yield from _line_of(nodeid, told)
    for path, count in sorted(unplayed_of_shared(ledger).items()):
        yield f"unplayed: {count} in {_shown(path)}, shared by {_users(ledger, path)} tests"
    yield from (f"deleted: {_shown(path)} (no test claims it)" for path in ledger.deleted)
    yield from (f"orphan: {_shown(path)} (no test claims it; --snapshot-update deletes it)" for path in ledger.orphans)


def _line_of(nodeid: str, told: Told) -> Iterator[str]:
    path = _shown(told["target"])
    live = f"{told['live']} live call{'' if told['live'] == 1 else 's'}"
    if told["created"]:
        yield f"created: {path} ({live})"
    elif told["wrote"]:
        yield f"{'refreshed' if told['mode'] == 'refresh' else 'recorded'}: {path} ({live})"
    elif told["mode"] == "refresh" and not told["refused"] and not told["pending"]:
        yield f"unchanged: {path}"
    if told["unplayed"] and not told["shared"]:
        yield f"unplayed: {len(told['unplayed'])} in {path} ({nodeid})"
    if told["pending"]:
        yield f"pending: {path} is as it was; what {nodeid} recorded is kept in {_shown(told['pending'])}"
        yield "         accept it, without a second live run, with --snapshot-update"


def _users(ledger: Ledger, path: str) -> int:
    return sum(told["path"] == path for told in ledger.tests.values())


def _shown(path: str) -> str:
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative
