"""Streams: as they come when recording, as they came when replaying."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import http.client
import re
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import aiohttp
import anyio
import httpx
import httpx2
import pytest
import requests
from aiohttp import web

from pytest_agenttape import RecordingRefusedError, StreamingReplayError, use_cassette
from pytest_agenttape.transports import pacing
from tests.standin import raw
from tests.standin.server import _Running
from tests.transports.conftest import Recorder
from tests.transports.http_clients import Aiohttp, HttpxOverAiohttp, Requests

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b"data: [DONE]\n\n"]


class Gate:
    """A server that sends an event, and the next one only when it is told."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.hits = 0
        self.closed = threading.Event()
        self._running = _Running(self._application, 0)
        self.url = f"http://127.0.0.1:{self._running.port}/events"

    def open(self) -> None:
        self._running._loop.call_soon_threadsafe(self.opened.set)

    def stop(self) -> None:
        self._running.stop()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/events", self._events)
        return application

    async def _events(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(EVENTS[0])
        try:
            await asyncio.wait_for(self.opened.wait(), 10)
            await response.write(EVENTS[1])
            await response.write(EVENTS[2])
        except TimeoutError:
            await response.write(b"data: nobody saw the first event\n\n")
        finally:
            self.closed.set()
        return response


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()
    made.stop()


def test_the_first_event_reaches_the_agent_while_the_server_holds_the_second(
    recorder: Recorder, gate: Gate, client: Any
) -> None:
    live = recorder.record(lambda: client.chunks(gate.url, seen=lambda _: gate.open()))
    assert live[0] == EVENTS[0]
    assert b"".join(live) == b"".join(EVENTS)
    assert gate.hits == 1


def test_events_are_replayed_one_by_one(recorder: Recorder, client: Any) -> None:
    url = f"{recorder.provider.url}/events?count=4&delay=0.01"
    live = recorder.record(lambda: client.chunks(url))
    again = recorder.replay(lambda: client.chunks(url))
    assert again == [b'id: %d\nevent: tick\ndata: {"n":%d}\n\n' % (number, number) for number in range(4)]
    assert b"".join(again) == b"".join(live)


def test_events_are_replayed_one_by_one_wherever_the_wire_cut_them(recorder: Recorder, client: Any) -> None:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}, chunk_bytes=7), to="/cut")
    url = f"{recorder.provider.url}/cut"
    recorder.record(lambda: client.chunks(url))
    assert recorder.replay(lambda: client.chunks(url)) == EVENTS


def test_lines_of_ndjson_are_replayed_one_by_one(recorder: Recorder, client: Any) -> None:
    lines = [b'{"n":0}\n', b'{"n":1}\n', b'{"done":true}\n']
    recorder.provider.reply(raw(lines, {"content-type": "application/x-ndjson"}, chunk_delay=0.01), to="/lines.nd")
    url = f"{recorder.provider.url}/lines.nd"
    live = recorder.both(lambda: client.chunks(url))
    assert live == lines or isinstance(client, Aiohttp | HttpxOverAiohttp)  # which join what has come already


def test_a_compressed_stream_is_stored_readably(recorder: Recorder, client: Any) -> None:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}, encoding="gzip"), to="/gz")
    url = f"{recorder.provider.url}/gz"
    recorder.record(lambda: client.chunks(url))
    assert recorder.replay(lambda: client.chunks(url)) == EVENTS
    assert len(recorder.interactions[0].response["events"]) == 3


@pytest.mark.parametrize("encoding", ["identity", "gzip", "br", "zstd", "deflate"])
def test_a_stream_that_is_left_after_its_last_event_is_whole(recorder: Recorder, client: Any, encoding: Any) -> None:
    if encoding == "zstd" and (isinstance(client, Aiohttp | Requests) or client.library is httpx2):
        pytest.importorskip("backports.zstd")  # aiohttp refuses what it cannot decode, the others pass it on
    delivery = {"encoding": encoding, "chunk_delay": 0.02}
    recorder.provider.reply(raw([*EVENTS, b": bye\n\n"], {"content-type": "text/event-stream"}, **delivery), to="/done")
    url = f"{recorder.provider.url}/done"
    recorder.record(lambda: client.chunks(url, take=3))
    assert "complete" not in recorder.interactions[0].response
    assert recorder.replay(lambda: client.chunks(url)) == EVENTS


