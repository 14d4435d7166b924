"""The calls that a session has decided about: served from a recording, running for real, or only observed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar, Protocol
from uuid import UUID

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.ownership.turns import Turn


class Source(Protocol):
    """Where the answer of a live call comes from while the agent is reading it."""

    def settle(self) -> None:
        """Finish a call whose answer the agent left unread."""

    def preview(self) -> Interaction | None:
        """Return the call as it would be recorded if its reader stopped now; None if there is nothing to record yet."""


class Recorder(Protocol):
    """A session, as seen by a call that it has begun."""

    @property
    def title(self) -> str:
        """How messages name it."""

    @property
    def is_closed(self) -> bool:
        """Whether the session has ended."""

    @property
    def key_space(self) -> UUID | None:
        """What makes the idempotency keys of this run its own; None if its UUIDs are not those of an earlier run."""

    @property
    def can_execute(self) -> bool:
        """Whether any call may run for real."""

    @property
    def calls_made(self) -> int:
        """How many calls the agent itself has begun."""

    @property
    def model_override(self) -> str | None:
        """The model that live LLM calls are sent to instead of the requested one."""

    def finish(
        self,
        live: Live,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
        status: object = None,
        failure: str = "",
    ) -> None:
        """Keep the result of a live call."""

    def outcome(
        self,
        live: Live | Observed,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> Interaction:
        """Return a live call as the interaction that it would be recorded as now."""

    def vet(self, live: Live, sent: JSON) -> None:
        """Refuse what a live call is about to send later than its request, if it stands for a secret."""

    def redacted(self, value: JSON) -> JSON:
        """Return *value* without secrets."""

    def is_same(self, recorded: JSON, given: JSON) -> bool:
        """Return whether two values in stored form are equal but for which secrets were in them."""

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Return the error to raise for *error*; it becomes the verdict if this session has verdicts."""


