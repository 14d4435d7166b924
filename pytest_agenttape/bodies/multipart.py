"""Multipart bodies without their random boundary."""

from __future__ import annotations

import re

from pytest_agenttape.bodies.stored import media_type

_FIXED = "boundary"
_BOUNDARY = re.compile(r'(;\s*boundary\s*=\s*)(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)

_FIRST_LINE = re.compile(rb"--([^\s][^\r\n]{0,68}[^\s]|[^\s])[ \t]*\r?\n")


def normalise_multipart(raw: bytes, content_type: str) -> tuple[bytes, str]:
    """Replace the random boundary of a multipart body, in its delimiter lines and in its header, for matching."""
    if not media_type(content_type).startswith("multipart/"):
        return raw, content_type
    found = _BOUNDARY.search(content_type)
    if found is None:  # then the body alone tells it
        first = _FIRST_LINE.match(raw)
        is_told = first is not None and raw.rstrip().endswith(b"\n--" + first[1] + b"--")
        return (_with_fixed(raw, first[1]) if first is not None and is_told else raw), content_type
    header = content_type[: found.start()] + found[1] + _FIXED + content_type[found.end() :]
    return _with_fixed(raw, (found[2] or found[3]).encode("latin-1", "replace")), header


def _with_fixed(raw: bytes, boundary: bytes) -> bytes:
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?(?=[ \t]*\r?$)", re.MULTILINE)
    return delimiter.sub(rb"--" + _FIXED.encode() + rb"\1", raw)
