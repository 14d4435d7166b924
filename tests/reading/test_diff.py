"""Where two values, two calls, two cassettes differ."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_agenttape.errors import ConfigError, FieldDiff
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import Cassette, Interaction
from pytest_agenttape.reading.alignment import align
from pytest_agenttape.reading.diff import CassetteDiff, diff_cassettes
from pytest_agenttape.reading.json_diff import diff_lines, field_diffs
from pytest_agenttape.reading.one_line import around_difference, shorten
from pytest_agenttape.reading.summary import call_name, calls_in_words, summary_line
from pytest_agenttape.reading.usage import TokenTotals, count_tokens, total_tokens

LAW = settings(deadline=None, max_examples=60)  # a busy machine is no finding

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner, max_size=6), max_leaves=25
)
FEW_TREES = st.recursive(  # so few words that two of them are often nearly equal
    st.sampled_from([None, True, 1, 1.0, "a", "b", "a\nb", '{"a": 1}']),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def tool(index: int = 0, name: str = "get_weather", result: Any = "sunny", **arguments: Any) -> Interaction:
    return Interaction(index=index, kind="tool", boundary=name, request={"args": arguments}, response=result)


def http(
    index: int = 0, url: str = "https://api.example.com/v1", *, method: str = "GET", **request: Any
) -> Interaction:
    return Interaction(
        index=index,
        kind="http",
        request={"method": method, "url": url, "headers": {}, **request},
        response={"status": 200, "headers": {}, "json": {"ok": True}},
    )


def chat(index: int, *said: str, answer: str = "ok", run: int = 0, **body: Any) -> Interaction:
    """An OpenAI chat call; `said` alternates system, user, assistant, tool."""
    roles = ("system", "user", "assistant", "tool")
    messages = [{"role": roles[min(n, 3)], "content": text} for n, text in enumerate(said)]
    return Interaction(
        index=index,
        kind="llm",
        boundary="openai.chat",
        request={
            "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": {"user-agent": f"sdk/{run}"},
            "json": {"model": "gpt-4o", "messages": messages, **body},
        },
        response={
            "status": 200,
            "headers": {"date": f"day {run}", "x-request-id": f"req_{run}", "content-type": "application/json"},
            "json": {
                "id": f"chatcmpl-{run}",
                "created": run,
                "system_fingerprint": f"fp_{run}",
                "choices": [{"message": {"role": "assistant", "content": answer}}],
            },
        },
        usage={"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
    )


def cassette(*interactions: Interaction) -> Cassette:
    return Cassette(interactions=[replace(each, index=n) for n, each in enumerate(interactions)])


def compared(old: list[Interaction], new: list[Interaction]) -> CassetteDiff:
    return diff_cassettes(cassette(*old), cassette(*new))


@LAW
@given(TREES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    assert field_diffs(value, json.loads(json.dumps(value))) == ()


@LAW
@given(TREES, TREES)
@example("x", "x\n")
@example("x\n", "x\n\n")
@example("a\nb", "a\nb\nc")
@example("é", unicodedata.normalize("NFD", "é"))
@example(10**5000, 10**5000 + 1)
@example(0.0, -0.0)
@example('{"a":1}', '{"a": 1}')
@example("x" * 500 + "…", "x" * 500 + "abc")
def test_different_values_show_a_difference(a: Any, b: Any) -> None:
    diffs = field_diffs(a, b)
    assert bool(diffs) == (json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True)) if _dumpable(a, b) else diffs
    assert all(each.recorded != each.asked for each in diffs)


def _dumpable(*values: Any) -> bool:
    try:
        return bool(json.dumps(values))
    except ValueError:  # an integer too long for decimal
        return False


@LAW
@given(FEW_TREES, FEW_TREES)
def test_values_that_are_nearly_equal_differ_exactly_when_their_json_does(a: Any, b: Any) -> None:
    assert bool(field_diffs(a, b)) == (json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True))


@LAW
@given(TREES, TREES, st.integers(1, 5))
def test_the_output_is_bounded_and_prints_on_one_line_each(a: Any, b: Any, limit: int) -> None:
    diffs = field_diffs(a, b, limit=limit)
    assert len(diffs) <= limit + 1
    for line in diff_lines(diffs):
        assert line.isprintable()
        assert len(line) < 1_200


@pytest.mark.parametrize(
    ("recorded", "asked", "expected"),
    [
        pytest.param({"city": "Paris"}, {"city": "Berlin"}, [("city", "'Paris'", "'Berlin'")], id="value"),
        pytest.param({"a": 1}, {"a": True}, [("a", "1", "True")], id="bool-is-no-int"),
        pytest.param({"a": 1}, {"a": 1.0}, [("a", "1", "1.0")], id="float-is-no-int"),
        pytest.param({"a": "1"}, {"a": 1}, [("a", "'1'", "1")], id="text-is-no-number"),
        pytest.param({"a": None}, {}, [("a", "None", "(absent)")], id="null-is-not-absent"),
        pytest.param({"a": []}, {"a": {}}, [("a", "[]", "{}")], id="list-is-no-object"),
        pytest.param(1, 2, [("(value)", "1", "2")], id="root"),
        pytest.param({"a b": {"c.d": 1}}, {"a b": {"c.d": 2}}, [("['a b']['c.d']", "1", "2")], id="quoted-keys"),
        pytest.param({"h": {"x-tenant": "a"}}, {"h": {"x-tenant": "b"}}, [("h.x-tenant", "'a'", "'b'")], id="dashes"),
        pytest.param(
            {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Paris"}]},
            {"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "Berlin"}]},
            [("messages[1].content", "'Paris'", "'Berlin'")],
            id="item-of-a-list",
        ),
        pytest.param(
            ["a", "b", "c", "d"], ["a", "new", "b", "c", "d"], [("[1]", "(absent)", "'new'")], id="inserted-item"
        ),
        pytest.param(["a", "b", "c"], ["a", "c"], [("[1]", "'b'", "(absent)")], id="dropped-item"),
        pytest.param(
            ["a", "b", "c"], ["b", "c", "a"], [("[0]", "'a'", "(absent)"), ("[2]", "(absent)", "'a'")], id="moved-item"
        ),
        pytest.param(
            [{"role": "user", "content": "weather in Paris today"}, 1, 2],
            [{"role": "user", "content": "hello"}, {"role": "user", "content": "weather in Berlin today"}, 1, 2],
            [
                ("[0]", "(absent)", "{'role': 'user', 'content': 'hello'}"),
                ("[1].content", "'weather in Paris today'", "'weather in Berlin today'"),
            ],
            id="changed-item-meets-the-likest",
        ),
        pytest.param(
            {"function": {"arguments": '{"city":"Paris","days":3}'}},
            {"function": {"arguments": '{"city": "Berlin", "days": 3}'}},
            [("function.arguments.city", "'Paris'", "'Berlin'")],
            id="json-inside-a-string",
        ),
        pytest.param('{"a":1}', '{"a": 1}', [("(value)", "'{\"a\":1}'", "'{\"a\": 1}'")], id="json-in-another-layout"),
        pytest.param(
            "be kind\nbe brief\nbye",
            "be kind\nbe long\nbye",
            [("(value)", "line 2: 'be brief'", "line 2: 'be long'")],
            id="multi-line-text",
        ),
        pytest.param("a", "a\nb", [("(value)", "line 2: (absent)", "line 2: 'b'")], id="added-line"),
        pytest.param("a\n", "a", [("(value)", "line 2: ''", "line 2: (absent)")], id="dropped-line-end"),
        pytest.param("\x1b[31mred", "red\u202e", [("(value)", r"'\x1b[31mred'", r"'red\u202e'")], id="control-codes"),
        pytest.param("é", "e\u0301", [("(value)", r"'\xe9'", r"'e\u0301'")], id="looks-the-same"),
    ],
)
def test_field_diffs_name_the_smallest_differing_parts(
    recorded: Any, asked: Any, expected: list[tuple[str, str, str]]
) -> None:
    assert list(field_diffs(recorded, asked)) == [FieldDiff(*each) for each in expected]


def test_more_differences_than_the_limit_are_counted() -> None:
    diffs = field_diffs({str(n): 0 for n in range(9)}, {str(n): 1 for n in range(9)}, limit=2)
    assert [each.path for each in diffs] == ["0", "1", "… and 7 more"]
    assert diff_lines(diffs)[-1] == "… and 7 more"


def test_long_texts_are_cut_around_the_difference_on_both_sides_alike() -> None:
    a, b = around_difference("x" * 100 + "Paris" + "y" * 100, "x" * 100 + "Berlin" + "y" * 100, width=30)
    assert a == "…xxxxxxxxxxParisyyyyyyyyyyyyyyy…"
    assert b == "…xxxxxxxxxxBerlinyyyyyyyyyyyyyy…"


@LAW
@given(st.text(), st.text(), st.integers(8, 40))
def test_the_window_around_a_difference_tells_the_texts_apart(a: str, b: str, width: int) -> None:
    left, right = around_difference(a, b, width)
    assert max(len(left), len(right)) <= width + 2
    assert (left == right) == (a == b) or "…" in (a + b)


@LAW
@given(TREES, st.integers(1, 100))
def test_a_shortened_value_prints_on_one_short_line(value: Any, width: int) -> None:
    text = shorten(value, width)
    assert text.isprintable()
    assert len(text) < 20 * width + 200


def _deep(levels: int, leaf: Any) -> Any:
    for _ in range(levels):
        leaf = [leaf, 0]
    return leaf


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda end: "x" * 5_000_000 + end, id="long-text"),
        pytest.param(lambda end: "line\n" * 1_000_000 + end, id="many-lines"),
        pytest.param(lambda end: [*range(10_000), end], id="long-list"),
        pytest.param(lambda end: [end, *([0, 1] * 5_000), end], id="repeated-items"),
        pytest.param(lambda end: [f"{end}{n}" for n in range(10_000)], id="nothing-in-common"),
        pytest.param(lambda end: [{"role": "user", "content": f"{n} {end}"} for n in range(10_000)], id="messages"),
        pytest.param(lambda end: [[f"{n}{end}{m}" for m in range(100)] for n in range(100)], id="nested-lists"),
        pytest.param(lambda end: {f"key {n}": end for n in range(50_000)}, id="wide"),
        pytest.param(lambda end: _deep(20_000, end), id="deep"),
        pytest.param(lambda end: json.dumps({"a": ["x" * 500_000, end]}), id="json-in-text"),
        pytest.param(lambda end: "[" * 100_000 + end, id="deep-json-in-text"),
    ],
)
def test_big_inputs_take_no_more_than_their_size(build: Callable[[str], Any]) -> None:
    a, b = build("Paris"), build("Berlin")
    before = time.perf_counter()
    diffs = field_diffs(a, b)
    assert time.perf_counter() - before < 5  # takes well under one second; quadratic work takes minutes
    assert 0 < len(diffs) <= 21
    assert all(len(line) < 1_200 for line in diff_lines(diffs))


def test_an_insertion_into_a_long_list_is_one_addition() -> None:
    items = [{"role": "user", "content": f"message {n % 50}"} for n in range(10_000)]
    changed = [*items[:10], {"role": "user", "content": "new"}, *items[10:9_000], {"role": "x"}, *items[9_000:]]
    assert [(each.path, each.recorded) for each in field_diffs(items, changed)] == [
        ("[10]", "(absent)"),
        ("[9001]", "(absent)"),
    ]


# Calls in words and tokens


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


def test_binary_content_is_not_estimated_as_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    call = replace(chat(0, messages=[{"role": "user", "content": [image]}]), usage=None)
    assert count_tokens(call).input < 20


# Cassettes


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param([tool(city="A")], [tool(city="A")], [(0, 0, True, False)], id="equal"),
        pytest.param([tool(city="A")], [tool(city="B")], [(0, 0, False, False)], id="changed"),
        pytest.param([], [tool()], [(None, 0, False, False)], id="new"),
        pytest.param([tool()], [], [(0, None, False, False)], id="dropped"),
        pytest.param([tool()], [tool(name="other")], [(0, None, False, False), (None, 0, False, False)], id="replaced"),
        pytest.param(
            [tool(city="A"), tool(city="B"), tool(city="C")],
            [tool(city="A"), tool(city="X"), tool(city="B"), tool(city="C")],
            [(0, 0, True, False), (None, 1, False, False), (1, 2, True, False), (2, 3, True, False)],
            id="inserted-call-is-one-new-call",
        ),
        pytest.param(
            [tool(city="A"), tool(city="B"), tool(city="C")],
            [tool(city="C"), tool(city="A"), tool(city="B")],
            [(2, 0, True, True), (0, 1, True, False), (1, 2, True, False)],
            id="moved",
        ),
        pytest.param(
            [tool(name="poll", result="pending"), tool(name="poll", result="done")],
            [tool(name="poll", result="pending"), tool(name="poll", result="wait"), tool(name="poll", result="done")],
            [(0, 0, True, False), (None, 1, False, False), (1, 2, True, False)],
            id="equal-requests-meet-by-result",
        ),
        pytest.param(
            [http(url="https://a.example/x")],
            [http(url="https://b.example/x")],
            [(0, None, False, False), (None, 0, False, False)],
            id="another-host-is-another-call",
        ),
    ],
)
def test_timelines_are_aligned_by_content(
    old: list[Interaction], new: list[Interaction], expected: list[tuple[int | None, int | None, bool, bool]]
) -> None:
    matches = align(cassette(*old).interactions, cassette(*new).interactions, KeyRules())
    found = [
        (
            each.old.interaction.index if each.old else None,
            each.new.interaction.index if each.new else None,
            bool(each.old and each.new and each.old.request == each.new.request),
            each.is_moved,
        )
        for each in matches
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


@LAW
@given(
    st.lists(st.sampled_from("abcd"), max_size=12),
    st.lists(st.sampled_from("abcd"), max_size=12),
)
def test_every_call_of_both_sides_is_paired_once(old: list[str], new: list[str]) -> None:
    a, b = cassette(*(tool(city=each) for each in old)), cassette(*(tool(city=each) for each in new))
    matches = align(a.interactions, b.interactions, KeyRules())
    assert sorted(each.old.interaction.index for each in matches if each.old) == list(range(len(old)))
    assert [each.new.interaction.index for each in matches if each.new] == list(range(len(new)))
    assert diff_cassettes(a, b).identical == (old == new)


@pytest.mark.parametrize("given", ["a.yaml", None, []], ids=repr)
def test_only_cassettes_are_compared(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"compares two Cassettes, not .*; read a file with Cassette\.load"):
        diff_cassettes(Cassette(), given)


def test_two_recordings_of_one_run_are_identical() -> None:
    old = Cassette(run_id="a", created_at="then", interactions=[chat(0, "S", "U", run=1), tool(1, city="A")])
    new = Cassette(
        run_id="b",
        created_at="now",
        interactions=[chat(0, "S", "U", run=2), replace(tool(1, city="A"), latency_ms=9.0)],
    )
    diff = diff_cassettes(old, new)
    assert diff.identical
    assert diff.render() == "identical: the same calls, arguments and results"


def test_a_request_nested_beyond_any_provider_is_still_compared() -> None:
    def deep(leaf: str) -> Any:
        value: Any = leaf
        for _ in range(200):
            value = {"a": [value]}
        return value

    assert compared([chat(0, deep=deep("x"))], [chat(0, deep=deep("x"))]).identical
    assert not compared([chat(0, deep=deep("x"))], [chat(0, deep=deep("y"))]).identical


def test_identifiers_made_up_by_the_model_are_no_change_but_the_users_ids_are() -> None:
    def run(call_id: str, order_id: str) -> Interaction:
        asked = {"id": call_id, "type": "tool_use", "name": "buy", "input": {"id": order_id}}
        return chat(0, messages=[{"role": "assistant", "content": [asked]}])

    assert compared([run("toolu_1", "A7")], [run("toolu_2", "A7")]).identical
    [changed] = compared([run("toolu_1", "A7")], [run("toolu_1", "B8")]).changed_calls
    assert changed.request[0].path == "request.json.messages[0].content[0].input.id"


def streamed(*pieces: str, keep_alive: bool = False) -> Interaction:
    def event(piece: str) -> dict[str, Any]:
        return {"data": {"id": f"chatcmpl-{len(pieces)}", "choices": [{"index": 0, "delta": {"content": piece}}]}}

    events: list[dict[str, Any]] = [*map(event, pieces), {"data": {"choices": [{"finish_reason": "stop"}]}}]
    events += [{"comment": "ping"}] if keep_alive else []
    return replace(chat(0, "S"), response={"status": 200, "headers": {}, "events": [*events, {"data": "[DONE]"}]})


def test_a_stream_is_compared_by_its_text_not_by_where_it_was_cut() -> None:
    sunny = streamed("It is", " sunny")
    assert compared([sunny], [streamed("It", " is su", "nny", keep_alive=True)]).identical
    [changed] = compared([sunny], [streamed("It is r", "ainy")]).changed_calls
    assert changed.response == (FieldDiff("response.events[0].text", "'It is sunny'", "'It is rainy'"),)


def test_an_id_in_the_result_of_a_tool_or_of_plain_http_is_content() -> None:
    assert not compared([tool(result={"id": 1})], [tool(result={"id": 2})]).identical
    plain = http()
    other = replace(plain, response={"status": 200, "headers": {}, "json": {"id": 2}})
    assert not compared([plain], [other]).identical


def test_fields_that_matching_ignores_are_no_change() -> None:
    a, b = cassette(tool(when="now", city="A")), cassette(tool(when="then", city="A"))
    assert not diff_cassettes(a, b).identical
    assert diff_cassettes(a, b, rules=KeyRules.of(("args.when",))).identical


def test_a_changed_call_shows_its_request_its_result_and_its_error() -> None:
    failed = replace(tool(), response=None, error={"type": "ValueError", "module": "builtins", "message": "no"})
    diff = compared(
        [tool(city="A", result=1), tool(name="b", result="x"), tool(name="c")],
        [tool(city="B", result=2), tool(name="b", result="y"), replace(failed, boundary="c")],
    )
    assert [(each.index, each.name, each.field_diffs) for each in diff.changed_calls] == [
        (
            0,
            "get_weather",
            (FieldDiff("request.args.city", "'A'", "'B'"), FieldDiff("response", "1", "2")),
        ),
        (1, "b", (FieldDiff("response", "'x'", "'y'"),)),
        (2, "c", (FieldDiff("error", "(absent)", "ValueError('no')"),)),
    ]


def test_the_numbers_of_a_diff() -> None:
    more = replace(chat(1, "S", "V"), usage={"input_tokens": 100, "output_tokens": 20, "total_tokens": 120})
    diff = compared([chat(0, "S", "U"), tool(name="gone")], [chat(0, "S", "U"), more, tool(name="a"), tool(name="b")])
    assert (diff.new_calls, diff.dropped_calls, diff.changed_calls) == (["openai.chat", "a", "b"], ["gone"], [])
    assert (diff.token_delta, diff.input_token_delta, diff.output_token_delta, diff.step_delta) == (120, 100, 20, 2)
    assert not diff.identical


def test_a_call_in_another_place_is_moved_and_not_identical() -> None:
    diff = compared([tool(name="a"), tool(name="b")], [tool(name="b"), tool(name="a")])
    assert diff.moved_calls in (["a"], ["b"])
    assert (diff.new_calls, diff.dropped_calls, diff.changed_calls, diff.identical) == ([], [], [], False)


def test_a_rendered_diff_names_the_cause_first_and_marks_what_follows() -> None:
    old = [chat(0, "Be kind.", "U"), tool(city="A"), chat(2, "Be kind.", "U", "call", "sunny"), tool(name="log")]
    new = [
        chat(0, "Be rude.", "U"),
        tool(city="A"),
        tool(name="get_time"),
        chat(3, "Be rude.", "U", "call", "sunny", answer="sunny!"),
        tool(name="log"),
    ]
    assert compared(old, new).render() == (
        "calls: 2 changed, 1 new; +1 in all\n"
        "first divergence: the system prompt changed at messages[0] in call 0 (openai.chat); "
        "calls 2 and 3 follow from it\n"
        "\n"
        '~ #0 llm openai.chat gpt-4o: "U"\n'
        "    request.json.messages[0].content\n"
        "      old  'Be kind.'\n"
        "      new  'Be rude.'\n"
        "+ #2 tool get_time()  (follows)\n"
        '~ #3 llm openai.chat gpt-4o: tool result "sunny"  (was #2)  (follows)\n'
        "    request.json.messages[0].content\n"
        "      old  'Be kind.'\n"
        "      new  'Be rude.'\n"
        "    … and 1 more"
    )


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        pytest.param(
            [tool(city="A")], [tool(city="B")], "the argument city changed in call 0 (get_weather)", id="args"
        ),
        pytest.param([tool(result=1)], [tool(result=2)], "the result of call 0 (get_weather) changed", id="result"),
        pytest.param([], [tool()], "#0 tool get_weather() is new", id="new"),
        pytest.param([tool()], [], "#0 tool get_weather() is gone", id="gone"),
        pytest.param(
            [chat(0, "S", "U", "A", "15")],
            [chat(0, "S", "U", "A", "16")],
            "a tool result changed at messages[3] in call 0 (openai.chat)",
            id="tool-result",
        ),
        pytest.param(
            [chat(0, "S", "U")],
            [chat(0, "S", "U", "A")],
            "the model's message is new at messages[2] in call 0 (openai.chat)",
            id="added-message",
        ),
        pytest.param(
            [chat(0, "S", model="a")],
            [chat(0, "S", model="b")],
            "the model changed in call 0 (openai.chat)",
            id="model",
        ),
        pytest.param(
            [chat(0, "S", tools=[{"name": "a"}])],
            [chat(0, "S", tools=[{"name": "b"}])],
            "the list of tools changed in call 0 (openai.chat)",
            id="tools",
        ),
        pytest.param(
            [http(url="https://a.example/x")],
            [http(url="https://a.example/y")],
            "the URL changed in call 0 (GET https://a.example/y)",
            id="url",
        ),
        pytest.param(
            [chat(0, "S", temperature=0)],
            [chat(0, "S", temperature=1)],
            "json.temperature changed in call 0 (openai.chat)",
            id="other-field",
        ),
    ],
)
def test_the_cause_is_named_in_words(old: list[Interaction], new: list[Interaction], cause: str) -> None:
    assert compared(old, new).render().splitlines()[1] == f"first divergence: {cause}"


def test_a_result_that_changed_on_its_own_does_not_follow() -> None:
    diff = compared(
        [tool(name="a", result=1), tool(name="b", result=1), tool(name="c", x=1)],
        [tool(name="a", result=2), tool(name="b", result=2), tool(name="c", x=2)],
    )
    assert [each.follows for each in diff.divergences] == [False, False, True]


def test_a_rendered_diff_of_many_calls_is_cut() -> None:
    lines = compared([], [tool(name=f"t{n}") for n in range(500)]).render().splitlines()
    assert lines[-1] == "… and 470 more"
    assert len(lines) == 34


def test_a_call_without_boundary_is_named_by_its_address() -> None:
    assert call_name(http(url="https://a.example/x?token=1")) == "GET https://a.example/x"


def test_cassettes_of_ten_thousand_calls_are_compared_in_seconds() -> None:
    old = [tool(name=f"t{n % 7}", city=f"city {n}", note="x" * 50) for n in range(10_000)]
    new = [tool(name=f"t{n % 7}", city=f"city {n + (n % 3 == 0)}", note="x" * 50) for n in range(10_000)]
    before = time.perf_counter()
    diff = compared(old, new)
    assert time.perf_counter() - before < 30
    assert len(diff.divergences) > 1_000


@pytest.mark.parametrize(
    "response",
    [{"headers": ["a"]}, {"headers": 1, "events": [{"delta": "a"}]}, {"events": [[{"delta": "a"}], "x", None]}],
    ids=["headers in a list", "headers in a number", "events in a list"],
)
def test_a_response_edited_into_another_shape_is_still_compared(response: dict[str, Any]) -> None:
    def recorded(status: int) -> Cassette:
        request = {"method": "POST", "url": "http://h.test/v1/chat/completions", "headers": {}}
        call = Interaction(index=0, kind="llm", request=request, response={"status": status, **response})
        return Cassette(interactions=[call])

    assert diff_cassettes(recorded(200), recorded(200)).identical
    assert not diff_cassettes(recorded(200), recorded(201)).identical