@pytest.mark.parametrize("take", [2, 3], ids=["in the middle", "after the last event"])
@pytest.mark.parametrize("library", ["httpx2", "requests"])
def test_a_stream_that_is_not_left_yet_is_a_call_that_assertions_see(
    recorder: Recorder, library: str, take: int
) -> None:
    recorder.provider.reply(
        raw([*EVENTS, b": bye\n\n"], {"content-type": "text/event-stream"}, chunk_delay=0.05), to="/done"
    )
    url = f"{recorder.provider.url}/done"
    with use_cassette(recorder.path, mode="all") as session, contextlib.ExitStack() as stack:
        if library == "httpx2":
            chunks = stack.enter_context(httpx2.stream("GET", url)).iter_raw()
        else:
            chunks = stack.enter_context(requests.get(url, stream=True)).iter_content(None)
        read = [next(chunks) for _ in range(take)]
        [made] = session.interactions
        assert len(made.response["events"]) == take
        assert made.response.get("complete", True) is (take == 3)
        read += chunks
        [made] = session.interactions
        assert made.response.get("complete", True)
    assert read == [*EVENTS, b": bye\n\n"]
    assert recorder.replay(lambda: b"".join(httpx2.get(url).iter_bytes())) == b"".join(read)


class TestAStreamThatIsLeftEarly:
    def test_is_replayed_as_far_as_it_was_read(self, recorder: Recorder, client: Any) -> None:
        url = f"{recorder.provider.url}/events?count=5&delay=0.05"
        recorder.both(lambda: client.chunks(url, take=2))
        assert recorder.interactions[0].response["complete"] is False
        assert len(recorder.interactions[0].response["events"]) == 2

    def test_refuses_to_be_read_further(self, recorder: Recorder, client: Any) -> None:
        url = f"{recorder.provider.url}/events?count=5&delay=0.05"
        recorder.record(lambda: client.chunks(url, take=2))
        with pytest.raises(StreamingReplayError, match="its reader stopped early"):
            recorder.replay(lambda: client.chunks(url, take=3))

    @pytest.mark.variants(3)
    def test_frees_its_connection_while_recording(
        self, recorder: Recorder, client: Any, recwarn: pytest.WarningsRecorder
    ) -> None:
        gc.collect()  # of what other tests left open
        recwarn.clear()
        url = f"{recorder.provider.url}/events?count=50&delay=0.01"
        recorder.record(lambda: client.chunks(url, take=1))
        gc.collect()
        warned = [str(each.message) for each in recwarn if issubclass(each.category, ResourceWarning)]
        # httpx and httpcore themselves leave async generators to the garbage collector.
        assert [
            each for each in warned if not each.startswith(("Async generator 'httpx", "Async generator 'httpcore"))
        ] == []


def _read_by_requests(url: str) -> bytes:
    with requests.get(url, stream=True) as response:
        return bytes(response.raw.read(2000))


def _read_by_http_client(url: str) -> bytes:
    connection = http.client.HTTPConnection(url.split("/")[2])
    connection.request("GET", f"/{url.split('/', 3)[3]}")
    with contextlib.closing(connection):
        return connection.getresponse().read(2000)


def _collected(pieces: Iterable[bytes]) -> bytes:
    read = b""
    for piece in pieces:
        read += piece
        if len(read) >= 2000:
            break
    return read


def _collect_by_requests(url: str) -> bytes:
    with requests.get(url, stream=True) as response:
        return _collected(response.iter_content(500))


def _collect_by_httpx(url: str) -> bytes:
    with httpx.stream("GET", url) as response:
        return _collected(response.iter_bytes())


def _collect_by_aiohttp(url: str) -> bytes:
    async def collect() -> bytes:
        read = b""
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            async for piece in response.content.iter_chunked(500):
                read += piece
                if len(read) >= 2000:
                    break
        return read

    return asyncio.run(collect())


KEYS = [f"key {number} is ghp_{number:04}aB3dE6gH9jK2mN5pQ8sT1vW4\n".encode() for number in range(400)]


