"""HTTP messages as a cassette stores them: headers by name, a URL, and a body in one of its forms.

This is the only place that knows what in a message holds secrets; everything else in a message is plain data.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Mapping

from pytest_agenttape.bodies import can_encode, chunks, decode_body, decode_chunks, decode_each, encode_content
from pytest_agenttape.bodies.messages import header, listed
from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import names
from pytest_agenttape.redaction.credentials import redact_cookies, redact_credential, redact_set_cookie
from pytest_agenttape.redaction.documents import NO_DOCUMENT, parsed, rewritten
from pytest_agenttape.redaction.look_alikes import dressed
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import HeaderRule, Rule
from pytest_agenttape.redaction.streams import spread
from pytest_agenttape.redaction.text import redact_flat
from pytest_agenttape.redaction.tree import (
    redact_base64,
    redact_by_rule,
    redact_items,
    redact_string,
    redact_text,
    redact_value,
)
from pytest_agenttape.redaction.urls import certain_of_names, is_url, redact_query, redact_url

_MOST_HEADERS = 1_024  # names with a value that are remembered
_STREAM_LINE = re.compile(r"(?:data: ?)?([{\[].*[}\]])\s*", re.DOTALL)
_PART_NAME = re.compile(r"name=\"([^\"\r\n]{1,256})\"")


def redact_message(stored: dict[str, JSON], memory: Memory) -> dict[str, JSON]:
    """Return a stored request or response without secrets; the same object if it has none."""
    redacted, stored_alone = dict(stored), stored
    # In this order: the secrets of the headers are known when the rest is searched.
    if "headers" in stored:
        redacted["headers"] = _redact_headers(stored["headers"], memory)
    if "url" in stored:
        url = stored["url"]
        redacted["url"] = redact_url(url, memory) if isinstance(url, str) else redact_value(url, memory)
    if "message" in stored and "body_b64" in stored:
        del redacted["body_b64"], redacted["message"]
        redacted.update(redact_value({name: stored[name] for name in ("body_b64", "message")}, memory))
        stored_alone = {name: value for name, value in stored.items() if name not in ("body_b64", "message")}
    for name, value in stored_alone.items():
        if name in _NOT_DATA:
            continue
        if name == "trailers":
            redacted[name] = _redact_headers(value, memory)
        elif name not in _BODY_FORMS or (name == "json" and not isinstance(value, list)):  # the body of most calls
            redacted[name] = redact_value(value, memory)
        else:
            redacted[name] = _redact_body(name, value, _content_type_of(stored), memory, _encoding_of(stored))
    if redacted == stored:
        return stored
    if _has_other_body(redacted, stored):
        with contextlib.suppress(CassetteCorruptError):  # edited by hand
            redacted.update(_fitting(stored, redacted, memory.placeholders.pattern))
    return redacted


def dress_message(stored: dict[str, JSON], looks: Mapping[str, str], memory: Memory) -> dict[str, JSON]:
    """Return a recorded response with look-alikes for its placeholders (`dressed`); the same object if it has none."""
    worn: dict[str, JSON] = dressed(stored, looks, memory)
    if _has_other_body(worn, stored):
        with contextlib.suppress(CassetteCorruptError):  # edited by hand
            worn = {**worn, **_fitting(stored, worn, re.compile("|".join(map(re.escape, memory.placeholders.looks))))}
    return worn


def _has_other_body(message: Mapping[str, JSON], stored: Mapping[str, JSON]) -> bool:
    return any(message.get(form) != stored[form] for form in _BODY_FORMS.keys() & stored.keys())


def _fitting(stored: Mapping[str, JSON], redacted: Mapping[str, JSON], stand_in: re.Pattern[str]) -> dict[str, JSON]:
    """Return what a message says about its body, so that it fits the redacted one and tells no secret's length."""
    found: dict[str, JSON] = {}
    if chunks.KEY in stored:
        found[chunks.KEY] = _moved_borders(stored, redacted, stand_in)
    if stored.get("complete") is False:  # how much was read of it, before redaction changes its length
        return {**found, "bytes_read": stored.get("bytes_read", len(decode_body(stored)))}
    headers = redacted.get("headers")
    if isinstance(headers, dict):
        length = {name: str(len(decode_body(redacted))) for name in headers if _is_length(name, headers[name])}
        found |= {"headers": {**headers, **length}} if length else {}
    return found


def _is_length(name: str, value: JSON) -> bool:
    return str(name).lower() == "content-length" and isinstance(value, str)


def _moved_borders(stored: Mapping[str, JSON], redacted: Mapping[str, JSON], stand_in: re.Pattern[str]) -> list[int]:
    """Return the sizes of chunks that end where those of *stored* do, but for the secrets."""
    before = [chunk.decode("latin-1") for chunk in decode_chunks(stored)]
    whole = decode_body(redacted).decode("latin-1")
    return [len(piece) for piece in spread(before, whole, stand_in) if piece]


# Headers


