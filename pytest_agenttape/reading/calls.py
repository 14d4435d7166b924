"""What the agent did, as values to assert on: its tool calls and LLM calls, and how they differ from those expected."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Self

from pytest_agenttape import values
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.model import JSON, Interaction, unknown_name
from pytest_agenttape.providers import RequestedTool, operation_of, read_answer, read_messages
from pytest_agenttape.reading.json_diff import Comparison
from pytest_agenttape.reading.one_line import double_quoted, shown_pair, visible
from pytest_agenttape.reading.summary import TokenTotals, count_tokens

TOOL_KINDS = ("tool", "retrieval")

MODES: Mapping[str, str] = {
    "strict": "exactly these calls, in this order",
    "unordered": "exactly these calls, in any order",
    "subset": "no call beyond these, in any order; not all of them need to be made",
    "superset": "at least these calls, in any order; others may be made too",
    "in_order": "at least these calls, in this order; others may come between",
}
_ORDERED = ("strict", "in_order")
# What the modes tolerate: a call that was not expected, an expected call that was not made.
_EXTRA_IS_FINE = ("superset", "in_order")
_MISSING_IS_FINE = ("subset",)

_SHAPES = "a name, (name, {argument: value}), or an object with .name and .arguments"
_PLAIN_TYPES = (str, bytes, int, float, list, tuple, set, frozenset, type(None))
_COLUMN = 56  # widest left column of an aligned difference
_MOST_ROWS = 60
_ABSENT: Final = object()


class ToolCall(str):
    """A call of a tool or retrieval: equal to its name, and rich.

    Attributes:
        kind: ``tool`` or ``retrieval``.
        index: Its place among all interactions of the run.
        parent: The call whose body made it; None for the agent's own.
        duration: Milliseconds the live call took; None when that is not known.
    """

    kind: str
    index: int  # type: ignore[assignment]  # the word of the cassette; str.index is not missed on a name
    parent: ToolCall | None
    duration: float | None
    _recorded: Interaction | None
    _given: object
    _compared: Any

    def __new__(cls, name: str, arguments: object = None) -> Self:
        """Make a call to expect: *arguments* that are not given may be anything."""
        call = super().__new__(cls, name)
        call.kind, call.index, call.parent, call.duration = "tool", -1, None, None
        call._recorded, call._given, call._compared = None, arguments, None
        return call

    @classmethod
    def of(cls, recorded: Interaction, parent: ToolCall | None = None) -> Self:
        """Return the call that *recorded* is a recording of."""
        call = cls(recorded.boundary or recorded.kind)
        call.kind, call.index = recorded.kind, recorded.index
        call.parent, call.duration = parent, recorded.latency_ms
        call._recorded = recorded
        return call

    @property
    def name(self) -> str:
        """The boundary's name."""
        return str(self)

    @property
    def arguments(self) -> Any:
        """The arguments by name, as the call got them; a fresh copy each time."""
        if self._recorded is None:
            return self._given
        request = self._recorded.request
        return values.decode(request.get("args", request))

    @property
    def compared(self) -> Any:
        """The arguments for looking only: one copy, however often a test compares."""
        if self._compared is None:
            self._compared = self.arguments
        return self._compared

    @property
    def result(self) -> Any:
        """What the call returned (a list of the items of a stream), a fresh copy; None when it raised."""
        return None if self._recorded is None else _result_of(self._recorded)

    @property
    def error(self) -> BaseException | None:
        """The exception that the call raised."""
        if self._recorded is None or self._recorded.error is None:
            return None
        return values.decode_error(self._recorded.error)


