"""The timeline of a run as a person reads it in a snapshot."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import values
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.serializer import dump_yaml

CHAT = "https://api.openai.com/v1/chat/completions"
SYSTEM = {"role": "system", "content": "You are a weather bot."}
ASKED = {"role": "user", "content": "Weather in London?"}


def tool(index: int, name: str, args: Any = None, result: Any = None, **fields: Any) -> Interaction:
    fields.setdefault("kind", "tool")
    request = {"args": args or {}, **fields.pop("request", {})}
    return Interaction(index=index, boundary=name, request=request, response=result, latency_ms=17.5, **fields)


def chat(index: int, messages: list[dict[str, Any]], answer: dict[str, Any], status: int = 200) -> Interaction:
    body = {"id": "chatcmpl-1", "model": "gpt-4o-2026", "choices": [{"index": 0, "message": answer}]}
    return Interaction(
        index=index,
        kind="llm",
        boundary="openai.chat",
        request={"method": "POST", "url": CHAT, "headers": {"authorization": "Bearer ****"},
                 "json": {"model": "gpt-4o", "messages": messages}},
        response={"status": status, "headers": {"x-request-id": "r1"}, "json": body if status == 200 else answer},
        metadata={"provider": "openai", "operation": "chat", "model": "gpt-4o"},
        usage={"input_tokens": 9, "output_tokens": 3, "total_tokens": 12},
    )  # fmt: skip


def http(index: int, url: str, status: int = 200, request: Any = None, **body: Any) -> Interaction:
    sent = {"method": "GET", "url": url, "headers": {"x-trace": "1"}, **(request or {})}
    return Interaction(index=index, kind="http", request=sent, response={"status": status, "headers": {}, **body})


CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "London"}'}}
ASKS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature_c": 11}'}
AGENT = [
    chat(0, [SYSTEM, ASKED], ASKS),
    tool(1, "get_weather", {"city": "London"}, {"city": "London", "temperature_c": 11}),
    chat(2, [SYSTEM, ASKED, ASKS, RESULT], {"role": "assistant", "content": "It is 11 °C.\nTake a coat."}),
]
AGENT_TEXT = """\
llm openai.chat gpt-4o
  system: You are a weather bot.
  user: Weather in London?
  -> asks get_weather(city='London')
tool get_weather(city='London')
  -> {'city': 'London', 'temperature_c': 11}
