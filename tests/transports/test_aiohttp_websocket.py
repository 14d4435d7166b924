"""WebSockets of aiohttp: its real client records a real server, and is replayed when that is gone."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from pytest_agenttape import (
    AgentTapeError,
    Cassette,
    Config,
    Session,
    StreamingReplayError,
    UnmatchedInteractionError,
    record_call,
    tool,
    use_cassette,
)
from tests.standin.server import _Running

Use = Callable[[aiohttp.ClientSession, str], Awaitable[Any]]


class Desk:
    """A server that echoes, and the cassette of its clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.connections = 0
        self.asked: list[Any] = []
        self.session: Session
        self._running: _Running | None = _Running(self._application, 0)
        self.url = f"ws://127.0.0.1:{self._running.port}/desk"

    def _application(self) -> web.Application:
        made = web.Application()
        for path, answer in ANSWERS.items():
            made.router.add_get(path, self._counting(answer))
        return made

    def _counting(self, answer: Any) -> Any:
        async def handle(request: web.Request) -> Any:
            self.connections += 1
            self.asked.append(request)
            return await answer(request)

        return handle

    def at(self, path: str) -> str:
        return self.url.replace("/desk", path)

    def stop(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.stop()

    def run(self, use: Use, path: str = "/desk", **options: Any) -> Any:
        async def agent() -> Any:
            async with aiohttp.ClientSession() as session:
                return await use(session, self.at(path))

        with use_cassette(self.path, **options) as self.session:
            return asyncio.run(agent())

    def record(self, use: Use, path: str = "/desk", **options: Any) -> Any:
        return self.run(use, path, mode="all", **options)

    def replay(self, use: Use, path: str = "/desk", **options: Any) -> Any:
        """Run from the cassette with the server gone; all that was recorded is used."""
        self.stop()
        before = self.connections
        result = self.run(use, path, mode="none", **options)
        assert self.connections == before
        assert self.session.unplayed == []
        return result

    def both(self, use: Use, path: str = "/desk", **options: Any) -> Any:
        """Record and replay *use*, which has to find the same."""
        live = self.record(use, path, **options)
        assert self.connections > 0
        assert self.replay(use, path, **options) == live
        return live

    @property
    def recorded(self) -> Any:
        (only,) = Cassette.load(self.path).interactions
        return only

    @property
    def closed(self) -> Any:
        return self.recorded.response.get("closed")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "cassette.yaml")
    yield found
    found.stop()


# Servers


async def echo(request: web.Request) -> Any:
    socket = web.WebSocketResponse(protocols=("chat", "talk"), max_msg_size=0)
    await socket.prepare(request)
    await socket.send_str(json.dumps({"type": "hello"}))
    async for message in socket:
        if message.data == "bye":
            await socket.close(code=4001, message=b"as you like")
        elif message.data == "hang up":
            request.transport.abort()  # type: ignore[union-attr]  # it is there
        elif message.data == "too long":
            await socket.send_str("x" * 200)
        elif message.data == "nonsense":
            request.transport.write(b"\x8f\x00")  # type: ignore[union-attr]  # it is there
        elif message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
        else:
            await socket.send_bytes(message.data)
    return socket


async def deaf(request: web.Request) -> Any:
    """Answer no ping."""
    socket = web.WebSocketResponse(autoping=False)
    await socket.prepare(request)
    await socket.send_str("hello")
    async for _ in socket:
        pass
    return socket


async def unnamed_close(request: web.Request) -> Any:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    request.transport.write(b"\x88\x00")  # type: ignore[union-attr]  # it is there
    await asyncio.sleep(0.1)
    request.transport.abort()  # type: ignore[union-attr]  # it is there
    return socket


async def refuse(request: web.Request) -> Any:  # noqa: ARG001  # whoever asks
    return web.Response(status=401, text="who are you?\n", headers={"WWW-Authenticate": "Bearer"})


async def redirect(request: web.Request) -> Any:
    raise web.HTTPFound(request.url.with_path("/desk"))


