"""Requests and answers as the wire has them, through every client, recorded and replayed."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import json
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import requests
import urllib3
from botocore.awsrequest import AWSRequest
from botocore.httpsession import URLLib3Session

from pytest_agenttape import UnmatchedInteractionError, bodies, use_cassette
from tests.standin import error, raw
from tests.transports.conftest import Recorder
from tests.transports.http_clients import Aiohttp, AsyncHttpx, Requests


def test_an_answer_is_replayed_as_it_was_recorded(recorder: Recorder, client: Any) -> None:
    seen = recorder.both(lambda: client.request("GET", f"{recorder.provider.url}/weather?city=London"))
    assert seen.status == 200
    assert b"London" in seen.body


def test_replay_needs_no_server(recorder: Recorder, client: Any) -> None:
    url = f"{recorder.provider.url}/weather?city=Paris"
    live = recorder.record(lambda: client.request("GET", url))
    recorder.provider.stop()
    assert recorder.replay(lambda: client.request("GET", url)) == live


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_encoded_body_is_stored_readably_and_comes_back_encoded(
    recorder: Recorder, client: Any, encoding: str
) -> None:
    if isinstance(client, Aiohttp) and encoding == "zstd":
        pytest.importorskip("backports.zstd")  # aiohttp refuses what it cannot decode
    url = f"{recorder.provider.url}/encoded/{encoding}"
    live = recorder.record(lambda: client.request("GET", url, headers={"accept-encoding": encoding}))
    assert live.header("content-encoding") == [encoding]
    if not live.body.startswith(b"{"):
        pytest.skip(f"this client has no decoder for {encoding} here")
    again = recorder.replay(lambda: client.request("GET", url, headers={"accept-encoding": encoding}))
    assert again == live
    assert recorder.interactions[0].response["json"]["encoding"] == encoding


def _by_pool(url: str, encoding: str, **options: Any) -> tuple[Any, bytes]:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, headers={"accept-encoding": encoding}, decode_content=False, **options)
        return response.headers, response.data


def _by_stream(url: str, encoding: str) -> tuple[Any, bytes]:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", url, headers={"accept-encoding": encoding}, preload_content=False)
        return response.headers, b"".join(response.stream(7, decode_content=False))


def _by_requests(url: str, encoding: str) -> tuple[Any, bytes]:
    with requests.get(url, headers={"accept-encoding": encoding}, stream=True) as response:
        return response.headers, response.raw.read()


def _by_http_client(url: str, encoding: str) -> tuple[Any, bytes]:
    request = urllib.request.Request(url, headers={"Accept-Encoding": encoding})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return response.headers, response.read()


def _by_botocore(url: str, encoding: str) -> tuple[Any, bytes]:
    request = AWSRequest("GET", url, headers={"accept-encoding": encoding}, stream_output=True).prepare()
    response = URLLib3Session().send(request)
    return response.headers, response.raw.read()


def _by_aiohttp(url: str, encoding: str) -> tuple[Any, bytes]:
    async def ask() -> tuple[Any, bytes]:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(url, headers={"accept-encoding": encoding}) as response,
        ):
            return response.headers, await response.read()

    return asyncio.run(ask())


RAW = {
    "urllib3": _by_pool,
    "urllib3, not preloaded": functools.partial(_by_pool, preload_content=False),
    "urllib3's stream": _by_stream,
    "requests' raw": _by_requests,
    "urllib.request": _by_http_client,
    "botocore": _by_botocore,
    "aiohttp": _by_aiohttp,
}


@pytest.mark.parametrize("read", RAW.values(), ids=RAW)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_reader_that_undoes_the_encoding_itself_is_given_encoded_bytes(
    recorder: Recorder, read: Any, encoding: str
) -> None:
    def run() -> tuple[Any, Any, bytes]:
        headers, body = read(f"{recorder.provider.url}/encoded/{encoding}", encoding)
        return headers["content-encoding"], headers["content-type"], bodies.decode_content(body, encoding)

    assert recorder.both(run)[0] == encoding
    stored = recorder.interactions[0].response
    assert stored["json"]["encoding"] == stored["encoded"] == encoding


def test_encoded_events_come_one_by_one(recorder: Recorder) -> None:
    events = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]
    recorder.provider.reply(raw(events, {"content-type": "text/event-stream"}, encoding="gzip"), to="/events")

    def run() -> list[bytes]:
        with requests.get(f"{recorder.provider.url}/events", stream=True) as response:
            decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            return [decoder.decompress(piece) for piece in response.raw.read_chunked(decode_content=False)]

    recorder.record(run)
    assert len(recorder.interactions[0].response["events"]) == 3
    assert [piece for piece in recorder.replay(run) if piece] == events


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_hop_of_a_redirect_is_an_exchange(recorder: Recorder, client: Any, status: int) -> None:
    url = f"{recorder.provider.url}/redirect?status={status}&to=/echo"
    options = {"content": b"q", "headers": {"content-type": "text/plain"}}
    seen = recorder.both(lambda: client.request("POST", url, **options))
    assert seen.history == (status,)
    assert [each.response["status"] for each in recorder.interactions] == [status, 200]


def test_every_set_cookie_header_is_kept(recorder: Recorder, client: Any) -> None:
    live = recorder.record(lambda: client.request("GET", f"{recorder.provider.url}/cookies"))
    again = recorder.replay(lambda: client.request("GET", f"{recorder.provider.url}/cookies"))
    assert len(again.header("set-cookie")) == 2
    assert [name for name, _ in again.cookies] == [name for name, _ in live.cookies] == ["first", "second"]


def test_binary_bodies_come_back_byte_for_byte(recorder: Recorder, client: Any) -> None:
    sent = bytes(range(256)) * 3
    options = {"content": sent, "headers": {"content-type": "application/octet-stream"}}
    recorder.both(lambda: client.request("POST", f"{recorder.provider.url}/echo", **options))
    seen = recorder.both(lambda: client.request("GET", f"{recorder.provider.url}/binary?size=3000"))
    assert len(seen.body) == 3000


def test_a_compressed_request_is_readable_and_compared_by_what_it_says(recorder: Recorder) -> None:
    recorder.provider.reply(raw(b'{"choices": []}', {"content-type": "application/json"}), to="/v1/chat/completions")

    def ask(level: int, text: str = "hello") -> Any:
        said = json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]}).encode()
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        url = f"{recorder.provider.url}/v1/chat/completions"
        return requests.post(url, data=gzip.compress(said, level, mtime=level), headers=headers, timeout=5).content

    recorder.record(lambda: ask(1))
    (call,) = recorder.interactions
    assert (call.kind, call.boundary) == ("llm", "openai.chat")
    assert call.request["json"]["messages"] == [{"role": "user", "content": "hello"}]
    assert (call.request["encoded"], call.request["headers"]) == ("gzip", {"content-type": "application/json"})
    recorder.replay(lambda: ask(9))
    with pytest.raises(UnmatchedInteractionError, match="'hello'"):
        recorder.replay(lambda: ask(1, "goodbye"))
    recorder.provider.reply(raw(b'{"choices": []}', {"content-type": "application/json"}), to="/v1/chat/completions")
    with use_cassette(recorder.path, live="llm", model="another"):
        ask(1)
    (sent,) = recorder.provider.requests[-1:]
    assert (sent.header("content-encoding"), json.loads(sent.body)["model"]) == ("gzip", "another")  # server undoes it


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_is_whole(recorder: Recorder, client: Any, status: int) -> None:
    seen = recorder.both(lambda: client.request("GET", f"{recorder.provider.url}/status/{status}"))
    assert (seen.status, seen.body) == (status, b"")
    assert "complete" not in recorder.interactions[0].response


@pytest.mark.parametrize("path", ["/weather?city=Oslo", "/encoded/gzip"])
def test_the_headers_of_head_speak_of_the_body_that_get_would_have(recorder: Recorder, client: Any, path: str) -> None:
    live = recorder.record(lambda: client.request("HEAD", f"{recorder.provider.url}{path}"))
    again = recorder.replay(lambda: client.request("HEAD", f"{recorder.provider.url}{path}"))
    assert again.body == b""
    assert (again.headers, again.length) == (live.headers, live.length)
    assert "complete" not in recorder.interactions[0].response


@pytest.mark.parametrize("status", [400, 404, 409, 422])
def test_client_errors_are_recorded(recorder: Recorder, client: Any, status: int) -> None:
    assert recorder.both(lambda: client.request("GET", f"{recorder.provider.url}/status/{status}")).status == status


def test_a_phrase_that_is_not_the_standard_one_is_kept(recorder: Recorder, client: Any) -> None:
    recorder.provider.reply(raw(b"{}", {"content-type": "application/json"}, status=299), to="/odd")
    seen = recorder.record(lambda: client.request("GET", f"{recorder.provider.url}/odd"))
    assert recorder.replay(lambda: client.request("GET", f"{recorder.provider.url}/odd")).reason == seen.reason


def test_a_retry_that_succeeds_is_part_of_a_good_recording(recorder: Recorder, client: Any) -> None:
    recorder.provider.script(error(429, retry_after=0), error(503), to="/weather")
    url = f"{recorder.provider.url}/weather?city=London"

    def retry() -> list[int]:
        return [client.request("GET", url).status for _ in range(3)]

    assert recorder.both(retry) == [429, 503, 200]


def test_identical_requests_are_answered_in_recorded_order(recorder: Recorder, client: Any) -> None:
    recorder.provider.script(raw(b"one"), raw(b"two"), raw(b"three"), to="/next")
    url = f"{recorder.provider.url}/next"
    assert recorder.both(lambda: [client.request("GET", url).body for _ in range(3)]) == [b"one", b"two", b"three"]


def test_form_fields_are_sent_and_matched(recorder: Recorder, client: Any) -> None:
    url = f"{recorder.provider.url}/echo"
    recorder.both(lambda: client.request("POST", url, data={"name": "Ada Lovelace", "city": "London"}))
    assert recorder.interactions[0].request["form"]


def test_a_multipart_upload_matches_whatever_its_boundary(recorder: Recorder, client: Any) -> None:
    def upload() -> Any:
        files = {"file": ("notes.txt", io.BytesIO(b"some notes"), "text/plain")}
        return client.request("POST", f"{recorder.provider.url}/echo", files=files, data={"purpose": "notes"})

    live = recorder.record(upload)
    assert recorder.provider.requests[-1].body.count(b"some notes") == 1
    assert recorder.replay(upload).status == live.status == 200


def test_a_binary_multipart_upload_matches_whatever_its_boundary(recorder: Recorder, client: Any) -> None:
    def upload() -> int:
        files = {"file": ("photo.png", io.BytesIO(bytes(range(256))), "image/png")}
        return int(client.request("POST", f"{recorder.provider.url}/echo", files=files).status)

    recorder.record(upload)
    assert recorder.replay(upload) == 200


def test_a_generator_is_sent_whole_and_matched(recorder: Recorder, client: Any) -> None:
    def parts() -> Iterator[bytes]:
        yield b"first "
        yield b"second"

    async def async_parts() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    def send() -> bytes:
        content = async_parts() if isinstance(client, (AsyncHttpx, Aiohttp)) else parts()
        options = {"content": content, "headers": {"content-type": "text/plain"}}
        return bytes(client.request("POST", f"{recorder.provider.url}/echo", **options).body)

    recorder.both(send)
    assert recorder.provider.requests[0].body == b"first second"
    assert recorder.interactions[0].request["text"] == "first second"


def test_an_open_file_is_sent_from_where_it_stands(recorder: Recorder, client: Any) -> None:
    if isinstance(client, AsyncHttpx):
        pytest.skip("async clients take no plain files")

    def send() -> bytes:
        file = io.BytesIO(b"skipped:the rest")
        file.seek(8)
        return bytes(client.request("POST", f"{recorder.provider.url}/echo", content=file).body)

    recorder.both(send)
    assert recorder.provider.requests[0].body == b"the rest"


def test_a_file_is_rewound_for_the_next_hop(recorder: Recorder) -> None:
    def send() -> bytes:
        url = f"{recorder.provider.url}/redirect?status=307&to=/echo"
        return Requests().request("POST", url, data=io.BytesIO(b"again")).body

    recorder.both(send)
    assert [each.body for each in recorder.provider.requests] == [b"again", b"again"]


def test_a_redacted_body_has_the_length_that_it_says(recorder: Recorder, client: Any) -> None:
    secret = "sk-proj-" + "a1B2c3D4" * 6
    recorder.provider.reply(raw(f'{{"key":"{secret}"}}'.encode(), {"content-type": "application/json"}), to="/secret")
    url = f"{recorder.provider.url}/secret"
    recorder.record(lambda: client.request("GET", url))
    seen = recorder.replay(lambda: client.request("GET", url))
    assert secret.encode() not in seen.body
    assert seen.header("content-length") == [str(len(seen.body))]
