"""Runs of tests that are collecting them, when no cassette is open and nobody owns a call. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Collecting(Protocol):
    """A run that collects its tests."""

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Hear of a call that belongs to nobody and goes on."""


_runs: list[Collecting] = []  # in this process; one can run inside another


def begin(run: Collecting) -> Callable[[], None]:
    """Let *run* hear of calls that belong to nothing, until what is returned is called."""
    _runs.append(run)

    def end() -> None:
        if run in _runs:
            _runs.remove(run)

    return end


def let_pass(url: Callable[[], str], method: str) -> None:
    """Let the run that collects its tests, if there is one, hear of a call that goes on."""
    if _runs:
        _runs[-1].let_pass(url, method)
