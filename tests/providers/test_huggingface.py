"""Hugging Face's text generation: read, recorded and replayed, by its own client as well."""

from __future__ import annotations

import asyncio
import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.providers import Answer, Operation, identify, is_llm_path, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws, stored

OPERATION = Operation("huggingface", "text_completion", "huggingface.generate")
ASKED = {"inputs": "Say hello", "parameters": {"max_new_tokens": 5}, "stream": True}
TOKENS = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}


def events(said: tuple[str, ...] = ("Hel", "lo"), run: int = 1) -> list[bytes]:
    def event(index: int, text: str, special: bool = False, **end: Any) -> bytes:
        token = {"id": 100 * run + index, "text": text, "logprob": -0.25, "special": special}
        data = {"index": index, "token": token, "generated_text": None, "details": None, **end}
        return f"data:{json.dumps(data, separators=(',', ':'))}\n\n".encode()

    details = {"finish_reason": "eos_token", "generated_tokens": 2, "input_length": 3, "seed": None}
    last = event(len(said) + 1, "</s>", True, generated_text="".join(said), details=details)
    return [*(event(place + 1, piece) for place, piece in enumerate(said)), last]


WHOLE = {
    "generated_text": "Hello",
    "details": {
        "finish_reason": "eos_token",
        "generated_tokens": 2,
        "prefill": [{"id": 1, "text": each, "logprob": -0.1} for each in ("Say", " hel", "lo")],
        "tokens": [],
    },
}


class TestStream(StreamLaws):
    stream = Stream(
        "/generate_stream",
        ASKED,
        OPERATION,
        pieces=events(),
        again=events(run=2),
        other=events(("Bye",)),
        answer=Answer("Hello", (), TOKENS, None, "eos_token"),
        whole=json.dumps(WHOLE).encode(),
    )


@pytest.mark.parametrize(
    ("url", "body", "model"),
    [
        ("http://127.0.0.1:8080/generate", {"inputs": "hi"}, None),
        ("http://127.0.0.1:8080", ASKED, None),
        ("http://127.0.0.1:8080/", {"inputs": "hi", "stream": False}, None),
        ("http://127.0.0.1:8080/", {"inputs": "hi", "parameters": {"details": True}}, None),
        ("https://router.example.com/hf-inference/models/org/name", ASKED, "org/name"),
    ],
)
def test_it_is_recognised_at_the_root_of_a_server_and_by_its_model_too(
    url: str, body: object, model: str | None
) -> None:
    assert identify("POST", url, body) == Operation("huggingface", "text_completion", "huggingface.generate", model)


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("http://127.0.0.1:8080/", {"inputs": "hi", "parameters": {}}),  # as of any other task
        ("http://127.0.0.1:8080/", {"jsonrpc": "2.0", "method": "eth_call", "params": []}),
        ("https://router.example.com/hf-inference/models/org/name", {"inputs": "hi"}),
        ("https://router.example.com/api/models/org/name/x", ASKED),
        ("http://127.0.0.1:8080/generate", {"prompt": "hi"}),
        ("http://127.0.0.1:8080/generate", {"inputs": ["hi"]}),
    ],
)
def test_anything_else_is_plain_http(url: str, body: object) -> None:
    assert identify("POST", url, body) is None


def test_the_root_of_a_server_is_no_path_of_llms() -> None:
    assert not is_llm_path("POST", "http://127.0.0.1:8545/")
    assert is_llm_path("POST", "http://127.0.0.1:8080/generate")


def test_other_forms_of_an_answer_are_read() -> None:
    assert read_answer(OPERATION, {"status": 200, "json": [{"generated_text": "Hello"}]}) == Answer("Hello")
    assert read_messages(OPERATION, {"json": ASKED}) == [{"role": "user", "content": "Say hello"}]


def test_an_error_is_read_also_in_the_middle_of_a_stream() -> None:
    error = b'{"error":"Request failed during generation","error_type":"generation"}'
    assert read_answer(OPERATION, stored(error, status=424)).error == "Request failed during generation"
    streamed = b"".join(events()[:1]) + b"data:" + error + b"\n\n"
    assert read_answer(OPERATION, stored(streamed, EVENTS)).error == "Request failed during generation"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client library, which asks its maker once a day which agents there are, unless it has the list."""
    library = pytest.importorskip("huggingface_hub", exc_type=ImportError)
    agents = tmp_path / "agents.json"
    agents.write_text('{"harnesses": []}', encoding="utf-8")
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "AGENT_HARNESSES_PATH", str(agents), raising=False)
    return library


@pytest.mark.parametrize("path", ["/generate", "/"])
def test_its_client_replays_what_it_recorded(api: Api, hub: Any, path: str) -> None:
    api.answers(path, json.dumps(WHOLE).encode(), json.dumps(WHOLE).encode())
    api.answers(path, events(), events(), kind=EVENTS)
    model = api.provider.url + path

    async def ask_async() -> Any:
        client = hub.AsyncInferenceClient(model=model, token="hf-test")
        stream = await client.text_generation("Say hello", stream=True, details=True)
        return [each.token.text async for each in stream]

    def ask() -> Any:
        client = hub.InferenceClient(model=model, token="hf-test")
        whole = [
            client.text_generation("Say hello", details=True).generated_text,
            client.text_generation("Say hello", max_new_tokens=5),
        ]
        return whole, list(client.text_generation("Say hello", stream=True)), asyncio.run(ask_async())

    api.both(ask)
    assert [each.boundary for each in api.interactions] == ["huggingface.generate"] * 4
    assert [each.usage for each in api.interactions] == [TOKENS] * 4
    assert all("complete" not in each.response for each in api.interactions)


def test_its_chat_is_openais(api: Api, hub: Any) -> None:
    def ask() -> Any:
        client = hub.InferenceClient(base_url=api.provider.openai_url, token="hf-test")
        messages = [{"role": "user", "content": "Reply with exactly: Paris"}]
        return [each.choices[0].delta.content for each in client.chat_completion(messages, model="tgi", stream=True)]

    assert "".join(filter(None, api.both(ask))) == "Paris"
    assert api.recorded.boundary == "openai.chat"
    assert identify("POST", "https://router.huggingface.co/v1/chat/completions", api.recorded.request["json"]) == (
        Operation("huggingface", "chat", "openai.chat", "tgi")
    )