def _redact_headers(headers: JSON, memory: Memory) -> JSON:
    """Return headers without their credentials, which are known from now on; the same object if they have none."""
    if not isinstance(headers, dict):
        return redact_value(headers, memory)
    seen = memory.headers
    try:
        redacted = {name: seen[name, value] for name, value in headers.items()}
    except (KeyError, TypeError):  # a new one; a name with several values has a list
        return memory.until_known(lambda each: _redact_each_header(each, memory), headers)
    return headers if redacted == headers else redacted


def _redact_each_header(headers: dict[str, JSON], memory: Memory) -> dict[str, JSON]:
    redacted = {name: _redact_header_values(name, values, memory) for name, values in headers.items()}
    return headers if redacted == headers else redacted


def _redact_header_values(name: str, values: JSON, memory: Memory) -> JSON:
    if isinstance(values, list):
        return [_redact_header_values(name, each, memory) for each in values]
    if not isinstance(values, str):  # a number, if someone edited the file
        redacted = _redact_header(str(name), str(values), memory)
        return values if redacted == str(values) else redacted
    seen = memory.headers
    if (name, values) in seen:
        return seen[name, values]
    redacted = _redact_header(str(name), values, memory)
    if seen is memory.headers and len(seen) < _MOST_HEADERS:  # no secret was learned meanwhile
        seen[name, values] = redacted
    return redacted


def _redact_header(name: str, value: str, memory: Memory) -> str:
    rule = names.header_rule(name.lower())
    if rule is HeaderRule.PLAIN and memory.is_denied(name):
        rule = HeaderRule.CREDENTIAL
    if rule is HeaderRule.CREDENTIAL:
        return redact_credential(value, memory)
    if rule is HeaderRule.COOKIE:
        return redact_cookies(value, memory)
    if rule is HeaderRule.SET_COOKIE:
        return redact_set_cookie(value, memory)
    if rule is HeaderRule.LINK and is_url(value):
        return redact_url(value, memory)
    if name.lower().endswith("-bin"):  # bytes in gRPC's metadata, in base64
        return redact_base64(value, memory)
    return redact_text(value, memory)


# Body


def _content_type_of(stored: Mapping[str, JSON]) -> str:
    headers = stored.get("headers")
    return (header(listed(headers), "content-type") or "") if isinstance(headers, dict) else ""


def _encoding_of(stored: Mapping[str, JSON]) -> str:
    """Return the content encoding of a body that is stored as it came; empty if there is none that can be undone."""
    headers = stored.get("headers") if "body_b64" in stored else None
    encoding = header(listed(headers), "content-encoding") if isinstance(headers, dict) else None
    return encoding if encoding and can_encode(encoding) else ""


def _redact_body(form: str, value: JSON, content_type: str, memory: Memory, encoding: str = "") -> JSON:
    if encoding and isinstance(value, str):
        return memory.until_known(lambda each: _redact_encoded(each, encoding, content_type, memory), value)
    return memory.until_known(lambda each: _BODY_FORMS[form](each, content_type, memory), value)


def _redact_json(items: JSON, _content_type: str, memory: Memory) -> JSON:
    return redact_items(items, memory)


def _redact_form(form: JSON, _content_type: str, memory: Memory) -> JSON:
    if not isinstance(form, dict):
        return redact_value(form, memory)
    certain = certain_of_names(set(form))
    redacted = {name: _redact_field(name, value, certain, memory) for name, value in form.items()}
    return form if all(redacted[name] is form[name] for name in form) else redacted


def _redact_field(name: JSON, value: JSON, certain: frozenset[str], memory: Memory) -> JSON:
    rule = Rule.NONE
    if isinstance(name, str):
        rule = Rule.ALWAYS if name in certain else memory.rule_of(name, names.parameter_rule)
    return redact_by_rule(value, rule, memory)


def _redact_events(events: JSON, _content_type: str, memory: Memory) -> JSON:
    if not isinstance(events, list):
        return redact_value(events, memory)
    read = [_redact_raw_event(each, memory) for each in events]
    is_same = all(new is old for new, old in zip(read, events, strict=True))
    return redact_items(events if is_same else read, memory)


def _redact_raw_event(event: JSON, memory: Memory) -> JSON:
    if not isinstance(event, dict):
        return event
    for name, redact in (("raw", _redact_text_body), ("raw_b64", _redact_binary)):
        raw = event.get(name)
        redacted = redact(raw, "", memory) if isinstance(raw, str) else raw
        if redacted is not raw:
            return {**event, name: redacted}
    return event


def _redact_text_body(text: JSON, content_type: str, memory: Memory) -> JSON:
    if not isinstance(text, str):
        return redact_value(text, memory)
    if _is_multipart(content_type):
        text = _redact_parts(text, memory)
    elif content_type.lower().startswith("application/x-www-form-urlencoded"):
        redacted = redact_query(text, memory)
        text = text if redacted == text else redacted
    elif (lines := _redact_lines(text, memory)) is not None:
        return lines
    return redact_text(text, memory)


