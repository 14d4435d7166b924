"""Ollama: chat, generate and embed, read, recorded and replayed, by its own client as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import ollama
import pytest

from pytest_agenttape.providers import Answer, Operation, RequestedTool, identify, read_answer, read_messages
from tests.providers.laws import LINES, Api, Stream, StreamLaws, stored

TOKENS = {"input_tokens": 26, "output_tokens": 7, "total_tokens": 33}
WEATHER = RequestedTool(None, "weather", {"city": "Paris"})
CALL = {"function": {"name": "weather", "arguments": {"city": "Paris"}}}
MESSAGES = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hi", "images": ["aGk="]},
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "tool_name": "weather", "content": "sunny"},
]


def line(run: str = "1", **fields: Any) -> bytes:
    return (
        json.dumps({"model": "llama3.2", "created_at": f"2026-01-0{run}T10:00:00.123456Z", **fields}).encode() + b"\n"
    )


def end(run: str = "1") -> dict[str, Any]:
    """Return what the last line counts."""
    times = {f"{name}_duration": int(run) * 1000 for name in ("total", "load", "prompt_eval", "eval")}
    return {"done": True, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 7, **times}


def chat(run: str = "1", said: tuple[str, ...] = ("Hel", "lo"), thought: tuple[str, ...] = ("h", "m")) -> list[bytes]:
    def message(**fields: Any) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": "", **fields}}

    return [
        *(line(run, **message(thinking=piece), done=False) for piece in thought),
        *(line(run, **message(content=piece), done=False) for piece in said),
        line(run, **message(tool_calls=[CALL]), done=False),
        line(run, **message(), **end(run)),
    ]


def generate(run: str = "1", said: tuple[str, ...] = ("Hel", "lo")) -> list[bytes]:
    pieces = [line(run, response=piece, done=False) for piece in said]
    return [*pieces, line(run, response="", **end(run), context=[1, 2])]


ANSWER = Answer("Hello", (WEATHER,), TOKENS, "llama3.2", "stop")
WHOLE = line(message={"role": "assistant", "content": "Hello", "thinking": "hm", "tool_calls": [CALL]}, **end())


class TestChat(StreamLaws):
    stream = Stream(
        "/api/chat",
        {"model": "llama3.2", "messages": MESSAGES, "stream": True},
        Operation("ollama", "chat", "ollama.chat", "llama3.2"),
        pieces=chat(),
        again=chat("2", ("H", "el", "lo"), ("hm",)),
        other=chat("2", ("Good", "bye")),
        answer=ANSWER,
        whole=WHOLE,
        kind=LINES,
    )


class TestGenerate(StreamLaws):
    stream = Stream(
        "/api/generate",
        {"model": "llama3.2", "prompt": "Say hello", "system": "be brief"},
        Operation("ollama", "text_completion", "ollama.generate", "llama3.2"),
        pieces=generate(),
        again=generate("2", ("H", "el", "lo")),
        other=generate("2", ("Good", "bye")),
        answer=Answer("Hello", (), TOKENS, "llama3.2", "stop"),
        whole=line(response="Hello", **end(), context=[1, 2]),
        kind=LINES,
    )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", {"model": "m", "messages": []}),  # loads a model
        ("/api/chat", {"messages": MESSAGES}),
        ("/api/generate", {"model": "m"}),
        ("/api/embed", {"model": "m"}),
        ("/api/embed", {"model": "m", "prompt": "hi"}),
        ("/api/pull", {"model": "m"}),
    ],
)
def test_anything_else_is_plain_http(path: str, body: object) -> None:
    assert identify("POST", f"http://127.0.0.1:11434{path}", body) is None


@pytest.mark.parametrize(
    ("path", "body"), [("embed", {"input": ["a", "b"]}), ("embed", {"input": "a"}), ("embeddings", {"prompt": "a"})]
)
def test_embeddings_are_recognised(path: str, body: dict[str, Any]) -> None:
    operation = Operation("ollama", "embeddings", "ollama.embed", "m")
    assert identify("POST", f"http://127.0.0.1:11434/api/{path}", {"model": "m", **body}) == operation
    [content] = body.values()
    read = "a\nb" if isinstance(content, list) else content
    assert read_messages(operation, {"json": {"model": "m", **body}}) == [{"role": "user", "content": read}]


def test_the_messages_are_read() -> None:
    assert read_messages(TestChat.stream.operation, {"json": TestChat.stream.request}) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": None, "name": "weather", "arguments": {"city": "Paris"}}],
        },
        {"role": "tool", "content": "sunny"},
    ]
    assert read_messages(TestGenerate.stream.operation, {"json": TestGenerate.stream.request}) == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "Say hello"},
    ]


def test_an_error_is_read_also_in_the_middle_of_a_stream() -> None:
    missing = stored(b'{"error":"model \'m\' not found"}', status=404)
    broken = stored(line(response="Hel", done=False) + b'{"error":"out of memory"}\n', LINES)
    assert read_answer(TestChat.stream.operation, missing).error == "model 'm' not found"
    assert read_answer(TestGenerate.stream.operation, broken).error == "out of memory"


class Agents:
    """What an agent does with Ollama's client."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def chat(self, client: ollama.Client) -> Any:
        self._api.answers("/api/chat", WHOLE)
        return client.chat("llama3.2", MESSAGES).model_dump()

    def chat_streamed(self, client: ollama.Client) -> Any:
        self._api.answers("/api/chat", chat(), kind=LINES)
        return [each.model_dump() for each in client.chat("llama3.2", MESSAGES, stream=True)]

    def generate_streamed_until_done(self, client: ollama.Client) -> Any:
        self._api.answers("/api/generate", generate(), kind=LINES)
        said = ""
        for each in client.generate("llama3.2", "Say hello", stream=True):
            said += each.response
            if each.done:
                break
        return said

    def embed(self, client: ollama.Client) -> Any:
        self._api.answers("/api/embed", line(embeddings=[[0.1, 1e-05]], total_duration=3, prompt_eval_count=4))
        return client.embed("llama3.2", ["one"]).embeddings

    def missing_model(self, client: ollama.Client) -> Any:
        self._api.answers("/api/chat", b'{"error":"model \'llama3.2\' not found"}', status=404)
        with pytest.raises(ollama.ResponseError, match="not found") as caught:
            client.chat("llama3.2", MESSAGES)
        return caught.value.status_code