async def lie(request: web.Request) -> Any:
    """Agree to a handshake that was not asked for."""
    headers = {"Upgrade": "websocket", "Connection": "upgrade", "Sec-WebSocket-Accept": "bm8="}
    response = web.StreamResponse(status=101, headers=headers)
    await response.prepare(request)
    return response


ANSWERS = {
    "/desk": echo,
    "/deaf": deaf,
    "/unnamed": unnamed_close,
    "/refuse": refuse,
    "/redirect": redirect,
    "/lie": lie,
    "/v1/realtime": echo,
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent": echo,
}


def talk(*messages: Any, **options: Any) -> Use:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url, **options) as socket:
            heard = [(await socket.receive()).data]
            for message in messages:
                await (socket.send_str if isinstance(message, str) else socket.send_bytes)(message)
                heard.append((await socket.receive()).data)
            await socket.ping()
            return heard

    return use


async def raised(awaitable: Awaitable[Any]) -> Any:
    with pytest.raises(Exception) as caught:  # what it is, is looked at
        await awaitable
    return caught.value


HELLO = '{"type": "hello"}'
MESSAGES = (
    '{"a": 1}',
    "plain ü\u2028",
    b"\x00\xff",
    b'{"b":2}',
    "[1,\n 2]",
    "",
    '"text"',
    '{"base64":"x"}',
    "x" * 70_000,
)


# What is said ---------------------------------------------------------------------------------------------------------


def test_a_connection_replays_with_the_server_gone(desk: Desk) -> None:
    assert desk.both(talk(*MESSAGES)) == [HELLO, *MESSAGES]
    assert desk.connections == 1


def test_the_cassette_is_that_of_websockets(desk: Desk) -> None:
    desk.record(talk('{"a": 1}', "plain", b'{"b":2}', b"\xff"))
    recorded = desk.recorded
    assert (recorded.kind, recorded.boundary, recorded.request["url"]) == ("http", None, desk.url)
    assert recorded.response["status"] == 101
    assert recorded.response["messages"] == [
        {"received": {"type": "hello"}, "layout": "spaced"},
        {"sent": {"a": 1}, "layout": "spaced"},
        {"received": {"a": 1}, "layout": "spaced"},
        {"sent": "plain"},
        {"received": "plain"},
        {"sent": {"b": 2}, "frame": "binary"},
        {"received": {"b": 2}, "frame": "binary"},
        {"sent": "/w==", "encoding": "base64"},
        {"received": "/w==", "encoding": "base64"},
    ]
    assert desk.closed == {"code": 1000, "reason": "", "by": "agent"}


def test_either_library_replays_what_the_other_recorded(desk: Desk) -> None:
    client = pytest.importorskip("websockets.asyncio.client")

    async def use(_session: Any, url: str) -> Any:
        async with client.connect(url) as socket:
            heard = [await socket.recv()]
            for message in ("a", b"b"):
                await socket.send(message)
                heard.append(await socket.recv())
            return heard

    live = desk.record(talk("a", b"b", compress=15))
    assert live == [HELLO, "a", b"b"]
    assert desk.run(use, mode="none") == live
    desk.record(use)
    assert desk.replay(talk("a", b"b")) == live


async def as_json(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url) as socket:
        heard = [await socket.receive_json()]
        await socket.send_json({"n": 1})
        heard.append(await socket.receive_json())
        await socket.send_bytes(bytearray(b"\x00"))
        heard.append(await socket.receive_bytes())
        await socket.send_str("text")
        heard.append(await socket.receive_str(timeout=5))
        await socket.send_str("more")
        heard.append(str(await raised(socket.receive_bytes())))
        return heard


async def iterating(session: aiohttp.ClientSession, url: str) -> Any:
    heard = []
    async with session.ws_connect(url) as socket:
        async for message in socket:
            heard.append((message.type, message.data, message.extra))
            await socket.send_str("bye" if len(heard) == 3 else f"{len(heard)}")
    return heard, socket.closed, socket.close_code, socket.exception()


