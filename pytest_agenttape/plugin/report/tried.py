"""One run of a test with live calls beside what is recorded: its verdict, and what both took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Self

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.report.test_record import Plain
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.diff import diff_interactions
from pytest_agenttape.reading.diff_text import what_happened
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.usage import TokenTotals

_WIDTH = 200  # of a divergence


@dataclass(frozen=True, slots=True)
class Tried:
    """One run of a test.

    Attributes:
        test: Its node id, without the number that pytest-repeat adds.
        verdict: As in `Attempt.outcome`, without the phase.
        before: What the recorded calls took.
        after: What those of this run took; a replayed call took what it did when recorded.
        divergence: The first one from the recording; None if there is none.
    """

    test: str
    verdict: str
    before: Facts
    after: Facts
    divergence: str | None

    @classmethod
    def of(
        cls, test: str, outcome: str, recorded: list[Interaction], made: list[Interaction], error: AgentTapeError | None
    ) -> Self:
        """Return the run of *test* that *made* these calls and ended with *outcome*, and *error* if it was refused."""
        verdict = outcome.rpartition(" ")[2] or "failed"
        return cls(test, verdict, Facts.of(*recorded), Facts.of(*made), _first_divergence(recorded, made, error))

    def to_plain(self) -> Plain:
        """Return this in types that cross a process border."""
        return {
            "test": self.test,
            "verdict": self.verdict,
            "before": _plain(self.before),
            "after": _plain(self.after),
            "divergence": self.divergence,
        }

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Return what `to_plain` was called on."""
        before, after = _facts(plain["before"]), _facts(plain["after"])
        return cls(plain["test"], plain["verdict"], before, after, plain["divergence"])


def _first_divergence(recorded: list[Interaction], made: list[Interaction], error: AgentTapeError | None) -> str | None:
    """Return where the agent first did something else, else where a model first said something else."""
    if error is not None:
        asked = getattr(error, "boundary", None)
        return visible(f"{asked}: {error.headline}" if asked and error.cause else error.headline, _WIDTH)
    found = diff_interactions(recorded, made).divergences
    first = next(chain(filter(_is_deed, found), filter(_is_said, found)), None)
    return None if first is None else visible(what_happened(first), _WIDTH)


def _is_deed(divergence: Divergence) -> bool:
    is_changed = divergence.changed is not None and bool(divergence.changed.request)
    return divergence.call.kind != "llm" and (divergence.sign != "~" or is_changed)


def _is_said(divergence: Divergence) -> bool:
    if divergence.call.kind != "llm":
        return False
    return divergence.before is None or _said(divergence.before) != _said(divergence.call)


def _said(recorded: Interaction) -> tuple[object, ...]:
    call = LLMCall.of(recorded)
    return call.error, call.text, [(each.name, each.arguments) for each in call.tool_calls]


def _plain(facts: Facts) -> Plain:
    tokens = facts.tokens
    return {
        "kinds": dict(facts.kinds),
        "tokens": [tokens.input, tokens.output, tokens.total, tokens.estimated],
        "cost": None if facts.cost is None else f"{facts.cost:f}",
        "milliseconds": facts.milliseconds,
    }


def _facts(plain: Plain) -> Facts:
    given, taken, total, estimated = plain["tokens"]
    cost = None if plain["cost"] is None else Decimal(plain["cost"])
    return Facts(
        Counter(plain["kinds"]), TokenTotals(given, taken, total, estimated=estimated), cost, plain["milliseconds"]
    )
