"""Content encodings: what gzip, deflate, br and zstd did to a body, undone."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any


def decode_content(raw: bytes, encoding: str) -> bytes:
    """Undo a Content-Encoding, the last applied first.

    Raises:
        ValueError: The encoding is unknown, its library is missing, or the bytes are damaged or cut short.
    """
    for name in reversed(encoding.lower().split(",")):
        raw = _decode_one(raw, name.strip())
    return raw


def _decode_one(raw: bytes, name: str) -> bytes:
    if not raw or name in ("", "identity"):
        return raw
    if name not in _DECOMPRESSORS:
        raise ValueError(f"unknown content encoding {name!r}")
    try:
        return _DECOMPRESSORS[name](raw)
    except ImportError as error:
        raise ValueError(f"content encoding {name!r} needs an optional package: {error}") from error
    except Exception as error:  # each library has an error class of its own, loaded with it
        raise ValueError(f"the body is no complete {name!r} stream: {error}") from error


def _gunzip(raw: bytes) -> bytes:
    out = b""
    while raw:
        member = zlib.decompressobj(16 + zlib.MAX_WBITS)
        out += member.decompress(raw)
        if not member.eof:
            raise ValueError("it is cut short")
        raw = member.unused_data.lstrip(b"\0")
    return out


def _inflate(raw: bytes) -> bytes:
    try:
        return zlib.decompress(raw)
    except zlib.error:
        # Some servers send "deflate" without the zlib wrapper.
        return zlib.decompress(raw, -zlib.MAX_WBITS)


def _unbrotli(raw: bytes) -> bytes:
    library = _import_first("brotli", "brotlicffi")
    result: bytes = library.decompress(raw)
    return result


def _unzstd(raw: bytes) -> bytes:
    try:
        library = _import_first("compression.zstd", "backports.zstd")
    except ImportError:
        return _unzstd_frames(raw, _import_first("zstandard"))
    result: bytes = library.decompress(raw)
    return result


def _unzstd_frames(raw: bytes, zstandard: Any) -> bytes:  # Any: an optional module without types
    """Decode every frame: zstandard's own `decompress` wants the size in the frame's header."""
    out = b""
    while raw:
        frame = zstandard.ZstdDecompressor().decompressobj()
        out += frame.decompress(raw)
        if not frame.eof:
            raise ValueError("it is cut short")
        raw = frame.unused_data
    return out


def _import_first(*names: str) -> Any:  # Any: optional modules without types
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError(f"install {' or '.join(names)}")


_DECOMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
