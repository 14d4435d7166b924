"""How the shape of two answers differs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.shape import moved
from tests.reading.recorded import http
from tests.reading.runs import chat


def answer(body: Any, status: int = 200) -> Interaction:
    return replace(http(), response={"status": status, "headers": {}, "json": body})


def stream(*events: dict[str, Any]) -> Interaction:
    return replace(http(), response={"status": 200, "headers": {}, "events": list(events)})


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param({"a": 1}, {"a": 2, "b": 3}, [], id="a new field breaks nobody"),
        pytest.param({"a": "x"}, {"a": "y"}, [], id="what is said is not compared"),
        pytest.param({"a": 1}, {"a": 1.5}, [], id="a number is a number"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, ["the body.b is gone"], id="gone"),
        pytest.param({"tokens": 1}, {"count": 1}, ["the body.tokens is gone (count is new)"], id="renamed"),
        pytest.param({"a": {"b": {"c": 1}}}, {}, ["the body.a is gone"], id="a whole branch is told once"),
        pytest.param({"a": 1}, {"a": "1"}, ["the body.a is a text, was a number"], id="type"),
        pytest.param({"a": 1}, {"a": None}, [], id="null now"),
        pytest.param({"a": None}, {}, [], id="null then"),
        pytest.param({"a": [{"b": 1}]}, {"a": []}, [], id="an empty list has no items to compare"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{}]}, ["the body.a[].b is gone"], id="items"),
        pytest.param({"a": [{"type": "x", "b": 1}]}, {"a": [{"type": "y"}]}, [], id="items of another type"),
        pytest.param([1], {"a": 1}, ["the body is an object, was a list"], id="root"),
    ],
)
def test_fields(old: Any, new: Any, told: list[str]) -> None:
    assert moved(answer(old), answer(new)) == told


def test_another_status_is_all_that_is_told() -> None:
    assert moved(answer({"a": 1}), answer({"error": 1}, 404)) == ["status 404 in place of 200"]


def test_a_status_of_a_model_has_the_providers_words() -> None:
    old = chat(0, "hello")
    gone = {"error": {"message": "The model gpt-4 has been retired", "type": "invalid_request_error"}}
    new = replace(old, response={"status": 404, "headers": {}, "json": gone})
    (told,) = moved(old, new)
    assert told.startswith("status 404 in place of 200: ")
    assert "The model gpt-4 has been retired" in told


def test_other_tools_are_all_that_is_told_of_an_answer() -> None:
    old, new = chat(0, "", ("find_flights", "{}")), chat(0, "There are none.")
    assert moved(old, new) == ["asks for no tool in place of find_flights"]
    assert moved(old, chat(0, "", ("find_flights", '{"city": "Rome"}'))) == []


def test_types_of_events_and_their_fields() -> None:
    old = stream({"event": "start", "data": {"id": "1"}}, {"event": "end", "data": {"n": 1}})
    new = stream({"event": "start", "data": {"key": "1"}})
    assert moved(old, new) == ["the event start.id is gone (key is new)", "the event end is gone"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(JSON)
def test_an_answer_has_the_shape_of_itself(body: Any) -> None:
    assert moved(answer(body), answer(body)) == []