llm openai.chat gpt-4o
  tool: {"temperature_c": 11}
  ->
    | It is 11 °C.
    | Take a coat."""


def test_an_agent_reads_as_a_conversation() -> None:
    assert repr(timeline(AGENT)) == AGENT_TEXT


LONG = "word " * 30
CALLS: dict[str, tuple[Interaction, str]] = {
    "no result": (tool(0, "ping"), "tool ping()\n  -> None"),
    "a text": (tool(0, "t", {"q": "a 'b'"}, "c"), "tool t(q=\"a 'b'\")\n  -> 'c'"),
    "a text of several lines": (tool(0, "t", {}, "a\n\n b\n"), "tool t()\n  ->\n    | a\n    |\n    |  b\n    |"),
    "a long mapping": (
        tool(0, "t", {}, {"title": LONG, "tags": ["a", "b"], "body": "one\n" + LONG}),
        f"tool t()\n  ->\n    title: {LONG!r}\n    tags: ['a', 'b']\n    body:\n      | one\n      | {LONG.rstrip()}",
    ),
    "a long list": (
        tool(0, "t", {}, [{"id": 1, "text": LONG}, {"id": 2}]),
        f"tool t()\n  ->\n    - id: 1\n      text: {LONG!r}\n    - {{'id': 2}}",
    ),
    "long arguments": (
        tool(0, "mail", {"to": "ann", "text": "Dear Ann,\n" + LONG}, True),
        f"tool mail(...)\n  to: 'ann'\n  text:\n    | Dear Ann,\n    | {LONG.rstrip()}\n  -> True",
    ),
    "typed values": (
        tool(0, "t", {"day": values.encode(datetime.date(2026, 6, 17))}, values.encode((1, b"x"))),
        "tool t(day=date('2026-06-17'))\n  -> tuple(items=[1, bytes(text='x')])",
    ),
    "a method": (tool(0, "find", request={"instance": 1}), "tool find() (instance 1)\n  -> None"),
    "an exception": (
        tool(0, "t", error={"type": "ValueError", "module": "builtins", "message": "no seats"}),
        "tool t()\n  -> raises ValueError: no seats",
    ),
    "a stream": (
        tool(0, "t", {}, {"$stream": {"items": [1, 2], "return": "end"}}),
        "tool t()\n  -> yields [1, 2]\n  -> returns 'end'",
    ),
    "a stream that was left": (
        tool(0, "t", {}, {"$stream": {"items": [1], "complete": False}}),
        "tool t()\n  -> yields [1]\n  -> (its reader stopped early)",
    ),
    "another kind": (tool(0, "recall", {"k": 1}, [], kind="memory_read"), "memory_read recall(k=1)\n  -> []"),
    "an explicit request": (
        Interaction(index=0, kind="tool", boundary="t", request={"q": 1}, response=2),
        "tool t(q=1)\n  -> 2",
    ),
    "plain HTTP": (
        http(0, "http://127.0.0.1:5123/v1/x?b=2&a=1&ts=99", json={"ok": True}),
        "http GET http://127.0.0.1/v1/x?a=1&b=2\n  -> 200 {'ok': True}",
    ),
    "HTTP with a body": (
        http(0, "https://a.example/x", 204, request={"method": "POST", "json": {"n": 1}}),
        "http POST https://a.example/x\n  body: {'n': 1}\n  -> 204",
    ),
    "HTTP with text": (
        http(0, "https://a.example/x", 500, text="<h1>\nno"),
        "http GET https://a.example/x\n  -> 500\n    | <h1>\n    | no",
    ),
    "binary HTTP": (
        http(0, "https://a.example/x", body_b64="aGVsbG8h"),
        "http GET https://a.example/x\n  -> 200 '(6 bytes, sha256 2b97ad979b19)'",
    ),
    "events": (
        http(0, "https://a.example/x", events=[{"data": {"n": 1}}, {"data": {"n": 2}}]),
        "http GET https://a.example/x\n  -> 200 [{'n': 1}, {'n': 2}]",
    ),
    "a failed LLM call": (
        chat(0, [ASKED], {"error": {"message": "slow down"}}, status=429),
        "llm openai.chat gpt-4o\n  user: Weather in London?\n  -> failed: slow down",
    ),
    "an LLM call that says nothing": (
        chat(0, [ASKED], {"role": "assistant", "content": ""}),
        "llm openai.chat gpt-4o\n  user: Weather in London?\n  -> (no text)",
    ),
    "an LLM call of user code": (
        Interaction(index=0, kind="llm", boundary="mine", request={"args": {"prompt": "hi"}}, response="ho"),
        "llm mine(prompt='hi')\n  -> 'ho'",
    ),
    "what does not print": (
        tool(0, "t", {}, "a\u202eb\x1b[31m\n\r"),
        "tool t()\n  ->\n    | a\\u202eb\\x1b[31m\n    | \\r",
    ),
    "placeholders": (
        tool(0, "t", {"key": "REDACTED0007", "say": "****bold****"}, "****0003"),
        "tool t(key='REDACTED', say='****bold****')\n  -> '****'",
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_read_like_this(case: str) -> None:
    call, text = CALLS[case]
    assert repr(timeline([call])) == text


def test_a_model_without_a_name_leaves_no_blank_at_the_end_of_its_line() -> None:
    call = chat(0, [{"role": "user", "content": "hi"}], {"role": "assistant", "content": "Hello"})
    call.request["json"].pop("model", None)
    call.metadata.pop("model", None)
    assert str(timeline([call])).splitlines()[0] == "llm openai.chat"


def test_no_calls() -> None:
    assert repr(timeline([])) == "(no calls)"


def test_a_very_long_text_is_cut_but_any_change_in_it_shows() -> None:
    first, second = (repr(timeline([tool(0, "t", {}, "x" * 1_000_000 + end)])) for end in "ab")
    assert len(first) < 5_000
    assert "… (1000001 characters, sha256 " in first
    assert first != second


def test_nested_calls_stand_inside_the_one_that_made_them_also_when_replayed_in_another_place() -> None:
    text = """\
tool plan(city='Rome')
  tool geocode()
    tool cache()
      -> 3
    -> 2
  -> 1
