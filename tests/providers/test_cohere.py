"""A protocol is one module and its line: recorded, replayed, read and compared like those known before."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import Cassette, diff_cassettes, use_cassette
from pytest_agenttape.bodies import encode_body
from pytest_agenttape.matching.headers import is_transport_header
from pytest_agenttape.model import Interaction
from pytest_agenttape.providers import Answer, Operation, RequestedTool, identify, read_answer, read_messages
from pytest_agenttape.providers.streams import is_last_event
from pytest_agenttape.providers.wording import message_at
from tests.standin import StandInProvider, raw

URL = "https://api.cohere.com/v2/chat"
OPERATION = Operation("cohere", "chat", "cohere.chat", "command-x")
WEATHER = RequestedTool("c1", "weather", {"city": "Paris"})
TOKENS = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}

REQUEST = {
    "model": "command-x",
    "stream": True,
    "messages": [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
        {
            "role": "assistant",
            "tool_plan": "I will look it up.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "document", "document": {"data": "sunny", "id": "d1"}}],
        },
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}],
}
WHOLE = {
    "id": "m1",
    "message": {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello"}],
        "tool_plan": "I will look it up.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
        ],
    },
    "finish_reason": "COMPLETE",
    "usage": {
        "billed_units": {"input_tokens": 1, "output_tokens": 5},
        "tokens": {"input_tokens": 10, "output_tokens": 5},
    },
}


def events(
    run: str, plan: tuple[str, ...] = ("I will", " look."), said: tuple[str, ...] = ("Hel", "lo")
) -> list[bytes]:
    """Return the stream of one answer; *run* goes into its ids, *plan* and *said* into as many deltas."""

    def message(index: int | None = None, **parts: Any) -> dict[str, Any]:
        return {**({} if index is None else {"index": index}), "delta": {"message": parts}}

    call = {"id": f"c{run}", "type": "function", "function": {"name": "weather", "arguments": ""}}
    listed = [
        ("message-start", {"id": f"m{run}", **message(role="assistant", content=[], tool_plan="", tool_calls=[])}),
        *(("tool-plan-delta", message(tool_plan=piece)) for piece in plan),
        ("content-start", message(0, content={"type": "text", "text": ""})),
        *(("content-delta", message(0, content={"text": piece})) for piece in said),
        ("content-end", {"index": 0}),
        ("tool-call-start", message(0, tool_calls=call)),
        ("tool-call-delta", message(0, tool_calls={"function": {"arguments": '{"city":'}})),
        ("tool-call-delta", message(0, tool_calls={"function": {"arguments": '"Paris"}'}})),
        ("tool-call-end", {"index": 0}),
        ("message-end", {"delta": {"finish_reason": "COMPLETE", "usage": WHOLE["usage"]}}),
    ]
    return [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode() for name, data in listed]


def stored(*chunks: bytes) -> dict[str, Any]:
    return {"status": 200, "headers": {}, **encode_body(b"".join(chunks), "text/event-stream")}


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:9/proxy/v2/chat/?x=1"])
def test_a_chat_is_recognised_by_path_and_body(url: str) -> None:
    assert identify("POST", url, REQUEST) == OPERATION
    assert identify("GET", url, REQUEST) is None


@pytest.mark.parametrize(
    ("url", "body"),
    [
        pytest.param("https://api.cohere.com/v1/chat", REQUEST, id="version-1"),
        pytest.param(URL, {"model": "command-x", "message": "hi"}, id="no-messages"),
        pytest.param(URL, {"messages": REQUEST["messages"]}, id="no-model"),
        pytest.param(URL, {"model": "m", "messages": ["hi"]}, id="messages-of-another-kind"),
    ],
)
def test_anything_else_is_plain_http(url: str, body: object) -> None:
    assert identify("POST", url, body) is None


def test_the_messages_are_read() -> None:
    assert read_messages(OPERATION, {"json": REQUEST}) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi\nthere"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "name": "weather", "arguments": {"city": "Paris"}}],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
    ]


def test_its_messages_are_called_by_who_says_them() -> None:
    found = [message_at(f"json.messages[{place}].content", {"json": REQUEST}) for place in range(4)]
    assert [each[0] for each in found if each] == [
        *("the system prompt", "the user's message", "the model's message", "a tool result")
    ]


def test_the_answer_reads_the_same_whole_and_in_events() -> None:
    answer = Answer("Hello", (WEATHER,), TOKENS, None, "COMPLETE")
    assert read_answer(OPERATION, {"status": 200, "json": WHOLE}) == answer
    assert read_answer(OPERATION, stored(*events("1"))) == answer


def test_a_stream_cut_anywhere_gives_what_was_there() -> None:
    raw_stream = b"".join(events("1"))
    for end in range(0, len(raw_stream), 7):
        answer = read_answer(OPERATION, stored(raw_stream[:end]))
        assert "Hello".startswith(answer.text)
        assert len(answer.tool_calls) <= 1


def test_tool_calls_of_one_stream_stay_apart() -> None:
    starts = [
        {
            "type": "tool-call-start",
            "index": index,
            "delta": {"message": {"tool_calls": {"id": name, "function": {"name": name, "arguments": "{}"}}}},
        }
        for index, name in enumerate("fg")
    ]
    answer = read_answer(OPERATION, {"status": 200, "events": [{"data": each} for each in starts]})
    assert answer.tool_calls == (RequestedTool("f", "f", {}), RequestedTool("g", "g", {}))


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        ({"billed_units": {"input_tokens": 1, "output_tokens": 2}}, {"input_tokens": 1, "output_tokens": 2}),
        ({"tokens": {"input_tokens": 3, "output_tokens": 4}, "cached_tokens": 2}, {"cached_tokens": 2}),
        ({}, None),
    ],
    ids=["only-billed", "cached", "none"],
)
def test_other_counts_are_read(usage: dict[str, Any], read: dict[str, int] | None) -> None:
    found = read_answer(OPERATION, {"status": 200, "json": {**WHOLE, "usage": usage}}).usage
    assert found is None if read is None else found is not None and found.items() >= read.items()


def test_an_error_is_read() -> None:
    response = {"status": 401, "json": {"id": "e1", "message": "no valid api key supplied"}}
    assert read_answer(OPERATION, response).error == "no valid api key supplied"


def test_only_the_last_event_ends_a_stream() -> None:
    listed = stored(*events("1"))["events"]
    assert [is_last_event(each) for each in listed] == [False] * (len(listed) - 1) + [True]


class Api:
    """Cohere's API on the loopback interface, and an agent that asks it."""

    def __init__(self, provider: StandInProvider) -> None:
        self._provider = provider

    def answers(self, chunks: list[bytes], run: str = "1") -> None:
        headers = {"content-type": "text/event-stream", "x-debug-trace-id": run, "x-trial-endpoint-call-remaining": run}
        self._provider.reply(raw(chunks, headers, chunk_delay=0.01), to="/v2/chat")

    def ask(self, take: int | None = None) -> bytes:
        """Ask and read *take* events, or all."""
        got = b""
        with httpx.stream("POST", f"{self._provider.url}/v2/chat", json=REQUEST) as response:
            for chunk in response.iter_raw():
                got += chunk
                if take is not None and got.count(b"\n\n") >= take:
                    break
        return got


