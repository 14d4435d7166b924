"""Functions that share the name of a boundary: a recording of one does not answer a call of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from pytest_agenttape.decoded import optional
from pytest_agenttape.model import Call, Interaction


class Namesakes:
    """What is known of them from the recordings, which name a function only where another has the same name."""

    def __init__(self, recordings: Iterable[Interaction]) -> None:
        self._functions: defaultdict[str | None, set[str]] = defaultdict(set)
        for each in recordings:
            if (function := function_of(each)) is not None:
                self._functions[each.boundary].add(function)

    def are_told_apart(self, call: Call) -> bool:
        """Return whether the function of *call* is one of several; one that is not known may have been renamed."""
        return call.function in self._functions.get(call.boundary, ())

    def is_of(self, recorded: Interaction, call: Call) -> bool:
        """Return whether *recorded* may be a call of the same function as *call*, which is one of several."""
        return function_of(recorded) in (None, call.function)

    def of(self, recordings: Iterable[Interaction], call: Call) -> Iterable[Interaction]:
        """Return those of *recordings* that may be calls of the same function as *call*."""
        return (each for each in recordings if self.is_of(each, call)) if self.are_told_apart(call) else recordings


def function_of(recorded: Interaction) -> str | None:
    """Return the function that was called; None where no other has its name."""
    return optional(recorded.metadata.get("function"), str)
