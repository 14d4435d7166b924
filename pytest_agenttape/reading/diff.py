"""Compare two cassettes by content, and render what changed for a reader, cause first."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import urlsplit

from pytest_agenttape.errors import ConfigError, FieldDiff
from pytest_agenttape.matching.canonical import VOLATILE_HEADERS, KeyRules, canonical_text
from pytest_agenttape.model import JSON, Cassette, Interaction
from pytest_agenttape.providers.made_up import is_about_serving, without_made_up
from pytest_agenttape.providers.streams import with_whole_texts
from pytest_agenttape.reading.json_diff import Comparison, diff_lines, field_diffs, increasing
from pytest_agenttape.reading.one_line import ABSENT, around_difference, shorten, visible
from pytest_agenttape.reading.summary import (
    TokenTotals,
    call_name,
    calls_in_words,
    summary_line,
    tokens,
    total_tokens,
    what_changed,
)

__all__ = [
    "CassetteDiff",
    "ChangedCall",
    "Divergence",
    "Pair",
    "TokenTotals",
    "align",
    "around_difference",
    "canonical_request",
    "diff_cassettes",
    "diff_lines",
    "field_diffs",
    "shorten",
    "tokens",
    "total_tokens",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MAX_DEPTH = 50  # no provider nests its own fields deeper; what is below keeps the order it has

# Of a response, these say when and by whom it was served, not what; further ones are the providers'.
_SERVING_HEADERS = VOLATILE_HEADERS | _names(
    "expires etag last-modified server via alt-svc set-cookie content-length connection keep-alive transfer-encoding "
    "strict-transport-security report-to nel server-timing x-trace-id x-served-by x-timer x-runtime x-cache "
    "x-cache-hits"
)
_SERVING_PREFIXES = ("cf-", "x-envoy-")
_LAYOUT = frozenset(("json_layout", "events_layout", "http_version", "reason"))
_DIFFS_PER_CALL = 6


@dataclass(frozen=True, slots=True)
class Pair:
    """What stands at one place of two timelines; one side is None when only the other has the call."""

    recorded: Interaction | None
    asked: Interaction | None
    is_same: bool = False  # the same request; its result may differ
    is_moved: bool = False


@dataclass(frozen=True, slots=True)
class ChangedCall:
    """A call that both cassettes have, with other arguments or another result.

    Attributes:
        index: Its index in the new cassette; `old_index` is the one in the old.
    """

    index: int
    old_index: int
    name: str
    request: tuple[FieldDiff, ...] = ()
    response: tuple[FieldDiff, ...] = ()
    error: tuple[FieldDiff, ...] = ()

    @property
    def field_diffs(self) -> tuple[FieldDiff, ...]:
        """All that differs; each path begins with ``request``, ``response`` or ``error``."""
        return (*self.request, *self.response, *self.error)


@dataclass(frozen=True, slots=True)
class Divergence:
    """One place where two timelines part; `follows` when an earlier divergence can explain it."""

    sign: str  # + new, - dropped, ~ changed, > moved
    call: Interaction
    before: Interaction | None = None
    changed: ChangedCall | None = None
    follows: bool = False


@dataclass(frozen=True, slots=True)
class CassetteDiff:
    """What changed from one cassette to another, by calls, arguments and results.

    Attributes:
        new_calls: Names of the calls that only the new cassette has, in order.
        dropped_calls: Names of the calls that only the old one has.
        changed_calls: Calls of both with other arguments or another result.
        moved_calls: Names of the calls that come in another order.
        divergences: All of these in the order of the run.
    """

    new_calls: list[str]
    dropped_calls: list[str]
    changed_calls: list[ChangedCall]
    moved_calls: list[str]
    old_tokens: TokenTotals
    new_tokens: TokenTotals
    step_delta: int
    divergences: tuple[Divergence, ...] = field(default=(), repr=False)

    @property
    def identical(self) -> bool:
        """Whether both hold the same calls, in the same order, with the same arguments and results."""
        return not self.divergences

    @property
    def token_delta(self) -> int:
        """How many tokens the new cassette has more."""
        return self.new_tokens.total - self.old_tokens.total

    @property
    def input_token_delta(self) -> int:
        """How many input tokens the new cassette has more."""
        return self.new_tokens.input - self.old_tokens.input

    @property
    def output_token_delta(self) -> int:
        """How many output tokens the new cassette has more."""
        return self.new_tokens.output - self.old_tokens.output

    def render(self, limit: int = 30) -> str:
        """Return the difference for a reader, cause first; at most *limit* calls are listed."""
        if self.identical:
            return f"identical: the same calls, arguments and results{self._tokens_in_words()}"
        lines = [self._counts_in_words(), self._cause_in_words(), ""]
        for each in self.divergences[:limit]:
            lines += _divergence_lines(each)
        if len(self.divergences) > limit:
            lines.append(f"… and {len(self.divergences) - limit} more")
        return "\n".join(lines)

    def _counts_in_words(self) -> str:
        counts = {
            "changed": len(self.changed_calls),
            "new": len(self.new_calls),
            "dropped": len(self.dropped_calls),
            "moved": len(self.moved_calls),
        }
        calls = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        steps = f"; {self.step_delta:+d} in all" if self.step_delta else ""
        return f"calls: {calls}{steps}{self._tokens_in_words()}"

    def _tokens_in_words(self) -> str:
        if not (self.token_delta or self.input_token_delta or self.output_token_delta):
            return ""
        mark = ", estimated" if self.old_tokens.estimated or self.new_tokens.estimated else ""
        return (
            f"; tokens {self.token_delta:+d} "
            f"(input {self.input_token_delta:+d}, output {self.output_token_delta:+d}{mark})"
        )

    def _cause_in_words(self) -> str:
        cause = f"first divergence: {_what_happened(self.divergences[0])}"
        followers = [each for each in self.divergences if each.follows]
        if not followers:
            return cause
        numbers = [each.call.index for each in followers if each.sign != "-"]
        subject = calls_in_words(numbers) if numbers else f"{len(followers)} dropped"
        return f"{cause}; {subject} {'follows' if len(followers) == 1 else 'follow'} from it"


def diff_cassettes(a: Cassette, b: Cassette, *, rules: KeyRules | None = None) -> CassetteDiff:
    """Return what changed from *a* to *b*.

    What two recordings of one run never share is no change: run id, times, volatile headers, and the identifiers
    and timestamps that a provider puts into an LLM exchange.

    Raises:
        ConfigError: One of them is no `Cassette`.
    """
    for each in (a, b):
        if not isinstance(each, Cassette):
            raise ConfigError(f"diff_cassettes compares two Cassettes, not {each!r}; read a file with Cassette.load")
    rules = rules or KeyRules()
    old, new = _Seen.of(a.interactions, rules), _Seen.of(b.interactions, rules)
    divergences = _marked(_divergences(_align(old, new, Comparison())))
    return CassetteDiff(
        new_calls=[call_name(each.call) for each in divergences if each.sign == "+"],
        dropped_calls=[call_name(each.call) for each in divergences if each.sign == "-"],
        changed_calls=[each.changed for each in divergences if each.changed],
        moved_calls=[call_name(each.call) for each in divergences if each.sign == ">"],
        old_tokens=total_tokens(a.interactions),
        new_tokens=total_tokens(b.interactions),
        step_delta=len(new) - len(old),
        divergences=divergences,
    )


def align(
    recorded: Sequence[Interaction], asked: Sequence[Interaction], *, rules: KeyRules | None = None
) -> list[Pair]:
    """Pair two timelines by content: equal requests wherever they stand, then the likest of one boundary."""
    rules = rules or KeyRules()
    matches = _align(_Seen.of(recorded, rules), _Seen.of(asked, rules), Comparison())
    return [
        Pair(
            recorded=each.old.interaction if each.old else None,
            asked=each.new.interaction if each.new else None,
            is_same=each.is_same,
            is_moved=each.is_moved,
        )
        for each in matches
    ]


def canonical_request(request: Mapping[str, JSON], rules: KeyRules) -> JSON:
    """Return what of *request* is compared, as a tree whose keys keep their order; headers come last."""
    tree = _in_order_of(request, json.loads(canonical_text(request, rules)))
    if isinstance(tree, dict) and "headers" in tree and "url" in tree:
        tree["headers"] = tree.pop("headers")
    return tree


@dataclass(frozen=True, slots=True)
class _Seen:
    """An interaction with what of it is compared."""

    interaction: Interaction
    position: int
    request: JSON
    response: JSON

    @classmethod
    def of(cls, interactions: Sequence[Interaction], rules: KeyRules) -> list[Self]:
        return [
            cls(each, position, _compared_request(each, rules), _compared_response(each))
            for position, each in enumerate(interactions)
        ]

    @property
    def place(self) -> tuple[str, ...]:
        """What two calls must share to be one call that changed."""
        call = self.interaction
        if call.boundary is not None or "url" not in call.request:
            return call.kind, call.boundary or ""
        return call.kind, "", str(call.request.get("method")), urlsplit(str(call.request["url"])).netloc


@dataclass(frozen=True, slots=True)
class _Match:
    old: _Seen | None
    new: _Seen | None
    is_same: bool = False
    is_moved: bool = False


def _compared_request(interaction: Interaction, rules: KeyRules) -> JSON:
    request = canonical_request(interaction.request, rules)
    return without_made_up(request) if interaction.kind == "llm" else request


def _compared_response(interaction: Interaction) -> JSON:
    response = interaction.response
    if isinstance(response, dict) and "status" in response and "url" in interaction.request:
        response = {key: value for key, value in response.items() if key not in _LAYOUT}
        headers = response.get("headers") or {}
        if isinstance(headers, dict):
            shown = {name: value for name, value in headers.items() if not _is_about_serving(name.lower())}
            response["headers"] = shown
    if interaction.kind != "llm":
        return response
    response = without_made_up(response)
    if isinstance(response, dict) and isinstance(response.get("events"), list):
        response["events"] = with_whole_texts(response["events"])
    return response


def _is_about_serving(name: str) -> bool:
    return name in _SERVING_HEADERS or name.startswith(_SERVING_PREFIXES) or is_about_serving(name)


def _in_order_of(original: JSON, tree: JSON, depth: int = 0) -> JSON:
    """Return *tree* with its keys in the order that *original* has them in."""
    if depth > _MAX_DEPTH:
        return tree
    if isinstance(original, Mapping) and isinstance(tree, dict):
        names = [key for key in original if key in tree]
        return {key: _in_order_of(original.get(key), tree[key], depth + 1) for key in dict.fromkeys([*names, *tree])}
    if isinstance(original, list) and isinstance(tree, list) and len(original) == len(tree):
        return [_in_order_of(before, after, depth + 1) for before, after in zip(original, tree, strict=True)]
    return tree


def _align(old: list[_Seen], new: list[_Seen], comparison: Comparison) -> list[_Match]:
    def request(each: _Seen) -> tuple[object, ...]:
        return *each.place, comparison.identity(each.request)

    def exchange(each: _Seen) -> tuple[object, ...]:
        outcome = comparison.identity([each.response, each.interaction.error])
        return *request(each), outcome

    pairs: dict[int, int] = {}
    for key in (exchange, request):  # equal results first, so that of many equal calls the changed one is found
        pairs |= _equal_pairs(old, new, pairs, key)
    same = set(pairs)
    pairs |= _likest_pairs(old, new, pairs, comparison)
    in_order = sorted(pairs.items())
    kept = {in_order[n][0] for n in increasing([there for _, there in in_order])}
    matches = [_Match(old[i], new[j], is_same=i in same, is_moved=i not in kept) for i, j in in_order]
    return _in_order_of_the_run(matches, old, new)


def _equal_pairs(
    old: list[_Seen], new: list[_Seen], paired: Mapping[int, int], key: Callable[[_Seen], object]
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
    old: list[_Seen], new: list[_Seen], paired: Mapping[int, int], comparison: Comparison
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

        def score(i: int, j: int, mine: list[_Seen] = mine, yours: list[_Seen] = yours) -> float:
            distance = abs(mine[i].position - yours[j].position)
            return 0.1 + comparison.similarity(mine[i].request, yours[j].request) + 0.05 / (1 + distance)

        for i, j in comparison.best_pairs(len(mine), len(yours), score):
            if i is not None and j is not None:
                pairs[mine[i].position] = yours[j].position
    return pairs


def _in_order_of_the_run(matches: list[_Match], old: list[_Seen], new: list[_Seen]) -> list[_Match]:
    """Return *matches* and the calls without a match, in the new order; a dropped call after its old neighbour."""
    partner = {match.old.position: match.new.position for match in matches if match.old and match.new}
    placed = [((match.new.position, 0, 0), match) for match in matches if match.new]
    met = set(partner.values())
    placed += [((each.position, 0, 0), _Match(None, each)) for each in new if each.position not in met]
    last = -1
    for each in old:
        if each.position in partner:
            last = partner[each.position]
        else:
            placed.append(((last, 1, each.position), _Match(each, None)))
    return [match for _, match in sorted(placed, key=lambda entry: entry[0])]


def _divergences(matches: list[_Match]) -> Iterator[Divergence]:
    for match in matches:
        old, new = match.old, match.new
        if new is None:
            assert old is not None
            yield Divergence("-", old.interaction)
        elif old is None:
            yield Divergence("+", new.interaction)
        else:
            changed = _changed_call(old, new)
            if changed.field_diffs:
                yield Divergence("~", new.interaction, old.interaction, changed)
            elif match.is_moved:
                yield Divergence(">", new.interaction, old.interaction)


def _changed_call(old: _Seen, new: _Seen) -> ChangedCall:
    before, after = old.interaction, new.interaction
    return ChangedCall(
        index=after.index,
        old_index=before.index,
        name=call_name(after),
        request=field_diffs(old.request, new.request, root="request"),
        response=() if before.error or after.error else field_diffs(old.response, new.response, root="response"),
        error=_error_diffs(before.error, after.error),
    )


def _error_diffs(before: dict[str, JSON] | None, after: dict[str, JSON] | None) -> tuple[FieldDiff, ...]:
    if before is not None and after is not None:
        return field_diffs(before, after, root="error")
    if before is after:
        return ()
    shown = [ABSENT if each is None else _raised(each) for each in (before, after)]
    return (FieldDiff("error", *shown),)


def _raised(error: Mapping[str, JSON]) -> str:
    return f"{visible(str(error.get('type', 'error')), 60)}({shorten(error.get('message', ''))})"


def _marked(divergences: Iterator[Divergence]) -> tuple[Divergence, ...]:
    """Mark what an earlier divergence explains: the same change sent again, or a call made after other results."""
    marked: list[Divergence] = []
    known: set[tuple[str, str]] = set()
    results_differ = False
    for each in divergences:
        changed = each.changed
        changes = {(diff.recorded, diff.asked) for diff in changed.request} if changed else set()
        is_choice = each.sign in "+-" or bool(changes)  # made by the agent, as opposed to given to it
        follows = is_choice and (results_differ or not known.isdisjoint(changes) or (bool(known) and each.sign in "+-"))
        marked.append(replace(each, follows=follows))
        known |= changes
        results_differ = results_differ or each.sign in "+-" or bool(changed and (changed.response or changed.error))
    return tuple(marked)


def _what_happened(divergence: Divergence) -> str:
    call, changed = divergence.call, divergence.changed
    if divergence.sign == "+":
        return f"{summary_line(call)} is new"
    if divergence.sign == "-":
        return f"{summary_line(call)} is gone"
    where = f"call {call.index} ({call_name(call)})"
    if changed is None or divergence.before is None:
        return f"{where} comes in another place"
    if changed.request:
        first = changed.request[0]
        first = replace(first, path=first.path.removeprefix("request."))
        return f"{what_changed(first, divergence.before.request, call.request)} in {where}"
    if changed.error:
        return f"the error of {where} changed"
    return f"the result of {where} changed"


def _divergence_lines(divergence: Divergence) -> list[str]:
    changed, moved = divergence.changed, divergence.before
    line = f"{divergence.sign} {summary_line(divergence.call)}"
    if moved is not None and moved.index != divergence.call.index:
        line += f"  (was #{moved.index})"
    if divergence.follows:
        line += "  (follows)"
    if changed is None:
        return [line]
    shown = changed.field_diffs[: 1 if divergence.follows else _DIFFS_PER_CALL]
    hidden = len(changed.field_diffs) - len(shown)
    more = [f"    … and {hidden} more"] if hidden else []
    return [line, *diff_lines(shown, "    ", ("old", "new")), *more]
