"""The verdicts that only the whole run can give: orphans, and what all tests of a shared cassette left unplayed."""

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
class RunVerdict:
    """What the whole run shows.

    Attributes:
        orphans: Cassettes that no test claims.
        deleted: Those that were deleted, as the user asked for.
        unplayed: How many recordings of each shared cassette none of its tests played.
        strict: Those of them that one of its tests is strict about.
        fails: Whether the run fails for it.
    """

    orphans: tuple[Path, ...]
    deleted: tuple[Path, ...]
    unplayed: Mapping[Path, int]
    strict: frozenset[Path]
    fails: bool


def judge(ledger: Ledger, session: pytest.Session) -> RunVerdict:
    """Find orphans, delete them where that was asked for, and say whether strictness fails the run."""
    config = session.config
    found = _orphans(ledger) if _is_whole(ledger, session) else ()
    deleted = found if deletes_orphans(config) else ()
    delete(deleted)
    left = () if deleted else found
    unplayed = _unplayed_of_shared(ledger)
    strict = frozenset(record.path for record in ledger.records.values() if record.is_strict) & unplayed.keys()
    fails = bool(strict or (left and config.option.agenttape_strict))
    return RunVerdict(left, deleted, unplayed, strict, fails)


def _unplayed_of_shared(ledger: Ledger) -> dict[Path, int]:
    """Return how many recordings of each shared cassette none of its tests played, where all of them passed."""
    users: dict[Path, list[TestRecord]] = {}
    for record in ledger.records.values():
        if record.is_shared and record.outcome == "passed":
            users.setdefault(record.path, []).append(record)
    left = {
        path: set.intersection(*(set(record.unplayed) for record in using))
        for path, using in users.items()
        if len(using) == using[0].users > 1  # one user only: others may share it, which were not collected
    }
    return {path: len(indexes) for path, indexes in sorted(left.items(), key=_by_text) if indexes}


def _is_whole(ledger: Ledger, session: pytest.Session) -> bool:
    return bool(ledger.is_whole and session.testscollected and session.exitstatus in _RAN_TO_THE_END)


def _orphans(ledger: Ledger) -> tuple[Path, ...]:
    tallies = ledger.tallies
    return tuple(
        find(
            frozenset[Path]().union(*(tally.folders for tally in tallies)),
            frozenset[Path]().union(*(tally.claimed for tally in tallies)),
            frozenset[str]().union(*(tally.modules for tally in tallies)),
        )
    )


def _by_text(item: tuple[Path, object]) -> str:
    return str(item[0])
