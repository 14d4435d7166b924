"""Exceptions in stored form: the class is rebuilt from its arguments and attributes, past its ``__init__``."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any

from pytest_agenttape.errors import AgentTapeError, add_note
from pytest_agenttape.model import JSON
from pytest_agenttape.values._forms import DecodePart, EncodePart, Stored, key_segment
from pytest_agenttape.values._lookup import find_class
from pytest_agenttape.values._pydantic import is_validation_error, rebuild_validation_error, validation_state
from pytest_agenttape.values._unrecorded import Unrecorded, is_stand_in, stored_stand_in

MAX_CAUSES = 5
# What an exception that is a frozen dataclass does not let us set in the usual way.
_ARGS: Any = vars(BaseException)["args"]
_CAUSE: Any = vars(BaseException)["__cause__"]
_WITHOUT_SLOTS = (BaseException, Exception, BaseExceptionGroup, ExceptionGroup)  # theirs are args and exceptions
_ATTRIBUTE_OWNER = vars(AttributeError)["obj"]  # the object that lacks the attribute: a hint for tracebacks


class RecordedError(AgentTapeError):
    """Stands in for a recorded exception whose class cannot be rebuilt: not imported here, or not from its parts.

    Attributes:
        type: Name of the exception's class.
        module: The module of that class.
        message: What ``str()`` of the exception returned.
        stored: The recorded form.
    """

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self.type = str(stored.get("type", "Exception"))
        self.module = str(stored.get("module", ""))
        self.message = str(stored.get("message", ""))
        super().__init__(self.message)

    def __str__(self) -> str:
        name = self.type if self.module in ("", "builtins") else f"{self.module}.{self.type}"
        return f"{name}: {self.message}" if self.message else name


def is_recordable_error(error: BaseException) -> bool:
    """Return whether *error* is an outcome of the call itself, not a cancellation, an interrupt or our own verdict."""
    if not isinstance(error, Exception) or (isinstance(error, AgentTapeError) and not isinstance(error, RecordedError)):
        return False
    futures = sys.modules.get("concurrent.futures")  # code that raises its CancelledError has imported it
    return futures is None or not isinstance(error, futures.CancelledError)


# --- encoding


def error_to_stored(
    error: BaseException, part: EncodePart, *, of_cause: EncodePart, causes: int = MAX_CAUSES
) -> Stored:
    """Return the stored form of *error*: *part* stores what it carries, *of_cause* what the error below it carries."""
    if isinstance(error, RecordedError) and part is of_cause:
        return dict(error.stored)
    cls = type(error)
    message = error_text(error)
    out: Stored = {"type": cls.__qualname__, "module": cls.__module__, "message": message}
    if isinstance(error, BaseExceptionGroup):
        out["args"] = [error.message]
        out["exceptions"] = [error_to_stored(each, part, of_cause=of_cause) for each in error.exceptions]
    elif is_validation_error(cls):
        out |= _parts(validation_state(error), part)
    elif not (len(error.args) == 1 and isinstance(error.args[0], str) and error.args[0] == message):
        out["args"] = [_argument(each, part(each, f".args[{at}]"), message) for at, each in enumerate(error.args)]
    attributes = _parts(dict(_attributes(error)), part)
    if attributes:
        out["attributes"] = attributes
    notes = [note for note in getattr(error, "__notes__", ()) if type(note) is str]
    if notes:
        out["notes"] = notes
    cause = error.__cause__
    if isinstance(cause, Exception) and causes:
        out["cause"] = error_to_stored(cause, of_cause, of_cause=of_cause, causes=causes - 1)
    return out


def _argument(value: object, stored: JSON, message: str) -> JSON:
    """Return an argument in stored form; one that is not recorded keeps what it added to the *message*."""
    if not is_stand_in(stored) or isinstance(value, Unrecorded):
        return stored
    text = next((text for text in (_text(value, str), _text(value, repr)) if text and text in message), None)
    return stored_stand_in(value, text)


def _text(value: object, shown: Callable[[object], str]) -> str:
    try:
        return shown(value)
    except Exception:  # noqa: BLE001 - it is the user's, and then no part of the message
        return ""


def _parts(values: dict[str, object], part: EncodePart) -> Stored:
    return {name: part(value, key_segment(name)) for name, value in values.items()}


def error_text(error: BaseException) -> str:
    """Return ``str(error)``, or a text that names the error of its ``__str__``."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - a failing __str__ is the user's; the exception is still an outcome
        return f"<{type(broken).__name__} in __str__>"


