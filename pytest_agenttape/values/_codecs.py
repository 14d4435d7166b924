"""The users' own codecs: ways to record one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.values._builtin import FORMS, FORMS_BY_NAME
from pytest_agenttape.values._forms import ATOMS, Codec, cannot_record, class_text
from pytest_agenttape.values._lookup import class_name
from pytest_agenttape.values._unrecorded import UNRECORDED

T = TypeVar("T")

EXCEPTION = "exception"
ARGUMENT = "argument"  # an object that the call was given, in what the call did to another
_TAKEN = (EXCEPTION, ARGUMENT, UNRECORDED)


def register_codec(
    cls: type[T], *, encode: Callable[[T], object], decode: Callable[[Any], T], name: str | None = None
) -> None:
    """Record values of exactly *cls* as what *encode* returns, under *name*; *decode* turns that back into a value.

    Raises:
        ConfigError: *cls* is recorded without a codec, *name* is taken, or an argument is of the wrong kind.
    """
    if not (isinstance(cls, type) and callable(encode) and callable(decode) and isinstance(name, str | None)):
        raise ConfigError(
            "register_codec takes a class, two functions and a name: "
            "register_codec(Money, encode=lambda money: money.cents, decode=Money, name='money')"
        )
    name = name or class_name(cls)
    if cls in ATOMS or cls is list or cls in FORMS:
        raise ConfigError(f"{class_text(cls)} needs no codec: it is recorded as it is")
    taken = codecs_by_name.get(name)
    if name in FORMS_BY_NAME or name in _TAKEN or (taken and class_name(taken.cls) != class_name(cls)):
        raise ConfigError(f"the codec name {name!r} is taken")
    unregister_codec(cls)
    codecs[cls] = codecs_by_name[name] = Codec(cls, name, encode, decode)


def unregister_codec(cls: type) -> None:
    """Forget the codec of *cls*, if there is one."""
    codec = codecs.pop(cls, None)
    if codec is not None:
        codecs_by_name.pop(codec.name, None)


def has_codec(cls: type) -> bool:
    """Return whether a user has registered a codec for exactly *cls*."""
    return cls in codecs


# The one registry that users write to; like pickle's and copyreg's, it belongs to the process.
codecs: dict[type, Codec] = {}
codecs_by_name: dict[str, Codec] = {}


def run_codec(codec: Codec, value: object) -> object:
    """Return what *codec* makes of *value*."""
    try:
        return codec.encode(value)
    except Exception as error:
        raise cannot_record(codec.cls, f"its codec failed: {type(error).__name__}: {error}") from error
