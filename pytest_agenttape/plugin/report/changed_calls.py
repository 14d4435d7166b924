"""What changed in the calls of a test or a cassette, side by side: what was, what is, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pytest_agenttape.errors import UnmatchedInteractionError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.report.shown_calls import recorded_steps, shown_fields
from pytest_agenttape.plugin.report.test_record import Plain
from pytest_agenttape.reading.diff import CassetteDiff, diff_interactions
from pytest_agenttape.reading.diff_text import cause_in_words, counts_in_words, tokens_in_words
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.folding import changes_to_tell
from pytest_agenttape.session.session import Session

_NOT_YET = ("text", "result", "status")  # parts of an answer, which a call that was refused has not


def change_of(before: Sequence[Interaction], diff: CassetteDiff) -> dict[str, object]:
    """Return what *diff* says of a recording with the calls *before*."""
    more = tokens_in_words(diff.new_tokens - diff.old_tokens)
    return {
        "summary": f"{counts_in_words(diff.divergences)}{more}" if diff.divergences else f"identical{more}",
        "cause": cause_in_words(diff.divergences) if diff.divergences else None,
        "before": recorded_steps(before),
        "rows": [*_rows(diff)],
        "not_reached": diff.not_reached,
    }


def rows_alone(sign: str, calls: Iterable[Interaction]) -> list[Plain]:
    """Return the rows of a recording that is only on one side: *sign* says which."""
    return [_row(sign, *((each.index, None) if sign == "-" else (None, each.index))) for each in calls]


def change_of_run(session: Session, *, is_cut: bool, is_alone: bool) -> Plain | None:
    """Return how a run differs from its recording; None if there was none, or it does not differ.

    Args:
        is_cut: Whether the run ended early.
        is_alone: Whether no other test uses the cassette.
    """
    cassette = session.loaded.cassette
    if cassette is None:
        return None
    keeps_others = session.loaded.policy.keeps_old or not is_alone
    old = [*_played(session, cassette.interactions)] if keeps_others else cassette.interactions
    diff = diff_interactions(old, session.interactions, rules=session.loaded.rules, is_cut=is_cut)
    return None if diff.identical else change_of(old, diff)


def _played(session: Session, recorded: Iterable[Interaction]) -> Iterator[Interaction]:
    """Yield those of *recorded* that were played, or that a played one made."""
    left = {each.index for each in session.engine.unplayed}
    for each in recorded:
        if each.index in left or each.parent in left:
            left.add(each.index)
        else:
            yield each


def miss_of(error: object, position: int) -> Plain | None:
    """Return the call that no recording answered, the *position*-th of its run, if that is what *error* is about."""
    if not isinstance(error, UnmatchedInteractionError) or not error.kind:
        return None
    asked = Interaction(index=position, kind=error.kind, boundary=error.boundary, request=error.request)
    nearest = [error.closest] if isinstance(error.closest, Interaction) else []
    return {
        "asked": [*_unanswered(asked)],
        "nearest": recorded_steps(nearest),
        "fields": shown_fields(error.field_diffs),
    }


def _unanswered(asked: Interaction) -> Iterator[Plain]:
    for step in recorded_steps([asked]):
        parts = {name: part for name, part in step["parts"].items() if name not in _NOT_YET}
        yield {**step, "parts": parts, "usage": None, "cost": None, "failed": True}


def _rows(diff: CassetteDiff) -> Iterator[Plain]:
    told = {_ends(each): each for each in diff.divergences}
    for old, new in diff.pairs:
        divergence = told.get((old, new))
        yield _row("=", old, new) if divergence is None else _row(divergence.sign, old, new, divergence)


def _row(sign: str, old: int | None, new: int | None, divergence: Divergence | None = None) -> Plain:
    return {
        "sign": sign,
        "old": old,
        "new": new,
        "follows": divergence is not None and divergence.follows,
        "fields": [] if divergence is None else shown_fields(changes_to_tell(divergence)),
    }


def _ends(divergence: Divergence) -> tuple[int | None, int | None]:
    if divergence.sign == "-":
        return divergence.call.index, None
    before = divergence.before
    return None if before is None else before.index, divergence.call.index