class Observer(Protocol):
    """Keeps the calls that a listener sees but cannot answer."""

    def begin(
        self,
        kind: str,
        boundary: str,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        is_detached: bool = False,
    ) -> Observed:
        """Note the start of a call."""

    def end(
        self,
        observed: Observed,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Note the end of a call."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A failure that does not belong in a good recording, unless a retry succeeded.

    Attributes:
        codes: What allows it in `allow_errors`: the status and that which it means, or a word; empty if nothing does.
        text: The failure in words.
        way_out: What to do about it.
        said: What the provider says about it.
        traceback: Where the user's code hit it.
    """

    codes: tuple[int | str, ...]
    text: str
    way_out: str
    said: str = ""
    traceback: TracebackType | None = None

    @property
    def is_left_out(self) -> bool:
        """Whether it was no outcome of the call at all, so that it is not recorded even if a retry succeeded."""
        return not self.codes


# Created for every call and compared by identity. Not frozen: that would cost more than the rest of a replayed call.


@dataclass(slots=True, eq=False)
class Served:
    """A call that is answered from a recording.

    Attributes:
        recorder: The session it belongs to.
        call: The call as asked.
        recorded: The recording that answers it, as the agent gets it.
        descendants: The recorded calls that its body made.
        parent: The live call whose body made it, if any.
        is_kept: Whether it goes into a cassette; HTTP made by a recorded tool does not.
        judge: Refuses, when the run is over, a conversation that the agent left open too early.
        turn: When its answer is due among those of calls that are under way with it; None if at once.
        repeated_at: For a recording that was served before: when it is served now, in milliseconds after the session.
        began: When it was made, by the process's own `monotonic`.
        is_outdated: Whether it has to be made again, because a live call needs the secret that it only stands for.
        original: The recording as the cassette has it, if something else stands for the secrets in it there.
        hear_real: Is told how the call is made for real, if its session wants to know.
    """

    recorder: Recorder
    call: Call
    recorded: Interaction
    descendants: tuple[Interaction, ...] = ()
    parent: Live | None = None
    is_kept: bool = True
    judge: Callable[[], AgentTapeError | None] | None = None
    turn: Turn | None = None
    repeated_at: float | None = None
    began: float = 0.0
    is_outdated: bool = False
    original: Interaction | None = None
    hear_real: Callable[[Callable[[], object]], None] | None = None

    is_live: ClassVar[bool] = False

    @property
    def ended(self) -> float:
        """When it was answered, by the process's own `monotonic`; 0 until then."""
        return self.began if self.turn is None else self.turn.ended or 0.0

    @property
    def outcome(self) -> Interaction:
        """The recording: the outcome is known from the start."""
        return self.original or self.recorded

    def held_weakly(self) -> Served:
        """Return a copy, for a run that is over, which does not keep the session; the agent may still read this one."""
        return Served(
            weakref.proxy(self.recorder),
            self.call,
            self.recorded,
            self.descendants,
            self.parent,
            self.is_kept,
            turn=self.turn,
            repeated_at=self.repeated_at,
            began=self.began,
            is_outdated=self.is_outdated,
            original=self.original,
        )


@dataclass(slots=True, eq=False)
class Live:
    """A call that runs for real.

    Attributes:
        recorder: The session it belongs to.
        call: The call as asked.
        parent: The live call whose body made it, if any.
        is_kept: Whether it goes into a cassette.
        started: When it began, by the process's own `perf_counter`.
        start_ms: The same, in milliseconds after the session, as the cassette will have it.
        ended: When it was over, by the process's own `monotonic`; 0 until then.
        timeouts: How many timeouts of the agent's had passed when it began.
        rounds: How many rounds of the event loop after another call it has ended; None for many.
        clock: The pinned time by then, in nanoseconds, if an equal call was made before it.
        slept: For how many seconds its body has slept, or waited in vain.
        metadata: Facts to be recorded with it.
        source: Where its answer comes from; None until there is one, and if it cannot be recorded.
        interaction: The call as recorded; None while it is running.
        has_failed: Whether it ended with anything but an answer, whoever is to blame.
        poison: Why it must not be kept, if it failed in a way that does not belong in a good recording.
        lost: How it ended if that cannot be recorded: a run that goes on after it would lack the call.
    """

    recorder: Recorder
    call: Call
    parent: Live | None = None
    is_kept: bool = True
    started: float = 0.0
    start_ms: float = 0.0
    ended: float = 0.0
    timeouts: int = 0
    rounds: int | None = None
    clock: int | None = None
    slept: float = 0.0
    metadata: dict[str, JSON] = field(default_factory=dict)
    source: Source | None = None
    interaction: Interaction | None = None
    has_failed: bool = False
    poison: Poison | None = None
    lost: str = ""

    is_live: ClassVar[bool] = True
    descendants: ClassVar[tuple[Interaction, ...]] = ()
    recorded: ClassVar[Interaction | None] = None
    turn: ClassVar[Turn | None] = None

    @property
    def outcome(self) -> Interaction | None:
        """The outcome of the call, or what there is of it so far."""
        return self.interaction or (self.source.preview() if self.source else None)

    def send_to(self, model: str) -> None:
        """Note that the call goes to another *model* than the agent names."""
        named = self.metadata.get("model")
        self.metadata |= {"model": model, **({} if named is None else {"requested_model": named})}

    def settle(self) -> None:
        """Finish the call if the agent left its answer unread."""
        if self.interaction is None and self.source is not None:
            self.source.settle()

    def drop(self) -> None:
        """Drop the call: it cannot be recorded, not even partially."""
        self.source = None


@dataclass(slots=True, eq=False)
class Observed:
    """A call that a listener sees but cannot answer.

    Attributes:
        observer: Keeps the call.
        recorder: The session it belongs to.
        call: The call as seen.
        is_live: Whether it is to be recorded, because it has no recording yet.
        interaction: Its recording; None until it is over.
        is_detached: Whether the listener runs in a different context than the call.
        is_covered: Whether the call has crossed a boundary itself, which records it.
        is_concluded: Whether it is over.
    """

    observer: Observer
    recorder: Recorder
    call: Call
    is_live: bool
    parent: Live | None = None
    started: float = 0.0
    start_ms: float = 0.0
    metadata: dict[str, JSON] = field(default_factory=dict)
    interaction: Interaction | None = None
    is_detached: bool = False
    is_covered: bool = False
    is_concluded: bool = False

    descendants: ClassVar[tuple[Interaction, ...]] = ()

    @property
    def is_kept(self) -> bool:
        """Whether it goes into a cassette: not if a boundary has recorded the call."""
        return not self.is_covered

    @property
    def outcome(self) -> Interaction | None:
        """The outcome of the call, once it is over."""
        return self.interaction
