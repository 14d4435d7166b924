"""What the codecs share: reading one key of a stored request or response, a media type, and what text is readable."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")

_CHARSET = re.compile(r""";\s*charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)


def has_control(text: str) -> bool:
    """Return whether *text* has characters that no reader wants to see in a text."""
    return _CONTROL.search(text) is not None


@lru_cache(maxsize=256)  # asked for every body
def media_type(content_type: str | None) -> str:
    """Return the bare lower-case media type of a Content-Type header; empty if there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def declared_charset(content_type: str | None) -> str:
    """Return the lower-case ``charset`` of a Content-Type header; empty if it declares none."""
    found = _CHARSET.search(content_type or "")
    return found[1].lower() if found else ""


def require(stored: Mapping[str, JSON], key: str, kind: type, what: str) -> Any:  # Any: narrowed by *kind*
    """Return the value under *key*, which is of *kind*; an absent text is empty."""
    value = stored.get(key, "" if kind is str else None)
    if not isinstance(value, kind):
        raise CassetteCorruptError(f"{key!r} must be {what}, found {type(value).__name__}")
    return value


def from_base64(value: JSON, where: str) -> bytes:
    """Return the bytes that *value* stands for; *where* names its place."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise CassetteCorruptError(f"{where!r} is not valid base64: {error}") from error
