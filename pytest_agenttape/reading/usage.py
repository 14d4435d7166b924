"""The tokens of calls: as their answers report them, else estimated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.providers.wording import TEXTS


@dataclass(frozen=True, slots=True, eq=False)
class TokenTotals(Mapping[str, int]):
    """The tokens of some calls; `estimated` when a call among them had no usage block.

    As a mapping it has the keys of the usage of one call: ``usage["input_tokens"]``.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    estimated: bool = False

    @property
    def input(self) -> int:
        """The same as `input_tokens`."""
        return self.input_tokens

    @property
    def output(self) -> int:
        """The same as `output_tokens`."""
        return self.output_tokens

    @property
    def total(self) -> int:
        """The same as `total_tokens`."""
        return self.total_tokens

    def __add__(self, other: TokenTotals) -> TokenTotals:
        """Return the tokens of both."""
        return TokenTotals(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.total_tokens + other.total_tokens,
            estimated=self.estimated or other.estimated,
        )

    def __sub__(self, other: TokenTotals) -> TokenTotals:
        """Return how many more tokens these are than *other*."""
        return TokenTotals(
            self.input_tokens - other.input_tokens,
            self.output_tokens - other.output_tokens,
            self.total_tokens - other.total_tokens,
            estimated=self.estimated or other.estimated,
        )

    def __getitem__(self, name: str) -> int:
        if name not in _COUNTS:
            raise KeyError(name)
        count: int = getattr(self, name)
        return count

    def __iter__(self) -> Iterator[str]:
        return iter(_COUNTS)

    def __len__(self) -> int:
        return len(_COUNTS)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TokenTotals) and self.estimated != other.estimated:
            return False
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    def __hash__(self) -> int:
        return hash((*self.values(), self.estimated))


_COUNTS = ("input_tokens", "output_tokens", "total_tokens")


def duration_of(interactions: Iterable[Interaction]) -> float | None:
    """Return the milliseconds that *interactions* took; None if none was timed."""
    return duration((each.index, each.parent, each.latency_ms) for each in interactions)


def duration(times: Iterable[tuple[int, int | None, float | None]]) -> float | None:
    """Return the milliseconds that calls took, each given with its number, that of its parent, and its time, if known.

    A call that another of them made is in the time of that.
    """
    calls = [*times]
    numbers = {number for number, _, _ in calls}
    timed = [latency for _, parent, latency in calls if parent not in numbers and latency is not None]
    return round(sum(timed), 3) if timed else None


def total_tokens(interactions: Iterable[Interaction]) -> TokenTotals:
    """Return the sum of the tokens of *interactions*."""
    return sum(map(count_tokens, interactions), TokenTotals())


def count_tokens(interaction: Interaction) -> TokenTotals:
    """Return the tokens of one call.

    An answered LLM call without a usage block is estimated: a quarter of the characters of its texts (prompts,
    messages, tool arguments), rounded up, for each side. Failed calls and other kinds count only what they report.
    """
    reported = _reported_tokens(interaction.usage or {})
    if reported is not None:
        return reported
    if interaction.kind != "llm" or interaction.has_failed:
        return TokenTotals()
    read = common_form(interaction)
    given, taken = _estimate(read.request), _estimate(read.response)
    return TokenTotals(given, taken, given + taken, estimated=True)


def _reported_tokens(usage: Mapping[str, JSON]) -> TokenTotals | None:
    given = _whole(usage, "input_tokens", "prompt_tokens")
    taken = _whole(usage, "output_tokens", "completion_tokens")
    total = _whole(usage, "total_tokens")
    if given is None and taken is None:
        return None if total is None else TokenTotals(total, total_tokens=total)
    both = (given or 0) + (taken or 0)
    return TokenTotals(given or 0, taken or 0, both if total is None else total)


def _whole(usage: Mapping[str, JSON], *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _estimate(body: JSON) -> int:
    characters = 0
    waiting: list[tuple[JSON, bool]] = [(body, not isinstance(body, dict | list))]
    while waiting:
        node, is_said = waiting.pop()
        if isinstance(node, dict):
            waiting += [(child, is_said or key in TEXTS) for key, child in node.items()]
        elif isinstance(node, list):
            waiting += [(child, is_said) for child in node]
        elif is_said and isinstance(node, str) and not _is_binary(node):
            characters += len(node)
    return -(-characters // 4)


def _is_binary(text: str) -> bool:
    return len(text) > 1_000 and not any(map(text[:1_000].__contains__, " \n"))
