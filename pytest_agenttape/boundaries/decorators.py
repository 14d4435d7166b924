"""Boundaries drawn in user code: ``@tool`` and the like, `intercept`, `record_call`. In replay, no body runs.

Production code imports this module. So it loads next to nothing, and what a boundary does (`shells`) is loaded when a
session, a test, or a parent process that has one may own a call.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator, Iterable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from pytest_agenttape.boundaries.frameworks import is_tool
from pytest_agenttape.boundaries.kept import keeper_of
from pytest_agenttape.boundaries.registry import defer, register_label
from pytest_agenttape.callables import Nature, body_of, is_routine, name_of, nature_of
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.process import family

if TYPE_CHECKING:
    from pytest_agenttape.model import Kind

__all__ = ["intercept", "memory_read", "memory_write", "record_call", "retrieval", "tool"]

_MARKED = ("tool", "retrieval", "memory_read", "memory_write")
_SESSIONS = "pytest_agenttape.ownership.scopes"  # loaded where sessions can be open

F = TypeVar("F", bound=Callable[..., Any])
Result = TypeVar("Result")


class Decorator(Protocol):
    """A boundary decorator, bare or with a name."""

    @overload
    def __call__(self, fn: F, /) -> F: ...
    @overload
    def __call__(self, /, *, name: str | None = None) -> Callable[[F], F]: ...


@overload
def intercept(fn: F, *, name: str | None = None, kind: str = "tool") -> F: ...
@overload
def intercept(fn: None = None, *, name: str | None = None, kind: str = "tool") -> Callable[[F], F]: ...
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
    return _wrap(fn, _Drawn(fn, "tool" if label else kind, name or name_of(fn), label))


def _checked(name: object) -> str | None:
    if name is not None and (not isinstance(name, str) or not name):
        raise ConfigError(f"the name of a boundary must be a non-empty string, not {name!r}")
    return name


def _label(kind: object) -> str | None:
    """Return *kind* if it is a word of the user's own; None if it is a kind of a cassette."""
    if kind in _MARKED:
        return None
    from pytest_agenttape.model import KINDS, is_nearly, unknown_name  # not needed by the decorators

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
    kind: Kind,
    request: Mapping[str, Any],
    executor: Callable[[], Result],
    *,
    boundary: str | None = None,
    usage: Mapping[str, int] | None = None,
    tags: Iterable[str] | None = None,
) -> Result:
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
    if not _may_be_owned():
        return executor()
    from pytest_agenttape.boundaries.shells import recorded_call

    result: Result = recorded_call(kind, request, executor, boundary, usage, tags)
    return result


# -- until a session may own a call


class _Drawn:
    """A function that is a boundary.

    Attributes:
        name: Of the boundary.
        shell: The function that asks the session first; None until one may be open.
    """

    __slots__ = ("_function", "_kind", "_label", "name", "shell")

    def __init__(self, function: Callable[..., Any], kind: str, name: str, label: str | None) -> None:
        self._function = function
        self._kind = kind
        self._label = label
        self.name = name
        self.shell: Callable[..., Any] | None = None
        defer(self.settle)

    def settle(self) -> Callable[..., Any]:
        """Return the shell; from now on the boundary is known by its name."""
        if self.shell is None:
            from pytest_agenttape.boundaries import shells  # what production code must not load

            self.shell = shells.shell(self._function, self._kind, self.name, self._label)
        return self.shell

    def target(self) -> Callable[..., Any]:
        """Return what a call is passed to."""
        return self.settle() if _may_be_owned() else self._function


def _may_be_owned() -> bool:
    """Return whether there may be a session, a test, or a parent process with one, that a call belongs to."""
    return _SESSIONS in sys.modules or "pytest" in sys.modules or family.may_have_ancestors()


def _wrap(fn: Callable[..., Any], drawn: _Drawn) -> Callable[..., Any]:
    nature = nature_of(fn)
    wrapper = drawn.settle() if nature is Nature.ASYNC_GENERATOR else _WRAPPERS[nature](drawn)
    if is_routine(fn):
        functools.update_wrapper(wrapper, fn)
        if _may_be_owned():
            _guard(wrapper, fn)
        else:
            defer(lambda: _guard(wrapper, fn))
        return wrapper
    functools.update_wrapper(wrapper, fn, assigned=("__module__", "__doc__"), updated=())
    wrapper.__name__ = wrapper.__qualname__ = drawn.name
    wrapper.__annotations__ = dict(getattr(body_of(fn), "__annotations__", {}))
    return wrapper


def _guard(wrapper: Callable[..., Any], fn: Callable[..., Any]) -> None:
    """Let who calls what is below the decorator come to the boundary all the same."""
    if isinstance(fn, FunctionType):
        from pytest_agenttape.boundaries.gates import gate  # imports inspect

        wrapper.__wrapped__ = gate(fn, wrapper)  # type: ignore[attr-defined]  # update_wrapper has set it


def _function(drawn: _Drawn) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return (drawn.shell or drawn.target())(*args, **kwargs)

    return call


def _coroutine(drawn: _Drawn) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        return await (drawn.shell or drawn.target())(*args, **kwargs)

    return call


def _generator(drawn: _Drawn) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        return (yield from (drawn.shell or drawn.target())(*args, **kwargs))

    return call


_WRAPPERS = {Nature.PLAIN: _function, Nature.COROUTINE: _coroutine, Nature.GENERATOR: _generator}
