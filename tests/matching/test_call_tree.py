"""Which call made which: the tree of the calls of one run or one recording."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.matching.call_tree import CallTree, in_call_order, parent_of
from pytest_agenttape.model import Interaction


def call(index: int, parent: Any = None) -> Interaction:
    return Interaction(index=index, kind="tool", metadata={} if parent is None else {"parent": parent})


def indexes(calls: Any) -> list[int]:
    return [each.index for each in calls]


RUN = [call(0), call(1), call(2, 0), call(3, 2), call(4, 0), call(5, 1)]


def test_a_call_is_followed_by_those_that_it_made() -> None:
    assert indexes(in_call_order(RUN)) == [0, 2, 3, 4, 1, 5]


def test_roots_children_and_descendants_are_in_order() -> None:
    tree = CallTree.of(RUN)
    assert indexes(tree.roots) == [0, 1]
    assert [indexes(tree.children(index)) for index in (0, 1, 2, 5, 99)] == [[2, 4], [5], [3], [], []]
    assert [indexes(tree.descendants(index)) for index in (0, 1, 2, 5, 99)] == [[2, 3, 4], [5], [3], [], []]


def test_a_tree_is_flat_when_no_call_made_another() -> None:
    assert CallTree.of([]).is_flat
    assert CallTree.of([call(0), call(1)]).is_flat
    assert not CallTree.of(RUN).is_flat


@pytest.mark.parametrize("parent", [7, 1, "x", 99, [0], {"a": 1}, 0.0], ids=repr)
def test_a_parent_that_cannot_be_is_none(parent: Any) -> None:
    assert parent_of(call(1, parent)) is None
    assert indexes(in_call_order([call(0), call(1, parent)])) == [0, 1]


def test_a_call_whose_parent_is_not_there_is_nested_and_a_root_of_what_is_there() -> None:
    [orphan] = CallTree.of([call(5, 2)]).roots
    assert parent_of(orphan) == 2


def test_a_chain_of_thousands_of_calls_is_walked() -> None:
    chain = [call(0), *(call(index, index - 1) for index in range(1, 3000))]
    tree = CallTree.of(chain)
    assert indexes(tree.in_order()) == list(range(3000))
    assert indexes(tree.descendants(0)) == list(range(1, 3000))


@given(st.lists(st.integers(-1, 12), max_size=12))
def test_call_order_loses_no_call_and_puts_parents_first(parents: list[int]) -> None:
    run = [call(n, parent if parent >= 0 else None) for n, parent in enumerate(parents)]
    ordered = indexes(in_call_order(run))
    assert sorted(ordered) == list(range(len(run)))
    assert all(ordered.index(p) < ordered.index(n) for n, p in enumerate(parents) if 0 <= p < n)
