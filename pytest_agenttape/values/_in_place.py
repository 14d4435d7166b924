"""How one object is changed in place: what it holds, how two states of it differ, and how that is done to it again."""

from __future__ import annotations

import operator
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MemberDescriptorType
from typing import Any, TypeAlias

from pytest_agenttape.values._classes import dict_state, instance_state
from pytest_agenttape.values._codec import Encoding, layout
from pytest_agenttape.values._forms import ATOMS, DecodePart, EncodePart, Refused, Stored, class_text
from pytest_agenttape.values._lookup import has_mark, static_attribute
from pytest_agenttape.values._pydantic import is_model

IsSame: TypeAlias = Callable[[object, object], bool]
Write: TypeAlias = EncodePart
Content: TypeAlias = Any  # Any: a shallow copy, of the type that `InPlace.read` returns

SIMPLE = ATOMS | {int, float}  # types whose values hold nothing
_PYDANTIC_SLOTS = ("__pydantic_extra__", "__pydantic_private__", "__pydantic_fields_set__")


@dataclass(frozen=True, slots=True)
class InPlace:
    """How objects of one kind are changed in place.

    Attributes:
        read: Returns what the object holds, as a shallow copy.
        parts: Yields what it holds, simple values aside, with the path segments.
        difference: Returns the stored form of the way from one content to another; empty if there is none.
        prepare: Returns a function that goes this way again, from the given content, on the given object.
        members: Returns what it holds without a path: the members of a set, the keys of a mapping.
        is_changeable: Whether the object itself can be changed, not only what it holds.
    """

    read: Callable[[Any], Content]
    parts: Callable[[Content], Iterable[tuple[str, object]]]
    difference: Callable[[Content, Content, IsSame, Write], Stored]
    prepare: Callable[[Any, Content, Stored, DecodePart], Callable[[], object]]
    members: Callable[[Content], Iterable[object]] = lambda _: ()
    is_changeable: bool = True


def _are_same_objects(before: Collection[object], after: Collection[object]) -> bool:
    return len(before) == len(after) and all(map(operator.is_, before, after))


# --- lists and deques


def _items(content: Iterable[object]) -> Iterator[tuple[str, object]]:
    return ((f"[{index}]", each) for index, each in enumerate(content) if type(each) not in SIMPLE)


def _changed_items(before: list[object], after: list[object], same: IsSame, write: Write) -> Stored:
    if _are_same_objects(before, after):
        return {}
    first, shorter = 0, min(len(before), len(after))
    while first < shorter and same(before[first], after[first]):
        first += 1
    last = 0  # counted from the end
    while last < shorter - first and same(before[-1 - last], after[-1 - last]):
        last += 1
    if first == len(before) == len(after):
        return {}
    until = {"until": len(before) - last} if last else {}
    changed = range(first, len(after) - last)
    return {"from": first, **until, "items": [write(after[index], f"[{index}]") for index in changed]}


def _with_items(value: Any, before: list[object], change: Stored, read: DecodePart) -> Callable[[], object]:
    first, until, items = change["from"], change.get("until", len(before)), read(change["items"])
    if type(first) is not int or type(until) is not int or not 0 <= first <= until <= len(before):
        raise ValueError(f"it has {len(before)} items, fewer than when it was recorded")
    content = [*before[:first], *items, *before[until:]]

    def redo() -> None:
        value.clear()
        value.extend(content)

    return redo


# --- mappings


def _entries(content: Mapping[object, object]) -> Iterator[tuple[str, object]]:
    for key, each in content.items():
        if type(each) not in SIMPLE:
            yield _segment(key), each


def _segment(key: object) -> str:
    if type(key) is str and key.isidentifier():
        return f".{key}"
    # The repr of other keys may tell of their address.
    return f"[{key!r}]" if type(key) in SIMPLE else f"[{layout(Encoding().encode(key))}]"


def _changed_entries(before: dict[object, object], after: dict[object, object], same: IsSame, write: Write) -> Stored:
    if _are_same_objects(before, after) and _are_same_objects(before.values(), after.values()):
        return {}
    given = {key: each for key, each in after.items() if key not in before or not same(before[key], each)}
    gone = [key for key in before if key not in after]
    in_order = [*(key for key in before if key in after), *(key for key in after if key not in before)]
    if list(after) != in_order:
        return {"now": write(dict(after), "")}
    return _stored_changes(given, gone, write)


def _stored_changes(given: dict[Any, object], gone: list[Any], write: Write) -> Stored:
    return {**({"set": write(given, "")} if given else {}), **({"removed": write(gone, "")} if gone else {})}


def _with_entries(value: Any, _: object, change: Stored, read: DecodePart) -> Callable[[], object]:
    if "now" in change:
        content = dict(read(change["now"]))
        gone: list[object] = list(value)
    else:
        content, gone = dict(read(change.get("set", {}))), list(read(change.get("removed", [])))

    def redo() -> None:
        for key in gone:
            value.pop(key, None)
        for key, each in content.items():
            value[key] = each

    return redo


