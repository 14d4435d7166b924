"""Where two timelines diverge, and which of the differences an earlier one explains."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.alignment import ComparedCall, Match
from pytest_agenttape.reading.json_diff import field_diffs
from pytest_agenttape.reading.one_line import ABSENT, shorten, visible
from pytest_agenttape.reading.summary import call_name


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call that both cassettes have, with different arguments or a different result.

    Attributes:
        index: Its index in the new cassette; `old_index` is the one in the old.
    """

    index: int
    old_index: int
    name: str
    request: tuple[FieldDiff, ...] = ()
    response: tuple[FieldDiff, ...] = ()
    error: tuple[FieldDiff, ...] = ()

    @property
    def field_diffs(self) -> tuple[FieldDiff, ...]:
        """All that differs; each path begins with ``request``, ``response`` or ``error``."""
        return (*self.request, *self.response, *self.error)


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where two timelines diverge; `follows` is true if an earlier divergence can explain it."""

    sign: str  # + new, - dropped, ~ changed, > moved
    call: Interaction
    before: Interaction | None = None
    changed: ChangedCall | None = None
    follows: bool = False


def divergences_of(matches: Iterable[Match]) -> tuple[Divergence, ...]:
    """Return what differs in *matches*, in their order."""
    return _marked(_divergences(matches))


def _divergences(matches: Iterable[Match]) -> Iterator[Divergence]:
    for match in matches:
        old, new = match.old, match.new
        if new is None:
            assert old is not None
            yield Divergence("-", old.interaction)
        elif old is None:
            yield Divergence("+", new.interaction)
        else:
            changed = _changed_call(old, new)
            if changed.field_diffs:
                yield Divergence("~", new.interaction, old.interaction, changed)
            elif match.is_moved:
                yield Divergence(">", new.interaction, old.interaction)


def _changed_call(old: ComparedCall, new: ComparedCall) -> ChangedCall:
    before, after = old.interaction, new.interaction
    return ChangedCall(
        index=after.index,
        old_index=before.index,
        name=call_name(after),
        request=field_diffs(old.request, new.request, root="request"),
        response=() if before.error or after.error else field_diffs(old.response, new.response, root="response"),
        error=_error_diffs(before.error, after.error),
    )


def _error_diffs(before: dict[str, JSON] | None, after: dict[str, JSON] | None) -> tuple[FieldDiff, ...]:
    if before is not None and after is not None:
        return field_diffs(before, after, root="error")
    if before is after:
        return ()
    shown = [ABSENT if each is None else _raised(each) for each in (before, after)]
    return (FieldDiff("error", *shown),)


def _raised(error: Mapping[str, JSON]) -> str:
    return f"{visible(str(error.get('type', 'error')), 60)}({shorten(error.get('message', ''))})"


def _marked(divergences: Iterable[Divergence]) -> tuple[Divergence, ...]:
    """Mark what an earlier divergence explains: the same change sent again, or a call made after other results."""
    marked: list[Divergence] = []
    known: set[tuple[str, str]] = set()
    results_differ = False
    for each in divergences:
        changed = each.changed
        changes = {(diff.recorded, diff.asked) for diff in changed.request} if changed else set()
        is_choice = each.sign in "+-" or bool(changes)  # made by the agent, as opposed to given to it
        follows = is_choice and (results_differ or not known.isdisjoint(changes) or (bool(known) and each.sign in "+-"))
        marked.append(replace(each, follows=follows))
        known |= changes
        results_differ = results_differ or each.sign in "+-" or bool(changed and (changed.response or changed.error))
    return tuple(marked)