tool search()
  -> 4"""
    plan = tool(0, "plan", {"city": "Rome"}, 1)
    recorded = [
        plan, tool(1, "search", {}, 4),
        tool(2, "geocode", {}, 2, metadata={"parent": 0}), tool(3, "cache", {}, 3, metadata={"parent": 2}),
    ]  # fmt: skip
    replayed = [
        plan, tool(1, "geocode", {}, 2, metadata={"parent": 0}), tool(2, "cache", {}, 3, metadata={"parent": 1}),
        tool(3, "search", {}, 4),
    ]  # fmt: skip
    assert repr(timeline(recorded)) == repr(timeline(replayed)) == text


def test_no_call_is_lost_whatever_its_parent_is() -> None:
    parents = {0: 1, 1: 1, 2: [0], 3: "x", 4: 99}
    run = [tool(index, f"t{index}", metadata={"parent": parent}) for index, parent in parents.items()]
    assert repr(timeline(run)) == "\n".join(f"tool t{index}()\n  -> None" for index in parents)


def test_two_conversations_side_by_side_are_each_shown_as_far_as_they_are_new() -> None:
    answer = {"role": "assistant", "content": "ok"}
    other = {"role": "user", "content": "Other?"}
    more = {"role": "user", "content": "More?"}
    run = [chat(0, [ASKED], answer), chat(1, [other], answer), chat(2, [ASKED, answer, more], answer)]
    assert repr(timeline(run)).splitlines()[-3:] == ["llm openai.chat gpt-4o", "  user: More?", "  -> ok"]


def test_an_answer_that_the_agent_changed_before_sending_it_back_is_shown() -> None:
    changed = {"role": "assistant", "content": "changed"}
    run = [chat(0, [ASKED], {"role": "assistant", "content": "ok"}), chat(1, [ASKED, changed, ASKED], changed)]
    assert "  assistant: changed" in repr(timeline(run)).splitlines()


def test_the_final_output_is_shown_last() -> None:
    assert repr(timeline([], final_output="a\nb")) == "(no calls)\nfinal output:\n  | a\n  | b"
    assert repr(timeline([], final_output={"n": 1})) == "(no calls)\nfinal output: {'n': 1}"
    assert repr(timeline([], final_output=None)) == "(no calls)\nfinal output: None"


# only and exclude


RUN = [
    *AGENT,
    tool(3, "mail", {"to": "ann", "at": "12:01"}, {"id": 77, "parts": [{"id": 1}, {"id": 2}]}),
    http(4, "https://a.example/x?q=1", json={"now": 5}),
]
SELECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a kind": ({"only": "tool"}, ["tool get_weather", "tool mail"]),
    "kinds": ({"only": ["llm", "http"]}, ["llm openai.chat", "llm openai.chat", "http GET"]),
    "a boundary": ({"only": "mail"}, ["tool mail"]),
    "a boundary with a dot": ({"only": "openai.chat"}, ["llm openai.chat", "llm openai.chat"]),
    "HTTP by method and address": ({"only": "GET https://a.example/x"}, ["http GET"]),
    "without a kind": ({"exclude": "llm"}, ["tool get_weather", "tool mail", "http GET"]),
    "without a boundary": ({"exclude": ["openai.chat", "mail"]}, ["tool get_weather", "http GET"]),
    "one without the other": ({"only": "tool", "exclude": "mail"}, ["tool get_weather"]),
    "nothing left": ({"only": "tool", "exclude": "tool"}, ["(no calls)"]),
    "a boundary that was not called": ({"only": "known", "names": ["known"]}, ["(no calls)"]),
}


@pytest.mark.parametrize("case", SELECTED)
def test_calls_are_selected(case: str) -> None:
    options, heads = SELECTED[case]
    shown = [line for line in repr(timeline(RUN, **options)).splitlines() if not line.startswith(" ")]
    assert len(shown) == len(heads)
    assert all(line.startswith(head) for line, head in zip(shown, heads, strict=True))


PATHS: dict[str, tuple[dict[str, Any], str]] = {
    "an argument": ({"exclude": "args.at"}, "tool mail(to='ann', at=…)"),
    "an argument of a call": ({"exclude": "mail.args.at"}, "tool mail(to='ann', at=…)"),
    "an argument of a kind": ({"exclude": "tool.args.at"}, "tool mail(to='ann', at=…)"),
    "all arguments": ({"exclude": "mail.args"}, "tool mail(…)"),
    "each argument": ({"exclude": "mail.args.*"}, "tool mail(to=…, at=…)"),
    "a result": ({"exclude": "mail.result"}, "  -> …"),
    "in a list": ({"exclude": "result.parts.0.id"}, "  -> {'id': 77, 'parts': [{'id': …}, {'id': 2}]}"),
    "in brackets": ({"exclude": "result.parts[1].id"}, "  -> {'id': 77, 'parts': [{'id': 1}, {'id': …}]}"),
    "everywhere in a list": ({"exclude": "result.parts.*.id"}, "  -> {'id': 77, 'parts': [{'id': …}, {'id': …}]}"),
    "a URL": ({"exclude": "http.url"}, "http GET …"),
    "a status": ({"exclude": "status"}, "  -> … {'now': 5}"),
    "an answer": ({"exclude": "llm.text"}, "  -> …"),
    "what is said": ({"exclude": "openai.chat.messages.*.content"}, "  user: …"),
    "a conversation": ({"exclude": "messages"}, "  …"),
    "what is asked for": ({"exclude": "asks.*.get_weather"}, "  -> asks get_weather(…)"),
    "only the arguments": ({"only": "tool.args"}, "tool mail(to='ann', at='12:01')"),
    "only one argument": ({"only": "args.to"}, "tool mail(to='ann')"),
}


@pytest.mark.parametrize("case", PATHS)
def test_parts_that_vary_are_left_out(case: str) -> None:
    options, line = PATHS[case]
    assert line in repr(timeline(RUN, **options)).splitlines()
    json.dumps(timeline(RUN, **options).data())


def test_only_parts_shows_nothing_else() -> None:
    text = "tool get_weather(city='London')\ntool mail(to='ann', at='12:01')"
    assert repr(timeline(RUN, only=["tool.args"])) == text


def test_nested_calls_take_the_place_of_one_that_is_left_out() -> None:
    run = [tool(0, "plan"), tool(1, "geocode", metadata={"parent": 0})]
    assert repr(timeline(run, exclude="plan")) == "tool geocode()\n  -> None"


def test_the_final_output_can_be_left_out() -> None:
    assert repr(timeline([], final_output={"a": 1, "b": 2}, exclude="final_output.a")).endswith("{'a': …, 'b': 2}")
    assert repr(timeline(RUN, final_output="x", only="mail")).count("final output") == 0
    assert repr(timeline(RUN, final_output="x", only=["mail", "final_output"])).count("final output: x") == 1


@pytest.mark.parametrize("given", ["tols", "mial", "mail.reslt", "arg.at"])
def test_a_token_that_names_nothing_is_told_with_what_there_is(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        timeline(RUN, exclude=[given])
    assert str(caught.value).splitlines() == [
        f"exclude={given!r} is not a call of this run or part of one.",
        "  kinds: llm, tool, retrieval, memory_read, memory_write, http",
        "  boundaries: GET https://a.example/x, get_weather, mail, openai.chat",
        "  paths begin with: args, instance, result, yields, returns, complete, changed, error, model, messages, "
        "text, asks, method, url, body, status, final_output",
    ]


@pytest.mark.parametrize("given", [3, "", None], ids=repr)
def test_a_token_of_the_wrong_type_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="only takes kinds, boundary names or dotted paths"):
        timeline(RUN, only=[given])


# As data, and as a law


def test_the_data_of_a_view_is_readable_yaml() -> None:
    assert (
        dump_yaml(timeline(AGENT, final_output="bye").data())
        == """\
