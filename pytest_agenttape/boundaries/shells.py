"""What a boundary does when a session may own its calls: a function of each nature that asks the session first."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytest_agenttape import ownership
from pytest_agenttape.boundaries import generators
from pytest_agenttape.boundaries.asking import Spelled
from pytest_agenttape.boundaries.call import Boundary, LiveCall, ServedCall
from pytest_agenttape.boundaries.registry import register_boundary
from pytest_agenttape.callables import Nature, nature_of
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import KINDS, unknown_name
from pytest_agenttape.process import waits


def shell(fn: Callable[..., Any], kind: str, name: str, label: str | None) -> Callable[..., Any]:
    """Return a function of the same nature as *fn* that asks the session first; the boundary is known from now on."""
    return _shell(fn, Boundary.of(fn, kind, name, label))


def recorded_call(
    kind: str,
    request: Mapping[str, Any],
    executor: Callable[[], Any],
    boundary: str | None,
    usage: Mapping[str, int] | None,
    tags: Iterable[str] | None,
) -> Any:
    """Send one call through the active session.

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
    words = (tags,) if isinstance(tags, str) else tuple(tags or ())
    if not all(isinstance(each, str) for each in words):
        raise ConfigError(f"tags of record_call cannot be {tags!r}: each must be a text")
    register_boundary(boundary or kind)
    drawn = Boundary(
        kind,
        boundary or kind,
        Spelled(dict(request), executor),
        usage=dict(usage) if usage else None,
        tags=words,
    )
    return _shell(executor, drawn)()


# -- functions and coroutines


def _shell(fn: Callable[..., Any], boundary: Boundary) -> Callable[..., Any]:
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
    if "returns" not in call.recorded.metadata:
        call.refuse_stream()
        return call.answer()
    match call.nature:
        case "generator":
            return generators.served(call)
        case "async_generator":
            return generators.served_async(call)
    return call.answered() if call.nature == "awaitable" else call.answer()


async def _served_async(call: ServedCall) -> Any:
    """Return what a coroutine returned when it was recorded."""
    __tracebackhide__ = True
    await waits.let_others_run()
    if call.nature in ("generator", "async_generator"):
        return _served(call)
    call.refuse_stream()
    return await call.answered()


_SHELLS: Mapping[Nature, Callable[[Callable[..., Any], Boundary], Callable[..., Any]]] = {
    Nature.PLAIN: _function,
    Nature.COROUTINE: _coroutine,
    Nature.GENERATOR: generators.wrap,
    Nature.ASYNC_GENERATOR: generators.wrap_async,
}
