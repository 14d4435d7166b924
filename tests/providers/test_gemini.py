"""Gemini: a stream without a last event, embeddings, and google-genai's client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import google.genai
import httpx
import pytest
from google.genai import types

from pytest_agenttape import Cassette, diff_cassettes
from pytest_agenttape.providers import Answer, Operation, identify, is_finished, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws, stored

MODEL = "gemini-2.5-flash"
PATH = f"/v1beta/models/{MODEL}"
COUNTS = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 6}
TOKENS = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
CHAT = Operation("gcp.gemini", "generate_content", "gemini.generate_content", MODEL)
EMBED = Operation("gcp.gemini", "embeddings", "gemini.embeddings", "gemini-embedding-001")


def event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\r\n\r\n".encode()


def chunk(run: str, said: str, reason: str | None = None, index: int = 0) -> dict[str, Any]:
    candidate = {"content": {"role": "model", "parts": [{"text": said}]}, "index": index}
    if reason:
        candidate["finishReason"] = reason
    usage = {"usageMetadata": COUNTS} if reason else {}
    return {"candidates": [candidate], "modelVersion": MODEL, "responseId": run, **usage}


def said(run: str, *pieces: str) -> list[bytes]:
    return [*(event(chunk(run, piece)) for piece in pieces), event(chunk(run, "", "STOP"))]


class TestStream(StreamLaws):
    stream = Stream(
        f"{PATH}:streamGenerateContent",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        CHAT,
        pieces=said("1", "Hel", "lo"),
        again=said("2", "H", "ell", "o"),
        other=said("1", "Bye"),
        answer=Answer("Hello", (), TOKENS, MODEL, "STOP"),
        whole=json.dumps(chunk("1", "Hello", "STOP")).encode(),
    )


@pytest.mark.parametrize(
    ("chunks", "finished"),
    [
        pytest.param([chunk("1", "a"), chunk("1", "b", "STOP")], True, id="last"),
        pytest.param([chunk("1", "a", "STOP"), chunk("1", "b", "STOP")], False, id="with-every-chunk"),
        pytest.param([chunk("1", "a", "STOP"), chunk("1", "b", index=1)], False, id="one-candidate-of-two"),
        pytest.param([chunk("1", "a", "STOP"), chunk("1", "b", "MAX_TOKENS", 1)], True, id="both-candidates"),
        pytest.param([{"promptFeedback": {"blockReason": "SAFETY"}}], True, id="blocked"),
        pytest.param([{"promptFeedback": {}}], False, id="nothing-said"),
    ],
)
def test_a_reason_ends_a_stream_where_it_comes_last(chunks: list[dict[str, Any]], finished: bool) -> None:
    assert is_finished(CHAT, stored(b"".join(map(event, chunks)), EVENTS)) is finished
    assert is_finished(CHAT, stored(json.dumps(chunks).encode())) is finished
    assert not is_finished(CHAT, stored(json.dumps(chunks).encode()[:-1]))
    for cut in (b"da", b'data: "\xc3'):
        assert not is_finished(CHAT, stored(b"".join(map(event, chunks)) + cut, EVENTS))
    assert not is_finished(CHAT, {"status": 200})


@pytest.mark.parametrize(
    ("path", "body", "texts"),
    [
        (":embedContent", {"content": {"parts": [{"text": "one"}]}}, ["one"]),
        (
            ":batchEmbedContents",
            {"requests": [{"model": "m", "content": {"parts": [{"text": each}]}} for each in ("one", "two")]},
            ["one", "two"],
        ),
        (":predict", {"instances": [{"content": "one", "task_type": "X"}, {"content": "two"}]}, ["one", "two"]),
    ],
)
def test_embeddings_are_recognised_and_read(path: str, body: dict[str, Any], texts: list[str]) -> None:
    assert identify("POST", f"http://127.0.0.1/v1beta/models/gemini-embedding-001{path}", body) == EMBED
    assert identify("GET", f"http://127.0.0.1/v1beta/models/gemini-embedding-001{path}", body) is None
    assert (
        identify("POST", f"http://127.0.0.1/v1beta/models/gemini-embedding-001{path}", {"instances": [{"x": 1}]})
        is None
    )
    assert [each["content"] for each in read_messages(EMBED, {"json": body})] == texts


def test_a_model_of_the_users_own_predicts_what_it_likes() -> None:
    url = "http://127.0.0.1/v1/projects/p/locations/l/endpoints/1:predict"
    assert identify("POST", url, {"instances": [{"content": "one", "mimeType": "text/plain"}]}) is None


def test_who_serves_it_is_said_by_the_path_of_vertex() -> None:
    url = "http://127.0.0.1/v1/projects/p/locations/l/publishers/google/models/text-embedding-005:predict"
    found = identify("POST", url, {"instances": [{"content": "one"}]})
    assert found == Operation("gcp.vertex_ai", "embeddings", "gemini.embeddings", "text-embedding-005")


@pytest.mark.parametrize(
    ("answer", "tokens"),
    [
        ({"embedding": {"values": [0.1]}}, None),
        ({"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}}, 3),
        ({"predictions": [{"embeddings": {"values": [0.1], "statistics": {"token_count": 2.0}}}] * 2}, 4),
    ],
)
def test_tokens_of_embeddings_are_read_where_they_are_counted(answer: dict[str, Any], tokens: int | None) -> None:
    usage = read_answer(EMBED, {"status": 200, "json": answer}).usage
    assert usage == (tokens and {"input_tokens": tokens, "output_tokens": 0, "total_tokens": tokens})


def client(api: Api) -> google.genai.Client:
    asynchronous = httpx.AsyncClient()  # else it would be aiohttp's where that is installed
    options = types.HttpOptions(base_url=api.provider.url, api_version="v1beta", httpx_async_client=asynchronous)
    return google.genai.Client(api_key="gemini-test", http_options=options)


def test_its_client_embeds_in_replay(api: Api) -> None:
    path = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    api.answers(path, b'{"embeddings":[{"values":[0.1,-0.02]}]}', b'{"embeddings":[{"values":[0.5]}]}')

    async def embed() -> Any:
        asked = client(api)  # held: it closes with its last reference
        return (await asked.aio.models.embed_content(model=EMBED.model, contents=["two"])).embeddings

    def ask() -> Any:
        asked = client(api)
        one = asked.models.embed_content(model=EMBED.model, contents=["one"]).embeddings
        return [each.values for each in (*one, *asyncio.run(embed()))]

    assert api.both(ask) == [[0.1, -0.02], [0.5]]
    assert [(each.boundary, each.model) for each in api.interactions] == [("gemini.embeddings", EMBED.model)] * 2


def test_its_client_left_at_the_reason_records_a_whole_stream(api: Api) -> None:
    api.answers(f"{PATH}:streamGenerateContent", said("1", "Hel", "lo"), kind=EVENTS)

    def ask() -> str:
        text, asked = "", client(api)
        for each in asked.models.generate_content_stream(model=MODEL, contents="hi"):
            text += each.text or ""
            if each.candidates[0].finish_reason:
                break
        return text

    assert api.both(ask) == "Hello"
    assert "complete" not in api.recorded.response
    again = Cassette(interactions=[api.recorded])
    assert diff_cassettes(again, again).identical
