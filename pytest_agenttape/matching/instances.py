"""Which instance of a class is which in the recording: by the order of first calls, in each job, thread and task.

Threads race for the first call, so the instances of a job are those that the same job had when it was recorded. Where
nothing was recorded of such a job, the arguments say whose call it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import TypeAlias

from pytest_agenttape.decoded import optional
from pytest_agenttape.matching.tape import Tape
from pytest_agenttape.model import Call, Interaction

_Job: TypeAlias = int | str | None
_Numbers: TypeAlias = dict[int, None]  # in order


@dataclass(slots=True)
class _Class:
    """The instances of one class that have made a call."""

    known: dict[int, tuple[int, object]] = field(default_factory=dict)  # by `id`: the number; alive, or ids are reused
    taken: set[int] = field(default_factory=set)
    least: int = 0  # all numbers below are taken

    def free(self, numbers: Iterable[int]) -> Iterator[int]:
        return (each for each in numbers if each not in self.taken)

    def next_free(self) -> int:
        while self.least in self.taken:
            self.least += 1
        return self.least

    def add(self, instance: object, number: int) -> int:
        self.known[id(instance)] = number, instance
        self.taken.add(number)
        return number


@dataclass(slots=True)
class _Method:
    """The numbers that a method was recorded with, by the jobs that called it."""

    numbers: defaultdict[_Job, _Numbers] = field(default_factory=lambda: defaultdict(dict))
    jobs: defaultdict[int, set[_Job]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, recordings: Iterable[Interaction]) -> _Method:
        made = cls()
        for each in recordings:
            made.numbers[each.job][number_of(each)] = None
            made.jobs[number_of(each)].add(each.job)
        return made

    def is_of_others(self, number: int, job: _Job) -> bool:
        return number in self.jobs and job not in self.jobs[number]


class Instances:
    """The instances that make the calls of one run, by the numbers of those in *tape*. Not thread-safe by itself."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._classes: defaultdict[type, _Class] = defaultdict(_Class)
        self._methods: dict[tuple[str | None, str | None], _Method] = {}

    def numbered(self, call: Call, instance: object) -> Call:
        """Return *call* with the number of *instance* among those of its class; the first one needs none."""
        known = self._classes[type(instance)]
        if id(instance) in known.known:
            number, _ = known.known[id(instance)]
        else:
            number = known.add(instance, self._number_for(call, known))
        return call._replace(request={**call.request, "instance": number}) if number else call

    def _number_for(self, call: Call, known: _Class) -> int:
        """Return the number of an instance whose first call is *call*."""
        least = known.next_free()
        if not self._has_several:
            return least
        method = self._method_of(call)
        job = call.work if call.work in method.numbers and call.work is not None else call.job
        if job not in method.numbers:
            by_arguments = dict.fromkeys(known.free(map(number_of, self._tape.of_any_instance(call))))
            if by_arguments:
                return least if least in by_arguments else next(iter(by_arguments))
        elif job is not None and (own := next(known.free(method.numbers[job]), None)) is not None:
            return own
        return next(each for each in known.free(count(least)) if not method.is_of_others(each, job))

    def _method_of(self, call: Call) -> _Method:
        key = call.boundary, call.function
        if key not in self._methods:
            self._methods[key] = _Method.of(self._tape.of_function(call))
        return self._methods[key]

    @cached_property
    def _has_several(self) -> bool:
        """Whether there are two instances of any class in the recording."""
        return any(map(number_of, self._tape.recordings))


def number_of(recorded: Interaction) -> int:
    """Return the number of the instance whose method was called, among those of its class; 0 also if there is none."""
    return optional(recorded.request.get("instance"), int) or 0
