"""Server-sent events: one stored entry per event, its JSON decoded."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pytest_agenttape.bodies.json_layout import (
    JSON_STYLES,
    escape_words,
    has_lone_surrogate,
    is_deep,
    json_hint,
    json_layout,
    parse_container,
    write_json,
)
from pytest_agenttape.bodies.stored import from_base64, has_control, require
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

_EVENT = re.compile(rb"(?:[^\r\n]++(?>\r\n|[\r\n]))*+(?>\r\n|[\r\n])")  # lines up to and with the blank one
_NEWLINE = re.compile(r"\r\n|\r|\n")
_FIELD_START = re.compile(r"^(?:data|event|id|retry):(.?)", re.MULTILINE)
_EVENT_START = re.compile(rb"(?:data|event|id|retry|):")
_EVENT_FIELDS = ("comment", "event", "id", "retry", "data")
_NEWLINE_WORDS = {"crlf": "\r\n", "cr": "\r"}
_STREAM_WIDE_WORDS = frozenset({*JSON_STYLES, "indent", "tab"})


@dataclass(frozen=True, slots=True)
class _EventLayout:
    """How a stream spells its lines, and the layout of its JSON."""

    newline: str
    colon: str
    json_hint: str

    def hint(self) -> str:
        words = [word for word, newline in _NEWLINE_WORDS.items() if newline == self.newline]
        words += ["tight"] if self.colon == ":" else []
        return " ".join((*words, *self.json_hint.split()))


def split_events(raw: bytes) -> tuple[bytes, ...]:
    """Split an event stream after each blank line; the rest after the last one is kept as it is."""
    events, position = [], 0
    while found := _EVENT.match(raw, position):
        events.append(found[0])
        position = found.end()
    if position < len(raw):
        events.append(raw[position:])
    return tuple(events)


def read_event(entry: JSON) -> tuple[str | None, JSON]:
    """Return the name and the data of a stored event, JSON decoded; data is None if it has none."""
    if not isinstance(entry, Mapping):
        return None, None
    if isinstance(entry.get("raw"), str):
        entry = _read_raw(entry["raw"])
    elif "raw_b64" in entry:
        entry = _read_raw(from_base64(entry["raw_b64"], "raw_b64").decode("utf-8", "replace"))
    name, content = entry.get("event"), entry.get("data")
    parsed = parse_container(content)
    return (name if isinstance(name, str) else None), (content if parsed is None else parsed)


def _read_raw(block: str) -> dict[str, str]:
    """Read a raw event the way a client does: unknown fields are ignored, data lines are joined."""
    fields: dict[str, str] = {}
    for line in _NEWLINE.split(block.removeprefix("\ufeff")):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        fields[name] = f"{fields['data']}\n{value}" if name == "data" and "data" in fields else value
    return fields


def looks_like_events(raw: bytes) -> bool:
    """Return whether a body without a content type can be an event stream."""
    return _EVENT_START.match(raw) is not None


def encode_events(raw: bytes) -> dict[str, JSON] | None:
    """Return the stored form of an event stream; None if no event of it can be read."""
    blocks = [_as_text(block) for block in split_events(raw)]
    layout = _guess_event_layout(raw.decode("utf-8", "replace"), [block for block in blocks if isinstance(block, str)])
    entries = [_encode_event(block, layout) for block in blocks]
    if all("raw" in entry or "raw_b64" in entry for entry in entries):
        return None
    hint = layout.hint()
    return {"events": entries, "events_layout": hint} if hint else {"events": entries}


def _as_text(block: bytes) -> str | bytes:
    """Return an event as text; as it is if it is none, or none that a person can read."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        return block
    return block if has_control(text) else text


def _guess_event_layout(text: str, blocks: list[str]) -> _EventLayout:
    newline = _NEWLINE.search(text)
    first = _FIELD_START.search(_NEWLINE.sub("\n", text[:4096]))
    sample = _read_raw(max(blocks[:16], key=len, default="").rstrip("\r\n")).get("data")
    return _EventLayout(
        newline=newline[0] if newline else "\n",
        colon=":" if first and first[1] not in ("", " ") else ": ",
        json_hint=stream_json_hint(sample, text),
    )


def stream_json_hint(sample: JSON, text: str) -> str:
    """Return the JSON layout that most events of the stream share, as one of them shows it."""
    value = parse_container(sample)
    own = None if value is None else json_hint(value, sample)
    style = [word for word in (own or "").split() if word.partition("=")[0] in _STREAM_WIDE_WORDS]
    return " ".join((*style, *escape_words(text)))


