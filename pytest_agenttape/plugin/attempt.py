"""One attempt of one test, from the opening of its session to its record in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.report.test_record import Verified
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.unplayed import left_unplayed


@dataclass(slots=True)
class Attempt:
    """The state of a marked test while it runs; a plugin that reruns tests creates several per test.

    Attributes:
        users: How many tests of this run claim the cassette.
        is_shared: Whether other tests may use it too, collected in this run or not.
        outcome: ``passed``, ``failed`` or ``skipped``, with the prefix ``setup`` before the call; or ``interrupted``.
        error: What it failed with, if that is one of ours.
        was_fresh: Whether no cassette existed when the test ended.
        wrote: Whether its recording replaced the cassette.
        stale: How old the recording is, in words, if it is older than it may be.
        verified: What became of its calls that were also sent for real.
        kept: The file that keeps its recording as pending, if there is one.
    """

    item: pytest.Item
    session: Session
    users: int
    is_shared: bool
    outcome: str = ""
    error: AgentTapeError | None = None
    was_fresh: bool = False
    wrote: bool = False
    stale: str | None = None
    verified: Verified | None = None
    kept: Path | None = None

    def note(self, when: str, outcome: str) -> None:
        """Store the outcome of a phase; a failure is never overwritten."""
        if self.outcome != "failed":
            self.outcome = outcome if when == "call" else f"setup {outcome}"

    @property
    def is_reviewed(self) -> bool:
        """Whether the user is asked before its recording is written."""
        return bool(self.item.config.option.agenttape_review)

    @property
    def is_strict(self) -> bool:
        """Whether unplayed recordings fail the test; `assert_snapshot` turns this on."""
        return bool(self.item.config.option.agenttape_strict or self.session.settings.config.strict)

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings that should have been played but were not."""
        return left_unplayed(self.session)
