"""Plain values to YAML: literal blocks and plain scalars if those keep every character."""

from __future__ import annotations

import functools
import io
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from yaml.emitter import Emitter
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

from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.serializer.document import MAX_DEPTH
from pytest_agenttape.serializer.merging import Merges
from pytest_agenttape.serializer.one_line import are_rows, is_scanned, is_short
from pytest_agenttape.serializer.sharing import Sharing
from pytest_agenttape.serializer.surrogates import SURROGATE, escaped

try:
    import yaml.cyaml as _libyaml
except ImportError:  # PyYAML was built without libyaml
    CEmitter: Any = None
else:  # Any: the stubs do not know that it exists and may be absent
    CEmitter = _libyaml.CEmitter  # type: ignore[attr-defined]

_PLAIN, _QUOTED = (True, False), (False, True)  # "needs no tag": when plain, when quoted
_CLOSE_MAP, _CLOSE_LIST = MappingEndEvent(), SequenceEndEvent()
_MERGE_KEY = ScalarEvent(None, None, _PLAIN, "<<")
_LEAVES = frozenset({str, int, float, bool, type(None)})

# Plain text that YAML 1.1 or 1.2 may read as something other than a string: null, bool, merge and value keys, every
# kind of number and what resembles one (sexagesimal, octal, hexadecimal, versions, dates), timestamps.
_RETYPED = re.compile(
    r"~|=|<<|y|n|yes|no|true|false|on|off|null"
    r"|[-+]?[.0-9][0-9a-fox_:,.+-]*"
    r"|[-+]?\.(?:inf|nan)"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:t|[ \t]).*",
    re.IGNORECASE | re.ASCII,
)
# Control characters, and those that YAML 1.1 counts as line breaks, byte order marks or not printable. Tab and line
# feed are judged by their position.
_HOSTILE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dump_yaml(value: JSON) -> str:
    """Return any JSON-like value as a YAML document, without aliases.

    Raises:
        TypeError: A value is not JSON-like; the message names its path.
        RecordingRefusedError: A value is nested too deeply.
    """
    return _dumped(walk(value))


def dump_shared(cassette: JSON, before: Mapping[str, JSON]) -> str:
    """Return a cassette as YAML in which nothing of some length stands twice.

    Args:
        before: The anchors of the file that is rewritten, with what they stand for.

    Raises:
        TypeError: As `dump_yaml`.
        RecordingRefusedError: As `dump_yaml`.
    """
    sharing = Sharing(cassette, before)
    return _dumped(walk(sharing.root, sharing))


def _dumped(tokens: Iterator[JSON | Event]) -> str:
    scalar = functools.lru_cache(maxsize=1024)(_text_event)  # keys and roles repeat; events are never changed
    sink = _Sink()
    sink.emit(DocumentStartEvent(explicit=False))
    for token in tokens:
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


def walk(root: JSON, sharing: Sharing | None = None) -> Iterator[JSON | Event]:
    """Yield keys and leaves in order, and an event wherever a container opens or closes, or an alias stands.

    Without recursion, so a deep value reaches `MAX_DEPTH` and a cyclic one ends.
    """
    shared = (sharing.names, sharing.texts, sharing.merges) if sharing is not None else ({}, {}, Merges(None))
    names, texts, merges = shared
    said: set[str] = set()  # anchors
    stack: list[tuple[Iterator[tuple[object, JSON]], Event | None, bool]] = [(iter(((None, root),)), None, False)]
    trail: list[object] = [None]
    while stack:
        items, end, is_row = stack[-1]
        for key, value in items:
            trail[-1] = key
            if end is _CLOSE_MAP:
                yield key if type(key) is str else _simplified(key, trail, (str,))
            plain = value if type(value) in _LEAVES else _simplified(value, trail, (str, int, float, dict, list))
            is_container = isinstance(plain, dict | list)
            anchor = names.get(id(plain)) if is_container else texts.get(plain) if texts else None
            if anchor in said:
                yield AliasEvent(anchor)
                continue
            if anchor is not None:
                said.add(anchor)
            if not is_container:
                is_simple = anchor is None and not (type(plain) is str and "\n" in plain and is_scanned(trail))
                yield plain if is_simple else _text_event(plain, anchor, is_scanned(trail))
                continue
            if len(stack) > MAX_DEPTH:
                raise RecordingRefusedError(f"{_spelled(trail[:8])}...: nested deeper than {MAX_DEPTH} levels")
            base = merges.base(plain)
            written = plain if base is None else merges.written(plain)
            is_few_words = sharing is not None and (is_row or is_short(written, trail, is_merged=base is not None))
            yield _opening(isinstance(plain, dict), anchor, is_few_words or is_scanned(trail))
            if isinstance(plain, dict):
                yield from _merge_key(base, names)
                stack.append((iter(written.items()), _CLOSE_MAP, False))
            else:
                stack.append((iter(enumerate(plain)), _CLOSE_LIST, are_rows(plain, trail)))
            trail.append(None)
            break
        else:
            stack.pop()
            trail.pop()
            if end is not None:
                yield end


def _merge_key(base: JSON, names: Mapping[int, str]) -> Iterator[Event]:
    if base is not None:
        yield _MERGE_KEY
        yield AliasEvent(names[id(base)])


@functools.lru_cache(maxsize=1024)
def _opening(is_map: bool, anchor: str | None, is_on_one_line: bool) -> Event:
    start = MappingStartEvent if is_map else SequenceStartEvent
    return start(anchor, None, True, flow_style=is_on_one_line)


def _simplified(value: object, trail: list[object], bases: tuple[type, ...]) -> JSON:
    """Return an instance of a subclass (an enum member, say) as the plain value it equals."""
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
    return spelling if "." in spelling else spelling.replace("e", ".0e")  # YAML 1.1 reads 1e-07 as a string


def _text_event(text: str, anchor: str | None = None, is_on_one_line: bool = False) -> ScalarEvent:
    if _needs_quotes(text) or (is_on_one_line and "\n" in text):
        return ScalarEvent(anchor, None, _QUOTED, _stand_in(escaped(text)), style='"')
    if "\n" in text:
        return ScalarEvent(anchor, None, _QUOTED, _stand_in(text).replace("\t", _TAB), style="|")
    # The emitter knows where plain style fails (indicators, comments) and uses single quotes there.
    return ScalarEvent(anchor, None, (True, True), _stand_in(text))


def _needs_quotes(text: str) -> bool:
    """Return whether only double quotes bring *text* back unchanged and as a string."""
    if not text or text[0] in " \t" or text[-1] in " \t" or _RETYPED.fullmatch(text):
        return True
    if text.isascii() and text.isprintable():
        return False
    if (not text.isascii() and SURROGATE.search(text)) or _HOSTILE.search(text):
        return True
    if "\n" not in text:
        return "\t" in text
    return " \n" in text or "\t\n" in text or not text.strip("\n")


# Stand-ins: libyaml's emitter gives up literal style for any character above U+FFFF and for tabs, and a page of prose
# with one emoji would become a single quoted line. So it gets characters of the private use area instead (an
# emoji's two UTF-16 halves, one for the tab), which are replaced in its output. Real ones are marked.


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
