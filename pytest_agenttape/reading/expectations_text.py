"""What a failed assertion about calls says."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from pytest_agenttape.matching.call_tree import in_call_order, parent_of
from pytest_agenttape.model import Interaction
from pytest_agenttape.providers import RequestedTool
from pytest_agenttape.reading.calls import LLMCall, ToolCall
from pytest_agenttape.reading.expectations import MODES, NOT_GIVEN, CallsMode, Expected, Row, compared
from pytest_agenttape.reading.forgotten import forgotten_tools
from pytest_agenttape.reading.one_line import double_quoted, shown_pair, visible

_COLUMN = 56  # widest left column of an aligned difference
_MOST_ROWS = 60


def calls_problem(
    expected: Sequence[Expected], calls: Sequence[ToolCall], mode: CallsMode, run: Sequence[Interaction] = ()
) -> str | None:
    """Return how *calls*, those of tools in *run*, differ from those expected under *mode*; None if they do not."""
    rows = compared(expected, calls, mode)
    if not rows:
        return None
    forgotten = ", ".join(forgotten_tools(run))
    hint = f"\n{forgotten} ran for real and crossed no boundary: put @tool above it" if forgotten else ""
    return _rendered(rows, mode) + hint


def forbidden_problem(forbidden: Sequence[Expected], calls: Sequence[ToolCall]) -> str | None:
    """Return which of *calls* must not have been made; None if there are none."""
    found = [call for call in calls if any(each.fits(call) for each in forbidden)]
    if not found:
        return None
    return "forbidden tool calls were made:\n" + "\n".join(f"  {shown_call(call)}" for call in found[:_MOST_ROWS])


def count_problem(calls: Sequence[ToolCall], most: int) -> str | None:
    """Return which calls were made if there are more than *most*, else None."""
    if len(calls) <= most:
        return None
    lines = [f"  {shown_call(call)}" for call in calls[:_MOST_ROWS]]
    return f"{len(calls)} tool calls were made, {most} are allowed (max_calls):\n" + "\n".join(lines)


def requests_problem(interactions: Sequence[Interaction], ignore: frozenset[str] = frozenset()) -> str | None:
    """Return which tools a model asked for that never ran, and which ran unasked; None if there are none.

    A call counts as asked for when an earlier answer asks for its name, once for each call. Calls made by other tools
    need no asking, nor do retrievals and memory, which agents use on their own.
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
        elif each.kind == "tool" and parent_of(each) is None and name not in ignore:
            unasked.append(f"  {shown_call(ToolCall.of(each))} ran, but no model asked for it")
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
    """Return why *calls* are not those expected, by default at least one; None if they are."""
    chosen = [call for call in calls if _is_by(call, model, provider)]
    is_enough = bool(chosen) if count is None and most is None else count in (None, len(chosen))
    if is_enough and (most is None or len(chosen) <= most):
        return None
    words = "".join(f" of {what} {value!r}" for what, value in (("model", model), ("provider", provider)) if value)
    lines = [f"  {'=' if call in chosen else ' '} {shown_llm_call(call)}" for call in calls[:_MOST_ROWS]]
    wanted = _wanted(None if count == len(chosen) else count, most)
    head = f"{wanted} LLM calls{words} were expected, {len(chosen)} were made"
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


def _rendered(rows: Sequence[Row], mode: CallsMode) -> str:
    first = next(row for row in rows if row.is_wrong(mode))
    left = {id(row): _shown_expected(row.expected) if row.expected else "(not expected)" for row in rows}
    width = min(max(map(len, [*left.values(), "expected"])), _COLUMN)
    start = max(0, rows.index(first) - _MOST_ROWS // 2)
    lines = [
        f"the tool calls are not the expected ones (mode {mode}: {MODES[mode]})",
        f"first divergence: {_divergence(rows, first)}",
        "",
        f"    {'expected':<{width}}  the run",
    ]
    lines += [f"    … {start} more"] if start else []
    for row in rows[start : start + _MOST_ROWS]:
        made = shown_call(row.call) if row.call else "(not made)"
        lines.append(f"  {_sign(row, mode)} {left[id(row)]:<{width}}  {made}")
        lines += _argument_lines(row)
    more = len(rows) - start - _MOST_ROWS
    return "\n".join([*lines, *([f"    … {more} more"] if more > 0 else [])])


def _sign(row: Row, mode: CallsMode) -> str:
    if row.is_same:
        return "="
    if not row.is_wrong(mode):
        return " "
    return "+" if row.expected is None else "-" if row.call is None else "~"


def _divergence(rows: Sequence[Row], row: Row) -> str:
    if row.expected is None:
        assert row.call is not None
        return f"{shown_call(row.call)} was not expected"
    if row.call is None:
        before = [each.call for each in rows[: rows.index(row)] if each.call]
        return f"{_shown_expected(row.expected)} was not made{f' after {shown_call(before[-1])}' if before else ''}"
    names = [path for path, _, _ in row.expected.differences(row.call)]
    if row.expected.name != row.call.name:
        return f"{shown_call(row.call)} was made instead of {_shown_expected(row.expected)}"
    return f"{shown_call(row.call)} differs at {', '.join(names[:5])}"


def _argument_lines(row: Row) -> list[str]:
    if row.is_same or row.expected is None or row.call is None or row.expected.name != row.call.name:
        return []
    lines = []
    for path, expected, called in [*row.expected.differences(row.call)][:10]:
        before, after = _pair(expected, called)
        lines.append(f"      {path}: expected {before}, called with {after}")
    return lines


def _pair(expected: object, called: object) -> tuple[str, str]:
    if called is NOT_GIVEN or expected is NOT_GIVEN:
        shown = [("(absent)" if each is NOT_GIVEN else visible(repr(each), 60)) for each in (expected, called)]
        return shown[0], shown[1]
    if isinstance(expected, str | int | float | None) and isinstance(called, str | int | float | None):
        return shown_pair(expected, called, 60)
    return visible(repr(expected), 60), visible(repr(called), 60)


def _shown_expected(expected: Expected) -> str:
    if expected.arguments is None:
        return visible(expected.name, _COLUMN)
    return _shown_call(expected.name, expected.arguments)


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
    is_model = model is None or model in (call.requested_model, call.model, call.answered_by)
    return bool(is_model) and (provider is None or bool(provider == call.provider))


def _wanted(count: int | None, most: int | None) -> str:
    if count is not None:
        return str(count)
    return "some" if most is None else f"at most {most}"
