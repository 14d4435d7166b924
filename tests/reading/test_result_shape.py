"""How the shape of what two runs of a function gave differs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import values
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.result_shape import moved_result

ONE = {"$stream": {"items": [1], "return": None}}
CUT = {"$stream": {"items": [1], "complete": False}}
ENDED = {"$stream": {"items": [], "return": 3}}
TEXT = {"$stream": {"items": [], "return": "a"}}
FAILED = {"type": "KeyError", "module": "builtins", "message": "x", "after": [1]}


def returned(value: Any) -> Interaction:
    stored = value if isinstance(value, dict) and "$stream" in value else values.encode(value)
    return Interaction(index=0, kind="tool", response=stored, boundary="find")


def raised(**error: Any) -> Interaction:
    return Interaction(index=0, kind="tool", error=error, boundary="find")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        pytest.param([1, 2], [3.5], [], id="neither values nor lengths"),
        pytest.param([1], [], [], id="an empty list has no items to compare"),
        pytest.param({"a": 1}, {"a": 2, "b": 3}, [], id="a new key breaks nobody"),
        pytest.param({"a": {"input": {"b": 1}}}, {"a": {"input": {}}}, ["the result.a.input.b is gone"], id="gone"),
        pytest.param({"a": {"b": 1}}, {"a": [1]}, ["the result.a is a list, was an object"], id="the cause alone"),
        pytest.param(1, None, ["the result is null, was a number"], id="null now"),
        pytest.param(None, 1, ["the result is a number, was null"], id="null then"),
        pytest.param({"a": 1}, {"a": None}, [], id="a part may be null"),
        pytest.param((1, "a"), (2, "b"), [], id="the same type with a form of its own"),
        pytest.param((1,), [1], ["the result is a list, was tuple"], id="a tuple is no list"),
        pytest.param(Decimal(1), 1, ["the result is a number, was Decimal"], id="nor a Decimal a number"),
        pytest.param({1: 2}, {"a": 2}, [], id="a mapping is a mapping"),
        pytest.param(float("nan"), 1.0, [], id="what is no number is one"),
        pytest.param(ONE, CUT, [], id="as far as it was read"),
        pytest.param(ONE, [1], ["the result is a list, was a stream"], id="a stream is no list"),
        pytest.param(ENDED, TEXT, ["the result.return is a text, was a number"], id="what a generator returns"),
    ],
)
def test_types_and_keys_are_compared(old: Any, new: Any, told: list[str]) -> None:
    assert moved_result(returned(old), returned(new)) == told


def test_the_class_of_an_exception_is_compared_with_its_module() -> None:
    old = raised(type="Missing", module="shop", message="no book")
    assert moved_result(old, raised(type="Missing", module="shop", message="no pen")) == []
    assert moved_result(old, raised(type="Missing", module="store", message="")) == [
        "raises store.Missing in place of shop.Missing"
    ]
    assert moved_result(raised(**FAILED), raised(**{**FAILED, "after": ["a"]})) == [
        "the result[] is a text, was a number"
    ]


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda part: st.lists(part) | st.dictionaries(st.text(), part))
)
def test_what_is_equal_has_not_moved(value: Any) -> None:
    assert moved_result(returned(values.decode(values.encode(value))), returned(value)) == []
