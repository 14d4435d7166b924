"""Amazon's binary event streams: one stored entry per message, its JSON decoded, framing and checksums made again.

A message is a prelude (its length, that of its headers, their CRC), typed headers, a payload and a CRC of it all.
Bedrock wraps what a model answers to an invocation in base64 (``{"bytes": "...", "p": "..."}``): `data` is what is
inside, and `beside` what else was in the wrapping; `bytes` is null there where it does not come first.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator, Mapping

from pytest_agenttape.bodies.json_layout import (
    has_lone_surrogate,
    is_deep,
    json_hint,
    parse_container,
    write_json,
)
from pytest_agenttape.bodies.stored import from_base64, has_control, require
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

MEDIA_TYPE = "application/vnd.amazon.eventstream"
LAYOUT = "amazon"

_PRELUDE = struct.Struct(">III")  # the message's length, that of its headers, the CRC of both
_CRC = struct.Struct(">I")
_STRING = 7
_EMPTY = {0: True, 1: False}  # types of headers without a value
_NUMBERS = {2: (">b", "byte"), 3: (">h", "short"), 4: (">i", "int"), 5: (">q", "long"), 8: (">q", "timestamp")}
_BYTES = {6: "bytes", 9: "uuid"}
_UUID_LENGTH = 16
_TYPES = {name: kind for kind, (_, name) in _NUMBERS.items()} | {name: kind for kind, name in _BYTES.items()}
# What names a message, and the headers that it has beside its name unless its entry says otherwise.
_NAMES = {"event": ":event-type", "exception": ":exception-type"}
_FIELDS = (*_NAMES, "headers", "data", "data_layout", "beside", "beside_layout")


def encode_amazon_events(raw: bytes) -> dict[str, JSON] | None:
    """Return the stored form of an event stream; None when no message of it can be read."""
    entries = [_encode(message) for message in _split(raw)]
    if all("raw_b64" in entry for entry in entries):
        return None
    return {"events": entries, "events_layout": LAYOUT}


def is_amazon(stored: Mapping[str, JSON]) -> bool:
    """Return whether the events in a stored response are messages of Amazon's."""
    return stored.get("events_layout") == LAYOUT


