"""The reports of a run's processes so far: the records of its tests and a tally of each process."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_agenttape.plugin.report.test_record import Tally, TestRecord


class Ledger:
    """Filled by `Gathering`, and by the process itself when it ends.

    Attributes:
        records: By node id.
        failures: The failure texts of tests by node id; only for a report file.
        unopened: Marked tests that failed without a session; only for a report file.
        places: Where tests begin, or where they failed, by node id: a path and a line, which counts from 1.
        tallies: One of each process that collected tests.
        folders: Folders with cassettes that this process saw, even if all their tests are gone.
        keyless: The test files that cannot be imported, by the provider's key that they lack.
        is_collected: Whether this process collected everything without an error.
        has_lost_worker: Whether an xdist worker crashed, which loses its claims.
        refused: What was refused outside of every test, in one line each; it fails the run.
        reported: Those of these lines that the summary has.
    """

    def __init__(self) -> None:
        self.records: dict[str, TestRecord] = {}
        self.failures: dict[str, str] = {}
        self.unopened: set[str] = set()
        self.places: dict[str, tuple[str, int]] = {}
        self.tallies: list[Tally] = []
        self.folders: set[Path] = set()
        self.keyless: dict[str, list[str]] = {}
        self.is_collected = True
        self.has_lost_worker = False
        self.refused: Counter[str] = Counter()
        self.reported: frozenset[str] = frozenset()

    def add(self, tally: Tally) -> None:
        """Add the tally of a process that ends: this one or a worker."""
        self.tallies.append(tally)
        self.records.update(tally.interrupted)

    @property
    def is_whole(self) -> bool:
        """Whether every process collected everything, so that an unclaimed cassette is an orphan."""
        return bool(self.tallies) and not self.has_lost_worker and all(tally.is_whole for tally in self.tallies)

    def count_users(self, path: Path) -> int:
        """Return how many tests used the cassette at *path*."""
        return sum(record.path == path for record in self.records.values())


LEDGER = pytest.StashKey[Ledger]()  # the ledger of this run
