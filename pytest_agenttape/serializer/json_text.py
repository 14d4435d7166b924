"""Cassettes as JSON text, in a layout that shows where each interaction starts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.serializer.document import MAX_DEPTH, WAY_OUT, Document, checked_root, duplicate, line_of
from pytest_agenttape.serializer.surrogates import SURROGATE, escaped, unescaped

_TO_ESCAPE = re.compile(rf"{SURROGATE.pattern}|\\u001a")
_JSON_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[]}]', re.DOTALL)
_JSON_LONG_NUMBER = re.compile(r"[\[:,]\s*+-?[0-9]{500}")
_JSON_INTERACTIONS = re.compile(r'^  "interactions": \[$', re.MULTILINE)
_JSON_INTERACTION = re.compile(r"^(?:    \{|  \])", re.MULTILINE)


def dump_json(value: JSON) -> str:
    """Return *value* as a JSON document, two spaces a level.

    Raises:
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value cannot be read back.
    """
    from pytest_agenttape.serializer.yaml_writer import walk  # imports yaml

    for _ in walk(value):
        pass  # it refuses what cannot be read back
    try:
        text = _written(value)
        if _TO_ESCAPE.search(text):
            text = _written(_mapped(value, escaped))
    except (ValueError, RecursionError) as error:
        raise RecordingRefusedError(f"JSON cannot hold a value: {error}") from error
    return _HOSTILE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _written(value: JSON) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


_HOSTILE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # valid, but invisible to a reader


def _mapped(root: JSON, change: Callable[[str], str]) -> JSON:
    """Return a copy of *root* with every key and string changed."""
    top = [root]
    pending: list[JSON] = [top]
    while pending:
        container = pending.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if isinstance(value, str):
                container[key] = change(value)
            elif isinstance(value, dict | list):
                copied = {change(k): v for k, v in value.items()} if isinstance(value, dict) else list(value)
                container[key] = copied
                pending.append(copied)
    return top[0]


def load_json(text: str) -> Document:
    """Read a JSON document.

    Raises:
        CassetteCorruptError: It is not JSON, or not a mapping.
    """
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_deep_json(text)
    try:
        root = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise CassetteCorruptError(f"is not valid JSON: {error.msg}; {WAY_OUT}", line=error.lineno) from None
    except CassetteCorruptError as error:
        raise CassetteCorruptError(error.problem, line=_duplicate_line(text, error.problem)) from None
    except ValueError:
        found = _JSON_LONG_NUMBER.search(text)
        line = line_of(text, found.end()) if found else None
        raise CassetteCorruptError("a number has more digits than Python reads", line=line) from None
    except RecursionError:
        raise CassetteCorruptError("is nested too deeply") from None
    lines = _json_lines(text, checked_root(root))
    return Document(_mapped(root, unescaped) if "\\u001a" in text.lower() else root, lines)


def _refuse_deep_json(text: str) -> None:
    depth = 0
    for found in _JSON_STRUCTURE.finditer(text):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise CassetteCorruptError(f"nested deeper than {MAX_DEPTH} levels", line=line_of(text, found.start()))


def _distinct(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CassetteCorruptError(duplicate(twice))
    return whole


def _duplicate_line(text: str, problem: str) -> int | None:
    """Return the line of a duplicate key: JSON is nearly YAML, whose reader knows the line."""
    from pytest_agenttape.serializer.yaml_reader import load_yaml  # imports yaml

    try:
        load_yaml(text)
    except CassetteCorruptError as error:
        return error.line if error.problem == problem else None
    return None


def _json_lines(text: str, root: dict[str, JSON]) -> tuple[int, ...]:
    """Return the line of each interaction in the layout that `dump` writes, zeros in any other."""
    listed = root.get("interactions")
    count = len(listed) if isinstance(listed, list) else 0
    start = _JSON_INTERACTIONS.search(text) if count else None
    if start is None:
        return (0,) * count
    lines, line, position = [], line_of(text, start.start()), start.start()
    for found in _JSON_INTERACTION.finditer(text, start.end()):
        if found[0] == "  ]":
            break
        line += text.count("\n", position, found.start())
        position = found.start()
        lines.append(line)
    return tuple(lines) if len(lines) == count else (0,) * count