ASKED = [name for name in vars(Agents) if not name.startswith("_")]


@pytest.mark.parametrize("asked", ASKED)
def test_its_client_replays_what_it_recorded(api: Api, asked: str) -> None:
    agents = Agents(api)
    api.both(lambda: getattr(agents, asked)(ollama.Client(api.provider.url)))
    assert (api.recorded.kind, api.recorded.metadata["provider"]) == ("llm", "ollama")
    assert "complete" not in api.recorded.response


def test_its_async_client_replays_what_it_recorded(api: Api) -> None:
    async def ask() -> Any:
        client = ollama.AsyncClient(api.provider.url)
        whole, streamed = await asyncio.gather(
            client.generate("llama3.2", "Say hello"), client.chat("llama3.2", MESSAGES, stream=True)
        )
        return whole.model_dump(), [each.model_dump() async for each in streamed]

    api.answers("/api/generate", line(response="Hello", **end()))
    api.answers("/api/chat", chat(), kind=LINES)
    api.both(lambda: asyncio.run(ask()))
    assert sorted(str(each.boundary) for each in api.interactions) == ["ollama.chat", "ollama.generate"]
    assert [each.usage for each in api.interactions] == [TOKENS, TOKENS]


def test_a_cassette_shows_one_entry_per_line(api: Api) -> None:
    api.answers("/api/generate", generate(), kind=LINES)
    api.record(lambda: api.ask("/api/generate", TestGenerate.stream.request))
    text = api.path.read_text()
    assert "events_layout: ndjson spaced" in text
    assert "response: <response>\n" in text
    assert "      - Hel\n" in text
