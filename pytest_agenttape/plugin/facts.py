"""What calls took, in words: tokens, money and time, of one call or of many, and of two runs side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.report.spending import spent_on
from pytest_agenttape.plugin.report.wording import counted, duration, price
from pytest_agenttape.providers import pricing
from pytest_agenttape.reading.usage import TokenTotals, duration_of, total_tokens


@dataclass(frozen=True, slots=True)
class Facts:
    """What some calls took.

    Attributes:
        kinds: How many there are of each kind.
        cost: US dollars; None if a price is unknown.
        milliseconds: None if no call was timed.
    """

    kinds: Counter[str]
    tokens: TokenTotals
    cost: Decimal | None
    milliseconds: float | None

    @classmethod
    def of(cls, *calls: Interaction) -> Self:
        """Return what *calls* took; a call that another of them made is in the time of that."""
        kinds = Counter(each.kind for each in calls)
        return cls(kinds, total_tokens(calls), spent_on(calls).cost, duration_of(calls))

    @classmethod
    def sum(cls, taken: Iterable[Facts]) -> Self:
        """Return what runs took together."""
        listed = [*taken]
        costs = [each.cost for each in listed if each.cost is not None]
        timed = [each.milliseconds for each in listed if each.milliseconds is not None]
        return cls(
            sum((each.kinds for each in listed), Counter[str]()),
            sum((each.tokens for each in listed), TokenTotals()),
            sum(costs, Decimal()) if len(costs) == len(listed) else None,
            sum(timed) if timed else None,
        )

    @property
    def calls(self) -> str:
        """How many calls there are: ``3 calls (2 llm, 1 tool)``."""
        listed = ", ".join(f"{count} {kind}" for kind, count in self.kinds.items())
        return f"{counted(self.kinds.total(), 'call')} ({listed})" if listed else "no calls"

    def __str__(self) -> str:
        return ", ".join(filter(None, self._parts()))

    def to(self, later: Facts) -> str:
        """Return these and those of a *later* run: ``97 tokens -> 101 tokens, $0.0001, 812 ms -> 790 ms``."""
        pairs = zip(self._parts(), later._parts(), strict=True)
        return ", ".join(
            old if old == new else f"{old or 'none'} -> {new or 'none'}" for old, new in pairs if old or new
        )

    def _parts(self) -> Iterator[str]:
        about = "about " if self.tokens.estimated else ""
        yield f"{about}{counted(self.tokens.total, 'token')}" if self.tokens.total else ""
        yield price(self.cost) if self.tokens.total and pricing.are_known() else ""
        yield "" if self.milliseconds is None else duration(self.milliseconds)
