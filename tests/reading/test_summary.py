"""One call in words, and its tokens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.summary import call_name, calls_in_words, summary_line
from pytest_agenttape.reading.usage import TokenTotals, count_tokens, total_tokens
from tests.reading.recorded import chat, http, tool

LAW = settings(deadline=None, max_examples=60)  # a busy machine is no finding

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6), max_leaves=25
)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(tool(4, city="London"), "#4 tool get_weather(city='London')", id="tool"),
        pytest.param(tool(0), "#0 tool get_weather()", id="no-arguments"),
        pytest.param(
            chat(0, "S", "What is the weather in London?"),
            '#0 llm openai.chat gpt-4o: "What is the weather in London?"',
            id="llm",
        ),
        pytest.param(
            chat(2, "S", "What is it?", "call", "15 °C"),
            '#2 llm openai.chat gpt-4o: tool result "15 °C"',
            id="llm-result",
        ),
        pytest.param(
            chat(0, "S", "Say\n" + "long " * 40),
            '#0 llm openai.chat gpt-4o: "Say long long long long long long long long long long long…"',
            id="long-prompt",
        ),
        pytest.param(
            chat(0, "S", "\x1b[2J\u202e!"), r'#0 llm openai.chat gpt-4o: "\x1b[2J\u202e!"', id="hostile-prompt"
        ),
        pytest.param(http(3, "https://a.example/x?q=1"), "#3 http GET https://a.example/x?q=1", id="http"),
        pytest.param(
            replace(tool(1, "search", query="x"), kind="retrieval"), "#1 retrieval search(query='x')", id="retrieval"
        ),
        pytest.param(
            Interaction(index=0, kind="llm", boundary="my.llm", request={"args": {"prompt": "Hi"}}),
            '#0 llm my.llm: "Hi"',
            id="llm-without-http",
        ),
        pytest.param(
            Interaction(
                index=1,
                kind="llm",
                boundary="anthropic.messages",
                request={
                    "url": "https://api.anthropic.com/v1/messages",
                    "json": {
                        "model": "claude",
                        "messages": [{"role": "user", "content": [{"type": "tool_result", "content": "15"}]}],
                    },
                },
            ),
            '#1 llm anthropic.messages claude: tool result "15"',
            id="anthropic-result",
        ),
        pytest.param(
            Interaction(
                index=1,
                kind="llm",
                boundary="gemini.generate_content",
                request={
                    "url": "https://g.example/v1beta/models/gemini-2.0-flash:generateContent",
                    "json": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
                },
            ),
            '#1 llm gemini.generate_content gemini-2.0-flash: "Hi"',
            id="gemini",
        ),
        pytest.param(
            Interaction(
                index=0,
                kind="llm",
                boundary="bedrock.converse",
                request={
                    "url": "https://bedrock.example/model/claude-v1%3A0/converse",
                    "json": {
                        "messages": [{"role": "user", "content": [{"toolResult": {"content": [{"text": "15"}]}}]}]
                    },
                },
            ),
            '#0 llm bedrock.converse claude-v1:0: tool result "15"',
            id="bedrock-result",
        ),
        pytest.param(Interaction(index=0, kind="llm", boundary="x", request={"json": [1]}), "#0 llm x", id="odd-body"),
    ],
)
def test_the_summary_of_a_call(call: Interaction, expected: str) -> None:
    assert summary_line(call) == expected


@LAW
@given(st.dictionaries(st.text(), TREES, max_size=4))
def test_any_request_has_a_summary_on_one_line(request: dict[str, Any]) -> None:
    for kind in ("llm", "tool", "http"):
        line = summary_line(Interaction(index=0, kind=kind, request=request))
        assert line.isprintable()
        assert len(line) < 1_500


def test_huge_arguments_make_no_huge_line() -> None:
    assert len(summary_line(tool(0, **{f"name{n}": "x" * 100_000 for n in range(1_000)}))) < 400


def test_a_call_without_boundary_is_named_by_its_address() -> None:
    assert call_name(http(url="https://a.example/x?token=1")) == "GET https://a.example/x"


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        pytest.param([4], "call 4", id="one"),
        pytest.param([4, 6], "calls 4 and 6", id="two"),
        pytest.param([4, 5, 6, 7, 8, 9], "calls 4 to 9", id="range"),
        pytest.param([1, 4, 7], "calls 1, 4 and 7", id="scattered"),
        pytest.param([*range(20), 30], "21 calls from 0 to 30", id="many"),
    ],
)
def test_call_numbers_read_as_a_phrase(numbers: list[int], expected: str) -> None:
    assert calls_in_words(numbers) == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param({"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}, (5, 7, 12), id="stored-words"),
        pytest.param({"prompt_tokens": 5, "completion_tokens": 7}, (5, 7, 12), id="imported-words"),
        pytest.param({"input_tokens": 5}, (5, 0, 5), id="embeddings"),
        pytest.param({"input_tokens": 5, "output_tokens": 7, "total_tokens": 20}, (5, 7, 20), id="thinking-in-total"),
        pytest.param({"total_tokens": 9}, (9, 0, 9), id="total-only"),
        pytest.param({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}, (0, 0, 0), id="zero-is-exact"),
    ],
)
def test_reported_tokens_are_exact(usage: dict[str, int], expected: tuple[int, int, int]) -> None:
    call = replace(chat(0, "S"), usage=usage)
    assert count_tokens(call) == TokenTotals(*expected, estimated=False)


def test_tokens_without_usage_are_a_quarter_of_the_characters_and_say_so() -> None:
    call = replace(chat(0, "12345678", "1234", answer="12345"), usage=None)
    assert count_tokens(call) == TokenTotals(3, 2, 5, estimated=True)
    assert total_tokens([call, chat(1, "S")]) == TokenTotals(13, 4, 17, estimated=True)


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(tool(), id="tool"),
        pytest.param(replace(chat(0, "S"), usage=None, response={"status": 429, "json": {}}), id="refused"),
        pytest.param(replace(chat(0, "S"), usage=None, response=None, error={"type": "Timeout"}), id="raised"),
    ],
)
def test_calls_that_cost_no_tokens_count_none(call: Interaction) -> None:
    assert total_tokens([call]) == TokenTotals()


def test_tokens_are_read_by_the_words_of_a_call() -> None:
    used = TokenTotals(3, 2, 5, estimated=True)
    assert used == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5} != TokenTotals(3, 2, 4)
    assert used != TokenTotals(3, 2, 5)
    assert used["total_tokens"] == used.total_tokens == used.total
    assert len({used, TokenTotals(3, 2, 5), TokenTotals(3, 2, 5)}) == 2


def test_binary_content_is_not_estimated_as_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    call = replace(chat(0, messages=[{"role": "user", "content": [image]}]), usage=None)
    assert count_tokens(call).input < 20
