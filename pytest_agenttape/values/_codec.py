"""`encode` and `decode`: the recursion over a value, and the proof that it comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.values._builtin import FORMS, FORMS_BY_NAME, as_what
from pytest_agenttape.values._classes import CLASS_FAMILIES
from pytest_agenttape.values._codecs import EXCEPTION, codecs, codecs_by_name, run_codec
from pytest_agenttape.values._errors import (
    RecordedError,
    error_from_stored,
    error_text,
    error_to_stored,
    rebuild_error,
    reworded,
)
from pytest_agenttape.values._forms import (
    ATOMS,
    MARKER,
    DecodePart,
    Family,
    Refused,
    Stored,
    cannot_record,
    class_text,
    key_segment,
)
from pytest_agenttape.values._http import HTTP_FAMILIES
from pytest_agenttape.values._lookup import find_class, is_findable
from pytest_agenttape.values._pydantic import PYDANTIC_FAMILIES, is_model, model_origin
from pytest_agenttape.values._unrecorded import UNRECORDED, stand_in, stored_stand_in

T = TypeVar("T")

MAX_DEPTH = 200
_TEXT_KEYS = frozenset({str})
_PLAIN = ATOMS | {int, float}  # stored as they are
_FAMILIES = (*PYDANTIC_FAMILIES, *HTTP_FAMILIES, *CLASS_FAMILIES)
_LONGEST_DECIMAL = 1 << 2048  # about 617 digits; the interpreter's limit can be set down to 640


def encode(value: object, where: str = "result") -> JSON:
    """Return the stored form of *value*, sharing nothing mutable with it.

    Raises:
        RecordingRefusedError: A part of it cannot come back equal and of the same type; the message has its path.
    """
    if type(value) in ATOMS or _is_plain_integer(value):
        return value
    try:
        return Encoding().encode(value)
    except Refused as refused:
        raise RecordingRefusedError(refused.message(where)) from refused.__cause__
    except RecursionError as error:
        raise RecordingRefusedError(f"{where}: is nested too deeply to be recorded; register a codec") from error
    except RuntimeError as error:  # a dict or set that another thread changed meanwhile
        raise RecordingRefusedError(f"{where}: changed while it was being read ({error}); return a copy") from error


def _is_plain_integer(value: object) -> bool:
    return type(value) is int and -_LONGEST_DECIMAL < value < _LONGEST_DECIMAL


def encode_each(named: dict[str, object], where: str) -> dict[str, JSON]:
    """Return the stored forms of the values in *named*, each found under *where* in a message.

    Raises:
        RecordingRefusedError: As `encode`.
    """
    return {
        name: value if type(value) in ATOMS or _is_plain_integer(value) else encode(value, f"{where}.{name}")
        for name, value in named.items()
    }


def decode(stored: JSON) -> Any:  # Any: what was stored decides
    """Return the value that was stored, a fresh one on each call.

    Raises:
        CassetteCorruptError: A stored part is malformed, or its class is not among the imported modules.
    """
    kind = type(stored)
    try:
        if kind is dict:
            if MARKER in stored:
                return decode_marked(stored, decode)
            return {key: item if type(item) in _PLAIN else decode(item) for key, item in stored.items()}
        if kind is list:
            return [item if type(item) in _PLAIN else decode(item) for item in stored]
    except RecursionError:
        raise CassetteCorruptError("a recorded value is nested too deeply to be read") from None
    return stored


def encode_error(error: BaseException) -> Stored:
    """Return the stored form of a raised exception, with stand-ins for what it carries and cannot be recorded."""
    try:
        return Encoding(prove_each=True).error(error)
    except (Refused, RecursionError):
        return {"type": type(error).__qualname__, "module": type(error).__module__, "message": error_text(error)}


def comes_back(stored: Stored) -> bool:
    """Return whether the exception that was stored can be raised again as its own class."""
    return not isinstance(decode_error(stored), RecordedError)


def decode_error(stored: Stored) -> BaseException:
    """Return the exception to raise: of the recorded class, or a `RecordedError` when that cannot be rebuilt here."""
    return error_from_stored(stored, decode)


def redacted_error(stored: Stored | None, redact: Callable[[Any], Any]) -> Stored | None:
    """Return a stored exception as *redact* leaves it, which still comes back as its own class."""
    clean: Stored | None = redact(stored)
    return clean if stored is None or clean is None else reworded(stored, clean, decode)


# --- encoding


class Encoding:
    """One run of `encode`: the containers it is in, and whether it met anything but plain JSON."""

    __slots__ = ("_active", "_prove_each", "_typed")

    def __init__(self, *, prove_each: bool = False) -> None:
        self._active: set[int] = set()
        self._typed = False
        self._prove_each = prove_each

    def encode(self, value: object) -> JSON:
        """Return the stored form, proved to come back."""
        stored = self._any(value)
        if self._typed and (problem := _difference(value, stored)):
            Encoding(prove_each=True)._any(value)  # raises, naming the innermost part that is to blame
            raise Refused(problem)
        return stored

    def error(self, error: BaseException) -> Stored:
        """Return the stored form of an exception, with stand-ins for what it carries and cannot be recorded."""
        part = self._part_or_stand_in
        return self._inside(error, lambda: error_to_stored(error, part, of_cause=part))

    def _any(self, value: object) -> JSON:
        kind = type(value)
        if kind in ATOMS:
            return value
        if kind is dict and not _needs_pairs(value):  # type: ignore[arg-type]  # exact type
            return self._dict(value)  # type: ignore[arg-type]  # exact type
        if kind is list:
            return self._list(value)  # type: ignore[arg-type]  # exact type
        if kind is int and -_LONGEST_DECIMAL < value < _LONGEST_DECIMAL:  # type: ignore[operator]  # exact type
            return value
        if kind is float and value - value == 0:  # type: ignore[operator]  # false for nan and the infinities
            return value
        return self._marked(value, kind)

    def _list(self, value: list[object]) -> JSON:
        ident = self._enter(value)
        out: list[JSON] = []
        try:
            for item in value:
                out.append(item if type(item) in ATOMS else self._any(item))  # noqa: PERF401 - its length is the path
        except Refused as refused:
            refused.segments.append(f"[{len(out)}]")
            raise
        finally:
            self._active.discard(ident)
        return out

    def _dict(self, value: dict[str, object]) -> JSON:
        ident = self._enter(value)
        out: Stored = {}
        key = None
        try:
            for key, item in value.items():
                out[key] = item if type(item) in ATOMS else self._any(item)
        except Refused as refused:
            refused.segments.append(key_segment(key))
            raise
        finally:
            self._active.discard(ident)
        return out

    def _enter(self, value: object) -> int:
        ident = id(value)
        if ident in self._active:
            raise Refused("contains itself; a cycle cannot be recorded, use plain data or register a codec")
        if len(self._active) >= MAX_DEPTH:
            raise Refused(f"is nested deeper than {MAX_DEPTH} levels; return flatter data or register a codec")
        self._active.add(ident)
        return ident

    def _inside(self, value: object, make: Callable[[], Stored]) -> Stored:
        ident = self._enter(value)
        try:
            return make()
        finally:
            self._active.discard(ident)

    def _part(self, value: object, segment: str) -> JSON:
        try:
            return self._any(value)
        except Refused as refused:
            refused.segments.append(segment)
            raise

    def _part_or_stand_in(self, value: object, segment: str) -> JSON:
        try:
            return self._part(value, segment)
        except Refused:
            if isinstance(value, BaseException) and not isinstance(value, RecordedError):
                with suppress(Refused, CassetteCorruptError, RecursionError):  # what it carries has stand-ins, too
                    stored = {MARKER: EXCEPTION, **self.error(value)}
                    decode(stored)
                    return stored
            return stored_stand_in(value)

    def _marked(self, value: object, kind: type) -> Stored:
        self._typed = True
        stored = self._inside(value, lambda: self._form(value, kind))
        if self._prove_each and (problem := _difference(value, stored)):
            raise Refused(problem)
        return stored

    def _form(self, value: object, kind: type) -> Stored:
        form = FORMS.get(as_what(kind))
        if form is not None:
            return {MARKER: form.name, **form.encode(value, self._part)}
        codec = codecs.get(kind)
        if codec is not None:
            return {MARKER: codec.name, "value": self._part(run_codec(codec, value), "")}
        if issubclass(kind, BaseException):
            stored = error_to_stored(value, self._part, of_cause=self._part_or_stand_in)  # type: ignore[arg-type]
            return {MARKER: EXCEPTION, **stored}
        family = _family(kind)
        if family is None:
            raise cannot_record(kind)
        if not is_findable(model_origin(kind) if is_model(kind) else kind):
            raise cannot_record(kind, "its name does not lead back to it; define it at the top level of a module")
        return family.encode(value, self._part)


def _needs_pairs(value: dict[object, object]) -> bool:
    return MARKER in value or not {*map(type, value)} <= _TEXT_KEYS


def _family(cls: type) -> Family | None:
    return next((family for family in _FAMILIES if family.owns(cls)), None)


# --- proof


def _difference(value: object, stored: JSON) -> str | None:
    """Return why *stored* does not bring *value* back, or None."""
    subject = f"{class_text(type(value))} cannot be recorded"
    advice = "use plain data or register a codec"
    try:
        fresh = decode(stored)
        again = Encoding()._any(fresh)
    except CassetteCorruptError as error:
        return f"{subject}: {error.problem}; {advice}"
    except Refused as refused:
        return f"{subject}: it comes back as {refused.message('something else')}"
    if type(fresh) is not as_what(type(value)) or layout(again) != layout(stored):
        return f"{subject}: it does not come back with the same content; {advice}"
    # Two fresh values that differ have no equality by value (identity, or a nan inside): their content decides.
    if _equal(fresh, value) or not _equal(fresh, decode(stored)):
        return None
    return f"{subject}: it does not come back equal; {advice}"


def layout(stored: JSON) -> str:
    """Return a text that only equal stored forms share."""
    # Text, because 1 == True == 1.0 would hide a changed type.
    return json.dumps(stored, sort_keys=True)


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - a failing __eq__ is not equality by value
        return False


# --- decoding


def decode_marked(stored: Stored, part: DecodePart) -> object:
    """Return the value that was stored with a marker; *part* decodes what it holds."""
    name = stored[MARKER]
    try:
        return _decode_named(name, stored, part)
    except (CassetteCorruptError, RecursionError):
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
        raise CassetteCorruptError(f"recorded type {name!r:.80} cannot be rebuilt: {problem:.200}") from error


def _decode_named(name: object, stored: Stored, part: DecodePart) -> object:
    if not isinstance(name, str):
        raise CassetteCorruptError(f"'{MARKER}' must be the name of a type, found {name!r:.40}")
    if name in FORMS_BY_NAME:
        return FORMS_BY_NAME[name].decode(stored, part)
    if name in codecs_by_name:
        return codecs_by_name[name].decode(part(stored["value"]))
    if name == EXCEPTION:
        return rebuild_error(stored, part)
    if name == UNRECORDED:
        return stand_in(stored)
    if ":" not in name:
        raise CassetteCorruptError(
            f"recorded type {name!r:.80} is unknown; if it is a codec's, register the codec first"
        )
    cls = find_class(name)
    family = _family(cls)
    if family is None:
        raise CassetteCorruptError(
            f"recorded type {name!r} is not one that a cassette may rebuild: it is not a pydantic model, dataclass, "
            "attrs class, named tuple or enum, and has no codec"
        )
    return family.decode(cls, stored, part)
