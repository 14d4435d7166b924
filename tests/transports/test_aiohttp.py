"""aiohttp: what an agent can do with its sessions and answers works in replay as it does live."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pytest_agenttape import StreamingReplayError, UnmatchedInteractionError, use_cassette
from pytest_agenttape.transports import pacing
from tests.standin import hang_up, raw
from tests.transports.conftest import Recorder

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b"data: [DONE]\n\n"]
Use = Callable[[aiohttp.ClientSession], Awaitable[Any]]


def with_session(use: Use, **options: Any) -> Callable[[], Any]:
    """Return an agent that gives *use* a session of its own."""

    async def run() -> Any:
        async with aiohttp.ClientSession(**options) as session:
            return await use(session)

    return lambda: asyncio.run(run())


def with_connector(use: Use, make: Callable[[], aiohttp.BaseConnector]) -> Callable[[], Any]:
    async def run() -> Any:
        async with aiohttp.ClientSession(connector=make()) as session:
            return await use(session)

    return lambda: asyncio.run(run())


async def raised(awaitable: Awaitable[Any]) -> BaseException:
    with pytest.raises(Exception) as caught:  # what it is, is looked at
        await awaitable
    return caught.value


class Wire:
    """A server that sends the same bytes to whoever asks, in pieces, and counts connections."""

    def __init__(self, *pieces: bytes, delay: float = 0, keep_open: bool = False) -> None:
        self.connections = 0
        self.asked: list[bytes] = []
        self._pieces, self._delay, self._keep_open = pieces, delay, keep_open
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.asked.append(connection.recv(65536))
            for piece in self._pieces:
                connection.sendall(piece)
                time.sleep(self._delay)
            while self._keep_open and connection.recv(65536):
                pass


@pytest.fixture
def wire() -> Iterator[Callable[..., Wire]]:
    made: list[Wire] = []

    def make(*pieces: bytes, **options: Any) -> Wire:
        made.append(Wire(*pieces, **options))
        return made[-1]

    yield make
    for each in made:
        each.stop()


@pytest.fixture
def stream(recorder: Recorder) -> str:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}, chunk_delay=0.02), to="/stream")
    return f"{recorder.provider.url}/stream"


# Reading ------------------------------------------------------------------------------------------------------------


async def _lines(content: aiohttp.StreamReader) -> list[bytes]:
    return [line async for line in content]


async def _readline(content: aiohttp.StreamReader) -> list[bytes]:
    lines = []
    while line := await content.readline():
        lines.append(line)
    return lines


async def _until(content: aiohttp.StreamReader) -> list[bytes]:
    found = [await content.readuntil(b"\n\n") for _ in range(3)]
    await content.wait_eof()  # live, the end may come by itself
    return found


async def _exactly(content: aiohttp.StreamReader) -> list[bytes]:
    return [await content.readexactly(7), await content.readexactly(8), await content.read()]


async def _chunked(content: aiohttp.StreamReader) -> list[bytes]:
    return [b"".join([part async for part in content.iter_chunked(5)])]


async def _chunks(content: aiohttp.StreamReader) -> list[tuple[bytes, bool]]:
    pairs = [pair async for pair in content.iter_chunks()]
    return pairs if pairs[-1][0] else pairs[:-1]  # live, the end may come by itself


async def _after_its_end(content: aiohttp.StreamReader) -> list[bytes]:
    await content.wait_eof()
    return [content.read_nowait(), await content.read()]


READERS = [_lines, _readline, _until, _exactly, _chunked, _chunks, _after_its_end]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__.strip("_"))
def test_a_stream_is_read_in_every_way(recorder: Recorder, stream: str, read: Callable[..., Any]) -> None:
    async def use(session: aiohttp.ClientSession) -> Any:
        async with session.get(stream) as response:
            seen = await read(response.content)
            return seen, response.content.at_eof()

    recorder.both(with_session(use))
    assert "complete" not in recorder.interactions[0].response
    assert len(recorder.interactions[0].response["events"]) == 3


def test_data_that_is_given_back_is_recorded_once(recorder: Recorder, stream: str) -> None:
    async def use(session: aiohttp.ClientSession) -> bytes:
        async with session.get(stream) as response:
            first = await response.content.read(4)
            with pytest.warns(DeprecationWarning, match="unread_data"):
                response.content.unread_data(first)
            return await response.read()

    assert recorder.both(with_session(use)) == b"".join(EVENTS)


def test_a_large_body_comes_through_the_flow_control(recorder: Recorder) -> None:
    url = f"{recorder.provider.url}/binary?size=700000"

    async def use(session: aiohttp.ClientSession) -> list[int]:
        async with session.get(url) as whole, session.get(url) as parts:
            return [len(await whole.read()), sum([len(part) async for part in parts.content.iter_chunked(1000)])]

    assert recorder.both(with_session(use)) == [700000, 700000]


def test_a_multipart_answer_is_read_part_by_part(recorder: Recorder) -> None:
    parts = (b"content-type: text/plain\r\n\r\none", b'content-type: application/json\r\n\r\n{"a":1}')
    body = b"".join(b"--x\r\n%s\r\n" % part for part in parts) + b"--x--\r\n"
    recorder.provider.reply(raw(body, {"content-type": "multipart/mixed; boundary=x"}), to="/parts")

    async def use(session: aiohttp.ClientSession) -> list[Any]:
        async with session.get(f"{recorder.provider.url}/parts") as response:
            reader = aiohttp.MultipartReader.from_response(response)
            first: Any = await reader.next()
            text = await first.text()
            second: Any = await reader.next()
            return [text, await second.json(), await reader.next()]

    assert recorder.both(with_session(use)) == ["one", {"a": 1}, None]


def test_the_parts_of_a_response_are_all_there(recorder: Recorder) -> None:
    async def use(session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(f"{recorder.provider.url}/echo?q=%C3%A9#part") as response:
            return {
                "version": response.version,
                "reason": response.reason,
                "url": str(response.url),
                "real": str(response.real_url),
                "method": response.method,
                "type": response.content_type,
                "charset": response.charset,
                "length": response.content_length is None or response.content_length > 0,
                "asked": response.request_info.method,
                "ok": response.ok,
                "json": (await response.json())["query"],
                "class": type(response),
                "content": type(response.content).__name__,
                "text": (await response.text())[:1],
                "closed": response.closed,
            }

    seen = recorder.both(with_session(use))
    assert seen["json"] == [["q", "é"]]
    assert seen["content"] == "StreamReader"


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
def test_a_body_that_ends_with_the_connection(recorder: Recorder, wire: Any, version: bytes) -> None:
    server = wire(
        version + b" 200 Fine\r\ncontent-type: text/plain\r\nx-odd: \xe9\r\n\r\n", b"one ", b"two", delay=0.05
    )

    async def use(session: aiohttp.ClientSession) -> Any:
        async with session.get(server.url) as response:
            return response.version, response.reason, response.raw_headers, await response.text()

    live = recorder.record(with_session(use))
    server.stop()
    assert recorder.replay(with_session(use)) == live
    assert live[3] == "one two"
    assert server.connections == 1


def test_lengths_are_those_of_the_body_that_is_replayed(recorder: Recorder) -> None:
    async def use(session: aiohttp.ClientSession) -> Any:
        async with session.get(f"{recorder.provider.url}/binary?size=300") as response:
            return response.headers["Content-Length"], len(await response.read())

    assert recorder.both(with_session(use)) == ("300", 300)


# Leaving ------------------------------------------------------------------------------------------------------------


def test_the_first_event_comes_before_the_last_is_sent(recorder: Recorder, wire: Any) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    server = wire(head + EVENTS[0], EVENTS[1], delay=0.4)

    async def use(session: aiohttp.ClientSession) -> float:
        started = time.perf_counter()
        async with session.get(server.url) as response:
            assert await response.content.readany() == EVENTS[0]
            return time.perf_counter() - started

    assert recorder.record(with_session(use)) < 0.3


@pytest.mark.parametrize("leave", ["context", "close", "release", "break"])
def test_a_reader_that_leaves_early(recorder: Recorder, stream: str, leave: str) -> None:
    async def use(session: aiohttp.ClientSession) -> list[bytes]:
        response = await session.get(stream)
        taken = [await response.content.readline()]
        if leave == "context":
            async with response:
                taken.append(await response.content.readline())
        elif leave == "break":
            async for line in response.content:
                taken.append(line)
                break
            response.close()
        else:
            getattr(response, leave)()
        return taken

    recorder.both(with_session(use))
    assert recorder.interactions[0].response["complete"] is False
    assert len(recorder.interactions[0].response["events"]) == 1  # whole, though one line was read


def test_a_reader_that_goes_on_where_the_recorded_one_left(recorder: Recorder, stream: str) -> None:
    def reading(count: int) -> Callable[[], Any]:
        async def use(session: aiohttp.ClientSession) -> list[bytes]:
            async with session.get(stream) as response:
                return [await response.content.readany() for _ in range(count)]

        return with_session(use)

    recorder.record(reading(1))
    with pytest.raises(StreamingReplayError, match="its reader stopped early"):
        recorder.replay(reading(2))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_is_only_looked_at_is_whole(recorder: Recorder, method: str) -> None:
    async def use(session: aiohttp.ClientSession) -> int:
        async with session.request(method, f"{recorder.provider.url}/weather?city=London") as response:
            await asyncio.sleep(0.05)
            return response.status

    assert recorder.both(with_session(use)) == 200
    assert "complete" not in recorder.interactions[0].response
    assert recorder.interactions[0].response["json"]["city"] == "London"


def test_a_stream_that_is_closed_by_another_task(recorder: Recorder, wire: Any) -> None:
    server = wire(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + EVENTS[0], keep_open=True)

    async def use(session: aiohttp.ClientSession) -> Any:
        response = await session.get(server.url)
        taken: list[Any] = []

        async def listen(taken: list[Any]) -> None:
            try:
                async for part in response.content.iter_any():
                    taken += [part]
            except aiohttp.ClientConnectionError as error:
                taken.append(str(error))

        listening = asyncio.create_task(listen(taken))
        await asyncio.sleep(0.2)
        response.close()
        await listening
        return taken

    live = recorder.record(with_session(use))
    server.stop()
    assert recorder.replay(with_session(use)) == live == [EVENTS[0], "Connection closed"]
    assert server.connections == 1


class TestATaskThatIsCancelled:
    """What the agent gave up on is recorded as far as it came; in replay nothing more comes either."""

    def test_while_it_waits_for_an_answer(self, recorder: Recorder, wire: Any) -> None:
        server = wire(keep_open=True)

        async def use(session: aiohttp.ClientSession) -> str:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.get(server.url), 0.2)
                return "answered"
            return "gave up"

        assert recorder.record(with_session(use)) == "gave up"
        assert recorder.interactions[0].error["type"] == "CancelledError"
        assert recorder.replay(with_session(use)) == "gave up"
        assert server.connections == 1

    def test_while_it_waits_for_more(self, recorder: Recorder, wire: Any) -> None:
        server = wire(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + EVENTS[0], keep_open=True)

        async def use(session: aiohttp.ClientSession) -> list[bytes]:
            taken: list[bytes] = []
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2), session.get(server.url) as response:
                    async for part in response.content.iter_any():
                        taken += [part]
            return taken

        assert recorder.record(with_session(use)) == [EVENTS[0]]
        assert recorder.interactions[0].response["stream_error"]["type"] == "CancelledError"
        assert recorder.replay(with_session(use)) == [EVENTS[0]]

    def test_while_it_connects(self, recorder: Recorder) -> None:
        class Slow(aiohttp.TCPConnector):
            async def _create_connection(self, *_: Any, **__: Any) -> Any:
                await asyncio.sleep(5)

        async def use(session: aiohttp.ClientSession) -> str:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(session.get("http://127.0.0.1:9/"), 0.2)
            return "gave up"

        recorder.record(with_connector(use, Slow))
        assert recorder.interactions[0].error["type"] == "CancelledError"
        assert recorder.replay(with_session(use)) == "gave up"

    def test_and_no_longer_gives_up_is_told(
        self, recorder: Recorder, wire: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = wire(keep_open=True)

        def waiting(seconds: float) -> Callable[[], Any]:
            async def use(session: aiohttp.ClientSession) -> None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(session.get(server.url), seconds)

            return with_session(use)

        recorder.record(waiting(0.2))
        monkeypatch.setattr(pacing, "LONGEST_WAIT", 0.2)
        with pytest.raises(StreamingReplayError, match="stopped waiting"):
            recorder.replay(waiting(30))


# Failing ------------------------------------------------------------------------------------------------------------


def both_raise(recorder: Recorder, use: Use, **options: Any) -> Any:
    """Return what *use* raises live; replay raises the same class with the same words, and needs no time for it."""

    async def fail(session: aiohttp.ClientSession) -> BaseException:
        return await raised(use(session))

    live = recorder.record(with_session(fail), **options)
    started = time.perf_counter()
    again = recorder.replay(with_session(fail))
    assert (type(again), str(again)) == (type(live), str(live))
    assert time.perf_counter() - started < 0.25
    return again


async def read_all(session: aiohttp.ClientSession, url: str, **options: Any) -> bytes:
    async with session.get(url, **options) as response:
        return await response.read()


class TestAFailure:
    def test_to_connect_says_what_it_knows(self, recorder: Recorder) -> None:
        error = both_raise(recorder, lambda session: read_all(session, recorder.provider.refused_url))
        assert type(error) is aiohttp.ClientConnectorError
        assert isinstance(error.os_error, ConnectionRefusedError)
        assert error.host == "127.0.0.1"

    def test_of_a_server_that_hangs_up_is_retried_as_aiohttp_does(self, recorder: Recorder) -> None:
        recorder.provider.script(hang_up(), hang_up(), to="/gone")
        error = both_raise(recorder, lambda session: read_all(session, f"{recorder.provider.url}/gone"))
        assert type(error) is aiohttp.ServerDisconnectedError
        assert len(recorder.interactions) == 2

    def test_to_understand_an_answer(self, recorder: Recorder, wire: Any) -> None:
        server = wire(b"HTTP/9.9 what\r\n\r\n")
        error = both_raise(recorder, lambda session: read_all(session, server.url))
        assert isinstance(error, aiohttp.ClientResponseError)
        assert error.status == 400

    @pytest.mark.parametrize("content", [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", b"HTTP/1.1 20"])
    def test_in_the_middle(self, recorder: Recorder, wire: Any, content: bytes) -> None:
        server = wire(content)
        both_raise(recorder, lambda session: read_all(session, server.url))

    def test_of_the_status(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/status/404"
        error = both_raise(recorder, lambda session: read_all(session, url, raise_for_status=True))
        assert error.status == 404

    def test_of_a_gzip_stream(self, recorder: Recorder, wire: Any) -> None:
        server = wire(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nno gzip!!")

        async def use(session: aiohttp.ClientSession) -> BaseException:
            return await raised(read_all(session, server.url))

        live = recorder.record(with_session(use))
        assert type(recorder.replay(with_session(use))) is type(live) is aiohttp.ClientPayloadError


class TestATimeout:
    HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nsome"

    @pytest.mark.parametrize("sent", [(), (HEAD,)], ids=["before the answer", "in the body"])
    @pytest.mark.parametrize(
        ("timeout", "kind"),
        [
            (aiohttp.ClientTimeout(total=0.3), TimeoutError),
            (aiohttp.ClientTimeout(sock_read=0.3), aiohttp.SocketTimeoutError),
        ],
        ids=["total", "of the socket"],
    )
    def test_for_an_answer(self, recorder: Recorder, wire: Any, sent: Any, timeout: Any, kind: Any) -> None:
        server = wire(*sent, keep_open=True)
        use = lambda session: read_all(session, server.url, timeout=timeout)  # noqa: E731  # shown beside its use
        error = both_raise(recorder, use, allow_errors="timeout")
        assert type(error) is kind
        assert server.connections == 1

    @pytest.mark.parametrize(
        ("timeout", "kind"),
        [
            (aiohttp.ClientTimeout(total=0.3), TimeoutError),
            (aiohttp.ClientTimeout(connect=0.3), aiohttp.ConnectionTimeoutError),
        ],
        ids=["total", "of connecting"],
    )
    def test_for_a_connection(self, recorder: Recorder, wire: Any, timeout: Any, kind: Any) -> None:
        """The only connection that the session may have is in use."""
        server = wire(self.HEAD, keep_open=True)

        async def use(session: aiohttp.ClientSession) -> BaseException:
            async with session.get(server.url + "held"):
                return await raised(session.get(server.url + "waiting", timeout=timeout))

        run = with_connector(use, lambda: aiohttp.TCPConnector(limit=1))
        live = recorder.record(run, allow_errors="timeout")
        again = recorder.replay(run)
        assert (type(again), str(again)) == (type(live), str(live))
        assert type(again) is kind

    def test_that_runs_out_while_the_agent_does_something_else(self, recorder: Recorder, wire: Any) -> None:
        server = wire(self.HEAD, keep_open=True)

        async def use(session: aiohttp.ClientSession) -> BaseException:
            async with session.get(server.url, timeout=aiohttp.ClientTimeout(total=0.2)) as response:
                assert await response.content.readany() == b"some"
                await asyncio.sleep(0.3)
                return await raised(response.content.readany())

        live = recorder.record(with_session(use), allow_errors="timeout")
        assert type(recorder.replay(with_session(use))) is type(live) is TimeoutError

    def test_of_the_socket_is_not_one_of_a_slow_reader_in_replay(self, recorder: Recorder, stream: str) -> None:
        def reading(pause: float) -> Callable[[], Any]:
            async def use(session: aiohttp.ClientSession) -> list[bytes]:
                async with session.get(stream, timeout=aiohttp.ClientTimeout(sock_read=0.2)) as response:
                    taken = [await response.content.readany()]
                    await asyncio.sleep(pause)
                    return [*taken, await response.read()]

            return with_session(use)

        recorder.record(reading(0))
        assert b"".join(recorder.replay(reading(0.4))) == b"".join(EVENTS)


# Asking -------------------------------------------------------------------------------------------------------------


class TestARequest:
    def echo(self, recorder: Recorder, **options: Any) -> Any:
        async def use(session: aiohttp.ClientSession) -> Any:
            given = {name: value() if callable(value) else value for name, value in options.items()}
            async with session.post(f"{recorder.provider.url}/echo", **given) as response:
                return await response.json()

        return recorder.both(with_session(use))

    def test_of_json(self, recorder: Recorder) -> None:
        assert self.echo(recorder, json={"a": [1, None]})["json"] == {"a": [1, None]}
        assert recorder.interactions[0].request["json"] == {"a": [1, None]}

    def test_of_text(self, recorder: Recorder) -> None:
        assert self.echo(recorder, data="grün")["text"] == "grün"

    def test_of_a_generator(self, recorder: Recorder) -> None:
        async def parts() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        assert self.echo(recorder, data=parts)["text"] == "one two"
        assert recorder.interactions[0].request["text"] == "one two"

    def test_of_a_file_that_aiohttp_closes(self, recorder: Recorder, tmp_path: Path) -> None:
        path = tmp_path / "notes.txt"
        path.write_text("some notes")
        opened = []

        def open_it() -> Any:
            opened.append(path.open("rb"))
            return opened[-1]

        assert self.echo(recorder, data=open_it)["text"] == "some notes"
        assert [file.closed for file in opened] == [True, True]

    def test_of_a_form_with_a_file(self, recorder: Recorder) -> None:
        def form() -> aiohttp.FormData:
            data = aiohttp.FormData({"purpose": "notes"})
            data.add_field("file", io.BytesIO(b"some notes"), filename="notes.txt", content_type="text/plain")
            return data

        assert [each["size"] for each in self.echo(recorder, data=form)["parts"]] == [5, 10]

    def test_that_is_compressed(self, recorder: Recorder) -> None:
        assert self.echo(recorder, data=b"words " * 100, compress="gzip")["text"] == "words " * 100
        assert recorder.interactions[0].request["text"] == "words " * 100

    def test_that_is_expected_to_be_wanted(self, recorder: Recorder) -> None:
        assert self.echo(recorder, data=b"words", expect100=True)["text"] == "words"

    def test_with_credentials_and_cookies(self, recorder: Recorder) -> None:
        headers = {"Authorization": "Basic " + base64.b64encode(b"user:a-long-pass-word").decode()}
        url = f"{recorder.provider.url}/weather?city=London"
        options = {"headers": headers, "cookies": {"sid": "a-long-session-id"}}
        recorder.both(with_session(lambda session: read_all(session, url, **options)))
        assert ("cookie", "sid=a-long-session-id") in recorder.provider.requests[0].headers
        text = recorder.path.read_text()
        assert "a-long" not in text
        assert "dXNlcjph" not in text

    def test_that_went_elsewhere_is_not_answered(self, recorder: Recorder) -> None:
        def asking(word: str) -> Callable[[], Any]:
            return with_session(lambda session: session.post(f"{recorder.provider.url}/echo", json={"word": word}))

        recorder.record(asking("one"))
        with pytest.raises(UnmatchedInteractionError, match="word"):
            recorder.replay(asking("two"))


@pytest.mark.skipif(aiohttp.__version__ < "3.14", reason="what is used up is sent as nothing")
def test_a_generator_cannot_be_sent_to_the_next_hop_live_or_recorded(recorder: Recorder) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"one"

    async def use(session: aiohttp.ClientSession) -> BaseException:
        return await raised(session.post(f"{recorder.provider.url}/redirect?status=307&to=/echo", data=parts()))

    assert type(with_session(use)()) is aiohttp.ClientPayloadError
    assert str(recorder.record(with_session(use))) == str(recorder.replay(with_session(use)))
    assert [each.body for each in recorder.provider.requests] == [b"one", b"one"]


def test_middlewares_and_traces_are_called(recorder: Recorder) -> None:
    recorder.provider.script(raw(b"no", status=503), to="/weather")

    async def retry(request: aiohttp.ClientRequest, handler: Any) -> Any:
        response = await handler(request)
        return response if response.status == 200 else await handler(request)

    def run() -> tuple[int, list[str]]:
        called: list[str] = []
        trace = aiohttp.TraceConfig()

        def hear(name: str) -> Any:
            async def heard(*_: Any) -> None:
                called.append(name)

            return heard

        for name in ("request_start", "connection_create_end", "request_end"):
            getattr(trace, f"on_{name}").append(hear(name))

        async def use(session: aiohttp.ClientSession) -> int:
            async with session.get(f"{recorder.provider.url}/weather?city=London") as response:
                return response.status

        options = {"middlewares": (retry,), "trace_configs": [trace]}
        connector = {"connector": lambda: aiohttp.TCPConnector(force_close=True)}

        async def main() -> int:
            async with aiohttp.ClientSession(connector=connector["connector"](), **options) as session:
                return await use(session)

        return asyncio.run(main()), called

    assert recorder.both(run)[0] == 200
    assert [each.response["status"] for each in recorder.interactions] == [503, 200]


# Sessions and connections -------------------------------------------------------------------------------------------


def test_gathered_requests_are_recorded_in_the_order_of_their_start(recorder: Recorder) -> None:
    urls = [f"{recorder.provider.url}/slow?seconds={(5 - number) / 50}" for number in range(5)]

    async def use(session: aiohttp.ClientSession) -> list[bytes]:
        return list(await asyncio.gather(*(read_all(session, url) for url in urls)))

    recorder.both(with_connector(use, lambda: aiohttp.TCPConnector(limit=2)))
    assert [each.request["url"] for each in recorder.interactions] == urls


def test_a_connection_is_used_again_while_recording(recorder: Recorder) -> None:
    reused: list[bool] = []
    trace = aiohttp.TraceConfig()

    async def heard(*_: Any) -> None:
        reused.append(True)

    trace.on_connection_reuseconn.append(heard)

    async def use(session: aiohttp.ClientSession) -> list[bytes]:
        return [await read_all(session, f"{recorder.provider.url}/echo?n={number}") for number in range(3)]

    recorder.record(with_session(use, trace_configs=[trace]))
    assert len(reused) == 2


def test_a_session_goes_from_a_replay_to_live_calls(recorder: Recorder) -> None:
    """A connection that only replays must never be used for what is live."""
    url = f"{recorder.provider.url}/weather?city="

    async def run() -> list[Any]:
        seen: list[Any] = []
        async with aiohttp.ClientSession() as session:
            seen.append(await read_all(session, url + "Paris"))
            with use_cassette(recorder.path, mode="new_episodes"):
                seen += [await read_all(session, url + "London"), await read_all(session, url + "Oslo")]
            seen.append(await read_all(session, url + "London"))
        return seen

    recorder.record(with_session(lambda session: read_all(session, url + "London")))
    hits = recorder.provider.hits
    seen = asyncio.run(run())
    assert [b"Paris" in seen[0], b"London" in seen[1], b"Oslo" in seen[2], b"London" in seen[3]] == [True] * 4
    assert recorder.provider.hits == hits + 3


def test_threads_with_loops_of_their_own(recorder: Recorder) -> None:
    def run() -> list[bytes]:
        answers: dict[int, bytes] = {}

        def ask(number: int) -> None:
            url = f"{recorder.provider.url}/echo?n={number}"
            answers[number] = with_session(lambda session: read_all(session, url))()

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[number] for number in range(4)]

    recorder.both(run)


def test_a_unix_socket(recorder: Recorder, tmp_path: Path) -> None:
    path = str(tmp_path / "s")

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"by": "unix"})

    async def record() -> Any:
        application = web.Application()
        application.router.add_get("/who", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        try:
            return await ask()
        finally:
            await runner.cleanup()

    async def ask() -> Any:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session:
            return await read_all(session, "http://localhost/who")

    live = recorder.record(lambda: asyncio.run(record()))
    assert recorder.replay(lambda: asyncio.run(ask())) == live


def test_a_connector_of_the_users_own_is_recorded_and_not_needed_in_replay(recorder: Recorder) -> None:
    used = []

    class Own(aiohttp.TCPConnector):
        async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:
            used.append(str(req.url.path))
            return await super().connect(req, traces=traces, timeout=timeout)

        async def _create_connection(self, *args: Any, **options: Any) -> Any:
            used.append("connected")
            return await super()._create_connection(*args, **options)

    run = with_connector(lambda session: read_all(session, f"{recorder.provider.url}/echo"), Own)
    recorder.both(run)
    assert used == ["/echo", "connected", "/echo"]


@pytest.mark.filterwarnings("error")
def test_nothing_is_left_open_by_a_replay(recorder: Recorder, stream: str) -> None:
    async def use(session: aiohttp.ClientSession) -> bytes:
        async with session.get(stream) as response:
            await response.content.readany()
        return await read_all(session, f"{recorder.provider.url}/redirect")

    recorder.both(with_session(use))


# Beside it ----------------------------------------------------------------------------------------------------------


async def _application(provider: str) -> web.Application:
    async def handle(request: web.Request) -> web.Response:
        async with aiohttp.ClientSession() as session:
            return web.Response(body=request.app["known"] + await read_all(session, f"{provider}/echo"))

    async def start(application: web.Application) -> None:
        async with aiohttp.ClientSession() as session:
            application["known"] = await read_all(session, f"{provider}/weather?city=London")

    application = web.Application()
    application.router.add_get("/", handle)
    application.on_startup.append(start)
    return application


@pytest.mark.filterwarnings("ignore::aiohttp.web_exceptions.NotAppKeyWarning")
def test_an_application_under_test_runs_in_replay_and_what_it_asks_is_replayed(recorder: Recorder) -> None:
    from aiohttp.test_utils import TestClient, TestServer

    async def run() -> bytes:
        async with TestClient(TestServer(await _application(recorder.provider.url))) as client:
            return await (await client.get("/")).read()

    live = recorder.record(lambda: asyncio.run(run()))
    recorder.provider.stop()
    assert recorder.replay(lambda: asyncio.run(run())) == live
    asked = [each.request["url"].rpartition("/")[2] for each in recorder.interactions]
    assert asked == ["weather?city=London", "echo"]


def test_what_is_not_recorded_fails_the_test_though_the_agent_swallows_it(
    pytester: pytest.Pytester, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        f"""
        import asyncio, contextlib, os, aiohttp, pytest

        async def ask():
            async with aiohttp.ClientSession() as session:
                with contextlib.suppress(Exception):
                    async with session.get("{recorder.provider.url}/echo?q=" + os.environ["ASKED"]) as response:
                        await response.read()

        @pytest.mark.agenttape
        def test_it():
            asyncio.run(ask())
        """
    )
    monkeypatch.setenv("ASKED", "this")
    pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    monkeypatch.setenv("ASKED", "that")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError: GET *that* matches no unplayed interaction*"])
    assert recorder.provider.hits == 1


@pytest.mark.parametrize("order", ["inside", "around"])
def test_what_aioresponses_answers_is_not_recorded_and_what_it_lets_through_is(recorder: Recorder, order: str) -> None:
    aioresponses = pytest.importorskip("aioresponses").aioresponses
    real = f"{recorder.provider.url}/weather?city=London"

    async def use(session: aiohttp.ClientSession) -> Any:
        return str(await raised(session.get("http://mocked.test/"))), await read_all(session, real)

    def mocked(run: Callable[[], Any]) -> Any:
        with aioresponses(passthrough=[recorder.provider.url]) as mock:
            mock.get("http://mocked.test/", exception=OSError("by the mock"))  # it makes no answers for aiohttp 3.14
            return run()

    if order == "inside":
        live = recorder.record(lambda: mocked(with_session(use)))
        again = recorder.replay(lambda: mocked(with_session(use)))
    else:
        live = mocked(lambda: recorder.record(with_session(use)))
        again = mocked(lambda: recorder.replay(with_session(use)))
    assert again == live
    assert live[0] == "by the mock"
    assert len(recorder.interactions) == 1
