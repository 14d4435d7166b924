"""Newline-delimited JSON: one stored entry per line, in the same form as the events of an event stream."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.bodies.events import field_text, stream_json_hint, with_data_read
from pytest_agenttape.bodies.json_layout import json_layout
from pytest_agenttape.bodies.stored import require
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

WORD = "ndjson"  # in `events_layout`: the entries are lines
_CRLF, _UNENDED = "crlf", "unended"  # how the lines end, and that the last one does not
_WORDS = frozenset((WORD, _CRLF, _UNENDED))
_KEYS = ("data", "data_layout")
_LONGEST = 1_000_000  # characters; a longer body, such as documents sent in bulk, is stored as text, in a file


def encode_lines(text: str) -> dict[str, JSON] | None:
    """Return the stored form of lines of JSON; None if no line is JSON, or the text is too long."""
    if len(text) > _LONGEST:
        return None
    words = [WORD]
    *ended, rest = text.split("\n")
    if ended and all(line.endswith("\r") for line in ended):
        words.append(_CRLF)
        ended = [line[:-1] for line in ended]
    lines = ended
    if rest:
        words.append(_UNENDED)
        lines = [*ended, rest]
    hint = stream_json_hint(max(lines[:16], key=len), text)
    entries = [with_data_read({"data": line}, hint) for line in lines]
    if all(isinstance(entry["data"], str) for entry in entries):
        return None
    return {"events": entries, "events_layout": " ".join((*words, *hint.split()))}


def decode_lines(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of each stored line."""
    entries = require(stored, "events", list, "a list")
    words = require(stored, "events_layout", str, "text").split()
    hint = " ".join(word for word in words if word not in _WORDS)
    try:
        json_layout(hint)
    except ValueError as error:
        raise CassetteCorruptError(f"'events_layout': {error}, {', '.join(sorted(_WORDS))}") from error
    newline = "\r\n" if _CRLF in words else "\n"
    lines = [_line(entry, hint, f"events[{at}]") + newline for at, entry in enumerate(entries)]
    if _UNENDED in words and lines:
        lines[-1] = lines[-1].removesuffix(newline)
    return [line.encode() for line in lines]


def _line(entry: JSON, hint: str, where: str) -> str:
    if not isinstance(entry, Mapping) or "data" not in entry or any(key not in _KEYS for key in entry):
        raise CassetteCorruptError(f"{where!r} must be a mapping with the keys data, and data_layout or not")
    return field_text(entry, "data", entry["data"], hint, where)
