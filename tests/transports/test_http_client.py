"""http.client and what is built on it: urllib.request, xmlrpc, httplib2."""

from __future__ import annotations

import http.client
import io
import json
import socket
import time
import urllib.error
import urllib.request
import xmlrpc.client
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from pytest_agenttape import Config, NetworkBlockedError, StreamingReplayError, UnmatchedInteractionError, use_cassette
from tests.standin import error, hang_up, raw
from tests.transports.conftest import Recorder

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b'data: {"n":2}\n\n']
STREAM = {"content-type": "text/event-stream"}


def opener() -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def test_urllib_request(recorder: Recorder) -> None:
    def run() -> Any:
        url = recorder.provider.url
        with opener().open(f"{url}/weather?city=London", timeout=5) as response:
            first = response.status, response.reason, response.headers["content-type"], response.read()
        request = urllib.request.Request(f"{url}/echo", data=b'{"a":1}', headers={"Content-Type": "application/json"})
        with opener().open(request) as response:
            second = response.read()
        with opener().open(f"{url}/redirect?to=/weather?city=Paris") as response:
            return first, second, response.geturl(), response.read()

    recorder.both(run)
    assert recorder.provider.hits == len(recorder.interactions) == 4
    assert recorder.interactions[1].request["json"] == {"a": 1}


def test_an_error_status_is_raised_again(recorder: Recorder) -> None:
    def run() -> Any:
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener().open(f"{recorder.provider.url}/status/404")
        return caught.value.code, caught.value.read()

    assert recorder.both(run)[0] == 404


READERS: dict[str, Callable[[Any], Any]] = {
    "read": lambda response: response.read(),
    "in pieces": lambda response: b"".join(iter(lambda: response.read(7), b"")),
    "read1": lambda response: b"".join(iter(lambda: response.read1(9), b"")),
    "lines": list,
    "readline": lambda response: [response.readline() for _ in range(6)] + [response.read()],
    "buffered": lambda response: io.BufferedReader(response).read(),
    "readinto": lambda response: (buffer := bytearray(5), response.readinto(buffer), response.read()),
}


@pytest.mark.parametrize("how", list(READERS))
@pytest.mark.parametrize("kind", ["chunked", "with a length", "empty"])
def test_a_body_is_replayed_however_it_is_read(recorder: Recorder, how: str, kind: str) -> None:
    body: Any = {"chunked": EVENTS, "with a length": b"".join(EVENTS), "empty": b""}[kind]
    recorder.provider.reply(raw(body, STREAM), to="/body")

    def run() -> Any:
        with opener().open(f"{recorder.provider.url}/body") as response:
            return READERS[how](response)

    recorder.both(run)
    stored = recorder.interactions[0].response
    assert "complete" not in stored
    assert len(stored.get("events", [])) == (0 if kind == "empty" else 3)


@pytest.mark.parametrize("how", ["whole", "after some", "at most"])
@pytest.mark.parametrize("path", ["/truncated", "/truncated?chunked=1"])
def test_a_body_that_stops_short_is_replayed_as_far_as_it_came(recorder: Recorder, path: str, how: str) -> None:
    def run() -> Any:
        with opener().open(recorder.provider.url + path) as response:
            first = response.read(3) if how == "after some" else b""
            try:
                return first + (response.read(999) if how == "at most" else response.read())
            except http.client.IncompleteRead as error:
                return first + error.partial, str(error)

    assert "line 0" in str(recorder.both(run))


def test_a_connection_is_used_again(recorder: Recorder) -> None:
    parts = urlsplit(recorder.provider.url)

    def run() -> Any:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        connection.connect()
        taken = []
        for city in ("London", "Paris"):
            connection.request("GET", f"/weather?city={city}")
            taken.append(connection.getresponse().read())
        connection.putrequest("POST", "/echo")
        connection.putheader("Content-Length", "6")
        connection.endheaders()
        connection.send(b"abc")
        connection.send(b"def")
        taken.append(connection.getresponse().read())
        connection.request("POST", "/echo", body=iter([b"one", b"two"]), encode_chunked=True)
        taken.append(connection.getresponse().read())
        connection.request("POST", "/echo", body=iter([b"1,10\r\n", b"\r\n0\r\n\r\n"]), encode_chunked=True)
        taken.append(connection.getresponse().read())
        connection.request("HEAD", "/weather?city=Rome")
        head = connection.getresponse()
        taken.append((head.status, head.read()))
        connection.close()
        return taken

    live = recorder.both(run)
    assert b"abcdef" in live[2]
    assert b"onetwo" in live[3]
    assert rb"1,10\r\n\r\n0\r\n\r\n" in live[4]
    assert len(recorder.interactions) == 6


def _ask_the_socket(connection: Any) -> list[Any]:
    connection.connect()
    asked = [connection.sock is not None]
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sock.settimeout(5)
    for city in ("London", "Paris"):
        connection.request("GET", f"/weather?city={city}")
        asked += [
            connection.sock.getpeername(),
            connection.sock.gettimeout(),
            bool(connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)),
            hasattr(connection.sock, "getpeercert"),
        ]
        response = connection.getresponse()
        asked.append(json.loads(response.data if hasattr(response, "data") else response.read())["city"])
    connection.close()
    return [*asked, connection.sock]


