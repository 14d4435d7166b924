"""Content encodings: what gzip, deflate, br and zstd did to a body, undone, and done again."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias


def decode_content(raw: bytes, encoding: str) -> bytes:
    """Undo a Content-Encoding, the last applied first.

    Raises:
        ValueError: The encoding is unknown, its library is missing, or the bytes are damaged or cut short.
    """
    return b"".join(_decoded([raw], encoding, is_whole=True))


def decode_each(chunks: Sequence[bytes], encoding: str) -> Sequence[bytes]:
    """Undo a Content-Encoding chunk by chunk, as far as a body that may be cut short goes.

    Raises:
        ValueError: The encoding is unknown, its library is missing, or the bytes are damaged.
    """
    return _decoded(chunks, encoding, is_whole=False)


def can_encode(encoding: str) -> bool:
    """Return whether `encode_content` knows the encoding and has what it needs for it."""
    try:
        _COMPRESSORS[encoding.strip().lower()]()
    except (KeyError, ImportError):
        return False
    return True


def encode_content(chunks: Iterable[bytes], encoding: str, *, partial: bool = False) -> tuple[bytes, ...]:
    """Apply a Content-Encoding, so that each chunk can be decoded when it comes; if *partial*, without an end.

    Raises:
        ValueError: The encoding is unknown, or its library is missing.
    """
    try:
        compress, flush, end = _COMPRESSORS[encoding.strip().lower()]()
    except (KeyError, ImportError) as error:
        raise ValueError(f"content encoding {encoding!r} cannot be applied: {error}") from error
    encoded = [compress(chunk) + flush() for chunk in chunks]
    if encoded and not partial:
        encoded[-1] += end()
    return tuple(encoded)


def _decoded(chunks: Sequence[bytes], encoding: str, *, is_whole: bool) -> Sequence[bytes]:
    for name in reversed(encoding.lower().split(",")):
        if name.strip() not in ("", "identity"):
            chunks = _decode_each(chunks, name.strip(), is_whole)
    return chunks


def _decode_each(chunks: Sequence[bytes], name: str, is_whole: bool) -> Sequence[bytes]:
    if name not in _DECOMPRESSORS:
        raise ValueError(f"unknown content encoding {name!r}")
    try:
        decompressor = _DECOMPRESSORS[name]()
        decoded = [decompressor.add(chunk) for chunk in chunks]
        if is_whole and any(chunks) and not decompressor.is_whole:
            raise ValueError("it is cut short")
    except ImportError as error:
        raise ValueError(f"content encoding {name!r} needs an optional package: {error}") from error
    except Exception as error:  # each library has its own error class, loaded with it
        raise ValueError(f"the body is not a complete {name!r} stream: {error}") from error
    return decoded


class _Frames:
    """Decodes one frame after the other, with decoders alike in `decompress`, `eof` and `unused_data`."""

    def __init__(self, make: Callable[[], Any], padding: bytes = b"") -> None:  # Any: of several libraries
        self._make = make
        self._padding = padding
        self._frame: Any = None

    def add(self, raw: bytes) -> bytes:
        out = b""
        while raw := raw if self._frame else raw.lstrip(self._padding):
            self._frame = self._frame or self._make()
            out += self._frame.decompress(raw)
            raw = b""
            if self._frame.eof:
                raw, self._frame = self._frame.unused_data, None
        return out

    @property
    def is_whole(self) -> bool:
        return self._frame is None


class _Deflated:
    """Decodes zlib's format, or the bare one that some servers send in its place."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS)
        self._head: bytes | None = b""  # of the body, until it is known in which format it is

    def add(self, raw: bytes) -> bytes:
        if self._head is None:
            return self._decoder.decompress(raw)
        self._head += raw
        try:
            out = self._decoder.decompress(raw)
        except zlib.error:
            self._decoder = zlib.decompressobj(-zlib.MAX_WBITS)
            out = self._decoder.decompress(self._head)
        if len(self._head) > 1:
            self._head = None
        return out

    @property
    def is_whole(self) -> bool:
        return self._decoder.eof


class _Brotli:
    def __init__(self) -> None:
        self._decoder = _import_first("brotli", "brotlicffi").Decompressor()

    def add(self, raw: bytes) -> bytes:
        out: bytes = self._decoder.process(raw)
        return out

    @property
    def is_whole(self) -> bool:
        return bool(self._decoder.is_finished())


def _zstd() -> _Frames:
    try:
        return _Frames(_import_first("compression.zstd", "backports.zstd").ZstdDecompressor)
    except ImportError:
        zstandard = _import_first("zstandard")
        return _Frames(lambda: zstandard.ZstdDecompressor().decompressobj())


def _import_first(*names: str) -> Any:  # Any: optional modules without types
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError(f"install {' or '.join(names)}")


_Compressor: TypeAlias = tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]  # add, flush, end


def _zlib_compressor(window_bits: int) -> _Compressor:
    made = zlib.compressobj(zlib.Z_BEST_SPEED, wbits=window_bits)
    return made.compress, lambda: made.flush(zlib.Z_SYNC_FLUSH), made.flush


def _brotli_compressor() -> _Compressor:
    made = _import_first("brotli", "brotlicffi").Compressor(quality=1)  # its default takes 50 ms for 100 kB
    return made.process, made.flush, made.finish


def _zstd_compressor() -> _Compressor:
    try:
        library = _import_first("compression.zstd", "backports.zstd")
    except ImportError:
        zstandard = _import_first("zstandard")
        made = zstandard.ZstdCompressor().compressobj()
        return made.compress, lambda: made.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK), made.flush
    new = library.ZstdCompressor()
    return new.compress, lambda: new.flush(new.FLUSH_BLOCK), new.flush


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    "gzip": lambda: _zlib_compressor(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: _zlib_compressor(16 + zlib.MAX_WBITS),
    "deflate": lambda: _zlib_compressor(zlib.MAX_WBITS),
    "br": _brotli_compressor,
    "zstd": _zstd_compressor,
}
_DECOMPRESSORS: dict[str, Callable[[], _Frames | _Deflated | _Brotli]] = {
    "gzip": lambda: _Frames(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), padding=b"\0"),
    "x-gzip": lambda: _Frames(lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), padding=b"\0"),
    "deflate": _Deflated,
    "br": _Brotli,
    "zstd": _zstd,
}
