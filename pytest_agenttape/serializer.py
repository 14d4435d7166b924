"""Turns cassettes into YAML or JSON text and back; nothing else in the project knows these formats.

What is written is plain YAML that any parser reads. Text is a literal block or a plain scalar where that keeps every
character, and a double-quoted scalar where it would not. Two things are beyond the formats' reach:

* A lone surrogate has no UTF-8 form, and YAML parsers refuse its escape. It is written as U+001A SUBSTITUTE and the
  four hexadecimal digits of the code unit, as in ``"\\x1AD800"``. A U+001A that is followed by text of that form
  by itself is written as U+001A ``001A``.
* Timestamps stay the strings they are, quoted or not; keys are always strings.
"""

from __future__ import annotations

import base64
import functools
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from yaml.emitter import Emitter
from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner

from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from pytest_agenttape.model import JSON, unknown_name

try:
    import yaml.cyaml as _libyaml
except ImportError:  # PyYAML was built without libyaml
    CEmitter: Any = None
    CParser: Any = None
else:  # Any, because the stubs know neither that these are here nor that they may be absent
    CEmitter, CParser = _libyaml.CEmitter, _libyaml.CParser  # type: ignore[attr-defined]

FORMATS = ("yaml", "json")
MAX_DEPTH = 500  # more levels than data has, fewer than would exhaust the stack of the recursive rooms above


@dataclass(frozen=True, slots=True)
class Document:
    """A cassette file as plain values.

    Attributes:
        root: The file's mapping.
        lines: The 1-based line on which each interaction starts; 0 where that is unknown.
        tagged: The line of the first value that was read by its tag; no cassette of this project has one.
    """

    root: dict[str, JSON]
    lines: tuple[int, ...]
    tagged: int | None = None


def dump(cassette: Mapping[str, JSON], format: str = "yaml") -> str:  # noqa: A002  # the option's public name
    """Return the text of a cassette file; the same value always gives the same text.

    Raises:
        ConfigError: *format* is not one of `FORMATS`.
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value cannot be read back: nested too deeply, or a whole number too long for JSON.
    """
    if format == "yaml":
        return dump_yaml(dict(cassette))
    if format == "json":
        return _dump_json(dict(cassette))
    raise unknown_name("format", format, FORMATS)


def load(
    data: bytes,
    *,
    format: str,  # noqa: A002  # the option's public name
    path: Path | None = None,
    tags: bool = False,
) -> Document:
    """Read the bytes of a cassette file.

    Args:
        format: One of `FORMATS`.
        path: What messages name.
        tags: Read the tags that other tools write: text, and ``!!binary`` as bytes.

    Raises:
        ConfigError: *format* is not one of `FORMATS`.
        CassetteCorruptError: The bytes are not a cassette; it says why, and on which line.
    """
    if format not in FORMATS:
        raise unknown_name("format", format, FORMATS)
    try:
        text = _decode(data)
        return _load_yaml(text, tags=tags) if format == "yaml" else _load_json(text)
    except CassetteCorruptError as error:
        problem, line = _conflict(data) or (error.problem, error.line)
        raise CassetteCorruptError(problem, path=path, line=line) from None


# Writing


_PLAIN, _QUOTED = (True, False), (False, True)  # "needs no tag": when plain, when quoted
_OPEN_MAP, _CLOSE_MAP = MappingStartEvent(None, None, True, flow_style=False), MappingEndEvent()
_OPEN_LIST, _CLOSE_LIST = SequenceStartEvent(None, None, True, flow_style=False), SequenceEndEvent()
_LEAVES = frozenset({str, int, float, bool, type(None)})

