"""Sleeping, and waiting, advances a pinned clock by its time, no matter which module holds the function.

`time.ctime` and `time.asctime` are replaced in the same way: time-machine leaves them at the true time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pytest_agenttape.process.freeze import layers, waiting
from pytest_agenttape.process.freeze.sites import Function, Sites

_real_sleep, _real_ctime, _real_asctime = time.sleep, time.ctime, time.asctime


def _sleep(seconds: float, /) -> None:
    """Sleep as time.sleep does, and advance a pinned clock by the time slept."""
    layer = layers.pinned()
    if layer is None:
        return _real_sleep(seconds)
    start = layer.begin_wait()
    _real_sleep(seconds)
    layer.advance(start, seconds)
    return None


def _ctime(seconds: float | None = None, /) -> str:
    return _real_ctime(time.time() if seconds is None else seconds)


def _asctime(*moment: Any) -> str:  # the real one tells None from no argument
    return _real_asctime(*(moment or (time.localtime(),)))


def _moving(sleep: Callable[..., Any]) -> Callable[..., Any]:  # asyncio.sleep returns what its caller wants
    """Return an async *sleep* that also advances a pinned clock; sleeping for zero only yields."""

    async def moving_sleep(delay: float, *args: Any, **kwargs: Any) -> Any:
        layer = layers.pinned()
        start = layer.begin_wait() if layer is not None and delay else 0
        answer = await sleep(delay, *args, **kwargs)
        if layer is not None and delay > 0:
            layer.advance(start, delay)
        return answer

    moving_sleep.__name__ = moving_sleep.__qualname__ = "sleep"
    moving_sleep.__doc__ = sleep.__doc__
    return moving_sleep


def _learn_sleep(module: Any) -> dict[Function, Function]:
    sleep = getattr(module, "sleep", None)
    return {} if sleep is None else {sleep: _moving(sleep)}


def _learn_tasks(tasks: Any) -> dict[Function, Function]:
    found = _learn_sleep(tasks)
    return found and {**found, **waiting.learn_tasks(tasks)}


# anyio.sleep calls asyncio's or trio's, so these are enough
SITES = Sites(
    globals(),
    {
        "time": lambda _: {_real_sleep: _sleep, _real_ctime: _ctime, _real_asctime: _asctime},
        "asyncio.tasks": _learn_tasks,
        "asyncio.timeouts": waiting.learn_timeouts,
        "trio": _learn_sleep,
    },
)


def sync(wanted: bool) -> None:
    """Let sleeping and waiting advance the clock, or no longer."""
    SITES.sync(wanted)
    waiting.sync(wanted)
