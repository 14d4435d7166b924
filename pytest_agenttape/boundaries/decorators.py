"""Boundaries drawn in user code: ``@tool`` and the like, `intercept`, `record_call`. In replay, no body runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeVar, overload

from pytest_agenttape import ownership
from pytest_agenttape.boundaries import generators
from pytest_agenttape.boundaries.asking import Spelled
from pytest_agenttape.boundaries.call import Boundary, LiveCall, ServedCall
from pytest_agenttape.boundaries.frameworks import is_tool
from pytest_agenttape.boundaries.kept import keeper_of
from pytest_agenttape.boundaries.registry import register_boundary, register_label
from pytest_agenttape.callables import Nature, body_of, nature_of
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import KINDS, is_nearly, unknown_name
from pytest_agenttape.process import waits

__all__ = ["intercept", "memory_read", "memory_write", "record_call", "retrieval", "tool"]

F = TypeVar("F", bound=Callable[..., Any])


class Decorator(Protocol):
    """A boundary decorator, bare or with a name."""

    @overload
    def __call__(self, fn: F, /) -> F: ...
    @overload
    def __call__(self, /, *, name: str | None = None) -> Callable[[F], F]: ...


def intercept(fn: Callable[..., Any] | None = None, *, name: str | None = None, kind: str = "tool") -> Any:
    """Wrap any callable as a boundary: sync, async, generator, async generator, method.

    Args:
        fn: The callable; without it, a decorator is returned.
        name: Name of the boundary; defaults to that of the callable.
        kind: One of the kinds of a cassette; any other word makes a tool with that label, which is a token as well.

    Raises:
        ConfigError: *kind* looks like a misspelled kind, or *fn* is not callable.
    """
    label = _label(kind)
    name = _checked(name)
    if fn is None:
        return lambda function: intercept(function, name=name, kind=kind)
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(intercept(fn.__func__, name=name, kind=kind))
    if not callable(fn):
        raise ConfigError(f"a boundary must wrap a callable, not {fn!r}")
    return _wrap(fn, Boundary.of(fn, "tool" if label else kind, name, label))


def _checked(name: object) -> str | None:
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigError(f"the name of a boundary must be a non-empty string, not {name!r}")
    return name


def _label(kind: object) -> str | None:
    """Return *kind* if it is a word of the user's own; None if it is a kind of a cassette."""
    if kind in KINDS:
        return None
    if not isinstance(kind, str) or not kind or is_nearly(kind, KINDS):
        raise unknown_name("kind", kind, KINDS)
    register_label(kind)
    return kind


def _decorator(kind: str) -> Decorator:
    def decorate(fn: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
        if isinstance(fn, type):
            raise ConfigError(f"@{kind} decorates a function, not the class {fn.__name__}: decorate its methods")
        if isinstance(fn, property | functools.cached_property):
            raise ConfigError(f"put @{kind} below @{type(fn).__name__}, directly above the function")
        if fn is not None and is_tool(fn):
            raise ConfigError(
                f"put @{kind} below the decorator that makes the {type(fn).__name__}, directly above the function"
            )
        if fn is None:
            _checked(name)
            return lambda function: decorate(function, name=name)
        keeper = keeper_of(fn, is_passed_on=name is not None)
        if keeper is not None:
            raise ConfigError(
                f"put @{kind} directly above the function {fn.__name__}: a decorator below @{kind} keeps the plain "
                f"function in {keeper}, which would run for real in replay"
            )
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
        boundary: Name of the boundary; defaults to *kind*.
        usage: Token counts to keep with the recording.
        tags: Words to keep with the recording.

    Raises:
        ConfigError: *kind* is unknown, or an argument has the wrong type.
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
    for name, given, kinds in (("boundary", boundary, str), ("usage", usage, Mapping), ("tags", tags, Iterable)):
        if not isinstance(given, kinds | None):
            raise ConfigError(f"{name} of record_call cannot be {given!r}")
    register_boundary(boundary or kind)
    drawn = Boundary(
        kind,
        boundary or kind,
        Spelled(dict(request)),
        usage=dict(usage) if usage else None,
        tags=(tags,) if isinstance(tags, str) else tuple(tags or ()),
    )
    return _shell(executor, drawn)()


# -- functions and coroutines


def _wrap(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    wrapper = _shell(fn, boundary)
    if inspect.isroutine(fn):
        return functools.update_wrapper(wrapper, fn)
    functools.update_wrapper(wrapper, fn, assigned=("__module__", "__doc__"), updated=())
    wrapper.__name__ = wrapper.__qualname__ = boundary.name
    wrapper.__annotations__ = dict(getattr(body_of(fn), "__annotations__", {}))
    return wrapper


def _shell(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    """Return a function of the same nature as *fn* that asks the session first."""
    return _SHELLS[nature_of(fn)](fn, boundary)


def _function(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current()
        if found is None:
            return fn(*args, **kwargs)
        call = boundary.begin(found, args, kwargs)
        if isinstance(call, ServedCall):
            return _served(call)
        try:
            with ownership.within(call.inside):
                result = fn(*args, **kwargs)
        except BaseException as error:
            call.fail(error)
            raise
        return _concluded(call, result)

    return call


def _coroutine(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        found = ownership.current()
        if found is None:
            return await fn(*args, **kwargs)
        call = boundary.begin(found, args, kwargs)
        if isinstance(call, ServedCall):
            return await _served_async(call)
        return await _awaited(call, functools.partial(fn, *args, **kwargs))

    return call


async def _awaited(call: LiveCall, start: Callable[[], Any]) -> Any:
    __tracebackhide__ = True
    try:
        with ownership.within(call.inside):
            result = await start()
    except BaseException as error:
        call.fail(error)
        raise
    return _concluded(call, result, awaited=True)


def _concluded(call: LiveCall, result: object, *, awaited: bool = False) -> Any:
    """Record the result of a live body, and return what the agent gets."""
    if inspect.isgenerator(result):
        call.note_nature("generator")
        return generators.logged(call, result)
    if inspect.isasyncgen(result):
        call.note_nature("async_generator")
        return generators.logged_async(call, result)
    if inspect.isawaitable(result) and not awaited:
        call.note_nature("awaitable")
        return _awaited(call, lambda: result)
    response = call.encode(result)
    call.note_changes()
    call.end(response)
    return result


def _served(call: ServedCall) -> Any:
    """Return what a plain function returned when it was recorded."""
    __tracebackhide__ = True
    match call.nature:
        case None:
            return call.answer()
        case "generator":
            return generators.served(call)
        case "async_generator":
            return generators.served_async(call)
        case "awaitable":
            return call.answered()
    return call.answer()


async def _served_async(call: ServedCall) -> Any:
    """Return what a coroutine returned when it was recorded."""
    __tracebackhide__ = True
    await waits.let_others_run()
    if call.nature in ("generator", "async_generator"):
        return _served(call)
    return await call.answered()


_SHELLS: Mapping[Nature, Callable[[Callable[..., Any], Boundary], Callable[..., Any]]] = {
    Nature.PLAIN: _function,
    Nature.COROUTINE: _coroutine,
    Nature.GENERATOR: generators.wrap,
    Nature.ASYNC_GENERATOR: generators.wrap_async,
}
