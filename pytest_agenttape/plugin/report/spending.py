"""The cost of LLM calls, per test and in total."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.costs import cost_of
from pytest_agenttape.plugin.report.test_record import Spending
from pytest_agenttape.providers import pricing
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.usage import total_tokens


def spent_and_saved(timeline: Iterable[tuple[Interaction, bool]]) -> tuple[Spending, Spending]:
    """Return the cost of a run's live LLM calls, and of its replayed ones."""
    calls = [*timeline]
    live = [each for each, is_live in calls if is_live]
    replayed = [each for each, is_live in calls if not is_live]
    return spent_on(live), spent_on(replayed)


def spent_on(calls: Iterable[Interaction]) -> Spending:
    """Return the cost of the LLM calls among *calls*."""
    asked = [each for each in calls if each.kind == "llm"]
    tokens = total_tokens(asked)
    costs = (cost_of(LLMCall.of(each)) for each in asked)
    return Spending(
        calls=len(asked),
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cost=sum_of_costs(costs) if pricing.are_known() else None,
    )


def total(spendings: Iterable[Spending | None]) -> Spending:
    """Return the sum of the *spendings* that are not None."""
    known = [each for each in spendings if each is not None]
    return Spending(
        calls=sum(each.calls for each in known),
        input_tokens=sum(each.input_tokens for each in known),
        output_tokens=sum(each.output_tokens for each in known),
        cost=sum_of_costs(each.cost for each in known),
    )


def sum_of_costs(costs: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum; None if one cost is unknown."""
    result = Decimal()
    for cost in costs:
        if cost is None:
            return None
        result += cost
    return result
