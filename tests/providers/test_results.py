"""The tokens of a function that stands for an LLM: read from what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import Cassette, intercept, use_cassette
from pytest_agenttape.providers.results import usage_in

COUNTS = {
    "openai": {"usage": {"prompt_tokens": 50, "completion_tokens": 10, "total_tokens": 60}},
    "responses": {"usage": {"input_tokens": 50, "output_tokens": 10, "total_tokens": 60}},
    "anthropic": {"usage": {"input_tokens": 20, "cache_read_input_tokens": 30, "output_tokens": 10}},
    "gemini": {"usageMetadata": {"promptTokenCount": 50, "candidatesTokenCount": 10, "totalTokenCount": 60}},
    "google-genai": {"usage_metadata": {"prompt_token_count": 50, "candidates_token_count": 10}},
    "langchain": {"usage_metadata": {"input_tokens": 50, "output_tokens": 10, "total_tokens": 60}},
}


@pytest.mark.parametrize("result", COUNTS.values(), ids=COUNTS.keys())
def test_the_result_of_an_intercepted_call_tells_its_tokens(tmp_path: Path, result: dict[str, Any]) -> None:
    ask = intercept(lambda question: {"text": question, **result}, name="ask", kind="llm")
    for mode in ("all", "none"):
        with use_cassette(tmp_path / "x.yaml", mode=mode) as session:
            ask("hello")
        totals = session.usage
        assert (totals.input, totals.output, totals.total, totals.estimated) == (50, 10, 60, False)
    (recorded,) = Cassette.load(tmp_path / "x.yaml").interactions
    assert recorded.usage is not None
    assert recorded.usage["total_tokens"] == 60


@pytest.mark.parametrize("result", [None, "text", 3, [1], {}, {"usage": None}, {"usage": "much"}, {"usage": {"a": 1}}])
def test_a_result_that_tells_of_none_is_estimated(result: Any) -> None:
    assert usage_in(result) is None


def test_the_last_piece_of_a_stream_tells_them(tmp_path: Path) -> None:
    def stream(question: str) -> Any:
        yield {"text": question}
        yield COUNTS["openai"]
        yield {"text": "after"}

    ask = intercept(stream, name="ask", kind="llm")
    with use_cassette(tmp_path / "x.yaml", mode="all") as session:
        list(ask("hello"))
    assert session.usage.total == 60


def test_the_answer_of_a_client_that_is_intercepted_comes_back_with_its_tokens(tmp_path: Path) -> None:
    completion = pytest.importorskip("openai.types.chat").ChatCompletion
    answer = {
        "id": "c1", "object": "chat.completion", "created": 1, "model": "m", **COUNTS["openai"],
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
    }  # fmt: skip
    ask = intercept(lambda _question: completion.model_validate(answer), name="ask", kind="llm")
    with use_cassette(tmp_path / "x.yaml", mode="all") as session:
        live = ask("hello")
    assert session.usage.total == 60
    with use_cassette(tmp_path / "x.yaml"):
        assert ask("hello") == live
