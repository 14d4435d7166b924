"""Which session a call belongs to, no matter which thread or task makes it.

The open sessions of this process are the one global that changes. A context variable alone is not visible in
threads, executors and loops created elsewhere, so the real tool would run there.
"""

from __future__ import annotations

import _thread
import functools
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.ownership.origin import lines_of
from pytest_agenttape.ownership.owner import Owner, Rest, Scope
from pytest_agenttape.ownership.servers import serves
from pytest_agenttape.ownership.strands import Job, creating_task, thread_job
from pytest_agenttape.process import child_processes, runs
from pytest_agenttape.process.patching import Patch

_scope: ContextVar[Scope | None] = ContextVar("agenttape_scope", default=None)
_starts_worker: ContextVar[bool] = ContextVar("agenttape_starts_worker", default=False)
_open: list[Scope] = []
_rests: list[Rest] = []  # of the runs of tests in this process; one can run inside another
_lock = threading.Lock()


def current(url: Callable[[], str] = str, method: str = "") -> Scope | None:
    """Return the scope of the running code; None if it belongs to no session, and may go on.

    Args:
        url: Returns the URL of an HTTP request.
        method: Its method. Telemetry is answered by a session that has ended, or by any of several.

    Raises:
        AgentTapeError: The session has ended, a thread that inherited no session could belong to several, or this is
            a child of a process whose calls are replayed.
    """
    scope = _scope.get()
    if scope is not None:
        if not scope.owner.is_closed:
            return scope
        if scope.is_free:
            return None
        if scope.owner.propagates:
            return scope if scope.owner.answers(method, url()) else _refuse_late(scope.owner, url())
    if not _open:
        return _of_no_session(scope, url, method)
    opened = tuple(_open)
    if len(opened) < 2:
        return _only(opened)
    return opened[-1] if opened[-1].owner.answers(method, url()) else _refuse_ambiguous(opened)


def peek() -> Scope | None:
    """Return the scope of the running code; None also if `current` would raise."""
    scope = _scope.get()
    if scope is not None and (not scope.owner.is_closed or scope.owner.propagates):
        return None if scope.owner.is_closed else scope
    return _only(tuple(_open))


def opened() -> tuple[Owner, ...]:
    """Return the open sessions, oldest first."""
    return tuple(scope.owner for scope in _open)


def only_replays() -> bool:
    """Return whether a session is open, and none that is may run a call for real."""
    owners = opened()
    return bool(owners) and not any(owner.can_execute for owner in owners)


def add(owner: Owner) -> None:
    """Make *owner* one of the open sessions."""
    with _lock:
        if not _open:
            _propagate_to_threads()
            hear_children()  # what they did before is not this session's
        _open.append(Scope(owner))
        tell_children()


def remove(owner: Owner) -> None:
    """Remove *owner* from the open sessions."""
    with _lock:
        _open[:] = [scope for scope in _open if scope.owner is not owner]
        if not _open:
            _stop_propagating()
            tell_children()


def enter(owner: Owner) -> None:
    """Make the running context, and whatever it starts from now on, belong to *owner*."""
    _scope.set(Scope(owner, outer=_scope.get()))


def leave(owner: Owner) -> None:
    """Return the running context to what it belonged to before *owner*, if that is still open.

    Sessions may end in a different order than they began, and in a different context than they were entered in.
    """
    scope = _scope.get()
    if scope is None or scope.owner is not owner:
        return
    while scope is not None and (scope.owner is owner or scope.owner.is_closed):
        scope = scope.outer
    _scope.set(scope)


def bind(scope: Scope | None) -> Scope | None:
    """Set the scope of the running context; return the previous one, for a later `bind`."""
    before = _scope.get()
    _scope.set(scope)
    return before


def bound() -> Scope | None:
    """Return the scope set in the running context itself."""
    return _scope.get()


def is_outside() -> bool:
    """Return whether the running code is none of the agent's: a thread that ran before, or what serves requests."""
    scope = _scope.get()
    if scope is None or (scope.owner.is_closed and not scope.owner.propagates):  # as in a thread of a wide fixture
        return threading.current_thread() is not threading.main_thread()
    return scope.is_outside


def leave_if_serving() -> None:
    """Note that the running code is none of the agent's, if a server has called it to answer a request."""
    scope = _scope.get()
    if scope is None or is_outside():
        return
    if serves(sys._getframe(1)):
        bind(replace(scope, is_outside=True))


@contextmanager
def free(ended: Owner) -> Iterator[None]:
    """Return a block whose calls, and those of what it starts, are real, and nobody's, though *ended* had made them."""
    with _lock:
        _propagate_to_threads()
    try:
        with within(Scope(ended, is_free=True)):
            yield
    finally:
        with _lock:
            if not _open:
                _stop_propagating()


def add_rest(rest: Rest) -> None:
    """Let *rest* decide whom code belongs to while no session is open."""
    _rests.append(rest)
    tell_children()


def remove_rest(rest: Rest) -> None:
    """Undo `add_rest`."""
    if rest in _rests:
        _rests.remove(rest)
    tell_children()


def tell_children() -> None:
    """Let child processes know whether their calls are refused: if those of this process belong to anyone."""
    child_processes.announce(bool(_open) or (bool(_rests) and _rests[-1].owner_of(None) is not None))


def hear_children() -> None:
    """Let the run fail by what child processes were refused while no session was open."""
    text = child_processes.reported()
    if text is not None and _rests:
        _rests[-1].refuse(AgentTapeError(text))


