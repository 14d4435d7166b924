"""Content encodings: what gzip, deflate, br and zstd did to a body, undone, and done again."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias


def decode_content(raw: bytes, encoding: str, *, partial: bool = False) -> bytes:
    """Undo a Content-Encoding, the last applied first; if *partial*, as far as a body that was cut short goes.

    Raises:
        ValueError: The encoding is unknown, its library is missing, or the bytes are damaged or cut short.
    """
    for name in reversed(encoding.lower().split(",")):
        raw = _decode_one(raw, name.strip(), partial)
    return raw


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


def _decode_one(raw: bytes, name: str, partial: bool) -> bytes:
    if not raw or name in ("", "identity"):
        return raw
    if name not in _DECOMPRESSORS:
        raise ValueError(f"unknown content encoding {name!r}")
    try:
        return _DECOMPRESSORS[name](raw, partial)
    except ImportError as error:
        raise ValueError(f"content encoding {name!r} needs an optional package: {error}") from error
    except Exception as error:  # each library has its own error class, loaded with it
        raise ValueError(f"the body is not a complete {name!r} stream: {error}") from error


def _gunzip(raw: bytes, partial: bool) -> bytes:
    return _decode_frames(raw, lambda: zlib.decompressobj(16 + zlib.MAX_WBITS), partial, padding=b"\0")


def _inflate(raw: bytes, partial: bool) -> bytes:
    try:
        return _inflate_as(zlib.MAX_WBITS, raw, partial)
    except zlib.error:
        # Some servers send "deflate" without the zlib wrapper.
        return _inflate_as(-zlib.MAX_WBITS, raw, partial)


def _inflate_as(window_bits: int, raw: bytes, partial: bool) -> bytes:
    return zlib.decompressobj(window_bits).decompress(raw) if partial else zlib.decompress(raw, window_bits)


def _unbrotli(raw: bytes, partial: bool) -> bytes:
    library = _import_first("brotli", "brotlicffi")
    result: bytes = library.Decompressor().process(raw) if partial else library.decompress(raw)
    return result


def _unzstd(raw: bytes, partial: bool) -> bytes:
    try:
        make = _import_first("compression.zstd", "backports.zstd").ZstdDecompressor
    except ImportError:
        zstandard = _import_first("zstandard")
        return _decode_frames(raw, lambda: zstandard.ZstdDecompressor().decompressobj(), partial)
    return _decode_frames(raw, make, partial)


def _decode_frames(
    raw: bytes,
    make: Callable[[], Any],  # decoders of several libraries, alike in `decompress`, `eof` and `unused_data`
    partial: bool,
    padding: bytes = b"",
) -> bytes:
    """Decode one frame after the other."""
    out = b""
    while raw:
        frame = make()
        out += frame.decompress(raw)
        if not frame.eof:
            if partial:
                break
            raise ValueError("it is cut short")
        raw = frame.unused_data.lstrip(padding) if padding else frame.unused_data
    return out


def _import_first(*names: str) -> Any:  # Any: optional modules without types
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise ImportError(f"install {' or '.join(names)}")


_Compressor: TypeAlias = tuple[Callable[[bytes], bytes], Callable[[], bytes], Callable[[], bytes]]  # add, flush, end


def _zlib_compressor(window_bits: int) -> _Compressor:
    made = zlib.compressobj(wbits=window_bits)
    return made.compress, lambda: made.flush(zlib.Z_SYNC_FLUSH), made.flush


def _brotli_compressor() -> _Compressor:
    made = _import_first("brotli", "brotlicffi").Compressor()
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
_DECOMPRESSORS: dict[str, Callable[[bytes, bool], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
