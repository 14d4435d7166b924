"""Multipart bodies without their random boundary."""

from __future__ import annotations

import re

from pytest_agenttape.bodies.stored import media_type

_FIXED = "boundary"
_BOUNDARY = re.compile(r'(;\s*boundary\s*=\s*)(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)


def normalise_multipart(raw: bytes, content_type: str) -> tuple[bytes, str]:
    """Replace the random boundary of a multipart body, in its delimiter lines and in its header, for matching."""
    found = _BOUNDARY.search(content_type)
    if found is None or not media_type(content_type).startswith("multipart/"):
        return raw, content_type
    boundary = (found[2] or found[3]).encode("latin-1", "replace")
    delimiter = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?(?=[ \t]*\r?$)", re.MULTILINE)
    body = delimiter.sub(rb"--" + _FIXED.encode() + rb"\1", raw)
    header = content_type[: found.start()] + found[1] + _FIXED + content_type[found.end() :]
    return body, header
