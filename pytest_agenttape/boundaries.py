"""Boundaries that user code draws: ``@tool`` and its kin, `intercept`, `record_call`. In replay no body runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from pytest_agenttape import pauses, scope, values
from pytest_agenttape.entries import Entry
from pytest_agenttape.errors import AgentTapeError, ConfigError, RecordingRefusedError, StreamingReplayError
from pytest_agenttape.model import JSON, KINDS, unknown_name
from pytest_agenttape.parameters import Parameters
from pytest_agenttape.session import Session
from pytest_agenttape.tokens import register_boundary

__all__ = ["intercept", "memory_read", "memory_write", "record_call", "retrieval", "tool"]

F = TypeVar("F", bound=Callable[..., Any])
Stored: TypeAlias = dict[str, JSON]

# How a recording says that a call was never answered: it was cancelled, or still running when the recording ended.
_UNANSWERED: Stored = {
    "type": "CancelledError",
    "module": "asyncio.exceptions",
    "message": "the agent stopped waiting here",
}
_LONGEST_WAIT = 60.0  # seconds that a replay waits for the agent to stop waiting, beyond what the recording took
_POLL = 0.02  # seconds between two looks at whether the session is over


class Decorator(Protocol):
    """A boundary decorator, bare or with a name."""

    @overload
    def __call__(self, fn: F, /) -> F: ...
    @overload
    def __call__(self, /, *, name: str | None = None) -> Callable[[F], F]: ...


def intercept(fn: Callable[..., Any] | None = None, *, name: str | None = None, kind: str = "tool") -> Any:
    """Wrap any callable as a boundary: sync, async, generator, async generator, method.

    Args:
        fn: The callable; left out, a decorator is returned.
        name: Name of the boundary; default the callable's own.
        kind: One of the kinds of a cassette; default ``tool``.

    Raises:
        ConfigError: *kind* is unknown or *fn* is not callable.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigError(f"the name of a boundary is a non-empty text, not {name!r}")
    if fn is None:
        return lambda function: intercept(function, name=name, kind=kind)
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(intercept(fn.__func__, name=name, kind=kind))
    if not callable(fn):
        raise ConfigError(f"a boundary wraps a callable, not {fn!r}")
    return _wrap(fn, _Boundary.of(fn, kind, name))


