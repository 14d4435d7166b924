"""Recordings that a run should have used but did not."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agenttape.errors import UnplayedInteractionsError
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.session.history import History

_SHOWN = 10


def left_unplayed(session: History) -> list[Interaction]:
    """Return what *session* has left unplayed, if its mode makes that a difference."""
    return session.unplayed if session.loaded.policy.judges_unplayed else []


def unplayed_text(session: History, left: Sequence[Interaction]) -> str:
    """Return what is said about the recordings *left* unplayed."""
    count = f"{len(left)} recorded interaction{'' if len(left) == 1 else 's'}"
    lines = [f"{count} of {session.settings.path.name} not played:"]
    lines += [f"  {summary_line(each)}" for each in left[:_SHOWN]]
    if len(left) > _SHOWN:
        lines.append(f"  and {len(left) - _SHOWN} more")
    # In a trial (--agenttape-live) a live call led to it, and nothing is wrong with the recording.
    if session.settings.refreshing and not session.settings.is_tried:
        lines.append(f"  accept the change, without a live call: {session.settings.refreshing}")
    return "\n".join(lines)


def unplayed_error(session: History, left: Sequence[Interaction]) -> UnplayedInteractionsError:
    """Return the error for the recordings *left* unplayed in strict mode."""
    again = "" if session.settings.is_tried else f"\n  re-record: {session.settings.advice}"
    return UnplayedInteractionsError(unplayed_text(session, left) + again)
