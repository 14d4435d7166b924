"""Waiting with a timeout that passes advances a pinned clock by the timeout, as sleeping does.

It is what the user's code waits for, itself or through a library, that counts: the threads that libraries start for
themselves wake up when they please. An inner wait is part of the outer one, which knows the timeout exactly.
"""

from __future__ import annotations

import concurrent.futures
import functools
import queue
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from pytest_agenttape import clocks
from pytest_agenttape.process import user_stack
from pytest_agenttape.process.freeze import layers
from pytest_agenttape.process.freeze.layers import Layer
from pytest_agenttape.process.freeze.sites import Function
from pytest_agenttape.process.patching import Patch

_EARLY = 0.001  # seconds by which a wait may end before its timeout has passed to the full
_OURS = __name__.partition(".")[0]

# Module globals that change, because what waits is the process's.
_passed = 0  # how many timeouts have passed so far
_log: deque[tuple[int, object]] = deque(maxlen=256)  # the last of them: its number, and what was waited for
_active: list[object] = []  # what is waited for now
_is_elsewhere: Callable[[], bool] = bool  # whether the running code is none that a replay runs


def passed() -> int:
    """Return how many timeouts of the agent's have passed since this process began."""
    return _passed


def given_up_since(number: int) -> int:
    """Return how many have passed after the first *number*, up to the last after which nobody waited on for the same.

    A loop that waits for one thing in short rounds gives up nothing.
    """
    active = tuple(map(id, _active))
    return max(
        (at - number for at, waited_for in tuple(_log) if at > number and id(waited_for) not in active), default=0
    )


def leave_out(is_elsewhere: Callable[[], bool]) -> None:
    """Do not count what code waits for of which *is_elsewhere* says that no replay runs it."""
    global _is_elsewhere
    _is_elsewhere = is_elsewhere


def sync(wanted: bool) -> None:
    """Let the waits of the standard library's classes move the clock, or no longer."""
    for patch in _PATCHES:
        if wanted:
            patch.install()
        else:
            patch.uninstall()


class _Here(threading.local):
    is_waiting = False


_here = _Here()


class _Wait:
    """A wait for something, of at most *timeout* seconds; *began* is no later than what limits it."""

    __slots__ = ("_began", "_counts", "_for", "_layer", "_start", "_timeout")

    def __init__(self, waited_for: object, timeout: float, began: float) -> None:
        self._for = waited_for
        self._timeout = timeout
        self._layer: Layer | None = layers.pinned() if _is_users() else None
        self._start = self._layer.begin_wait() if self._layer is not None else 0
        self._counts = self._layer is not None and not _is_elsewhere()
        self._began = began
        if self._counts:
            _active.append(waited_for)

    def end(self, *, in_vain: bool) -> None:
        """Advance the clock if the wait was *in_vain* and its timeout has passed."""
        global _passed
        if self._counts:
            _active.remove(self._for)
        if self._layer is None or not in_vain or clocks.monotonic() - self._began < self._timeout - _EARLY:
            return
        self._layer.advance(self._start, self._timeout)
        if self._counts:
            _passed += 1
            _log.append((_passed, self._for))


def _is_users() -> bool:
    """Return whether code of the user's waits, itself or through a library; not we, nor a wait that counts already."""
    frame: FrameType | None = sys._getframe(1)
    is_below = False
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module == __name__:
            if is_below:
                return False
        elif module.partition(".")[0] == _OURS:
            return False
        elif user_stack.is_users(frame.f_code.co_filename):
            return True
        elif module == "asyncio.events" and frame.f_code.co_name == "_run":  # what runs the loop does not wait
            return False
        else:
            is_below = True
        frame = frame.f_back
    return False


def _moving(position: int) -> Callable[[Function], Function]:
    """Return what wraps a method that waits; *position* is that of its timeout after self."""

    def wrap(real: Function) -> Function:
        def wait(owner: Any, *args: Any, **kwargs: Any) -> Any:
            timeout = args[position] if len(args) > position else kwargs.get("timeout")
            if _here.is_waiting or not timeout or timeout < 0:
                return real(owner, *args, **kwargs)
            waited, result = _Wait(owner, timeout, clocks.monotonic()), True
            _here.is_waiting = True
            try:
                result = real(owner, *args, **kwargs)
            except (TimeoutError, queue.Empty, queue.Full):
                result = False
                raise
            finally:
                _here.is_waiting = False
                waited.end(in_vain=result is False or result is None)  # the latter if a thread is joined
            return result

        return wait

    return wrap


_PATCHES = (
    Patch(threading.Event, "wait", _moving(0)),
    Patch(threading.Condition, "wait", _moving(0)),
    Patch(threading.Condition, "wait_for", _moving(1)),
    Patch(threading.Semaphore, "acquire", _moving(1)),
    Patch(threading.Thread, "join", _moving(0)),
    Patch(queue.Queue, "get", _moving(1)),
    Patch(queue.Queue, "put", _moving(2)),
    Patch(concurrent.futures.Future, "result", _moving(0)),
    Patch(concurrent.futures.Future, "exception", _moving(0)),
)


# -- asyncio


def learn_tasks(tasks: Any) -> dict[Function, Function]:
    """Return the functions of `asyncio.tasks` that wait, and ours for them."""
    return {tasks.wait_for: _moving_wait_for(tasks.wait_for), tasks.wait: _moving_wait_of_tasks(tasks.wait)}


def learn_timeouts(timeouts: Any) -> dict[Function, Function]:
    """Return the function of `asyncio.timeouts` that limits a block, and ours for it."""
    real = timeouts.timeout

    class Timeout(timeouts.Timeout):  # type: ignore[misc]  # asyncio is imported when it is used
        """A block with a limit of so many seconds."""

        waited: _Wait | None = None

        async def __aexit__(self, *raised: Any) -> Any:
            try:
                return await super().__aexit__(*raised)
            finally:
                if self.waited is not None:
                    self.waited.end(in_vain=self.expired())

    @functools.wraps(real)
    def timeout(delay: float | None) -> Any:
        began = clocks.monotonic()
        limited = Timeout(real(delay).when())
        limited.waited = _waited(limited, delay, began)
        return limited

    return {real: timeout}


def _moving_wait_for(real: Callable[..., Awaitable[Any]]) -> Function:
    @functools.wraps(real)
    async def wait_for(fut: Any, timeout: float | None) -> Any:
        waited, in_vain = _waited(fut, timeout), False
        try:
            return await real(fut, timeout)
        except TimeoutError:
            in_vain = True
            raise
        finally:
            if waited is not None:
                waited.end(in_vain=in_vain)

    return wait_for


def _moving_wait_of_tasks(real: Callable[..., Awaitable[Any]]) -> Function:
    @functools.wraps(real)
    async def wait(fs: Any, *, timeout: float | None = None, **kwargs: Any) -> Any:
        fs = set(fs)  # it may be an iterator
        waited, in_vain = _waited(fs, timeout), False
        try:
            done, pending = await real(fs, timeout=timeout, **kwargs)
            in_vain = bool(pending)
            return done, pending
        finally:
            if waited is not None:
                waited.end(in_vain=in_vain)

    return wait


def _waited(waited_for: object, timeout: float | None, began: float | None = None) -> _Wait | None:
    if not timeout or timeout < 0:
        return None
    return _Wait(waited_for, timeout, clocks.monotonic() if began is None else began)
