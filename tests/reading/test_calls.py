"""Tool calls and LLM calls of a run, as values."""

from __future__ import annotations

import copy
import datetime
from dataclasses import replace

import pytest

from pytest_agenttape import values
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.calls import LLMCall, ToolCall, last_word, llm_calls, tool_calls
from tests.reading.runs import calls, chat, tool


def test_a_tool_call_is_its_name_and_more() -> None:
    made = Interaction(
        index=4, kind="tool", boundary="book", request={"args": {"to": "Rome"}}, response={"seats": 2}, latency_ms=12.5
    )
    (call,) = tool_calls([made])
    assert call == "book"
    assert [call] == ["book"]
    assert hash(call) == hash("book")
    assert (call.name, call.kind, call.index, call.latency_ms, call.parent) == ("book", "tool", 4, 12.5, None)
    assert (call.duration, repr([call])) == (12.5, "[book(to='Rome')]")
    assert repr([ToolCall("book", {"to": "Rome"}), ToolCall("book")]) == "[book(to='Rome'), 'book']"
    assert (call.arguments, call.result, call.error) == ({"to": "Rome"}, {"seats": 2}, None)


def test_arguments_and_results_come_back_typed_and_fresh() -> None:
    day = datetime.date(2026, 6, 17)
    made = Interaction(
        index=0,
        kind="tool",
        boundary="t",
        request={"args": {"day": values.encode(day)}},
        response=values.encode((1, 2)),
    )
    (call,) = tool_calls([made])
    assert call.arguments == {"day": day}
    assert call.result == (1, 2)
    call.arguments.clear()
    assert call.arguments == {"day": day}


def test_json_of_another_program_that_names_a_type_of_its_own_stays_json() -> None:
    shape = {"shape": {"$type": "circle", "r": 1}}
    [call] = tool_calls([Interaction(index=0, kind="tool", boundary="draw", request={"args": shape}, response=shape)])
    assert call.arguments == call.result == shape
    assert call.arguments["shape"] is not shape["shape"]


def test_a_raised_exception_is_the_error_of_the_call() -> None:
    stored = values.encode_error(KeyError("seat"))
    (call,) = tool_calls([Interaction(index=0, kind="tool", boundary="t", request={"args": {}}, error=stored)])
    assert isinstance(call.error, KeyError)
    assert call.result is None


def test_the_result_of_a_stream_is_its_items() -> None:
    made = Interaction(
        index=0, kind="tool", boundary="t", request={"args": {}}, response={"$stream": {"items": [1, 2], "return": 3}}
    )
    assert tool_calls([made])[0].result == [1, 2]


def test_tool_calls_are_tools_and_retrievals() -> None:
    kinds = ("tool", "retrieval", "memory_read", "memory_write", "llm", "http")
    assert tool_calls([tool(n, kind, kind=kind) for n, kind in enumerate(kinds)]) == ["tool", "retrieval"]


RECORDED = [tool(0, "plan"), tool(1, "search"), tool(2, "geocode", parent=0), tool(3, "cache", parent=2)]
REPLAYED = [tool(0, "plan"), tool(1, "geocode", parent=0), tool(2, "cache", parent=1), tool(3, "search")]


@pytest.mark.parametrize("run", [RECORDED, REPLAYED], ids=["recorded-concurrently", "replayed"])
def test_nested_calls_follow_their_parent(run: list[Interaction]) -> None:
    found = tool_calls(run)
    assert found == ["plan", "geocode", "cache", "search"]
    assert [call.parent for call in found] == [None, "plan", "geocode", None]


def test_the_parent_is_the_nearest_call_that_is_listed() -> None:
    run = [tool(0, "plan"), tool(1, "remember", parent=0, kind="memory_read"), tool(2, "geocode", parent=1)]
    assert [call.parent for call in tool_calls(run)] == [None, "plan"]


def test_a_parent_that_cannot_be_is_none() -> None:
    run = [tool(0, "a", parent=1), tool(1, "b", parent=1), replace(tool(2, "c"), metadata={"parent": [0]})]
    assert [(call, call.parent) for call in tool_calls(run)] == [("a", None), ("b", None), ("c", None)]


def test_a_tool_call_can_be_copied() -> None:
    (call,) = calls(("book", {"to": "Rome"}))
    assert copy.copy(call).arguments == {"to": "Rome"}


def test_an_llm_call_is_read_by_its_provider() -> None:
    (call,) = llm_calls([chat(3, "", ("book", '{"to":"Rome"}'), input_tokens=10, output_tokens=5, total_tokens=15)])
    assert (call.index, call.provider, call.operation, call.model) == (3, "openai", "chat", "gpt-4o")
    assert call.answered_by == "gpt-4o-2026-01-01"
    assert call.messages == [{"role": "user", "content": "Weather?"}]
    assert [(each.name, each.arguments) for each in call.tool_calls] == [("book", {"to": "Rome"})]
    assert call.usage == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}


def test_an_llm_call_that_user_code_drew_says_what_it_can() -> None:
    asked = {"args": {"model": "own", "messages": [{"role": "user", "content": "hi"}]}}
    call = LLMCall.of(Interaction(index=0, kind="llm", boundary="mine", request=asked, response="hello"))
    assert (call.model, call.text, call.provider) == ("own", "hello", None)
    assert call.messages == [{"role": "user", "content": "hi"}]


LAST = {
    "nothing": ([], None),
    "an answer": ([chat(0, "hi"), tool(1)], "hi"),
    "the last answer": ([chat(0, "hi"), chat(1, "ho")], "ho"),
    "the last answer with a text": ([chat(0, "hi"), chat(1, "", ("book", "{}"))], "hi"),
    "a tool's result": ([tool(0), tool(1, kind="http")], "done"),
    "a memory's result": ([tool(0, kind="memory_read")], "done"),
}


@pytest.mark.parametrize("case", LAST)
def test_the_last_word(case: str) -> None:
    run, expected = LAST[case]
    assert last_word(run) == expected
