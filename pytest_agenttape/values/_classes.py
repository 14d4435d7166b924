"""Families of user classes (enums, named tuples, dataclasses, attrs), rebuilt from raw state, past ``__init__``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, Flag
from functools import cached_property
from types import MemberDescriptorType
from typing import Any

from pytest_agenttape.model import JSON
from pytest_agenttape.values._forms import MARKER, DecodePart, EncodePart, Family, Stored, cannot_record
from pytest_agenttape.values._lookup import class_name, has_mark, static_attribute

REQUIRED = object()  # the default of a field that has none

# --- enums: by member name


def _encode_enum(value: Enum, _: EncodePart) -> Stored:
    return {MARKER: class_name(type(value)), "member": value._name_ or str(value._value_)}


def _decode_enum(cls: type[Enum], stored: Stored, _: DecodePart) -> Enum:
    name = stored["member"]
    known = cls._member_map_.get(name)
    if known is not None:
        return known
    if not issubclass(cls, Flag) or has_own_missing(cls):
        raise ValueError(f"{name!r:.60} is not a member of it")
    bits = 0
    for part in name.split("|"):
        bits |= cls._member_map_[part].value if part in cls._member_map_ else int(part)
    return cls(bits)


def has_own_missing(cls: type) -> bool:
    """Return whether *cls* looks up unknown values with its own code, which a cassette must not reach."""
    return static_attribute(cls, "_missing_") is not vars(Flag)["_missing_"]


# --- named tuples


def _is_named_tuple(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(static_attribute(cls, "_fields"), tuple)


def _encode_named_tuple(value: tuple[object, ...], part: EncodePart) -> Stored:
    if getattr(value, "__dict__", None):
        raise cannot_record(type(value), "it has attributes besides its fields")
    names: tuple[str, ...] = type(value)._fields  # type: ignore[attr-defined]  # the family owns only those
    fields = {name: part(item, f".{name}") for name, item in zip(names, value, strict=True)}
    return {MARKER: class_name(type(value)), "fields": fields}


def _decode_named_tuple(cls: type, stored: Stored, part: DecodePart) -> object:
    names: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]  # owned
    defaults: Mapping[str, object] = cls._field_defaults  # type: ignore[attr-defined]  # owned
    fields = complete(stored["fields"], names, lambda name: defaults.get(name, REQUIRED), part)
    if len(fields) != len(names):
        raise ValueError("its fields have changed; record again with --agenttape-record")
    return tuple.__new__(cls, [fields[name] for name in names])


# --- dataclasses and attrs classes


def _encode_dataclass(value: Any, part: EncodePart) -> Stored:  # Any: owned, so it has the attributes
    state = instance_state(value)
    # A field outside of __init__ that nobody has set is not in the instance: its default is the class's attribute.
    unset = {each.name: each.default for each in dataclasses.fields(value) if not each.init and each.name not in state}
    given = {name: each for name, each in unset.items() if each is not dataclasses.MISSING}
    return {MARKER: class_name(type(value)), "fields": encode_state({**state, **given}, part)}


def _encode_attrs(value: object, part: EncodePart) -> Stored:
    return {MARKER: class_name(type(value)), "fields": encode_state(instance_state(value), part)}


def _decode_dataclass(cls: Any, stored: Stored, part: DecodePart) -> object:  # Any: owned, so it has the attributes
    def default(name: str) -> object:
        given = cls.__dataclass_fields__[name].default
        return REQUIRED if given is dataclasses.MISSING else given

    names = [each.name for each in dataclasses.fields(cls) if each.init or each.default is not dataclasses.MISSING]
    return rebuild(cls, complete(stored["fields"], names, default, part))


def _decode_attrs(cls: Any, stored: Stored, part: DecodePart) -> object:  # Any: as above
    attr = sys.modules["attr"]
    fields = {field.name: field for field in cls.__attrs_attrs__}

    def default(name: str) -> object:
        given = fields[name].default
        return REQUIRED if given is attr.NOTHING or isinstance(given, attr.Factory) else given

    return rebuild(cls, complete(stored["fields"], fields, default, part))


# --- raw state, shared with the other modules of this package


def instance_state(value: object) -> dict[str, object]:
    """Return what is in the instance itself: slots and ``__dict__``, past every property and ``__getattr__``."""
    cls = type(value)
    state: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        if "__slots__" in vars(base):
            state.update(_slot_state(value, base))
    if has_mark(cls, "__dict__"):
        state.update(dict_state(value))
    return state


def _slot_state(value: object, base: type) -> Iterator[tuple[str, object]]:
    for name, slot in vars(base).items():
        if isinstance(slot, MemberDescriptorType):
            try:
                yield name, slot.__get__(value, base)
            except AttributeError:
                continue


def dict_state(value: object) -> dict[str, object]:
    """Return the instance's ``__dict__`` without what the object can recompute."""
    cls = type(value)
    state: dict[str, object] = object.__getattribute__(value, "__dict__")
    return {name: each for name, each in state.items() if not _is_derived(cls, name)}


def _is_derived(cls: type, name: str) -> bool:
    """Return whether *name* holds what the object can recompute: a cached property, a generic's type arguments."""
    return name == "__orig_class__" or isinstance(static_attribute(cls, name), cached_property)


def encode_state(state: Mapping[str, object], part: EncodePart) -> dict[str, JSON]:
    """Return the stored attributes."""
    # attrs keeps a hash here that depends on the hash seed; None makes attrs recompute it.
    return {name: None if name == "_attrs_cached_hash" else part(each, f".{name}") for name, each in state.items()}


def complete(
    stored: Mapping[str, JSON], names: Iterable[str], default: Callable[[str], object], part: DecodePart
) -> dict[str, object]:
    """Return the decoded attributes, and plain defaults for the fields among *names* that the class has gained since.

    Raises:
        ValueError: A field without a plain default was not recorded.
    """
    state = {name: part(each) for name, each in stored.items()}
    for name in names:
        if name in state:
            continue
        value = default(name)
        if value is REQUIRED:
            raise ValueError(f"its field {name!r} was not recorded; record again with --agenttape-record")
        state[name] = value
    return state


def rebuild(cls: type, state: Mapping[str, object]) -> object:
    """Return an instance of *cls* with that raw state; no method, property or descriptor of the class runs."""
    value: object = object.__new__(cls)
    for name, each in state.items():
        slot = static_attribute(cls, name)
        if name.startswith("__") and name.endswith("__"):
            raise ValueError(f"{name!r} is not an attribute that can be recorded")
        if isinstance(slot, MemberDescriptorType):
            slot.__set__(value, each)
        else:
            object.__getattribute__(value, "__dict__")[name] = each
    return value


CLASS_FAMILIES = (
    Family(lambda cls: issubclass(cls, Enum), _encode_enum, _decode_enum),
    Family(_is_named_tuple, _encode_named_tuple, _decode_named_tuple),
    Family(lambda cls: has_mark(cls, "__dataclass_fields__"), _encode_dataclass, _decode_dataclass),
    Family(lambda cls: has_mark(cls, "__attrs_attrs__"), _encode_attrs, _decode_attrs),
)
