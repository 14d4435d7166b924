"""The calls of a run as a report shows them: what was asked and answered, when, for how many tokens and dollars."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pytest_agenttape import serializer
from pytest_agenttape.cassettes.file_form import filed, with_delivery_last
from pytest_agenttape.errors import AgentTapeError, FieldDiff
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.plugin.costs import cost_of
from pytest_agenttape.plugin.report.shortened import shortened, shortened_text
from pytest_agenttape.plugin.report.test_record import ShownStep, Usage
from pytest_agenttape.plugin.report.timing import placed
from pytest_agenttape.providers import pricing
from pytest_agenttape.reading.calls import LLMCall
from pytest_agenttape.reading.steps import Step, steps_of
from pytest_agenttape.reading.summary import call_name, summary_line
from pytest_agenttape.reading.usage import count_tokens

_CALLS_IN_A_FILE = re.compile("^(?=- index: )", re.MULTILINE)


def shown_steps(timeline: Iterable[tuple[Interaction, bool]]) -> tuple[ShownStep, ...]:
    """Return every call of a run, given with whether it was live."""
    listed = [*timeline]
    calls = [call for call, _ in listed]
    parts = {each.index: each.parts for each in _all(steps_of(calls, KeyRules()))}
    times = placed([(each.start_ms, each.latency_ms) for each in calls])
    return tuple(
        _step(call, is_live, start, shortened(parts.get(call.index, {})), source)
        for (call, is_live), (start, _), source in zip(listed, times, _sources(calls), strict=True)
    )


def recorded_steps(calls: Iterable[Interaction]) -> tuple[ShownStep, ...]:
    """Return the calls of a recording."""
    return shown_steps((each, False) for each in calls)


def shown_fields(changes: Iterable[FieldDiff]) -> list[dict[str, str]]:
    """Return what differs between two calls."""
    return [{"path": each.path, "old": each.recorded, "new": each.asked} for each in changes]


def _step(call: Interaction, is_live: bool, start: float, parts: Mapping[str, JSON], source: str) -> ShownStep:
    read = LLMCall.of(call) if call.kind == "llm" else None
    return {
        "index": call.index,
        "parent": call.parent,
        "kind": call.kind,
        "label": call.label,
        "name": call_name(call),
        "summary": summary_line(call),
        "provider": None if read is None else read.provider,
        "model": None if read is None else read.answered_by or read.model,
        "live": is_live,
        "start_ms": round(start, 3),
        "latency_ms": call.latency_ms,
        "usage": _usage(call),
        "cost": None if read is None else _cost(read),
        "failed": call.has_failed or (read is not None and read.error is not None),
        "fault": call.fault,
        "parts": parts,
        "source": shortened_text(source),
    }


def _usage(call: Interaction) -> Usage | None:
    counted = count_tokens(call)
    if not counted.total:
        return None
    return {
        "input_tokens": counted.input,
        "output_tokens": counted.output,
        "total_tokens": counted.total,
        "estimated": counted.estimated,
    }


def _cost(read: LLMCall) -> str | None:
    cost = cost_of(read) if pricing.are_known() else None
    return None if cost is None else f"{cost:f}"


def _all(steps: Iterable[Step]) -> Iterator[Step]:
    waiting = [*steps]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += each.calls


def _sources(calls: Sequence[Interaction]) -> Sequence[str]:
    """Return each call as the file has it: what several of them say is written out in the first."""
    listed = [filed(with_delivery_last(each.to_dict())) for each in calls]
    try:
        return _CALLS_IN_A_FILE.split(serializer.dump({"interactions": listed}))[1:]
    except (TypeError, AgentTapeError) as error:  # it cannot be recorded either
        return [f"(cannot be written: {error})"] * len(calls)
