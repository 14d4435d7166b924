"""Sleeping advances a pinned clock by the time slept, no matter which module holds the sleep function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_agenttape.process.freeze import layers

_real_sleep = time.sleep


def _sleep(seconds: float, /) -> None:
    """Sleep as time.sleep does, and advance a pinned clock by the time slept."""
    layer = layers.pinned()
    if layer is None:
        return _real_sleep(seconds)
    start = layer.now
    _real_sleep(seconds)
    layer.advance(start, seconds)
    return None


def _moving(sleep: Callable[..., Any]) -> Callable[..., Any]:  # asyncio.sleep returns what its caller wants
    """Return an async *sleep* that also advances a pinned clock; sleeping for zero only yields."""

    async def moving_sleep(delay: float, *args: Any, **kwargs: Any) -> Any:
        layer = layers.pinned()
        start = layer.now if layer is not None else 0
        answer = await sleep(delay, *args, **kwargs)
        if layer is not None and delay > 0:
            layer.advance(start, delay)
        return answer

    moving_sleep.__name__ = moving_sleep.__qualname__ = "sleep"
    moving_sleep.__doc__ = sleep.__doc__
    return moving_sleep


class _Sleeps:
    """The places that hold a sleep function, including `from time import sleep`, swapped while a clock is pinned.

    anyio.sleep calls asyncio's or trio's, so these are enough. A module that is imported in the meantime keeps our
    function, which is a plain sleep when no clock is pinned.
    """

    def __init__(self) -> None:
        self.modules = 0
        self._seen: set[str] = set()
        self._learned: set[str] = set()
        self._moving: dict[int, Callable[..., Any]] = {id(_real_sleep): _sleep}
        self._sites: list[tuple[dict[str, Any], str, Callable[..., Any], Callable[..., Any]]] = []
        self._installed = False

    def sync(self, wanted: bool) -> None:
        """Swap our functions in if they are *wanted*, and out if they are not."""
        if wanted and len(sys.modules) != self.modules:
            self._look()
        if wanted == self._installed:
            return
        self._installed = wanted
        for names, name, original, moving in self._sites:
            if names.get(name) is (original if wanted else moving):
                names[name] = moving if wanted else original

    def adopt_new_modules(self) -> None:
        """Swap the functions in modules that were imported while a clock was pinned."""
        if not layers.LOCK.acquire(blocking=False):
            return  # its holder is doing the same, or will get here at the next read
        try:
            if self._installed:
                self._installed = False
                self.sync(True)
        finally:
            layers.LOCK.release()

    def _look(self) -> None:
        self.modules = len(sys.modules)
        new = sys.modules.keys() - self._seen
        self._seen |= new
        if self._learn("asyncio.tasks") | self._learn("trio"):
            new = set(sys.modules)
        known = self._moving.keys()
        for module in [sys.modules.get(name) for name in new]:
            names = getattr(module, "__dict__", None)
            if type(names) is not dict or names is globals():
                continue
            if known.isdisjoint(map(id, tuple(names.values()))):
                continue
            for name, value in tuple(names.items()):
                if id(value) in known:
                    self._sites.append((names, name, value, self._moving[id(value)]))

    def _learn(self, module: str) -> bool:
        """Learn the sleep function of *module* once it is imported; return whether it is new."""
        if module in self._learned or module not in sys.modules:
            return False
        sleep = getattr(sys.modules[module], "sleep", None)
        if sleep is None:  # it is being imported right now
            return False
        self._learned.add(module)
        self._moving[id(sleep)] = _moving(sleep)
        return True


SITES = _Sleeps()
