"""A body comes back in the chunks in which it came, for whoever looks at each of them."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from pytest_agenttape import StreamingReplayError, bodies
from pytest_agenttape.bodies.messages import header
from pytest_agenttape.transports.live_response import LiveResponse
from pytest_agenttape.transports.stored_response import read_response
from tests.standin import raw
from tests.transports.conftest import Recorder

_Chunks = list[Any]

BODIES: dict[str, tuple[str, list[bytes]]] = {
    "text": ("text/plain; charset=utf-8", [b"It is ", b"14 \xc2", b"\xb0C ", b"in", b" London.\n"]),
    "json": ("application/json", [b'[{"city": "Lon', b'don"},', b' {"city":', b' "Oslo"}]']),
    "lines": ("application/x-ndjson", [b'{"n":0}\n{"n":1}\n', b'{"n"', b":2}\n", b'{"n":3}\n']),
    "speech": ("audio/mpeg", [b"ID3\x04\0", b"\xff\xfb\x90", b"\0" * 40, b"\xff"]),
}


def _httpx(library: Any, read: str) -> Callable[[str], _Chunks]:
    def chunks(url: str) -> _Chunks:
        with library.Client() as client, client.stream("GET", url) as response:
            return list(getattr(response, read)())

    return chunks


def _async_httpx(library: Any, read: str) -> Callable[[str], _Chunks]:
    async def chunks(url: str) -> _Chunks:
        async with library.AsyncClient() as client, client.stream("GET", url) as response:
            return [chunk async for chunk in getattr(response, read)()]

    return lambda url: asyncio.run(chunks(url))


def _requests(url: str) -> _Chunks:
    with requests.get(url, stream=True) as response:
        return list(response.iter_content(None))


def _urllib3(url: str) -> _Chunks:
    with urllib3.PoolManager() as pool:
        return list(pool.request("GET", url, preload_content=False).stream(None))


def _urllib3_read1(url: str) -> _Chunks:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, preload_content=False)
        return list(iter(response.read1, b""))


def _aiohttp(read: Callable[[aiohttp.StreamReader], Any]) -> Callable[[str], _Chunks]:
    async def chunks(url: str) -> _Chunks:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return [
                chunk async for chunk in read(response.content) if chunk != (b"", True)
            ]  # the end, if it comes late

    return lambda url: asyncio.run(chunks(url))


def _http_client(url: str) -> _Chunks:
    connection = http.client.HTTPConnection(url.split("/")[2])
    connection.request("GET", f"/{url.split('/', 3)[3]}")
    response = connection.getresponse()
    try:
        return list(iter(lambda: response.read1(100), b""))
    finally:
        connection.close()


READERS: dict[str, Callable[[str], _Chunks]] = {
    "httpx-raw": _httpx(httpx, "iter_raw"),
    "httpx-text": _httpx(httpx, "iter_text"),
    "httpx2": _httpx(httpx2, "iter_bytes"),
    "httpx-async": _async_httpx(httpx, "aiter_raw"),
    "httpx2-async": _async_httpx(httpx2, "aiter_bytes"),
    "requests": _requests,
    "urllib3": _urllib3,
    "urllib3-read1": _urllib3_read1,
    "aiohttp-any": _aiohttp(lambda content: content.iter_any()),
    "aiohttp-chunks": _aiohttp(lambda content: content.iter_chunks()),
    "http.client": _http_client,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
def test_the_chunks_of_a_body_come_back(recorder: Recorder, read: Callable[[str], _Chunks], encoding: Any) -> None:
    for name, (kind, chunks) in BODIES.items():
        recorder.provider.reply(raw(chunks, {"content-type": kind}, encoding=encoding), to=f"/{name}")
    live = recorder.both(lambda: [_undone(read(f"{recorder.provider.url}/{name}")) for name in BODIES])
    assert all(len(chunks) > 1 for chunks in live) or read is READERS["aiohttp-any"]  # whose parser is fast


def test_a_body_that_is_one_chunk_of_aiohttp_ends_as_one(recorder: Recorder) -> None:
    recorder.provider.reply(raw([b"{}", b""], {"content-type": "application/json"}), to="/whole")
    assert recorder.both(lambda: READERS["aiohttp-chunks"](f"{recorder.provider.url}/whole"))[0] == (b"{}", True)


def test_a_reader_of_parts_gets_as_many_of_each_chunk(recorder: Recorder) -> None:
    def parts(size: int) -> _Chunks:
        with requests.get(f"{recorder.provider.url}/text", stream=True) as response:
            return list(response.iter_content(size))

    kind, chunks = BODIES["text"]
    recorder.provider.reply(raw(chunks, {"content-type": kind}), to="/text")
    live = recorder.both(lambda: parts(4))
    assert live == [b"It i", b"s ", b"14 \xc2", b"\xb0C ", b"in", b" Lon", b"don.", b"\n"]
    assert recorder.replay(lambda: parts(100)) == chunks


def test_an_encoded_body_that_was_left_early_refuses_to_be_read_further(recorder: Recorder) -> None:
    def chunks(count: int) -> _Chunks:
        with httpx2.stream("GET", f"{recorder.provider.url}/text") as response:
            return list(itertools.islice(response.iter_bytes(), count))

    kind, pieces = BODIES["text"]
    recorder.provider.reply(raw(pieces, {"content-type": kind}, encoding="gzip"), to="/text")
    recorder.both(lambda: chunks(3))
    with pytest.raises(StreamingReplayError, match="its reader stopped early"):
        recorder.replay(lambda: chunks(4))


def test_parts_of_a_compressed_file_fit_together(recorder: Recorder) -> None:
    whole = gzip.compress(b"".join(BODIES["speech"][1]))
    parts = {"/file/0": (whole[:20], "bytes 0-19"), "/file/20": (whole[20:], f"bytes 20-{len(whole) - 1}")}
    for path, (part, place) in parts.items():
        headers = {"content-encoding": "gzip", "content-range": f"{place}/{len(whole)}"}
        recorder.provider.reply(raw(part, headers, status=206, encoding="identity"), to=path)

    def part(path: str) -> bytes:
        with requests.get(f"{recorder.provider.url}{path}", stream=True) as response:
            return bytes(response.raw.read())

    assert recorder.both(lambda: b"".join(map(part, parts))) == whole


@pytest.mark.parametrize("read", ["iter_content", "raw.read"])
def test_a_number_of_bytes_of_an_encoded_body_is_read(recorder: Recorder, read: str) -> None:
    def run() -> bytes:
        with requests.get(f"{recorder.provider.url}/text", stream=True) as response:
            return next(response.iter_content(20)) if read == "iter_content" else response.raw.read(20, True)

    whole = gzip.compress(b"It is 14 degrees in London, and in Paris it is much warmer." * 9)
    recorder.provider.reply(raw(whole, {"content-encoding": "gzip"}, encoding="identity"), to="/text")
    assert recorder.both(run) == b"It is 14 degrees in "
    assert recorder.interactions[0].response["complete"] is False


@pytest.mark.parametrize("read", [_httpx(httpx2, "iter_bytes"), _requests], ids=["httpx2", "requests"])
def test_a_client_that_cannot_undo_an_encoding_is_given_encoded_bytes_again(
    recorder: Recorder, read: Callable[[str], _Chunks], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an agent is that has not installed what its client needs for zstd, where this machine has another library."""
    pytest.importorskip("zstandard")
    monkeypatch.setattr("httpx2._decoders.SUPPORTED_DECODERS", {})
    monkeypatch.setattr(urllib3.HTTPResponse, "CONTENT_DECODERS", [])
    recorder.provider.reply(raw(BODIES["text"][1], {"content-type": "text/plain"}, encoding="zstd"), to="/zstd")
    seen = recorder.both(lambda: _decoded(read(f"{recorder.provider.url}/zstd"), "zstd"))
    assert seen == BODIES["text"][1]
    assert recorder.interactions[0].response["text"] == "It is 14 °C in London.\n"


