"""Which calls are those expected, and what an assertion says of a run that made others."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from dirty_equals import IsInt, IsPartialDict, IsStr
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.reading.calls import ToolCall, llm_calls
from pytest_agenttape.reading.expectations import MODES, parse_expected, parse_mode
from pytest_agenttape.reading.expectations_text import (
    calls_problem,
    count_problem,
    forbidden_problem,
    llm_problem,
    requests_problem,
)
from tests.reading.runs import calls, chat, tool


def problem(expected: list[Any], made: list[ToolCall], mode: str = "strict") -> str | None:
    return calls_problem(parse_expected(expected), made, mode)


# Tool calls


NAMES = ("a", "b", "c")
FITS: dict[str, dict[str, bool]] = {
    # the run called a, b, c
    "a b c": {"strict": True, "unordered": True, "subset": True, "superset": True, "in_order": True},
    "c a b": {"strict": False, "unordered": True, "subset": True, "superset": True, "in_order": False},
    "a c": {"strict": False, "unordered": False, "subset": False, "superset": True, "in_order": True},
    "c a": {"strict": False, "unordered": False, "subset": False, "superset": True, "in_order": False},
    "a b c d": {"strict": False, "unordered": False, "subset": True, "superset": False, "in_order": False},
    "a a b c": {"strict": False, "unordered": False, "subset": True, "superset": False, "in_order": False},
    "": {"strict": False, "unordered": False, "subset": False, "superset": True, "in_order": True},
    "d": {"strict": False, "unordered": False, "subset": False, "superset": False, "in_order": False},
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("expected", FITS, ids=lambda text: text or "nothing")
def test_modes(expected: str, mode: str) -> None:
    assert (problem(expected.split(), calls(*NAMES), mode) is None) is FITS[expected][mode]


@pytest.mark.parametrize("mode", MODES)
def test_nothing_expected_and_nothing_called_is_right(mode: str) -> None:
    assert problem([], [], mode) is None


ITEMS = {
    "a name": ("book", True),
    "another name": ("cancel", False),
    "some arguments": (("book", {"to": "Rome"}), True),
    "all arguments": (("book", {"to": "Rome", "seats": 2}), True),
    "no argument": (("book", {}), True),
    "None for any argument": (("book", None), True),
    "another value": (("book", {"to": "Paris"}), False),
    "an argument that was not given": (("book", {"by": "train"}), False),
    "an object that decides": (("book", {"to": IsStr(regex="R.*"), "seats": IsInt(gt=1)}), True),
    "an object that decides against": (("book", {"seats": IsInt(gt=2)}), False),
    "an object that decides about all": (("book", IsPartialDict(seats=2)), True),
    "an object that decides against all": (("book", IsPartialDict(seats=3)), False),
    "a tool call": (ToolCall("book", {"to": "Rome"}), True),
    "another tool call": (ToolCall("book", {"to": "Paris"}), False),
    "an object with name and arguments": (SimpleNamespace(name="book", arguments={"seats": 2}), True),
}


@pytest.mark.parametrize("item", ITEMS)
@pytest.mark.parametrize("mode", MODES)
def test_items(item: str, mode: str) -> None:
    expected, fits = ITEMS[item]
    assert (problem([expected], calls(("book", {"to": "Rome", "seats": 2})), mode) is None) is fits


def test_a_call_of_another_run_is_an_item() -> None:
    made = calls(("book", {"to": "Rome"}), "mail")
    assert problem(list(made), calls(("book", {"to": "Rome"}), "mail")) is None
    assert problem(list(made), calls(("book", {"to": "Oslo"}), "mail")) is not None


@pytest.mark.parametrize("mode", ["unordered", "subset", "superset"])
def test_a_loose_item_leaves_the_fitting_call_to_a_strict_one(mode: str) -> None:
    made = calls(("a", {"x": 1, "y": 1}), ("a", {"x": 1, "y": 2}), ("a", {"x": 2, "y": 2}))
    for expected in itertools.permutations(["a", ("a", {"x": 1}), ("a", {"y": 1})]):
        assert problem(list(expected), made, mode) is None


pairs = st.tuples(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2))


@given(st.lists(pairs, max_size=4), st.lists(pairs, max_size=4))
def test_the_modes_say_what_a_search_through_all_pairings_says(expected: list[Any], made: list[Any]) -> None:
    wanted, run = parse_expected(expected), calls(*made)

    def can(shorter: list[Any], longer: list[Any], fits: Any, orders: Any) -> bool:
        chosen = orders(range(len(longer)), len(shorter))
        return any(all(fits(each, longer[n]) for each, n in zip(shorter, places, strict=True)) for places in chosen)

    def fits(each: Any, call: Any) -> bool:
        return bool(each.fits(call))

    superset = can(wanted, run, fits, itertools.permutations)
    subset = can(run, wanted, lambda call, each: fits(each, call), itertools.permutations)
    said = {mode: calls_problem(wanted, run, mode) is None for mode in MODES}
    assert said == {
        "strict": len(wanted) == len(run) and all(map(fits, wanted, run)),
        "unordered": superset and len(wanted) == len(run),
        "subset": subset,
        "superset": superset,
        "in_order": can(wanted, run, fits, itertools.combinations),
    }


def test_many_calls_are_compared_in_reasonable_time() -> None:
    made = calls(*(("a", {"n": n}) for n in range(300)))
    assert problem([("a", {"n": 299 - n}) for n in range(300)], made, "unordered") is None
    assert problem(["a"] * 300, made, "unordered") is None


DIFFERENCES: dict[str, tuple[str, list[Any], list[Any], str]] = {
    "an argument differs": (
        "strict",
        ["search", ("book", {"to": "Paris"}), "mail"],
        ["search", ("book", {"to": "Rome", "seats": 2}), "mail"],
        """\
