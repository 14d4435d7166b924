"""Values as a person sees them: on one printable line, cut if they are long, two of them at the same place."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable

from pytest_agenttape.model import JSON

ABSENT = "(absent)"
WIDTH = 72
_MAX_DEPTH = 5
_MAX_DECIMAL_BITS = 4_000  # Python refuses to write much longer integers in decimal


def shorten(value: JSON, width: int = WIDTH) -> str:
    """Return *value* on one printable line of about *width* characters."""
    return _render(value, max(width, 1), depth=0)


def visible(text: str, width: int | None = None) -> str:
    """Return *text* cut to *width*, with everything escaped that does not print on one line."""
    if width is not None and len(text) > width:
        text = text[: width - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def double_quoted(text: str, width: int = 60) -> str:
    """Return the beginning of *text* in double quotes, runs of white space folded."""
    start = text[: 4 * width]
    line = " ".join(start.split())
    if len(line) > width or len(start) < len(text):
        line = f"{line[: width - 1].rstrip()}…"
    return f'"{visible(line)}"'


def digest(text: str) -> str:
    """Return a short text that changes with *text*, however long that is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def shown_pair(a: object, b: object, width: int = WIDTH) -> tuple[str, str]:
    """Return two different values as two different lines, cut around their first difference."""
    if isinstance(a, str) and isinstance(b, str):
        return _text_pair(a, b, width)
    if isinstance(a, dict | list | str) or isinstance(b, dict | list | str):
        return shorten(a, width), shorten(b, width)
    return around_difference(_scalar_text(a), _scalar_text(b), width)


def around_difference(a: str, b: str, width: int = WIDTH) -> tuple[str, str]:
    """Return the same window of both texts, around their first difference, with ``…`` where they are cut."""
    if len(a) <= width and len(b) <= width:
        return a, b
    start = _common_prefix(a, b) - width // 3
    start = start if start > 1 else 0  # an ellipsis instead of one character saves nothing
    return _window(a, start, width), _window(b, start, width)


def _text_pair(a: str, b: str, width: int) -> tuple[str, str]:
    if "\n" not in a and "\n" not in b:
        return _quoted_pair(a, b, width)
    number, line, other = _first_differing_line(a, b)
    if line is None or other is None:
        left, right = (ABSENT if each is None else shorten(each, width) for each in (line, other))
    else:
        left, right = _quoted_pair(line, other, width)
    return f"line {number}: {left}", f"line {number}: {right}"


def _quoted_pair(a: str, b: str, width: int) -> tuple[str, str]:
    left, right = around_difference(a, b, width)
    if unicodedata.normalize("NFC", left) == unicodedata.normalize("NFC", right):
        return ascii(left), ascii(right)  # they look the same
    return repr(left), repr(right)


def _first_differing_line(a: str, b: str) -> tuple[int, str | None, str | None]:
    start = a.rfind("\n", 0, _common_prefix(a, b)) + 1
    number = a.count("\n", 0, start) + 1
    line, other = _line_at(a, start), _line_at(b, start)
    if line is None or line != other:
        return number, line, other
    start += len(line) + 1  # one text ends with this line and the other goes on
    return number + 1, _line_at(a, start), _line_at(b, start)


def _line_at(text: str, start: int) -> str | None:
    if start > len(text):
        return None
    end = text.find("\n", start)
    return text[start:] if end < 0 else text[start:end]


def _common_prefix(a: str, b: str) -> int:
    low, high = 0, min(len(a), len(b))
    while low < high:  # halving compares each character about once, and in C
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _window(text: str, start: int, width: int) -> str:
    cut = text[start : start + width]
    return f"{'…' if start else ''}{cut}{'…' if start + width < len(text) else ''}"


def _render(value: JSON, room: int, depth: int) -> str:
    if isinstance(value, str):
        return repr(value if len(value) <= room else value[: max(room - 1, 1)] + "…")
    if isinstance(value, dict):
        items = ((f"{shorten(key, 40)}: ", child) for key, child in value.items())
        return "{" + _render_items(items, room, depth) + "}"
    if isinstance(value, list):
        return "[" + _render_items((("", child) for child in value), room, depth) + "]"
    return visible(_scalar_text(value), max(room, 8))


def _render_items(items: Iterable[tuple[str, JSON]], room: int, depth: int) -> str:
    shown: list[str] = []
    for label, child in items:
        if room <= len(label) or depth > _MAX_DEPTH:
            shown.append("…")
            break
        shown.append(label + _render(child, room - len(label), depth + 1))
        room -= len(shown[-1]) + 2
    return ", ".join(shown)


def _scalar_text(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > _MAX_DECIMAL_BITS:
        return hex(value)
    return repr(value)
