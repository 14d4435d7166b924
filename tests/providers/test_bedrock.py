"""AWS Bedrock's view: text, tools and tokens of answers that are streamed, in the words of each model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_agenttape.bodies import encode_body
from pytest_agenttape.providers import Answer, Operation, RequestedTool, read_answer, read_messages
from pytest_agenttape.providers.streams import is_last_event, with_whole_texts
from tests.transports import amazon
from tests.transports.amazon import chunk

CONVERSE = Operation("aws.bedrock", "chat", "bedrock.converse", "a-model")
INVOKE = Operation("aws.bedrock", "chat", "bedrock.invoke", "a-model")
USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
METRICS = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 5, "outputTokenCount": 7}}
NOVA = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockStart": {"start": {"toolUse": {"toolUseId": "t", "name": "now"}}, "contentBlockIndex": 1}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 7}, "metrics": {}}, **METRICS},
]


def stored(messages: list[bytes]) -> dict[str, Any]:
    return {"status": 200, **encode_body(b"".join(messages), "application/vnd.amazon.eventstream")}


STREAMS: dict[str, tuple[Operation, list[bytes], Answer]] = {
    "converse": (
        CONVERSE,
        amazon.CONVERSED,
        Answer(
            text="Let me look.",
            tool_calls=(RequestedTool("tooluse_1", "weather", {"city": "London"}),),
            usage=USAGE,
            finish_reason="tool_use",
        ),
    ),
    "converse cut short": (CONVERSE, amazon.CONVERSED[:2], Answer(text="Let me ")),
    "converse, nothing yet": (CONVERSE, amazon.CONVERSED[:1], Answer()),
    "a tool cut short": (
        CONVERSE,
        amazon.CONVERSED[4:6],
        Answer(tool_calls=(RequestedTool("tooluse_1", "weather", '{"city":'),)),
    ),
    "an exception": (
        CONVERSE,
        [*amazon.CONVERSED[:2], amazon.event("throttlingException", {"message": "slow down"}, "exception")],
        Answer(text="Let me ", error="slow down"),
    ),
    "Anthropic": (
        INVOKE,
        amazon.INVOKED,
        Answer(
            text="Mild.",
            usage={"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
            model="claude-sonnet-5",
            finish_reason="end_turn",
        ),
    ),
    "Nova": (
        INVOKE,
        [chunk(each) for each in NOVA],
        Answer(text="Hello", tool_calls=(RequestedTool("t", "now", {}),), usage=USAGE, finish_reason="tool_use"),
    ),
    "Llama": (
        INVOKE,
        [
            chunk({"generation": "Hel", "prompt_token_count": 5, "generation_token_count": 1, "stop_reason": None}),
            chunk({"generation": "lo", "prompt_token_count": None, "generation_token_count": 7, "stop_reason": "stop"}),
        ],
        Answer(text="Hello", usage=USAGE, finish_reason="stop"),
    ),
    "Titan": (
        INVOKE,
        [
            chunk({"outputText": "Hel", "index": 0, "inputTextTokenCount": 5, "completionReason": None}),
            chunk({"outputText": "lo", "totalOutputTextTokenCount": 7, "completionReason": "FINISH"}),
        ],
        Answer(text="Hello", usage=USAGE, finish_reason="FINISH"),
    ),
    "Mistral": (
        INVOKE,
        [
            chunk({"outputs": [{"text": "Hel", "stop_reason": None}]}),
            chunk({"outputs": [{"text": "lo", "stop_reason": "stop"}], **METRICS}),
        ],
        Answer(text="Hello", usage=USAGE, finish_reason="stop"),
    ),
    "OpenAI": (
        INVOKE,
        [
            chunk({"model": "gpt-oss", "choices": [{"delta": {"role": "assistant", "content": "Hel"}}]}),
            chunk({"model": "gpt-oss", "choices": [{"delta": {"content": "lo"}}]}),
            chunk({"model": "gpt-oss", "choices": [{"delta": {}, "finish_reason": "stop"}], **METRICS}),
        ],
        Answer(text="Hello", usage=USAGE, model="gpt-oss", finish_reason="stop"),
    ),
}


@pytest.mark.parametrize(("operation", "messages", "answer"), STREAMS.values(), ids=STREAMS)
def test_a_stream_reads_as_its_answer(operation: Operation, messages: list[bytes], answer: Answer) -> None:
    assert read_answer(operation, stored(messages)) == answer


NOW = {"id": "t", "type": "function", "function": {"name": "now", "arguments": "{}"}}
WHOLE = {
    "Titan": (
        {"inputTextTokenCount": 5, "results": [{"tokenCount": 7, "outputText": "Hello", "completionReason": "FINISH"}]},
        Answer(text="Hello", usage=USAGE, finish_reason="FINISH"),
    ),
    "Mistral": ({"outputs": [{"text": "Hello", "stop_reason": "stop"}]}, Answer(text="Hello", finish_reason="stop")),
    "Nova": (
        {"output": {"message": {"content": [{"text": "Hello"}]}}, "stopReason": "end_turn"},
        Answer(text="Hello", finish_reason="end_turn"),
    ),
    "OpenAI": (
        {
            "choices": [{"message": {"content": "Hello", "tool_calls": [NOW]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12},
        },
        Answer("Hello", (RequestedTool("t", "now", {}),), USAGE, finish_reason="tool_calls"),
    ),
    "DeepSeek": ({"choices": [{"text": "Hello", "stop_reason": "stop"}]}, Answer(text="Hello")),
    "odd": ({"outputs": "x", "results": [3], "generation": 4}, Answer()),
}


@pytest.mark.parametrize(("body", "answer"), WHOLE.values(), ids=WHOLE)
def test_a_whole_answer_of_an_invocation_is_read(body: Any, answer: Answer) -> None:
    response = {"status": 200, **encode_body(json.dumps(body).encode(), "application/json")}
    assert read_answer(INVOKE, response) == answer


def test_the_tools_in_a_conversation_in_the_words_of_openai_are_read() -> None:
    asked = {"role": "assistant", "content": None, "tool_calls": [NOW]}
    body = {"messages": [asked, {"role": "tool", "tool_call_id": "t", "content": "noon"}]}
    assert read_messages(INVOKE, {"json": body}) == [
        {"role": "assistant", "content": "", "tool_calls": [{"id": "t", "name": "now", "arguments": {}}]},
        {"role": "tool", "content": "noon", "tool_call_id": "t"},
    ]


def test_a_text_with_citations_is_what_the_model_said() -> None:
    cited = {"citationsContent": {"content": [{"text": "The sky is blue"}], "citations": [{"title": "Sky"}]}}
    body = {"output": {"message": {"content": [cited, {"text": "."}]}}}
    assert read_answer(CONVERSE, {"json": body}).text == "The sky is blue."


@pytest.mark.parametrize("messages", [amazon.CONVERSED, amazon.INVOKED, [chunk(each) for each in NOVA]])
def test_the_last_event_of_a_stream_is_known(messages: list[bytes]) -> None:
    *others, last = stored(messages)["events"]
    assert is_last_event(last)
    assert not any(map(is_last_event, others))


def test_a_text_that_is_cut_otherwise_reads_the_same() -> None:
    def said(*pieces: str) -> list[Any]:
        deltas = [
            amazon.event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": each}}) for each in pieces
        ]
        return with_whole_texts(stored(deltas)["events"])

    assert said("Hel", "lo") == said("H", "ello")
