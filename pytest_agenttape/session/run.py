"""The calls of one run: what was asked, what came of each, and how they stand in a cassette."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from types import TracebackType

from pytest_agenttape.matching.tape import Call
from pytest_agenttape.model import JSON, Interaction

_POISONOUS = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True)
class Poison:
    """A failure that a good recording does not hold, unless a retry made it good.

    Attributes:
        code: The status, or ``"timeout"``; what `allow_errors` names.
        text: The failure in words.
        traceback: The user's code that met it.
    """

    code: int | str
    text: str
    traceback: TracebackType | None = None


def poison_of(status: object, failure: str = "") -> Poison | None:
    """Return what is wrong with a live call that was answered with *status* or ended with the exception *failure*."""
    if isinstance(status, int) and (status in _POISONOUS or status >= 500):
        return Poison(status, f"a live call was answered with {status}")
    return Poison("timeout", f"a live call ended with {failure}") if "Timeout" in failure else None


@dataclass(slots=True, eq=False)
class Entry:
    """A call of this run: what was asked, and what came of it.

    Attributes:
        call: The call as asked.
        is_live: Whether it ran for real.
        is_kept: Whether it belongs into a cassette; HTTP made by a recorded tool does not.
        parent: The live boundary call whose body made it.
        interaction: The recording served or made; None while the call is running.
        poison: Why this call must not be kept, when it failed in a way that a good recording does not.
        settle: Finishes a live call whose answer the agent left unread.
        preview: Returns a call whose answer is still being read, as it stands.
        is_covered: Whether the call that a listener watches has crossed a boundary itself, and so needs no entry.
        is_concluded: Whether what a listener watches is over.
    """

    call: Call
    is_live: bool
    is_kept: bool = True
    parent: Entry | None = None
    interaction: Interaction | None = None
    poison: Poison | None = None
    started: float = 0.0
    metadata: dict[str, JSON] = field(default_factory=dict)
    descendants: tuple[Interaction, ...] = ()
    settle: Callable[[], None] | None = None
    preview: Callable[[], Interaction] | None = None
    is_covered: bool = False
    is_concluded: bool = False

    @property
    def outcome(self) -> Interaction | None:
        """What came of the call, or has come of it so far; a replayed one is known from its start."""
        return self.interaction or (self.preview() if self.preview else None)

    def give_up(self) -> None:
        """Let nothing stand for a call that no recording can hold, not even what was read of it."""
        self.settle = self.preview = None


class Entries:
    """The calls of one run, in order of their start; who uses it locks.

    Attributes:
        by_agent: How many calls the agent itself has begun; what the body of a live tool does is not among them.
    """

    def __init__(self) -> None:
        self._all: list[Entry] = []
        self.by_agent = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def add(self, entry: Entry, parent: Entry | None) -> Entry:
        """Append *entry*, made by the body of *parent* or by the agent itself; return it."""
        entry.parent = parent
        self._all.append(entry)
        self.by_agent += parent is None and not entry.call.observed
        return entry

    def index(self, entry: Entry) -> int:
        """Return the place of *entry*, from 0."""
        return self._all.index(entry)

    def settle(self) -> None:
        """Finish the live calls whose answers the agent left unread."""
        for entry in tuple(self._all):
            if entry.interaction is None and entry.settle is not None:
                entry.settle()

    def served(self) -> list[Interaction]:
        """Return the recordings that calls were answered from."""
        return [
            entry.interaction
            for entry in self._all
            if entry.interaction and not entry.is_live and not entry.call.observed
        ]

    def poisoned(self, allows: Callable[[Poison], bool], key: Callable[[Call], object]) -> list[Entry]:
        """Return the failed live calls that must not be kept: not allowed, and not made good later by the same call."""
        bad = [each for each in self._all if each.poison and each.is_kept and not allows(each.poison)]
        good = (
            {key(each.call): at for at, each in enumerate(self._all) if each.is_live and not each.poison} if bad else {}
        )
        return [each for each in bad if good.get(key(each.call), -1) < self.index(each)]

    def has_made(self, watched: Entry) -> bool:
        """Say whether a call that could be the one *watched* has been made since."""
        later = [each.call for each in self._all[self.index(watched) + 1 :] if not each.call.observed]
        if watched.call.kind == "tool":
            return any(call.boundary == watched.call.boundary for call in later)
        return any(call.kind in (watched.call.kind, "http", "llm") for call in later)

    def timeline(
        self, *, without: Collection[Entry] = (), is_live_only: bool = False, first: int = 0
    ) -> list[tuple[Interaction, bool]]:
        """Return what is kept and over, numbered from *first*, each with whether it ran for real.

        What a replayed call made itself follows it.
        """
        out: list[tuple[Interaction, bool]] = []
        numbers: dict[int, int] = {}
        for entry in self._all:
            if not entry.is_kept or entry in without or (is_live_only and not entry.is_live):
                continue
            outcome = entry.outcome
            if outcome is None:
                continue
            numbers[id(entry)] = first + len(out)
            parent = numbers.get(id(entry.parent)) if entry.parent else None
            out.append((_numbered(outcome, first + len(out), parent), entry.is_live))
            renumbered = {outcome.index: first + len(out) - 1}
            for each in entry.descendants:
                renumbered[each.index] = first + len(out)
                out.append((_numbered(each, first + len(out), renumbered.get(each.metadata["parent"])), False))
        return out


def _numbered(interaction: Interaction, index: int, parent: int | None) -> Interaction:
    metadata = {key: value for key, value in interaction.metadata.items() if key != "parent"}
    if parent is not None:
        metadata["parent"] = parent
    return replace(interaction, index=index, metadata=metadata)