@pytest.mark.parametrize("library", [http.client, urllib3.connection], ids=["http.client", "urllib3"])
def test_a_connection_has_a_socket_to_be_asked(recorder: Recorder, library: Any) -> None:
    parts = urlsplit(recorder.provider.url)

    def run() -> Any:
        return _ask_the_socket(library.HTTPConnection(str(parts.hostname), parts.port, timeout=5))

    live = recorder.both(run)
    answers = [("127.0.0.1", parts.port), 5, True, False]
    assert live == [True, *answers, "London", *answers, "Paris", None]
    with use_cassette(recorder.path, mode="new_episodes"):
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        for city in ("London", "Oslo", "Paris"):  # a live call between two recorded ones
            connection.request("GET", f"/weather?city={city}")
            assert json.loads(connection.getresponse().read())["city"] == city
        connection.close()


@pytest.mark.parametrize("library", [http.client, urllib3.connection], ids=["http.client", "urllib3"])
def test_a_connection_of_tls_has_a_socket_that_has_seen_no_certificate(recorder: Recorder, library: Any) -> None:
    url = recorder.provider.url
    recorder.record(lambda: opener().open(f"{url}/weather?city=London").read())
    recorder.path.write_text(recorder.path.read_text().replace(url, "https://service.test:8443"))

    def run() -> Any:
        connection = library.HTTPSConnection("service.test", 8443)
        connection.connect()
        connection.request("GET", "/weather?city=London", headers={"Accept-Encoding": "identity"})
        response = connection.getresponse()
        return connection.sock.getpeername(), connection.sock.getpeercert(), connection.sock.version(), response.status

    assert recorder.replay(run) == (("service.test", 8443), {}, None, 200)


@pytest.mark.parametrize("use", [lambda sock: sock.sendall(b"PING"), lambda sock: sock.recv(4)], ids=["send", "read"])
def test_bytes_past_http_are_refused(recorder: Recorder, use: Callable[[Any], object]) -> None:
    parts = urlsplit(recorder.provider.url)

    def run() -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        connection.connect()
        use(connection.sock)

    recorder.record(lambda: opener().open(f"{recorder.provider.url}/weather?city=London").read())
    told = rf"the socket of a connection of http\.client to 127\.0\.0\.1:{parts.port} cannot be recorded or replayed"
    with pytest.raises(NetworkBlockedError, match=told), use_cassette(recorder.path):
        run()
    with pytest.raises(NetworkBlockedError, match=told):
        recorder.record(run)


def test_a_connection_that_does_not_open_itself(recorder: Recorder) -> None:
    parts = urlsplit(recorder.provider.url)

    def run(connects: bool = True) -> Any:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        connection.auto_open = 0
        if connects:
            connection.connect()
        connection.request("GET", "/weather?city=London")
        return connection.getresponse().read()

    recorder.both(run)
    with pytest.raises(http.client.NotConnected), use_cassette(recorder.path):
        run(connects=False)


def test_a_failure_to_connect_is_raised_when_the_request_is_sent(recorder: Recorder) -> None:
    def run() -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", 9)
        connection.connect()
        with pytest.raises(ConnectionRefusedError):
            connection.request("GET", "/")
        return connection.sock

    assert recorder.record(run, allow_errors=True) is None
    recorder.replay(run)


def failure(run: Callable[[], Any]) -> tuple[object, ...]:
    try:
        run()
    except Exception as caught:  # noqa: BLE001  # whichever it is
        reason = getattr(caught, "reason", None)
        return type(caught).__name__, str(caught), type(reason).__name__, getattr(reason, "errno", None)
    return ("",)


@pytest.mark.parametrize("kind", ["hung up", "too late", "refused"])
def test_a_failure_is_raised_again(recorder: Recorder, kind: str) -> None:
    url = f"{recorder.provider.url}/weather"
    if kind == "refused":
        recorder.provider.stop()
    else:
        recorder.provider.reply(hang_up() if kind == "hung up" else raw(b"", delay=1), to="/weather")

    def run() -> tuple[object, ...]:
        return failure(lambda: opener().open(url, timeout=0.3))

    live = recorder.record(run, allow_errors=True)
    assert live[0]
    assert recorder.replay(run, allow_errors=True) == live


def test_a_stream_left_early_is_replayed_as_far_as_it_was_read(recorder: Recorder) -> None:
    recorder.provider.reply(raw(EVENTS, STREAM, chunk_delay=0.1), to="/body")

    def run(count: int = 2) -> list[bytes]:
        with opener().open(f"{recorder.provider.url}/body") as response:
            return [response.readline() for _ in range(count)]

    live = recorder.record(run)
    assert recorder.replay(run) == live
    with pytest.raises(StreamingReplayError), use_cassette(recorder.path):
        run(9)


