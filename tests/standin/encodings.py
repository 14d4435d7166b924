"""Content encodings, chunk by chunk: what is handed in can be read by the client before the next chunk."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import TypeAlias

Encode: TypeAlias = Callable[[bytes, bool], bytes]  # (chunk, is it the last one) -> what goes onto the wire

_GZIP, _ZLIB = 31, 15  # window bits, in zlib's words
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_FRAME_HEADER = b"\x00\x38"  # no checksum, no size, a window of 128 KiB
_ZSTD_BLOCK = 1 << 17


def encoder(encoding: str) -> Encode:
    """Return a fresh encoder for one response."""
    return _ENCODERS[encoding]()


def _identity() -> Encode:
    return lambda chunk, _last: chunk


def _deflate(window_bits: int) -> Encode:
    compressor = zlib.compressobj(wbits=window_bits)

    def encode(chunk: bytes, last: bool) -> bytes:
        return compressor.compress(chunk) + compressor.flush(zlib.Z_FINISH if last else zlib.Z_SYNC_FLUSH)

    return encode


def _brotli() -> Encode:
    import brotli  # type: ignore[import-untyped]  # optional, and it ships no types

    compressor = brotli.Compressor()

    def encode(chunk: bytes, last: bool) -> bytes:
        return bytes(compressor.process(chunk) + (compressor.finish() if last else compressor.flush()))

    return encode


def _zstd() -> Encode:
    """Write a valid frame of stored blocks: no zstd library is common to all supported Pythons."""
    head = [_ZSTD_MAGIC + _ZSTD_FRAME_HEADER]

    def encode(chunk: bytes, last: bool) -> bytes:
        blocks = [chunk[start : start + _ZSTD_BLOCK] for start in range(0, len(chunk), _ZSTD_BLOCK)]
        stored = b"".join(_zstd_block(block, last=False) for block in blocks)
        return (head.pop() if head else b"") + stored + (_zstd_block(b"", last=True) if last else b"")

    return encode


def _zstd_block(content: bytes, *, last: bool) -> bytes:
    return (len(content) << 3 | last).to_bytes(3, "little") + content


_ENCODERS: dict[str, Callable[[], Encode]] = {
    "identity": _identity,
    "gzip": lambda: _deflate(_GZIP),
    "deflate": lambda: _deflate(_ZLIB),
    "br": _brotli,
    "zstd": _zstd,
}
