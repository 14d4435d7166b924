"""The terminal that commands write to: coloured and cut to its width, or plain text in a pipe or a file."""

from __future__ import annotations

import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping
from itertools import accumulate

import pytest

from pytest_agenttape.plugin.pytest_privates import terminal_writer
from pytest_agenttape.reading.lines import Line, Part
from pytest_agenttape.reading.one_line import visible

_MARKUP: Mapping[Part, Mapping[str, bool]] = {
    "plain": {},
    "title": {"bold": True, "cyan": True},
    "call": {"bold": True},
    "failure": {"red": True},
    "cause": {"bold": True, "yellow": True},
    "old": {"red": True},
    "new": {"green": True},
    "moved": {"cyan": True},
    "aside": {"light": True},
}


class Screen:
    """Standard output, with the colours that pytest's options and the environment ask for."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer = terminal_writer(config, sys.stdout)
        self._encoding = sys.stdout.encoding or "utf-8"
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        self._ellipsis = self._writable("…")

    def write(self, lines: Iterable[Line]) -> None:
        """Write *lines*; a cause that is wider than the terminal takes several."""
        for line in lines:
            if line.part == "cause" and self._width is not None:
                for text in textwrap.wrap(line.text, self._width):
                    self._write(Line(text, "cause"))
            else:
                self._write(line)

    def write_problem(self, text: str) -> None:
        """Write why something cannot be shown: on one line, and whole."""
        line = visible(" ".join(text.split()))
        self._writer.line(self._marked(self._writable(f"agenttape: {line}"), "failure"))

    def _write(self, line: Line) -> None:
        text, note = self._writable(line.text), self._writable(f"  ({line.note})" if line.note else "")
        if self._width is not None:
            # Where there is hardly room for both, the text is more than its note.
            text = self._cut(text, max(self._width - _columns(note), self._width // 2))
            note = self._cut(note, self._width - _columns(text))
        self._writer.line(self._marked(text, line.part) + self._marked(note, "aside"))

    def _marked(self, text: str, part: Part) -> str:
        return self._writer.markup(text, **_MARKUP[part]) if text and _MARKUP[part] else text

    def _writable(self, text: str) -> str:
        """Return *text* with everything escaped that the encoding of the output does not have."""
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            return text.replace("…", "...").encode(self._encoding, "backslashreplace").decode(self._encoding)
        return text

    def _cut(self, text: str, width: int) -> str:
        if len(text) <= width and text.isascii():
            return text
        ends = [*accumulate(map(_columns, text))]
        if not ends or ends[-1] <= width:
            return text
        room = width - len(self._ellipsis)
        return text[: sum(end <= room for end in ends)] + self._ellipsis if room >= 0 else ""


def _columns(text: str) -> int:
    """Return how many columns of a terminal *text* takes."""
    if text.isascii():
        return len(text)
    return sum(map(_width_of, text))


def _width_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
