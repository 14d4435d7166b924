"""Which session a call belongs to, in whatever thread or task it is made.

The sessions open in this process are the one global that changes: a context variable alone is invisible in
threads, executors and loops that others created, and there the real tool would run.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from pytest_agenttape.errors import AgentTapeError


class Owner(Protocol):
    """What a call can belong to: an open session."""

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer belong to it."""

    @property
    def title(self) -> str:
        """How a message names it."""

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Keep *error* as the verdict where verdicts are kept, and return what to raise."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The session that the running code belongs to, and the boundary call whose body it is, if any."""

    owner: Any  # an Owner; the shells above know its full type
    crossing: Any = None  # the session's own record of the running call


_scope: ContextVar[Scope | None] = ContextVar("agenttape_scope", default=None)
_starts_worker: ContextVar[bool] = ContextVar("agenttape_starts_worker", default=False)
_open: list[Scope] = []
_lock = threading.Lock()


def current() -> Scope | None:
    """Return the scope of the running code; None where no session is open.

    Raises:
        AgentTapeError: The session is over, or a thread that inherited none could belong to several.
    """
    scope = _scope.get()
    if scope is not None:
        return scope if not scope.owner.is_closed else _refuse_late(scope.owner)
    if not _open:
        return None
    opened = tuple(_open)
    return opened[0] if len(opened) == 1 else _refuse_ambiguous(opened)


def opened() -> tuple[Any, ...]:
    """Return the open sessions, oldest first."""
    return tuple(scope.owner for scope in _open)


def add(owner: Owner) -> None:
    """Make *owner* one of the open sessions."""
    with _lock:
        if not _open:
            _propagate_to_threads()
        _open.append(Scope(owner))


def remove(owner: Owner) -> None:
    """Take *owner* out of the open sessions."""
    with _lock:
        _open[:] = [scope for scope in _open if scope.owner is not owner]
        if not _open:
            _stop_propagating()


def bind(scope: Scope | None) -> Scope | None:
    """Make *scope* the one of the running context; return the one before, for a later `bind`."""
    before = _scope.get()
    _scope.set(scope)
    return before


def bound() -> Scope | None:
    """Return the scope set in the running context itself."""
    return _scope.get()


@contextmanager
def within(scope: Scope | None) -> Iterator[None]:
    """Run a block in *scope*."""
    before = bind(scope)
    try:
        yield
    finally:
        _scope.set(before)


def _refuse_late(owner: Owner) -> Scope | None:
    raise AgentTapeError(
        f"a call was made for {owner.title} after it was over; nothing real was run. "
        "Wait for threads and tasks before the test or the block ends"
    )


def _refuse_ambiguous(scopes: tuple[Scope, ...]) -> Scope | None:
    titles = " and ".join(scope.owner.title for scope in scopes)
    error = AgentTapeError(
        f"a call in thread {threading.current_thread().name!r} could belong to {titles}; nothing real was run. "
        "Start the thread inside the session's block, or run it in a copy of the block's context"
    )
    for scope in scopes:
        scope.owner.refuse(error)
    raise error


def _inherited() -> Scope | None:
    scope = _scope.get()
    if scope is None and len(_open) == 1:
        scope = _open[0]
    # A thread that a wide fixture starts, such as a server's, goes on when the fixture is set up.
    return scope if scope is None or getattr(scope.owner, "propagates", True) else None


_thread_start = threading.Thread.start
_pool_submit = ThreadPoolExecutor.submit


def _propagate_to_threads() -> None:
    threading.Thread.start = _start_in_scope  # type: ignore[method-assign,assignment]  # undone when the last session closes
    ThreadPoolExecutor.submit = _submit_in_scope  # type: ignore[assignment,method-assign]  # as above


def _stop_propagating() -> None:
    threading.Thread.start = _thread_start  # type: ignore[method-assign]  # see above
    ThreadPoolExecutor.submit = _pool_submit  # type: ignore[method-assign]  # see above


@functools.wraps(_thread_start)
def _start_in_scope(thread: threading.Thread) -> None:
    scope = None if _starts_worker.get() else _inherited()
    if scope is not None:
        thread.run = _in_scope(scope, thread.run)  # type: ignore[method-assign]  # this thread only
    _thread_start(thread)


@functools.wraps(_pool_submit)  # type: ignore[arg-type]  # a generic method
def _submit_in_scope(
    pool: ThreadPoolExecutor, fn: Callable[..., object], /, *args: object, **kwargs: object
) -> Future[object]:
    # A job belongs to who submitted it; the worker thread, which may outlive the session, to nobody.
    token = _starts_worker.set(True)
    try:
        return _pool_submit(pool, _in_scope(_inherited(), fn), *args, **kwargs)
    finally:
        _starts_worker.reset(token)


def _in_scope(scope: Scope | None, function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: object, **kwargs: object) -> object:
        with within(scope):
            return function(*args, **kwargs)

    return run
