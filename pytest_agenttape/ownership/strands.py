"""What runs beside other code in one process: a task, a job of an executor, or else a thread."""

from __future__ import annotations

import functools
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary, ref

from pytest_agenttape.process import waits

_running = threading.local()  # not a context variable: executors are given functions that run in a context of their own
_submitted: WeakKeyDictionary[object, Counter[str]] = WeakKeyDictionary()  # jobs by their functions, for each owner


class Job:
    """A function given to an executor or a thread; a block of it runs it here, which may be in the middle of another.

    Attributes:
        number: How many jobs of the same function were submitted before it for the same owner; None without an owner.
        is_over: Whether its result is there.
    """

    __slots__ = ("_before", "is_over", "number")

    def __init__(self, owner: object, function: Callable[..., Any]) -> None:
        self.number = None if owner is None else _next_number(owner, function)
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

    def _parts(self) -> tuple[Any, ...]:
        if self._task is not None:
            return (self._task,)
        return (self.thread, self._job)


def current_job() -> Job | None:
    """Return the job that the running code is part of, if any."""
    return getattr(_running, "job", None)


def job_number() -> int | None:
    """Return the number of the job that the running code is part of, if any."""
    job: Job | None = getattr(_running, "job", None)  # asked at every call
    return None if job is None else job.number


def _next_number(owner: object, function: Callable[..., Any]) -> int:
    while isinstance(function, functools.partial):
        is_in_context = getattr(function.func, "__qualname__", "") == "Context.run" and function.args
        function = function.args[0] if is_in_context else function.func
    name = getattr(function, "__qualname__", "")
    counts = _submitted.setdefault(owner, Counter())
    counts[name] += 1
    return counts[name] - 1
