"""urllib3 used by itself, and by what is built on it: recorded once, replayed as urllib3's own."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import urllib3

from pytest_agenttape import UnmatchedInteractionError, use_cassette
from pytest_agenttape.transports.urllib3 import pool as urllib3_pool
from tests.standin import error, hang_up, raw
from tests.transports.conftest import Recorder

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b'data: {"n":2}\n\n']


def seen(response: Any) -> dict[str, Any]:
    left_out = ("content-encoding", "content-length", "transfer-encoding")
    return {
        "status": response.status,
        "reason": response.reason,
        "data": response.data,
        "headers": sorted((k.lower(), v) for k, v in response.headers.items() if k.lower() not in left_out),
    }


def test_a_request_is_recorded_and_replayed(recorder: Recorder) -> None:
    def run() -> Any:
        with urllib3.PoolManager(headers={"x-mine": "1"}) as pool:
            return [
                seen(pool.request("GET", f"{recorder.provider.url}/weather", fields={"city": "London"})),
                seen(pool.request("POST", f"{recorder.provider.url}/echo", body=b'{"a":1}', headers={"x-b": "2"})),
                seen(pool.request("post", f"{recorder.provider.url}/echo", body=io.BytesIO(b"a file"))),
                seen(pool.request("POST", f"{recorder.provider.url}/echo", body=iter([b"one", b"two"]))),
            ]

    live = recorder.both(run)
    assert b"a file" in live[2]["data"]
    assert recorder.provider.hits == len(recorder.interactions) == 4
    assert recorder.interactions[0].request["headers"] == {"x-mine": "1"}


READERS: dict[str, Callable[[Any], Any]] = {
    "data": lambda response: response.data,
    "read": lambda response: response.read(),
    "stream": lambda response: b"".join(response.stream(5)),
    "lines": list,
    "buffered": lambda response: io.BufferedReader(response).read(),
}


@pytest.mark.parametrize("how", list(READERS))
def test_a_body_is_replayed_however_it_is_read(recorder: Recorder, how: str) -> None:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}), to="/body")

    def run() -> Any:
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", f"{recorder.provider.url}/body", preload_content=False)
            try:
                return READERS[how](response)
            finally:
                response.release_conn()

    recorder.both(run)
    assert len(recorder.interactions[0].response["events"]) == 3


@pytest.mark.parametrize(("first", "decode"), [(None, None), (3, True), (3, False)])
def test_a_body_that_is_drained_is_replayed(recorder: Recorder, first: int | None, decode: bool | None) -> None:
    """As urllib3 does itself before it follows a redirect or tries again."""

    def run() -> Any:
        with urllib3.PoolManager(headers={"accept-encoding": "gzip"}) as pool:
            response = pool.request("GET", f"{recorder.provider.url}/encoded/gzip", preload_content=False)
            taken = b"" if first is None else response.read(first, decode_content=decode)
            response.drain_conn()
            response.release_conn()
            return taken

    recorder.both(run)
    assert "complete" not in recorder.interactions[0].response


def test_a_body_that_is_said_to_have_no_encoding_keeps_its_length(recorder: Recorder) -> None:
    """What a download reads of its headers: how much comes."""
    file = raw([b"a file"], {"content-encoding": "identity", "content-length": "6"})
    recorder.provider.script(file, file, to="/body")

    def run() -> Any:
        answers = [get(f"{recorder.provider.url}/body") for get in (requests.get, httpx.get)]
        return [(each.headers["content-encoding"], each.headers["content-length"], each.content) for each in answers]

    recorder.both(run)


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("preload", [True, False])
def test_a_compressed_body_is_stored_readably(recorder: Recorder, decode: bool, preload: bool) -> None:
    def run() -> Any:
        with urllib3.PoolManager() as pool:
            url = f"{recorder.provider.url}/encoded/gzip"
            headers = {"accept-encoding": "gzip"}
            response = pool.request("GET", url, headers=headers, preload_content=preload, decode_content=decode)
            return response.data if decode else gzip.decompress(response.data)

    recorder.both(run)
    assert recorder.interactions[0].response["json"]["encoding"] == "gzip"


def test_redirects_of_a_pool_manager(recorder: Recorder) -> None:
    def run() -> Any:
        with urllib3.PoolManager() as pool:
            response = pool.request("GET", f"{recorder.provider.url}/redirect?to=/weather?city=London")
            return response.status, len(response.retries.history), response.data

    live = recorder.both(run)
    assert live[:2] == (200, 1)


def test_retries_of_a_pool_happen_below_the_recording(recorder: Recorder) -> None:
    recorder.provider.script(hang_up(), error(503), to="/weather")

    def run() -> tuple[int, int, list[tuple[int | None, str]]]:
        retries = urllib3.Retry(total=3, status_forcelist=[503], backoff_factor=0)
        with urllib3.PoolManager(retries=retries) as pool:
            response = pool.request("GET", f"{recorder.provider.url}/weather?city=London")
            tried = [(each.status, type(each.error).__name__) for each in response.retries.history]
            return response.status, response.retries.total, tried

    assert recorder.both(run) == (200, 1, [(None, "ProtocolError"), (503, "NoneType")])
    assert len(recorder.interactions) == 1


def test_a_pool_tells_of_the_redirects_that_it_followed(recorder: Recorder) -> None:
    def run() -> Any:
        host, port = recorder.provider.url.removeprefix("http://").split(":")
        with urllib3.HTTPConnectionPool(host, int(port)) as pool:
            response = pool.request("GET", "/redirect?to=/weather?city=London")
            return response.status, response.retries.history, response.retries.total

    assert recorder.both(run)[0] == 200
    assert recorder.interactions[0].response["retries"] == [{"status": 302, "location": "/weather?city=London"}]


def failure(run: Callable[[], Any]) -> tuple[str, str, str]:
    try:
        run()
    except urllib3.exceptions.HTTPError as caught:
        return type(caught).__name__, str(caught), type(getattr(caught, "reason", None)).__name__
    return "", "", ""


@pytest.mark.parametrize("retries", [False, 0], ids=["as it is", "after retries"])
@pytest.mark.parametrize("kind", ["hung up", "too late", "refused"])
def test_a_failure_is_raised_again(recorder: Recorder, kind: str, retries: Any) -> None:
    url = f"{recorder.provider.url}/weather"
    if kind == "refused":
        recorder.provider.stop()
    else:
        recorder.provider.reply(hang_up() if kind == "hung up" else raw(b"", delay=1), to="/weather")

    def run() -> tuple[str, str, str]:
        with urllib3.PoolManager() as pool:
            return failure(lambda: pool.request("GET", url, retries=retries, timeout=0.3))

    live = recorder.record(run, allow_errors=True)
    assert live[0]
    assert recorder.replay(run, allow_errors=True) == live


def test_a_stream_that_breaks_is_replayed_as_far_as_it_came(recorder: Recorder) -> None:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}, close_after=2), to="/body")

    def run() -> tuple[bytes, str]:
        taken = b""
        with urllib3.PoolManager() as pool:
            try:
                for chunk in pool.request("GET", f"{recorder.provider.url}/body", preload_content=False).stream():
                    taken += chunk
            except urllib3.exceptions.HTTPError as caught:
                return taken, type(caught).__name__
        return taken, ""

    live = recorder.record(run, allow_errors=True)
    assert live[0]
    assert live[1]
    assert recorder.replay(run, allow_errors=True) == live


def test_below_requests_nothing_is_recorded_twice(recorder: Recorder) -> None:
    def run() -> int:
        return requests.get(f"{recorder.provider.url}/weather?city=London").status_code

    recorder.both(run)
    assert recorder.provider.hits == len(recorder.interactions) == 1


def test_in_replay_nothing_goes_out(recorder: Recorder) -> None:
    recorder.record(lambda: urllib3.PoolManager().request("GET", f"{recorder.provider.url}/weather?city=London"))
    with pytest.raises(UnmatchedInteractionError), use_cassette(recorder.path):
        urllib3.PoolManager().request("GET", f"{recorder.provider.url}/weather?city=Rome")
    assert recorder.provider.hits == 1


def test_outside_of_a_session_it_is_urllib3s_own(recorder: Recorder) -> None:
    def run() -> int:
        return urllib3.PoolManager().request("GET", f"{recorder.provider.url}/weather?city=London").status

    recorder.record(run)
    assert run() == 200
    assert recorder.provider.hits == 2
    assert len(recorder.interactions) == 1


@pytest.fixture
def users_own(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A mock of the user's own in the place of urlopen."""

    def urlopen(self: Any, method: str, url: str, *_: Any, **__: Any) -> Any:  # noqa: ARG001  # as urllib3's
        return urllib3.HTTPResponse(b"mocked", status=200)

    return lambda: monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", urlopen)


