"""What an agent can do with a response of httpx and httpx2 works in replay as it does live; TLS, proxies, HTTP/2."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import certifi
import httpx
import httpx2
import pytest
import requests

from pytest_agenttape import Cassette, Interaction, use_cassette
from tests.standin import raw
from tests.transports.conftest import Recorder
from tests.transports.http_clients import CLIENTS

LIBRARIES = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


@LIBRARIES
def test_the_parts_of_a_response_are_all_there(recorder: Recorder, library: Any) -> None:
    def look() -> dict[str, Any]:
        with library.Client() as client, client.stream("GET", f"{recorder.provider.url}/events?count=2") as response:
            before = response.is_closed, response.is_stream_consumed
            lines = list(response.iter_lines())
            return {
                "before": before,
                "lines": lines,
                "version": response.http_version,
                "phrase": response.reason_phrase,
                "closed": response.is_closed,
                "consumed": response.is_stream_consumed,
                "elapsed": response.elapsed.total_seconds() >= 0,
                "bytes": response.num_bytes_downloaded > 0,
                "type": response.headers["content-type"],
                "url": str(response.url),
                "ok": response.is_success,
                "encoding": response.charset_encoding,
            }

    seen = recorder.both(look)
    assert seen["version"] == "HTTP/1.1"
    assert seen["phrase"] == "OK"


@LIBRARIES
def test_event_hooks_and_auth_of_the_client_are_called(recorder: Recorder, library: Any) -> None:
    def run() -> list[str]:
        called: list[str] = []
        hooks = {
            "request": [lambda request: called.append(request.headers["authorization"][:5])],
            "response": [lambda response: called.append(str(response.status_code))],
        }
        with library.Client(event_hooks=hooks, auth=("user", "a-long-password-here")) as client:
            client.get(f"{recorder.provider.url}/weather?city=London")
        return called

    assert recorder.both(run) == ["Basic", "200"]
    assert "a-long-password-here" not in recorder.path.read_text()


@pytest.mark.parametrize("name", ["httpx", "httpx2", "requests"])
def test_threads_are_recorded_and_replayed(recorder: Recorder, name: str) -> None:
    def run() -> list[bytes]:
        urls = [f"{recorder.provider.url}/echo?n={number}" for number in range(8)]
        with ThreadPoolExecutor(4) as pool:
            return [seen.body for seen in pool.map(lambda url: CLIENTS[name].request("GET", url), urls)]

    recorder.both(run)
    assert len(recorder.interactions) == 8


@LIBRARIES
def test_gathered_requests_are_recorded_in_the_order_of_their_start(recorder: Recorder, library: Any) -> None:
    async def run() -> list[int]:
        async with library.AsyncClient() as client:
            urls = [f"{recorder.provider.url}/slow?seconds={(5 - number) / 50}" for number in range(5)]
            return [each.status_code for each in await asyncio.gather(*map(client.get, urls))]

    recorder.both(lambda: asyncio.run(run()))
    asked = [each.request["url"].rpartition("=")[2] for each in recorder.interactions]
    assert asked == ["0.1", "0.08", "0.06", "0.04", "0.02"]


@LIBRARIES
def test_tasks_that_ask_the_same_get_their_answers_in_turn(recorder: Recorder, library: Any) -> None:
    async def run() -> list[list[str]]:
        async with library.AsyncClient() as client:

            async def twice() -> list[str]:
                url = f"{recorder.provider.url}/turn"
                return [(await client.get(url)).text for _ in range(2)]

            return list(await asyncio.gather(twice(), twice()))

    recorder.provider.script(*(raw(b"%d" % number, delay=0.02) for number in range(4)), to="/turn")
    live = recorder.record(lambda: asyncio.run(run()))
    again = recorder.replay(lambda: asyncio.run(run()))
    assert sorted(map(sorted, again)) == sorted(map(sorted, live))


# TLS ----------------------------------------------------------------------------------------------------------------


def context_of(client: Any) -> Any:
    return client._transport._pool._ssl_context


@LIBRARIES
class TestTheTlsContextOfAClient:
    def test_is_shared_in_replay(self, recorder: Recorder, library: Any) -> None:
        recorder.record(lambda: None)
        with use_cassette(recorder.path):
            assert context_of(library.Client()) is context_of(library.Client())
            assert context_of(library.AsyncClient()) is context_of(library.Client())
            assert context_of(library.Client(verify=False)) is not context_of(library.Client())

    def test_is_its_own_when_recording_and_outside(self, recorder: Recorder, library: Any) -> None:
        assert context_of(library.Client()) is not context_of(library.Client())
        with use_cassette(recorder.path, mode="all"):
            assert context_of(library.Client()) is not context_of(library.Client())
        with use_cassette(recorder.path):
            replaying = context_of(library.Client())
        with use_cassette(recorder.path, mode="all"):
            assert context_of(library.Client()) is not replaying

    def test_is_the_users_where_the_user_gives_one(self, recorder: Recorder, library: Any) -> None:
        recorder.record(lambda: None)
        mine = ssl.create_default_context()
        with use_cassette(recorder.path):
            assert context_of(library.Client(verify=mine)) is mine

    def test_is_made_by_one_wrapper_however_many_sessions_were_open(self, recorder: Recorder, library: Any) -> None:
        for _ in range(3):
            recorder.record(lambda: None)
        made_by = sys.modules[f"{library.__name__}._transports.default"].create_ssl_context
        assert not hasattr(made_by.__wrapped__, "__wrapped__")

    def test_follows_the_environment(self, recorder: Recorder, library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        recorder.record(lambda: None)
        with use_cassette(recorder.path):
            before = context_of(library.Client())
            monkeypatch.setenv("SSL_CERT_FILE", certifi.where())
            assert context_of(library.Client()) is not before


# Proxies ------------------------------------------------------------------------------------------------------------


class Proxy:
    """A proxy for plain HTTP on the loopback interface that passes each request on."""

    def __init__(self) -> None:
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.hits += 1
                self._pass_on(client)

    def _pass_on(self, client: socket.socket) -> None:
        asked = client.recv(65536)
        host = next(line[6:] for line in asked.split(b"\r\n") if line.lower().startswith(b"host: "))
        name, _, port = host.decode().partition(":")
        first, _, rest = asked.partition(b"\r\n")
        method, target, version = first.split(b" ")
        path = b"/" + target.split(b"/", 3)[3]
        with socket.create_connection((name, int(port))) as server, client:
            server.sendall(b" ".join([method, path, version]) + b"\r\nConnection: close\r\n" + rest)
            while answer := server.recv(65536):
                client.sendall(answer)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.stop()


def test_a_proxy_from_the_environment_is_used_live_and_not_needed_in_replay(
    recorder: Recorder, proxy: Proxy, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    url = f"{recorder.provider.url}/weather?city=London"
    live = recorder.record(lambda: client.request("GET", url))
    assert proxy.hits == 1
    assert recorder.interactions[0].request["url"] == url
    proxy.stop()
    assert recorder.replay(lambda: client.request("GET", url)).body == live.body


# HTTP/2 -------------------------------------------------------------------------------------------------------------


class Http2Server:
    """Answers each request with its path and a header, over HTTP/2 without TLS, in two pieces."""

    def __init__(self) -> None:
        self.hits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._converse(self._listener.accept()[0])

    def _converse(self, client: socket.socket) -> None:
        from h2.config import H2Configuration
        from h2.connection import H2Connection
        from h2.events import RequestReceived

        connection = H2Connection(H2Configuration(client_side=False))
        connection.initiate_connection()
        with client:
            client.sendall(connection.data_to_send())
            while received := client.recv(65536):
                for event in connection.receive_data(received):
                    if isinstance(event, RequestReceived) and event.stream_id is not None:
                        self.hits += 1
                        answer = [(":status", "200"), ("content-type", "text/event-stream"), ("x-by", "h2")]
                        connection.send_headers(event.stream_id, answer)
                        connection.send_data(event.stream_id, b"data: 1\n\n")
                        connection.send_data(event.stream_id, b"data: 2\n\n", end_stream=True)
                client.sendall(connection.data_to_send())


@LIBRARIES
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_http_2_is_recorded_and_replayed_as_such(recorder: Recorder, library: Any, kind: str) -> None:
    pytest.importorskip("h2")
    server = Http2Server()

    def parts(response: Any) -> tuple[str, str, str, str]:
        return response.http_version, response.reason_phrase, response.headers["x-by"], response.text

    def ask() -> tuple[str, str, str, str]:
        with library.Client(http1=False, http2=True) as client:
            return parts(client.get(f"{server.url}/thing"))

    async def ask_async() -> tuple[str, str, str, str]:
        async with library.AsyncClient(http1=False, http2=True) as client:
            return parts(await client.get(f"{server.url}/thing"))

    run = ask if kind == "sync" else lambda: asyncio.run(ask_async())
    live = recorder.record(run)
    server.stop()
    assert live == ("HTTP/2", "OK", "h2", "data: 1\n\ndata: 2\n\n")
    assert recorder.replay(run) == live
    assert recorder.interactions[0].response["http_version"] == "HTTP/2"
    assert server.hits == 1


def test_requests_reads_what_was_recorded_over_http_2(recorder: Recorder) -> None:
    Cassette(
        interactions=[
            Interaction(
                index=0,
                kind="http",
                request={"method": "GET", "url": "https://h2.test/thing", "headers": {}},
                response={"status": 200, "headers": {}, "http_version": "HTTP/2", "json": {"ok": True}},
            )
        ]
    ).save(recorder.path)
    assert recorder.replay(lambda: requests.get("https://h2.test/thing").json()) == {"ok": True}
