"""What runs beside other code in one process: a task, a job of an executor, or else a thread."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakKeyDictionary, ref

from pytest_agenttape.process import waits
from pytest_agenttape.process.user_stack import is_users

Number: TypeAlias = int | str


class Numbered(NamedTuple):
    """Which of the jobs and tasks of one function one is.

    Attributes:
        number: How many of the same function were submitted before it by the same job or task, for the same owner;
            after the number of that one, if it has one, and a slash. None without an owner.
        function: The name of the function, after that of the job or task that submitted it.
    """

    number: Number | None = None
    function: str = ""

    @property
    def name(self) -> str | None:
        """What no other has, at the same time, of whatever function it is."""
        return None if self.number is None else f"{self.function} {self.number}"


_NEITHER = Numbered()
_submitted: WeakKeyDictionary[object, Counter[tuple[Number | None, str]]] = WeakKeyDictionary()  # for each owner
_tasks: WeakKeyDictionary[object, Numbered] = WeakKeyDictionary()  # the numbers of asyncio's


class _Running(threading.local):
    """The job that runs in each thread. In no context variable: executors run functions in contexts of their own."""

    job: Job | None = None  # found ten times as fast as by `getattr` with a default, and every call asks


_running = _Running()


class Job:
    """A function given to an executor or a thread; a block of it runs it here, which may be in the middle of another.

    Attributes:
        numbered: Which one it is.
        is_over: Whether its result is there.
    """

    __slots__ = ("_before", "is_over", "numbered")

    def __init__(self, owner: object, function: Callable[..., Any]) -> None:
        self.numbered = _NEITHER if owner is None else _next(owner, function)
        self.is_over = False

    def __enter__(self) -> None:
        self._before = current_job()
        _running.job = self

    def __exit__(self, *_: object) -> None:
        _running.job = self._before

    def end(self, _: object = None) -> None:
        """Be told that the result is there."""
        self.is_over = True


class Strand:
    """The task, job or thread that the running code is part of.

    Args:
        is_alone: Whether it stands for one call, made on behalf of code that cannot be told: it equals no other.
    """

    __slots__ = ("_job", "_task", "is_alone", "thread")

    def __init__(self, *, is_alone: bool = False) -> None:
        self.is_alone = is_alone
        task = waits.current_task()
        self._task = None if task is None else ref(task)
        self._job = current_job()
        self.thread = threading.current_thread()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Strand) or self.is_alone or other.is_alone:
            return self is other
        return self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self.thread)

    def is_over(self, *, beside: Strand) -> bool:
        """Return whether it has run to its end: the task for one *beside* it, else what its loop runs in as well."""
        if self.is_alone:
            return False
        if self.shares_loop(beside):
            task = self._task()  # type: ignore[misc]  # there is one
            return task is None or waits.is_over(task)
        return not self.thread.is_alive() or (self._job is not None and self._job.is_over)

    def shares_loop(self, other: Strand) -> bool:
        """Return whether both are tasks in one thread."""
        return self._task is not None and other._task is not None and self.thread is other.thread

    def may_wait_for(self, other: Strand) -> bool:
        """Return whether tasks of this one's loop may wait for the *other*: it takes rounds until they go on."""
        return self._task is not None and other._task is None

    def _parts(self) -> tuple[Any, ...]:
        if self._task is not None:
            return (self._task,)
        return (self.thread, self._job)


def thread_job(thread: threading.Thread, owner: object) -> Job | None:
    """Return the job that *thread* is, if it runs a function of the user's: a library's thread may serve several."""
    function: Any = getattr(thread, "_target", None)  # private to `threading`; the same name in 3.11 to 3.14
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function) if callable(function) else None, "__code__", None)  # of a tool: its body
    return Job(owner, function) if code is not None and is_users(code.co_filename) else None


def current_job() -> Job | None:
    """Return the job that the running code is part of, if any."""
    return _running.job


def running() -> Numbered:
    """Return which task or job the running code is part of, if of any."""
    job = _running.job
    numbered = _NEITHER if job is None else job.numbered
    task = waits.current_task() if _tasks else None
    return numbered if task is None else _tasks.get(task, numbered)


def creating_task(create: Callable[..., Any], owner_of_next: Callable[[], object]) -> Callable[..., Any]:
    """Return what wraps *create*, the method of a loop, and numbers its tasks as jobs are numbered."""

    def create_task(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
        owner = owner_of_next()
        if owner is None:
            return create(loop, coroutine, **kwargs)
        is_part = waits.current_task() is not None  # else it is what `asyncio.run` runs, and the only one there
        numbered = _next(owner, coroutine) if is_part else running()
        task = create(loop, coroutine, **kwargs)
        if numbered.number is not None:
            with suppress(TypeError):  # a loop's own kind of task, which nothing can refer to weakly
                _tasks[task] = numbered
        return task

    return create_task


def _next(owner: object, function: Any) -> Numbered:  # a function, or a coroutine
    while isinstance(function, functools.partial):
        is_in_context = getattr(function.func, "__qualname__", "") == "Context.run" and function.args
        function = function.args[0] if is_in_context else function.func
    within, name = running(), getattr(function, "__qualname__", "")
    counts = _submitted.setdefault(owner, Counter())
    before = counts[within.number, name]
    counts[within.number, name] += 1
    return Numbered(
        before if within.number is None else f"{within.number}/{before}", f"{within.function}/{name}".lstrip("/")
    )
