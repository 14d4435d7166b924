"""Plain HTTP through every client library, sync and async, with one face."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import anyio
import httpx
import httpx2
import requests
from httpx_aiohttp import AiohttpTransport


@dataclass(frozen=True)
class Seen:
    """What an agent sees of an answer."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    cookies: tuple[tuple[str, str], ...]
    history: tuple[int, ...]
    url: str
    length: tuple[tuple[str, str], ...] = field(compare=False)  # of bytes that are encoded again in replay

    def header(self, name: str) -> list[str]:
        return [value for key, value in (*self.headers, *self.length) if key == name]


# About one connection, which a replay does not have.
_CONNECTION = ("connection", "keep-alive")


class Httpx:
    """httpx or httpx2, sync."""

    errors = ("ConnectError", "ReadError", "RemoteProtocolError", "ReadTimeout")

    def __init__(self, library: Any) -> None:
        self.library = library

    def request(self, method: str, url: str, **options: Any) -> Seen:
        with self.library.Client(follow_redirects=True) as client:
            return _seen(client.request(method, url, **options))

    def chunks(self, url: str, take: int | None = None, seen: Callable[[bytes], None] = lambda _: None) -> list[bytes]:
        with self.library.Client() as client, client.stream("GET", url) as response:
            return _take(response.iter_bytes(), take, seen)


class AsyncHttpx:
    """httpx or httpx2, async, on asyncio or trio."""

    def __init__(self, library: Any, backend: str) -> None:
        self.library, self.backend = library, backend

    def _client(self, **options: Any) -> Any:
        return self.library.AsyncClient(**options)

    def request(self, method: str, url: str, **options: Any) -> Seen:
        async def run() -> Seen:
            async with self._client(follow_redirects=True) as client:
                return _seen(await client.request(method, url, **options))

        return anyio.run(run, backend=self.backend)

    def chunks(self, url: str, take: int | None = None, seen: Callable[[bytes], None] = lambda _: None) -> list[bytes]:
        async def run() -> list[bytes]:
            async with self._client() as client, client.stream("GET", url) as response:
                return await _take_async(response.aiter_bytes(), take, seen)

        return anyio.run(run, backend=self.backend)


class Requests:
    """requests."""

    library = requests

    def request(self, method: str, url: str, **options: Any) -> Seen:
        if "content" in options:
            options["data"] = options.pop("content")
        with requests.Session() as session:
            response = session.request(method, url, **options)
            raw = response.raw.headers
            headers = _sorted((name, value) for name in raw for value in raw.getlist(name))
            return Seen(
                response.status_code,
                response.reason,
                _without_length(headers),
                response.content,
                _sorted(session.cookies.items()),
                tuple(each.status_code for each in response.history),
                str(response.url),
                _length(headers),
            )

    def chunks(self, url: str, take: int | None = None, seen: Callable[[bytes], None] = lambda _: None) -> list[bytes]:
        with requests.get(url, stream=True) as response:
            return _take(response.iter_content(chunk_size=None), take, seen)


class Aiohttp:
    """aiohttp, each call with a session of its own."""

    library = aiohttp

    def request(self, method: str, url: str, **options: Any) -> Seen:
        return asyncio.run(self._request(method, url, options))

    async def _request(self, method: str, url: str, options: dict[str, Any]) -> Seen:
        async with aiohttp.ClientSession(trust_env=True, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            async with session.request(method, url, **self._options(options)) as response:
                body = await response.read()
            headers = _sorted((n.decode("latin-1"), v.decode("latin-1")) for n, v in response.raw_headers)
            return Seen(
                response.status,
                response.reason or "",
                _without_length(headers),
                body,
                _sorted((cookie.key, cookie.value) for cookie in session.cookie_jar),
                tuple(each.status for each in response.history),
                str(response.url),
                _length(headers),
            )

    def _options(self, given: dict[str, Any]) -> dict[str, Any]:
        options = dict(given)
        if "content" in options:
            options["data"] = options.pop("content")
        if "files" in options:
            form = aiohttp.FormData(options.pop("data", {}))
            for name, (filename, content, kind) in options.pop("files").items():
                form.add_field(name, content, filename=filename, content_type=kind)
            options["data"] = form
        if "timeout" in options and not isinstance(options["timeout"], aiohttp.ClientTimeout):
            options["timeout"] = aiohttp.ClientTimeout(sock_read=options["timeout"])
        if "auth" in options:
            options["middlewares"] = (options.pop("auth"),)
        return options

    def chunks(self, url: str, take: int | None = None, seen: Callable[[bytes], None] = lambda _: None) -> list[bytes]:
        async def run() -> list[bytes]:
            async with aiohttp.ClientSession() as session, session.get(url) as response:
                return await _take_async(response.content.iter_any(), take, seen)

        return asyncio.run(run())


class HttpxOverAiohttp(AsyncHttpx):
    """httpx, async, on aiohttp in the place of httpcore."""

    def __init__(self) -> None:
        super().__init__(httpx, "asyncio")

    def _client(self, **options: Any) -> Any:
        session = functools.partial(aiohttp.ClientSession, cookie_jar=aiohttp.DummyCookieJar(), trust_env=True)
        return httpx.AsyncClient(transport=AiohttpTransport(client=session), **options)


CLIENTS = {
    "httpx": Httpx(httpx),
    "httpx-asyncio": AsyncHttpx(httpx, "asyncio"),
    "httpx-trio": AsyncHttpx(httpx, "trio"),
    "httpx2": Httpx(httpx2),
    "httpx2-asyncio": AsyncHttpx(httpx2, "asyncio"),
    "httpx2-trio": AsyncHttpx(httpx2, "trio"),
    "requests": Requests(),
    "aiohttp": Aiohttp(),
    "httpx-aiohttp": HttpxOverAiohttp(),
}


def _seen(response: Any) -> Seen:
    headers = _sorted(response.headers.multi_items())
    return Seen(
        response.status_code,
        response.reason_phrase,
        _without_length(headers),
        response.content,
        _sorted(response.cookies.items()),
        tuple(each.status_code for each in response.history),
        str(response.url),
        _length(headers),
    )


def _sorted(pairs: Any) -> tuple[tuple[str, str], ...]:
    lowered = ((name.lower(), value) for name, value in pairs)
    return tuple(sorted(pair for pair in lowered if pair[0] not in _CONNECTION))


def _length(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if pair[0] == "content-length")


def _without_length(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(pair for pair in headers if pair[0] != "content-length")


def _take(chunks: Iterator[bytes], count: int | None, seen: Callable[[bytes], None]) -> list[bytes]:
    taken: list[bytes] = []
    for chunk in chunks:
        taken.append(chunk)
        seen(chunk)
        if len(taken) == count:
            break
    return taken


async def _take_async(chunks: AsyncIterator[bytes], count: int | None, seen: Callable[[bytes], None]) -> list[bytes]:
    taken: list[bytes] = []
    async for chunk in chunks:
        taken.append(chunk)
        seen(chunk)
        if len(taken) == count:
            break
    return taken
