"""Pydantic v2 models, URLs and validation errors. The privates of pydantic that we rely on live here (seen in 2.14)."""

from __future__ import annotations

import functools
import operator
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from pytest_agenttape.model import JSON
from pytest_agenttape.values._builtin import FORMS
from pytest_agenttape.values._classes import (
    CLASS_FAMILIES,
    REQUIRED,
    complete,
    dict_state,
    encode_state,
    rebuild,
)
from pytest_agenttape.values._forms import MARKER, DecodePart, EncodePart, Family, Stored, cannot_record
from pytest_agenttape.values._lookup import class_name, find_class, is_findable, loaded_class, static_attribute


def is_model(cls: type) -> bool:
    """Return whether *cls* is a pydantic v2 model."""
    base = loaded_class("pydantic.main", "BaseModel")
    return base is not None and issubclass(cls, base)


def _encode_model(value: Any, part: EncodePart) -> Stored:  # Any: pydantic is optional, its types are not importable
    cls = type(value)
    state = dict_state(value)
    fields = {name: each for name, each in state.items() if name in cls.model_fields}
    out: Stored = {**_model_name(cls), "fields": encode_state(fields, part)}
    if len(fields) < len(state):  # what SDKs add to an answer: the id of its request
        out["attributes"] = encode_state({name: each for name, each in state.items() if name not in fields}, part)
    given = value.__pydantic_fields_set__
    if given != fields.keys():
        out["fields_set"] = sorted(given)
    if value.__pydantic_extra__:
        out["extra"] = {name: part(each, f".{name}") for name, each in value.__pydantic_extra__.items()}
    if value.__pydantic_private__:
        out["private"] = encode_state(value.__pydantic_private__, part)
    return out


def _decode_model(cls: Any, stored: Stored, part: DecodePart) -> object:  # Any: as above
    cls = _parametrised(cls, stored.get("args"))
    fields = cls.model_fields

    def default(name: str) -> object:
        field = fields[name]
        return REQUIRED if field.is_required() or field.default_factory else field.get_default()

    state = complete(stored["fields"], fields, default, part)
    unknown = state.keys() - fields.keys()
    if unknown:
        raise ValueError(f"it no longer has a field {min(unknown)!r}; record again with --agenttape-record")
    extra = {name: part(each) for name, each in stored.get("extra", {}).items()}
    private = {name: part(each) for name, each in stored.get("private", {}).items()}
    value = rebuild(cls, {**state, **{name: part(each) for name, each in stored.get("attributes", {}).items()}})
    _set_slot(
        value, "__pydantic_fields_set__", set(stored["fields_set"] if "fields_set" in stored else stored["fields"])
    )
    _set_slot(value, "__pydantic_extra__", extra if cls.model_config.get("extra") == "allow" else None)
    _set_slot(value, "__pydantic_private__", private if cls.__private_attributes__ else None)
    return value


def _set_slot(value: object, name: str, content: object) -> None:
    # A root model replaces some slots by class attributes; setting those would land in its __dict__.
    slot = static_attribute(type(value), name)
    if isinstance(slot, types.MemberDescriptorType):
        slot.__set__(value, content)


# --- generic models: Page[Item] is a separate class, made from a class and type arguments


def _model_name(cls: Any) -> Stored:  # Any: as above
    generic = cls.__pydantic_generic_metadata__
    origin = generic["origin"]
    if origin is None:
        return {MARKER: class_name(cls)}
    args = [_type_name(arg, cls) for arg in generic["args"]]
    return {MARKER: class_name(origin), "args": args}


def model_origin(cls: Any) -> type:  # Any: as above
    """Return the class under whose name a model is stored: the generic one for ``Page[Item]``."""
    origin: type | None = cls.__pydantic_generic_metadata__["origin"]
    return origin or cls


def _parametrised(cls: Any, args: list[JSON] | None) -> Any:  # Any: as above
    if not args:
        return cls
    types_ = tuple(_type_named(arg) for arg in args)
    return cls[types_ if len(types_) > 1 else types_[0]]


