"""Cohere embeddings: recognised, read, and replayed by Cohere's own client, its chat as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from pytest_agenttape import Cassette, diff_cassettes
from pytest_agenttape.providers import Answer, Operation, identify, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, stored
from tests.providers.test_cohere import REQUEST, events

URL = "https://api.cohere.com/v2/embed"
OPERATION = Operation("cohere", "embeddings", "cohere.embed", "embed-v4.0")
ASKED: dict[str, Any] = {"model": "embed-v4.0", "input_type": "search_query", "texts": ["one", "two"]}


def answer(run: str = "1", vector: tuple[float, ...] = (0.1, 1e-05)) -> bytes:
    billed = {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}}
    made = {"id": run, "texts": ["one", "two"], "embeddings": {"float": [vector, vector]}, "meta": billed}
    return json.dumps({**made, "response_type": "embeddings_by_type"}).encode()


def test_it_is_recognised_by_path_and_body_on_any_host() -> None:
    assert identify("POST", URL, ASKED) == OPERATION
    assert (
        identify("POST", "http://127.0.0.1:9/proxy/v2/embed?x=1", {"model": "embed-v4.0", "images": ["x"]}) == OPERATION
    )


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("GET", URL, ASKED),
        ("POST", URL.replace("v2", "v1"), ASKED),
        ("POST", URL, {"texts": ["one"]}),
        ("POST", URL, {"model": "embed-v4.0", "texts": "one"}),
    ],
)
def test_anything_else_is_plain_http(method: str, url: str, body: object) -> None:
    assert identify(method, url, body) is None


def test_what_is_embedded_and_what_it_costs_is_read() -> None:
    mixed = [{"content": [{"type": "image_url", "image_url": {"url": "data:x"}}]}]
    assert read_messages(OPERATION, {"json": ASKED}) == [{"role": "user", "content": "one\ntwo"}]
    assert read_messages(OPERATION, {"json": {"inputs": mixed}}) == [{"role": "user", "content": mixed}]
    assert read_answer(OPERATION, stored(answer())) == Answer(
        usage={"input_tokens": 4, "output_tokens": 0, "total_tokens": 4}
    )
    assert read_answer(OPERATION, stored(b'{"id":"1","message":"invalid model"}', status=400)).error == "invalid model"


def test_two_recordings_are_identical_and_another_vector_is_a_change(api: Api) -> None:
    taped = []
    for body in (answer(), answer("2"), answer(vector=(0.2, 0.3))):
        api.answers("/v2/embed", body, x_debug_trace_id=body.decode()[:12])
        api.record(lambda: api.ask("/v2/embed", ASKED))
        taped.append(Cassette(interactions=[api.recorded]))
    assert diff_cassettes(taped[0], taped[1]).identical
    assert not diff_cassettes(taped[0], taped[2]).identical


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    cohere = pytest.importorskip("cohere", exc_type=ImportError)
    api.answers("/v2/embed", answer(), answer("2"))
    api.answers("/v2/chat", events("1"), kind=EVENTS)

    async def embed() -> Any:
        client = cohere.AsyncClientV2(api_key="co-test", base_url=api.provider.url)
        made = await client.embed(model="embed-v4.0", texts=["two"], input_type="search_query")
        return made.embeddings.float_

    def ask() -> Any:
        client = cohere.ClientV2(api_key="co-test", base_url=api.provider.url)
        made = client.embed(model="embed-v4.0", texts=["one"], input_type="search_query")
        messages = [{"role": "user", "content": "hi"}]
        streamed = [each.model_dump() for each in client.chat_stream(model="command-x", messages=messages)]
        return made.embeddings.float_, streamed, asyncio.run(embed())

    api.both(ask)
    assert [each.boundary for each in api.interactions] == ["cohere.embed", "cohere.chat", "cohere.embed"]
    assert all("complete" not in each.response for each in api.interactions)


def test_its_chat_has_the_same_path_and_is_another_call() -> None:
    chat = identify("POST", URL.replace("embed", "chat"), REQUEST)
    assert chat is not None
    assert chat.boundary == "cohere.chat"
