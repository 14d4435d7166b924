"""Codecs of HTTP bodies: bytes to the most readable stored form that restores them exactly, and back again."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pytest_agenttape.bodies.amazon_events import MEDIA_TYPE as _AMAZON_STREAM
from pytest_agenttape.bodies.amazon_events import decode_amazon_events, encode_amazon_events, is_amazon
from pytest_agenttape.bodies.chunks import KEY as _CHUNK_BYTES
from pytest_agenttape.bodies.chunks import recut, sizes
from pytest_agenttape.bodies.encodings import can_encode, decode_content, decode_each, encode_content
from pytest_agenttape.bodies.events import decode_events, encode_events, looks_like_events, read_event, split_events
from pytest_agenttape.bodies.forms import (
    decode_binary,
    decode_form,
    decode_text,
    encode_binary,
    encode_declared_text,
    encode_form,
)
from pytest_agenttape.bodies.json_layout import decode_json, encode_json, parse_json
from pytest_agenttape.bodies.json_value import exact_numbers, parse_exactly
from pytest_agenttape.bodies.lines import WORD, decode_lines, encode_lines
from pytest_agenttape.bodies.multipart import normalise_multipart
from pytest_agenttape.bodies.stored import has_control, media_type
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

__all__ = [
    "can_encode",
    "decode_body",
    "decode_chunks",
    "decode_content",
    "decode_each",
    "encode_body",
    "encode_chunks",
    "encode_content",
    "is_stream",
    "media_type",
    "normalise_multipart",
    "read_event",
    "split_events",
    "stored_json",
    "without_layout",
]

_JSON = "application/json"
_EVENT_STREAM = "text/event-stream"
_LINE_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines")
_STREAM_TYPES = (*_LINE_TYPES, _EVENT_STREAM, _AMAZON_STREAM)
_LINE = re.compile(rb"[^\n]*\n|[^\n]+")  # a lone CR does not end an ndjson line


def encode_body(raw: bytes, content_type: str | None, likely: JSON = None) -> dict[str, JSON]:
    """Return the stored form of a body: the most readable one that `decode_body` turns into the same bytes.

    A JSON body that most likely says *likely* has that very object in it if it does.
    """
    if not raw:
        return {}
    kind = media_type(content_type)
    if kind != _JSON:  # of most bodies
        for is_stream_of, encode_stream in _STREAM_CODECS:
            if is_stream_of(kind, raw) and (form := encode_stream(raw)) is not None:
                return form
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return encode_declared_text(raw, content_type) or encode_binary(raw)
    if kind == _JSON and (form := encode_json(text, likely)) is not None:  # which has no control characters
        return form
    if has_control(text):
        return encode_binary(raw)
    for applies, encode in _TEXT_CODECS:
        if applies(kind, text) and (form := encode(text)) is not None:
            return form
    return {"text": text}


def encode_chunks(chunks: Sequence[bytes], content_type: str | None) -> dict[str, JSON]:
    """Return the stored form of a body that came in *chunks*, from which `decode_chunks` restores them.

    A stream of events is cut into its events instead, wherever the wire cut it.
    """
    stored = encode_body(b"".join(chunks), content_type)
    found = sizes(chunks)
    is_of_events = "events" in stored and not _has_lines(stored)
    is_cut = len(found) > 1 or _is_lines(media_type(content_type), "")  # else there is nothing to compare
    if is_cut and not is_of_events and found != sizes(decode_chunks(stored, content_type)):
        stored[_CHUNK_BYTES] = found
    return stored


def decode_body(stored: Mapping[str, JSON]) -> bytes:
    """Return the bytes of the body in a stored request or response.

    Raises:
        CassetteCorruptError: The form is malformed, or there is more than one.
    """
    return b"".join(_decode(stored))


def decode_chunks(stored: Mapping[str, JSON], content_type: str | None = None) -> tuple[bytes, ...]:
    """Return the body in the pieces of a streaming replay: the chunks that came, or one per event or ndjson line.

    Raises:
        CassetteCorruptError: The form is malformed, or there is more than one.
    """
    chunks = _decode(stored)
    if "text" in stored and _is_lines(media_type(content_type), ""):
        chunks = _LINE.findall(chunks[0])
    return tuple(recut(stored, chunks))


def stored_json(stored: Mapping[str, JSON]) -> JSON:
    """Return the JSON value in a stored request or response, even if it is kept as text; None if there is none."""
    if "json" in stored:
        return stored["json"]
    text = stored.get("text")
    return parse_json(text) if isinstance(text, str) else None


def without_layout(stored: dict[str, JSON], content_type: str | None) -> dict[str, JSON]:
    """Return a stored body without the layout of its JSON; digits that its values do not hold are said beside it."""
    layout = stored.get("json_layout")
    if layout is not None:
        stored = {key: each for key, each in stored.items() if key != "json_layout"}
        if numbers := exact_numbers(layout):
            stored["numbers"] = numbers
    text = stored.get("text")
    if not isinstance(text, str) or not text or not _is_json(media_type(content_type), text):
        return stored
    value = parse_exactly(text)
    return {key: each for key, each in stored.items() if key != "text"} | value if value else stored


def is_stream(content_type: str | None) -> bool:
    """Return whether the pieces of a body of this type carry meaning."""
    return media_type(content_type) in _STREAM_TYPES


def _decode(stored: Mapping[str, JSON]) -> list[bytes]:
    forms = [*(_DECODERS.keys() & stored.keys())]
    if not forms:
        return []
    if len(forms) > 1:
        forms.sort(key=list(_DECODERS).index)
        raise CassetteCorruptError(f"a body has one form, found {' and '.join(map(repr, forms))}")
    try:
        return _DECODERS[forms[0]](stored)
    except UnicodeEncodeError as error:
        raise CassetteCorruptError(
            f"{forms[0]!r} holds a character that is not valid in text: {error.reason}"
        ) from error


def _decode_stream(stored: Mapping[str, JSON]) -> list[bytes]:
    if is_amazon(stored):
        return decode_amazon_events(stored)
    return decode_lines(stored) if _has_lines(stored) else decode_events(stored)


def _has_lines(stored: Mapping[str, JSON]) -> bool:
    return WORD in str(stored.get("events_layout") or "").split()


def _is_amazon(kind: str, _raw: bytes) -> bool:
    return kind == _AMAZON_STREAM


def _is_events(kind: str, raw: bytes) -> bool:
    return kind == _EVENT_STREAM if kind else looks_like_events(raw)


def _is_lines(kind: str, _text: str) -> bool:
    return kind in _LINE_TYPES or kind.endswith("+x-ndjson")


def _is_json(kind: str, text: str) -> bool:
    # An error body is often JSON under the content type of the stream that was asked for.
    if not kind:
        return text[0] in '{["-0123456789tfnNI \t\r\n'
    return ("json" in kind and not _is_lines(kind, text)) or kind == _EVENT_STREAM


def _is_form(kind: str, _text: str) -> bool:
    return kind == "application/x-www-form-urlencoded"


_STREAM_CODECS: tuple[tuple[Callable[[str, bytes], bool], Callable[[bytes], dict[str, JSON] | None]], ...] = (
    (_is_amazon, encode_amazon_events),
    (_is_events, encode_events),
)
_TEXT_CODECS: tuple[tuple[Callable[[str, str], bool], Callable[[str], dict[str, JSON] | None]], ...] = (
    (_is_lines, encode_lines),
    (_is_json, encode_json),
    (_is_form, encode_form),
)
_DECODERS: dict[str, Callable[[Mapping[str, JSON]], list[bytes]]] = {
    "json": decode_json,
    "form": decode_form,
    "events": _decode_stream,
    "text": decode_text,
    "body_b64": decode_binary,
}
