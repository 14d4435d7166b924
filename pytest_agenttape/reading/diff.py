"""What changed from one cassette to another: calls, arguments, results, tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.alignment import ComparedCall, Match, align
from pytest_agenttape.reading.diff_text import difference_lines
from pytest_agenttape.reading.divergences import ChangedCall, Divergence, divergences_of
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.summary import call_name
from pytest_agenttape.reading.usage import TokenTotals, total_tokens


@dataclass(frozen=True, slots=True)
class CassetteDiff:
    """What changed from one cassette to another, by calls, arguments and results.

    Attributes:
        new_calls: Names of the calls that only the new cassette has, in order.
        dropped_calls: Names of the calls that only the old one has.
        changed_calls: Calls in both whose arguments or result changed.
        moved_calls: Names of the calls whose order changed.
        divergences: All of these in the order of the run.
        pairs: The indexes of all calls, old and new, side by side in the order of the run.
        not_reached: How many recorded calls a run that was cut had still to come to.
    """

    new_calls: list[str]
    dropped_calls: list[str]
    changed_calls: list[ChangedCall]
    moved_calls: list[str]
    old_tokens: TokenTotals
    new_tokens: TokenTotals
    step_delta: int
    divergences: tuple[Divergence, ...] = field(default=(), repr=False)
    pairs: tuple[tuple[int | None, int | None], ...] = field(default=(), repr=False)
    not_reached: int = 0

    @property
    def identical(self) -> bool:
        """Whether both hold the same calls, in the same order, with the same arguments and results."""
        return not self.divergences

    @property
    def token_delta(self) -> int:
        """How many more tokens the new cassette has."""
        return self._more_tokens.total

    @property
    def input_token_delta(self) -> int:
        """How many more input tokens the new cassette has."""
        return self._more_tokens.input

    @property
    def output_token_delta(self) -> int:
        """How many more output tokens the new cassette has."""
        return self._more_tokens.output

    def render(self, limit: int = 30) -> str:
        """Return the difference for a reader, cause first; at most *limit* calls are listed."""
        return "\n".join(map(str, self.lines(limit)))

    def lines(self, limit: int = 30, note: Callable[[Divergence], str] = lambda _: "") -> list[Line]:
        """Return what `render` does as lines, and what *note* says of each call that is listed."""
        return difference_lines(self.divergences, self._more_tokens, limit, note)

    @property
    def _more_tokens(self) -> TokenTotals:
        return self.new_tokens - self.old_tokens


@runtime_checkable
class Recording(Protocol):
    """Anything that holds calls in the order of a run: a `Cassette`."""

    @property
    def interactions(self) -> Sequence[Interaction]:
        """In the order in which the calls started."""

    @property
    def meta(self) -> Mapping[str, JSON]:
        """What belongs to all of them."""


def diff_recordings(a: Recording, b: Recording, *, rules: KeyRules | None = None) -> CassetteDiff:
    """Return what changed from *a* to *b*, in whose placeholders and addresses their `meta` has a say."""
    requests = [each.request for each in (*a.interactions, *b.interactions)]
    fitted = (rules or KeyRules()).fitted_to(requests, a.meta, b.meta)
    return diff_interactions(a.interactions, b.interactions, rules=fitted)


def diff_interactions(
    old: Sequence[Interaction],
    new: Sequence[Interaction],
    *,
    rules: KeyRules | None = None,
    is_cut: bool = False,
) -> CassetteDiff:
    """Return what changed from the calls *old* to the calls *new*, the beginning of a run if that *is_cut*."""
    matches = align(old, new, rules or KeyRules())
    reached = _reached(matches) if is_cut else matches
    left = [match.old.interaction.index for match in matches[len(reached) :] if match.old]
    divergences = divergences_of(reached)
    return CassetteDiff(
        new_calls=[call_name(each.call) for each in divergences if each.sign == "+"],
        dropped_calls=[call_name(each.call) for each in divergences if each.sign == "-"],
        changed_calls=[each.changed for each in divergences if each.changed],
        moved_calls=[call_name(each.call) for each in divergences if each.sign == ">"],
        old_tokens=total_tokens(each for each in old if each.index not in left),
        new_tokens=total_tokens(new),
        step_delta=len(new) - len(old) + len(left),
        divergences=divergences,
        pairs=tuple((_index(match.old), _index(match.new)) for match in reached),
        not_reached=len(left),
    )


def _reached(matches: Sequence[Match]) -> Sequence[Match]:
    """Return *matches* up to the last call that was made."""
    last = max((position for position, match in enumerate(matches) if match.new), default=-1)
    return matches[: last + 1]


def _index(call: ComparedCall | None) -> int | None:
    return None if call is None else call.interaction.index