# --- sets


def _changed_members(before: set[object], after: set[object], _: IsSame, write: Write) -> Stored:
    changes = {"added": after - before, "removed": before - after}
    return {name: write(members, "")["items"] for name, members in changes.items() if members}


def _with_members(value: set[object], _: object, change: Stored, read: DecodePart) -> Callable[[], object]:
    added, removed = set(read(change.get("added", []))), set(read(change.get("removed", [])))

    def redo() -> None:
        value.difference_update(removed)
        value.update(added)

    return redo


# --- bytes


def _changed_bytes(before: bytes, after: bytes, _: IsSame, write: Write) -> Stored:
    return {} if before == after else {"now": write(after, "")}


def _with_bytes(value: bytearray, _: object, change: Stored, read: DecodePart) -> Callable[[], object]:
    content = bytes(read(change["now"]))

    def redo() -> None:
        value[:] = content

    return redo


# --- objects with attributes: dataclasses, attrs classes, pydantic models


def _state(value: object) -> dict[str, object]:
    state = instance_state(value)
    state.pop("_attrs_cached_hash", None)
    return state


def _model_state(value: object) -> dict[str, object]:
    slots = ((name, static_attribute(type(value), name)) for name in _PYDANTIC_SLOTS)
    held = {name: slot.__get__(value) for name, slot in slots if isinstance(slot, MemberDescriptorType)}
    return {**dict_state(value), **held}


def _attributes(content: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    return ((f".{name}", each) for name, each in content.items() if type(each) not in SIMPLE)


def _changed_attributes(before: dict[str, object], after: dict[str, object], same: IsSame, write: Write) -> Stored:
    given = {name: each for name, each in after.items() if name not in before or not same(before[name], each)}
    return _stored_changes(given, [name for name in before if name not in after], write)


def _with_attributes(value: object, _: object, change: Stored, read: DecodePart) -> Callable[[], object]:
    given, gone = read(change.get("set", {})), read(change.get("removed", []))
    for name in (*given, *gone):
        if name.startswith("__") and name.endswith("__") and name not in _PYDANTIC_SLOTS:
            raise ValueError(f"{name!r} is not an attribute that can be changed")
    cls = type(value)

    def redo() -> None:
        for name, each in given.items():
            slot = static_attribute(cls, name)
            if isinstance(slot, MemberDescriptorType):
                slot.__set__(value, each)
            else:
                object.__getattribute__(value, "__dict__")[name] = each
        for name in gone:
            slot = static_attribute(cls, name)
            if isinstance(slot, MemberDescriptorType):
                slot.__delete__(value)
            else:
                object.__getattribute__(value, "__dict__").pop(name, None)

    return redo


# --- which kind


def _nothing(_: object, __: object, ___: IsSame, ____: Write) -> Stored:
    return {}


def _never(value: object, _: object, __: Stored, ___: DecodePart) -> Callable[[], object]:
    raise ValueError(f"{class_text(type(value))} cannot be changed in place")


_SEQUENCE = InPlace(list, _items, _changed_items, _with_items)
_MAPPING = InPlace(dict, _entries, _changed_entries, _with_entries, members=lambda content: content)
_OBJECT = InPlace(_state, _attributes, _changed_attributes, _with_attributes)
_MODEL = InPlace(_model_state, _attributes, _changed_attributes, _with_attributes)
_TUPLE = InPlace(tuple, _items, _nothing, _never, is_changeable=False)
_BY_TYPE: Mapping[type, InPlace] = {
    list: _SEQUENCE,
    deque: _SEQUENCE,
    **dict.fromkeys((dict, OrderedDict, Counter, defaultdict), _MAPPING),
    set: InPlace(set, lambda _: (), _changed_members, _with_members, members=lambda content: content),
    frozenset: InPlace(frozenset, lambda _: (), _nothing, _never, members=lambda content: content, is_changeable=False),
    bytearray: InPlace(bytes, lambda _: (), _changed_bytes, _with_bytes),
    tuple: _TUPLE,
}


def in_place(cls: type) -> InPlace | None:
    """Return how objects of *cls*, which are recorded without a codec, are changed in place; None if they are not."""
    if cls in _BY_TYPE:
        return _BY_TYPE[cls]
    if is_model(cls):
        return _MODEL
    if issubclass(cls, tuple):
        return _TUPLE
    return _OBJECT if has_mark(cls, "__dataclass_fields__") or has_mark(cls, "__attrs_attrs__") else None


def cannot_redo(value: object) -> Refused:
    """Return the refusal of a change inside *value*."""
    return Refused(
        f"{class_text(type(value))} was changed by the call, which cannot be done to it again in replay; "
        "return the change, or pass plain data"
    )
