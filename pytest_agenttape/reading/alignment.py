"""Pairs the calls of two timelines: equal requests wherever they are, then the most alike of one boundary."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.reading.comparable import compared_request, compared_response
from pytest_agenttape.reading.json_diff import Comparison, increasing


@dataclass(frozen=True, slots=True)
class ComparedCall:
    """An interaction, its position in its timeline, and the parts of it that are compared."""

    interaction: Interaction
    position: int
    request: JSON
    response: JSON

    @classmethod
    def of(cls, interactions: Sequence[Interaction], rules: KeyRules) -> list[Self]:
        """Return *interactions* as they are compared under *rules*."""
        return [
            cls(each, position, compared_request(each, rules), compared_response(each))
            for position, each in enumerate(map(common_form, interactions))
        ]

    @property
    def place(self) -> tuple[str, ...]:
        """What two calls must share to count as one call that changed."""
        call = self.interaction
        if call.boundary is not None or "url" not in call.request:
            return call.kind, call.boundary or ""
        return call.kind, "", str(call.request.get("method")), urlsplit(str(call.request["url"])).netloc


@dataclass(frozen=True, slots=True)
class Match:
    """A call of both timelines, or of only one; then the other side is None."""

    old: ComparedCall | None
    new: ComparedCall | None
    is_moved: bool = False


def align(old: Sequence[Interaction], new: Sequence[Interaction], rules: KeyRules) -> list[Match]:
    """Pair two timelines by content; the calls are in the order of *new*, dropped ones after their old neighbour."""
    return _aligned(ComparedCall.of(old, rules), ComparedCall.of(new, rules), Comparison())


def _aligned(old: list[ComparedCall], new: list[ComparedCall], comparison: Comparison) -> list[Match]:
    def request(each: ComparedCall) -> tuple[object, ...]:
        return *each.place, comparison.identity(each.request)

    def exchange(each: ComparedCall) -> tuple[object, ...]:
        outcome = comparison.identity([each.response, each.interaction.error])
        return *request(each), outcome

    pairs: dict[int, int] = {}
    for key in (exchange, request):  # equal results first, so the changed one is found among many equal calls
        pairs |= _equal_pairs(old, new, pairs, key)
    pairs |= _likest_pairs(old, new, pairs, comparison)
    in_order = sorted(pairs.items())
    kept = {in_order[n][0] for n in increasing([there for _, there in in_order])}
    matches = [Match(old[i], new[j], is_moved=i not in kept) for i, j in in_order]
    return _in_order_of_the_run(matches, old, new)


def _equal_pairs(
    old: list[ComparedCall], new: list[ComparedCall], paired: Mapping[int, int], key: Callable[[ComparedCall], object]
) -> dict[int, int]:
    taken = set(paired.values())
    free: defaultdict[object, deque[int]] = defaultdict(deque)
    for each in new:
        if each.position not in taken:
            free[key(each)].append(each.position)
    pairs = {}
    for each in old:
        if each.position not in paired and free[key(each)]:
            pairs[each.position] = free[key(each)].popleft()
    return pairs


def _likest_pairs(
    old: list[ComparedCall], new: list[ComparedCall], paired: Mapping[int, int], comparison: Comparison
) -> dict[int, int]:
    taken = set(paired.values())
    ours, theirs = defaultdict(list), defaultdict(list)
    for each in old:
        if each.position not in paired:
            ours[each.place].append(each)
    for each in new:
        if each.position not in taken:
            theirs[each.place].append(each)
    pairs = {}
    for place, mine in ours.items():
        yours = theirs.get(place, [])

        def score(i: int, j: int, mine: list[ComparedCall] = mine, yours: list[ComparedCall] = yours) -> float:
            distance = abs(mine[i].position - yours[j].position)
            return 0.1 + comparison.similarity(mine[i].request, yours[j].request) + 0.05 / (1 + distance)

        for i, j in comparison.best_pairs(len(mine), len(yours), score):
            if i is not None and j is not None:
                pairs[mine[i].position] = yours[j].position
    return pairs


def _in_order_of_the_run(matches: list[Match], old: list[ComparedCall], new: list[ComparedCall]) -> list[Match]:
    """Return *matches* and the calls without a match, in the new order; a dropped call after its old neighbour."""
    partner = {match.old.position: match.new.position for match in matches if match.old and match.new}
    placed = [((match.new.position, 0, 0), match) for match in matches if match.new]
    met = set(partner.values())
    placed += [((each.position, 0, 0), Match(None, each)) for each in new if each.position not in met]
    last = -1
    for each in old:
        if each.position in partner:
            last = partner[each.position]
        else:
            placed.append(((last, 1, each.position), Match(each, None)))
    return [match for _, match in sorted(placed, key=lambda entry: entry[0])]
