"""The plain forms of a body: url-encoded form, text, base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from pytest_agenttape.bodies.stored import declared_charset, has_control, require
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON


def encode_binary(raw: bytes) -> dict[str, JSON]:
    """Return the stored form of bytes that are not text."""
    return {"body_b64": base64.b64encode(raw).decode("ascii")}


def encode_declared_text(raw: bytes, content_type: str | None) -> dict[str, JSON] | None:
    """Return the stored form of a text in the encoding that *content_type* declares; None if it is none."""
    charset = declared_charset(content_type)
    if not charset:
        return None
    try:
        text = raw.decode(charset)
        is_exact = text.encode(charset) == raw
    except (LookupError, ValueError):  # an unknown encoding, or one that is not of texts
        return None
    return {"text": text, "charset": charset} if is_exact and not has_control(text) else None


def decode_text(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of a stored text."""
    text, charset = require(stored, "text", str, "text"), require(stored, "charset", str, "text") or "utf-8"
    try:
        return [text.encode(charset)]
    except LookupError as error:
        raise CassetteCorruptError(f"'charset': {error}") from error


def decode_binary(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of a stored base64 text."""
    text = require(stored, "body_b64", str, "base64 text")
    try:
        return [base64.b64decode("".join(text.split()), validate=True)]
    except (binascii.Error, ValueError) as error:
        raise CassetteCorruptError(f"'body_b64' is not valid base64: {error}") from error


def encode_form(text: str) -> dict[str, JSON] | None:
    """Return the stored form of a url-encoded form; None if it is spelled or ordered unusually."""
    form: dict[str, JSON] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        form[name] = _append(form[name], value) if name in form else value
    return {"form": form} if form and _write_form(form) == text else None


def _append(present: JSON, value: str) -> list[str]:
    return [*present, value] if isinstance(present, list) else [present, value]


def decode_form(stored: Mapping[str, JSON]) -> list[bytes]:
    """Return the bytes of a stored form."""
    form = require(stored, "form", dict, "a mapping")
    for name, value in form.items():
        values = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or not all(isinstance(each, str) for each in values):
            raise CassetteCorruptError(f"'form': {name!r} must be text or a list of texts (quote it), found {value!r}")
    return [_write_form(form).encode("ascii")]


def _write_form(form: Mapping[str, JSON]) -> str:
    return urlencode(form, doseq=True)