async def negotiating(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url, protocols=("none", "talk"), compress=15, heartbeat=0.05) as socket:
        heard = [await socket.receive_str()]
        for size in (3, 100_000):
            await socket.send_str("x" * size)
            heard.append(await socket.receive_str())
        waiting = asyncio.create_task(socket.receive_str())
        await asyncio.sleep(0.2)
        await socket.send_str("still there")
        return [*heard, await waiting, socket.protocol, socket.compress, socket.client_notakeover]


async def pinging_itself(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url, autoping=False) as socket:
        heard = [await socket.receive()]
        await socket.ping(b"there?")
        return [tuple(each) for each in (*heard, await socket.receive())]


async def after_a_timeout(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url, timeout=aiohttp.ClientWSTimeout(ws_receive=0.2)) as socket:
        heard = [await socket.receive_str(), type(await raised(socket.receive(timeout=0.05)))]
        heard.append(type(await raised(socket.receive())))
        await socket.send_str("a")
        heard.append(await socket.receive_str())
    return heard, socket.close_code


async def after_a_cancellation(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url) as socket:
        heard: list[Any] = [await socket.receive_str()]
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(0.05)
        waiting.cancel()
        heard.append(type((await asyncio.gather(waiting, return_exceptions=True))[0]))
        await socket.send_str("a")
        return [*heard, await socket.receive_str()]


async def reading_in_the_background(session: aiohttp.ClientSession, url: str) -> Any:
    heard: list[Any] = []

    async def read(socket: Any) -> None:
        async for message in socket:
            heard.append(message.data)  # noqa: PERF401  # it is looked at meanwhile

    async with session.ws_connect(url) as socket:
        reader = asyncio.create_task(read(socket))
        for index in range(20):
            await socket.send_json({"n": index})
        while len(heard) < 21:
            await asyncio.sleep(0.01)
    await reader
    return heard, socket.close_code


async def reading_to_the_last(session: aiohttp.ClientSession, url: str) -> Any:
    heard: list[Any] = []

    async def read(socket: Any) -> None:
        while not heard or heard[-1].type not in (WSMsgType.CLOSED, WSMsgType.ERROR):
            heard.append(await socket.receive())

    async with session.ws_connect(url) as socket:
        reader = asyncio.create_task(read(socket))
        await socket.send_str("a")
        while len(heard) < 2:
            await asyncio.sleep(0.01)
    await reader
    return heard, socket.close_code


async def two_readers(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url) as socket:
        await socket.receive()
        found = await asyncio.gather(socket.receive(5), socket.receive(), socket.send_str("a"), return_exceptions=True)
        return [found[0].data, str(found[1])]


async def several_at_once(session: aiohttp.ClientSession, url: str) -> Any:
    return await asyncio.gather(*(talk(*"abc", name)(session, f"{url}?name={name}") for name in "xyz"))


async def several_to_one_address(session: aiohttp.ClientSession, url: str) -> Any:
    async with session.ws_connect(url) as first, session.ws_connect(url) as second:
        for socket, said in ((first, "1"), (second, "2")):
            await socket.send_str(said)
        return [[await socket.receive_str() for _ in range(2)] for socket in (first, second)]


async def many_large_ones(session: aiohttp.ClientSession, url: str) -> Any:
    async def send_all(socket: Any) -> None:
        for index in range(6):
            await socket.send_bytes(bytes([index]) * 120_000)

    async with session.ws_connect(url) as socket:
        await socket.receive()
        sender = asyncio.create_task(send_all(socket))
        heard = [await socket.receive_bytes() for _ in range(6)]
        await sender
        return heard


async def after_a_redirect(session: aiohttp.ClientSession, url: str) -> Any:
    return await talk("a")(session, url.replace("/desk", "/redirect"))


async def in_other_loops(_session: aiohttp.ClientSession, url: str) -> Any:
    def agent(name: str) -> Any:
        async def own() -> Any:
            async with aiohttp.ClientSession() as session:
                return await talk(name)(session, f"{url}?name={name}")

        return asyncio.run(own())

    with ThreadPoolExecutor(2) as pool:
        return [each.result() for each in [pool.submit(agent, name) for name in "ab"]]


