"""Runs of tests that are collecting them, when no cassette is open and nobody owns a call. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from pytest_agenttape.errors import AgentTapeError


class Collecting(Protocol):
    """A run that collects its tests."""

    def refusal(self) -> AgentTapeError | None:
        """Return the error for a call that is made now; None if it may run."""


_runs: list[Collecting] = []  # in this process; one can run inside another


def begin(run: Collecting) -> Callable[[], None]:
    """Let *run* judge calls that belong to nothing, until what is returned is called."""
    _runs.append(run)

    def end() -> None:
        if run in _runs:
            _runs.remove(run)

    return end


def refusal() -> AgentTapeError | None:
    """Return the error for a call that is made while tests are collected; None if it may run."""
    return _runs[-1].refusal() if _runs else None
