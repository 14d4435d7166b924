"""Errors of ours that a test asserts by name with `pytest.raises`; a block of its does not count them as swallowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.plugin.pytest_privates import expected_types, raises_contexts
from pytest_agenttape.process.patching import Patch


def noting() -> Iterable[Patch]:
    """Return the patches with which each context of pytest that catches an error of ours notes that."""
    return [Patch(context, "__exit__", _noting) for context in raises_contexts()]


def names_ours(expected: object) -> bool:
    """Return whether *expected*, in any form that pytest takes, names a class of our errors.

    A wider class does not: the test that expects any exception may be about another one.
    """
    if isinstance(expected, type):
        return issubclass(expected, AgentTapeError)
    listed = expected if isinstance(expected, tuple) else expected_types(expected)
    return any(map(names_ours, listed))


def _noting(leave: Callable[..., bool]) -> Callable[..., bool]:
    def noted(self: object, kind: Any, error: BaseException | None, traceback: Any) -> bool:
        __tracebackhide__ = True
        is_caught = leave(self, kind, error, traceback)
        if is_caught and names_ours(self):
            _note(error)
        return is_caught

    return noted


def _note(error: BaseException | None) -> None:
    if isinstance(error, AgentTapeError):
        error.is_expected = True
    elif isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            _note(each)
