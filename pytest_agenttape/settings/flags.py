"""What a pytest run says to its tests and blocks: by its flags, its ini keys and the rules of its policies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pytest_agenttape.errors import AgentTapeError
    from pytest_agenttape.model import Interaction
    from pytest_agenttape.redaction import RedactionRules
    from pytest_agenttape.settings.config import Config


class Purse(Protocol):
    """What the live calls of a run may cost."""

    def refusal(self) -> AgentTapeError | None:
        """Return the error for a live call that is about to begin; None if there is money left."""

    def pay(self, call: Interaction) -> None:
        """Count the cost of a live LLM call that has ended."""

    def summary(self) -> Iterable[str]:
        """Return what to say of it when the run ends, in lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What a run says to tests and blocks.

    Attributes:
        mode: The value of ``--agenttape-mode``; None if not given.
        record: Whether ``--agenttape-record`` is given.
        snapshot_update: Whether ``--snapshot-update`` is given.
        new_snapshots_only: Whether syrupy was asked to write only snapshots that do not exist yet.
        strict: Whether ``--agenttape-strict`` is given.
        disable: Whether ``--agenttape-disable`` is given: nothing is recorded or replayed.
        purse: What its live calls may cost; None if as much as they do.
        imposed_rules: Returns the rules of redaction that policies add to all others.
        with_ini: Returns the settings found in a file under those of the ini keys.
        recorded: The calls that blocks of the run have recorded, by the path of the file.
    """

    mode: str | None = None
    record: bool = False
    snapshot_update: bool = False
    new_snapshots_only: bool = False
    strict: bool = False
    disable: bool = False
    purse: Purse | None = None
    imposed_rules: Callable[[], RedactionRules] | None = field(default=None, compare=False)
    with_ini: Callable[[Config], Config] | None = field(default=None, compare=False)
    recorded: dict[str, Counter[object]] = field(default_factory=dict, compare=False)

    @property
    def ask_to_record(self) -> bool:
        """Whether one of our own flags, which count in CI as well, asks for recordings."""
        return self.record if self.mode is None else self.mode != "none"