class within:  # a generator would assign to the exceptions that pass it, which some do not let anybody do
    """Run a block in a scope."""

    __slots__ = ("_before", "_scope")

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope

    def __enter__(self) -> None:
        self._before = bind(self._scope)

    def __exit__(self, *_: object) -> None:
        _scope.set(self._before)


def aside() -> AbstractContextManager[None]:
    """Return a block in which a library does something of its own, which is neither judged nor recorded."""
    found = peek()
    return nullcontext() if found is None else within(replace(found, is_aside=True))


def _of_no_session(bound: Scope | None, url: Callable[[], str], method: str) -> Scope | None:
    found = _rests[-1].owner_of(bound) if _rests else None
    if found is None and (unguarded := runs.refusal()) is not None:
        raise unguarded
    if found is None and child_processes.is_refused():
        error = child_processes.refusal("a child process of one that records or replays")
        child_processes.report(str(error))
        raise error
    if found is None:
        (_rests[-1] if _rests else runs).let_pass(url, method)
    return found


def _only(scopes: tuple[Scope, ...]) -> Scope | None:
    return scopes[0] if len(scopes) == 1 else None


def _refuse_late(owner: Owner, url: str) -> Scope | None:
    error = AgentTapeError(
        f"a call for {owner.title} was made after it had ended; nothing ran for real. "
        "Wait for threads and tasks before the test or block ends; start a worker shared by several of them "
        "in each one, or before the first" + "".join(f"\n  {line}" for line in lines_of(url))
    )
    raise refused_by_all(error)


def refused_by_all(error: AgentTapeError) -> AgentTapeError:
    """Return *error*, about a call that has no owner: it may be any open session's, or else fails the run."""
    for scope in tuple(_open):
        scope.owner.refuse(error)
    if _rests and not _open:
        _rests[-1].refuse(error)
    return error


def _refuse_ambiguous(scopes: tuple[Scope, ...]) -> Scope | None:
    titles = " and ".join(scope.owner.title for scope in scopes)
    text = f"a call in thread {threading.current_thread().name!r} could belong to {titles}; nothing ran for real. "
    text += "Start the thread inside the session's block, or run it in a copy of the block's context"
    raise refused_by_all(AgentTapeError(text))


def _inherited() -> Scope | None:
    """Return the scope that a thread or job started by the running code belongs to."""
    scope = _scope.get() or _only(tuple(_open))
    return replace(scope, is_outside=True) if scope is not None and is_outside() else scope


def _starting(start: Callable[..., None]) -> Callable[..., None]:
    def start_in_scope(thread: threading.Thread) -> None:
        scope = None if _starts_worker.get() else _inherited()
        is_done = getattr(thread.run, "__name__", "") == _RUN  # this wrapper is there twice if other code wraps it, too
        if scope is not None and not is_done:
            job = thread_job(thread, _owner_that_counts(scope))
            thread.run = _run_once(thread, scope, job)  # type: ignore[method-assign]  # this one only
        start(thread)

    return start_in_scope


def _starting_bare(start: Callable[..., int]) -> Callable[..., int]:
    return lambda function, *args: start(_in_scope(_inherited(), function, Job(None, function)), *args)


def _submitting(submit: Callable[..., Future[object]]) -> Callable[..., Future[object]]:
    def submit_in_scope(
        pool: ThreadPoolExecutor, fn: Callable[..., object], /, *args: object, **kwargs: object
    ) -> Future[object]:
        # A job belongs to whoever submitted it; the worker thread, which may outlive the session, belongs to none.
        scope = _inherited()
        job, token = Job(_owner_that_counts(scope), fn), _starts_worker.set(True)
        try:
            future = submit(pool, _in_scope(scope, fn, job), *args, **kwargs)
        finally:
            _starts_worker.reset(token)
        future.add_done_callback(job.end)
        return future

    return submit_in_scope


def _owner_that_counts(scope: Scope | None) -> Owner | None:
    """Return whose jobs are counted: what the body of a live tool starts is not started when the tool is replayed."""
    return scope.owner if scope is not None and scope.running is None else None


_RUN = "run_in_scope_of_agenttape"
_PATCHES = (
    Patch(threading.Thread, "start", _starting),
    Patch(_thread, "start_new_thread", _starting_bare),  # `threading` has a name of its own for it
    Patch(ThreadPoolExecutor, "submit", _submitting),
)


def _patches() -> tuple[Patch, ...]:
    loops: Any = sys.modules.get("asyncio.base_events")
    return _PATCHES if loops is None else (*_PATCHES, _patch_of(loops.BaseEventLoop))


@functools.cache
def _patch_of(loop: type) -> Patch:
    return Patch(loop, "create_task", lambda create: creating_task(create, lambda: _owner_that_counts(_inherited())))


def _propagate_to_threads() -> None:
    for patch in _patches():
        patch.install()


def _stop_propagating() -> None:
    for patch in _patches():
        patch.uninstall()


def _run_once(thread: threading.Thread, scope: Scope, job: Job | None) -> Callable[[], None]:
    real = thread.run

    def run(*_: object) -> None:  # Sentry passes the thread, as to a method
        thread.__dict__.pop("run", None)  # it refers to the thread and would keep it alive
        with within(_scope.get() or scope), job or nullcontext():  # it may be given a context with a scope of its own
            real()

    run.__name__ = _RUN
    return run


def _in_scope(scope: Scope | None, function: Callable[..., Any], job: Job) -> Callable[..., Any]:
    def run(*args: object, **kwargs: object) -> object:
        with within(scope), job:
            return function(*args, **kwargs)

    return run
