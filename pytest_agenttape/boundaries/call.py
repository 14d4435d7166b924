"""One call of a boundary: the request, the session's answer, and the result of a live body."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_agenttape import clocks, ownership, values
from pytest_agenttape.boundaries.arguments import Parameters
from pytest_agenttape.boundaries.asking import Named, Spelled
from pytest_agenttape.boundaries.changes import changes_of, has_changes
from pytest_agenttape.boundaries.registry import register_boundary
from pytest_agenttape.boundaries.results import encode_result
from pytest_agenttape.errors import AgentTapeError, RecordingRefusedError, StreamingReplayError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Recorder, Served
from pytest_agenttape.ownership.turns import Turn
from pytest_agenttape.process import waits
from pytest_agenttape.process.cancellation import is_cancellation, is_unanswered, unanswered

Stored: TypeAlias = dict[str, JSON]

_LONGEST_WAIT = 60.0  # seconds that a replay waits for the agent to give up, on top of the recorded time
_PARTS_OF_A_STREAM = {"items": list, "sent": dict, "thrown": dict, "changed": dict}
_POLL = 0.02  # seconds between two checks whether the session has ended


# -- what is asked

_NO_ARGUMENT = "a client or a connection need not be an argument: an attribute of self or a global is not recorded"


@dataclass(frozen=True, slots=True)
class Boundary:
    """What all calls of one boundary have in common."""

    kind: str
    name: str
    asked: Named | Spelled
    usage: Stored | None = None
    tags: tuple[str, ...] = ()
    facts: Stored = field(default_factory=dict)  # recorded with each call

    @classmethod
    def of(cls, fn: Callable[..., Any], kind: str, name: str, label: str | None = None) -> Boundary:
        """Return the boundary *name* of the callable *fn*, which is known from now on."""
        parameters = Parameters.of(fn)
        register_boundary(name, parameters.shown_defaults)
        return cls(kind, name, Named(parameters), facts={"label": label} if label else {})

    def begin(self, found: ownership.Scope, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LiveCall | ServedCall:
        """Capture the call before anything can change its arguments, then let the session decide."""
        __tracebackhide__ = True
        owner = found.owner
        try:
            request, changeable, function, instance = self.asked.request(args, kwargs)
        except AgentTapeError as error:
            error.add_note(f"in a call to the {self.kind} {self.name!r}")
            error.add_note(_NO_ARGUMENT)
            raise owner.refuse(error) from None
        facts = {**self.facts, "function": function} if function else self.facts
        begun = owner.begin(self.kind, self.name, request, parent=found.running, metadata=facts, instance=instance)
        if isinstance(begun, Served):
            if begun.hear_real is not None:
                begun.hear_real(self.asked.real(args, kwargs, request))
            watch = values.Watch(changeable) if has_changes(begun.recorded) else None
            return ServedCall(begun, self, watch)
        call = LiveCall(owner, begun, self, values.Watch(changeable) if changeable else None)
        begun.source = call
        return call


# -- what is answered


# Not frozen: that would cost more than everything else a replay does here.


@dataclass(slots=True, eq=False)
class LiveCall:
    """A call whose body runs for real."""

    owner: ownership.Owner
    live: Live
    boundary: Boundary
    watch: values.Watch | None = None

    @property
    def inside(self) -> ownership.Scope:
        """The scope that the body runs in."""
        return ownership.Scope(self.owner, self.live)

    def encode(self, value: object, where: str = "result") -> JSON:
        """Return *value* in stored form."""
        try:
            return encode_result(value, where)
        except AgentTapeError as error:
            self.live.drop()
            error.add_note(f"in the {self.boundary.kind} {self.boundary.name!r}")
            raise self.owner.refuse(error) from None

    def note_changes(self) -> None:
        """Record what the body did to its arguments until its end."""
        changes = self.changes()
        if changes:
            self.live.metadata["changed"] = changes

    def changes(self) -> list[Stored]:
        """Return what the body did to its arguments, in stored form."""
        try:
            return changes_of(self.watch, self.live.recorder)
        except AgentTapeError as error:
            self.live.drop()
            error.add_note(f"in the {self.boundary.kind} {self.boundary.name!r}")
            raise self.owner.refuse(error) from None

    def end(self, response: JSON = None, error: Stored | None = None, status: object = None, failure: str = "") -> None:
        """Keep the result of the body."""
        self.watch = None  # it holds the arguments
        self.live.recorder.finish(
            self.live,
            response=response,
            error=error,
            usage=self.boundary.usage,
            tags=self.boundary.tags,
            status=status,
            failure=failure,
        )

    def fail(self, error: BaseException, about: Stored | None = None) -> None:
        """Keep what the body raised; interrupts and our own errors are not an outcome of the call."""
        is_outcome = is_cancellation(error) or values.is_recordable_error(error)
        if is_outcome and not self.has_noted_changes():
            return
        if is_cancellation(error):
            self.end(error={**unanswered(), **(about or {})})
        elif values.is_recordable_error(error):
            stored = {**values.encode_error(error), **(about or {})}
            if not values.comes_back(stored):
                self._refuse_error(error)
                return
            if self.boundary.kind == "llm":  # agents are expected to deal with the failures of anything else
                self.end(error=stored, status=getattr(error, "status_code", None), failure=type(error).__name__)
            else:
                self.end(error=stored)
        else:
            self.live.drop()
            if not isinstance(error, AgentTapeError):
                self.live.lost = (
                    f"{self.boundary.name} raised {type(error).__name__}, which cannot be recorded, and the run went "
                    "on\n  catch it in the function, or let it raise an exception of its own"
                )

    def _refuse_error(self, error: BaseException) -> None:
        """Refuse the recording of an exception that an `except` clause would not know again in replay."""
        self.live.drop()
        cls = type(error)
        self.owner.refuse(
            RecordingRefusedError(
                f"{self.boundary.name} raised {cls.__module__}.{cls.__qualname__}, which cannot be raised again in "
                "replay: its class is not at the top level of a module, or its text does not come from its arguments "
                "and attributes\n  let the function raise an exception of a module's own that says the same"
            )
        )

    def settle(self) -> None:
        """Record that the call had no answer when the recording ended."""
        if self.has_noted_changes():
            self.end(error=unanswered())

    def preview(self) -> None:
        """Return None: the call has no answer yet."""

    def has_noted_changes(self) -> bool:
        """Note the changes where nobody can be told that they cannot be recorded; the recording is refused then."""
        with contextlib.suppress(AgentTapeError):
            self.note_changes()
        return self.live.source is not None

    def note_nature(self, what: str) -> None:
        """Record that a plain function returned something that has to be run: a generator or an awaitable."""
        self.live.metadata["returns"] = what


@dataclass(slots=True, eq=False)
class ServedCall:
    """A call that is answered by its recording."""

    served: Served
    boundary: Boundary
    watch: values.Watch | None = None

    @property
    def recorder(self) -> Recorder:
        return self.served.recorder

    @property
    def recorded(self) -> Interaction:
        return self.served.recorded

    @property
    def turn(self) -> Turn | None:
        return self.served.turn

    @property
    def nature(self) -> str | None:
        """The nature that `LiveCall.note_nature` recorded; None for a plain value."""
        return self.recorded.returns

    def answer(self) -> Any:
        """Return a fresh copy of the recorded value, or raise the recorded exception."""
        __tracebackhide__ = True
        recorded = self.recorded
        if self.turn is not None:
            self.turn.wait()
        if self.watch is not None:
            self.redo(recorded.changes)
        if recorded.error is None:
            return self.decode(recorded.response)
        if self.is_unanswered:
            self._wait_for_the_end()
        error = values.decode_error(recorded.error)
        values.watch_use(error, self.recorder.refuse)
        raise error

    async def answered(self) -> Any:
        """Return the answer; if there was none, wait until the agent gives up again."""
        __tracebackhide__ = True
        if self.is_unanswered:
            self.redo(self.recorded.changes)
            await waits.until_cancelled(self.longest_wait)
            raise self._waited_in_vain()
        if self.turn is not None:
            await self.turn.waited()
        return self.answer()

    def decode(self, stored: JSON) -> Any:
        """Return the stored value; if it cannot be rebuilt, the error decides the run."""
        try:
            return values.decode(stored)
        except AgentTapeError as error:
            raise self.recorder.refuse(error) from error.__cause__

    def look(self) -> None:
        """See the arguments as they are now, before the next change."""
        if self.watch is not None:
            self.watch.look()

    def redo(self, changes: JSON) -> None:
        """Do to the arguments what the recorded call did to them."""
        __tracebackhide__ = True
        if self.watch is None:
            return
        try:
            self.watch.redo(changes)
        except AgentTapeError as error:
            problem = AgentTapeError(f"{self.boundary.name}: {error}; record it again")
            raise self.recorder.refuse(problem) from error.__cause__

    def is_same(self, value: object, recorded: JSON) -> bool:
        """Return whether *value*, which the agent passes in, equals the *recorded* one."""
        recorder = self.recorder
        try:
            stored = recorder.redacted(encode_result(value, "result.sent"))
        except AgentTapeError as error:
            error.add_note(f"in the {self.boundary.kind} {self.boundary.name!r}")
            raise recorder.refuse(error) from None
        return recorder.is_same(recorded, stored)

    def stream(self) -> Stored:
        """Return the recorded stream: its items, what went into it, and how it ended."""
        recorded = self.recorded
        refuse_reading_on(self.recorder, self.boundary.name)
        if self.turn is not None:
            self.turn.end()
        if recorded.error is not None:
            stream: JSON = {**recorded.error, "items": recorded.error.get("after")}
        else:
            stream = recorded.response.get("$stream") if isinstance(recorded.response, dict) else None
        if not isinstance(stream, dict):
            raise self.past_the_end("holds a value, not a stream")
        for part, shape in _PARTS_OF_A_STREAM.items():
            if stream.get(part) is not None and not isinstance(stream[part], shape):
                raise self.past_the_end(f"is damaged: {part!r} of its stream is not a {shape.__name__}")
        return stream

    def refuse_stream(self) -> None:
        """Fail the run if the function was a generator when it was recorded, and is none now."""
        __tracebackhide__ = True
        response, error = self.recorded.response, self.recorded.error
        if (isinstance(response, dict) and "$stream" in response) or (error is not None and "after" in error):
            raise self.past_the_end("holds a stream, not a value")

    def past_the_end(self, problem: str) -> AgentTapeError:
        """Return the error for a call that goes on where its recording stops."""
        name = self.boundary.name
        return self.recorder.refuse(StreamingReplayError(f"the recording of {name} {problem}; record it again"))

    @property
    def has_failed(self) -> bool:
        """Whether the recording ends with an exception, or without an answer."""
        return self.recorded.error is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether the agent stopped waiting, or the recording ended, before there was an answer."""
        return is_unanswered(self.recorded.error or {})

    @property
    def longest_wait(self) -> float:
        """How long a replay waits, in seconds, for the agent to give up as it did when recording."""
        return _LONGEST_WAIT + (self.recorded.latency_ms or 0) / 1000

    def _wait_for_the_end(self) -> None:
        """Block a thread until the session ends, because its call had no answer before the recording ended."""
        recorder = self.recorder
        deadline = clocks.monotonic() + self.longest_wait
        pause = threading.Event()
        while not recorder.is_closed:
            if clocks.monotonic() > deadline:
                raise self._waited_in_vain()
            pause.wait(_POLL)
        raise AgentTapeError(f"{recorder.title} has ended; in its recording, {self.boundary.name} was never answered")

    def _waited_in_vain(self) -> AgentTapeError:
        return self.recorder.refuse(
            AgentTapeError(
                f"the agent stopped waiting for {self.boundary.name} when it was recorded, but is still waiting now; "
                "record it again"
            )
        )


def refuse_reading_on(recorder: Recorder, name: str) -> None:
    """Raise if a generator is read when its session has ended: the items would be nobody's."""
    if recorder.is_closed:
        raise ownership.refused_by_all(
            AgentTapeError(
                f"a generator of {name} was read after {recorder.title}, which began it, had ended; nothing ran for "
                "real. Read it to its end, or close it, before the test or block ends"
            )
        )