def _encode_event(block: str | bytes, layout: _EventLayout) -> dict[str, JSON]:
    if isinstance(block, bytes):
        return {"raw_b64": base64.b64encode(block).decode("ascii")}
    end = layout.newline * 2
    fields = _parse_fields(block.removesuffix(end).split(layout.newline)) if block.endswith(end) else None
    if not fields or _write_event(fields, layout) != block:
        return {"raw": block}
    return with_data_read(fields, layout.json_hint)


def _parse_fields(lines: list[str]) -> dict[str, JSON] | None:
    """Read the lines of one event in wire order; None if a mapping of fields cannot express them."""
    fields: dict[str, JSON] = {}
    last = ""
    for line in lines:
        name, colon, value = line.partition(":")
        name = "comment" if colon and not name else name
        if not colon or name not in _EVENT_FIELDS:
            return None
        value = value.removeprefix(" ")
        if name not in fields:
            fields[name] = value
        elif name == last and name in ("data", "comment"):
            fields[name] += "\n" + value
        else:
            return None
        last = name
    return fields


def with_data_read(fields: dict[str, JSON], hint: str) -> dict[str, JSON]:
    """Return the *fields* of an event with the JSON of its data decoded; *hint* is the layout that its stream has."""
    if "retry" in fields:
        fields["retry"] = _whole_number(fields["retry"])
    text: str = fields.get("data", "")
    value = parse_container(text)
    if value is None or is_deep(value, text) or has_lone_surrogate(value, text):
        return fields
    if json_layout(hint).write(value) == text:
        return {**fields, "data": value}
    own = json_hint(value, text)
    return fields if own is None else {**fields, "data": value, "data_layout": own or "compact"}


def _whole_number(text: str) -> int | str:
    return int(text) if len(text) < 10 and text.isdecimal() and str(int(text)) == text else text


def decode_events(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of each stored event."""
    entries = require(stored, "events", list, "a list")
    layout = _read_event_layout(require(stored, "events_layout", str, "text"))
    return [_decode_event(entry, layout, f"events[{at}]") for at, entry in enumerate(entries)]


@lru_cache(maxsize=64)
def _read_event_layout(hint: str) -> _EventLayout:
    words = hint.split()
    newlines = [_NEWLINE_WORDS[word] for word in words if word in _NEWLINE_WORDS]
    json_words = " ".join(word for word in words if word not in _NEWLINE_WORDS and word != "tight")
    try:
        json_layout(json_words)
    except ValueError as error:
        raise CassetteCorruptError(f"'events_layout': {error}, cr, tight") from error
    return _EventLayout(newlines[0] if newlines else "\n", ":" if "tight" in words else ": ", json_words)


def _decode_event(entry: JSON, layout: _EventLayout, where: str) -> bytes:
    if not isinstance(entry, Mapping):
        raise CassetteCorruptError(f"{where!r} must be a mapping, found {type(entry).__name__}")
    if "raw" in entry:
        if len(entry) > 1 or not isinstance(entry["raw"], str):
            raise CassetteCorruptError(f"{where!r}: 'raw' must be text and the only key")
        return entry["raw"].encode()
    if "raw_b64" in entry:
        if len(entry) > 1:
            raise CassetteCorruptError(f"{where!r}: 'raw_b64' must be the only key")
        return from_base64(entry["raw_b64"], f"{where}.raw_b64")
    for name in entry:
        if name not in _EVENT_FIELDS and name != "data_layout":
            valid = ", ".join((*_EVENT_FIELDS, "data_layout", "raw", "raw_b64"))
            raise CassetteCorruptError(f"{where!r}: unknown key {name!r}; valid: {valid}")
    return _write_event(entry, layout, where).encode()


def _write_event(entry: Mapping[str, JSON], layout: _EventLayout, where: str = "events") -> str:
    lines = []
    for name, value in entry.items():
        if name == "data_layout":
            continue
        prefix = ("" if name == "comment" else name) + layout.colon
        lines += [prefix + part for part in field_text(entry, name, value, layout.json_hint, where).split("\n")]
    return layout.newline.join((*lines, "", ""))


def field_text(entry: Mapping[str, JSON], name: str, value: JSON, stream_hint: str, where: str) -> str:
    """Return the text of one field of a stored event."""
    if isinstance(value, str):
        return value
    if name == "data":
        hint = require(entry, "data_layout", str, "text") or stream_hint
        return write_json(value, hint, f"{where}.data", f"{where}.data_layout")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CassetteCorruptError(f"'{where}.{name}' must be text, found {type(value).__name__}")