def _attributes(error: BaseException) -> Iterator[tuple[str, object]]:
    """Yield the attributes other than ``args``: the instance's, and those that built-in classes keep in C."""
    for name, value in vars(error).items():
        if not _is_dunder(name):
            yield name, value
    for name, slot in _slots(type(error)):
        try:
            value = slot.__get__(error, type(error))
        except AttributeError:
            continue
        if value is not None:
            yield name, value


def _slots(cls: type) -> Iterator[tuple[str, MemberDescriptorType | GetSetDescriptorType]]:
    for base in cls.__mro__:
        if base in _WITHOUT_SLOTS:
            continue
        # A getter of an extension module could do anything; those of the interpreter's own classes are fields.
        fields = MemberDescriptorType | GetSetDescriptorType if _is_builtin(base) else MemberDescriptorType
        for name, slot in vars(base).items():
            if isinstance(slot, fields) and not _is_dunder(name) and slot is not _ATTRIBUTE_OWNER:
                yield name, slot


def _is_builtin(cls: type) -> bool:
    return vars(builtins).get(cls.__name__) is cls


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


# --- decoding


def error_from_stored(stored: Stored, part: DecodePart) -> BaseException:
    """Return the exception, of its own class if that is loaded and its text comes out as recorded."""
    try:
        return rebuild_error(stored, part)
    except Exception:  # noqa: BLE001 - whatever prevents a rebuild, the stand-in answers
        return RecordedError(stored)


def rebuild_error(stored: Stored, part: DecodePart) -> Exception:
    """Return the exception, or raise whatever its class and parts cause."""
    cls = find_class(f"{stored.get('module', '')}:{stored.get('type', '')}")
    if not issubclass(cls, Exception):
        raise TypeError(f"{cls.__qualname__} is not an exception that can be recorded")
    error = _rebuild(cls, stored, part)
    if sorted(str(error)) != sorted(stored.get("message", "")):  # in another process, a set has another order
        raise ValueError(f"its text does not come out as recorded for {cls.__qualname__}")
    return error


def _rebuild(cls: type[Exception], stored: Stored, part: DecodePart) -> Exception:
    error = _blank(cls, stored, part)
    slots = dict(_slots(cls))
    for name, value in stored.get("attributes", {}).items():
        if _is_dunder(name):
            raise ValueError(f"{name!r} is not an attribute that can be recorded")
        if name in slots:
            slots[name].__set__(error, part(value))
        else:
            vars(error)[name] = part(value)
    for note in stored.get("notes", ()):
        add_note(error, note)
    if "cause" in stored:
        _CAUSE.__set__(error, error_from_stored(stored["cause"], part))
    return error


def _blank(cls: type[Exception], stored: Stored, part: DecodePart) -> Exception:
    """Return an exception of *cls* with its arguments, made by the built-in base alone."""
    args = part(stored["args"]) if "args" in stored else [stored.get("message", "")]
    if issubclass(cls, BaseExceptionGroup):
        members = [error_from_stored(each, part) for each in stored["exceptions"]]
        make: Any = BaseExceptionGroup.__new__
        group: Exception = make(cls, *args, members)
        return group
    if is_validation_error(cls):
        found: Exception = rebuild_validation_error(cls, stored, part)
        return found
    base: Any = next(base for base in cls.__mro__ if _is_builtin(base))  # Any: a class whose __new__ takes one
    error: Exception = base.__new__(cls)
    _ARGS.__set__(error, tuple(args))
    return error


def reworded(before: Stored, after: Stored, part: DecodePart) -> Stored:
    """Return *after*, which is *before* without its secrets: it says what its class makes of what is left in it."""
    if before is after:
        return after
    out = dict(after)
    if "cause" in out:
        out["cause"] = reworded(before["cause"], after["cause"], part)
    if "exceptions" in out:
        members = zip(before["exceptions"], after["exceptions"], strict=True)
        out["exceptions"] = [reworded(*each, part) for each in members]
    try:
        cls = type(rebuild_error(before, part))
        out["message"] = str(_rebuild(cls, out, part))
    except Exception:  # noqa: BLE001 - then a stand-in answers, with the text as it is
        return out
    return out