# Plain text that YAML 1.1 or 1.2 takes for something else than a string: null, bool, merge and value keys, every kind
# of number with its neighbourhood (sexagesimal, octal, hexadecimal, versions, dates), timestamps.
_RETYPED = re.compile(
    r"~|=|<<|y|n|yes|no|true|false|on|off|null"
    r"|[-+]?[.0-9][0-9a-fox_:,.+-]*"
    r"|[-+]?\.(?:inf|nan)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:t|[ \t]).*",
    re.IGNORECASE | re.ASCII,
)
# Control characters, and those that YAML 1.1 counts as line breaks, byte order marks or not printable. Tab and line
# feed are judged by where they stand.
_HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dump_yaml(value: JSON) -> str:
    """Return any JSON-like value as a YAML document.

    Raises:
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value is nested too deeply.
    """
    scalar = functools.lru_cache(maxsize=1024)(_text_event)  # keys and roles repeat; events are never changed
    sink = _Sink()
    sink.emit(DocumentStartEvent(explicit=False))
    for token in _walk(value):
        if type(token) is str:
            sink.emit(scalar(token))
        else:
            sink.emit(token if isinstance(token, Event) else _typed_event(token))
    sink.emit(DocumentEndEvent(explicit=False))
    return _dismiss(sink.text())


class _Sink:
    """The YAML emitter in use (libyaml's, or the pure one with the same result) and what it has written."""

    def __init__(self) -> None:
        width = 2**31 - 1  # of a line: never fold
        self._stream: io.BytesIO | io.StringIO
        if CEmitter is None:
            self._stream = io.StringIO()
            self.emit: Callable[[Event], object] = Emitter(self._stream, indent=2, width=width, allow_unicode=True).emit
            self.emit(StreamStartEvent())
        else:
            self._stream = io.BytesIO()
            self.emit = CEmitter(self._stream, indent=2, width=width, allow_unicode=True, encoding="utf-8").emit
            self.emit(StreamStartEvent(encoding="utf-8"))

    def text(self) -> str:
        """End the stream and return everything written."""
        self.emit(StreamEndEvent())
        written = self._stream.getvalue()
        return written if isinstance(written, str) else written.decode()


def _walk(root: JSON) -> Iterator[JSON | Event]:
    """Yield keys and leaves in order, and an event wherever a container opens or closes.

    Without recursion, so that a deep value meets `MAX_DEPTH` and a cyclic one ends.
    """
    stack: list[tuple[Iterator[tuple[object, JSON]], Event | None]] = [(iter(((None, root),)), None)]
    trail: list[object] = [None]
    while stack:
        items, end = stack[-1]
        for key, value in items:
            trail[-1] = key
            if end is _CLOSE_MAP:
                yield key if type(key) is str else _simplified(key, trail, (str,))
            plain = value if type(value) in _LEAVES else _simplified(value, trail, (str, int, float, dict, list))
            if not isinstance(plain, dict | list):
                yield plain
                continue
            if len(stack) > MAX_DEPTH:
                raise RecordingRefusedError(f"{_spelled(trail[:8])}...: nested deeper than {MAX_DEPTH} levels")
            if isinstance(plain, dict):
                yield _OPEN_MAP
                stack.append((iter(plain.items()), _CLOSE_MAP))
            else:
                yield _OPEN_LIST
                stack.append((iter(enumerate(plain)), _CLOSE_LIST))
            trail.append(None)
            break
        else:
            stack.pop()
            trail.pop()
            if end is not None:
                yield end


def _simplified(value: object, trail: list[object], bases: tuple[type, ...]) -> JSON:
    """Return a member of a subclass (an enum's, say) as the plain value it equals."""
    for base in bases:
        if type(value) is base:
            return value
        if isinstance(value, base):
            return str.__str__(value) if isinstance(value, str) else base(value)
    what = "a key" if bases == (str,) else "a value"
    raise TypeError(f"{_spelled(trail)}: {what} of type {type(value).__name__} cannot be written")


def _spelled(trail: list[object]) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail[1:])
    return "".join(steps).removeprefix(".") or "the root"


def _typed_event(value: float | None) -> ScalarEvent:
    if value is None:
        spelling = "null"
    elif isinstance(value, bool):
        spelling = "true" if value else "false"
    elif isinstance(value, int):
        # Python limits the digits of decimal conversion, and hexadecimal reads back in linear time.
        spelling = str(value) if value.bit_length() < 2000 else hex(value)
    else:
        spelling = _float_spelling(value)
    return ScalarEvent(None, None, _PLAIN, spelling)