- llm: openai.chat
  model: gpt-4o
  messages:
  - role: system
    content: You are a weather bot.
  - role: user
    content: Weather in London?
  asks:
  - get_weather:
      city: London
- tool: get_weather
  args:
    city: London
  result:
    city: London
    temperature_c: 11
- llm: openai.chat
  model: gpt-4o
  messages:
  - role: tool
    content: '{"temperature_c": 11}'
  text: |-
    It is 11 °C.
    Take a coat.
- final_output: bye
"""
    )


def test_nested_calls_are_nested_data() -> None:
    run = [tool(0, "plan"), tool(1, "geocode", metadata={"parent": 0})]
    assert timeline(run).data() == [
        {"tool": "plan", "args": {}, "result": None, "calls": [{"tool": "geocode", "args": {}, "result": None}]}
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(anything, st.dictionaries(st.text(), anything, max_size=3))
def test_any_value_is_shown_on_printable_lines(result: Any, args: dict[str, Any]) -> None:
    text = repr(timeline([tool(0, "t", args, result)]))
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.startswith("tool t(")


def test_a_deeply_nested_value_is_shown() -> None:
    deep: Any = 1
    for _ in range(480):
        deep = [deep]
    view = timeline([tool(0, "t", {}, deep)], exclude="result.0.0.0.x")
    assert "[[[[" in repr(view)
    assert view.data()


def test_user_rules_of_what_is_volatile_hold_for_http() -> None:
    run = [http(0, "https://a.example/x?q=1&session=9")]
    shown = repr(timeline(run, rules=KeyRules.of(("session",))))
    assert shown.startswith("http GET https://a.example/x?q=1\n")
