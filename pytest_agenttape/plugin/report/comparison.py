"""The runs with live calls against their recordings: a section at the end of the run, data, a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.report.changes_markdown import as_code, in_a_cell
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.tried import Tried
from pytest_agenttape.plugin.report.wording import counted, duration, price
from pytest_agenttape.providers import pricing

_COLUMNS = ("calls", "tokens", "money", "latency")


@dataclass(frozen=True, slots=True)
class Comparison:
    """All runs of all tests.

    Attributes:
        title: What ran for real: ``llm live, sent to gpt-5.5``.
        tests: The runs of each test, by node id.
    """

    title: str
    tests: Mapping[str, Sequence[Tried]]

    @classmethod
    def of(cls, ledger: Ledger, title: str) -> Comparison:
        """Return what the tests of *ledger* did."""
        found: dict[str, list[Tried]] = {}
        for _, record in sorted(ledger.records.items()):
            for run in map(Tried.from_plain, record.tried):
                found.setdefault(run.test, []).append(run)
        return cls(title, found)

    @property
    def rate(self) -> str:
        """The pass rate of the suite."""
        runs = [each for runs in self.tests.values() for each in runs]
        passed = sum(each.verdict == "passed" for each in runs)
        of_what = "run" if len(runs) > len(self.tests) else "test"
        share = f" ({passed / len(runs):.0%})" if runs else ""
        return f"{passed} of {counted(len(runs), of_what)} passed{share}"

    @property
    def total(self) -> str:
        """What all runs took, beside what their recordings took."""
        runs = [each for runs in self.tests.values() for each in runs]
        return _both(Facts.sum(each.before for each in runs), Facts.sum(each.after for each in runs))

    def lines(self) -> Iterator[str]:
        """Yield the section of the terminal."""
        yield f"live beside recorded: {self.title}; {self.rate}"
        for nodeid, runs in self.tests.items():
            yield f"  {_verdict(runs)}: {nodeid} ({_taken(runs)})"
            yield from (f"    first divergence: {each}" for each in _divergences(runs))
        yield f"  total: {self.total}"

    def as_document(self) -> dict[str, Any]:
        """Return this as JSON types; ``before`` and ``after`` of a test are those of all of its runs."""
        return {
            "title": self.title,
            "pass_rate": self.rate,
            "total": self.total,
            "columns": [*_COLUMNS],
            "tests": [
                {
                    "nodeid": nodeid,
                    "verdict": _verdict(runs),
                    "passed": sum(each.verdict == "passed" for each in runs),
                    "runs": [each.to_plain() for each in runs],
                    "cells": [*_cells(*_sums(runs))],
                    "divergences": [*_divergences(runs)],
                }
                for nodeid, runs in self.tests.items()
            ],
        }

    def as_markdown(self) -> str:
        """Return this as Markdown, fit for a comment."""
        lines = [
            f"### {as_code(self.title)}",
            "",
            f"{self.rate}: {self.total}",
            "",
            f"| test | verdict | {' | '.join(_COLUMNS)} | first divergence |",
            "|---|---|---|---|---|---|---|",
        ]
        for nodeid, runs in self.tests.items():
            divergences = "<br>".join(map(as_code, _divergences(runs)))
            cells = (as_code(nodeid), _verdict(runs), *_cells(*_sums(runs)), divergences)
            lines.append(f"| {' | '.join(map(in_a_cell, cells))} |")
        return "\n".join(lines) + "\n"


def _verdict(runs: Sequence[Tried]) -> str:
    if len(runs) == 1:
        return runs[0].verdict
    return f"passed {sum(each.verdict == 'passed' for each in runs)} of {len(runs)}"


def _sums(runs: Sequence[Tried]) -> tuple[Facts, Facts]:
    return Facts.sum(each.before for each in runs), Facts.sum(each.after for each in runs)


def _taken(runs: Sequence[Tried]) -> str:
    return _both(*_sums(runs))


def _both(before: Facts, after: Facts) -> str:
    calls = f"{before.calls} -> {after.calls}" if before.kinds != after.kinds else after.calls
    return ", ".join(filter(None, (calls, before.to(after))))


def _divergences(runs: Sequence[Tried]) -> Iterator[str]:
    """Yield the first divergences of the runs, each once."""
    yield from dict.fromkeys(each.divergence for each in runs if each.divergence is not None)


def _cells(before: Facts, after: Facts) -> Iterator[str]:
    for old, new in zip(_parts(before), _parts(after), strict=True):
        yield old if old == new else f"{old} → {new}"


def _parts(facts: Facts) -> Iterator[str]:
    yield f"{facts.kinds.total():,}"
    yield f"{facts.tokens.total:,}"
    yield price(facts.cost) if pricing.are_known() and facts.tokens.total else ""
    yield "" if facts.milliseconds is None else duration(facts.milliseconds)