@pytest.mark.parametrize("first", ["mock", "session"])
def test_a_mock_of_the_users_own_answers(recorder: Recorder, users_own: Any, first: str) -> None:
    if first == "mock":
        users_own()
    with use_cassette(recorder.path, mode="all") as session:
        users_own()
        assert urllib3.PoolManager().request("GET", "http://mocked.test/").data == b"mocked"
    assert session.interactions == []


@pytest.mark.parametrize("options", [{}, {"preload_content": False}, {"decode_content": False}], ids=str)
def test_a_request_of_urllib3_1_26_is_replayed(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, options: dict[str, bool]
) -> None:
    """There, `urlopen` has no argument of its own for how a body is read."""
    real = urllib3.HTTPConnectionPool.urlopen

    def urlopen(self: Any, method: str, url: str, body: Any = None, headers: Any = None, retries: Any = None,
                redirect: bool = True, **response_kw: Any) -> Any:  # fmt: skip
        return real(self, method, url, body, headers, retries, redirect, **response_kw)

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", urllib3_pool._wrap(urlopen))

    def run() -> Any:
        with urllib3.PoolManager(headers={"accept-encoding": "gzip"}) as manager:
            response = manager.request("GET", f"{recorder.provider.url}/encoded/gzip", **options)
            return response.data if options.get("decode_content", True) else gzip.decompress(response.data)

    recorder.both(run)
    assert len(recorder.interactions) == 1
