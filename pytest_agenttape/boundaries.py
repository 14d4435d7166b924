"""Boundaries that user code draws: ``@tool`` and its kin, `intercept`, `record_call`. In replay no body runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, overload

from pytest_agenttape import scope, values
from pytest_agenttape.errors import AgentTapeError, ConfigError, StreamingReplayError
from pytest_agenttape.model import JSON, KINDS, unknown_name
from pytest_agenttape.session import Entry, Session

F = TypeVar("F", bound=Callable[..., Any])

_registered: set[str] = set()  # grows as modules are imported, so that a mistyped live token can be told


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
        ConfigError: *kind* is unknown.
        UnmatchedInteractionError: No recording answers in replay.
    """
    if kind not in KINDS:
        raise unknown_name("kind", kind, KINDS)
    found = scope.current()
    if found is None:
        return executor()
    explicit = _Explicit(values.encode(dict(request), "request"))
    call = _Boundary(kind, boundary or kind, explicit, dict(usage) if usage else None, tuple(tags or ()))
    run = _run_async if inspect.iscoroutinefunction(executor) else _run
    return run(found, call, executor, (), {})


def registered_boundaries() -> frozenset[str]:
    """Return the names of all boundaries drawn so far in this process."""
    return frozenset(_registered)


@dataclass(frozen=True, slots=True)
class _Boundary:
    """What stays the same over all calls of one boundary."""

    kind: str
    name: str
    signature: _Signature | _Explicit
    usage: dict[str, Any] | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def of(cls, fn: Callable[..., Any], kind: str, name: str | None) -> _Boundary:
        chosen = name or getattr(fn, "__name__", None) or type(fn).__name__
        _registered.add(chosen)
        return cls(kind, chosen, _Signature.of(fn))

    def begin(self, found: scope.Scope, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Entry:
        """Capture the call before anything can change its arguments, and let the session decide."""
        __tracebackhide__ = True
        session: Session = found.owner
        try:
            request = self.signature.request(session, args, kwargs)
        except AgentTapeError as error:
            raise session.refuse(error) from None
        stored = session.redactor.value(request)
        return session.begin(self.kind, self.name, stored, parent=found.crossing)


@dataclass(frozen=True, slots=True)
class _Explicit:
    """A request that the caller spelled out."""

    stored: dict[str, JSON]

    def request(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, JSON]:  # noqa: ARG002  # one protocol with _Signature
        return self.stored


@dataclass(frozen=True, slots=True)
class _Signature:
    """How the arguments of a callable get their names.

    Attributes:
        names: Parameter names in order, without ``self``.
        skips: Whether the first argument is the instance or the class.
        is_plain: Whether every parameter can be given by position or by name, so that binding is a zip.
    """

    full: inspect.Signature | None
    names: tuple[str, ...]
    defaults: dict[str, Any]
    skips: str
    is_plain: bool

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> _Signature:
        try:
            full = inspect.signature(fn)
        except (TypeError, ValueError):  # some builtins tell nothing
            return cls(None, (), {}, "", False)
        parameters = list(full.parameters.values())
        first = parameters[0].name if parameters else ""
        skips = first if first in ("self", "cls") and "." in getattr(fn, "__qualname__", "") else ""
        named = parameters[1:] if skips else parameters
        return cls(
            full=full,
            names=tuple(each.name for each in named),
            defaults={each.name: each.default for each in named if each.default is not each.empty},
            skips=skips,
            is_plain=all(each.kind is each.POSITIONAL_OR_KEYWORD for each in parameters),
        )

    def request(self, session: Session, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, JSON]:
        bound = self._bind(args, kwargs)
        instance = bound.pop(self.skips) if self.skips else None
        request: dict[str, JSON] = {"args": values.encode_each(bound, "args")}
        if self.skips == "self":
            number = session.instance_number(instance)
            if number:
                request["instance"] = number
        return request

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.full is None:
            return {"args": list(args), **kwargs}
        if self.is_plain and not self.skips and len(args) <= len(self.names):
            bound = dict(zip(self.names, args, strict=False))
            if not kwargs and self.defaults.keys() >= set(self.names[len(args) :]):
                return bound | {name: self.defaults[name] for name in self.names[len(args) :]}
            if not (bound.keys() & kwargs.keys()):
                bound = {**self.defaults, **bound, **kwargs}
                if len(bound) == len(self.names) and bound.keys() <= set(self.names):
                    return {name: bound[name] for name in self.names}
        # Also the way to the very TypeError that the real call would raise.
        arguments = self.full.bind(*args, **kwargs)
        arguments.apply_defaults()
        return dict(arguments.arguments)


def _wrap(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    body = fn if inspect.isroutine(fn) or isinstance(fn, functools.partial) else getattr(fn, "__call__", fn)  # noqa: B004
    if inspect.isasyncgenfunction(body):
        wrapper = _wrap_async_generator(fn, boundary)
    elif inspect.isgeneratorfunction(body):
        wrapper = _wrap_generator(fn, boundary)
    elif inspect.iscoroutinefunction(body):
        wrapper = _wrap_coroutine(fn, boundary)
    else:
        wrapper = _wrap_function(fn, boundary)
    return functools.update_wrapper(wrapper, fn)


def _wrap_function(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return fn(*args, **kwargs)
        return _run(found, boundary, fn, args, kwargs)

    return call


def _wrap_coroutine(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return await fn(*args, **kwargs)
        return await _run_async(found, boundary, fn, args, kwargs)

    return call


def _run(
    found: scope.Scope, boundary: _Boundary, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    __tracebackhide__ = True
    entry = boundary.begin(found, args, kwargs)
    if not entry.is_live:
        return _served(entry)
    running = _Running(found.owner, entry, boundary)
    try:
        with scope.within(running.inside):
            result = fn(*args, **kwargs)
    except BaseException as error:
        running.fail(error)
        raise
    if inspect.isawaitable(result):
        return _await_inside(running, result)
    running.end(result)
    return result


async def _run_async(
    found: scope.Scope, boundary: _Boundary, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    __tracebackhide__ = True
    entry = boundary.begin(found, args, kwargs)
    if not entry.is_live:
        return _served(entry)
    running = _Running(found.owner, entry, boundary)
    return await _await_inside(running, fn(*args, **kwargs))


async def _await_inside(running: _Running, awaitable: Any) -> Any:
    __tracebackhide__ = True
    try:
        with scope.within(running.inside):
            result = await awaitable
    except BaseException as error:
        running.fail(error)
        raise
    running.end(result)
    return result


def _wrap_generator(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            return (yield from fn(*args, **kwargs))
        entry = boundary.begin(found, args, kwargs)
        if not entry.is_live:
            return (yield from _served_items(entry))
        running = _Running(found.owner, entry, boundary)
        with scope.within(running.inside):
            body = fn(*args, **kwargs)
        return (yield from _tee(body, running))

    return call


def _tee(body: Generator[Any, Any, Any], running: _Running) -> Generator[Any, Any, Any]:
    """Pass on what *body* yields, recording it; the body alone runs inside the call's scope."""
    items: list[JSON] = []
    step: Callable[[], Any] = functools.partial(next, body)
    while True:
        try:
            with scope.within(running.inside):
                item = step()
        except StopIteration as stop:
            running.end_stream(items, stop.value)
            return stop.value
        except BaseException as error:
            running.fail(error, items)
            raise
        items.append(running.encode(item, f"result.items[{len(items)}]"))
        try:
            sent = yield item
        except GeneratorExit:
            with scope.within(running.inside):
                body.close()
            running.end_stream(items, None, complete=False)
            raise
        except BaseException as thrown:  # noqa: BLE001  # the body gets what was thrown at us
            step = functools.partial(body.throw, thrown)
        else:
            step = functools.partial(body.send, sent)


def _wrap_async_generator(fn: Callable[..., Any], boundary: _Boundary) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        __tracebackhide__ = True
        found = scope.current()
        if found is None:
            async for item in fn(*args, **kwargs):
                yield item
            return
        entry = boundary.begin(found, args, kwargs)
        if not entry.is_live:
            for item in _served_items(entry):
                yield item
            return
        running = _Running(found.owner, entry, boundary)
        with scope.within(running.inside):
            body = fn(*args, **kwargs)
        stream = _tee_async(body, running)
        try:
            async for item in stream:
                yield item
        finally:
            await stream.aclose()

    return call


async def _tee_async(body: AsyncGenerator[Any, Any], running: _Running) -> AsyncGenerator[Any, Any]:
    items: list[JSON] = []
    while True:
        try:
            with scope.within(running.inside):
                item = await anext(body)
        except StopAsyncIteration:
            running.end_stream(items, None)
            return
        except BaseException as error:
            running.fail(error, items)
            raise
        items.append(running.encode(item, f"result.items[{len(items)}]"))
        try:
            yield item
        except GeneratorExit:
            with scope.within(running.inside):
                await body.aclose()
            running.end_stream(items, None, complete=False)
            raise


@dataclass(frozen=True, slots=True)
class _Running:
    """A call whose body runs for real."""

    session: Session
    entry: Entry
    boundary: _Boundary

    @property
    def inside(self) -> scope.Scope:
        return scope.Scope(self.session, self.entry)

    def encode(self, value: object, where: str = "result") -> JSON:
        try:
            return self.session.redactor.value(values.encode(value, where))
        except AgentTapeError as error:
            error.add_note(f"in the {self.boundary.kind} {self.boundary.name!r}")
            raise self.session.refuse(error) from None

    def end(self, result: object) -> None:
        self.session.finish(
            self.entry, response=self.encode(result), usage=self.boundary.usage, tags=self.boundary.tags
        )

    def end_stream(self, items: list[JSON], value: object, *, complete: bool = True) -> None:
        stream: dict[str, JSON] = {"items": items}
        if value is not None:
            stream["return"] = self.encode(value, "result.return")
        if not complete:
            stream["complete"] = False
        self.session.finish(
            self.entry, response={"$stream": stream}, usage=self.boundary.usage, tags=self.boundary.tags
        )

    def fail(self, error: BaseException, items: list[JSON] | None = None) -> None:
        if isinstance(error, AgentTapeError) or not values.is_recordable_error(error):
            return
        stored = self.session.redactor.value(values.encode_error(error))
        if items:
            stored = {**stored, "after": items}
        self.session.finish(self.entry, error=stored)


def _served(entry: Entry) -> Any:
    """Return what the recording holds: a fresh value, or the recorded exception raised."""
    __tracebackhide__ = True
    recorded = entry.interaction
    assert recorded is not None
    if recorded.error is not None:
        raise values.decode_error(recorded.error)
    return values.decode(recorded.response)


def _served_items(entry: Entry) -> Generator[Any, Any, Any]:
    recorded = entry.interaction
    assert recorded is not None
    if recorded.error is not None:
        yield from map(values.decode, recorded.error.get("after") or ())
        raise values.decode_error(recorded.error)
    stream = recorded.response.get("$stream") if isinstance(recorded.response, dict) else None
    if not isinstance(stream, dict):
        raise StreamingReplayError(f"the recording of {recorded.boundary} holds a value, not a stream; record it again")
    yield from map(values.decode, stream.get("items") or ())
    if stream.get("complete") is False:
        raise StreamingReplayError(
            f"the recording of {recorded.boundary} ends here: its reader stopped early; record it again"
        )
    return values.decode(stream.get("return"))
