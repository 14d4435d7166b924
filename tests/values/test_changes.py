"""`Watch`: what was done to some objects is done again to others that were equal."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.values import Watch

leaves = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "b c"]) | st.floats(allow_nan=False)
data = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "b", "c d", "$type"]), inner, max_size=4)
        | st.dictionaries(st.integers(0, 3), inner, max_size=3)
        | st.tuples(inner, inner)
        | st.sets(st.integers(0, 5), max_size=4)
        | st.binary(max_size=3).map(bytearray)
    ),
    max_leaves=12,
)


def become(value: Any, target: Any) -> Any:
    """Change *value* in place into *target* where it can be; return what has to stand there."""
    if type(value) is not type(target) or type(value) not in (list, dict, set, bytearray):
        return copy.deepcopy(target)
    if type(value) is list:
        kept = [become(one, other) for one, other in zip(value, target, strict=False)]
        value[:] = [*kept, *copy.deepcopy(target[len(kept) :])]
    elif type(value) is dict:
        content = {
            key: become(value[key], each) if key in value else copy.deepcopy(each) for key, each in target.items()
        }
        for key in [key for key in value if key not in content]:
            del value[key]
        if list(content)[: len(value)] != list(value):  # it takes clearing to come to this order
            value.clear()
        value.update(content)
    else:
        value.clear()
        value.update(target) if type(value) is set else value.extend(target)
    return value


@given(before=st.lists(data, max_size=4), after=st.lists(data, max_size=4))
def test_what_was_done_is_done_again(before: list[Any], after: list[Any]) -> None:
    recorded, replayed = copy.deepcopy(before), copy.deepcopy(before)
    watch, again = Watch({"x": recorded}), Watch({"x": replayed})
    become(recorded, after)

    changes = watch.changes()
    again.redo(copy.deepcopy(changes))

    assert repr(replayed) == repr(recorded) == repr(after)  # order and types, too
    assert Watch({"x": replayed}).changes() == []


@given(before=data)
def test_what_is_left_alone_has_no_changes(before: Any) -> None:
    assert Watch({"x": before, "y": before}).changes() == []


@dataclass(slots=True)
class Slotted:
    items: list[int]
    name: str = "a"


@dataclass(frozen=True)
class Frozen:
    items: list[int] = field(default_factory=list)


@attrs.define
class Defined:
    items: list[int]


@attrs.define(unsafe_hash=True, cache_hash=True)
class Hashed:
    n: int


class Named(NamedTuple):
    items: list[int]


class Root(pydantic.RootModel[list[int]]):
    pass


class Color(Enum):
    RED = 1


def _rename(value: Slotted) -> None:
    value.items.append(1)
    value.name = "b"


def _unname(value: Slotted) -> None:
    del value.name


CASES: dict[str, Any] = {
    "slots": (lambda: Slotted([]), _rename),
    "frozen": (Frozen, lambda value: value.items.append(1)),
    "attrs": (lambda: Defined([1]), lambda value: value.items.clear()),
    "attrs with a cached hash": (lambda: Hashed(1), lambda value: hash(value)),
    "named tuple": (lambda: Named([1]), lambda value: value.items.append(2)),
    "root model": (lambda: Root([1]), lambda value: value.root.append(2)),
    "keys": (lambda: {Color.RED: [1], (1, 2): [2]}, lambda value: [each.append(3) for each in value.values()]),
    "set of tuples": (lambda: {(1, 2)}, lambda value: value.clear()),
}


@pytest.mark.parametrize(("make", "change"), CASES.values(), ids=CASES)
def test_objects_of_every_kind(make: Any, change: Any) -> None:
    recorded, replayed = make(), make()
    watch, again = Watch({"x": recorded}), Watch({"x": replayed})
    change(recorded)

    again.redo(watch.changes())

    assert replayed == recorded


def test_an_attribute_that_was_deleted_is_deleted_again() -> None:
    recorded, replayed = Slotted([]), Slotted([])
    watch, again = Watch({"x": recorded}), Watch({"x": replayed})
    _unname(recorded)

    again.redo(watch.changes())

    assert not hasattr(replayed, "name")


@pytest.mark.parametrize(
    "change",
    [
        {},
        "damaged",
        {"at": 1},
        {"at": "args.y", "items": []},
        {"at": "args.x"},
        {"at": "args.x", "from": "0", "items": []},
        {"at": "args.x", "from": -1, "items": []},
        {"at": "args.x", "from": 0, "until": 9, "items": []},
        {"at": "args.x", "from": 0, "items": 3},
        {"at": "args.x", "from": 0, "items": [{"$type": "argument", "path": "args.z"}]},
        {"at": "args.x", "from": 0, "items": [{"$type": "no.such:Thing"}]},
        {"at": "args.x", "also": ["args.y"], "from": 0, "items": []},
    ],
    ids=str,
)
def test_a_damaged_change_is_refused_and_nothing_is_changed(change: Any) -> None:
    x = [1]
    with pytest.raises(AgentTapeError):
        Watch({"x": x}).redo([{"at": "args.x", "from": 0, "items": [2]}, change])
    assert x == [1]
