"""Mappings that say little that one before does not: only what differs is written, and nothing else changes by it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.serializer import anchors as bounds
from pytest_agenttape.serializer import dump, load
from tests.serializer.test_serializer import fingerprint, law

USAGE = {"prompt_tokens": 0, "cached_prompt_tokens": 0, "completion_tokens": 0, "details": {"audio": 0}}
NEARLY_EQUAL = st.sampled_from(
    [
        *(0, 0.0, -0.0, False, None, "", "0", "<<", "a\nb", [], {}, [0], [0.0], {"x": 0}, {"x": False}),
        *(USAGE, {**USAGE, "completion_tokens": False}, {**USAGE, "prompt_tokens": 1}),
    ]
)


def cassette(*bodies: Any) -> dict[str, Any]:
    calls = [
        {"index": at, "request": {"method": "GET", "url": f"http://x/{at}"}, "response": {"status": 200, "json": body}}
        for at, body in enumerate(bodies)
    ]
    return {"version": "1", "interactions": calls}


def answer(number: int, **changes: Any) -> dict[str, Any]:
    fixed = {"object": "chat.completion", "model": "gpt-4o-mini", "service_tier": "default"}
    return {"id": f"answer-{number}", **fixed, "usage": USAGE, **changes}


def bodies(text: str) -> list[str]:
    """Return how the bodies are written, without their indentation."""
    parts = (part.splitlines(keepends=True) for part in text.split("    json:")[1:])
    return [first.lstrip() + "".join(line[6:] for line in rest if line.startswith(" " * 6)) for first, *rest in parts]


def test_only_what_differs_is_written() -> None:
    whole = cassette(answer(0), answer(1), answer(2, usage={**USAGE, "prompt_tokens": 7}))
    text = dump(whole)
    name = text.partition("json: &")[2].split()[0]
    assert bodies(text)[1:] == [
        f"{{<<: *{name}, id: answer-1}}\n",
        f"<<: *{name}\nid: answer-2\nusage: {{<<: *usage-08b4, prompt_tokens: 7}}\n",
    ]
    assert str(yaml.safe_load(text)) == str(load(text.encode(), format="yaml").root) == str(whole)  # in order


def test_what_differs_much_or_has_other_keys_is_written_out() -> None:
    other = answer(1, model="gpt-5.5", usage=None, object="response", service_tier="flex")
    for each in (other, answer(1, more=True), dict(reversed(answer(1).items())), {"id": "answer-1"}):
        assert "<<" not in dump(cassette(answer(0), each))


def test_a_request_and_a_response_say_all_themselves() -> None:
    whole = cassette(answer(0), answer(1))
    for call in whole["interactions"]:
        call["request"].update(url="http://x/a/longer/path", headers={"content-type": "application/json"})
    text = dump(whole)
    assert text.count("method: GET") == text.count("url: http://x/a/longer/path") == text.count("status: 200") == 2


def llm_calls(*answers: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """Return a cassette of LLM calls that were answered in the same form."""
    headers = {"content-type": "application/json", "x-content-type-options": "nosniff"}
    whole = cassette(*answers)
    for at, call in enumerate(whole["interactions"]):
        form = {"headers": headers, "encoded": "gzip", "json": call["response"]["json"], "json_layout": "after=\\n"}
        call["response"] = {"status": 200, **form, **parts}
        call["metadata"] = {"provider": "openai", "operation": "chat", "model": f"gpt-{4 + at // 2}", "start_ms": at}
    return whole


def test_how_an_answer_came_is_said_once_and_what_it_says_each_time() -> None:
    whole = llm_calls({"a": 1}, {"a": 1}, {"b": 2})
    text = dump(whole)
    name = text.partition("response: &")[2].split()[0]
    assert name.startswith("response-")
    assert text.count(f"  response:\n    <<: *{name}\n    status: 200\n    json:\n      ") == 2
    assert text.count("nosniff") == text.count("encoded: gzip") == text.count("json_layout: after") == 1
    assert yaml.safe_load(text) == load(text.encode(), format="yaml").root == whole
    assert dump(llm_calls(*"abcd"), "yaml", load(text.encode(), format="yaml").anchors).count(f"*{name}\n") == 3


def test_an_answer_with_other_headers_before_all_others_changes_none_of_them() -> None:
    whole = llm_calls(*"abcd")
    before = dump(whole)
    whole["interactions"].insert(
        0, llm_calls("x", headers={"server": "other", "content-type": "text/plain"})["interactions"][0]
    )
    after = dump(whole)
    first = before.partition("- index: 1")[2]
    assert first
    assert first in after


def test_what_a_call_is_about_says_its_model_where_it_is_another() -> None:
    text = dump(llm_calls(*"abcd"))
    assert [line.partition(": ")[2] for line in text.splitlines() if "metadata" in line] == [
        "&chat-9c73 {provider: openai, operation: chat, model: gpt-4, start_ms: 0}",
        "{<<: *chat-9c73, start_ms: 1}",
        "{provider: openai, operation: chat, model: gpt-5, start_ms: 2}",
        "{provider: openai, operation: chat, model: gpt-5, start_ms: 3}",
    ]
    whole = llm_calls(*"ab")
    for call in whole["interactions"]:
        call["metadata"]["start_ms"] = 0
    assert dump(whole).endswith("  metadata: {<<: *chat-9c73}\n")


def test_an_anchor_says_how_an_answer_ended() -> None:
    whole = cassette(
        *(
            {"choices": [{"index": 0, "message": {"content": f"It is {at}."}, "logprobs": None, "finish_reason": end}]}
            for at, end in enumerate(("length", "tool_calls", "length", "stop", "tool_calls"))
        )
    )
    text = dump(whole)
    merged = [line.partition("*")[2].partition("-")[0] for line in text.splitlines() if "<<" in line]
    assert merged == ["length", "tool_calls"]
    assert yaml.safe_load(text) == whole


def test_what_is_not_taken_from_a_long_answer_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "_ALWAYS_ALLOWED", 0)
    monkeypatch.setattr(bounds, "_MOST_TIMES", 2)
    whole = llm_calls({"text": "word " * 2_000}, *({"text": f"{at}"} for at in range(40)))
    assert load(dump(whole).encode(), format="yaml").root == whole


@pytest.mark.parametrize("stream", ["events", "messages"])
def test_what_a_stream_says_is_written_out(stream: str) -> None:
    whole = cassette()
    said = [{"data": answer(0)}, {"data": answer(1)}]
    whole["interactions"] = [{"index": 0, "request": {}, "response": {"status": 200, stream: said}}]
    assert "<<" not in dump(whole)


def test_messages_of_a_request_are_merged() -> None:
    calls = cassette({"messages": [answer(0)]}, {"messages": [answer(1)]})
    assert dump(calls).count("- {<<: *messages-") == 1


def test_nothing_is_merged_with_what_it_stands_in() -> None:
    inner = answer(0, choices={"json": answer(1, choices={})})
    text = dump(cassette({"json": inner}, {"json": answer(2, choices={})}))
    assert text.count("<<") == 1
    assert yaml.safe_load(text) == cassette({"json": inner}, {"json": answer(2, choices={})})


def test_a_call_that_is_inserted_before_all_others_renames_nothing() -> None:
    before = dump(cassette(answer(1), answer(2)))
    whole = cassette(answer(0, model="gpt-5.5"), answer(1), answer(2))
    for anchors in ({}, load(before.encode(), format="yaml").anchors):
        after = dump(whole, "yaml", anchors)
        assert bodies(after)[2].startswith(bodies(before)[1].rstrip("}\n"))


def test_numbers_that_are_equal_and_not_the_same_are_written() -> None:
    first, second = answer(0, a=0.0, b=1, c=True), answer(0, a=-0.0, b=True, c=1)
    text = dump(cassette(first, second))
    assert bodies(text)[1].endswith(", a: -0.0, b: true, c: 1}\n")


def test_lists_that_hold_many_times_themselves_are_looked_at_once() -> None:
    tree: Any = [answer(0)]
    for at in range(40):
        tree = [tree, tree, answer(at)]
    assert len(dump(cassette(tree))) < 12_000


@law
@given(st.lists(st.lists(NEARLY_EQUAL, min_size=3, max_size=3), min_size=2, max_size=3))
def test_merging_changes_no_value(found: list[list[Any]]) -> None:
    whole = cassette(*(answer(0, **dict(zip("xyz", each, strict=True))) for each in found))
    text = dump(whole)
    document = load(text.encode(), format="yaml")
    assert fingerprint(document.root) == fingerprint(whole)
    assert dump(whole, "yaml", document.anchors) == text
