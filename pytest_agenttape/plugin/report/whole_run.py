"""Verdicts that need the whole run: orphans, and recordings that all tests of a shared cassette left unplayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_agenttape.plugin.options import deletes_orphans
from pytest_agenttape.plugin.orphans import delete, find
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.test_record import TestRecord

_RAN_TO_THE_END = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


@dataclass(frozen=True, slots=True)
class WholeRun:
    """The verdict on the whole run.

    Attributes:
        orphans: Cassettes that no test claims.
        renamed: The orphans that may belong to a test without a cassette, with that test.
        deleted: Orphans that were deleted at the user's request.
        unplayed: How many recordings of each shared cassette none of its tests played.
        refused: What was refused outside of every test, in one line each, and how often.
        strict: The shared cassettes with unplayed recordings that at least one of their tests uses in strict mode.
        orphans_fail: Whether they make the run fail.
        fails: Whether this makes the run fail.
    """

    orphans: tuple[Path, ...]
    renamed: Mapping[Path, str]
    deleted: tuple[Path, ...]
    unplayed: Mapping[Path, int]
    refused: Mapping[str, int]
    strict: frozenset[Path]
    orphans_fail: bool
    fails: bool


def judge(ledger: Ledger, session: pytest.Session) -> WholeRun:
    """Find orphans, delete them if the user asked for it, and decide whether strict mode fails the run."""
    config = session.config
    found = _orphans(ledger) if _is_whole(ledger, session) else ()
    renamed = {record.former: nodeid for nodeid, record in ledger.records.items() if record.former is not None}
    deleted = tuple(each for each in found if each not in renamed) if deletes_orphans(config) else ()
    delete(deleted)
    left = tuple(each for each in found if each not in deleted)
    unplayed = _unplayed_of_shared(ledger)
    strict = frozenset(record.path for record in ledger.records.values() if record.is_strict) & unplayed.keys()
    refused = dict(ledger.refused)
    ledger.reported = frozenset(refused)
    has_moved = any(record.verified and record.verified.moved for record in ledger.records.values())
    orphans_fail = bool(left) and bool(config.option.agenttape_strict)
    fails = bool(refused or strict or has_moved or orphans_fail)
    return WholeRun(left, renamed, deleted, unplayed, refused, strict, orphans_fail, fails)


def _unplayed_of_shared(ledger: Ledger) -> dict[Path, int]:
    """Return how many recordings of each shared cassette no test played, if all its tests passed."""
    users: dict[Path, list[TestRecord]] = {}
    for record in ledger.records.values():
        if record.is_shared and record.outcome == "passed":
            users.setdefault(record.path, []).append(record)
    left = {
        path: set.intersection(*(set(record.unplayed) for record in using))
        for path, using in users.items()
        if len(using) == using[0].users > 1  # if only one test uses it, others may not have been collected
    }
    return {path: len(indexes) for path, indexes in sorted(left.items(), key=_by_text) if indexes}


def _is_whole(ledger: Ledger, session: pytest.Session) -> bool:
    return bool(ledger.is_whole and session.testscollected and session.exitstatus in _RAN_TO_THE_END)


def _orphans(ledger: Ledger) -> tuple[Path, ...]:
    tallies = ledger.tallies
    return tuple(
        find(
            dict(home for tally in tallies for home in tally.homes.items()),
            frozenset[Path]().union(*(tally.claimed for tally in tallies)),
            frozenset[str]().union(*(tally.modules for tally in tallies)),
        )
    )


def _by_text(item: tuple[Path, object]) -> str:
    return str(item[0])
