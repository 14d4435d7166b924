"""Cohere rerank: recognised, read, and replayed by Cohere's own client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_agenttape import Cassette, diff_cassettes
from pytest_agenttape.providers import Answer, Operation, identify, read_answer, read_messages
from tests.providers.laws import Api, stored

URL = "https://api.cohere.com/v2/rerank"
OPERATION = Operation("cohere", "rerank", "cohere.rerank", "rerank-v3.5")
ASKED: dict[str, Any] = {"model": "rerank-v3.5", "query": "capital", "documents": ["Paris", "Rome"], "top_n": 1}


def answer(run: str = "1", first: int = 0) -> bytes:
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}}
    return json.dumps({"id": run, "results": [{"index": first, "relevance_score": 0.9}], "meta": meta}).encode()


def test_it_is_recognised_by_path_and_body_on_any_host() -> None:
    assert identify("POST", URL, ASKED) == OPERATION
    assert identify("POST", "http://127.0.0.1:9/v2/rerank", ASKED) == OPERATION


@pytest.mark.parametrize("missing", ["model", "query", "documents"])
def test_anything_else_is_plain_http(missing: str) -> None:
    assert identify("POST", URL, {name: value for name, value in ASKED.items() if name != missing}) is None


def test_what_is_ranked_is_read_and_searches_are_no_tokens() -> None:
    said = {"query": "capital", "documents": ["Paris", "Rome"]}
    assert read_messages(OPERATION, {"json": ASKED}) == [{"role": "user", "content": said}]
    assert read_answer(OPERATION, stored(answer())) == Answer()
    assert read_answer(OPERATION, stored(b'{"message":"no documents"}', status=400)).error == "no documents"


def test_two_recordings_are_identical_and_another_order_is_a_change(api: Api) -> None:
    taped = []
    for body in (answer(), answer("2"), answer(first=1)):
        api.answers("/v2/rerank", body)
        api.record(lambda: api.ask("/v2/rerank", ASKED))
        taped.append(Cassette(interactions=[api.recorded]))
    assert diff_cassettes(taped[0], taped[1]).identical
    assert not diff_cassettes(taped[0], taped[2]).identical


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    cohere = pytest.importorskip("cohere", exc_type=ImportError)
    api.answers("/v2/rerank", answer())

    def ask() -> Any:
        client = cohere.ClientV2(api_key="co-test", base_url=api.provider.url)
        return client.rerank(**ASKED).results[0].model_dump()

    api.both(ask)
    assert (api.recorded.kind, api.recorded.boundary, api.recorded.model) == ("llm", "cohere.rerank", "rerank-v3.5")
    assert api.recorded.usage is None
