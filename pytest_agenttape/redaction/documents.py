"""Documents inside others: read, and written back with only the secrets changed."""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator

from pytest_agenttape.model import JSON
from pytest_agenttape.redaction.placeholders import unnumbered

NO_DOCUMENT = object()
GZIP = b"\x1f\x8b\x08"  # how compressed data begins

_GZIP_WBITS = 16 + zlib.MAX_WBITS
_COMPRESSED = {GZIP: _GZIP_WBITS} | dict.fromkeys((b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"), zlib.MAX_WBITS)
_MOST_INFLATED = 64 * 1024 * 1024  # a few bytes can inflate to gigabytes

_SHORTEST_ENCODED = 20
# One line, or the lines of MIME.
_ENCODED = re.compile(r"(?:data:[^,\s]{0,128};base64,)?(?P<encoded>(?:[A-Za-z0-9+/_-]++\r?\n?)++={0,2}\s{0,2})")
_LITERAL = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"')


def parsed(text: str) -> JSON:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return NO_DOCUMENT


def inflated(data: bytes, wbits: int = _GZIP_WBITS) -> bytes | None:
    """Return what *data* holds compressed; None if it is not a whole stream, or is too large to search."""
    reader = zlib.decompressobj(wbits)
    try:
        plain = reader.decompress(data, _MOST_INFLATED)
    except zlib.error:
        return None
    return plain if reader.eof and not reader.unused_data else None


def redact_compressed(raw: bytes, redact: Callable[[bytes], bytes]) -> bytes | None:
    """Return *raw*, if it is compressed, with what *redact* makes of what it holds; None if it is not."""
    plain, wbits = unpacked(raw)
    if plain is None:
        return None
    redacted = redact(plain)
    return raw if redacted == plain else _deflated(unnumbered(redacted), wbits)


def unpacked(raw: bytes) -> tuple[bytes | None, int]:
    """Return what *raw* holds and how it is compressed; None if it is not, or holds nothing."""
    for wbits in (_GZIP_WBITS,) if raw.startswith(GZIP) else (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        if plain := inflated(raw, wbits):
            return plain, wbits
    return None, 0


def _deflated(plain: bytes, wbits: int) -> bytes:
    if wbits == _GZIP_WBITS:
        return gzip.compress(plain, mtime=0)
    writer = zlib.compressobj(wbits=wbits)
    return writer.compress(plain) + writer.flush()


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


def rewritten_base64(text: str, redact: Callable[[str], str]) -> str:
    """Return *text*, if all of it is base64 or a data URL, with what *redact* makes of the text that it encodes."""
    found = _ENCODED.fullmatch(text) if len(text) >= _SHORTEST_ENCODED else None
    if found is None:
        return text
    encoded = found["encoded"].rstrip()
    try:
        raw = base64.b64decode(encoded + "=" * (-len("".join(encoded.split())) % 4), _altchars(encoded))
        held, wbits = _opened(raw)
        plain = held.decode()
    except (binascii.Error, UnicodeDecodeError):  # a picture, a hash, an id
        return text
    redacted = redact(plain)
    if redacted is plain or redacted == plain:
        return text
    clean = unnumbered(redacted.encode())
    return text[: found.start("encoded")] + _encoded_like(encoded, clean if wbits is None else _deflated(clean, wbits))


def _opened(raw: bytes) -> tuple[bytes, int | None]:
    """Return what *raw* holds compressed, and in which format; itself if it is not compressed."""
    for start, wbits in _COMPRESSED.items():
        plain = inflated(raw, wbits) if raw.startswith(start) else None
        if plain is not None:
            return plain, wbits
    return raw, None


def _encoded_like(old: str, raw: bytes) -> str:
    new = base64.b64encode(raw, _altchars(old)).decode("ascii")
    return new if old.endswith("=") or len(old) % 4 == 0 else new.rstrip("=")


def _altchars(encoded: str) -> bytes | None:
    return b"-_" if "-" in encoded or "_" in encoded else None
