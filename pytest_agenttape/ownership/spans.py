"""When recorded calls were under way: which of them were so together, and which ended first."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from pytest_agenttape.model import Interaction
from pytest_agenttape.process.cancellation import is_unanswered

_NOISE = 0.002  # milliseconds by which recorded times may be off
_LONGEST = 1e12  # milliseconds
_MOST = 64  # calls that one call waits for
Span: TypeAlias = tuple[float, float, int]  # of a call: its end, its start, its index
# The agent ended it, or took part in it.
_IN_PIECES = frozenset(("stream_error", "messages", "conversation", "$stream"))


def follow_each_other(spans: Iterable[Span]) -> bool:
    """Return whether each call began when the one before it, in this order, had ended, as those of most agents do."""
    last = -_LONGEST
    for end, start, _ in spans:
        if start < last or end < start:
            return False
        last = end
    return True


def ended_meanwhile(given: Iterable[Span]) -> dict[int, tuple[int, ...]]:
    """Return, for each call during which others ended, the indices of these, the last one first."""
    spans = sorted(given)
    ends = [end for end, _, _ in spans]
    found = {}
    for end, start, index in spans:
        last = bisect_right(ends, end - _NOISE)
        first = max(bisect_right(ends, start + _NOISE), last - _MOST)
        if first < last:
            found[index] = tuple(each for _, _, each in reversed(spans[first:last]))
    return found


def made_meanwhile(spans: Iterable[tuple[Span, Interaction]]) -> dict[int, int]:
    """Return, for each call during which equal ones were made, the index of the last of these."""
    equal: defaultdict[tuple[str, str | None, str], list[tuple[float, float, int]]] = defaultdict(list)
    for (end, start, index), each in spans:
        if each.match_key:
            equal[each.kind, each.boundary, each.match_key].append((start, end, index))
    found = {}
    for alike in equal.values():
        starts = sorted((start, index) for start, _, index in alike)
        for start, end, index in alike:
            last = starts[bisect_right(starts, (end - _NOISE, -1)) - 1]
            if last[0] > start + _NOISE:
                found[index] = last[1]
    return found


def span_of(recorded: Interaction) -> Span | None:
    """Return when a call ended and started, and its index; None if its end says nothing of the others' ends."""
    start, latency, response = recorded.start_ms, recorded.latency_ms, recorded.response
    if (
        start is None
        or latency is None
        or not 0 <= latency < _LONGEST
        or recorded.is_observed
        or recorded.parent is not None
        or recorded.pace
    ):
        return None
    if isinstance(response, dict) and (response.get("complete") is False or not _IN_PIECES.isdisjoint(response)):
        return None
    if recorded.unplayable is not None or is_unanswered(recorded.error or {}):
        return None
    return start + latency, start, recorded.index