the tool calls are not the expected ones (mode strict: exactly these calls, in this order)
first divergence: #1 book(to='Rome', seats=2) differs at to

    expected          the run
  = search            #0 search()
  ~ book(to='Paris')  #1 book(to='Rome', seats=2)
      to: expected 'Paris', called with 'Rome'
  = mail              #2 mail()""",
    ),
    "a call is missing": (
        "strict",
        ["search", "book", "mail"],
        ["search", "mail"],
        """\
the tool calls are not the expected ones (mode strict: exactly these calls, in this order)
first divergence: book was not made after #0 search()

    expected  the run
  = search    #0 search()
  - book      (not made)
  = mail      #1 mail()""",
    ),
    "a call is too many": (
        "strict",
        ["search"],
        ["delete", "search"],
        """\
the tool calls are not the expected ones (mode strict: exactly these calls, in this order)
first divergence: #0 delete() was not expected

    expected        the run
  + (not expected)  #0 delete()
  = search          #1 search()""",
    ),
    "another call": (
        "strict",
        ["search"],
        ["delete"],
        """\
the tool calls are not the expected ones (mode strict: exactly these calls, in this order)
first divergence: #0 delete() was made instead of search

    expected  the run
  ~ search    #0 delete()""",
    ),
    "out of order": (
        "in_order",
        ["a", "c", "b"],
        ["a", "b", "x", "c"],
        """\
the tool calls are not the expected ones (mode in_order: at least these calls, in this order; others may come between)
first divergence: b was not made after #3 c()

    expected        the run
  = a               #0 a()
    (not expected)  #1 b()
    (not expected)  #2 x()
  = c               #3 c()
  - b               (not made)""",
    ),
    "beyond a subset": (
        "subset",
        ["a", "b"],
        ["c", "a"],
        """\
the tool calls are not the expected ones \
(mode subset: no call beyond these, in any order; not all of them need to be made)
first divergence: #0 c() was not expected

    expected        the run
  + (not expected)  #0 c()
  = a               #1 a()
    b               (not made)""",
    ),
    "deep in an argument": (
        "unordered",
        [("send", {"mail": {"to": ["a", "b"], "text": "hello"}})],
        [("send", {"mail": {"to": ["a", "c"], "text": "hello", "cc": 1}})],
        """\
the tool calls are not the expected ones (mode unordered: exactly these calls, in any order)
first divergence: #0 send(mail={'to': ['a', 'c'], 'text': 'hel…) differs at mail.to[1], mail.cc

    expected                                     the run
  ~ send(mail={'to': ['a', 'b'], 'text': 'hel…)  #0 send(mail={'to': ['a', 'c'], 'text': 'hel…)
      mail.to[1]: expected 'b', called with 'c'
      mail.cc: expected (absent), called with 1""",
    ),
}


@pytest.mark.parametrize("case", DIFFERENCES)
def test_a_difference_is_shown_aligned(case: str) -> None:
    mode, expected, made, text = DIFFERENCES[case]
    found = problem(expected, calls(*made), mode)
    assert found is not None
    assert found == text


def test_a_long_run_is_cut_around_the_first_divergence() -> None:
    names = [f"t{n}" for n in range(90)]
    found = problem([*names[:80], "x", *names[81:]], calls(*names))
    assert found is not None
    assert "~ x" in found
    assert "… 50 more" in found
    assert len(found.splitlines()) < 70


