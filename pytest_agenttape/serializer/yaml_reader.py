"""YAML to plain values: no tags, no constructors, in one pass over the events. An alias is the object of its anchor."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from typing import Any, NoReturn

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

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON
from pytest_agenttape.serializer.anchors import Anchors
from pytest_agenttape.serializer.document import (
    MAX_DEPTH,
    TAG,
    WAY_OUT,
    Document,
    checked_root,
    duplicate,
    line_of,
    short,
)
from pytest_agenttape.serializer.scalars import STARTS, typed
from pytest_agenttape.serializer.surrogates import unescaped

try:
    import yaml.cyaml as _libyaml
except ImportError:  # PyYAML was built without libyaml
    CParser: Any = None
else:  # Any: the stubs do not know that it exists and may be absent
    CParser = _libyaml.CParser  # type: ignore[attr-defined]

_SHORT = 40  # characters
_MERGE: Any = object()  # in place of the key "<<" until its mapping ends; no other key equals it

# What a YAML stream may not hold (section 5.1 of YAML 1.1).
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _PureParser(Reader, Scanner, Parser):
    """PyYAML without libyaml, up to events."""

    def __init__(self, stream: bytes) -> None:
        Reader.__init__(self, stream)
        Scanner.__init__(self)
        Parser.__init__(self)


def load_yaml(text: str, *, tags: bool = False) -> Document:
    """Read a YAML document; *tags* allows those that other tools write.

    Raises:
        CassetteCorruptError: It is not YAML, not a mapping, or needs more than plain values.
    """
    try:
        reading = _Reading((CParser or _PureParser)(text.encode()).get_event, Anchors(len(text)), tags=tags)
        reading.run()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = ", ".join(part for part in (error.context, error.problem) if part)
        raise CassetteCorruptError(
            f"is not valid YAML: {why}; {WAY_OUT}", line=mark.line + 1 if mark else None
        ) from None
    except ReaderError as error:
        found = _UNPRINTABLE.search(text)
        line = line_of(text, found.start()) if found else None
        what = f"U+{ord(found[0]):04X}" if found else "a character"
        raise CassetteCorruptError(f"is not valid YAML: {what}: {error.reason}; {WAY_OUT}", line=line) from None
    except (YAMLError, ValueError, OverflowError) as error:  # the pure scanner lets a few escape
        raise CassetteCorruptError(f"is not valid YAML: {type(error).__name__}; {WAY_OUT}") from None
    return Document(checked_root(reading.root), tuple(reading.lines), reading.tagged, reading.anchors.values)


class _Reading:
    """Builds plain values from YAML events, in one pass and without recursion.

    PyYAML's composer and constructor would build a graph of nodes first, follow tags, and recurse.
    """

    __slots__ = (
        "_container", "_key", "_listed", "_merges", "_next", "_open_anchors", "_reads_tags", "_stack", "_top", "_words",
        "anchors", "lines", "root", "tagged",
    )  # fmt: skip

    def __init__(self, next_event: Callable[[], Event], anchors: Anchors, *, tags: bool = False) -> None:
        self._next = next_event
        self.anchors = anchors
        self._open_anchors: list[tuple[int, str]] = []  # of open containers: their depth and their anchor
        self._merges: list[tuple[int, int]] = []  # of open mappings with a merge key: their depth and its line
        self._reads_tags = tags
        self._top: list[JSON] = []  # will hold the root
        self._container: dict[str, JSON] | list[JSON] = self._top  # the open one
        self._key: str | None = None  # of the open mapping's next value; None while it waits for a key
        self._stack: list[tuple[dict[str, JSON] | list[JSON], str | None]] = []
        self._listed: JSON = None  # the list of interactions
        self._words: dict[str, str] = {}  # short texts: a long cassette has few of them, many times
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
        if self._key is None and type(self._container) is dict:
            self._read_key(value, event)
            return
        if event.implicit[0]:
            if not value or value[0] in STARTS:
                try:
                    value = typed(value)
                except (ValueError, OverflowError):
                    _refuse(f"{short(event.value)} is not a number that can be read; quote it if it is text", event)
        elif "\x1a" in value:
            value = unescaped(value)
        if type(value) is str and len(value) <= _SHORT:
            value = self._words.setdefault(value, value)
        self._put(value, event)

    def _put(self, value: JSON, event: ScalarEvent | AliasEvent) -> None:
        if event.anchor is not None and type(event) is ScalarEvent:
            self.anchors.add(event.anchor, value)
        container = self._container
        if type(container) is dict:
            container[self._key] = value  # type: ignore[index]  # whoever calls this has looked for a key
            self._key = None
            return
        container.append(value)  # type: ignore[union-attr]  # not a mapping, so a list
        if container is self._listed:
            self.lines.append(_start_line(event))

    def _tagged(self, event: ScalarEvent) -> None:
        if self._key is None and type(self._container) is dict:
            _refuse_tag(event)
        value = self._with_tag(event.value, event)
        read = _TAGS.get(event.tag)
        if read is not None:
            try:
                value = read(event.value)
            except ValueError:
                _refuse(f"is not a valid {short(event.tag)}", event)
        self._put(value, event)

    def _with_tag(self, value: JSON, event: ScalarEvent | MappingStartEvent | SequenceStartEvent) -> JSON:
        if not self._reads_tags:
            _refuse_tag(event)
        if self.tagged is None:
            self.tagged = _start_line(event)
        return {TAG: (event.tag or "").replace("tag:yaml.org,2002:", "!!"), "value": value}

    def _read_key(self, key: str, event: ScalarEvent | AliasEvent) -> None:
        if "\x1a" in key:
            key = unescaped(key)
        is_merge = key == "<<" and type(event) is ScalarEvent and event.implicit[0]
        found = _MERGE if is_merge else sys.intern(key)
        if found in self._container:
            _refuse(duplicate(key), event)
        if type(event) is ScalarEvent and event.anchor is not None:
            self.anchors.add(event.anchor, key)
        if is_merge:
            self._merges.append((len(self._stack), _start_line(event)))
        self._key = found

    def _open(self, event: MappingStartEvent | SequenceStartEvent) -> bool:
        container = self._container
        value: dict[str, JSON] | list[JSON] = {} if type(event) is MappingStartEvent else []
        item = value if event.tag is None else self._with_tag(value, event)
        if type(container) is list:
            container.append(item)
            if container is self._listed:
                self.lines.append(_start_line(event))
        elif self._key is None:
            _refuse("a key must be a string", event)
        else:
            container[self._key] = item  # type: ignore[call-overload]  # not a list, so a mapping
            if self._key == "interactions" and len(self._stack) == 1:
                self._listed = value
        self._stack.append((container, None))
        if len(self._stack) > MAX_DEPTH:
            _refuse(f"nested deeper than {MAX_DEPTH} levels", event)
        if event.anchor is not None:
            self.anchors.open(event.anchor)
            self._open_anchors.append((len(self._stack), event.anchor))
        self._container, self._key = value, None
        return False

    def _merge(self, line: int) -> None:
        own: dict[Any, JSON] = self._container  # type: ignore[assignment]  # not a list: it has keys
        named = own.pop(_MERGE)
        listed = named if type(named) is list else [named]
        if any(type(each) is not dict for each in listed):
            raise CassetteCorruptError("a merge key (<<) takes a mapping or a list of mappings", line=line)
        try:
            self.anchors.merge(own, listed, len(self._stack))
        except CassetteCorruptError as error:
            raise CassetteCorruptError(error.problem, line=line) from None

    def _close(self, _event: Event) -> bool:
        if self._merges and self._merges[-1][0] == len(self._stack):
            self._merge(self._merges.pop()[1])
        if self._open_anchors and self._open_anchors[-1][0] == len(self._stack):
            self.anchors.add(self._open_anchors.pop()[1], self._container)
        self._container, self._key = self._stack.pop()
        return False

    def _alias(self, event: AliasEvent) -> bool:
        try:
            name, depth = event.anchor or "", len(self._stack)
            value = self.anchors.named(name) if self._key is _MERGE else self.anchors.value(name, depth)
        except CassetteCorruptError as error:
            _refuse(error.problem, event)
        if self._key is not None or type(self._container) is list:
            self._put(value, event)
        elif isinstance(value, str):
            self._read_key(value, event)
        else:
            _refuse("a key must be a string", event)
        return False

    def _start_document(self, event: Event) -> bool:
        if self._container:
            _refuse("holds more than one document", event)
        return False

    def _pass(self, _event: Event) -> bool:
        return False

    def _end(self, _event: Event) -> bool:
        return True


# What to do with each event but the scalar; True ends the reading.
_STEPS: dict[type[Event], Callable[[_Reading, Event], bool]] = {
    MappingStartEvent: _Reading._open,  # type: ignore[dict-item]  # each takes the event of its key
    SequenceStartEvent: _Reading._open,  # type: ignore[dict-item]
    MappingEndEvent: _Reading._close,
    SequenceEndEvent: _Reading._close,
    AliasEvent: _Reading._alias,  # type: ignore[dict-item]
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
    _refuse(f"tags are not supported ({short(event.tag)}); remove it", event)