def _float_spelling(value: float) -> str:
    spelling = float.__repr__(value)
    if spelling in ("nan", "inf", "-inf"):
        return spelling.replace("nan", ".nan").replace("inf", ".inf")
    return spelling if "." in spelling else spelling.replace("e", ".0e")  # YAML 1.1 takes 1e-07 for a string


def _text_event(text: str) -> ScalarEvent:
    if _needs_quotes(text):
        return ScalarEvent(None, None, _QUOTED, _stand_in(_escaped(text)), style='"')
    if "\n" in text:
        return ScalarEvent(None, None, _QUOTED, _stand_in(text).replace("\t", _TAB), style="|")
    # The emitter knows where plain style fails (indicators, comments) and takes single quotes there.
    return ScalarEvent(None, None, (True, True), _stand_in(text))


def _needs_quotes(text: str) -> bool:
    """Say whether only double quotes bring *text* back as it is, and a string."""
    if not text or text[0] in " \t" or text[-1] in " \t" or _RETYPED.fullmatch(text):
        return True
    if text.isascii() and text.isprintable():
        return False
    if (not text.isascii() and _SURROGATE.search(text)) or _HOSTILE.search(text):
        return True
    if "\n" not in text:
        return "\t" in text
    return " \n" in text or "\t\n" in text or not text.strip("\n")


# Lone surrogates


_SURROGATE = re.compile("[\ud800-\udfff]")
_LOOKALIKE = re.compile("\x1a(?=D[89A-F][0-9A-F]{2}|001A)")
_ESCAPE = re.compile("\x1a(D[89A-F][0-9A-F]{2}|001A)")


def _escaped(text: str) -> str:
    if "\x1a" in text:
        text = _LOOKALIKE.sub("\x1a001A", text)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\x1a{ord(found[0]):04X}", text)


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


# Stand-ins: libyaml's emitter gives up literal style for any character above U+FFFF and for tabs, and a page of prose
# with one emoji would become a single quoted line. So it is shown characters of the private use area (an emoji's two
# UTF-16 halves, one for the tab), which are put back in what it wrote. Real ones are marked, so nothing is confused.


_TAB, _REAL = "\ue800", "\ue801"
_TO_STAND_IN = re.compile("[\ue000-\ue801\U00010000-\U0010ffff]")
_FROM_STAND_IN = re.compile("[\ue000-\ue3ff][\ue400-\ue7ff]|\ue800|\ue801[\uf000-\uf801]")


def _stand_in(text: str) -> str:
    return text if text.isascii() else _TO_STAND_IN.sub(_stand_in_for, text)


def _stand_in_for(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return _REAL + chr(code + 0x1000)
    return chr(0xE000 + (code - 0x10000 >> 10)) + chr(0xE400 + (code & 0x3FF))


def _dismiss(text: str) -> str:
    return text if text.isascii() else _FROM_STAND_IN.sub(_stood_for, text)


def _stood_for(found: re.Match[str]) -> str:
    if found[0] == _TAB:
        return "\t"
    first, second = map(ord, found[0])
    if first == ord(_REAL):
        return chr(second - 0x1000)
    return chr(0x10000 + (first - 0xE000 << 10) + second - 0xE400)


# Reading


_BOM = "\ufeff"
_CONFLICT = re.compile(rb"^(?:<{7}|>{7})(?: |\r?$)", re.MULTILINE)
# What a YAML stream may not hold (section 5.1 of YAML 1.1).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CassetteCorruptError("is UTF-16; save it as UTF-8", line=1)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CassetteCorruptError(f"is not UTF-8: byte 0x{data[error.start]:02X}", line=line) from None
    text = text.removeprefix(_BOM)
    if not text or text.isspace():
        raise CassetteCorruptError("is empty", line=1)
    return text


def _conflict(data: bytes) -> tuple[str, int] | None:
    """Return the message for what is a merge conflict rather than a damaged file."""
    found = _CONFLICT.search(data)
    if found is None:
        return None
    problem = "has an unresolved merge conflict; keep one side whole, or record again with --agenttape-record"
    return problem, data.count(b"\n", 0, found.start()) + 1


class _PureParser(Reader, Scanner, Parser):
    """PyYAML without libyaml, up to events."""

    def __init__(self, stream: bytes) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)