@pytest.mark.parametrize(
    ("given", "text"),
    [
        pytest.param("book", "assert_tool_calls takes a list; for one call write ['book']", id="a-string"),
        pytest.param({"book": {}}, "takes a list of calls, found {'book': {}}", id="a-mapping"),
        pytest.param(None, "takes a list of calls, found None", id="none"),
        pytest.param([3], "item 0 is 3; a call is a name, (name, {argument: value}), or an object", id="a-number"),
        pytest.param(["a", ("b",)], "item 1 is ('b',); a call is", id="a-short-tuple"),
        pytest.param([("b", {}, {})], "item 0 is ('b', {}, {}); a call is", id="a-long-tuple"),
        pytest.param([("b", "Rome")], "item 0: the arguments are 'Rome'; a call is", id="arguments-by-position"),
        pytest.param([(None, {})], "item 0 is (None, {}); a call is", id="no-name"),
        pytest.param([{"name": "b"}], "item 0 is {'name': 'b'}; a call is", id="a-mapping-as-item"),
    ],
)
def test_an_item_of_the_wrong_shape_is_told_with_the_right_ones(given: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_expected(given)
    assert text in str(caught.value)


@pytest.mark.parametrize("mode", ["strict", "in_order"])
def test_a_set_is_refused_where_the_order_counts(mode: str) -> None:
    with pytest.raises(ConfigError, match=f"mode '{mode}' compares the order, but a set has none; use a list"):
        parse_expected({"a", "b"}, mode=mode)
    assert len(parse_expected({"a", "b"}, mode="unordered")) == 2


def test_an_unknown_mode_is_told_with_the_valid_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_mode("stict")
    assert str(caught.value) == (
        "unknown mode of assert_tool_calls 'stict'. Did you mean 'strict'? "
        "Valid: strict, unordered, subset, superset, in_order"
    )


def test_forbidden_calls_are_listed() -> None:
    made = calls("a", ("delete", {"id": 1}), ("delete", {"id": 2}))
    assert forbidden_problem(parse_expected([("delete", {"id": 3}), "drop"]), made) is None
    assert forbidden_problem(parse_expected([("delete", {"id": 2})]), made) == (
        "forbidden tool calls were made:\n  #2 delete(id=2)"
    )


def test_too_many_calls_are_listed() -> None:
    assert count_problem(calls("a", "b"), 2) is None
    assert count_problem(calls("a", "b"), 1) == (
        "2 tool calls were made, 1 are allowed (max_calls):\n  #0 a()\n  #1 b()"
    )


# LLM calls


COUNTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "at least one": ({}, None),
    "the number": ({"count": 2}, None),
    "another number": ({"count": 3}, "3 LLM calls were expected, 2 were made"),
    "none": ({"count": 0}, "0 LLM calls were expected, 2 were made"),
    "at most": ({"most": 2}, None),
    "more than at most": ({"most": 1}, "at most 1 LLM calls were expected, 2 were made"),
    "as many, but more than at most": (
        {"count": 2, "most": 1},
        "at most 1 LLM calls were expected, 2 were made",
    ),
    "of a model": ({"count": 1, "model": "mini"}, None),
    "of an answering model": ({"count": 1, "model": "mini-2026-01-01"}, None),
    "of models that something decides about": ({"count": 2, "model": IsStr()}, None),
    "of no such model": ({"model": "big"}, "some LLM calls of model 'big' were expected, 0 were made"),
    "of a provider": ({"count": 2, "provider": "openai"}, None),
    "of no such provider": ({"provider": "anthropic"}, "some LLM calls of provider 'anthropic' were expected"),
}


@pytest.mark.parametrize("case", COUNTS)
def test_llm_calls_are_counted(case: str) -> None:
    options, text = COUNTS[case]
    made = llm_calls([chat(0, "hi"), chat(1, "ho", model="mini")])
    found = llm_problem(made, **{"count": None, "most": None, "model": None, "provider": None, **options})
    assert (found is None) if text is None else text in str(found)


def test_a_wrong_count_lists_the_llm_calls() -> None:
    made = llm_calls([chat(0, "", ("book", '{"to":"Rome"}')), chat(2, "It rains.", model="mini")])
    assert llm_problem(made, count=2, most=None, model="mini", provider=None) == (
        "2 LLM calls of model 'mini' were expected, 1 were made; all LLM calls of the run:\n"
        "    #0 openai gpt-4o: asks for book(to='Rome')\n"
        '  = #2 openai mini: "It rains."'
    )


REQUESTS = {
    "asked and run": ([chat(0, "", ("book", "{}")), tool(1)], None),
    "run twice and asked twice": ([chat(0, "", ("book", "{}"), ("book", "{}")), tool(1), tool(2)], None),
    "never run": (
        [chat(0, "", ("book", '{"to":"Rome"}'), ("mail", "{}")), tool(1, "mail")],
        "#0 asked for book(to='Rome'), which never ran",
    ),
    "never asked for": ([chat(0, "hi"), tool(1, to="Oslo")], "#1 book(to='Oslo') ran, but no model asked for it"),
    "run once more": ([chat(0, "", ("book", "{}")), tool(1), tool(2)], "#2 book() ran, but no model asked for it"),
    "run before it was asked for": (
        [tool(0), chat(1, "", ("book", "{}"))],
        "#1 asked for book(), which never ran\n  #0 book() ran, but no model asked for it",
    ),
    "called by a tool": ([chat(0, "", ("book", "{}")), tool(1), tool(2, "geocode", parent=1)], None),
    "a retrieval of the agent's own": ([tool(0, "recall", kind="retrieval"), chat(1, "hi")], None),
    "a retrieval that was asked for": ([chat(0, "", ("recall", "{}")), tool(1, "recall", kind="retrieval")], None),
    "ignored": ([chat(0, "", ("ignored", "{}")), tool(1, "ignored"), tool(2, "ignored")], None),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_tools_match_the_requests_of_models(case: str) -> None:
    run, text = REQUESTS[case]
    found = requests_problem(run, frozenset({"ignored"}))
    assert found == (text and f"tool calls and the models' requests do not match:\n  {text}")
