"""Sleeping moves a pinned clock by the time slept, wherever the function that sleeps is held."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from pytest_agenttape.process.freeze import layers

_real_sleep = time.sleep


def _sleep(seconds: float, /) -> None:
    """Sleep as time.sleep does, and move a pinned clock by the time slept."""
    layer = layers.pinned()
    if layer is None:
        return _real_sleep(seconds)
    start = layer.now
    _real_sleep(seconds)
    layer.advance(start, seconds)
    return None


def _moving(sleep: Callable[..., Any]) -> Callable[..., Any]:  # the answer of asyncio.sleep is the caller's
    """Return an async *sleep* that also moves a pinned clock; one of zero only yields, and moves nothing."""

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
    """The places that hold a sleep function, also under `from time import sleep`, swapped while a clock is pinned.

    anyio.sleep calls asyncio's or trio's, so these are enough. A module that is imported meanwhile keeps our function,
    which is a plain sleep when no clock is pinned.
    """

    def __init__(self) -> None:
        self.modules = 0
        self._seen: set[str] = set()
        self._learned: set[str] = set()
        self._moving: dict[int, Callable[..., Any]] = {id(_real_sleep): _sleep}
        self._sites: list[tuple[dict[str, Any], str, Callable[..., Any], Callable[..., Any]]] = []
        self._installed = False

    def sync(self, wanted: bool) -> None:
        """Swap the functions in when they are *wanted*, and out when they are not."""
        if wanted and len(sys.modules) != self.modules:
            self._look()
        if wanted == self._installed:
            return
        self._installed = wanted
        for names, name, original, moving in self._sites:
            if names.get(name) is (original if wanted else moving):
                names[name] = moving if wanted else original

    def adopt_new_modules(self) -> None:
        """Swap the functions in modules that were imported while a clock is pinned."""
        if not layers.LOCK.acquire(blocking=False):
            return  # the one who holds it is doing just this, or will be back here at the next read
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
        """Learn the sleep function of *module* once it is imported; tell whether it is a new one."""
        if module in self._learned or module not in sys.modules:
            return False
        sleep = getattr(sys.modules[module], "sleep", None)
        if sleep is None:  # it is being imported right now
            return False
        self._learned.add(module)
        self._moving[id(sleep)] = _moving(sleep)
        return True


SITES = _Sleeps()