class TestABodyThatIsLeftEarlyAndThatRedactionMadeShorter:
    @pytest.mark.parametrize("length", [{}, {"content-length": str(sum(map(len, KEYS)))}], ids=["chunked", "sized"])
    @pytest.mark.parametrize(
        "read",
        [_read_by_requests, _read_by_http_client, _collect_by_requests, _collect_by_httpx, _collect_by_aiohttp],
    )
    def test_is_replayed_as_far_as_it_was_read(
        self, recorder: Recorder, read: Callable[[str], bytes], length: dict[str, str]
    ) -> None:
        recorder.provider.reply(raw(KEYS, {"content-type": "text/plain", **length}, chunk_delay=0.001), to="/keys")
        live = recorder.record(lambda: read(f"{recorder.provider.url}/keys"))
        stored = recorder.interactions[0].response
        assert stored["complete"] is False
        assert stored["bytes_read"] >= len(live) >= 2000
        replayed = recorder.replay(lambda: read(f"{recorder.provider.url}/keys")).decode()
        assert len(replayed) == len(live)  # its keys are as long as those that were taken out
        assert re.sub(r"ghp_REDACTEDn([0-9]{4})\w+", r"REDACTED\1", replayed) == stored["text"]

    def test_says_nothing_of_its_length_where_nothing_was_redacted(self, recorder: Recorder) -> None:
        recorder.provider.reply(
            raw([b"no key\n" * 100] * 90, {"content-type": "text/plain"}, chunk_delay=0.001), to="/"
        )
        recorder.record(lambda: _read_by_requests(f"{recorder.provider.url}/"))
        assert recorder.interactions[0].response.keys() >= {"complete", "text"}
        assert "bytes_read" not in recorder.interactions[0].response

    def test_ends_where_its_events_ended(self, recorder: Recorder, client: Any) -> None:
        events = [b"data: " + key + b"\n" for key in KEYS[:5]]
        recorder.provider.reply(raw(events, {"content-type": "text/event-stream"}, chunk_delay=0.05), to="/events")
        url = f"{recorder.provider.url}/events"
        recorder.record(lambda: client.chunks(url, take=2))
        assert len(recorder.replay(lambda: client.chunks(url, take=2))) == 2
        with pytest.raises(StreamingReplayError, match="its reader stopped early"):
            recorder.replay(lambda: client.chunks(url, take=3))


def test_a_stream_that_is_never_closed_is_kept_as_far_as_it_was_read(recorder: Recorder) -> None:
    url = f"{recorder.provider.url}/events?count=5&delay=0.05"

    def read_one() -> bytes:
        response = requests.get(url, stream=True)
        return next(response.iter_content(chunk_size=None))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        recorder.both(read_one)
    assert recorder.interactions[0].response["complete"] is False


def test_an_answer_that_is_never_read_is_kept(recorder: Recorder) -> None:
    url = f"{recorder.provider.url}/weather?city=London"
    kept = []

    def ask() -> int:
        kept.append(requests.get(url, stream=True))
        return kept[-1].status_code

    assert recorder.both(ask) == 200


def test_a_server_error_that_is_never_read_is_not_kept(recorder: Recorder) -> None:
    kept = []
    with pytest.raises(RecordingRefusedError, match="500"):
        recorder.record(lambda: kept.append(requests.get(f"{recorder.provider.url}/status/500", stream=True)))
    assert not recorder.path.exists()


