"""Claude on Google's Vertex AI: the messages of Anthropic under the paths of Google."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import pytest

from pytest_agenttape.providers import Answer, Operation, identify, with_model
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws

MODEL = "claude-sonnet-5@20260101"
PATH = f"/v1/projects/p/locations/europe-west1/publishers/anthropic/models/{MODEL}"
OPERATION = Operation("gcp.vertex_ai", "chat", "anthropic.messages", MODEL)
MESSAGES: Any = [{"role": "user", "content": "hi"}]
ASKED = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 10, "messages": MESSAGES, "stream": True}
TOKENS = {"input_tokens": 8, "output_tokens": 3, "total_tokens": 11}
WHOLE = {
    "id": "msg_vrtx_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 8, "output_tokens": 3},
}


def events(run: str, *said: str) -> list[bytes]:
    start = {**WHOLE, "id": f"msg_vrtx_{run}", "content": [], "stop_reason": None}
    end = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 3}}
    listed: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": each}} for each in said),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", **end},
        {"type": "message_stop"},
    ]
    return [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in listed]


class TestStream(StreamLaws):
    stream = Stream(
        f"{PATH}:streamRawPredict",
        ASKED,
        OPERATION,
        pieces=events("1", "Hel", "lo"),
        again=events("2", "H", "ell", "o"),
        other=events("1", "Bye"),
        answer=Answer("Hello", (), TOKENS, "claude-sonnet-5", "end_turn"),
        whole=json.dumps(WHOLE).encode(),
    )


def test_models_of_others_there_are_plain_http() -> None:
    url = f"http://127.0.0.1{PATH.replace('anthropic', 'mistralai')}:rawPredict"
    assert identify("POST", url, {"model": "mistral-small", "messages": MESSAGES}) is None
    assert identify("POST", url, {"anthropic_version": "x"}) is None


def test_another_model_is_asked_for_in_the_path() -> None:
    found = with_model(f"http://127.0.0.1{PATH}:rawPredict", ASKED, "claude-opus-5")
    assert found == (f"http://127.0.0.1{PATH.replace(MODEL, 'claude-opus-5')}:rawPredict", ASKED)


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    pytest.importorskip("google.auth", exc_type=ImportError)
    api.answers(f"{PATH}:rawPredict", json.dumps(WHOLE).encode(), json.dumps(WHOLE).encode())
    api.answers(f"{PATH}:streamRawPredict", events("1", "Hel", "lo"), kind=EVENTS)
    options: Any = {"region": "europe-west1", "project_id": "p", "access_token": "ya29.test"}
    asked: Any = {"model": MODEL, "max_tokens": 10, "messages": MESSAGES}

    async def ask_async() -> Any:
        client = anthropic.AsyncAnthropicVertex(base_url=f"{api.provider.url}/v1", **options)
        return (await client.messages.create(**asked)).model_dump()

    def ask() -> Any:
        client = anthropic.AnthropicVertex(base_url=f"{api.provider.url}/v1", **options)
        whole = client.messages.create(**asked).model_dump()
        with client.messages.stream(**asked) as stream:
            return whole, "".join(stream.text_stream), asyncio.run(ask_async())

    assert api.both(ask)[1] == "Hello"
    named = [(each.boundary, each.metadata["provider"], each.model, each.usage) for each in api.interactions]
    assert named == [("anthropic.messages", "gcp.vertex_ai", MODEL, TOKENS)] * 3
    assert all("complete" not in each.response for each in api.interactions)