@dataclass(frozen=True, slots=True)
class LLMCall:
    """A call of a model.

    Attributes:
        index: Its place among all interactions of the run.
        provider: Who was asked, such as ``openai``.
        operation: ``chat``, ``embeddings`` or ``generate_content``.
        model: The model that was asked for.
        answered_by: The model that the answer names, often with a date.
        messages: The conversation sent, as ``{"role", "content", "tool_calls"?, "tool_call_id"?}``.
        text: What the model said.
        tool_calls: The tools that the model asked for, each with ``name`` and ``arguments``.
        usage: Its tokens; estimated where the answer had no usage block.
        latency: Milliseconds the live call took.
        error: The message of the failure that came back.
    """

    index: int
    provider: str | None
    operation: str | None
    model: str | None
    answered_by: str | None
    messages: list[dict[str, JSON]]
    text: str
    tool_calls: tuple[RequestedTool, ...]
    usage: dict[str, int]
    latency: float | None
    error: str | None = None

    @classmethod
    def of(cls, recorded: Interaction) -> Self:
        """Return the call that *recorded* is a recording of, read by the view of its provider."""
        operation = operation_of(recorded)
        if operation is None or not isinstance(recorded.response, dict):
            return cls._plain(recorded)
        answer = read_answer(operation, recorded.response)
        return cls(
            index=recorded.index,
            provider=operation.provider,
            operation=operation.operation,
            model=operation.model,
            answered_by=answer.model,
            messages=read_messages(operation, recorded.request),
            text=answer.text,
            tool_calls=answer.tool_calls,
            usage={**(answer.usage or {}), **_usage(count_tokens(recorded))},
            latency=recorded.latency_ms,
            error=answer.error,
        )

    @classmethod
    def _plain(cls, recorded: Interaction) -> Self:
        """Return a call that failed without an answer, or that user code drew as kind ``llm``."""
        operation = operation_of(recorded)
        arguments = recorded.request.get("args", recorded.request)
        told: Mapping[str, JSON] = {**(arguments if isinstance(arguments, dict) else {}), **recorded.metadata}
        messages = read_messages(operation, recorded.request) if operation else told.get("messages")
        error = recorded.error
        return cls(
            index=recorded.index,
            provider=_text_or_none(told.get("provider")),
            operation=_text_or_none(told.get("operation")),
            model=_text_or_none(told.get("model")),
            answered_by=None,
            messages=[each for each in messages if isinstance(each, dict)] if isinstance(messages, list) else [],
            text=recorded.response if isinstance(recorded.response, str) else "",
            tool_calls=(),
            usage=_usage(count_tokens(recorded)),
            latency=recorded.latency_ms,
            error=None if error is None else error_text(error),
        )