def _load_yaml(text: str, *, tags: bool = False) -> Document:
    try:
        reading = _Reading((CParser or _PureParser)(text.encode()).get_event, tags=tags)
        reading.run()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem) if part)
        raise CassetteCorruptError(f"is not valid YAML: {why}", line=mark.line + 1 if mark else None) from None
    except ReaderError as error:
        found = _UNPRINTABLE.search(text)
        line = _line(text, found.start()) if found else None
        what = f"U+{ord(found[0]):04X}" if found else "a character"
        raise CassetteCorruptError(f"is not valid YAML: {what}: {error.reason}", line=line) from None
    except (YAMLError, ValueError, OverflowError) as error:  # the pure scanner lets a few escape
        raise CassetteCorruptError(f"is not valid YAML: {type(error).__name__}") from None
    return Document(_checked_root(reading.root), tuple(reading.lines), reading.tagged)


def _checked_root(root: JSON) -> dict[str, JSON]:
    if isinstance(root, dict):
        return root
    found = "nothing" if root is None else type(root).__name__
    raise CassetteCorruptError(f"must be a mapping, found {found}", line=1)


class _Reading:
    """Builds plain values from YAML events, in one pass and without recursion.

    PyYAML's composer and constructor would build a graph of nodes first, follow aliases and tags, and recurse.
    """

    __slots__ = ("_container", "_key", "_listed", "_next", "_reads_tags", "_stack", "_top", "lines", "root", "tagged")

    def __init__(self, next_event: Callable[[], Event], *, tags: bool = False) -> None:
        self._next = next_event
        self._reads_tags = tags
        self._top: list[JSON] = []  # will hold the root
        self._container: dict[str, JSON] | list[JSON] = self._top  # the open one
        self._key: str | None = None  # of the open mapping's next value; None while it waits for a key
        self._stack: list[tuple[dict[str, JSON] | list[JSON], str | None]] = []
        self._listed: JSON = None  # the list of interactions
        self.lines: list[int] = []
        self.root: JSON = None
        self.tagged: int | None = None

    def run(self) -> None:
        """Read the whole stream into `root` and `lines`."""
        scalar, next_event = self._scalar, self._next
        while True:
            event = next_event()
            if type(event) is ScalarEvent:
                scalar(event)
            elif _STEPS[type(event)](self, event):
                break
        if not self._top:
            raise CassetteCorruptError("holds nothing but comments", line=1)
        self.root = self._top[0]

    def _scalar(self, event: ScalarEvent) -> None:
        if event.tag is not None:
            self._tagged(event)
            return
        value: JSON = event.value
        container = self._container
        if self._key is None and type(container) is dict:
            self._key = self._new_key(value, event)
            return
        if event.implicit[0]:
            if not value or value[0] in _TYPED_STARTS:
                value = _typed(value, event)
        elif "\x1a" in value:
            value = _unescaped(value)
        if type(container) is dict:
            container[self._key] = value  # type: ignore[index]  # a key is there, or this were the key
            self._key = None
            return
        container.append(value)  # type: ignore[union-attr]  # what is no mapping is a list
        if container is self._listed:
            self.lines.append(_start_line(event))

    def _tagged(self, event: ScalarEvent) -> None:
        read = _TAGS.get(event.tag) if self._reads_tags else None
        container = self._container
        if read is None or (self._key is None and type(container) is dict):
            _refuse_tag(event)
        try:
            value = read(event.value)
        except ValueError:
            _refuse(f"is no {_short(event.tag)}", event)
        if self.tagged is None:
            self.tagged = _start_line(event)
        if type(container) is dict:
            container[self._key] = value  # type: ignore[index]  # a key is there, or it were refused
            self._key = None
        else:
            container.append(value)  # type: ignore[union-attr]  # what is no mapping is a list

    def _new_key(self, key: str, event: ScalarEvent) -> str:
        if "\x1a" in key:
            key = _unescaped(key)
        if key in self._container:
            _refuse(_duplicate(key), event)
        if key == "<<" and event.implicit[0]:
            _refuse("merge keys are not read; write the keys out", event)
        return key

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> bool:
        if event.tag is not None:
            _refuse_tag(event)
        container = self._container
        value: dict[str, JSON] | list[JSON] = {} if type(event) is MappingStartEvent else []
        if type(container) is list:
            container.append(value)
            if container is self._listed:
                self.lines.append(_start_line(event))
        elif self._key is None:
            _refuse("a key must be a string", event)
        else:
            container[self._key] = value  # type: ignore[call-overload]  # what is no list is a mapping
            if self._key == "interactions" and len(self._stack) == 1:
                self._listed = value
        self._stack.append((container, None))
        if len(self._stack) > MAX_DEPTH:
            _refuse(f"nested deeper than {MAX_DEPTH} levels", event)
        self._container, self._key = value, None
        return False

    def _close(self, _event: Event) -> bool:
        self._container, self._key = self._stack.pop()
        return False

    def _start_document(self, event: Event) -> bool:
        if self._container:
            _refuse("holds more than one document", event)
        return False

    def _refuse_alias(self, event: AliasEvent) -> bool:
        _refuse(f"aliases are not read (*{_short(event.anchor)}); write the value out", event)

    def _pass(self, _event: Event) -> bool:
        return False

    def _end(self, _event: Event) -> bool:
        return True


