"""JSON bodies: a value and a hint that spells it exactly as it was on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pytest_agenttape.bodies.stored import require
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

_MAX_DEPTH = 64  # deeper values would exhaust the stack of recursive readers, YAML's among them
_MAX_SPECIAL = 64  # more odd numbers or escapes than this make a hint longer than it is useful
_WHITESPACE = " \t\n\r"
_SPELLED_WHITESPACE = {" ": "\\s", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
JSON_STYLES = {"compact": (",", ":"), "spaced": (", ", ": "), "spaced-keys": (",", ": "), "spaced-items": (", ", ":")}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")
_INDENTED = re.compile(r"[\[{](\r?\n)( *|\t)[^ \t\r\n]")
_SHORT_ESCAPES = frozenset({0x08, 0x09, 0x0A, 0x0C, 0x0D})


def _make_encode(encoder: json.JSONEncoder) -> Callable[[JSON], str]:
    """Return *encoder*'s `encode` with the C encoder built once: the standard library builds it at each call.

    `json.encoder.c_make_encoder` is private; its arguments are the same from 3.11 to 3.14.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:
        return encoder.encode
    spell = json.encoder.encode_basestring
    encode = make(None, encoder.default, spell, None, encoder.key_separator, encoder.item_separator, False, False, True)
    return lambda value: "".join(encode(value, 0))