async def own_class(_session: aiohttp.ClientSession, url: str) -> Any:
    class Shouting(aiohttp.ClientWebSocketResponse):
        async def receive(self, timeout: float | None = None) -> Any:
            message = await super().receive(timeout)
            return message._replace(data=message.data.upper()) if message.type == WSMsgType.TEXT else message

        async def send_str(self, data: str, compress: int | None = None) -> None:
            await super().send_str(f"{data}!", compress)

    async with aiohttp.ClientSession(ws_response_class=Shouting) as mine:
        return await talk("a")(mine, url)


CONVERSATIONS = [
    as_json, iterating, negotiating, pinging_itself, after_a_timeout, after_a_cancellation, reading_in_the_background,
    reading_to_the_last, two_readers, several_at_once, several_to_one_address, many_large_ones, after_a_redirect,
    in_other_loops, own_class,
]  # fmt: skip


@pytest.mark.parametrize("use", CONVERSATIONS, ids=lambda use: use.__name__)
def test_a_conversation_goes_as_it_went(desk: Desk, use: Any) -> None:
    desk.both(use)


def test_the_agent_gets_the_librarys_own_class(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url) as socket:
            return type(socket), type(await socket.receive())

    assert desk.both(use) == (aiohttp.ClientWebSocketResponse, aiohttp.WSMessage)


def test_what_opens_it_is_recorded_without_secrets(desk: Desk) -> None:
    def use(password: str) -> Use:
        async def talking(session: aiohttp.ClientSession, url: str) -> Any:
            headers = {"Authorization": f"Token {password}", "X-Asked": "yes"}
            return await talk("a")(session, url) and await talk("a", headers=headers, params={"lang": "de"})(
                session, url
            )

        return talking

    live = desk.record(use("sk-0123456789abcdefghijklmnop"))
    request = Cassette.load(desk.path).interactions[1].request
    assert request["url"] == f"{desk.url}?lang=de"
    assert request["headers"]["X-Asked"] == "yes"
    assert desk.asked[1].headers["Authorization"] == "Token sk-0123456789abcdefghijklmnop"
    assert "0123456789abcdef" not in desk.path.read_text()
    assert desk.replay(use("sk-another-0123456789")) == live


