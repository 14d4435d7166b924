"""Failures below HTTP are recorded and raised again as the class that the library raises."""

from __future__ import annotations

import concurrent.futures
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpcore
import httpcore2
import httpx
import httpx2
import pytest
import requests

from pytest_agenttape import RecordingRefusedError
from tests.standin import error, hang_up, raw
from tests.transports.conftest import Recorder
from tests.transports.http_clients import Aiohttp, HttpxOverAiohttp, Requests


def raised_by(run: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # the class is what is looked at
        run()
    return caught.value


def both_raise(recorder: Recorder, run: Callable[[], object], **options: Any) -> Exception:
    """Return what *run* raises live; replay raises the same class with the same words."""
    live = recorder.record(lambda: raised_by(run), **options)
    again = recorder.replay(lambda: raised_by(run))
    assert type(again) is type(live)
    assert isinstance(live, Exception)
    return live


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address at which connecting takes for ever: the queue of the listener is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def resetting() -> Iterator[str]:
    """A server that sends half a body and resets the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 100\r\n\r\nhalf")
                threading.Event().wait(0.1)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    listener.close()


BY_AIOHTTP: dict[str, type[Exception]] = {
    "a refused connection": aiohttp.ClientConnectorError,
    "a connection that is dropped before the answer": aiohttp.ServerDisconnectedError,
    "a connection that is dropped in the body": aiohttp.ClientPayloadError,
    "a connection that is reset in the body": aiohttp.ClientPayloadError,
    "a connect timeout": aiohttp.ConnectionTimeoutError,
    "a read timeout": aiohttp.SocketTimeoutError,
    "a timeout in the body": aiohttp.SocketTimeoutError,
}
BY_HTTPX_OVER_AIOHTTP: dict[str, type[Exception]] = {  # its own words for them
    "a connection that is dropped before the answer": httpx.ConnectTimeout,
    "a connection that is dropped in the body": httpx.ReadError,
    "a refused connection": httpx.ConnectTimeout,
}


def expected(client: Any, name: str, by_requests: type[Exception], of: str) -> type[Exception]:
    if isinstance(client, Requests):
        return by_requests
    if isinstance(client, Aiohttp):
        return BY_AIOHTTP[of]
    if isinstance(client, HttpxOverAiohttp) and of in BY_HTTPX_OVER_AIOHTTP:
        return BY_HTTPX_OVER_AIOHTTP[of]
    found: type[Exception] = getattr(client.library, name)
    return found


def test_a_refused_connection(recorder: Recorder, client: Any) -> None:
    failure = both_raise(recorder, lambda: client.request("GET", recorder.provider.refused_url))
    assert type(failure) is expected(client, "ConnectError", requests.ConnectionError, "a refused connection")


def test_a_connection_that_is_dropped_before_the_answer(recorder: Recorder, client: Any) -> None:
    recorder.provider.script(hang_up(), to="/gone")
    failure = both_raise(recorder, lambda: client.request("POST", f"{recorder.provider.url}/gone"))
    assert type(failure) is expected(
        client, "RemoteProtocolError", requests.ConnectionError, "a connection that is dropped before the answer"
    )


@pytest.mark.parametrize("chunked", ["0", "1"])
def test_a_connection_that_is_dropped_in_the_body(recorder: Recorder, client: Any, chunked: str) -> None:
    url = f"{recorder.provider.url}/truncated?chunked={chunked}"
    failure = both_raise(recorder, lambda: client.request("GET", url))
    assert type(failure) is expected(
        client,
        "RemoteProtocolError",
        requests.exceptions.ChunkedEncodingError,
        "a connection that is dropped in the body",
    )


def test_a_connection_that_is_reset_in_the_body(recorder: Recorder, client: Any, resetting: str) -> None:
    failure = both_raise(recorder, lambda: client.request("GET", resetting))
    assert type(failure) is expected(
        client, "ReadError", requests.exceptions.ChunkedEncodingError, "a connection that is reset in the body"
    )


def test_what_came_before_the_connection_dropped_is_replayed(recorder: Recorder, client: Any) -> None:
    url = f"{recorder.provider.url}/truncated?chunked=1"

    def read() -> tuple[bytes, str]:
        taken: list[bytes] = []
        failure = raised_by(lambda: client.chunks(url, seen=taken.append))
        return b"".join(taken), type(failure).__name__

    assert recorder.both(read)[0].startswith(b"line 0")


def test_a_connect_timeout(recorder: Recorder, client: Any, deaf: str) -> None:
    if isinstance(client, Requests):
        config: dict[str, Any] = {"timeout": (0.1, 5)}
    elif isinstance(client, Aiohttp):
        config = {"timeout": aiohttp.ClientTimeout(sock_connect=0.1)}
    else:
        config = {"timeout": client.library.Timeout(5, connect=0.1)}
    failure = both_raise(recorder, lambda: client.request("GET", deaf, **config), allow_errors="timeout")
    assert type(failure) is expected(client, "ConnectTimeout", requests.ConnectTimeout, "a connect timeout")


def test_a_read_timeout(recorder: Recorder, client: Any) -> None:
    url = f"{recorder.provider.url}/slow?seconds=1"
    failure = both_raise(recorder, lambda: client.request("GET", url, timeout=0.1), allow_errors="timeout")
    assert type(failure) is expected(client, "ReadTimeout", requests.ReadTimeout, "a read timeout")


def test_a_timeout_in_the_body(recorder: Recorder, client: Any) -> None:
    chunks = [b"data: 1\n\n", b"data: 2\n\n"]
    recorder.provider.reply(raw(chunks, {"content-type": "text/event-stream"}, chunk_delay=1), to="/stalls")
    url = f"{recorder.provider.url}/stalls"
    failure = both_raise(recorder, lambda: client.request("GET", url, timeout=0.1), allow_errors="timeout")
    assert type(failure) is expected(client, "ReadTimeout", requests.ConnectionError, "a timeout in the body")


FAILED = (httpx.TransportError, httpx2.TransportError, requests.RequestException, aiohttp.ClientError)
FAILURES = {
    "401": "/status/401", "403": "/status/403", "429": "/status/429", "500": "/status/500", "503": "/status/503",
    "timeout": "/slow?seconds=1",
}  # fmt: skip


@pytest.mark.parametrize("failure", FAILURES)
def test_a_final_failure_that_is_swallowed_is_not_kept(recorder: Recorder, client: Any, failure: str) -> None:
    def ask() -> None:
        with contextlib.suppress(*FAILED):
            patience = 0.1 if failure == "timeout" else 30
            client.request("GET", recorder.provider.url + FAILURES[failure], timeout=patience)

    with pytest.raises(RecordingRefusedError, match="and the run went on"):
        recorder.record(ask)
    assert not recorder.path.exists()
    recorder.record(ask, allow_errors=int(failure) if failure.isdigit() else failure)
    assert len(recorder.interactions) == 1


def test_a_challenge_that_the_client_answers_is_part_of_a_good_recording(recorder: Recorder, client: Any) -> None:
    challenge = {"www-authenticate": 'Digest realm="r", nonce="abc", qop="auth", algorithm=MD5'}
    recorder.provider.script(raw(b"", challenge, status=401), raw(b"welcome"), to="/private")
    if isinstance(client, Requests):
        digest: Any = requests.auth.HTTPDigestAuth
    else:
        digest = aiohttp.DigestAuthMiddleware if isinstance(client, Aiohttp) else client.library.DigestAuth

    def ask() -> bytes:
        found = client.request("GET", recorder.provider.url + "/private", auth=digest("user", "a-pass-word-1234"))
        return bytes(found.body)

    assert recorder.both(ask) == b"welcome"
    assert len(recorder.interactions) == 2


class TestAllowedTimeouts:
    """Where a test is about a timeout, it is recorded and raised again like any failure."""

    SUITE = """
        import pytest, httpx, httpx2, requests

        LIBRARIES = {"httpx": httpx, "httpx2": httpx2, "requests": requests}

        @pytest.mark.agenttape(allow_errors=["timeout"])
        @pytest.mark.parametrize("name", list(LIBRARIES))
        def test_read(name, agenttape_cassette):
            library = LIBRARIES[name]
            error = requests.ReadTimeout if name == "requests" else library.ReadTimeout
            with pytest.raises(error):
                library.get(URL, timeout=0.1)
    """

    def test_are_raised_again(self, pytester: pytest.Pytester, recorder: Recorder) -> None:
        pytester.makepyfile(f"URL = '{recorder.provider.url}/slow?seconds=1'\n" + _dedented(self.SUITE))
        pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=3)
        hits = recorder.provider.hits
        pytester.runpytest_subprocess().assert_outcomes(passed=3)
        assert recorder.provider.hits == hits == 3


def _dedented(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


def test_a_failure_recorded_with_one_library_is_raised_by_another_as_its_own(recorder: Recorder) -> None:
    recorder.record(lambda: raised_by(lambda: httpx.get(recorder.provider.refused_url)))
    assert isinstance(
        recorder.replay(lambda: raised_by(lambda: httpx2.get(recorder.provider.refused_url))), httpx2.ConnectError
    )
    assert isinstance(
        recorder.replay(lambda: raised_by(lambda: requests.get(recorder.provider.refused_url))),
        requests.ConnectionError,
    )


def test_a_retry_after_a_dropped_connection_is_a_good_recording(recorder: Recorder, client: Any) -> None:
    recorder.provider.script(hang_up(), error(503), to="/weather")
    url = f"{recorder.provider.url}/weather?city=London"

    def persist() -> list[object]:
        outcomes: list[object] = []
        while 200 not in outcomes:
            try:
                outcomes.append(client.request("POST", url).status)
            except Exception as failure:  # noqa: BLE001  # any client's
                outcomes.append(type(failure).__name__)
        return outcomes

    recorder.provider.script(raw(b"{}"), to="/weather")
    assert recorder.both(persist)[1:] == [503, 200]


class TestACancelledFutureBelowHttp:
    """concurrent.futures.CancelledError is a failure like any other: nobody has cancelled the agent."""

    @pytest.mark.parametrize("library", [httpcore, httpcore2], ids=["httpcore", "httpcore2"])
    def test_comes_back_as_the_stand_in_of_httpcore(self, recorder: Recorder, library: Any) -> None:
        class Backend(library.NetworkBackend):  # type: ignore[misc]  # either library's
            def connect_tcp(self, *_: object, **__: object) -> Any:
                raise concurrent.futures.CancelledError("the executor is gone")

        def ask() -> object:
            with library.ConnectionPool(network_backend=Backend()) as pool:
                return pool.request("GET", "http://localhost/")

        assert isinstance(recorder.record(lambda: raised_by(ask)), concurrent.futures.CancelledError)
        self.assert_recorded(recorder)
        replayed = recorder.replay(lambda: raised_by(ask))
        assert type(replayed) is library.NetworkError
        assert str(replayed) == "CancelledError: the executor is gone"

    def test_comes_back_as_the_stand_in_of_requests(self, recorder: Recorder) -> None:
        class Adapter(requests.adapters.HTTPAdapter):
            def get_connection_with_tls_context(self, *_: object, **__: object) -> Any:
                raise concurrent.futures.CancelledError("the executor is gone")

        def ask() -> object:
            with requests.Session() as session:
                session.mount("http://", Adapter())
                return session.get("http://localhost/")

        assert isinstance(recorder.record(lambda: raised_by(ask)), concurrent.futures.CancelledError)
        self.assert_recorded(recorder)
        replayed = recorder.replay(lambda: raised_by(ask))
        assert type(replayed) is requests.ConnectionError
        assert str(replayed) == "CancelledError: the executor is gone"

    def assert_recorded(self, recorder: Recorder) -> None:
        assert recorder.interactions[0].error == {
            "type": "CancelledError",
            "module": concurrent.futures.CancelledError.__module__,
            "message": "the executor is gone",
        }


def of_the_system(error: BaseException | None) -> list[OSError]:
    """Return the error of the system below *error*, if there is one."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return [] if error is None else [error]


def test_what_is_below_a_name_without_an_address_is_told_again(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    def run() -> tuple[object, ...]:
        with pytest.raises(httpx.ConnectError) as caught:
            httpx.get("http://nowhere.invalid/")
        (below,) = of_the_system(caught.value)
        return type(below), below.errno

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert recorder.record(run) == recorder.replay(run) == (socket.gaierror, socket.EAI_NONAME)


def test_what_is_below_a_refused_connection_is_told_again(recorder: Recorder) -> None:
    def number() -> list[object]:
        with pytest.raises(httpx.ConnectError) as caught:
            httpx.get("http://127.0.0.1:1/")
        return [type(each) for each in of_the_system(caught.value)]

    def reason() -> object:
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get("http://127.0.0.1:1/", timeout=5)
        carried = caught.value.args[0]
        return type(carried), type(carried.reason), str(caught.value).partition("(Caused")[0]

    assert recorder.record(number) == recorder.replay(number) == [ConnectionRefusedError]
    assert recorder.record(reason) == recorder.replay(reason)
