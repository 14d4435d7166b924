"""The tool calls that a test expects, and how those of a run are paired with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import unknown_name
from pytest_agenttape.reading.calls import ToolCall
from pytest_agenttape.reading.json_diff import Comparison
from pytest_agenttape.reading.one_line import visible

CallsMode: TypeAlias = Literal["strict", "unordered", "subset", "superset", "in_order"]
MODES: Mapping[CallsMode, str] = {
    "strict": "exactly these calls, in this order",
    "unordered": "exactly these calls, in any order",
    "subset": "no call beyond these, in any order; not all of them need to be made",
    "superset": "at least these calls, in any order; others may be made too",
    "in_order": "at least these calls, in this order; others may come between",
}
_ORDERED = ("strict", "in_order")
# The modes that tolerate a call that was not expected, and those that tolerate an expected call that was not made.
_EXTRA_IS_FINE = ("superset", "in_order")
_MISSING_IS_FINE = ("subset",)

_SHAPES = "a name, (name, {argument: value}), or an object with .name and .arguments"
_PLAIN_TYPES = (str, bytes, int, float, list, tuple, set, frozenset, type(None))

NOT_GIVEN: Final = object()
"""Marks an argument that one side does not have."""


def parse_mode(mode: object) -> CallsMode:
    """Return *mode*.

    Raises:
        ConfigError: It is not one of `MODES`.
    """
    found = next((each for each in MODES if each == mode), None)
    if found is None:
        raise unknown_name("mode of assert_tool_calls", mode, MODES)
    return found


@dataclass(frozen=True, slots=True)
class Expected:
    """A tool call to expect; `arguments` are those that matter, None if none do."""

    name: str
    arguments: Any = None  # what a user compares with: a mapping, or anything whose == decides

    def fits(self, call: ToolCall) -> bool:
        """Return whether *call* is the expected one."""
        return self.name == call.name and (self.arguments is None or not any(self.differences(call)))

    def differences(self, call: ToolCall) -> Iterator[tuple[str, object, object]]:
        """Yield (path, expected, called with) of each argument that differs."""
        if self.arguments is not None:
            yield from _differences("", self.arguments, call.compared, partial=True)


@dataclass(frozen=True, slots=True)
class Row:
    """An expected call and the one that was made; a side is None if only the other has the call."""

    expected: Expected | None
    call: ToolCall | None
    is_same: bool = False

    def is_wrong(self, mode: CallsMode) -> bool:
        """Return whether *mode* does not tolerate this row."""
        if self.expected is None:
            return mode not in _EXTRA_IS_FINE
        if self.call is None:
            return mode not in _MISSING_IS_FINE
        return not self.is_same


def parse_expected(
    given: object,
    what: str = "assert_tool_calls",
    *,
    mode: CallsMode = "unordered",
    without_secrets: Callable[[Any], Any] = lambda value: value,
) -> list[Expected]:
    """Return the expected calls that a test names, *without_secrets* like those that were made.

    Raises:
        ConfigError: *given* is not a list, has no order although *mode* compares it, or an item has none of the allowed
            shapes.
    """
    if mode in _ORDERED and isinstance(given, Set):
        raise ConfigError(f"{what}: mode {mode!r} compares the order, but a set has none; use a list")
    if isinstance(given, str) and not isinstance(given, ToolCall):
        raise ConfigError(f"{what} takes a list; for one call write [{given!r}]")
    if isinstance(given, Mapping | bytes | ToolCall) or not isinstance(given, Iterable):
        raise ConfigError(f"{what} takes a list of calls, found {visible(repr(given), 80)}")
    items = [_parse_item(item, f"{what}: item {number}") for number, item in enumerate(given)]
    return [Expected(each.name, without_secrets(each.arguments)) for each in items]


def compared(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: CallsMode) -> list[Row]:
    """Return expected and made calls side by side, with at least one wrong row; empty if *mode* is satisfied."""
    if mode in _ORDERED:
        rows = [] if _follows(expected, calls, mode) else _rows_in_order(expected, calls, mode)
    else:
        rows = _rows(expected, calls)
    return rows if any(row.is_wrong(mode) for row in rows) else []


def _parse_item(item: object, where: str) -> Expected:
    if isinstance(item, str) and not isinstance(item, ToolCall):
        return Expected(item)
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], str):
        return Expected(str(item[0]), _parse_arguments(item[1], where))
    name = getattr(item, "name", None)
    if isinstance(name, str) and hasattr(item, "arguments"):
        return Expected(name, _parse_arguments(item.arguments, where))
    raise ConfigError(f"{where} is {visible(repr(item), 80)}; a call is {_SHAPES}")


def _parse_arguments(given: object, where: str) -> object:
    if given is None or isinstance(given, Mapping):
        return given
    if isinstance(given, _PLAIN_TYPES):  # no such object's == can decide about a mapping of arguments
        raise ConfigError(f"{where}: the arguments are {visible(repr(given), 80)}; a call is {_SHAPES}")
    return given


def _differences(
    path: str, expected: object, called: object, *, partial: bool = False
) -> Iterator[tuple[str, object, object]]:
    """Yield the smallest differing parts, each by the ``==`` of the expected one."""
    if not partial and _is_equal(expected, called):
        return
    if isinstance(expected, Mapping) and isinstance(called, Mapping):
        names = expected if partial else dict.fromkeys([*expected, *called])
        for name in names:
            below = f"{path}.{name}" if path else str(name)
            old, new = expected.get(name, NOT_GIVEN), called.get(name, NOT_GIVEN)
            yield from _differences(below, old, new)
    elif isinstance(expected, list) and isinstance(called, list) and len(expected) == len(called):
        for number, (old, new) in enumerate(zip(expected, called, strict=True)):
            yield from _differences(f"{path}[{number}]", old, new)
    elif not partial or not _is_equal(expected, called):
        yield path or "(arguments)", expected, called


def _is_equal(expected: object, called: object) -> bool:
    return bool(expected == called)


def _follows(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: CallsMode) -> bool:
    if mode == "strict":
        return len(expected) == len(calls) and all(map(Expected.fits, expected, calls))
    left = iter(calls)
    return all(any(each.fits(call) for call in left) for each in expected)


def _rows_in_order(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: CallsMode) -> list[Row]:
    def score(i: int, j: int) -> float:
        if expected[i].name != calls[j].name:
            return 0.0
        return 3.0 if expected[i].fits(calls[j]) else 1.0

    rows: list[Row] = []
    for i, j in Comparison().best_pairs(len(expected), len(calls), score):
        row = _row(None if i is None else expected[i], None if j is None else calls[j])
        if mode == "in_order" and row.expected and row.call and row.expected.name != row.call.name:
            rows += [Row(row.expected, None), Row(None, row.call)]
        else:
            rows.append(row)
    return rows


def _row(expected: Expected | None, call: ToolCall | None) -> Row:
    return Row(expected, call, expected is not None and call is not None and expected.fits(call))


def _rows(expected: Sequence[Expected], calls: Sequence[ToolCall]) -> list[Row]:
    """Pair without regard to order: as many as can be, then those that share at least the name."""
    partner = _most_pairs(expected, calls)
    missing = [each for number, each in enumerate(expected) if number not in partner.values()]
    rows = []
    for place, call in enumerate(calls):
        if place in partner:
            rows.append(Row(expected[partner[place]], call, is_same=True))
            continue
        near = next((each for each in missing if each.name == call.name), None)
        if near is not None:
            missing.remove(near)
        rows.append(Row(near, call))
    return [*rows, *(Row(each, None) for each in missing)]


def _most_pairs(expected: Sequence[Expected], calls: Sequence[ToolCall]) -> dict[int, int]:
    """Return place of a call -> place of its expected call, with as many pairs as there can be.

    Expected calls with arguments choose first; one without takes any call of its name, so what they leave suffices.
    """
    partner: dict[int, int] = {}
    by_name: dict[str, list[int]] = {}
    for place, call in enumerate(calls):
        by_name.setdefault(call.name, []).append(place)
    for number in sorted(range(len(expected)), key=lambda each: expected[each].arguments is None):
        _place(
            number,
            partner,
            candidates=lambda each: by_name.get(expected[each].name, []),
            fits=lambda each, place: expected[each].fits(calls[place]),
        )
    return partner


def _place(
    number: int,
    partner: dict[int, int],
    candidates: Callable[[int], Iterable[int]],
    fits: Callable[[int, int], bool],
) -> None:
    """Find a call for the expected *number*, moving others to another call that also fits them."""
    came_from: dict[int, int] = {}  # call -> the expected call that reached it
    waiting = deque([number])
    while waiting:
        asking = waiting.popleft()
        for place in candidates(asking):
            if place in came_from or not fits(asking, place):
                continue
            came_from[place] = asking
            if place not in partner:
                _move(place, number, partner, came_from)
                return
            waiting.append(partner[place])


def _move(place: int, number: int, partner: dict[int, int], came_from: Mapping[int, int]) -> None:
    while True:
        owner = came_from[place]
        left = next((at for at, each in partner.items() if each == owner), None)
        partner[place] = owner
        if owner == number or left is None:
            return
        place = left
