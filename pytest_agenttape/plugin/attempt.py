"""One attempt of one test, from the opening of its session to its record in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.claims import Claim
from pytest_agenttape.session.session import Session


@dataclass(slots=True)
class Attempt:
    """What is known of a marked test while it runs; a plugin that reruns tests makes several.

    Attributes:
        users: How many tests of this run claim the cassette.
        is_shared: Whether other tests may use it too, collected this time or not.
        is_replay: Whether no call of it is live.
        outcome: ``passed``, ``failed`` or ``skipped`` of the call, the same after ``setup`` before it, ``interrupted``.
        error: What it failed with, where that is for us to say.
        was_fresh: Whether there was no cassette when it ended.
        wrote: Whether its recording replaced the cassette.
        kept: Where its recording is kept aside, if it is.
    """

    item: pytest.Item
    claim: Claim
    session: Session
    users: int
    is_shared: bool
    is_replay: bool
    outcome: str = ""
    error: str | None = None
    was_fresh: bool = False
    wrote: bool = False
    kept: Path | None = None

    def note(self, when: str, outcome: str) -> None:
        """Take the outcome of a phase; a failure is not forgotten."""
        if self.outcome != "failed":
            self.outcome = outcome if when == "call" else f"setup {outcome}"

    @property
    def is_strict(self) -> bool:
        """Whether what is left unplayed fails the test; `assert_snapshot` makes it so."""
        return bool(self.item.config.option.agenttape_strict or self.session.settings.config.strict)

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings that had to be played and were not."""
        recorded = self.session.recorded
        return recorded.unplayed if recorded.policy.judges_unplayed else []