def in_call_order(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Return *interactions* with each nested call right after the one that made it: as recorded and as replayed."""
    known = {each.index for each in interactions}
    children: dict[int | None, list[Interaction]] = {}
    for each in interactions:
        parent = each.metadata.get("parent")
        above = parent if isinstance(parent, int) and parent in known and parent < each.index else None
        children.setdefault(above, []).append(each)
    ordered: list[Interaction] = []
    waiting = [*reversed(children.get(None, ()))]
    while waiting:
        each = waiting.pop()
        ordered.append(each)
        waiting += reversed(children.get(each.index, ()))
    return ordered


def tool_calls(interactions: Sequence[Interaction]) -> list[ToolCall]:
    """Return the calls of tools and retrievals in the order of the agent, nested ones after their parent."""
    calls: list[ToolCall] = []
    above: dict[int, ToolCall | None] = {}
    for each in in_call_order(interactions):
        parent = above.get(each.metadata.get("parent", -1))
        above[each.index] = parent
        if each.kind in TOOL_KINDS:
            above[each.index] = call = ToolCall.of(each, parent)
            calls.append(call)
    return calls


def llm_calls(interactions: Sequence[Interaction]) -> list[LLMCall]:
    """Return the calls of models in the order of the agent."""
    return [LLMCall.of(each) for each in in_call_order(interactions) if each.kind == "llm"]


def last_word(interactions: Sequence[Interaction]) -> Any:
    """Return the text of the last LLM answer that has one, else the last result of a boundary, else None."""
    ordered = in_call_order(interactions)
    for each in reversed(ordered):
        if each.kind == "llm" and (text := LLMCall.of(each).text):
            return text
    for each in reversed(ordered):
        if each.kind not in ("llm", "http") and each.error is None:
            return _result_of(each)
    return None


def error_text(error: Mapping[str, JSON]) -> str:
    """Return a stored exception as Python would show it: ``ValueError: no seats``."""
    name, message = error.get("type", "Exception"), error.get("message", "")
    return f"{name}: {message}" if message else str(name)


def parse_mode(mode: object) -> str:
    """Return *mode*.

    Raises:
        ConfigError: It is not one of `MODES`.
    """
    if not isinstance(mode, str) or mode not in MODES:
        raise unknown_name("mode of assert_tool_calls", mode, MODES)
    return mode


@dataclass(frozen=True, slots=True)
class Expected:
    """A tool call to expect; `arguments` are those that matter, None when none do."""

    name: str
    arguments: Any = None  # what a user compares with: a mapping, or anything whose == decides

    def fits(self, call: ToolCall) -> bool:
        """Say whether *call* is the expected one."""
        return self.name == call.name and (self.arguments is None or not any(self.differences(call)))

    def differences(self, call: ToolCall) -> Iterator[tuple[str, object, object]]:
        """Yield (path, expected, called with) of each argument that differs."""
        if self.arguments is not None:
            yield from _differences("", self.arguments, call.compared, partial=True)

    def __str__(self) -> str:
        if self.arguments is None:
            return visible(self.name, _COLUMN)
        return _shown_call(self.name, self.arguments)


def parse_expected(given: object, what: str = "assert_tool_calls", *, mode: str = "unordered") -> list[Expected]:
    """Return the expected calls that a test names.

    Raises:
        ConfigError: *given* is not a list, or has no order where *mode* compares one, or an item has another shape than
            those allowed.
    """
    if mode in _ORDERED and isinstance(given, Set):
        raise ConfigError(f"{what}: mode {mode!r} compares the order, and a set has none; give a list")
    if isinstance(given, str) and not isinstance(given, ToolCall):
        raise ConfigError(f"{what} takes a list; for one call write [{given!r}]")
    if isinstance(given, Mapping | bytes | ToolCall) or not isinstance(given, Iterable):
        raise ConfigError(f"{what} takes a list of calls, found {visible(repr(given), 80)}")
    return [_parse_item(item, f"{what}: item {number}") for number, item in enumerate(given)]


def calls_problem(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: str) -> str | None:
    """Return how *calls* differ from those expected under *mode*, for a reader; None when they do not."""
    if mode in _ORDERED and _follows(expected, calls, mode):
        return None
    rows = _rows_in_order(expected, calls, mode) if mode in _ORDERED else _rows(expected, calls)
    wrong = [row for row in rows if row.is_wrong(mode)]
    return _rendered(rows, wrong[0], mode) if wrong else None


def forbidden_problem(forbidden: Sequence[Expected], calls: Sequence[ToolCall]) -> str | None:
    """Return which of *calls* must not have been made; None when there is none."""
    found = [call for call in calls if any(each.fits(call) for each in forbidden)]
    if not found:
        return None
    return "forbidden tool calls were made:\n" + "\n".join(f"  {shown_call(call)}" for call in found[:_MOST_ROWS])


def count_problem(calls: Sequence[ToolCall], most: int) -> str | None:
    """Return that there are more than *most* calls; None when there are not."""
    if len(calls) <= most:
        return None
    lines = [f"  {shown_call(call)}" for call in calls[:_MOST_ROWS]]
    return f"{len(calls)} tool calls were made, {most} are allowed (max_calls):\n" + "\n".join(lines)


def requests_problem(interactions: Sequence[Interaction], ignore: frozenset[str] = frozenset()) -> str | None:
    """Return which tools a model asked for that never ran, and which ran unasked; None when there are none.

    A call counts as asked for when an earlier answer asks for its name, once for each call. Calls made by other tools
    need no asking, nor do retrievals and memory, which agents use by themselves.
    """
    asked: dict[str, deque[tuple[int, RequestedTool]]] = {}
    unasked = []
    for each in in_call_order(interactions):
        name = each.boundary or each.kind
        if each.kind == "llm":
            for requested in LLMCall.of(each).tool_calls:
                asked.setdefault(requested.name, deque()).append((each.index, requested))
        elif asked.get(name):
            asked[name].popleft()
        elif each.kind == "tool" and "parent" not in each.metadata and name not in ignore:
            unasked.append(f"  {shown_call(ToolCall.of(each))} ran, and no model asked for it")
    lines = [
        f"  #{index} asked for {_shown_call(call.name, call.arguments)}, which never ran"
        for index, call in _left(asked, ignore)
    ]
    if not lines and not unasked:
        return None
    return "tool calls and the models' requests do not match:\n" + "\n".join([*lines, *unasked])


def llm_problem(
    calls: Sequence[LLMCall], *, count: int | None, most: int | None, model: object, provider: object
) -> str | None:
    """Return why *calls* are not those expected; None when they are. Without a number at least one is."""
    chosen = [call for call in calls if _is_by(call, model, provider)]
    is_enough = bool(chosen) if count is None and most is None else count in (None, len(chosen))
    if is_enough and (most is None or len(chosen) <= most):
        return None
    words = "".join(f" of {what} {value!r}" for what, value in (("model", model), ("provider", provider)) if value)
    lines = [f"  {'=' if call in chosen else ' '} {shown_llm_call(call)}" for call in calls[:_MOST_ROWS]]
    head = f"{_wanted(count, most)} LLM calls{words} were expected, {len(chosen)} were made"
    return "\n".join([f"{head}; all LLM calls of the run:", *(lines or ["  (none)"])])


def shown_call(call: ToolCall) -> str:
    """Return one line for *call*: ``#3 book(to='Rome')``."""
    return f"#{call.index} {_shown_call(call.name, call.arguments)}"


def shown_llm_call(call: LLMCall) -> str:
    """Return one line for *call*: ``#0 openai gpt-4o: "It rains"``."""
    said = [double_quoted(call.text)] if call.text else []
    said += [f"asks for {_shown_call(each.name, each.arguments)}" for each in call.tool_calls]
    if call.error:
        said.append(f"failed: {visible(call.error, 60)}")
    return f"#{call.index} {call.provider or 'llm'} {call.model or '(no model)'}: {', '.join(said) or '(no text)'}"


# Below: how


@dataclass(frozen=True, slots=True)
class _Row:
    """What stands side by side in an aligned difference; one side is None when only the other has the call."""

    expected: Expected | None
    call: ToolCall | None
    is_same: bool = False

    def is_wrong(self, mode: str) -> bool:
        if self.expected is None:
            return mode not in _EXTRA_IS_FINE
        if self.call is None:
            return mode not in _MISSING_IS_FINE
        return not self.is_same

    def sign(self, mode: str) -> str:
        if self.is_same:
            return "="
        if not self.is_wrong(mode):
            return " "
        return "+" if self.expected is None else "-" if self.call is None else "~"


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


def _follows(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: str) -> bool:
    if mode == "strict":
        return len(expected) == len(calls) and all(map(Expected.fits, expected, calls))
    left = iter(calls)
    return all(any(each.fits(call) for call in left) for each in expected)


def _rows_in_order(expected: Sequence[Expected], calls: Sequence[ToolCall], mode: str) -> list[_Row]:
    def score(i: int, j: int) -> float:
        if expected[i].name != calls[j].name:
            return 0.0
        return 3.0 if expected[i].fits(calls[j]) else 1.0

    rows: list[_Row] = []
    for i, j in Comparison().best_pairs(len(expected), len(calls), score):
        row = _row(None if i is None else expected[i], None if j is None else calls[j])
        if mode == "in_order" and row.expected and row.call and row.expected.name != row.call.name:
            rows += [_Row(row.expected, None), _Row(None, row.call)]
        else:
            rows.append(row)
    return rows


def _row(expected: Expected | None, call: ToolCall | None) -> _Row:
    return _Row(expected, call, expected is not None and call is not None and expected.fits(call))


def _rows(expected: Sequence[Expected], calls: Sequence[ToolCall]) -> list[_Row]:
    """Pair without regard to order: as many as can be, then those that share at least the name."""
    partner = _most_pairs(expected, calls)
    missing = [each for number, each in enumerate(expected) if number not in partner.values()]
    rows = []
    for place, call in enumerate(calls):
        if place in partner:
            rows.append(_Row(expected[partner[place]], call, is_same=True))
            continue
        near = next((each for each in missing if each.name == call.name), None)
        if near is not None:
            missing.remove(near)
        rows.append(_Row(near, call))
    return [*rows, *(_Row(each, None) for each in missing)]


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
    """Find a call for the expected *number*, moving others to another call that fits them as well."""
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


def _rendered(rows: Sequence[_Row], first: _Row, mode: str) -> str:
    left = {id(row): str(row.expected) if row.expected else "(not expected)" for row in rows}
    width = min(max(map(len, [*left.values(), "expected"])), _COLUMN)
    start = max(0, rows.index(first) - _MOST_ROWS // 2)
    lines = [
        f"the tool calls are not those expected (mode {mode}: {MODES[mode]})",
        f"first divergence: {_divergence(rows, first)}",
        "",
        f"    {'expected':<{width}}  the run",
    ]
    lines += [f"    … {start} more"] if start else []
    for row in rows[start : start + _MOST_ROWS]:
        made = shown_call(row.call) if row.call else "(not made)"
        lines.append(f"  {row.sign(mode)} {left[id(row)]:<{width}}  {made}")
        lines += _argument_lines(row)
    more = len(rows) - start - _MOST_ROWS
    return "\n".join([*lines, *([f"    … {more} more"] if more > 0 else [])])


def _divergence(rows: Sequence[_Row], row: _Row) -> str:
    if row.expected is None:
        assert row.call is not None
        return f"{shown_call(row.call)} was not expected"
    if row.call is None:
        before = [each.call for each in rows[: rows.index(row)] if each.call]
        return f"{row.expected} was not made{f' after {shown_call(before[-1])}' if before else ''}"
    names = [path for path, _, _ in row.expected.differences(row.call)]
    if row.expected.name != row.call.name:
        return f"{shown_call(row.call)} came in place of {row.expected}"
    return f"{shown_call(row.call)} differs at {', '.join(names[:5])}"


def _argument_lines(row: _Row) -> list[str]:
    if row.is_same or row.expected is None or row.call is None or row.expected.name != row.call.name:
        return []
    lines = []
    for path, expected, called in [*row.expected.differences(row.call)][:10]:
        before, after = _pair(expected, called)
        lines.append(f"      {path}: expected {before}, called with {after}")
    return lines


def _pair(expected: object, called: object) -> tuple[str, str]:
    if called is _ABSENT or expected is _ABSENT:
        shown = [("(absent)" if each is _ABSENT else visible(repr(each), 60)) for each in (expected, called)]
        return shown[0], shown[1]
    if isinstance(expected, str | int | float | None) and isinstance(called, str | int | float | None):
        return shown_pair(expected, called, 60)
    return visible(repr(expected), 60), visible(repr(called), 60)


def _differences(
    path: str, expected: object, called: object, *, partial: bool = False
) -> Iterator[tuple[str, object, object]]:
    """Yield the smallest differing parts; what a test gives decides by its own ``==``, part by part."""
    if not partial and _is_equal(expected, called):
        return
    if isinstance(expected, Mapping) and isinstance(called, Mapping):
        names = expected if partial else dict.fromkeys([*expected, *called])
        for name in names:
            below = f"{path}.{name}" if path else str(name)
            old, new = expected.get(name, _ABSENT), called.get(name, _ABSENT)
            yield from _differences(below, old, new)
    elif isinstance(expected, list) and isinstance(called, list) and len(expected) == len(called):
        for number, (old, new) in enumerate(zip(expected, called, strict=True)):
            yield from _differences(f"{path}[{number}]", old, new)
    elif not partial or not _is_equal(expected, called):
        yield path or "(arguments)", expected, called


def _is_equal(expected: object, called: object) -> bool:
    return bool(expected == called)


def _shown_call(name: str, arguments: object) -> str:
    if not isinstance(arguments, Mapping):
        return visible(f"{name}({'' if arguments is None else repr(arguments)})", _COLUMN)
    shown = ", ".join(f"{key}={visible(repr(value), 32)}" for key, value in arguments.items())
    return visible(f"{name}({shown})", _COLUMN)


def _left(
    asked: Mapping[str, Iterable[tuple[int, RequestedTool]]], ignore: frozenset[str]
) -> list[tuple[int, RequestedTool]]:
    found = [each for name, calls in asked.items() if name not in ignore for each in calls]
    return sorted(found, key=lambda each: each[0])


def _is_by(call: LLMCall, model: object, provider: object) -> bool:
    is_model = model is None or model == call.model or model == call.answered_by
    return bool(is_model) and (provider is None or bool(provider == call.provider))


def _wanted(count: int | None, most: int | None) -> str:
    if count is not None:
        return str(count)
    return "some" if most is None else f"at most {most}"


def _result_of(recorded: Interaction) -> Any:
    response = recorded.response
    if isinstance(response, dict) and isinstance(response.get("$stream"), dict):
        return [values.decode(item) for item in response["$stream"].get("items") or ()]
    return values.decode(response)


def _usage(counted: TokenTotals) -> dict[str, int]:
    return {"input_tokens": counted.input, "output_tokens": counted.output, "total_tokens": counted.total}


def _text_or_none(value: JSON) -> str | None:
    return value if isinstance(value, str) and value else None