def _decorator(kind: str) -> Decorator:
    def decorate(fn: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
        if isinstance(fn, type):
            raise ConfigError(
                f"@{kind} stands above a function, not above the class {fn.__name__}: decorate its methods"
            )
        if isinstance(fn, property | functools.cached_property):
            raise ConfigError(f"put @{kind} below @{type(fn).__name__}, directly above the function")
        return intercept(fn, name=name, kind=kind)

    decorate.__name__ = decorate.__qualname__ = kind
    decorate.__doc__ = f"Make a function a boundary of kind ``{kind}``: recorded when live, never run in replay."
    return decorate


tool = _decorator("tool")
retrieval = _decorator("retrieval")
memory_read = _decorator("memory_read")
memory_write = _decorator("memory_write")


def record_call(
    kind: str,
    request: Mapping[str, Any],
    executor: Callable[[], Any],
    *,
    boundary: str | None = None,
    usage: Mapping[str, int] | None = None,
    tags: Iterable[str] | None = None,
) -> Any:
    """Send one call through the active session: replay it, or run *executor* and record its result.

    Args:
        kind: One of the kinds of a cassette.
        request: What identifies the call.
        executor: Runs the real call; a coroutine function makes the result awaitable.
        boundary: Name of the boundary; default *kind*.
        usage: Token counts to keep with the recording.
        tags: Words to keep with the recording.

    Raises:
        ConfigError: *kind* is unknown, or an argument is not what it has to be.
        UnmatchedInteractionError: No recording answers in replay.
    """
    __tracebackhide__ = True
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    if not isinstance(request, Mapping) or not callable(executor):
        raise ConfigError(
            f"record_call takes a mapping that identifies the call and a callable that makes it, "
            f"not {type(request).__name__} and {type(executor).__name__}"
        )
    register_boundary(boundary or kind)
    drawn = _Boundary(
        kind,
        boundary or kind,
        _Spelled(dict(request)),
        usage=dict(usage) if usage else None,
        tags=(tags,) if isinstance(tags, str) else tuple(tags or ()),
    )
    return _shell(executor, drawn)()


# -- what is asked


@dataclass(frozen=True, slots=True)
class _Boundary:
    """What stays the same over all calls of one boundary."""

    kind: str
    name: str
    asked: _Named | _Spelled
    usage: Stored | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, fn: Callable[..., Any], kind: str, name: str | None) -> _Boundary:
        chosen = name or _name_of(fn)
        register_boundary(chosen)
        return cls(kind, chosen, _Named(Parameters.of(fn)))

    def begin(self, found: scope.Scope, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        """Capture the call before anything can change its arguments, and let the session decide."""
        __tracebackhide__ = True
        session: Session = found.owner
        try:
            request = self.asked.request(session, args, kwargs)
        except AgentTapeError as error:
            error.add_note(f"in a call of the {self.kind} {self.name!r}")
            raise session.refuse(error) from None
        entry = session.begin(self.kind, self.name, session.redactor.value(request), parent=found.crossing)
        call = _Call(session, entry, self)
        if entry.is_live:
            entry.settle = call.leave_unanswered
        return call


@dataclass(frozen=True, slots=True)
class _Spelled:
    """A request that the caller spelled out."""

    given: dict[str, Any]

    def request(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stored:  # noqa: ARG002  # as _Named's
        return dict(values.encode(self.given, "request"))


@dataclass(frozen=True, slots=True)
class _Named:
    """A request made of the arguments of a call."""

    parameters: Parameters

    def request(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Stored:
        bound = self.parameters.bind(args, kwargs)
        request: Stored = {"args": self._encoded(bound.arguments)}
        if bound.instance is not None:
            number = session.instance_number(bound.instance)
            if number:
                request["instance"] = number
        return request

    def _encoded(self, arguments: dict[str, object]) -> Stored:
        try:
            return values.encode_each(arguments, "args")
        except RecordingRefusedError:
            # A default such as a sentinel object says that nothing was passed, and so is left out.
            defaults = self.parameters.defaults
            passed = {name: each for name, each in arguments.items() if each is not defaults.get(name, _NOTHING)}
            if len(passed) == len(arguments):
                raise
            kept = {name: each for name, each in arguments.items() if name in passed or _is_recordable(each)}
            return values.encode_each(kept, "args")


_NOTHING = object()


def _is_recordable(value: object) -> bool:
    try:
        values.encode(value)
    except RecordingRefusedError:
        return False
    return True


def _name_of(fn: Callable[..., Any]) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return str(getattr(fn, "__name__", None) or type(fn).__name__)


# -- what is answered


@dataclass(slots=True, eq=False)  # not frozen: that would cost more than the rest of a replay's own work here
class _Call:
    """One call that a session has decided about: to be served, or running for real."""

    session: Session
    entry: Entry
    boundary: _Boundary

    @property
    def inside(self) -> scope.Scope:
        """Where the body runs."""
        return scope.Scope(self.session, self.entry)

    # recording

    def encode(self, value: object, where: str = "result") -> JSON:
        try:
            return self.session.redactor.value(_encode_result(value, where))
        except AgentTapeError as error:
            self.entry.settle = None
            error.add_note(f"in the {self.boundary.kind} {self.boundary.name!r}")
            raise self.session.refuse(error) from None

    def end(self, response: JSON = None, error: Stored | None = None) -> None:
        self.session.finish(
            self.entry, response=response, error=error, usage=self.boundary.usage, tags=self.boundary.tags
        )

    def fail(self, error: BaseException, about: Stored | None = None) -> None:
        """Keep what the body raised; an interrupt and our own verdicts are no outcome of the call."""
        if _is_cancellation(error):
            self.end(error={**_UNANSWERED, **(about or {})})
        elif values.is_recordable_error(error):
            self.end(error=self.session.redactor.value({**values.encode_error(error), **(about or {})}))
        else:
            self.entry.settle = None

    def leave_unanswered(self) -> None:
        """Keep that the call had no answer when the recording ended."""
        self.end(error=_UNANSWERED)

    def concluded(self, result: object, *, awaited: bool = False) -> Any:
        """Record what the body of a plain function gave, and return what the agent gets of it."""
        if inspect.isgenerator(result):
            self._note("generator")
            return _generator(lambda: (result, _Log(self)))()
        if inspect.isasyncgen(result):
            self._note("async_generator")
            return _async_generator(lambda: (result, _Log(self)))()
        if inspect.isawaitable(result) and not awaited:
            self._note("awaitable")
            return _awaited(self, lambda: result)
        self.end(self.encode(result))
        return result

    def _note(self, what: str) -> None:
        self.entry.metadata["returns"] = what

    # replaying

    def served(self) -> Any:
        """Return what a plain function gave."""
        __tracebackhide__ = True
        recorded = self._recorded
        if recorded.error is None and "returns" not in recorded.metadata:
            return self.decode(recorded.response)
        match recorded.metadata.get("returns"):
            case "generator":
                return _generator(lambda: (_items(self), None))()
            case "async_generator":
                return _async_generator(lambda: (_items_async(self), None))()
            case "awaitable":
                return self.answered()
        return self.answer()

    async def served_async(self) -> Any:
        """Return what a coroutine gave."""
        __tracebackhide__ = True
        await pauses.let_others_run()
        if self._recorded.metadata.get("returns") in ("generator", "async_generator"):
            return self.served()
        return await self.answered()

    def answer(self) -> Any:
        """Return the recorded value, a fresh one, or raise the recorded exception."""
        __tracebackhide__ = True
        recorded = self._recorded
        if self.is_unanswered:
            self._wait_for_the_end()
        if recorded.error is not None:
            raise values.decode_error(recorded.error)
        return self.decode(recorded.response)

    async def answered(self) -> Any:
        """Return the answer; where there was none, wait until the agent gives up again."""
        __tracebackhide__ = True
        if self.is_unanswered:
            await pauses.until_cancelled(self.longest_wait)
            raise self._waited_in_vain()
        return self.answer()

    def decode(self, stored: JSON) -> Any:
        """Return the value that was stored; one that cannot be rebuilt decides the run."""
        try:
            return values.decode(stored)
        except AgentTapeError as error:
            raise self.session.refuse(error) from error.__cause__

    def stream(self) -> Stored:
        """Return the recorded stream: its items, what went into it, and how it ended."""
        recorded = self._recorded
        if recorded.error is not None:
            return {**recorded.error, "items": recorded.error.get("after") or ()}
        stream = recorded.response.get("$stream") if isinstance(recorded.response, dict) else None
        if not isinstance(stream, dict):
            raise self.past_the_end("holds a value, not a stream")
        return stream

    def past_the_end(self, problem: str) -> AgentTapeError:
        name = self.boundary.name
        return self.session.refuse(StreamingReplayError(f"the recording of {name} {problem}; record it again"))

    @property
    def has_failed(self) -> bool:
        """Whether the recording ends with an exception, or without an answer."""
        return self._recorded.error is not None

    @property
    def is_unanswered(self) -> bool:
        """Whether the agent stopped waiting, or the recording ended, before there was an answer."""
        error = self._recorded.error
        return error is not None and error.get("type") == "CancelledError"

    @property
    def longest_wait(self) -> float:
        """For how long a replay waits, in seconds, until the agent gives up as it did when recording."""
        return _LONGEST_WAIT + (self._recorded.latency_ms or 0) / 1000

    @property
    def _recorded(self) -> Any:
        return self.entry.interaction

    def _wait_for_the_end(self) -> None:
        """Hold a thread whose call had no answer before the recording ended, until the session ends."""
        deadline = time.monotonic() + self.longest_wait
        pause = threading.Event()
        while not self.session.is_closed:
            if time.monotonic() > deadline:
                raise self._waited_in_vain()
            pause.wait(_POLL)
        raise AgentTapeError(f"{self.session.title} is over; in its recording {self.boundary.name} was never answered")

    def _waited_in_vain(self) -> AgentTapeError:
        return self.session.refuse(
            AgentTapeError(
                f"when {self.boundary.name} was recorded, the agent stopped waiting for it, and now it does not; "
                "record it again"
            )
        )


def _encode_result(value: object, where: str) -> JSON:
    stored = values.encode(value, where)
    if type(value) is dict and "$stream" in stored:  # the word that tells a stream: these are the user's own
        return {"$type": "dict", "items": [[key, each] for key, each in stored.items()]}
    return stored


def _is_cancellation(error: BaseException) -> bool:
    """Say whether *error* is how asyncio or trio stop a task."""
    return not isinstance(error, Exception) and type(error).__name__ in ("CancelledError", "Cancelled")


# -- functions and coroutines


def _wrap(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    wrapper = _shell(fn, boundary)
    if inspect.isroutine(fn):
        return functools.update_wrapper(wrapper, fn)
    functools.update_wrapper(wrapper, fn, assigned=("__module__", "__doc__"), updated=())
    wrapper.__name__ = wrapper.__qualname__ = boundary.name
    body = fn.func if isinstance(fn, functools.partial) else _body(fn)
    wrapper.__annotations__ = dict(getattr(body, "__annotations__", {}))
    return wrapper


def _shell(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    """Return a function of the same nature as *fn* that asks the session first."""
    body = _body(fn)
    if inspect.isasyncgenfunction(body):
        return _async_generator(functools.partial(_open_async_stream, fn, boundary))
    if inspect.isgeneratorfunction(body):
        return _generator(functools.partial(_open_stream, fn, boundary))
    if inspect.iscoroutinefunction(body):
        return _coroutine(fn, boundary)
    return _function(fn, boundary)


def _body(fn: Callable[..., Any]) -> Any:
    """Return what tells the nature of *fn*: itself, or the method that makes an object callable."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn if inspect.isroutine(fn) or isinstance(fn, type) else getattr(fn, "__call__", fn)  # noqa: B004  # the method is wanted


def _function(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return fn(*args, **kwargs)
        call = boundary.begin(found, args, kwargs)
        if not call.entry.is_live:
            return call.served()
        try:
            with scope.within(call.inside):
                result = fn(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        return call.concluded(result)

    return call


def _coroutine(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return await fn(*args, **kwargs)
        call = boundary.begin(found, args, kwargs)
        if not call.entry.is_live:
            return await call.served_async()
        return await _awaited(call, functools.partial(fn, *args, **kwargs))

    return call


async def _awaited(call: _Call, start: Callable[[], Any]) -> Any:
    __tracebackhide__ = True
    try:
        with scope.within(call.inside):
            result = await start()
    except BaseException as error:
        call.fail(error)
        raise
    return call.concluded(result, awaited=True)


# -- generators


class _Log:
    """What passes through a generator that runs for real."""

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._stream: Stored = {"items": []}
        call.entry.settle = self.stop

    def inside(self) -> Any:
        """Return the block in which the body takes its next step."""
        return scope.within(self._call.inside)

    def yielded(self, item: object) -> None:
        items = self._stream["items"]
        items.append(self._call.encode(item, f"result.items[{len(items)}]"))

    def sent(self, value: object) -> None:
        if value is not None:
            self._note("sent", self._call.encode(value, "result.sent"))

    def thrown(self, error: BaseException) -> None:
        self._note("thrown", type(error).__name__)

    def returned(self, value: object) -> None:
        if value is not None:
            self._stream["return"] = self._call.encode(value, "result.return")
        self._call.end({"$stream": self._stream})

    def raised(self, error: BaseException) -> None:
        about = {name: each for name, each in self._stream.items() if name != "items"}
        self._call.fail(error, {"after": self._stream["items"], **about} if self._stream["items"] else about)

    def stop(self) -> None:
        """Keep what was read so far of a stream that is read no further."""
        self._call.end({"$stream": {**self._stream, "complete": False}})

    def _note(self, what: str, stored: JSON) -> None:
        self._stream.setdefault(what, {})[str(len(self._stream["items"]) - 1)] = stored


_Opened: TypeAlias = tuple[Any, _Log | None]  # a generator, and what is to keep a log of it


def _open_stream(fn: Callable[..., Any], boundary: _Boundary, *args: Any, **kwargs: Any) -> _Opened:
    __tracebackhide__ = True
    return _opened(fn, boundary, _items, args, kwargs)


def _open_async_stream(fn: Callable[..., Any], boundary: _Boundary, *args: Any, **kwargs: Any) -> _Opened:
    __tracebackhide__ = True
    return _opened(fn, boundary, _items_async, args, kwargs)


def _opened(
    fn: Callable[..., Any],
    boundary: _Boundary,
    items: Callable[[_Call], Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> _Opened:
    __tracebackhide__ = True
    found = scope.current()
    if found is None:
        return fn(*args, **kwargs), None
    call = boundary.begin(found, args, kwargs)
    if not call.entry.is_live:
        return items(call), None
    with scope.within(call.inside):
        return fn(*args, **kwargs), _Log(call)


def _generator(start: Callable[..., _Opened]) -> Callable[..., Any]:
    """Return a generator function that passes on what the generator of *start* yields, and logs it."""

    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        body, log = start(*args, **kwargs)
        if log is None:
            return (yield from body)
        step: Callable[[], Any] = functools.partial(next, body)
        while True:
            try:
                with log.inside():
                    item = step()
            except StopIteration as stop:
                log.returned(stop.value)
                return stop.value
            except BaseException as error:
                log.raised(error)
                raise
            log.yielded(item)
            try:
                sent = yield item
            except GeneratorExit:
                try:
                    with log.inside():
                        body.close()
                except BaseException as error:
                    log.raised(error)
                    raise
                log.stop()
                raise
            except BaseException as error:  # noqa: BLE001  # the body gets what was thrown at us
                log.thrown(error)
                step = functools.partial(body.throw, error)
            else:
                log.sent(sent)
                step = functools.partial(body.send, sent)

    return call


def _async_generator(start: Callable[..., _Opened]) -> Callable[..., Any]:
    """Return an async generator function that passes on what the one of *start* yields, and logs it."""

    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        __tracebackhide__ = True
        body, kept = start(*args, **kwargs)
        log = kept or _NO_LOG
        step: Callable[[], Any] = functools.partial(anext, body)
        while True:
            try:
                with log.inside():
                    item = await step()
            except StopAsyncIteration:
                log.returned(None)
                return
            except BaseException as error:
                log.raised(error)
                raise
            log.yielded(item)
            try:
                sent = yield item
            except GeneratorExit:
                try:
                    with log.inside():
                        await body.aclose()
                except BaseException as error:
                    log.raised(error)
                    raise
                log.stop()
                raise
            except BaseException as error:  # noqa: BLE001  # the body gets what was thrown at us
                log.thrown(error)
                step = functools.partial(body.athrow, error)
            else:
                log.sent(sent)
                step = functools.partial(body.asend, sent)

    return call


class _NoLog(_Log):
    """Stands in where nothing is recorded."""

    def __init__(self) -> None:
        """Nothing is kept."""

    def inside(self) -> Any:
        return contextlib.nullcontext()

    def yielded(self, item: object) -> None: ...
    def sent(self, value: object) -> None: ...
    def thrown(self, error: BaseException) -> None: ...
    def returned(self, value: object) -> None: ...
    def raised(self, error: BaseException) -> None: ...
    def stop(self) -> None: ...


_NO_LOG = _NoLog()


def _items(call: _Call) -> Generator[Any, Any, Any]:
    """Serve a recorded stream to its end."""
    stream = call.stream()
    yield from _served_items(call, stream)
    return call.answer() if call.has_failed else _ending(call, stream)


async def _items_async(call: _Call) -> AsyncGenerator[Any, Any]:
    stream = call.stream()
    items = _served_items(call, stream)
    step: Callable[[], Any] = functools.partial(next, items)
    while True:
        await pauses.let_others_run()
        try:
            item = step()
        except StopIteration:
            break
        try:
            sent = yield item
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001  # judged where the items are served
            step = functools.partial(items.throw, error)
        else:
            step = functools.partial(items.send, sent)
    if call.has_failed:
        await call.answered()
    _ending(call, stream)


def _served_items(call: _Call, stream: Stored) -> Generator[Any, Any, None]:
    for position, item in enumerate(stream.get("items") or ()):
        try:
            sent = yield call.decode(item)
        except GeneratorExit:
            raise
        except BaseException as error:
            # The body went on after it when this was recorded; any other exception it has never seen.
            if (stream.get("thrown") or {}).get(str(position)) != type(error).__name__:
                raise
        else:
            _check_sent(call, sent, (stream.get("sent") or {}).get(str(position)), position)


def _check_sent(call: _Call, sent: object, recorded: JSON, position: int) -> None:
    if sent is None and recorded is None:
        return
    if call.encode(sent, "result.sent") != recorded:
        raise call.past_the_end(f"was sent another value after item {position}")


def _ending(call: _Call, stream: Stored) -> Any:
    if stream.get("complete") is False:
        raise call.past_the_end("ends here: its reader stopped early")
    return call.decode(stream.get("return"))