def test_a_request_whose_answer_nobody_waits_for_is_recorded(recorder: Recorder) -> None:
    def run() -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(urlsplit(recorder.provider.url).netloc)
        connection.request("POST", "/echo", b"12", {"Content-Type": "text/plain"})
        return connection

    recorder.both(lambda: run().close())
    assert [call.request["text"] for call in recorder.interactions] == ["12"]
    assert recorder.provider.hits == 1
    with pytest.raises(StreamingReplayError, match="the agent stopped waiting"):
        recorder.replay(lambda: run().getresponse())


def test_the_first_line_reaches_the_agent_when_it_is_sent(recorder: Recorder) -> None:
    recorder.provider.reply(raw(EVENTS, STREAM, chunk_delay=0.3), to="/body")
    seen: list[float] = []

    def run() -> None:
        with opener().open(f"{recorder.provider.url}/body") as response:
            seen.extend(time.perf_counter() for _ in response)

    recorder.record(run, freeze=())
    assert seen[-1] - seen[0] > 0.4


def test_xmlrpc(recorder: Recorder) -> None:
    answer = xmlrpc.client.dumps((42,), methodresponse=True).encode()
    recorder.provider.reply(raw(answer, {"content-type": "text/xml"}), to="/RPC2")
    recorder.both(lambda: xmlrpc.client.ServerProxy(recorder.provider.url).answer("to", "everything"))


def test_httplib2(recorder: Recorder) -> None:
    httplib2 = pytest.importorskip("httplib2")

    def run() -> Any:
        response, content = httplib2.Http(timeout=5).request(f"{recorder.provider.url}/weather?city=London")
        return response.status, content

    recorder.record(run)
    recorder.provider.stop()
    recorder.replay(run)
    assert len(recorder.interactions) == 1


def test_below_urllib3_nothing_is_recorded_twice(recorder: Recorder) -> None:
    recorder.provider.script(error(503), to="/weather")

    def run() -> int:
        retries = urllib3.Retry(total=3, status_forcelist=[503], backoff_factor=0)
        return urllib3.PoolManager(retries=retries).request("GET", f"{recorder.provider.url}/weather?city=Oslo").status

    recorder.both(run)
    assert len(recorder.interactions) == 1


def test_in_replay_nothing_goes_out(recorder: Recorder) -> None:
    recorder.record(lambda: opener().open(f"{recorder.provider.url}/weather?city=London").read())
    with pytest.raises(UnmatchedInteractionError), use_cassette(recorder.path):
        opener().open(f"{recorder.provider.url}/weather?city=Rome")
    assert recorder.provider.hits == 1


@pytest.mark.parametrize("first", ["mock", "session"])
def test_a_mock_of_the_users_own_answers(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    class Mocked(http.client.HTTPResponse):
        def __init__(self) -> None:
            self.fp, self.msg, self.status, self.reason = io.BytesIO(b"mocked"), http.client.HTTPMessage(), 200, "OK"
            self.chunked, self.length, self.will_close, self.headers = False, 6, True, self.msg
            self._method, self.code, self.version = "GET", 200, 11

    def mock() -> None:
        monkeypatch.setattr(http.client.HTTPConnection, "request", lambda *_, **__: None)
        monkeypatch.setattr(http.client.HTTPConnection, "getresponse", lambda _: Mocked())

    if first == "mock":
        mock()
    with use_cassette(recorder.path, mode="all") as session:
        mock()
        assert opener().open("http://mocked.test/").read() == b"mocked"
    assert session.interactions == []


def test_a_tunnel_through_a_proxy_is_not_opened_in_replay(recorder: Recorder) -> None:
    parts = urlsplit(recorder.provider.url)

    def run(port: int | None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        if port != parts.port:
            connection.set_tunnel(str(parts.hostname), parts.port)
        connection.request("GET", "/weather?city=London")
        return connection.getresponse().read()

    live = recorder.record(lambda: run(parts.port))
    assert recorder.replay(lambda: run(9)) == live


def test_a_live_call_goes_to_the_model_of_the_configuration(recorder: Recorder) -> None:
    def run() -> bytes:
        body = json.dumps({"model": "asked", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        url = f"{recorder.provider.openai_url}/chat/completions"
        headers = {"Content-Type": "application/json", "Authorization": "Bearer sk-test-key"}
        return opener().open(urllib.request.Request(url, data=body, headers=headers)).read()

    recorder.record(run)
    with use_cassette(recorder.path, live={"llm"}, config=Config.from_mapping({"model_override": "another/one"})):
        run()
    assert [each.json()["model"] for each in recorder.provider.requests] == ["asked", "another/one"]
    assert recorder.interactions[0].boundary == "openai.chat"


def test_a_large_upload_in_many_parts(recorder: Recorder) -> None:
    def run() -> int:
        request = urllib.request.Request(f"{recorder.provider.url}/up", data=io.BytesIO(b"x" * 2_000_000))
        request.add_header("Content-Length", "2000000")
        return opener().open(request).status

    recorder.provider.reply(raw(b"ok"), to="/up")
    recorder.both(run)
    assert len(recorder.provider.requests[0].body) == 2_000_000
