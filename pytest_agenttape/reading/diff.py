"""What changed from one cassette to another: calls, arguments, results, tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.alignment import align
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
    """

    new_calls: list[str]
    dropped_calls: list[str]
    changed_calls: list[ChangedCall]
    moved_calls: list[str]
    old_tokens: TokenTotals
    new_tokens: TokenTotals
    step_delta: int
    divergences: tuple[Divergence, ...] = field(default=(), repr=False)

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
    old: Sequence[Interaction], new: Sequence[Interaction], *, rules: KeyRules | None = None
) -> CassetteDiff:
    """Return what changed from the calls *old* to the calls *new*."""
    divergences = divergences_of(align(old, new, rules or KeyRules()))
    return CassetteDiff(
        new_calls=[call_name(each.call) for each in divergences if each.sign == "+"],
        dropped_calls=[call_name(each.call) for each in divergences if each.sign == "-"],
        changed_calls=[each.changed for each in divergences if each.changed],
        moved_calls=[call_name(each.call) for each in divergences if each.sign == ">"],
        old_tokens=total_tokens(old),
        new_tokens=total_tokens(new),
        step_delta=len(new) - len(old),
        divergences=divergences,
    )
