"""Put a response on the wire: delays, encodings, chunks, early closes."""

from __future__ import annotations

import asyncio
import email.utils
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict

from tests.standin.dialect import STARTED_AT
from tests.standin.encodings import encoder
from tests.standin.script import Delivery, Headers

_DATE = email.utils.formatdate(STARTED_AT, usegmt=True)
_BODYLESS = (204, 304)


@dataclass(frozen=True, slots=True)
class Payload:
    """A response before it travels; one that is streamed keeps its chunks apart."""

    chunks: Sequence[bytes]
    content_type: str | None = None
    status: int = 200
    headers: Headers = ()
    streamed: bool = False


async def deliver(request: web.Request, payload: Payload, delivery: Delivery) -> web.StreamResponse:
    """Send *payload* the way *delivery* says."""
    if delivery.delay:
        await asyncio.sleep(delivery.delay)
    if delivery.close_after == 0:
        return _drop(request, web.Response())
    encoding = _encoding(request, payload, delivery)
    headers = _headers(payload, delivery, encoding)
    if payload.status in _BODYLESS:
        return web.Response(status=payload.status, headers=headers)
    if not payload.streamed and delivery.close_after is None:
        body = encoder(encoding)(b"".join(payload.chunks), True)
        return web.Response(body=body, status=payload.status, headers=headers)
    return await _stream(
        request, payload, delivery, web.StreamResponse(status=payload.status, headers=headers), encoding
    )


async def _stream(
    request: web.Request, payload: Payload, delivery: Delivery, response: web.StreamResponse, encoding: str
) -> web.StreamResponse:
    chunks = list(_wire_chunks(payload, delivery, encoding))
    if not payload.streamed:
        response.content_length = sum(map(len, chunks))
    await response.prepare(request)
    for number, chunk in enumerate(chunks):
        if number == delivery.close_after:
            return _drop(request, response)
        if number and delivery.chunk_delay:
            await asyncio.sleep(delivery.chunk_delay)
        await response.write(chunk)
    await response.write_eof()
    return response


def _wire_chunks(payload: Payload, delivery: Delivery, encoding: str) -> Iterator[bytes]:
    encode = encoder(encoding)
    if not payload.streamed:
        body = encode(b"".join(payload.chunks), True)
        yield from (body[: len(body) // 2], body[len(body) // 2 :])
        return
    last = len(payload.chunks) - 1
    encoded = [encode(chunk, number == last) for number, chunk in enumerate(payload.chunks)]
    yield from encoded if delivery.chunk_bytes is None else _cut(encoded, delivery.chunk_bytes)


def _cut(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    whole = b"".join(chunks)
    return (whole[start : start + size] for start in range(0, len(whole), size))


def _drop(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection after what was sent, without the end of the response."""
    if request.transport is not None:
        request.transport.close()
    return response


def _encoding(request: web.Request, payload: Payload, delivery: Delivery) -> str:
    if delivery.encoding != "auto":
        return delivery.encoding
    accepted = "gzip" in request.headers.get("accept-encoding", "")
    return "gzip" if accepted and not payload.streamed and payload.content_type == "application/json" else "identity"


def _headers(payload: Payload, delivery: Delivery, encoding: str) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict({"Date": _DATE})
    if payload.content_type is not None:
        headers["Content-Type"] = payload.content_type
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    headers.extend([*payload.headers, *delivery.extra_headers])
    headers.setdefault("server", "standin")
    return headers