def _type_name(arg: object, cls: type) -> JSON:
    """Return the stored form of a type argument: a name, or ``[list, str]``, or ``['|', str, None]``."""
    if arg is None or arg is type(None):
        return None
    origin, args = typing.get_origin(arg), typing.get_args(arg)
    if origin in (typing.Union, types.UnionType):
        return ["|", *(_type_name(each, cls) for each in args)]
    if origin is not None and origin in _TYPES_BY_NAME.values():
        return [origin.__name__, *(_type_name(each, cls) for each in args)]
    if isinstance(arg, type):
        if arg in _TYPES_BY_NAME.values():
            return arg.__name__
        if is_findable(arg):
            return class_name(arg)
    raise cannot_record(cls, f"its type argument {arg!r:.60} has no importable name")


def _type_named(name: JSON) -> Any:  # Any: a type form, which has no static type
    if name is None:
        return None
    if isinstance(name, list):
        args = [_type_named(each) for each in name[1:]]
        return functools.reduce(operator.or_, args) if name[0] == "|" else _TYPES_BY_NAME[name[0]][tuple(args)]
    if name in _TYPES_BY_NAME:
        return _TYPES_BY_NAME[name]
    found = find_class(name)
    if not (is_model(found) or any(family.owns(found) for family in CLASS_FAMILIES)):
        raise ValueError(f"{name!r:.60} is not a type that a recorded model can have as an argument")
    return found


_ARGUMENTS: tuple[type, ...] = (str, bool, list, *FORMS)
_TYPES_BY_NAME: dict[str, Any] = {cls.__name__: cls for cls in _ARGUMENTS}  # Any: subscripted


# --- URLs


_CORE = "pydantic_core._pydantic_core"
_URL_BASES = {"_BaseUrl": "Url", "_BaseMultiHostUrl": "MultiHostUrl"}  # pydantic's class: the core class it wraps


def _url_parser(cls: type) -> type | None:
    for wrapper, name in _URL_BASES.items():
        parser, base = loaded_class(_CORE, name), loaded_class("pydantic.networks", wrapper)
        if cls is parser or (base is not None and issubclass(cls, base)):
            return parser
    return None


def _encode_url(value: object, _: EncodePart) -> Stored:
    return {MARKER: class_name(type(value)), "value": str(value)}


def _decode_url(cls: type, stored: Stored, _: DecodePart) -> object:
    parse: Callable[[str], object] | None = _url_parser(cls)
    assert parse is not None
    core = parse(stored["value"])
    if type(core) is cls:
        return core
    value: object = object.__new__(cls)
    object.__setattr__(value, "_url", core)
    return value


PYDANTIC_FAMILIES = (
    Family(is_model, _encode_model, _decode_model),
    Family(lambda cls: _url_parser(cls) is not None, _encode_url, _decode_url),
)


# --- validation errors, which have no arguments but a list of findings


def is_validation_error(cls: type) -> bool:
    """Return whether *cls* is pydantic's ValidationError."""
    return cls is loaded_class(_CORE, "ValidationError")


def validation_state(error: Any) -> dict[str, object]:  # Any: pydantic is optional
    """Return the facts that a ValidationError is made from."""
    return {"title": error.title, "errors": error.errors(include_url=False)}


def rebuild_validation_error(cls: Any, stored: Stored, part: DecodePart) -> Any:  # Any: as above
    """Return the ValidationError with the recorded findings."""
    core = vars(sys.modules[_CORE])
    known = {each["type"] for each in core["list_all_errors"]()}
    findings = part(stored["errors"])
    for each in findings:
        message = each.pop("msg")
        if each["type"] not in known:
            each["type"] = core["PydanticCustomError"](each["type"], message, each.get("ctx"))
    error = cls.from_exception_data(part(stored["title"]), findings)
    error.args = ()  # as it is when pydantic itself raises one
    return error