def _redact_binary(encoded: JSON, content_type: str, memory: Memory) -> JSON:
    if not isinstance(encoded, str):
        return redact_value(encoded, memory)
    if not _is_multipart(content_type):
        return redact_base64(encoded, memory)
    return redact_base64(encoded, memory, lambda raw: _redact_parts_of_bytes(raw, memory))


def _redact_encoded(encoded: str, encoding: str, content_type: str, memory: Memory) -> JSON:
    """Return base64 of bytes in a content encoding without the secrets in what they encode."""
    try:
        raw = b"".join(decode_each([base64.b64decode(encoded)], encoding))
    except ValueError:  # they are not in that encoding
        return _redact_binary(encoded, content_type, memory)
    plain = base64.b64encode(raw).decode("ascii")
    clean = _redact_binary(plain, content_type, memory)
    if clean == plain:
        return encoded
    return base64.b64encode(b"".join(encode_content([base64.b64decode(clean)], encoding))).decode("ascii")


def _redact_messages(messages: JSON, content_type: str, memory: Memory) -> JSON:
    """Return the messages of a WebSocket, or of a stream of gRPC, without secrets."""
    if isinstance(messages, list) and any(isinstance(each, dict) and _WAYS & each.keys() for each in messages):
        return _redact_websocket(messages, memory)
    return _redact_conversation(messages, content_type, memory)


def _redact_websocket(messages: list[JSON], memory: Memory) -> JSON:
    """Return *messages*, each redacted alone, as in replay; a text that was received may have come in pieces."""
    clean = [redact_value(each, memory) for each in messages]
    heard = [at for at, each in enumerate(clean) if isinstance(each, dict) and "received" in each]
    whole = redact_items([clean[at] for at in heard], memory)
    for at, each in zip(heard, whole, strict=True):
        clean[at] = each
    return messages if all(new is old for new, old in zip(clean, messages, strict=True)) else clean


def _redact_conversation(messages: JSON, content_type: str, memory: Memory) -> JSON:
    """Return messages of gRPC without secrets; in a conversation each is below who said it."""
    if isinstance(messages, list):
        return [_redact_conversation(each, content_type, memory) for each in messages]
    if not isinstance(messages, dict):
        return redact_value(messages, memory)
    if "message" in messages:
        return redact_value(messages, memory)
    return {name: _redact_entry(name, value, content_type, memory) for name, value in messages.items()}


def _redact_entry(name: str, value: JSON, content_type: str, memory: Memory) -> JSON:
    if name in _WAYS:
        return _redact_conversation(value, content_type, memory)
    if name in ("text", "body_b64"):
        return _redact_body(name, value, content_type, memory)
    return redact_value(value, memory)


_BODY_FORMS: Mapping[str, Callable[[JSON, str, Memory], JSON]] = {
    "json": _redact_json,
    "form": _redact_form,
    "events": _redact_events,
    "text": _redact_text_body,
    "body_b64": _redact_binary,
    "messages": _redact_messages,
    "conversation": _redact_conversation,
}
_WAYS = frozenset(("sent", "received"))
# The layouts are made of fixed words, and the sizes of chunks follow from the body.
_NOT_DATA = frozenset(("headers", "url", "json_layout", "events_layout", chunks.KEY))


def _redact_lines(text: str, memory: Memory) -> str | None:
    """Return lines of JSON, each alone or after ``data:``, redacted as one stream; None if *text* has none."""
    lines = text.splitlines(keepends=True)
    matches = [(at, match) for at, line in enumerate(lines) if (match := _STREAM_LINE.fullmatch(line))]
    if len(matches) < (1 if "data:" in text else 2) or len(matches) * 4 < len(lines):
        return None
    read = [(at, match[1], parsed(match[1])) for at, match in matches]
    documents = [(at, source, value) for at, source, value in read if value is not NO_DOCUMENT]
    values = [value for _, _, value in documents]
    try:
        redacted = redact_items(values, memory)
    except (RecursionError, RecordingRefusedError):
        return None
    if redacted is values:
        return redact_flat(text, memory)
    for (at, source, value), new in zip(documents, redacted, strict=True):
        lines[at] = lines[at].replace(source, rewritten(source, value, new))
    return redact_flat("".join(lines), memory)


# Multipart


def _is_multipart(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/")


def _redact_parts_of_bytes(raw: bytes, memory: Memory) -> bytes:
    return _redact_parts(raw.decode("utf-8", "surrogateescape"), memory).encode("utf-8", "surrogateescape")


def _redact_parts(text: str, memory: Memory) -> str:
    border = text.partition("\n")[0].rstrip("\r")
    if not border.startswith("--"):
        return text
    redacted = border.join([_redact_part(each, memory) for each in text.split(border)])
    return text if redacted == text else redacted


def _redact_part(part: str, memory: Memory) -> str:
    head, blank, content = part.partition("\r\n\r\n" if "\r\n\r\n" in part else "\n\n")
    name = _PART_NAME.search(head)
    if not blank or name is None:
        return part
    value = content.rstrip("\r\n-")
    rule = memory.rule_of(name[1], names.parameter_rule)
    return head + blank + redact_string(value, rule, memory) + content[len(value) :]
