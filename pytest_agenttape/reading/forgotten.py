"""Tools that a model asked for and was answered by, and that crossed no boundary: in replay they run for real."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from pytest_agenttape.matching.call_tree import in_call_order
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.view import RequestedTool
from pytest_agenttape.reading.calls import LLMCall

# What frameworks answer themselves, in memory: who speaks next, or that the answer has the right form.
_OF_FRAMEWORKS = ("transfer_to_", "transfer_back_to_", "handoff_to_", "final_result", "final_answer")


def forgotten_tools(interactions: Sequence[Interaction]) -> list[str]:
    """Return the names of these tools, each once, in the order in which they were asked for.

    A tool that sent HTTP, or called a boundary of another name, between the request and its result is none of them.
    """
    ordered = in_call_order(interactions)
    asking = [(position, LLMCall.of(each)) for position, each in enumerate(ordered) if each.kind == "llm"]
    found: dict[str, None] = {}
    for (start, call), (end, following) in pairwise(asking):
        requested = [each for each in call.tool_calls if not each.name.startswith(_OF_FRAMEWORKS)]
        if requested:
            found |= dict.fromkeys(_forgotten(requested, ordered[start + 1 : end], following.messages))
    return list(found)


def _forgotten(
    requested: Sequence[RequestedTool], between: Sequence[Interaction], messages: Sequence[Mapping[str, JSON]]
) -> list[str]:
    given = [each for each in messages if each.get("role") == "tool"]
    answered = {each.get("tool_call_id") for each in given}
    crossed = Counter((each.boundary or "").rpartition(".")[2] for each in between)
    left = []
    for each in requested:
        if crossed[each.name]:
            crossed[each.name] -= 1
        elif each.id in answered or (each.id is None and given):
            left.append(each.name)
    return [] if crossed.total() else left
