"""Where two cassettes differ, and what a reader is told of it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.differences import diff_cassettes
from pytest_agenttape.errors import CassetteNotFoundError, ConfigError, FieldDiff
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.alignment import align
from pytest_agenttape.reading.diff import CassetteDiff
from tests.reading.recorded import cassette, chat, http, tool

LAW = settings(deadline=None, max_examples=60)  # a busy machine is no finding


def compared(old: list[Interaction], new: list[Interaction]) -> CassetteDiff:
    return diff_cassettes(cassette(*old), cassette(*new))


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


@pytest.mark.parametrize("given", [5, None, []], ids=repr)
def test_only_cassettes_are_compared(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"compares two Cassettes or their paths, not "):
        diff_cassettes(Cassette(), given)


def test_a_cassette_may_be_given_by_its_path(tmp_path: Path) -> None:
    old, new = cassette(tool(city="A")), cassette(tool(city="A"), tool(city="B"))
    old.save(tmp_path / "old.yaml")
    new.save(tmp_path / "new.json")
    for a, b in ((old, tmp_path / "new.json"), (tmp_path / "old.yaml", str(tmp_path / "new.json"))):
        assert (diff_cassettes(a, b).new_calls, diff_cassettes(a, a).identical) == (["get_weather"], True)
    with pytest.raises(CassetteNotFoundError):
        diff_cassettes(old, tmp_path / "gone.yaml")


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
        "    request.json.messages[0].content  (as above)\n"
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


def test_cassettes_of_ten_thousand_calls_are_compared_in_seconds() -> None:
    old = [tool(name=f"t{n % 7}", city=f"city {n}", note="x" * 50) for n in range(10_000)]
    new = [tool(name=f"t{n % 7}", city=f"city {n + (n % 3 == 0)}", note="x" * 50) for n in range(10_000)]
    before = time.process_time()
    diff = compared(old, new)
    assert time.process_time() - before < 30
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


def responses_stream(text: str, *, tokens: int = 9, city: str = "Rome", marks: str = "a") -> Interaction:
    """An answer of OpenAI's Responses API: its text stands in five of the events, its tool's arguments in three."""
    said = {"type": "output_text", "text": text}
    message = {"type": "message", "role": "assistant", "content": [said]}
    arguments = f'{{"city": "{city}"}}'
    asked = {"type": "function_call", "name": "look_up", "call_id": "c1", "arguments": arguments}
    whole = {
        "model": "gpt-5",
        "status": "completed",
        "output": [message, asked],
        "usage": {"input_tokens": 5, "output_tokens": tokens, "total_tokens": 5 + tokens},
    }
    events: list[dict[str, Any]] = [
        {"type": "response.output_text.delta", "delta": text, "marks": marks},
        {"type": "response.output_text.done", "text": text, "marks": marks},
        {"type": "response.content_part.done", "part": said},
        {"type": "response.output_item.done", "item": message},
        {"type": "response.function_call_arguments.done", "arguments": arguments},
        {"type": "response.output_item.done", "item": asked},
        {"type": "response.completed", "response": whole},
    ]
    request = {
        "method": "POST",
        "url": "https://api.openai.com/v1/responses",
        "headers": {},
        "json": {"model": "gpt-5", "input": "Hi", "stream": True},
    }
    response = {"status": 200, "headers": {}, "events": [{"event": each["type"], "data": each} for each in events]}
    return Interaction(
        index=0,
        kind="llm",
        boundary="openai.responses",
        request=request,
        response=response,
        metadata={"provider": "openai", "operation": "responses", "model": "gpt-5"},
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param({"text": "Bye"}, ["response.text", "  old  'Hello'", "  new  'Bye'"], id="text"),
        pytest.param(
            {"text": "Hello", "city": "Oslo"},
            ["response.asks[0].look_up.city", "  old  'Rome'", "  new  'Oslo'"],
            id="arguments",
        ),
        pytest.param(
            {"text": "Hello", "marks": "b"},
            ["response.events[0].data.marks", "  old  'a'", "  new  'b'", "… and more in other events"],
            id="unread",
        ),
    ],
)
def test_what_changed_in_a_stream_is_told_once_however_many_events_hold_it(
    changed: dict[str, Any], told: list[str]
) -> None:
    diff = compared([responses_stream("Hello")], [responses_stream(**changed)])
    assert diff.render().splitlines()[4:] == [f"    {line}" for line in told]


def test_a_text_that_a_tool_yields_is_told_once_however_many_pieces_it_comes_in() -> None:
    def yielding(*items: object) -> Interaction:
        return tool(result={"$stream": {"items": list(items)}})

    diff = compared([yielding("It ", "is ", "sunny")], [yielding("It was ", "cold ", "there")])
    assert diff.render().splitlines()[4:] == [
        "    response.yields",
        "      old  'It is sunny'",
        "      new  'It was cold there'",
    ]
    values = compared([yielding(1, 2, 3)], [yielding(4, 5, 6)])
    assert values.render().splitlines()[-1] == "    … and more in other items"


def test_a_result_of_a_tool_is_no_stream_whatever_its_keys_are() -> None:
    diff = compared([tool(result={"events": ["a", "b"]})], [tool(result={"events": ["c", "d"]})])
    told = diff.render()
    assert "response.events[0]" in told
    assert "response.events[1]" in told


def test_the_events_of_a_plain_stream_are_told_by_the_first_that_changed() -> None:
    def feed(*prices: int) -> Interaction:
        events = [{"data": {"price": price}} for price in prices]
        return replace(http(), response={"status": 200, "headers": {}, "events": events})

    [changed] = (diff := compared([feed(1, 2, 3)], [feed(7, 8, 9)])).changed_calls
    assert len(changed.response) == 3
    assert diff.render().splitlines()[4:] == [
        "    response.events[0].data.price",
        "      old  1",
        "      new  7",
        "    … and more in other events",
    ]


@pytest.mark.parametrize(
    "name",
    ["x-databricks-request-id", "Replicate-Request-Id", "x-debug-trace-id", "eagleeye-traceid", "X-Correlation-Id"],
)
def test_an_id_that_a_server_gives_to_each_answer_is_no_change(name: str) -> None:
    def answered(value: str) -> Cassette:
        return Cassette(interactions=[replace(http(), response={"status": 200, "headers": {name: value}, "json": {}})])

    assert diff_cassettes(answered("a"), answered("b")).identical
    assert not diff_cassettes(answered("a"), Cassette(interactions=[http()])).identical
