"""Documents inside others: read, and written back with only the secrets changed."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator

from pytest_agenttape.model import JSON

NO_DOCUMENT = object()
GZIP = b"\x1f\x8b\x08"  # how compressed data begins

_MOST_INFLATED = 64 * 1024 * 1024  # a few bytes can inflate to gigabytes

_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')


def parsed(text: str) -> JSON:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_DOCUMENT


def inflated(data: bytes) -> bytes | None:
    """Return what *data* holds compressed; None if it is not a whole gzip stream, or is too large to search."""
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = reader.decompress(data, _MOST_INFLATED)
    except zlib.error:
        return None
    return plain if reader.eof and not reader.unused_data else None


def rewritten(source: str, old: JSON, new: JSON) -> str:
    """Return the JSON text *source* of *old* with the texts of *new*, everything else spelled as it was."""
    literals = list(_LITERAL.finditer(source))
    before, after = list(_strings(old)), list(_strings(new))
    if not len(literals) == len(before) == len(after):
        return json.dumps(new, ensure_ascii=source.isascii(), separators=(",", ":"))  # a key occurs twice
    out, at = [], 0
    for literal, was, now in zip(literals, before, after, strict=True):
        if was != now:
            out += [source[at : literal.start()], json.dumps(now, ensure_ascii=literal[0].isascii())]
            at = literal.end()
    return "".join((*out, source[at:]))


def _strings(node: JSON) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield key
            yield from _strings(value)
    elif isinstance(node, list):
        for each in node:
            yield from _strings(each)
