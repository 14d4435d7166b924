"""A block as a decorator: each call of the function runs in its own block, for as long as the function runs."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from pytest_agenttape.callables import Nature, nature_of
from pytest_agenttape.errors import ConfigError

Block: TypeAlias = Callable[[], AbstractContextManager[object]]


def decorated(function: Any, block: Block) -> Any:
    """Return *function*, sync, async or a generator, with each of its calls inside a *block*.

    Raises:
        ConfigError: *function* is a class, or cannot be called.
    """
    if isinstance(function, staticmethod | classmethod):
        return type(function)(decorated(function.__func__, block))
    if isinstance(function, type) or not callable(function):
        raise ConfigError(f"a cassette can only decorate a function or a method, not {function!r}")
    wrapper = _WRAPPERS[nature_of(function)](function, block)
    return functools.update_wrapper(wrapper, function, updated=("__dict__",) if inspect.isroutine(function) else ())


def _plain(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with block():
            return _finished(function, function(*args, **kwargs))

    return run


def _coroutine(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        with block():
            return await function(*args, **kwargs)

    return run


def _generator(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        __tracebackhide__ = True
        with block():
            return (yield from function(*args, **kwargs))

    return run


def _async_generator(function: Callable[..., Any], block: Block) -> Callable[..., Any]:
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        __tracebackhide__ = True
        with block():
            async with contextlib.aclosing(function(*args, **kwargs)) as items:
                async for item in items:
                    yield item

    return run


_WRAPPERS: Mapping[Nature, Callable[[Callable[..., Any], Block], Callable[..., Any]]] = {
    Nature.PLAIN: _plain,
    Nature.COROUTINE: _coroutine,
    Nature.GENERATOR: _generator,
    Nature.ASYNC_GENERATOR: _async_generator,
}


def _finished(function: Callable[..., Any], result: Any) -> Any:
    """Return *result*, unless it is code that would run after the block has ended.

    Raises:
        ConfigError: *result* is such code.
    """
    if not _runs_later(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise ConfigError(
        f"{getattr(function, '__name__', function)!s} returned a {type(result).__name__}, which would run after the "
        "cassette is closed; decorate the async or generator function itself"
    )


def _runs_later(result: object) -> bool:
    if isinstance(result, contextlib.AbstractContextManager | contextlib.AbstractAsyncContextManager):
        result = getattr(result, "gen", result)  # what @contextmanager makes of a generator function
    return (
        inspect.isawaitable(result)
        or inspect.isgenerator(result)
        or inspect.isasyncgen(result)
        or isinstance(result, map | filter)
    )
