"""The cost of LLM calls, using the prices of the optional package genai-prices."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.providers import pricing
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.expectations_text import shown_llm_call


def cost_of(call: LLMCall) -> Decimal | None:
    """Return the price of a call in US dollars; None if it is unknown.

    Raises:
        ImportError: The prices are not installed.
    """
    return pricing.price(call.provider, (call.answered_by, call.model), call.usage)


def cost_problem(made: Sequence[LLMCall], limit: float | Decimal) -> str | None:
    """Return a message if the calls cost more than *limit* US dollars, else None.

    Raises:
        ConfigError: *limit* is not an amount, a price is unknown, or the prices are not installed.
    """
    if isinstance(limit, bool) or not isinstance(limit, int | float | Decimal) or not limit >= 0:
        raise ConfigError(f"max_cost must be a number of US dollars, 0 or more; found {limit!r}")
    costs = [_known_cost(call) for call in made]
    total = sum(costs, Decimal())
    if total <= Decimal(str(limit)):
        return None
    lines = [f"  ${cost:f}  {shown_llm_call(call)}" for cost, call in zip(costs, made, strict=True)]
    return "\n".join([f"the LLM calls cost ${total:f}, ${limit} is allowed (max_cost)", *lines])


def _known_cost(call: LLMCall) -> Decimal:
    try:
        cost = cost_of(call)
    except ImportError:
        raise ConfigError("max_cost needs prices: pip install 'pytest-agenttape[prices]'") from None
    if cost is None:
        raise ConfigError(f"price unknown: {shown_llm_call(call)}\n  max_cost cannot be asserted for this run")
    return cost