@pytest.fixture
def api(standin_provider: StandInProvider) -> Api:
    return Api(standin_provider)


def recorded(api: Api, path: Path, chunks: list[bytes], run: str = "1", take: int | None = None) -> Interaction:
    api.answers(chunks, run)
    with use_cassette(path, mode="all"):
        api.ask(take)
    [interaction] = Cassette.load(path).interactions
    return interaction


def test_a_recorded_stream_is_an_llm_call_and_replays_equal(api: Api, tmp_path: Path, standin_provider: Any) -> None:
    path, sent = tmp_path / "chat.yaml", events("1")
    interaction = recorded(api, path, sent)
    assert (interaction.kind, interaction.boundary) == ("llm", "cohere.chat")
    assert interaction.metadata.items() >= {"provider": "cohere", "operation": "chat", "model": "command-x"}.items()
    assert interaction.usage == TOKENS
    assert "complete" not in interaction.response
    hits = standin_provider.hits
    with use_cassette(path):
        assert api.ask() == b"".join(sent)
    assert standin_provider.hits == hits


@pytest.mark.parametrize(("left_out", "is_whole"), [(0, True), (1, False)], ids=["after", "before"])
def test_a_stream_that_is_left_is_whole_after_its_last_event(
    api: Api, tmp_path: Path, left_out: int, is_whole: bool
) -> None:
    sent = events("1")
    response = recorded(
        api, tmp_path / "chat.yaml", [b"".join(sent[:-1]), sent[-1], b": bye\n\n"], take=len(sent) - left_out
    ).response
    assert response.get("complete", True) is is_whole


def test_two_recordings_of_one_conversation_are_identical(api: Api, tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    recorded(api, first, events("1"), run="1")
    recorded(api, second, events("2", plan=("I", " will loo", "k."), said=("H", "ell", "o")), run="2")
    old, new = Cassette.load(first), Cassette.load(second)
    assert old.interactions != new.interactions
    assert diff_cassettes(old, new).identical


def test_another_answer_is_a_change(api: Api, tmp_path: Path) -> None:
    first = Cassette(interactions=[recorded(api, tmp_path / "first.yaml", events("1"))])
    other = recorded(api, tmp_path / "second.yaml", events("1", said=("Good", "bye")))
    second = Cassette(interactions=[replace(other, index=0)])
    [changed] = diff_cassettes(first, second).changed_calls
    assert changed.name == "cohere.chat"


def test_headers_of_its_client_library_are_not_compared() -> None:
    assert is_transport_header("x-fern-sdk-version")
    assert is_transport_header("x-stainless-lang")
    assert not is_transport_header("x-client-name")