@pytest.mark.parametrize(
    ("path", "boundary", "model"),
    [
        ("/v1/realtime?model=gpt-realtime", "openai.realtime", "gpt-realtime"),
        ("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "gemini.live", None),
    ],
)
def test_the_realtime_apis_are_llm_calls(desk: Desk, path: str, boundary: str, model: str | None) -> None:
    desk.both(talk("a"), path)
    recorded = desk.recorded
    assert (recorded.kind, recorded.boundary, recorded.metadata.get("model")) == ("llm", boundary, model)


def test_a_secret_in_a_message_is_redacted_and_still_matches(desk: Desk) -> None:
    secret = json.dumps({"api_key": "sk-proj-0123456789abcdefghijklmnop", "n": 1})
    desk.record(talk(secret))
    assert "0123456789abcdefghij" not in desk.path.read_text()
    desk.replay(talk(secret.replace("0123", "4567")))


def test_tls_is_not_spoken_in_replay(desk: Desk) -> None:
    desk.record(talk("a"))
    desk.path.write_text(desk.path.read_text().replace("ws://", "wss://"))
    desk.url = desk.url.replace("ws://", "wss://")
    assert desk.replay(talk("a")) == [HELLO, "a"]


# Drift ----------------------------------------------------------------------------------------------------------------


def test_a_message_that_differs_is_refused(desk: Desk) -> None:
    desk.record(talk("a", "b"))
    with pytest.raises(UnmatchedInteractionError, match=r"message 2 sent .* is not the recorded one"):
        desk.replay(talk("a", "c"))


def test_a_message_too_many_is_refused(desk: Desk) -> None:
    desk.record(talk("a"))
    with pytest.raises(UnmatchedInteractionError, match="is not in its recording, in which 1 were sent"):
        desk.replay(talk("a", "b"))


def test_a_message_too_few_is_a_drift_too(desk: Desk) -> None:
    desk.record(talk("a", "b"))
    with pytest.raises(UnmatchedInteractionError, match="closed this WebSocket without a message"):
        desk.replay(talk("a"))


def left_open(*messages: str) -> Use:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        socket = await session.ws_connect(url)
        heard = [await socket.receive_str()]
        for message in messages:
            await socket.send_str(message)
            heard.append(await socket.receive_str())
        return heard

    return use


def test_a_socket_that_is_left_to_its_session(desk: Desk) -> None:
    assert desk.both(left_open("a")) == [HELLO, "a"]
    assert desk.closed is None


def test_a_message_that_is_never_sent_through_an_open_socket_fails(desk: Desk) -> None:
    desk.record(left_open("a", "b"))
    with pytest.raises(UnmatchedInteractionError, match="closed this WebSocket without a message"):
        desk.replay(left_open("a"))


def test_a_swallowed_drift_fails_the_test(desk: Desk, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import aiohttp, contextlib, os, pytest

        @pytest.mark.agenttape
        async def test_it():
            async with aiohttp.ClientSession() as session, session.ws_connect("{desk.url}") as socket:
                with contextlib.suppress(Exception):
                    await socket.receive()
                    await socket.send_str(os.environ["SAID"])
                    await socket.receive()
        """
    )
    pytester.makeini("[pytest]\nasyncio_mode = auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAID", "a")
        pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
        desk.stop()
        pytester.runpytest_subprocess().assert_outcomes(passed=1)
        patch.setenv("SAID", "b")
        result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*message 1 sent through this WebSocket is not the recorded one*"])


def test_a_reader_that_waits_for_more_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def greedy(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url) as socket:
            return [await socket.receive(), await socket.receive()]

    desk.record(talk())
    monkeypatch.setattr("pytest_agenttape.transports.websocket.replay._GRACE", 0.1)
    with pytest.raises(StreamingReplayError, match="waits for another message"):
        desk.replay(greedy)


def test_a_connection_that_is_not_recorded_is_not_opened(desk: Desk) -> None:
    with use_cassette(desk.path, mode="all"):
        record_call("tool", {}, lambda: None)
    with pytest.raises(UnmatchedInteractionError, match="matches no unplayed interaction"):
        desk.run(talk(), mode="none")
    assert desk.connections == 0


def test_an_error_of_the_agents_own_is_not_hidden(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url) as socket:
            await socket.receive()
            raise LookupError("mine")

    desk.record(talk("a"))
    with pytest.raises(LookupError, match="mine"):
        desk.replay(use)


# Ends -----------------------------------------------------------------------------------------------------------------


async def until_it_ends(session: aiohttp.ClientSession, url: str, said: str = "bye", **options: Any) -> Any:
    async with session.ws_connect(url, **options) as socket:
        await socket.receive()
        await socket.send_str(said)
        message = await socket.receive()
        error = await raised(socket.send_str("more")) if socket.closed else None
        data = (type(message.data), str(message.data)) if isinstance(message.data, Exception) else message.data
        after = await socket.receive() if socket.closed else None
    return message.type, data, message.extra, type(error), after, socket.close_code, type(socket.exception())


def ending(said: str = "bye", **options: Any) -> Use:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        return await until_it_ends(session, url, said, **options)

    return use


def test_the_servers_close_comes_again(desk: Desk) -> None:
    assert desk.both(ending())[:3] == (WSMsgType.CLOSE, 4001, "as you like")
    assert desk.closed == {"code": 4001, "reason": "as you like", "by": "server"}


def test_the_servers_close_is_not_answered_for_who_does_that_himself(desk: Desk) -> None:
    assert desk.both(ending(autoclose=False))[:3] == (WSMsgType.CLOSE, 4001, "as you like")


def test_a_close_without_a_code(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url) as socket:
            return tuple(await socket.receive()), socket.close_code

    assert desk.both(use, "/unnamed") == ((WSMsgType.CLOSE, 0, ""), 1006)
    assert desk.closed["code"] == 1005


def test_a_lost_connection_is_lost_again(desk: Desk) -> None:
    assert desk.both(ending("hang up"))[0] == WSMsgType.CLOSED
    assert desk.closed == {"code": 1006, "reason": "", "by": "server"}


def test_a_message_that_is_too_big_is_so_again(desk: Desk) -> None:
    found = desk.both(ending("too long", max_msg_size=100))
    assert (found[0], found[1][0], found[5]) == (WSMsgType.ERROR, aiohttp.WebSocketError, 1009)


def test_what_is_no_frame_is_none_again(desk: Desk) -> None:
    found = desk.both(ending("nonsense"))
    assert (found[0], found[1][0], found[5]) == (WSMsgType.ERROR, aiohttp.WebSocketError, 1002)


def test_a_ping_that_was_not_answered_is_not_answered_again(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url, heartbeat=0.1) as socket:
            heard = [await socket.receive(), await socket.receive()]
        return [(each.type, str(each.data)) for each in heard], type(socket.exception()), socket.close_code

    found = desk.both(use, "/deaf")
    assert found[0][1][0] == WSMsgType.ERROR
    assert found[1:] == (aiohttp.ServerTimeoutError, 1006)


def test_a_ping_that_was_not_answered_while_nobody_read(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url, heartbeat=0.1) as socket:
            await socket.receive()
            while not socket.closed:
                await asyncio.sleep(0.01)
            error, message = await raised(socket.send_str("a")), await socket.receive()
        return type(error), message.type, type(socket.exception()), socket.close_code

    assert desk.both(use, "/deaf")[2] is aiohttp.ServerTimeoutError


def test_the_agents_close_is_recorded_as_said(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        socket = await session.ws_connect(url)
        await socket.receive()
        closed = [await socket.close(code=4002, message=b"enough"), await socket.close()]
        return closed, socket.close_code, (await socket.receive()).type

    found = desk.both(use)
    assert found[0] == [True, False]
    assert desk.closed == {"code": 4002, "reason": "enough", "by": "agent", "answer": found[1]}


def test_a_sender_without_ears_finds_the_connection_lost(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        async with session.ws_connect(url) as socket:
            await socket.send_str("hang up")
            await asyncio.sleep(0.2)
            return type(await raised(socket.send_str("more")))

    assert desk.both(use) is aiohttp.ClientConnectionResetError


def test_a_sender_is_closed_by_the_server_while_another_task_reads(desk: Desk) -> None:
    async def receive_all(socket: Any) -> Any:
        return [message.data async for message in socket]

    def sending(wait: Callable[[Any], Awaitable[None]]) -> Use:
        async def use(session: aiohttp.ClientSession, url: str) -> Any:
            async with session.ws_connect(url) as socket:
                reader = asyncio.create_task(receive_all(socket))
                await socket.send_str("bye")
                await wait(socket)
                error = await raised(socket.send_str("more"))
                return await reader, type(error)

        return use

    async def until_closed(socket: Any) -> None:
        while not socket.closed:
            await asyncio.sleep(0.01)

    async def at_once(_socket: Any) -> None:
        """The server may be slower or faster than when this was recorded."""

    live = desk.record(sending(until_closed))
    assert live == ([HELLO], aiohttp.ClientConnectionResetError)
    assert desk.replay(sending(until_closed)) == live
    assert desk.replay(sending(at_once)) == live


def test_a_session_that_is_closed_ends_who_waits(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        socket = await session.ws_connect(url)
        heard = [(await socket.receive()).type]
        waiting = asyncio.create_task(socket.receive())
        await asyncio.sleep(0.05)
        await session.close()
        heard.append((await waiting).type)
        return heard, socket.closed, socket.close_code, type(await raised(socket.send_str("a")))

    desk.both(use)
    assert desk.closed == {"code": 1006, "reason": "", "by": "agent"}
    assert desk.recorded.response["waiting"] is True


# Handshakes that fail -------------------------------------------------------------------------------------------------


def failing(**options: Any) -> Use:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        error = await raised(session.ws_connect(url, **options))
        return type(error), str(error), getattr(error, "status", None), dict(getattr(error, "headers", None) or {})

    return use


def test_a_refused_handshake_is_refused_again(desk: Desk) -> None:
    found = desk.both(failing(), "/refuse", allow_errors=[401])
    assert (found[0], found[2]) == (aiohttp.WSServerHandshakeError, 401)
    assert found[3]["WWW-Authenticate"] == "Bearer"
    assert desk.recorded.response["status"] == 401


def test_a_middleware_that_asks_again_does_so_again(desk: Desk) -> None:
    async def elsewhere(request: Any, handler: Any) -> Any:
        response = await handler(request)
        if response.status != 401:
            return response
        response.release()
        request.url = request.url.with_path("/desk")
        return await handler(request)

    async def use(_session: aiohttp.ClientSession, url: str) -> Any:
        async with aiohttp.ClientSession(middlewares=(elsewhere,)) as session:
            return await talk("a")(session, url)

    assert desk.both(use, "/refuse", allow_errors=[401]) == [HELLO, "a"]


def test_a_false_agreement_is_found_again(desk: Desk) -> None:
    live = desk.record(failing(), "/lie", allow_errors=True)
    assert (live[0], live[2]) == (aiohttp.WSServerHandshakeError, 101)
    again = desk.replay(failing(), "/lie", allow_errors=True)
    assert again[:3] == live[:3]


def test_a_server_that_is_not_there_is_not_there_again(desk: Desk) -> None:
    desk.stop()
    live = desk.record(failing(), allow_errors=True)
    assert live[0] is aiohttp.ClientConnectorError
    assert desk.replay(failing(), allow_errors=True) == live


def test_a_connection_that_was_given_up_is_given_up_again(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> str:
        try:
            async with asyncio.timeout(0.2), session.ws_connect(url):
                return "open"
        except TimeoutError:
            return "given up"

    with sockets.create_server(("127.0.0.1", 0)) as silent:
        desk.url = f"ws://127.0.0.1:{silent.getsockname()[1]}/desk"
        assert desk.record(use) == "given up"
    assert desk.replay(use) == "given up"


# Beside it ------------------------------------------------------------------------------------------------------------


def test_the_application_under_test_is_asked_for_real(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        application = web.Application()
        application.router.add_get("/", echo)
        async with TestClient(TestServer(application)) as client, client.ws_connect("/") as socket:
            own = await socket.receive_str()
            await socket.close()
        return own, await talk("a")(session, url)

    assert desk.both(use) == (HELLO, [HELLO, "a"])
    assert desk.recorded.request["url"] == desk.url


def test_ignored_hosts_are_asked_for_real(desk: Desk) -> None:
    with use_cassette(desk.path, mode="all"):
        record_call("tool", {}, lambda: None)
    for mode in ("all", "none"):
        assert desk.run(talk("a"), mode=mode, config=Config(ignore_hosts=["127.0.0.1"])) == [HELLO, "a"]
    assert desk.connections == 2


def test_a_connection_below_a_recorded_tool_is_not_opened_in_replay(desk: Desk) -> None:
    @tool
    async def ask(url: str) -> Any:
        async with aiohttp.ClientSession() as session:
            return await talk("a")(session, url)

    async def use(_session: Any, url: str) -> Any:
        return await ask(url)

    desk.both(use)


def test_another_protocol_is_refused(desk: Desk) -> None:
    async def use(session: aiohttp.ClientSession, url: str) -> Any:
        headers = {"Upgrade": "tcp", "Connection": "Upgrade"}
        async with session.get(url.replace("ws:", "http:"), headers=headers):
            pass

    with use_cassette(desk.path, mode="all"):
        record_call("tool", {}, lambda: None)
    words = r"a connection to 127.0.0.1:\d+ by aiohttp that becomes 'tcp' cannot be recorded or replayed: wrap the call"
    for mode in ("all", "none"):
        with pytest.raises(AgentTapeError, match=words):
            desk.run(use, mode=mode)