# What to do with each event but the scalar; True ends the reading.
_STEPS: dict[type[Event], Callable[[_Reading, Event], bool]] = {
    MappingStartEvent: _Reading._open,  # type: ignore[dict-item]  # each takes the event it stands beside
    SequenceStartEvent: _Reading._open,  # type: ignore[dict-item]
    MappingEndEvent: _Reading._close,
    SequenceEndEvent: _Reading._close,
    AliasEvent: _Reading._refuse_alias,  # type: ignore[dict-item]
    DocumentStartEvent: _Reading._start_document,
    DocumentEndEvent: _Reading._pass,
    StreamStartEvent: _Reading._pass,
    StreamEndEvent: _Reading._end,
}


def _unbase64(text: str) -> bytes:
    return base64.b64decode("".join(text.split()), validate=True)


_TAGS: dict[str | None, Callable[[str], JSON]] = {
    "tag:yaml.org,2002:binary": _unbase64,
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:python/str": str,
    "tag:yaml.org,2002:python/unicode": str,
}


def _refuse(problem: str, event: Event) -> NoReturn:
    raise CassetteCorruptError(problem, line=_start_line(event))


def _start_line(event: Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _refuse_tag(event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> NoReturn:
    _refuse(f"tags are not read ({_short(event.tag)}); remove it", event)


def _short(name: str | None) -> str:
    name = name or ""
    return repr(name if len(name) <= 60 else name[:59] + "…")


# The types of plain scalars, as PyYAML's safe loader knows them, without its timestamps.


_TYPED_STARTS = frozenset("-+.0123456789~nNtTfFyYoO")
_WORDS: dict[str, bool | None] = {
    spelling: value
    for word, value in {
        "null": None,
        "yes": True,
        "no": False,
        "true": True,
        "false": False,
        "on": True,
        "off": False,
    }.items()
    for spelling in (word, word.title(), word.upper())
} | {"": None, "~": None}
_INT = re.compile(
    r"[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?P<sixties>(?::[0-5]?[0-9])+))"
)
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?P<sixties>(?::[0-5]?[0-9])+)\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)


