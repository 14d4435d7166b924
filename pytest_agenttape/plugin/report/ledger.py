"""What the processes of a run have reported so far: the records of its tests, and what each process saw."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

from pytest_agenttape.plugin.report.test_record import Tally, TestRecord


@dataclass(slots=True)
class Ledger:
    """Filled by `Gathering`, and at its end by the process itself.

    Attributes:
        records: By node id.
        failures: What tests failed with, by node id; only for a report file.
        tallies: Of each process that collected tests.
        folders: Folders of this process that hold cassettes, also where all tests are gone.
        is_collected: Whether this process could collect everything.
        has_lost_worker: Whether an xdist worker crashed, and its claims with it.
    """

    records: dict[str, TestRecord] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    tallies: list[Tally] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)
    is_collected: bool = True
    has_lost_worker: bool = False

    @classmethod
    def of(cls, config: pytest.Config) -> Self:
        """Return the one of this run."""
        found = config.stash[_LEDGER]
        assert isinstance(found, cls)
        return found

    def keep_in(self, config: pytest.Config) -> None:
        """Make this the one of the run."""
        config.stash[_LEDGER] = self

    def add(self, tally: Tally) -> None:
        """Take what a process knows at its end: this one, or a worker."""
        self.tallies.append(tally)
        self.records.update(tally.interrupted)

    @property
    def is_whole(self) -> bool:
        """Whether every process collected everything, so that an unclaimed cassette is an orphan."""
        return bool(self.tallies) and not self.has_lost_worker and all(tally.is_whole for tally in self.tallies)

    def count_users(self, path: Path) -> int:
        """Return how many tests used the cassette at *path*."""
        return sum(record.path == path for record in self.records.values())


_LEDGER = pytest.StashKey[Ledger]()