class TestAReaderThatIsCancelledWhileItWaits:
    """What the agent gave up on is recorded as far as it came; in replay nothing more comes either."""

    @pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_for_more_of_a_stream(self, recorder: Recorder, gate: Gate, library: Any, backend: str) -> None:
        async def read() -> tuple[list[bytes], bool]:
            taken: list[bytes] = []
            with anyio.move_on_after(0.15) as timeout:
                async with library.AsyncClient() as client, client.stream("GET", gate.url) as response:
                    async for chunk in response.aiter_raw():
                        taken += [chunk]
            return taken, timeout.cancelled_caught

        live = recorder.record(lambda: anyio.run(read, backend=backend))
        assert live == ([EVENTS[0]], True)
        assert recorder.replay(lambda: anyio.run(read, backend=backend)) == live
        assert gate.hits == 1

    @pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_for_any_answer(self, recorder: Recorder, library: Any, backend: str) -> None:
        url = f"{recorder.provider.url}/slow?seconds=3"

        async def ask() -> str:
            with anyio.move_on_after(0.1):
                async with library.AsyncClient() as client:
                    await client.get(url)
                    return "answered"
            return "gave up"

        assert recorder.both(lambda: anyio.run(ask, backend=backend)) == "gave up"
        assert recorder.interactions[0].error["type"] == "CancelledError"

    def test_with_wait_for(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/slow?seconds=3"

        async def ask() -> str:
            async with httpx2.AsyncClient() as client:
                try:
                    await asyncio.wait_for(client.get(url), 0.1)
                except TimeoutError:
                    return (await client.get(f"{recorder.provider.url}/weather?city=London")).text
            return "answered"

        recorder.both(lambda: asyncio.run(ask()))

    def test_and_no_longer_gives_up_is_told(self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
        url = f"{recorder.provider.url}/slow?seconds=3"

        async def ask(seconds: float) -> str:
            async with httpx2.AsyncClient() as client:
                with anyio.move_on_after(seconds):
                    await client.get(url)
            return "gave up"

        recorder.record(lambda: asyncio.run(ask(0.1)))
        monkeypatch.setattr(pacing, "LONGEST_WAIT", 0.1)
        with pytest.raises(StreamingReplayError, match="stopped waiting"):
            recorder.replay(lambda: asyncio.run(ask(30)))

    def test_and_closed_by_another_task(self, recorder: Recorder, gate: Gate) -> None:
        """As clients of long-lived event streams do when they are done."""

        async def listen() -> list[bytes]:
            taken: list[bytes] = []
            async with httpx2.AsyncClient() as client, client.stream("GET", gate.url) as response:

                async def read() -> None:
                    async for chunk in response.aiter_raw():
                        taken[:] += [chunk]

                reading = asyncio.ensure_future(read())
                await asyncio.sleep(0.15)
                assert not reading.done()
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
            return taken

        assert recorder.record(lambda: asyncio.run(listen())) == [EVENTS[0]]
        assert recorder.replay(lambda: asyncio.run(listen())) == [EVENTS[0]]

    @pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
    def test_in_a_thread_whose_stream_another_one_closes(self, recorder: Recorder, gate: Gate, library: str) -> None:
        def listen() -> tuple[list[bytes], bool]:
            taken: list[bytes] = []
            chunks, close = _open(library, gate.url)

            def read() -> None:
                with contextlib.suppress(Exception):  # what a reader gets when its stream is closed differs
                    taken.extend(iter(chunks))

            reading = threading.Thread(target=read, daemon=True)
            reading.start()
            reading.join(0.15)
            was_waiting = reading.is_alive()
            gate_opener.start()
            close()
            reading.join(5)
            assert not reading.is_alive()
            return taken[:1], was_waiting

        gate_opener = threading.Timer(0.05, gate.open)  # a socket that is read is not freed by closing it
        live = recorder.record(listen)
        gate_opener = threading.Timer(0, lambda: None)
        assert recorder.replay(listen) == live == ([EVENTS[0]], True)
        assert gate.hits == 1


class Pushing:
    """A server that answers calls through a long-lived event stream, and ends it when it is told: MCP over SSE."""

    def __init__(self) -> None:
        self.hits = 0
        self._outbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._running = _Running(self._application, 0)
        self.url = f"http://127.0.0.1:{self._running.port}/"

    def stop(self) -> None:
        self._running.stop()

    def _application(self) -> web.Application:
        application = web.Application()
        application.router.add_get("/", self._push)
        application.router.add_post("/", self._take)
        application.router.add_delete("/", self._end)
        return application

    async def _push(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: ready\n\n")
        while (event := await self._outbox.get()) is not None:
            await response.write(event)
        return response

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.hits += 1
        await self._outbox.put(b"data: answer to " + await request.read() + b"\n\n")
        return web.Response(status=202)

    async def _end(self, _: web.Request) -> web.StreamResponse:
        self.hits += 1
        await self._outbox.put(None)
        return web.Response(status=200)


class TestALongLivedEventStream:
    """What comes through it follows the calls that cause it, and it ends no earlier than it did."""

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_beside_calls_of_another_task(self, recorder: Recorder, backend: str) -> None:
        server = Pushing()

        async def converse() -> list[str]:
            log: list[str] = []
            arrived = anyio.Event()

            async def listen(client: httpx2.AsyncClient) -> None:
                nonlocal arrived
                async with client.stream("GET", server.url) as response:
                    async for line in response.aiter_lines():
                        if line:
                            log.append(line)
                            arrived.set()
                log.append("ended")

            async with httpx2.AsyncClient() as client, anyio.create_task_group() as tasks:
                tasks.start_soon(listen, client)
                for number in range(3):
                    await arrived.wait()
                    arrived = anyio.Event()
                    log.append(f"asked {number}")
                    await client.post(server.url, content=b"%d" % number)
                await arrived.wait()
                log.append("done")
                await client.delete(server.url)
            return log

        live = recorder.record(lambda: anyio.run(converse, backend=backend))
        server.stop()
        hits = server.hits
        started = time.perf_counter()
        assert recorder.replay(lambda: anyio.run(converse, backend=backend)) == live
        assert live[:3] == ["data: ready", "asked 0", "data: answer to 0"]
        assert live[-2:] == ["done", "ended"]
        assert server.hits == hits
        assert time.perf_counter() - started < 5

    @pytest.mark.parametrize("library", ["httpx2", "requests"])
    def test_beside_calls_of_another_thread(self, recorder: Recorder, library: str) -> None:
        server = Pushing()

        def converse() -> list[bytes]:
            chunks, close = _open(library, server.url)
            taken: list[bytes] = []
            listening = threading.Thread(target=lambda: taken.extend(chunks), daemon=True)
            listening.start()
            for number in range(3):
                requests.post(server.url, data=b"%d" % number)
            while len(b"".join(taken).split(b"\n\n")) < 4:
                time.sleep(0.01)
            assert listening.is_alive()
            requests.delete(server.url)
            listening.join(5)
            assert not listening.is_alive()
            close()
            return [each for each in b"".join(taken).split(b"\n\n") if each]

        live = recorder.record(converse)
        server.stop()
        assert recorder.replay(converse) == live == [b"data: ready", *(b"data: answer to %d" % n for n in range(3))]

    def test_that_waits_for_calls_that_no_longer_come_goes_on(
        self, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server = Pushing()

        def converse(*, ends_it: bool) -> int:
            chunks, close = _open("httpx2", server.url)
            first = next(chunks)
            if ends_it:
                httpx2.delete(server.url)
            count = len([first, *chunks])
            close()
            return count

        live = recorder.record(lambda: converse(ends_it=True))
        server.stop()
        monkeypatch.setattr(pacing, "LONGEST_WAIT", 0.1)
        with use_cassette(recorder.path):
            assert converse(ends_it=False) == live


def _open(library: str, url: str) -> Any:
    if library == "requests":
        response: Any = requests.get(url, stream=True)
        return response.iter_content(chunk_size=None), response.close
    client = (httpx if library == "httpx" else httpx2).Client()
    response = client.send(client.build_request("GET", url), stream=True)
    return response.iter_raw(), response.close


def test_streams_read_side_by_side_keep_their_own_events(recorder: Recorder) -> None:
    urls = [f"{recorder.provider.url}/events?count={count}&delay=0.01" for count in (3, 5, 7)]

    async def read_all() -> list[bytes]:
        async with httpx2.AsyncClient() as client:

            async def read(url: str) -> bytes:
                async with client.stream("GET", url) as response:
                    return b"".join([chunk async for chunk in response.aiter_raw()])

            return list(await asyncio.gather(*map(read, urls)))

    recorder.both(lambda: asyncio.run(read_all()))
    assert [each.request["url"].split("?")[1] for each in recorder.interactions] == [
        f"count={count}&delay=0.01" for count in (3, 5, 7)
    ]


def test_keyboard_interrupt_in_a_live_call_leaves_nothing(recorder: Recorder, client: Any) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    url = f"{recorder.provider.url}/events?count=3&delay=0.01"
    with pytest.raises(KeyboardInterrupt):
        recorder.record(lambda: client.chunks(url, seen=interrupt))
    assert not recorder.path.exists()


def test_a_stream_that_outlives_its_session_is_kept_as_far_as_it_was_read(recorder: Recorder) -> None:
    url = f"{recorder.provider.url}/events?count=3&delay=0.01"
    with httpx2.Client() as client:
        response = recorder.record(lambda: client.send(client.build_request("GET", url), stream=True))
        assert len(b"".join(response.iter_raw())) > 0  # what is read later is the agent's alone
    assert "events" not in recorder.interactions[0].response


def test_reading_past_a_recording_fails_the_test_though_the_agent_swallows_it(
    pytester: pytest.Pytester, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(
        f"""
        import contextlib, httpx2, os, pytest

        @pytest.mark.agenttape
        def test_stream():
            with contextlib.suppress(Exception):
                with httpx2.stream("GET", "{recorder.provider.url}/events?count=5&delay=0.05") as response:
                    for number, _ in enumerate(response.iter_raw()):
                        if number == int(os.environ["TAKEN"]):
                            break
        """
    )
    monkeypatch.setenv("TAKEN", "1")
    pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    monkeypatch.setenv("TAKEN", "2")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*StreamingReplayError*its reader stopped early*"])
