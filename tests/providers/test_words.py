"""What outsiders have to know of a protocol is said by its view, and holds for all."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import BOUNDARIES, VIEWS
from pytest_agenttape.providers.made_up import is_about_serving, without_made_up
from pytest_agenttape.providers.registry import SHARED, WORDS
from pytest_agenttape.providers.streams import is_last_event, with_whole_texts
from pytest_agenttape.providers.view import Words
from pytest_agenttape.providers.wording import last_words, message_at, model_in_path, part_at


@pytest.mark.parametrize("name", [each.name for each in fields(Words)])
def test_the_words_of_every_view_are_known_to_all(name: str) -> None:
    for words in (SHARED, *(view.words for view in VIEWS)):
        assert set(getattr(words, name)) <= set(getattr(WORDS, name))


def test_each_word_is_there_once_in_the_order_of_the_views() -> None:
    first, second = Words(pieces=("b", "a")), Words(pieces=("c", "b"), roles={"model": "model"})
    assert Words.union((first, second)) == Words(pieces=("b", "a", "c"), roles={"model": "model"})


def test_a_boundary_belongs_to_one_view() -> None:
    of_views = sum(len(view.operations) for view in VIEWS)
    assert len(BOUNDARIES) == of_views


def test_the_documentation_names_each_boundary_with_its_operation() -> None:
    rows = re.findall(
        r"^\| `([\w.]+)` \| (\w+)",
        (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    known = {boundary: operation for view in VIEWS for boundary, operation in view.operations.items()}
    assert dict(rows) == known


@pytest.mark.parametrize(
    ("event", "is_last"),
    [
        ({"data": "[DONE]"}, True),
        ({"event": "message_stop", "data": {"type": "message_stop"}}, True),
        ({"data": {"type": "response.incomplete"}}, True),
        ({"event": "message-end", "data": "odd"}, True),
        ({"raw": 'event: message_stop\ndata: {"type":"message_stop"}'}, True),
        ({"raw": 'event: message_stop\ndata: {"type":"mess'}, False),
        ({"raw": "event: message_stop\n"}, False),
        ({"raw": "data: [DONE]\n"}, True),
        ({"data": {"type": ["message_stop"]}}, False),
        ({"data": {"type": "message_delta"}}, False),
        ({"comment": "message_stop"}, False),
        (None, False),
    ],
)
def test_the_last_event_of_every_protocol_is_known(event: JSON, is_last: bool) -> None:
    assert is_last_event(event) is is_last


def test_pieces_of_one_text_become_one_event_and_keep_alives_go() -> None:
    def delta(text: str, index: int = 0) -> JSON:
        return {"event": "content_block_delta", "data": {"index": index, "delta": {"text": text}}}

    events = [{"event": "ping", "data": {}}, delta("a"), {"comment": ""}, delta("b"), delta("c", 1), {"event": ["x"]}]
    assert with_whole_texts(events) == [
        {"event": "content_block_delta", "data": {"index": 0, "delta": {"text": ""}}, "text": "ab"},
        {"event": "content_block_delta", "data": {"index": 1, "delta": {"text": ""}}, "text": "c"},
        {"event": ["x"]},
    ]


def test_two_texts_of_one_stream_stay_apart_also_where_each_is_empty_beside_the_other() -> None:
    def delta(**said: str) -> JSON:
        return {"data": {"message": said}}

    thought_then_said = [delta(content="", thinking="h"), delta(content="", thinking="m"), delta(content="Hi")]
    assert with_whole_texts(thought_then_said) == [
        {"data": {"message": {"thinking": ""}}, "text": "hm"},
        {"data": {"message": {"content": ""}}, "text": "Hi"},
    ]
    both = delta(content="a", thinking="b")
    assert with_whole_texts([both, both]) == [both, both]
    assert with_whole_texts([delta(content="x"), delta(thinking="y")]) != with_whole_texts([delta(content="xy")])


def test_what_is_made_up_goes_and_what_is_the_users_stays() -> None:
    body = {
        "id": "x",
        "system_fingerprint": "f",
        "output": [{"call_id": "c", "arguments": {"id": 7}}],
        "input": {"created": 1},
        "tools": [{"id": "t"}],
    }
    assert without_made_up(body) == {
        "output": [{"arguments": {"id": 7}}],
        "input": {"created": 1},
        "tools": [{"id": "t"}],
    }
    assert without_made_up({"input": [{"id": "m", "text": "hi"}]}) == {"input": [{"text": "hi"}]}


@pytest.mark.parametrize(
    ("answer", "what_is_said"),
    [
        ({"usage": {"prompt_tokens": 3, "queue_time": 0.1, "total_time": 0.3}}, {"usage": {"prompt_tokens": 3}}),
        ({"time_info": {"prompt_time": 0.1, "completion_time": 0.2, "created": 1}}, {"time_info": {}}),
        ({"timings": {"prompt_ms": 1.5, "predicted_per_second": 41.2}}, {}),
        ({"stats": {"tokens_per_second": 51.4, "stop_reason": "eosFound"}}, {"stats": {"stop_reason": "eosFound"}}),
        ({"audio": {"data": "UklG", "expires_at": 1764320000}}, {"audio": {"data": "UklG"}}),
        ({"output": [{"code": "1", "container_id": "cntr_1"}]}, {"output": [{"code": "1"}]}),
        ({"citation": {"url": "u", "encrypted_index": "Eo8B"}}, {"citation": {"url": "u"}}),
        ({"trace": {"invocationMetrics": {"guardrailProcessingLatency": 210}}}, {"trace": {"invocationMetrics": {}}}),
    ],
    ids=[
        "Groq",
        "Cerebras",
        "llama.cpp",
        "LM Studio",
        "OpenAI's speech",
        "OpenAI's container",
        "Anthropic's search",
        "Bedrock's guardrail",
    ],
)
def test_how_long_an_answer_took_and_how_long_it_is_kept_is_made_up(answer: JSON, what_is_said: JSON) -> None:
    assert without_made_up(answer) == what_is_said


@pytest.mark.parametrize(
    ("name", "is_about"),
    [
        *(("openai-processing-ms", True), ("anthropic-ratelimit-tokens", True), ("x-ms-region", True), ("etag", False)),
        *(("x-litellm-response-duration-ms", True), ("nvcf-reqid", True), ("x-kong-upstream-latency", True)),
    ],
)
def test_headers_about_serving_are_known(name: str, is_about: bool) -> None:
    assert is_about_serving(name) is is_about


@pytest.mark.parametrize(
    ("path", "thing"),
    [
        ("json.system", "the system prompt"),
        ("json.system[0].text", "the system prompt"),
        ("json.systemInstruction.parts", "the system prompt"),
        ("json.instructions", "the system prompt"),
        ("json.tools[1].name", "the list of tools"),
        ("json.model", "the model"),
        ("json.model_kwargs", None),
        ("json.temperature", None),
        ("url", None),
    ],
)
def test_parts_of_a_request_have_names(path: str, thing: str | None) -> None:
    assert part_at(path) == thing


@pytest.mark.parametrize(
    ("message", "thing"),
    [
        ("hi", "the prompt"),
        ({"role": "developer", "content": "x"}, "the system prompt"),
        ({"role": "model", "parts": []}, "the model's message"),
        ({"type": "function_call"}, "the model's message"),
        ({"type": "function_call_output"}, "a tool result"),
        ({"role": "user", "content": [{"type": "tool_result"}]}, "a tool result"),
        ({"role": "user", "parts": [{"functionResponse": {}}]}, "a tool result"),
        ({"role": "user", "content": [{"type": ["odd"]}, "x"]}, "the user's message"),
        ({"role": "narrator"}, "the conversation"),
        ({}, "the conversation"),
    ],
)
def test_who_says_a_message_is_known_in_every_protocol(message: JSON, thing: str) -> None:
    assert message_at("json.messages[1].content", {"json": {"messages": ["x", message]}}) == (thing, "messages[1]")
    assert last_words({"messages": [message]})[1] is (thing == "a tool result")


def test_a_path_beside_the_conversation_leads_to_no_message() -> None:
    assert message_at("json.temperature", {}) is None
    assert message_at("json.input_type", {"json": {"input_type": "search_query"}}) is None
    assert message_at("json.prompt_cache_key", {"json": {}}) is None
    assert message_at("json.input", {"json": {"input": "hi"}}) == ("the prompt", "input")
    assert message_at("json.contents[3]", {"json": {"contents": []}}) == ("the prompt", "contents[3]")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "b"),
        ({"parts": [{"functionResponse": {"response": {"city": "Rome"}}}]}, {"city": "Rome"}),
        ({"content": [{"toolResult": {"content": [{"text": "15"}]}}]}, "15"),
        ({"output": "sunny"}, "sunny"),
        ({"content": 3}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_what_was_said_last_is_found(message: JSON, said: JSON) -> None:
    assert last_words({"contents": ["before", message]})[0] == said
    assert last_words({"prompt": "hi"}) == ("hi", False)
    assert last_words({"prompt": [3], "model": "x"}) == ("", False)


def test_a_model_in_the_path_is_found() -> None:
    assert model_in_path("https://h/v1beta/models/gemini-x:generateContent") == "gemini-x"
    assert model_in_path("https://h/model/meta.llama%3A0/converse") == "meta.llama:0"
    assert model_in_path("https://h/v2/chat") == ""
