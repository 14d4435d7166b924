"""Forms of the standard library's values: one entry per exact type, encoder and decoder side by side."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from pytest_agenttape.model import JSON, SECRET_PLACEHOLDER
from pytest_agenttape.values._forms import DecodePart, EncodePart, Form, Refused, Stored, cannot_record, key_segment

T = TypeVar("T")


def _as_text(kind: Callable[[str], T], show: Callable[[T], str] = str) -> Form:
    """Return the form of a type whose text says everything."""
    return Form(
        getattr(kind, "__name__", ""),
        lambda value, _: {"value": show(value)},
        lambda stored, _: kind(_text(stored["value"])),
    )


def _as_items(kind: Callable[[list[object]], T], list_items: Callable[[T, EncodePart], list[JSON]]) -> Form:
    """Return the form of a type that is made from a list of its items."""
    return Form(
        getattr(kind, "__name__", ""),
        lambda value, part: {"items": list_items(value, part)},
        lambda stored, part: kind([part(item) for item in stored["items"]]),
    )


def _as_numbers(kind: Callable[..., T], *names: str) -> Form:
    """Return the form of a type that is made from a few numbers, in the order of *names*."""
    return Form(
        getattr(kind, "__name__", ""),
        lambda value, part: {name: part(getattr(value, name), f".{name}") for name in names},
        lambda stored, part: kind(*(_number(part(stored[name])) for name in names)),
    )


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r:.40}")
    return value


def _number(value: object) -> object:
    if type(value) not in (int, float):
        raise TypeError(f"expected a number, found {value!r:.40}")
    return value


# --- numbers: only what JSON has no literal for ends up here


def _encode_big_int(value: int, _: EncodePart) -> Stored:
    # Python limits the length of decimal text, not of hexadecimal.
    return {"value": hex(value)}


def _decode_big_int(stored: Stored, _: DecodePart) -> int:
    return int(_text(stored["value"]), 16)


# --- bytes


def _encode_bytes(value: bytes | bytearray, _: EncodePart) -> Stored:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}
    if text.replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
        return {"text": text}
    return {"base64": base64.b64encode(value).decode()}


def _decode_bytes(stored: Stored, _: DecodePart) -> bytes:
    if "text" in stored:
        return _text(stored["text"]).encode()
    return base64.b64decode(_text(stored["base64"]), validate=True)


# --- collections


def _encode_items(value: Iterable[object], part: EncodePart) -> list[JSON]:
    """Return the stored items, in their order."""
    return [part(item, f"[{index}]") for index, item in enumerate(value)]


def _encode_set(value: Iterable[object], part: EncodePart) -> list[JSON]:
    """Return the items of a set in an order that does not depend on the hash seed."""
    items: list[object] = list(value)
    kinds = {type(item) for item in items}
    if kinds in ({str}, {int}):
        return [part(item, "[*]") for item in sorted(items)]  # type: ignore[type-var]  # all of one orderable type
    return sorted((part(item, "[*]") for item in items), key=lambda item: json.dumps(item, sort_keys=True))


def _encode_pairs(value: dict[object, object], part: EncodePart) -> Stored:
    """Return the form of a mapping that JSON cannot hold: its pairs, in their order."""
    return {"items": [[part(key, "[key]"), part(item, key_segment(key))] for key, item in value.items()]}


def _decode_pairs(stored: Stored, part: DecodePart) -> dict[object, object]:
    return {part(key): part(item) for key, item in stored["items"]}


def _encode_deque(value: deque[object], part: EncodePart) -> Stored:
    bound = {} if value.maxlen is None else {"maxlen": value.maxlen}
    return {"items": _encode_items(value, part), **bound}


def _decode_deque(stored: Stored, part: DecodePart) -> deque[object]:
    return deque([part(item) for item in stored["items"]], stored.get("maxlen"))


FACTORIES: dict[str, type] = {kind.__name__: kind for kind in (list, dict, set, int, float, str, bool, tuple, bytes)}


def _encode_defaultdict(value: defaultdict[object, object], part: EncodePart) -> Stored:
    factory = value.default_factory
    if factory is None:
        return _encode_pairs(value, part)
    for name, kind in FACTORIES.items():
        if factory is kind:
            return {"factory": name, **_encode_pairs(value, part)}
    raise cannot_record(defaultdict, "its default_factory is not a built-in type")


def _decode_defaultdict(stored: Stored, part: DecodePart) -> defaultdict[object, object]:
    factory = FACTORIES[stored["factory"]] if "factory" in stored else None
    return defaultdict(factory, _decode_pairs(stored, part))


# --- dates and times


def _encode_timedelta(value: timedelta, _: EncodePart) -> Stored:
    parts = {"days": value.days, "seconds": value.seconds, "microseconds": value.microseconds}
    return {name: number for name, number in parts.items() if number} or {"seconds": 0}


def _decode_timedelta(stored: Stored, _: DecodePart) -> timedelta:
    return timedelta(**{name: stored.get(name, 0) for name in ("days", "seconds", "microseconds")})


def _encode_datetime(value: datetime | time, _: EncodePart) -> Stored:
    out: Stored = {"value": value.isoformat()}
    if value.tzinfo is not None:
        out |= _encode_zone(value.tzinfo)
    if value.fold:
        out["fold"] = value.fold
    return out


def _decode_datetime(stored: Stored, _: DecodePart) -> datetime:
    value = datetime.fromisoformat(_text(stored["value"]))
    return value.replace(tzinfo=_decode_zone(stored, value.tzinfo), fold=stored.get("fold", 0))


def _decode_time(stored: Stored, _: DecodePart) -> time:
    value = time.fromisoformat(_text(stored["value"]))
    return value.replace(tzinfo=_decode_zone(stored, value.tzinfo), fold=stored.get("fold", 0))


# Zones that client libraries return, by the module and name of their class: rebuilt from the offset alone.
_OFFSET_ZONES: dict[str, Callable[[type, timedelta], object]] = {
    "pydantic_core._pydantic_core:TzInfo": lambda cls, offset: cls(int(offset.total_seconds())),
    "dateutil.tz.tz:tzutc": lambda cls, offset: cls(),  # noqa: ARG005 - the table passes every entry the offset
}


def _encode_zone(zone: tzinfo) -> Stored:
    """Return what the ISO text does not say about the zone; empty for a plain offset."""
    if type(zone) is timezone:
        offset = zone.utcoffset(None)
        name = zone.tzname(None)
        return {} if name == timezone(offset).tzname(None) else {"zone_name": name}
    if type(zone) is ZoneInfo and zone.key:
        return {"zone": zone.key}
    place = f"{type(zone).__module__}:{type(zone).__qualname__}"
    if place in _OFFSET_ZONES:
        return {"zone_type": place}
    raise Refused(
        f"its time zone {type(zone).__module__}.{type(zone).__qualname__} cannot be recorded; "
        "use zoneinfo.ZoneInfo or datetime.timezone, use plain data or register a codec"
    )


def _decode_zone(stored: Stored, offset_zone: tzinfo | None) -> tzinfo | None:
    if "zone" in stored:
        return _zone(_text(stored["zone"]))
    if offset_zone is None:
        return None
    offset = offset_zone.utcoffset(None)
    if offset is None:
        raise ValueError("the zone has no fixed offset")
    if "zone_name" in stored:
        return timezone(offset, _text(stored["zone_name"]))
    if "zone_type" in stored:
        place = stored["zone_type"]
        module, _, name = place.partition(":")
        zone = _OFFSET_ZONES[place](vars(sys.modules[module])[name], offset)
        return zone if isinstance(zone, tzinfo) else None
    return offset_zone


_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+)*")


def _zone(key: str) -> ZoneInfo:
    # A key with dots would reach other packages: zoneinfo looks for its data with importlib.
    if not _ZONE_KEY.fullmatch(key):
        raise ValueError(f"{key!r:.40} is not a time zone")
    return ZoneInfo(key)


def _encode_bare_timezone(value: timezone, _: EncodePart) -> Stored:
    offset = value.utcoffset(None)
    return {**_encode_timedelta(offset, _), **_encode_zone(value)}


def _decode_bare_timezone(stored: Stored, part: DecodePart) -> tzinfo | None:
    return _decode_zone(stored, timezone(_decode_timedelta(stored, part)))


# --- UUIDs: the placeholder of a secret has a UUID of its own, so that code which got it can pass it on


_STAND_IN = re.compile(rf"{SECRET_PLACEHOLDER}[0-9]{{4}}")


def _encode_uuid(value: UUID, _: EncodePart) -> Stored:
    text = value.bytes.rstrip(b"\0").decode("latin-1")
    return {"value": text if _STAND_IN.fullmatch(text) else str(value)}


def _decode_uuid(stored: Stored, _: DecodePart) -> UUID:
    text = _text(stored["value"])
    return UUID(bytes=text.encode().ljust(16, b"\0")) if _STAND_IN.fullmatch(text) else UUID(text)


# --- paths and patterns


def _encode_pattern(value: re.Pattern[str] | re.Pattern[bytes], part: EncodePart) -> Stored:
    return {"pattern": part(value.pattern, ".pattern"), "flags": value.flags}


def _decode_pattern(stored: Stored, part: DecodePart) -> object:
    return re.compile(part(stored["pattern"]), stored["flags"] & ~re.DEBUG)


def _named(form: Form, name: str) -> Form:
    return Form(name, form.encode, form.decode)


FORMS: dict[type, Form] = {
    int: Form("int", _encode_big_int, _decode_big_int),
    float: _as_text(float, repr),
    dict: Form("dict", _encode_pairs, _decode_pairs),
    tuple: _as_items(tuple, _encode_items),
    set: _as_items(set, _encode_set),
    frozenset: _as_items(frozenset, _encode_set),
    bytes: Form("bytes", _encode_bytes, _decode_bytes),
    bytearray: Form("bytearray", _encode_bytes, lambda stored, part: bytearray(_decode_bytes(stored, part))),
    complex: _as_numbers(complex, "real", "imag"),
    range: _as_numbers(range, "start", "stop", "step"),
    Fraction: _as_numbers(Fraction, "numerator", "denominator"),
    Decimal: _as_text(Decimal),
    UUID: Form("UUID", _encode_uuid, _decode_uuid),
    datetime: Form("datetime", _encode_datetime, _decode_datetime),
    time: Form("time", _encode_datetime, _decode_time),
    date: _named(_as_text(date.fromisoformat, date.isoformat), "date"),
    timedelta: Form("timedelta", _encode_timedelta, _decode_timedelta),
    timezone: Form("timezone", _encode_bare_timezone, _decode_bare_timezone),
    ZoneInfo: Form("ZoneInfo", lambda value, _: _encode_zone(value), lambda stored, _: _zone(_text(stored["zone"]))),
    # The running system's own flavour is just Path, so a cassette works on the others too.
    type(Path()): _named(_as_text(Path, lambda path: path.as_posix()), "Path"),
    PurePosixPath: _as_text(PurePosixPath),
    PureWindowsPath: _as_text(PureWindowsPath, lambda path: path.as_posix()),
    OrderedDict: Form("OrderedDict", _encode_pairs, lambda stored, part: OrderedDict(_decode_pairs(stored, part))),
    Counter: Form("Counter", _encode_pairs, lambda stored, part: Counter(_decode_pairs(stored, part))),
    defaultdict: Form("defaultdict", _encode_defaultdict, _decode_defaultdict),
    deque: Form("deque", _encode_deque, _decode_deque),
    re.Pattern: Form("Pattern", _encode_pattern, _decode_pattern),
    **{
        kind: _as_text(kind)
        for kind in (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)
    },
}
_FAKES = {("freezegun.api", "FakeDatetime"): datetime, ("freezegun.api", "FakeDate"): date}


def as_what(kind: type) -> type:
    """Return the type under which values of *kind* are stored: what freezegun puts in place of a type is that type."""
    return _FAKES.get((kind.__module__, kind.__qualname__), kind)


FORMS_BY_NAME: dict[str, Form] = {form.name: form for form in FORMS.values()}