_COMPACT = _make_encode(json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")))
_SPACED = _make_encode(json.JSONEncoder(ensure_ascii=False, check_circular=False))


@dataclass(frozen=True, slots=True)
class _JsonLayout:
    """How a server or client spells JSON: an encoder, then rewrites of its text."""

    encode: Callable[[JSON], str]
    rewrites: tuple[Callable[[str], str], ...]

    def write(self, value: JSON) -> str:
        text = self.encode(value)
        for rewrite in self.rewrites:
            text = rewrite(text)
        return text


def encode_json(text: str, likely: JSON = None) -> dict[str, JSON] | None:
    """Return the stored form of a JSON body; None if only its text restores the exact bytes.

    The value is the very object *likely* if the text spells that, as most clients would: then nothing is parsed.
    """
    try:
        hint = None if likely is None or is_deep(likely, text) else _common_hint(likely, text)
        value = json.loads(text) if hint is None else likely
        hint = json_hint(value, text) if hint is None else hint
    except (ValueError, RecursionError):
        return None
    if hint is None:
        return None
    return {"json": value, "json_layout": hint} if hint else {"json": value}


def decode_json(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of a stored JSON body."""
    hint = require(stored, "json_layout", str, "text") if "json_layout" in stored else ""
    return [write_json(stored["json"], hint, "json", "json_layout").encode()]


def write_json(value: JSON, hint: str, key: str, hint_key: str) -> str:
    """Return *value* spelled as *hint* says.

    Raises:
        CassetteCorruptError: The hint is unknown, or the value is not JSON.
    """
    try:
        layout = json_layout(hint)
    except ValueError as error:
        raise CassetteCorruptError(f"{hint_key!r}: {error}") from error
    try:
        return layout.write(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise CassetteCorruptError(f"{key!r} holds a value that JSON does not have: {error}") from error


def parse_json(text: str) -> JSON:
    """Return the value of a JSON text, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def parse_container(text: JSON) -> JSON:
    """Return the value of a text that is a JSON object or array, or None."""
    if not isinstance(text, str) or text[:1] not in ("{", "["):
        return None
    return parse_json(text)


def json_hint(value: JSON, text: str) -> str | None:
    """Return the layout that spells *value* as *text*, or None when no layout does."""
    if is_deep(value, text):
        return None
    if (common := _common_hint(value, text)) is not None:
        return common
    if has_lone_surrogate(value, text):
        return None
    for odd in (_no_words, _odd_numbers):
        extra = odd(text)
        if extra is None:
            return None
        for guess in _guesses(text):
            hint = " ".join((*guess, *extra))
            if json_layout(hint).write(value) == text:
                return hint
    return None


def _common_hint(value: JSON, text: str) -> str | None:
    """Return the layout that spells *value* as *text*, if it is one of most clients'; no other value is spelled so."""
    if _COMPACT(value) == text:
        return ""
    is_spaced = text[:1] in ("{", "[") and (": " in text or ", " in text) and not ("\\u" in text or "\\/" in text)
    return "spaced" if is_spaced and _SPACED(value) == text else None


def is_deep(value: JSON, text: str) -> bool:
    """Return whether *value* is nested too deeply to be stored as more than its text."""
    if text.count("[") + text.count("{") <= _MAX_DEPTH:
        return False
    layer = [value]
    for _ in range(_MAX_DEPTH):
        layer = [
            child
            for node in layer
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
            if type(child) is dict or type(child) is list
        ]
        if not layer:
            return False
    return True


def has_lone_surrogate(value: JSON, text: str) -> bool:
    """Return whether *value* holds a string that no UTF-8 file can hold."""
    if "\\ud" not in text and "\\uD" not in text:
        return False
    try:
        _COMPACT(value).encode()
    except UnicodeEncodeError:
        return True
    return False


def _guesses(text: str) -> Iterator[tuple[str, ...]]:
    core = text.strip(_WHITESPACE)
    before, after = text[: text.index(core)], text[text.index(core) + len(core) :]
    edges = _edge_words(before, after)
    escapes = escape_words(core)
    indented = _INDENTED.match(core)
    if indented:
        line, indent = indented.groups()
        words = ("tab" if indent == "\t" else f"indent={len(indent)}", *(["crlf"] if line == "\r\n" else []))
        yield (*words, *escapes, *edges)
        return
    unpadded = core[:-1].rstrip(" ")
    pad = (f"pad={len(core) - 1 - len(unpadded)}",) if len(unpadded) < len(core) - 1 else ()
    styles = ((), ("spaced",), ("spaced-keys",), ("spaced-items",)) if ", " in core or ": " in core else ((),)
    for style in styles:
        yield (*style, *escapes, *pad, *edges)


def _edge_words(before: str, after: str) -> tuple[str, ...]:
    edges = {"before": before, "after": after}
    return tuple(
        f"{name}={''.join(_SPELLED_WHITESPACE[each] for each in edge)}" for name, edge in edges.items() if edge
    )


def escape_words(core: str) -> tuple[str, ...]:
    """Name the escapes that Python's encoder would spell differently."""
    if "\\" not in core:
        return ()
    tokens = set(_ESCAPE.findall(core))
    hexes = {token[1:] for token in tokens if len(token) == 5}
    points = {int(each, 16) for each in hexes}
    words = []
    if core.isascii() and any(point > 0x7F for point in points):
        words.append("ascii")
        points = {point for point in points if point <= 0x7F}
    listed = sorted(p for p in points if (p >= 0x20 or p in _SHORT_ESCAPES) and not 0xD800 <= p <= 0xDFFF)
    if 0 < len(listed) <= _MAX_SPECIAL:
        words.append("escape=" + ",".join(f"{point:04x}" for point in listed))
    if any(each != each.lower() for each in hexes):
        words.append("upper")
    if "/" in tokens:
        words.append("slash")
    return tuple(words)


def _no_words(text: str) -> tuple[str, ...] | None:  # noqa: ARG001  # the shape of `_odd_numbers`
    return ()


def _odd_numbers(text: str) -> tuple[str, ...] | None:
    """Name the numbers spelled unlike Python's, such as 1e5 or 0.10; None if there are none or too many."""
    odd: dict[str, None] = {}

    def note(token: str) -> float:
        if _python_spelling(token) != token:
            odd[token] = None
        return 0.0

    json.loads(text, parse_float=note, parse_int=note)
    if not 0 < len(odd) <= _MAX_SPECIAL:
        return None
    return ("numbers=" + ",".join(odd),)


def _python_spelling(token: str) -> str:
    return str(int(token)) if token.lstrip("-").isdecimal() else repr(float(token))


@lru_cache(maxsize=256)
def json_layout(hint: str) -> _JsonLayout:
    """Read a hint such as ``spaced ascii`` or ``indent=2 after=\\n``; ValueError names an unknown word."""
    words = dict(_split_word(word) for word in hint.split())
    for word in words:
        if word not in _JSON_WORDS:
            raise ValueError(f"unknown word {word!r}; valid: {', '.join(sorted(_JSON_WORDS))}")
    return _JsonLayout(
        encode=_encoder(words),
        rewrites=tuple(build(words[word], words) for word, build in _REWRITES.items() if word in words),
    )


def _split_word(word: str) -> tuple[str, str]:
    name, _, argument = word.partition("=")
    return name, argument


def _encoder(words: Mapping[str, str]) -> Callable[[JSON], str]:
    indent: int | str | None = "\t" if "tab" in words else None
    if "indent" in words:
        indent = _whole_number(words["indent"])
    if not words.keys() & {*JSON_STYLES, "ascii", "indent", "tab"}:
        return _COMPACT
    style = next((each for name, each in JSON_STYLES.items() if name in words), (",", ":"))
    return json.JSONEncoder(
        ensure_ascii="ascii" in words,
        check_circular=False,
        indent=indent,
        separators=style if indent is None else (",", ": "),
    ).encode


def _whole_number(argument: str) -> int:
    if not (argument.isascii() and argument.isdecimal() and len(argument) <= 5):
        raise ValueError(f"expected a whole number, found {argument!r}")
    return int(argument)


def _rewrite_escapes(argument: str, words: Mapping[str, str]) -> Callable[[str], str]:
    shape = "\\u{:04X}" if "upper" in words else "\\u{:04x}"
    escaped: dict[str, str] = {}
    plain: dict[str, str] = {}
    for each in argument.split(","):
        if not re.fullmatch(r"[0-9a-f]{4}", each):
            raise ValueError(f"expected four hexadecimal digits, found {each!r}")
        char = chr(int(each, 16))
        spelled = _COMPACT(char)[1:-1]
        (escaped if spelled[0] == "\\" else plain)[spelled] = shape.format(ord(char))

    def rewrite(text: str) -> str:
        text = _ESCAPE.sub(lambda found: escaped.get(found[0], found[0]), text) if escaped else text
        for char, spelled in plain.items():
            text = text.replace(char, spelled)
        return text

    return rewrite


def _rewrite_upper(_argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    def upper(found: re.Match[str]) -> str:
        return "\\u" + found[1][1:].upper() if len(found[1]) == 5 else found[0]

    return lambda text: _ESCAPE.sub(upper, text)


def _rewrite_slash(_argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: text.replace("/", "\\/")


def _rewrite_numbers(argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    spellings = {_python_spelling(token): token for token in argument.split(",")}
    found = "|".join(re.escape(each) for each in sorted(spellings, key=len, reverse=True))
    numbers = re.compile(rf"(?<![\w.+-])(?:{found})(?![\w.+-])")
    return lambda text: numbers.sub(lambda match: spellings[match[0]], text)


def _rewrite_lines(_argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    return lambda text: text.replace("\n", "\r\n")


def _rewrite_pad(argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    spaces = " " * _whole_number(argument)
    return lambda text: text[:-1] + spaces + text[-1:]


def _rewrite_before(argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    edge = _whitespace(argument)
    return lambda text: edge + text


def _rewrite_after(argument: str, _words: Mapping[str, str]) -> Callable[[str], str]:
    edge = _whitespace(argument)
    return lambda text: text + edge


def _whitespace(argument: str) -> str:
    if not re.fullmatch(r"(?:\\[stnr])*", argument):
        raise ValueError(f"expected \\s \\t \\n \\r only, found {argument!r}")
    for char, spelled in _SPELLED_WHITESPACE.items():
        argument = argument.replace(spelled, char)
    return argument


_REWRITES: dict[str, Callable[[str, Mapping[str, str]], Callable[[str], str]]] = {
    "escape": _rewrite_escapes,
    "upper": _rewrite_upper,
    "slash": _rewrite_slash,
    "numbers": _rewrite_numbers,
    "crlf": _rewrite_lines,
    "pad": _rewrite_pad,
    "before": _rewrite_before,
    "after": _rewrite_after,
}
_JSON_WORDS = frozenset({*JSON_STYLES, *_REWRITES, "ascii", "indent", "tab"})