def _undone(chunks: _Chunks) -> _Chunks:
    """Return what each of *chunks* adds to the body, whether they are encoded or not."""
    is_encoded = isinstance(chunks[0], bytes) and chunks[0].startswith(b"\x1f\x8b")
    return _decoded(chunks, "gzip") if is_encoded else chunks


def _decoded(chunks: _Chunks, encoding: str) -> _Chunks:
    return [each for each in bodies.decode_each(chunks, encoding) if each]


@pytest.mark.variants(2)
def test_an_event_with_an_invalid_byte_leaves_the_others_apart(recorder: Recorder, client: Any) -> None:
    events = [b'data: {"n":0}\n\n', b'data: "\xff"\n\n', b"data: [DONE]\n\n"]
    recorder.provider.reply(raw(events, {"content-type": "text/event-stream"}, chunk_bytes=9), to="/events")
    recorder.record(lambda: client.chunks(f"{recorder.provider.url}/events"))
    assert recorder.replay(lambda: client.chunks(f"{recorder.provider.url}/events")) == events


def test_a_body_that_is_read_in_small_parts_is_not_copied_for_each_of_them() -> None:
    exchange: Any = SimpleNamespace(request=SimpleNamespace(method="GET"), live=SimpleNamespace())
    live = LiveResponse(exchange, status=200, reason="OK", headers=())
    began = time.process_time()
    for _ in range(10_000):
        live.add(b"x" * 1024, is_rest=True)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "br"}], ids=["of an older recording", "as it came"])
def test_an_encoding_is_told_only_where_it_can_be_applied(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = {"status": 200, "headers": headers, "encoded": "br", "text": "It is raining."}
    answer = read_response(stored, "GET")
    assert header(answer.headers, "content-encoding") == "br"
    assert bodies.decode_content(b"".join(answer.chunks), "br") == b"It is raining."
    for library in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, library, None)
    answer = read_response(stored, "GET")
    assert (header(answer.headers, "content-encoding"), answer.chunks) == (None, (b"It is raining.",))
