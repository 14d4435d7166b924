"""The pinned clock: time-machine, read through the session of the caller; and the true time as well.

Third-party privates used here: time-machine 3.0-3.6 `traveller_stack`, and `time_ns` of the Traveller on top of it,
which is where the time is read. (2.x also stops the monotonic clock, on which event loops hang.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pytest_agenttape import clocks
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.libraries import Library
from pytest_agenttape.process.freeze import sleeps
from pytest_agenttape.process.freeze.layers import Layer
from pytest_agenttape.process.freeze.state import EPOCH, SECOND

_is_unpinned: ContextVar[bool] = ContextVar("agenttape_unpinned", default=False)
_TIME_MACHINE = Library("time-machine", seen="3.0-3.6")


def start(layer: Layer) -> None:
    """Pin the clock if *layer* asks for it."""
    if not layer.plan.clock:
        return
    import time_machine

    _TIME_MACHINE.require(time_machine, "traveller_stack")
    travel = time_machine.travel(layer.plan.start // SECOND, tick=False)
    try:
        traveller: Any = travel.start()
    except RuntimeError as error:  # freezegun is active
        raise ConfigError(
            f"the clock cannot be frozen here: {error} Keep the real clock: freeze=('uuid', 'random')"
        ) from error
    layer.traveller = (travel, traveller)
    _TIME_MACHINE.require(traveller, "time_ns")
    traveller.time_ns = partial(_read, layer)


def _read(layer: Layer) -> int:
    """Return the pinned time for the caller, in nanoseconds."""
    if len(sys.modules) != sleeps.SITES.modules:
        sleeps.SITES.adopt_new_modules()
    return real_time_ns() if _is_unpinned.get() else layer.read()


@contextmanager
def unpinned() -> Iterator[None]:
    """Return a block in which the clock is real: for what a live call says of the time to somebody who compares it."""
    before = _is_unpinned.set(True)
    try:
        yield
    finally:
        _is_unpinned.reset(before)


def stop(layer: Layer) -> None:
    """Release the clock that *layer* has pinned."""
    if layer.traveller is None:
        return
    travel, traveller = layer.traveller
    layer.traveller = None
    stack = travellers()
    if stack and stack[-1] is traveller:
        travel.stop()
    elif traveller in stack:  # below a session that outlives this one, or the user's own time travel
        stack.remove(traveller)


def _time_machine() -> Any:  # None or incomplete until this or another thread has imported it
    return sys.modules.get("time_machine")


def travellers() -> list[Any]:  # time_machine's own Traveller, ours and the user's
    found: list[Any] = getattr(_time_machine(), "traveller_stack", [])
    return found


def real_time_ns() -> int:
    """Return the true Unix time in nanoseconds, even while the clock is pinned."""
    hatch = getattr(_time_machine(), "escape_hatch", None)
    if hatch is not None and hatch.is_travelling():
        return int(hatch.time.time_ns())
    return clocks.time_ns()


def real_utcnow() -> datetime:
    """Return the true time as an aware datetime in UTC, even while the clock is pinned."""
    return EPOCH + timedelta(microseconds=real_time_ns() // 1_000)