def decode_amazon_events(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of each stored message.

    Raises:
        CassetteCorruptError: One is malformed.
    """
    entries = require(stored, "events", list, "a list")
    return [_decode(entry, f"events[{at}]") for at, entry in enumerate(entries)]


# Reading ----------------------------------------------------------------------------------------------------------


def _split(raw: bytes) -> Iterator[bytes]:
    """Yield each message; from where the framing is cut short or damaged, the rest."""
    position = 0
    while position < len(raw):
        end = position + _length(raw, position)
        yield raw[position:end]
        position = end


def _length(raw: bytes, position: int) -> int:
    rest = len(raw) - position
    if rest < _PRELUDE.size + _CRC.size:
        return rest
    total, _, crc = _PRELUDE.unpack_from(raw, position)
    is_sound = zlib.crc32(raw[position : position + 8]) == crc and _PRELUDE.size + _CRC.size <= total <= rest
    return total if is_sound else rest


def _encode(message: bytes) -> dict[str, JSON]:
    try:
        entry = _read(message)
        if _decode(entry, "") == message:
            return entry
    except (struct.error, UnicodeDecodeError, IndexError, KeyError, CassetteCorruptError):
        pass
    return {"raw_b64": base64.b64encode(message).decode("ascii")}


def _read(message: bytes) -> dict[str, JSON]:
    _, length, _ = _PRELUDE.unpack_from(message)
    headers = dict(_read_headers(message[_PRELUDE.size : _PRELUDE.size + length]))
    entry: dict[str, JSON] = {}
    for field, name in _NAMES.items():
        if isinstance(headers.get(name), str):
            entry[field] = headers[name]
            headers[name] = None
            break
    if headers != _usual_headers(entry) or list(headers) != list(_usual_headers(entry)):
        entry["headers"] = headers
    return {**entry, **_read_payload(message[_PRELUDE.size + length : -_CRC.size].decode())}


def _usual_headers(entry: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the headers of a message that says no more of them than its name."""
    for field, name in _NAMES.items():
        if field in entry:
            return {name: None, ":content-type": "application/json", ":message-type": field}
    return {}


def _read_headers(raw: bytes) -> Iterator[tuple[str, JSON]]:
    position = 0
    while position < len(raw):
        end = position + 1 + raw[position]
        name, kind = raw[position + 1 : end].decode(), raw[end]
        value, position = _read_header(kind, raw, end + 1)
        yield name, value


def _read_header(kind: int, raw: bytes, position: int) -> tuple[JSON, int]:
    if kind in _EMPTY:
        return _EMPTY[kind], position
    if kind in _NUMBERS:
        form, name = _NUMBERS[kind]
        return {name: struct.unpack_from(form, raw, position)[0]}, position + struct.calcsize(form)
    length = _UUID_LENGTH
    if kind in (_STRING, 6):
        (length,) = struct.unpack_from(">H", raw, position)
        position += 2
    value = raw[position : position + length]
    content: JSON = value.decode() if kind == _STRING else {_BYTES[kind]: base64.b64encode(value).decode("ascii")}
    return content, position + length


def _read_payload(text: str) -> dict[str, JSON]:
    if not text:
        return {}
    if has_control(text):
        raise CassetteCorruptError("a payload that is not text")
    value = parse_container(text)
    inner = _unwrapped(value)
    if inner and not has_control(inner):
        fields = {**_read_json(inner), **_beside(value, text)}
        if _payload(fields, "") == text:
            return fields
    return _read_json(text)


def _unwrapped(value: JSON) -> str | None:
    """Return the text that is in base64 in the payload *value*; None when there is none."""
    encoded = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(encoded, str):
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def _beside(wrapping: dict[str, JSON], text: str) -> dict[str, JSON]:
    """Return the fields for what is around the text in base64."""
    is_first = next(iter(wrapping)) == "bytes"
    beside = {name: None if name == "bytes" else each for name, each in wrapping.items()}
    if is_first:
        del beside["bytes"]
    hint = json_hint(wrapping, text)
    return {"beside": beside, "beside_layout": hint} if hint else {"beside": beside}


def _read_json(text: str) -> dict[str, JSON]:
    value = parse_container(text)
    if value is None or is_deep(value, text) or has_lone_surrogate(value, text):
        return {"data": text}
    hint = json_hint(value, text)
    if hint is None:
        return {"data": text}
    return {"data": value, "data_layout": hint} if hint else {"data": value}


# Writing ----------------------------------------------------------------------------------------------------------


def _decode(entry: JSON, where: str) -> bytes:
    if not isinstance(entry, Mapping):
        raise CassetteCorruptError(f"{where!r} must be a mapping, found {type(entry).__name__}")
    if "raw_b64" in entry:
        if len(entry) > 1:
            raise CassetteCorruptError(f"{where!r}: 'raw_b64' must be the only key")
        return from_base64(entry["raw_b64"], f"{where}.raw_b64")
    for name in entry:
        if name not in _FIELDS:
            raise CassetteCorruptError(f"{where!r}: unknown key {name!r}; valid: {', '.join((*_FIELDS, 'raw_b64'))}")
    return _framed(_headers(entry, where), _payload(entry, where).encode())


def _framed(headers: bytes, payload: bytes) -> bytes:
    total = _PRELUDE.size + len(headers) + len(payload) + _CRC.size
    lengths = struct.pack(">II", total, len(headers))
    message = lengths + _CRC.pack(zlib.crc32(lengths)) + headers + payload
    return message + _CRC.pack(zlib.crc32(message))


def _headers(entry: Mapping[str, JSON], where: str) -> bytes:
    headers = require(entry, "headers", dict, "a mapping") if "headers" in entry else _usual_headers(entry)
    named = {header: entry[field] for field, header in _NAMES.items() if field in entry}
    return b"".join(
        _header(name, named.get(name) if value is None else value, f"{where}.headers.{name}")
        for name, value in headers.items()
    )


def _header(name: str, value: JSON, where: str) -> bytes:
    try:
        encoded = name.encode()
        return bytes([len(encoded)]) + encoded + _header_value(value, where)
    except (struct.error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CassetteCorruptError(f"{where!r} is not a header of an event: {error}") from error


def _header_value(value: JSON, where: str) -> bytes:
    if isinstance(value, bool):
        return b"\0" if value else b"\1"
    if isinstance(value, str):
        return bytes([_STRING]) + struct.pack(">H", len(value.encode())) + value.encode()
    ((name, content),) = value.items()
    kind = _TYPES[name]
    if kind in _NUMBERS:
        return bytes([kind]) + struct.pack(_NUMBERS[kind][0], content)
    raw = from_base64(content, where)
    if name == "uuid" and len(raw) != _UUID_LENGTH:
        raise ValueError("a uuid has 16 bytes")
    return bytes([kind]) + (b"" if name == "uuid" else struct.pack(">H", len(raw))) + raw


def _payload(entry: Mapping[str, JSON], where: str) -> str:
    data = entry.get("data", "")
    hint = require(entry, "data_layout", str, "text")
    text = data if isinstance(data, str) else write_json(data, hint, f"{where}.data", f"{where}.data_layout")
    if "beside" not in entry:
        return text
    beside = require(entry, "beside", dict, "a mapping")
    wrapping = dict(beside) if "bytes" in beside else {"bytes": None, **beside}
    wrapping["bytes"] = base64.b64encode(text.encode()).decode("ascii")
    hint = require(entry, "beside_layout", str, "text")
    return write_json(wrapping, hint, f"{where}.beside", f"{where}.beside_layout")
