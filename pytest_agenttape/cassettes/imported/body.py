"""Bodies and headers in any of the spellings that tools use."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import Headers
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

_BEGINNINGS = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


@dataclass(frozen=True, slots=True)
class Body:
    """A body as a tool has it: bytes, or the value that it decoded from JSON."""

    raw: bytes = b""
    value: JSON = None
    is_parsed: bool = False

    @classmethod
    def of(cls, found: JSON) -> Body:
        """Read a body in any of the spellings that tools use.

        Raises:
            CassetteCorruptError: It is damaged.
        """
        if found is None:
            return cls()
        if isinstance(found, bytes):
            return cls(found)
        if isinstance(found, str):
            return cls(found.encode("utf-8", "surrogatepass"))
        if isinstance(found, dict) and "base64_string" in found:
            return cls(unbase64(found["base64_string"]))
        if isinstance(found, dict) and found.keys() <= {"string", "encoding"}:
            return cls.of(found.get("string"))
        return cls(value=found, is_parsed=True)

    def stored(self, content_type: str | None) -> dict[str, JSON]:
        """Return the body in the form of our cassettes."""
        return {"json": self.value} if self.is_parsed else bodies.encode_body(self.raw, content_type)

    def without_encoding(self, encoding: str) -> Body | None:
        """Return the body with its content encoding undone; None if it has none: the tool that recorded it undid it.

        Raises:
            ValueError: It cannot be undone.
        """
        if self.is_parsed:
            return None
        try:
            return Body(bodies.decode_content(self.raw, encoding))
        except ValueError:
            if _is_text(self.raw) or not _may_be(encoding, self.raw):
                return None
            raise


def header_list(headers: JSON) -> Headers:
    """Return headers in any of the spellings that tools use: mappings to a value or values, or pairs."""
    if isinstance(headers, dict):
        pairs: list[tuple[JSON, JSON]] = list(headers.items())
    else:
        pairs = (
            [(each[0], each[1]) for each in headers or () if isinstance(each, list) and len(each) == 2]
            if isinstance(headers, list | None)
            else []
        )
    return tuple(
        (header_text(name), header_text(each))
        for name, value in pairs
        for each in (value if isinstance(value, list) else [value])
    )


def header_text(value: JSON) -> str:
    """Return the name or value of a header as text."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def unbase64(text: JSON) -> bytes:
    """Decode base64 text, which may be broken into lines.

    Raises:
        CassetteCorruptError: It is not text, or not base64.
    """
    if not isinstance(text, str | bytes):
        raise CassetteCorruptError(f"its body must be base64 text, found {type(text).__name__}")
    try:
        return base64.b64decode("".join(header_text(text).split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise CassetteCorruptError(f"its body is not valid base64: {error}") from error


def _may_be(encoding: str, raw: bytes) -> bool:
    """Return whether *raw* begins as content in *encoding* does, where that tells."""
    return raw.startswith(_BEGINNINGS.get(encoding.strip().lower(), b""))


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True  # no compressed stream is valid UTF-8 beyond a few bytes
