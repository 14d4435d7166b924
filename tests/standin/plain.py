"""The part of the stand-in that is no provider: a weather service, an echo, and one route for each trait of HTTP."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable

from aiohttp import BodyPartReader, MultipartReader, StreamReader, web
from aiohttp.base_protocol import BaseProtocol

from tests.standin.delivery import Payload, deliver
from tests.standin.dialect import compact
from tests.standin.script import JSON, Delivery

_WEATHER = {
    "Berlin": (9, "overcast skies"),
    "Lisbon": (21, "clear skies"),
    "London": (14, "light rain"),
    "Oslo": (-3, "snow"),
    "Paris": (17, "sunny spells"),
}


def add_routes(router: web.UrlDispatcher) -> None:
    """Serve the plain routes."""
    for path, handler in _ROUTES.items():
        router.add_route("*", path, handler)


async def _weather(request: web.Request) -> web.StreamResponse:
    city = request.query.get("city", "")
    if city not in _WEATHER:
        return await _answer(request, {"error": f"unknown city: {city}"}, status=404)
    temperature, conditions = _WEATHER[city]
    return await _answer(request, {"city": city, "temperature_c": temperature, "conditions": conditions})


async def _echo(request: web.Request) -> web.StreamResponse:
    seen: dict[str, JSON] = {
        "method": request.method,
        "path": request.path,
        "query": [list(pair) for pair in request.query.items()],
        "headers": [[name.lower(), value] for name, value in request.headers.items()],
    }
    return await _answer(request, seen | await _body(request))


async def _body(request: web.Request) -> dict[str, JSON]:
    content = await request.read()
    if request.content_type == "application/json":
        return {"json": await request.json()}
    if request.content_type == "application/x-www-form-urlencoded":
        return {"form": [list(pair) for pair in (await request.post()).items()]}
    if request.content_type == "multipart/form-data":
        return {"parts": await _parts(request)}
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


async def _parts(request: web.Request) -> list[JSON]:
    parts: list[JSON] = []
    async for part in MultipartReader(request.headers, _reread(await request.read())):
        if not isinstance(part, BodyPartReader):
            raise web.HTTPBadRequest(text="nested multipart is not served here")
        content = bytes(await part.read())
        parts.append(
            {
                "name": part.name,
                "filename": part.filename,
                "content_type": part.headers.get("content-type"),
                "size": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    return parts


def _reread(content: bytes) -> StreamReader:
    """Return a body that was read already as a stream, which is all that aiohttp parses multipart from."""
    loop = asyncio.get_running_loop()
    stream = StreamReader(BaseProtocol(loop), limit=2**16, loop=loop)
    stream.feed_data(content)
    stream.feed_eof()
    return stream


async def _redirect(request: web.Request) -> web.StreamResponse:
    location = request.query.get("to", "/echo")
    status = int(request.query.get("status", "302"))
    return await deliver(request, Payload((b"",), "text/html", status, (("location", location),)), Delivery())


async def _status(request: web.Request) -> web.StreamResponse:
    status = int(request.match_info["status"])
    return await deliver(request, Payload((b"%d" % status,), "text/plain", status), Delivery())


async def _cookies(request: web.Request) -> web.StreamResponse:
    cookies = (("set-cookie", "first=1; Path=/"), ("set-cookie", "second=2; Path=/; HttpOnly"))
    return await deliver(request, Payload((b'{"cookies":2}',), "application/json", headers=cookies), Delivery())


async def _binary(request: web.Request) -> web.StreamResponse:
    size = int(request.query.get("size", "256"))
    content = bytes(range(256)) * (size // 256 + 1)
    return await deliver(request, Payload((content[:size],), "application/octet-stream"), Delivery())


async def _encoded(request: web.Request) -> web.StreamResponse:
    encoding: JSON = request.match_info["encoding"]
    content = compact({"encoding": encoding, "text": "the same words, " * 20})
    return await deliver(request, Payload((content,), "application/json"), Delivery(encoding=encoding))


async def _lines(request: web.Request) -> web.StreamResponse:
    count = int(request.query.get("count", "3"))
    chunks = [b"line %d\n" % number for number in range(count)]
    delivery = Delivery(chunk_delay=float(request.query.get("delay", "0")))
    return await deliver(request, Payload(chunks, "text/plain; charset=utf-8", streamed=True), delivery)


async def _events(request: web.Request) -> web.StreamResponse:
    count = int(request.query.get("count", "3"))
    chunks = [b'id: %d\nevent: tick\ndata: {"n":%d}\n\n' % (number, number) for number in range(count)]
    delivery = Delivery(chunk_delay=float(request.query.get("delay", "0")))
    return await deliver(request, Payload(chunks, "text/event-stream", streamed=True), delivery)


async def _slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(float(request.query.get("seconds", "1")))
    return await _answer(request, {"slow": True})


async def _truncated(request: web.Request) -> web.StreamResponse:
    chunks = [b"line %d\n" % number for number in range(4)]
    payload = Payload(chunks, "text/plain; charset=utf-8", streamed=request.query.get("chunked") == "1")
    return await deliver(request, payload, Delivery(close_after=1))


async def _hang_up(request: web.Request) -> web.StreamResponse:
    return await deliver(request, Payload((b"",)), Delivery(close_after=0))


async def _not_found(request: web.Request) -> web.StreamResponse:
    return await _answer(request, {"error": f"nothing at {request.path}"}, status=404)


async def _answer(request: web.Request, value: JSON, status: int = 200) -> web.StreamResponse:
    return await deliver(request, Payload((compact(value),), "application/json", status), Delivery())


_ROUTES: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "/weather": _weather,
    "/echo{rest:.*}": _echo,
    "/redirect": _redirect,
    "/status/{status}": _status,
    "/cookies": _cookies,
    "/binary": _binary,
    "/encoded/{encoding}": _encoded,
    "/lines": _lines,
    "/events": _events,
    "/slow": _slow,
    "/truncated": _truncated,
    "/hang-up": _hang_up,
    "/{anything:.*}": _not_found,
}
