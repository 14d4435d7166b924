"""Typed values: the words of the format stay, and what a value holds is judged by the name that it is under."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeAlias

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction import entries, names
from pytest_agenttape.redaction.known import SHORTEST
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import Rule
from pytest_agenttape.redaction.placeholders import PLACEHOLDER
from pytest_agenttape.values import FORM_NAMES

TYPE = "$type"

_Redact: TypeAlias = Callable[[JSON, Rule, Memory], JSON]

_NAME = re.compile(r"[A-Za-z_]\w{0,127}(?:\.\w{1,127}){0,32}(?::[\w.<>]{1,255})?")
_MAPPINGS = frozenset(("dict", "OrderedDict", "Counter", "defaultdict"))
_CONTENT = frozenset(("text", "value", "items", "fields", "pattern"))
_CONTAINERS = frozenset(("items", "fields"))
_WORDS_OF_CLASSES = frozenset(("fields_set", "args", "member"))
_HOLDING_TEXT = frozenset(("Path", "PurePosixPath", "PureWindowsPath", "bytes", "bytearray"))
_UUID_STAND_IN = re.compile(rf"{PLACEHOLDER}[0-9]{{4}}")  # `values` makes a UUID of it
_SHORTEST = {Rule.NONE: 1 << 62, Rule.RANDOM: 16, Rule.LOGIN: 16, Rule.ALWAYS: 1}  # secret bytes


def is_typed(node: dict[JSON, JSON]) -> bool:
    """Return whether *node* is the stored form of a typed value."""
    name = node.get(TYPE)
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def redact_typed(node: dict[JSON, JSON], rule: Rule, memory: Memory, redact: _Redact) -> JSON:
    """Return a typed value, whose name implies *rule*, without secrets: its type stays, or all of it is a placeholder.

    Where nothing but a placeholder is left of a value, and its type cannot have that for a value, the type goes too:
    a UUID or a path comes back as one, a date as text.
    """
    if rule is Rule.ALWAYS and _is_single(node) and "text" not in node and "base64" not in node and "value" not in node:
        return memory.placeholders.text_for(json.dumps(node, sort_keys=True))
    out = {key: _redact_part(key, value, node, rule, memory, redact) for key, value in node.items()}
    if all(out[key] is node[key] for key in node):
        return node
    if "base64" in out and memory.placeholders.is_settled(str(out["base64"])):
        return {"text" if key == "base64" else key: value for key, value in out.items()}
    value = out.get("value")
    is_gone = isinstance(value, str) and value is not node["value"] and memory.placeholders.is_settled(value)
    return value if is_gone and _is_single(node) and not _can_be(str(node[TYPE]), str(value)) else out


def _is_single(node: dict[JSON, JSON]) -> bool:
    """Return whether *node* is one value of a type of Python's or of a class, such as a date."""
    return (node[TYPE] in FORM_NAMES or ":" in node[TYPE]) and _CONTAINERS.isdisjoint(node)


def _can_be(name: str, text: str) -> bool:
    """Return whether a value of the type *name* can have *text* for its content."""
    return name in _HOLDING_TEXT or (name == "UUID" and _UUID_STAND_IN.fullmatch(text) is not None)


def _redact_part(key: JSON, value: JSON, node: dict[JSON, JSON], rule: Rule, memory: Memory, redact: _Redact) -> JSON:
    name = node[TYPE]
    if key == "base64" and isinstance(value, str):
        is_secret = len(value) * 3 // 4 >= _SHORTEST.get(rule, SHORTEST)
        return memory.replaced(value) if is_secret else redact({key: value}, Rule.NONE, memory)[key]
    if key == "items" and isinstance(value, list) and name in _MAPPINGS:
        return _redact_pairs(value, rule, memory, redact)
    if key in _CONTENT:
        return redact(value, (entries.rule_of_named(node, memory) if key == "value" else Rule.NONE) or rule, memory)
    if key == TYPE or name in FORM_NAMES or (":" in name and key in _WORDS_OF_CLASSES):
        return value
    if name == "exception" and key in ("type", "module"):
        return value
    return redact(value, memory.rule_of(str(key), names.body_rule) or rule, memory)


def _redact_pairs(pairs: list[JSON], rule: Rule, memory: Memory, redact: _Redact) -> JSON:
    """Return the pairs of a mapping whose keys are not all text."""
    by_text = {pair[0]: pair[1] for pair in pairs if _is_pair(pair) and isinstance(pair[0], str)}
    rule_within = entries.rules_within(by_text, rule, memory)
    out = [_redact_pair(each, rule_within, memory, redact) for each in pairs]
    return pairs if all(new is old for new, old in zip(out, pairs, strict=True)) else out


def _redact_pair(pair: JSON, rule_within: Callable[[JSON], Rule], memory: Memory, redact: _Redact) -> JSON:
    if not _is_pair(pair):
        return redact(pair, Rule.NONE, memory)
    key, value = redact(pair[0], Rule.NONE, memory), redact(pair[1], rule_within(pair[0]), memory)
    return pair if key is pair[0] and value is pair[1] else [key, value]


def _is_pair(pair: JSON) -> bool:
    return isinstance(pair, list) and len(pair) == 2
