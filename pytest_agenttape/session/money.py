"""What live calls may cost: a call is refused once the budget of the run is spent."""

from __future__ import annotations

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Call, Interaction
from pytest_agenttape.ownership.calls import Live
from pytest_agenttape.process.runs import flags_of_the_run
from pytest_agenttape.settings.flags import Purse


def purse() -> Purse | None:
    """Return the money of the run that this process is part of; None if there is no limit to it."""
    flags = flags_of_the_run()
    return None if flags is None else flags.purse


def refusal(call: Call, parent: Live | None) -> AgentTapeError | None:
    """Return the error for a live call that there is no money for; what a live tool does goes on, but LLM calls."""
    limit = purse()
    if limit is None or (parent is not None and call.kind != "llm"):
        return None
    return limit.refusal()


def pay(live: Live, outcome: Interaction) -> None:
    """Count the cost of a live call that has ended; what an LLM call is made of is part of it."""
    limit = purse()
    if limit is not None and live.call.kind == "llm" and not _is_within_llm_call(live):
        limit.pay(outcome)


def _is_within_llm_call(live: Live) -> bool:
    return live.parent is not None and (live.parent.call.kind == "llm" or _is_within_llm_call(live.parent))
