"""How a lone surrogate, which no UTF-8 file can hold, is written, and how it is read again."""

from __future__ import annotations

import re

SURROGATE = re.compile("[\ud800-\udfff]")
_LOOKALIKE = re.compile("\x1a(?=D[89A-F][0-9A-F]{2}|001A)")
_ESCAPE = re.compile("\x1a(D[89A-F][0-9A-F]{2}|001A)")


def escaped(text: str) -> str:
    """Return *text* with each lone surrogate spelled out."""
    if "\x1a" in text:
        text = _LOOKALIKE.sub("\x1a001A", text)
    return text if text.isascii() else SURROGATE.sub(lambda found: f"\x1a{ord(found[0]):04X}", text)


def unescaped(text: str) -> str:
    """Return what `escaped` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
