"""Tasks of asyncio and trio, and how a replayed call waits in one: to give others a turn, or to be cancelled again.

Private used here: `asyncio._get_running_loop` of CPython 3.11-3.14, which, unlike its public twin, does not raise.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import types
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

Runner: TypeAlias = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]  # runs a coroutine function


async def let_others_run() -> None:
    """Give concurrent tasks the turn that they had while the call ran for real."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if asyncio is not None and is_in_asyncio(asyncio):
        await _one_round()
    elif trio is not None and _is_in_trio(trio):
        await trio.lowlevel.checkpoint()


@types.coroutine
def _one_round() -> Iterator[None]:
    yield  # as `asyncio.sleep(0)` does, which a session replaces


async def until_cancelled(seconds: float, tell: Callable[[Callable[[], object]], object] | None = None) -> None:
    """Wait to be cancelled, for at most *seconds* of real time; or until a thread calls what *tell* is given."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if asyncio is not None and is_in_asyncio(asyncio):
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        timer = loop.call_later(seconds, over.set)  # its clock is never pinned
        if tell is not None:
            tell(lambda: over.set() if running_loop() is loop else _set_soon(loop, over))
        try:
            await over.wait()
        finally:
            timer.cancel()
    elif trio is not None and _is_in_trio(trio):
        with trio.move_on_after(seconds):
            woken, token = trio.Event(), trio.lowlevel.current_trio_token()
            if tell is not None:
                tell(lambda: _run_soon(trio, token, woken.set))
            await woken.wait()


def _set_soon(loop: Any, event: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(event.set)


def _run_soon(trio: Any, token: Any, function: Callable[[], object]) -> None:
    with contextlib.suppress(trio.RunFinishedError):
        token.run_sync_soon(function)


def runner() -> Runner | None:
    """Return what runs a function in a loop of its own, of the kind that runs this code; None if none does."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if trio is not None and _is_in_trio(trio):
        return lambda function: trio.run(function)
    return _run_in_asyncio if asyncio is not None and is_in_asyncio(asyncio) else None


def _run_in_asyncio(function: Callable[[], Coroutine[Any, Any, Any]]) -> object:
    import asyncio  # it may be the first time in this process

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as run:  # which leaves the thread's own loop as it is
        return run.run(function())


def current_task() -> Any:
    """Return the running task, of asyncio or trio; None outside of both."""
    asyncio, trio = sys.modules.get("asyncio"), sys.modules.get("trio")
    if asyncio is not None and is_in_asyncio(asyncio):
        return asyncio.current_task()
    return None if trio is None else _task_of_trio(trio)


def is_over(task: Any) -> bool:
    """Return whether a task, of asyncio or trio, has run to its end."""
    if hasattr(task, "done"):
        return bool(task.done())
    return inspect.getcoroutinestate(task.coro) == inspect.CORO_CLOSED


def running_loop() -> Any:
    """Return the loop of asyncio that runs this code; None if none does."""
    asyncio = sys.modules.get("asyncio")
    return None if asyncio is None else asyncio._get_running_loop()


def is_in_asyncio(asyncio: Any) -> bool:
    """Return whether a loop of *asyncio*, the module, runs this code."""
    return asyncio._get_running_loop() is not None


def _is_in_trio(trio: Any) -> bool:
    return _task_of_trio(trio) is not None


def _task_of_trio(trio: Any) -> Any:
    try:
        return trio.lowlevel.current_task()
    except RuntimeError:  # there is none; only trio 0.29 and later can be asked whether there is
        return None
