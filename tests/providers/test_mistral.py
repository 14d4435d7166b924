"""Mistral's conversations and agents: read, recorded and replayed, by its own client as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pytest_agenttape.providers import Answer, Operation, RequestedTool, identify, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws, stored

MODEL = "mistral-medium-latest"
PATH = "/v1/conversations"
COUNTS = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
TOKENS = {"input_tokens": 9, "output_tokens": 4, "total_tokens": 13}
CONVERSATION = Operation("mistral_ai", "chat", "mistral.conversations", MODEL)
AGENT = Operation("mistral_ai", "invoke_agent", "mistral.agents")
ARGUMENTS = '{"city":"Paris"}'
ASKED = {"model": MODEL, "inputs": "hi", "instructions": "be brief", "stream": True}


def requested(run: str = "1") -> RequestedTool:
    return RequestedTool(f"t{run}", "weather", {"city": "Paris"})


def events(run: str = "1", said: tuple[str, ...] = ("Hel", "lo")) -> list[bytes]:
    made = {"created_at": f"2026-01-0{run}T10:00:00Z"}
    output = {"id": f"msg_{run}", "output_index": 0, "content_index": 0, "model": MODEL, "role": "assistant", **made}
    call = {"id": f"fc_{run}", "output_index": 1, "name": "weather", "tool_call_id": f"t{run}", "model": MODEL, **made}
    listed = [
        {"type": "conversation.response.started", "conversation_id": f"conv_{run}", **made},
        *({"type": "message.output.delta", **output, "content": piece} for piece in said),
        *({"type": "function.call.delta", **call, "arguments": piece} for piece in ('{"city":', '"Paris"}')),
        {"type": "conversation.response.done", "usage": COUNTS, **made},
    ]
    return [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in listed]


WHOLE = {
    "object": "conversation.response",
    "conversation_id": "conv_1",
    "usage": COUNTS,
    "outputs": [
        {
            "object": "entry", "type": "message.output", "id": "msg_1", "role": "assistant", "model": MODEL,
            "created_at": "2026-01-01T10:00:00Z", "content": [{"type": "text", "text": "Hello"}],
        },
        {
            "object": "entry", "type": "function.call", "id": "fc_1", "tool_call_id": "t1", "name": "weather",
            "model": MODEL, "created_at": "2026-01-01T10:00:00Z", "arguments": ARGUMENTS,
        },
    ],
}  # fmt: skip


def chunks(run: str = "1", said: tuple[str, ...] = ("Hel", "lo")) -> list[bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": reason}]
        made = {"id": run, "object": "chat.completion.chunk", "created": int(run), "model": MODEL}
        return f"data: {json.dumps({**made, 'choices': choices, **more})}\n\n".encode()

    call = {"id": f"t{run}", "index": 0, "function": {"name": "weather", "arguments": ARGUMENTS}}
    return [
        chunk({"role": "assistant", "content": ""}),
        *(chunk({"content": piece}) for piece in said),
        chunk({"content": "", "tool_calls": [call]}, "tool_calls", usage=COUNTS),
        b"data: [DONE]\n\n",
    ]


AGENT_MESSAGE = {
    "role": "assistant",
    "content": "Hello",
    "tool_calls": [{"id": "t1", "function": {"name": "weather", "arguments": ARGUMENTS}}],
}
AGENT_WHOLE = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [{"index": 0, "message": AGENT_MESSAGE, "finish_reason": "tool_calls"}],
    "usage": COUNTS,
}


class TestConversation(StreamLaws):
    stream = Stream(
        PATH,
        ASKED,
        CONVERSATION,
        pieces=events(),
        again=events("2", ("H", "ell", "o")),
        other=events("1", ("Bye",)),
        answer=Answer("Hello", (requested(),), TOKENS, MODEL),
        whole=json.dumps(WHOLE).encode(),
    )


class TestAgent(StreamLaws):
    stream = Stream(
        "/v1/agents/completions",
        {"agent_id": "ag_1", "messages": [{"role": "user", "content": "hi"}], "stream": True},
        AGENT,
        pieces=chunks(),
        again=chunks("2", ("H", "ell", "o")),
        other=chunks("1", ("Bye",)),
        answer=Answer("Hello", (requested(),), TOKENS, MODEL, "tool_calls"),
        whole=json.dumps(AGENT_WHOLE).encode(),
    )


@pytest.mark.parametrize(
    ("path", "body", "operation"),
    [
        ("", {"agent_id": "ag_1", "inputs": "hi"}, "invoke_agent"),
        ("/conv_1", {"inputs": [{"role": "user", "content": "hi"}]}, "chat"),
        ("/conv_1/restart", {"from_entry_id": "msg_1"}, "chat"),
        ("", {"inputs": "hi"}, None),
        ("", {"items": [], "metadata": {}}, None),  # another provider's conversations
        ("/conv_1", {"metadata": {}}, None),
        ("/conv_1/history", {"inputs": "hi"}, None),
    ],
)
def test_conversations_are_started_continued_and_restarted(path: str, body: object, operation: str | None) -> None:
    found = identify("POST", f"http://127.0.0.1{PATH}{path}", body)
    assert (found and (found.operation, found.model)) == (operation and (operation, None))


def test_the_messages_are_read() -> None:
    entries = [
        {"object": "entry", "type": "message.input", "role": "user", "content": "hi"},
        {"type": "function.call", "tool_call_id": "t1", "name": "weather", "arguments": ARGUMENTS},
        {"type": "function.result", "tool_call_id": "t1", "result": "sunny"},
    ]
    call = {"id": "t1", "name": "weather", "arguments": {"city": "Paris"}}
    assert read_messages(CONVERSATION, {"json": {**ASKED, "inputs": entries}}) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sunny", "tool_call_id": "t1"},
    ]
    assert read_messages(CONVERSATION, {"json": ASKED})[1:] == [{"role": "user", "content": "hi"}]


def test_an_error_is_read_also_in_the_middle_of_a_stream() -> None:
    event = b'data: {"type":"conversation.response.error","message":"overloaded","code":3}\n\n'
    assert read_answer(CONVERSATION, stored(b'{"object":"error","message":"no model"}', status=400)).error == "no model"
    assert read_answer(CONVERSATION, stored(event, EVENTS)).error == "overloaded"


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    client_module = pytest.importorskip("mistralai.client", exc_type=ImportError)
    api.answers(PATH, json.dumps(WHOLE).encode())
    api.answers(PATH, events(), kind=EVENTS)
    api.answers(f"{PATH}/conv_1", json.dumps(WHOLE).encode())
    api.answers("/v1/agents/completions", json.dumps(AGENT_WHOLE).encode())
    api.answers("/v1/agents/completions", chunks(), kind=EVENTS)
    messages = [{"role": "user", "content": "hi"}]

    async def agents(client: Any) -> Any:
        whole = await client.agents.complete_async(agent_id="ag_1", messages=messages)
        streamed = await client.agents.stream_async(agent_id="ag_1", messages=messages)
        return whole.model_dump(), [each.model_dump() async for each in streamed]

    def ask() -> Any:
        client = client_module.Mistral(api_key="mistral-test", server_url=api.provider.url)
        started = client.beta.conversations.start(model=MODEL, inputs="hi")
        streamed = list(client.beta.conversations.start_stream(model=MODEL, inputs="hi"))
        result = {"type": "function.result", "tool_call_id": "t1", "result": "sunny"}
        continued = client.beta.conversations.append(conversation_id=started.conversation_id, inputs=[result])
        told = [each.model_dump() for each in (started, *streamed, continued)]
        return told, asyncio.run(agents(client))

    api.both(ask)
    names = ["mistral.conversations"] * 3 + ["mistral.agents"] * 2
    assert [each.boundary for each in api.interactions] == names
    assert [each.usage for each in api.interactions] == [TOKENS] * 5
    assert all("complete" not in each.response for each in api.interactions)
