"""Mappings that say little that one before does not: only what differs is written, and nothing else changes by it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

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
    return [
        "".join(line[6:] for line in part.splitlines(keepends=True) if line.startswith(" " * 6))
        for part in text.split("    json:")[1:]
    ]


def test_only_what_differs_is_written() -> None:
    whole = cassette(answer(0), answer(1), answer(2, usage={**USAGE, "prompt_tokens": 7}))
    text = dump(whole)
    name = text.partition("json: &")[2].split()[0]
    assert bodies(text)[1:] == [
        f"<<: *{name}\nid: answer-1\n",
        f"<<: *{name}\nid: answer-2\nusage:\n  <<: *usage-08b4\n  prompt_tokens: 7\n",
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


@pytest.mark.parametrize("stream", ["events", "messages"])
def test_what_a_stream_says_is_written_out(stream: str) -> None:
    whole = cassette()
    said = [{"data": answer(0)}, {"data": answer(1)}]
    whole["interactions"] = [{"index": 0, "request": {}, "response": {"status": 200, stream: said}}]
    assert "<<" not in dump(whole)


def test_messages_of_a_request_are_merged() -> None:
    calls = cassette({"messages": [answer(0)]}, {"messages": [answer(1)]})
    assert dump(calls).count("- <<: *messages-") == 1


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
        assert bodies(after)[2].startswith(bodies(before)[1].splitlines()[0])


def test_numbers_that_are_equal_and_not_the_same_are_written() -> None:
    first, second = answer(0, a=0.0, b=1, c=True), answer(0, a=-0.0, b=True, c=1)
    text = dump(cassette(first, second))
    assert bodies(text)[1].endswith("a: -0.0\nb: true\nc: 1\n")


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
