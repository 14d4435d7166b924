"""A tree of plain data, and the texts and bytes at its leaves, which may hold a tree again.

There are two walks. `_is_plain` only looks, and stops at the first doubt; `redact_by_rule` knows the context of each
value and builds what differs. On replay every call passes here, nearly every tree is plain, and looking takes an
eighth of the time.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import re
from collections.abc import Callable

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import entries, names, shapes
from pytest_agenttape.redaction.credentials import redact_any_cookies, redact_credential, split_scheme
from pytest_agenttape.redaction.documents import NO_DOCUMENT, parsed, redact_compressed, rewritten, rewritten_base64
from pytest_agenttape.redaction.known import SHORTEST
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import Rule
from pytest_agenttape.redaction.placeholders import unnumbered
from pytest_agenttape.redaction.streams import redact_stream
from pytest_agenttape.redaction.text import is_unmarked, redact_flat
from pytest_agenttape.redaction.typed import TYPE, is_typed, redact_typed

_STREAM_KEYS = frozenset(("events", "$stream", "after"))  # the values under them came in pieces
_BINARY_KEYS = frozenset(("base64", "body_b64"))
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_CHOSEN = (Rule.PASSWORD, Rule.PHRASE)  # by a person
_OF_DIGITS = (*_CHOSEN, Rule.CODE)  # which may be digits alone
_UNPLAIN_KEYS = (
    _STREAM_KEYS | _BINARY_KEYS | entries.LOGPROB_KEYS | entries.VALUE_KEYS | {entries.KEY, entries.KEY_TYPE}
)  # their neighbours matter


def redact_value(value: JSON, memory: Memory) -> JSON:
    """Return a tree of plain data without secrets; the same object if it has none.

    Raises:
        RecordingRefusedError: It is nested too deeply.
    """
    if type(value) is str and value in memory.clean_texts:
        return value
    try:
        if _is_plain(value, memory):
            return value
    except RecursionError:
        pass  # the other walk refuses it
    return memory.until_known(lambda each: redact_by_rule(each, Rule.NONE, memory), value)


def redact_items(items: JSON, memory: Memory) -> JSON:
    """Return the items of a stream without secrets, including secrets that are split over several."""
    return redact_value(_joined(items, memory), memory)


def redact_text(text: str, memory: Memory) -> str:
    """Return *text*, JSON in it decoded, without secrets; the same object if it has none."""
    clean_texts = memory.clean_texts
    if text in clean_texts:
        return text
    redacted = text if _is_clean(text, memory) else _searched(text, memory)
    if redacted is text:
        memory.note_clean_text(text, clean_texts)
    return redacted


def redact_bytes(raw: bytes, memory: Memory) -> bytes:
    """Return *raw* without the secrets that are text in it."""
    try:
        return _redact_bytes_as(raw, "utf-8", "strict", memory)
    except UnicodeDecodeError:  # both ways keep every byte, and a secret may be in either encoding
        once = _redact_bytes_as(raw, "utf-8", "surrogateescape", memory)
        return _redact_bytes_as(once, "latin-1", "strict", memory)


def redact_base64(encoded: str, memory: Memory, further: Callable[[bytes], bytes] = bytes) -> str:
    """Return base64 text without the secrets in its bytes, which may be compressed; *further* looks for more."""
    try:
        raw = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        return redact_text(encoded, memory)
    redacted = redact_compressed(raw, lambda plain: redact_bytes(plain, memory))
    redacted = further(redact_bytes(raw, memory) if redacted is None else redacted)
    if redacted == raw:
        return encoded
    return base64.b64encode(unnumbered(redacted)).decode("ascii")


# The walk that only looks


def _is_plain(node: JSON, memory: Memory) -> bool:
    """Return whether *node* is like most: names without meaning, clean texts. False means undecided."""
    kind = type(node)
    if kind is str:
        return redact_text(node, memory) is node
    if kind is dict:
        return _is_plain_mapping(node, memory)
    if kind is list:
        if len(node) == 2 and type(node[0]) is str and entries.pair_rule(node[0], memory):
            return False
        return _is_plain_list(node, memory)
    return kind in memory.scalars or (kind is int and str(node) not in memory.known)


def _is_plain_list(node: list[JSON], memory: Memory) -> bool:
    for each in node:
        if not _is_plain(each, memory) or (type(each) is str and each[:2] == "--" and entries.pair_rule(each, memory)):
            return False
    return True


def _is_plain_mapping(node: dict[JSON, JSON], memory: Memory) -> bool:
    keys, clean, scalars = memory.plain_keys, memory.clean_texts, memory.scalars
    for key, value in node.items():
        if key not in keys and not _is_plain_key(key, memory):
            return False
        kind = type(value)
        if kind is str:
            if value not in clean and redact_text(value, memory) is not value:
                return False
        elif kind not in scalars and not _is_plain(value, memory):
            return False
    return True


def _is_plain_key(key: JSON, memory: Memory) -> bool:
    plain_keys = memory.plain_keys
    if not isinstance(key, str) or key in _UNPLAIN_KEYS or memory.rule_of(key, names.body_rule):
        return False
    if len(key) >= memory.shortest_key and redact_text(key, memory) is not key:
        return False
    memory.note_plain_key(key, plain_keys)
    return True


# The walk that redacts


def redact_by_rule(node: JSON, rule: Rule, memory: Memory) -> JSON:
    """Return *node*, whose name implies *rule*, without secrets; the same object if it has none."""
    if isinstance(node, str):
        return redact_string(node, rule, memory)
    if isinstance(node, dict):
        return _redact_mapping(node, rule, memory)
    if isinstance(node, list | tuple):
        return _redact_sequence(node, rule, memory)
    if isinstance(node, bytes | bytearray):
        clean = redact_bytes(bytes(node), memory)
        return node if clean == node else type(node)(clean)
    if isinstance(node, int | float) and not isinstance(node, bool):
        text = str(node)
        is_by_name = rule is Rule.ALWAYS or (rule in _OF_DIGITS and shapes.is_number(text))
        is_secret_number = (is_by_name or text in memory.known) and not memory.is_allowed(text)
        if is_secret_number and isinstance(node, int):
            return memory.placeholders.number_for(text, is_chosen=rule in _CHOSEN)
        return memory.placeholders.text_for(text) if is_secret_number else node
    return node


def _redact_mapping(node: dict[JSON, JSON], rule: Rule, memory: Memory) -> JSON:
    if TYPE in node and is_typed(node):
        return redact_typed(node, rule, memory, redact_by_rule)
    rule_within = entries.rules_within(node, rule, memory)
    out: dict[JSON, JSON] = {}
    is_changed = False
    new: JSON
    for key, value in node.items():
        is_short = not isinstance(key, str) or len(key) < memory.shortest_key
        new_key = key if is_short else redact_text(key, memory)
        if key == "message" and "body_b64" in node:
            out[new_key] = new = _redact_protobuf(value, memory)
            is_changed = is_changed or new is not value
            continue
        if key in _BINARY_KEYS and isinstance(value, str):
            out[new_key] = new = redact_base64(value, memory)
            is_changed = is_changed or new is not value
            continue
        if key in _STREAM_KEYS:
            value = _joined(value, memory)
            is_changed = is_changed or value is not node[key]
        is_word = value is None or value is True or value is False
        new = value if is_word else redact_by_rule(value, rule_within(key), memory)
        is_changed = is_changed or new is not value or new_key is not key
        out[new_key] = new
    if "message" in out and "body_b64" in out and out["message"] is not node["message"]:
        del out["body_b64"]  # its bytes say what the message is not to say
    return out if is_changed else node


def _redact_protobuf(message: JSON, memory: Memory) -> JSON:
    """Return a protobuf message in JSON, where a field of bytes is base64, without secrets."""
    if isinstance(message, str):
        clean = redact_text(message, memory)
        return redact_base64(clean, memory) if clean is message and _BASE64.fullmatch(clean) else clean
    if isinstance(message, list):
        items = [_redact_protobuf(each, memory) for each in message]
        return message if all(new is old for new, old in zip(items, message, strict=True)) else items
    if not isinstance(message, dict):
        return message
    clean = redact_value(message, memory)
    fields = {name: _redact_protobuf(each, memory) for name, each in clean.items()}
    return clean if all(fields[name] is clean[name] for name in fields) else fields


def _redact_sequence(node: JSON, rule: Rule, memory: Memory) -> JSON:
    items = node
    if rule is Rule.NONE and entries.is_logprobs(node):
        items = redact_stream(node, lambda text: redact_text(text, memory), memory.placeholders.pattern)
    if rule is Rule.LOGIN and len(node) == 2:
        out = [redact_by_rule(node[0], Rule.NONE, memory), redact_by_rule(node[1], Rule.PASSWORD, memory)]
    elif rule is Rule.NONE and len(node) == 2 and isinstance(node[0], str) and isinstance(node[1], str):
        out = [redact_text(node[0], memory), redact_by_rule(node[1], entries.pair_rule(node[0], memory), memory)]
    else:
        before = itertools.chain((None,), items)
        rules = (entries.option_rule(each, memory) or rule for each in before)
        out = [redact_by_rule(each, own, memory) for each, own in zip(items, rules, strict=False)]
    if items is node and all(new is old for new, old in zip(out, node, strict=True)):
        return node
    return tuple(out) if isinstance(node, tuple) else out


def _joined(pieces: JSON, memory: Memory) -> JSON:
    """Return the pieces of a stream without the secrets that are split over several."""
    if isinstance(pieces, dict) and isinstance(pieces.get("items"), list):
        items = _joined(pieces["items"], memory)
        return pieces if items is pieces["items"] else {**pieces, "items": items}
    if not isinstance(pieces, list) or len(pieces) < 2:
        return pieces
    boxed = [[each] for each in pieces]  # a piece may be a bare text
    redacted = redact_stream(boxed, lambda text: redact_text(text, memory), memory.placeholders.pattern)
    return pieces if redacted is boxed else [box[0] for box in redacted]


# Leaves


def redact_string(text: str, rule: Rule, memory: Memory) -> str:
    """Return *text*, whose name implies *rule*, without secrets; the same object if it has none."""
    if rule is Rule.COOKIES and "=" in text:
        redacted = redact_any_cookies(text, memory)
        return text if redacted == text else redacted
    if rule and text:
        scheme, credential = split_scheme(text)
        if scheme and is_secret(credential, rule, memory):
            return redact_credential(text, memory)
        if is_secret(text, rule, memory):
            if text[:1] in "{[" and (document := _document(text, memory)) is not None:
                return document
            if rule in _CHOSEN:
                memory.placeholders.hide(text)
            return memory.named(text)
    return redact_text(text, memory)


def is_secret(text: str, rule: Rule, memory: Memory) -> bool:
    """Return whether *text*, whose name implies *rule*, is a secret."""
    text = memory.placeholders.without(text)
    if rule is Rule.ALWAYS:
        return bool(text.strip())
    if rule is Rule.RANDOM:
        return shapes.is_machine_made(text) and not shapes.is_name(text)
    if rule is Rule.LOGIN:
        return shapes.is_random(text) and not shapes.is_name(text)
    if rule in _OF_DIGITS and shapes.is_number(text):
        return True
    if rule is Rule.PHRASE and shapes.is_phrase(text):
        return True
    return shapes.is_secret_shaped(text) and not (rule is Rule.LOOSE and shapes.is_name(text))


def _is_clean(text: str, memory: Memory) -> bool:
    """Return whether a few searches suffice to say that *text* holds no secret."""
    if len(text) < SHORTEST and not memory.patterns:
        return True
    return text.lstrip()[:1] not in ("{", "[") and is_unmarked(text, memory)


def _searched(text: str, memory: Memory) -> str:
    document = _document(text, memory)
    if document is not None:
        return document
    redacted = redact_flat(text, memory)
    if redacted is not text:
        return redacted
    return rewritten_base64(text, lambda plain: redact_text(plain, memory))


def _document(text: str, memory: Memory) -> str | None:
    """Return JSON text redacted by its names and still valid; None if *text* is not a JSON document."""
    stripped = text.strip()
    if stripped[:1] + stripped[-1:] not in ("{}", "[]"):
        return None
    value = parsed(stripped)
    if value is NO_DOCUMENT:
        return None
    try:
        if is_unmarked(text, memory) and _is_plain(value, memory):
            return text
        redacted = redact_by_rule(value, Rule.NONE, memory)
    except RecursionError:
        return None
    if redacted is not value:
        text = text.replace(stripped, rewritten(stripped, value, redacted))
    return redact_flat(text, memory)


def _redact_bytes_as(raw: bytes, encoding: str, errors: str, memory: Memory) -> bytes:
    text = raw.decode(encoding, errors)
    redacted = redact_text(text, memory)
    try:
        return raw if redacted is text else redacted.encode(encoding, errors)
    except UnicodeEncodeError:  # the user's own placeholder is not Latin-1; the scan refuses what remains
        return raw
