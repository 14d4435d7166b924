"""Cancellation: how a stopped task is recognised, and how a recording says that the agent stopped waiting."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON

_NAMES = frozenset({"CancelledError", "Cancelled"})  # asyncio's and curio's; trio's
_UNANSWERED = {"type": "CancelledError", "module": "asyncio.exceptions", "message": "the agent stopped waiting here"}


def is_cancellation(error: BaseException) -> bool:
    """Return whether *error* is how asyncio, trio or the like stop a task.

    concurrent.futures has an Exception with that name, and the user may have one too; those are failures.
    """
    return not isinstance(error, Exception) and any(each.__name__ in _NAMES for each in type(error).__mro__)


def unanswered() -> dict[str, JSON]:
    """Return the error that is recorded for a call whose answer the agent did not wait for.

    The call was cancelled, its stream closed by another thread, or it was still running when the recording ended.
    In replay, there is no answer either.
    """
    return {**_UNANSWERED}


def is_unanswered(error: Mapping[str, object]) -> bool:
    """Return whether the recorded *error* is `unanswered`, perhaps with more keys that describe the call itself."""
    # By the module, too: not a class of the user's.
    return error.get("type") == _UNANSWERED["type"] and error.get("module") == _UNANSWERED["module"]