def _typed(value: str, event: ScalarEvent) -> JSON:
    if value in _WORDS:
        return _WORDS[value]
    if value[0] > "9":  # a letter, and no word
        return value
    try:
        return _number(value)
    except (ValueError, OverflowError):
        _refuse(f"{_short(value)} is not a number that can be read; quote it if it is text", event)


def _number(value: str) -> JSON:
    """Return the number that *value* spells, else *value*."""
    if found := _INT.fullmatch(value):
        digits = value.replace("_", "")
        if found["sixties"]:
            return _sexagesimal(digits, int)
        return int(digits, _base(digits.lstrip("+-")))
    if found := _FLOAT.fullmatch(value):
        digits = value.replace("_", "").lower()
        if found["sixties"]:
            return _sexagesimal(digits, float)
        return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    return value


def _base(digits: str) -> int:
    if digits.startswith("0b"):
        return 2
    if digits.startswith("0x"):
        return 16
    return 8 if digits[:1] == "0" else 10


def _sexagesimal(digits: str, number: type[int] | type[float]) -> float:
    parts = digits.lstrip("+-").split(":")
    if len(parts) > 100:
        raise ValueError("too many parts")
    total = number(0)
    for power, part in enumerate(reversed(parts)):
        total += number(part) * 60**power
    return -total if digits[0] == "-" else total


# JSON


_JSON_STRUCTURE = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[]}]', re.DOTALL)
_JSON_LONG_NUMBER = re.compile(r"[\[:,]\s*+-?[0-9]{500}")
_JSON_INTERACTIONS = re.compile(r'^  "interactions": \[$', re.MULTILINE)
_JSON_INTERACTION = re.compile(r"^(?:    \{|  \])", re.MULTILINE)


def _dump_json(value: JSON) -> str:
    escape = False
    for token in _walk(value):
        escape = escape or (isinstance(token, str) and _escaped(token) != token)
    try:
        text = json.dumps(_mapped(value, _escaped) if escape else value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise RecordingRefusedError(f"JSON cannot hold a value: {error}") from error
    return _HOSTILE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


_HOSTILE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # valid, but no reader would see them


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


def _load_json(text: str) -> Document:
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _refuse_deep_json(text)
    try:
        root = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        raise CassetteCorruptError(f"is not valid JSON: {error.msg}", line=error.lineno) from None
    except CassetteCorruptError as error:
        raise CassetteCorruptError(error.problem, line=_duplicate_line(text, error.problem)) from None
    except ValueError:
        found = _JSON_LONG_NUMBER.search(text)
        line = _line(text, found.end()) if found else None
        raise CassetteCorruptError("a number has more digits than Python reads", line=line) from None
    except RecursionError:
        raise CassetteCorruptError("is nested too deeply") from None
    lines = _json_lines(text, _checked_root(root))
    return Document(_mapped(root, _unescaped) if "\\u001a" in text.lower() else root, lines)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _refuse_deep_json(text: str) -> None:
    depth = 0
    for found in _JSON_STRUCTURE.finditer(text):
        if found[0] in "[{":
            depth += 1
        elif found[0] in "]}":
            depth -= 1
        if depth > MAX_DEPTH:
            raise CassetteCorruptError(f"nested deeper than {MAX_DEPTH} levels", line=_line(text, found.start()))


def _distinct(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    whole = dict(pairs)
    if len(whole) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise CassetteCorruptError(_duplicate(twice))
    return whole


def _duplicate(key: str) -> str:
    return f"duplicate key {_short(key)}"


def _duplicate_line(text: str, problem: str) -> int | None:
    """Read the JSON again as the YAML it nearly is, for a line that the JSON reader does not tell."""
    try:
        _load_yaml(text)
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
    lines, line, position = [], _line(text, start.start()), start.start()
    for found in _JSON_INTERACTION.finditer(text, start.end()):
        if found[0] == "  ]":
            break
        line += text.count("\n", position, found.start())
        position = found.start()
        lines.append(line)
    return tuple(lines) if len(lines) == count else (0,) * count
