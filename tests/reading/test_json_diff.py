"""Where two values differ, and how a person sees them."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.reading.json_diff import DIFF_LIMIT, diff_lines, field_diffs
from pytest_agenttape.reading.one_line import around_difference, shorten

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
@example([0] * 21, [1] * 21)
def test_different_values_show_a_difference(a: Any, b: Any) -> None:
    diffs = field_diffs(a, b)
    assert bool(diffs) == (json.dumps(a, sort_keys=True) != json.dumps(b, sort_keys=True)) if _dumpable(a, b) else diffs
    assert all(each.recorded != each.asked for each in diffs[:DIFF_LIMIT])  # one more counts the rest


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
    before = time.process_time()
    diffs = field_diffs(a, b)
    assert time.process_time() - before < 20  # takes well under one second; quadratic work takes minutes
    assert 0 < len(diffs) <= 21
    assert all(len(line) < 1_200 for line in diff_lines(diffs))


def test_an_insertion_into_a_long_list_is_one_addition() -> None:
    items = [{"role": "user", "content": f"message {n % 50}"} for n in range(10_000)]
    changed = [*items[:10], {"role": "user", "content": "new"}, *items[10:9_000], {"role": "x"}, *items[9_000:]]
    assert [(each.path, each.recorded) for each in field_diffs(items, changed)] == [
        ("[10]", "(absent)"),
        ("[9001]", "(absent)"),
    ]
