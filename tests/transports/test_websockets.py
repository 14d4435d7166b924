"""WebSockets: the real clients of websockets record a real server, and are replayed when it is gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import create_server
from typing import Any

import pytest

from pytest_agenttape import (
    Cassette,
    RecordingRefusedError,
    Session,
    StreamingReplayError,
    UnmatchedInteractionError,
    record_call,
    tool,
    use_cassette,
)
from pytest_agenttape.transports.websocket.messages import compared, stored

websockets = pytest.importorskip("websockets")

from websockets.asyncio.client import connect as connect_async  # noqa: E402  # after it is known to be there
from websockets.asyncio.server import broadcast  # noqa: E402
from websockets.sync.client import connect as connect_sync  # noqa: E402
from websockets.sync.server import serve  # noqa: E402


class Desk:
    """A server that echoes, and the cassette of its clients."""

    def __init__(self, path: Path, answer: Callable[[Any], None] | None = None) -> None:
        self.path = path
        self.connections = 0
        self.server = serve(answer or self.answer, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self.server.socket.getsockname()[1]}/desk"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.is_running = True

    def answer(self, connection: Any) -> None:
        self.connections += 1
        connection.send(json.dumps({"type": "hello"}))
        for message in connection:
            if message == "bye":
                connection.close(4001, "as you like")
                return
            connection.send(message)

    def stop(self) -> None:
        if self.is_running:
            self.is_running = False
            self.server.shutdown()
            self.thread.join()

    def run(self, agent: Callable[[str], Any], **options: Any) -> Any:
        with use_cassette(self.path, **options) as self.session:
            return finish(agent(self.url))

    def record(self, agent: Callable[[str], Any], **options: Any) -> Any:
        return self.run(agent, mode="all", **options)

    def replay(self, agent: Callable[[str], Any], **options: Any) -> Any:
        """Run from the cassette with the server gone; all that was recorded is used."""
        self.stop()
        before = self.connections
        result = self.run(agent, mode="none", **options)
        assert self.connections == before
        assert self.session.unplayed == []
        return result

    @property
    def recorded(self) -> Any:
        (only,) = Cassette.load(self.path).interactions
        return only

    session: Session


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "cassette.yaml")
    yield found
    found.stop()


def talk(*messages: Any, **options: Any) -> Callable[[str], Any]:
    async def agent(url: str) -> Any:
        async with connect_async(url, **options) as socket:
            heard = [await socket.recv()]
            for message in messages:
                await socket.send(message)
                heard.append(await socket.recv())
            await (await socket.ping())
            return heard

    return agent


def talk_sync(*messages: Any, **options: Any) -> Callable[[str], Any]:
    def agent(url: str) -> Any:
        with connect_sync(url, **options) as socket:
            heard = [socket.recv()]
            for message in messages:
                socket.send(message)
                heard.append(socket.recv())
            assert socket.ping().wait(5)
            return heard

    return agent


BOTH = pytest.mark.parametrize("talk", [talk, talk_sync], ids=["asyncio", "sync"])
MESSAGES = ('{"a": 1}', "plain ü\u2028", b"\x00\xff", b'{"b":2}', "[1,\n 2]", "", '"text"', '{"base64":"x"}')


@BOTH
def test_a_connection_replays_with_the_server_gone(desk: Desk, talk: Any) -> None:
    live = desk.record(talk(*MESSAGES))
    assert live == ['{"type": "hello"}', *MESSAGES]
    assert desk.connections == 1
    assert desk.replay(talk(*MESSAGES)) == live


@BOTH
def test_the_cassette_is_readable(desk: Desk, talk: Any) -> None:
    desk.record(talk('{"a": 1}', "plain", b'{"b":2}', b"\xff"))
    recorded = desk.recorded
    assert (recorded.kind, recorded.boundary, recorded.request["url"]) == ("http", None, desk.url)
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
    assert recorded.response["closed"] == {"code": 1000, "reason": "", "by": "agent"}


@pytest.mark.parametrize(("said", "instead"), [("b", "c"), ('{"a": 1}', '{"a": true}'), ("[0]", "[0.0]")])
@BOTH
def test_a_message_that_differs_is_refused(desk: Desk, talk: Any, said: str, instead: str) -> None:
    desk.record(talk("a", said))
    with pytest.raises(UnmatchedInteractionError, match=r"message 2 sent .* is not the recorded one"):
        desk.replay(talk("a", instead))


@BOTH
def test_a_message_too_many_is_refused(desk: Desk, talk: Any) -> None:
    desk.record(talk("a"))
    with pytest.raises(UnmatchedInteractionError, match="is not in its recording, in which 1 were sent"):
        desk.replay(talk("a", "b"))


@BOTH
def test_a_message_too_few_is_a_drift_too(desk: Desk, talk: Any) -> None:
    desk.record(talk("a", "b"))
    desk.stop()
    with pytest.raises(UnmatchedInteractionError, match="closed this WebSocket without a message"):
        desk.run(talk("a"), mode="none")


def until_closed(url: str) -> Any:
    with connect_sync(url) as socket:
        socket.send("bye")
        heard = [socket.recv()]
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            socket.recv()
        with pytest.raises(websockets.ConnectionClosedError):
            socket.send("more")
    return heard, caught.value.rcvd.code, caught.value.rcvd.reason, socket.close_code


async def until_closed_async(url: str) -> Any:
    async with connect_async(url) as socket:
        await socket.send("bye")
        heard = [await socket.recv()]
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            await anext(aiter(socket))
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.send("more")
    return heard, caught.value.rcvd.code, caught.value.rcvd.reason, socket.close_code


@pytest.mark.parametrize("agent", [until_closed, until_closed_async])
def test_the_servers_close_comes_again(desk: Desk, agent: Any) -> None:
    live = desk.record(agent)
    assert live == (['{"type": "hello"}'], 4001, "as you like", 4001)
    assert desk.recorded.response["closed"] == {"code": 4001, "reason": "as you like", "by": "server"}
    assert desk.replay(agent) == live


def test_it_connects_again_as_often_as_recorded(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        heard: list[Any] = []
        async for socket in connect_async(url):
            try:
                heard.append(await socket.recv())
                await socket.send("bye")
                await socket.recv()
            except websockets.ConnectionClosed as error:
                heard.append(error.rcvd.code)
                if len(heard) == 4:
                    return heard
        return None

    live = desk.record(agent)
    assert live == ['{"type": "hello"}', 4001] * 2
    assert len(Cassette.load(desk.path).interactions) == 2
    assert desk.replay(agent) == live


def test_what_came_before_a_message_need_not_be_read_before_it(desk: Desk) -> None:
    async def late(url: str) -> Any:
        async with connect_async(url) as socket:
            await socket.send("a")
            return [await socket.recv(), await socket.recv()]

    live = desk.record(talk("a"))
    assert desk.replay(late) == live


def test_a_reader_in_the_background_waits_as_it_did(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        heard: list[Any] = []

        async def read(socket: Any) -> None:
            async for message in socket:
                heard.append(message)  # noqa: PERF401  # it is looked at meanwhile

        async with connect_async(url) as socket:
            reader = asyncio.create_task(read(socket))
            for index in range(20):
                await socket.send(json.dumps({"n": index}))
            while len(heard) < 21:
                await asyncio.sleep(0.01)
        await reader
        return heard

    live = desk.record(agent)
    assert desk.recorded.response["waiting"] is True
    assert desk.replay(agent) == live


def test_a_reader_that_waits_for_more_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(url: str) -> Any:
        with connect_sync(url) as socket:
            return [socket.recv(), socket.recv()]

    desk.record(talk_sync())
    desk.stop()
    monkeypatch.setattr("pytest_agenttape.transports.websocket.replay._GRACE", 0.1)
    with pytest.raises(StreamingReplayError, match="waits for another message"):
        desk.run(greedy, mode="none")


def test_a_timeout_of_the_agents_own_is_none_of_ours(desk: Desk) -> None:
    def agent(url: str) -> Any:
        with connect_sync(url) as socket:
            heard = [socket.recv()]
            with pytest.raises(TimeoutError):
                socket.recv(timeout=0.05)
            socket.send("a")
            return [*heard, socket.recv(timeout=5)]

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_a_connection_left_open_is_recorded_as_far_as_it_went(desk: Desk) -> None:
    def agent(url: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            opened.append(connect_sync(url))
            return opened[-1].recv()

    opened: list[Any] = []
    live = desk.record(agent)
    opened.pop().close()
    assert "closed" not in desk.recorded.response
    assert desk.replay(agent) == live
    opened.pop().close()


@BOTH
def test_a_refused_connection_is_refused_again(desk: Desk, talk: Any) -> None:
    def refuse(connection: Any, _request: Any) -> Any:
        return connection.respond(401, "who are you?\n")

    desk.stop()
    with serve(desk.answer, "127.0.0.1", 0, process_request=refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        desk.url = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        live = desk.record(failing(talk(), websockets.InvalidStatus), allow_errors=[401])
        server.shutdown()
    for error in (live, desk.replay(failing(talk(), websockets.InvalidStatus), allow_errors=[401])):
        assert (error.response.status_code, error.response.body) == (401, b"who are you?\n")


@BOTH
def test_a_server_that_is_not_there_is_not_there_again(desk: Desk, talk: Any) -> None:
    desk.stop()
    live = desk.record(failing(talk(), OSError), allow_errors=True)
    again = desk.replay(failing(talk(), OSError), allow_errors=True)
    assert (type(again), again.errno) == (type(live), live.errno)


def finish(found: Any) -> Any:
    return asyncio.run(found) if asyncio.iscoroutine(found) else found


def failing(agent: Any, kind: type[Exception]) -> Callable[[str], Any]:
    def fail(url: str) -> Any:
        with pytest.raises(kind) as caught:
            finish(agent(url))
        return caught.value

    return fail


@BOTH
def test_a_connection_that_is_not_recorded_is_not_opened(desk: Desk, talk: Any) -> None:
    with use_cassette(desk.path, mode="all"):
        record_call("tool", {}, lambda: None)
    with pytest.raises(UnmatchedInteractionError, match="matches no unplayed interaction"):
        desk.run(talk(), mode="none")
    assert desk.connections == 0


def test_a_message_in_pieces(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        async def pieces() -> Any:
            yield "d"
            yield "e"

        async with connect_async(url) as socket:
            heard = [await socket.recv(decode=False)]
            await socket.send(["a", "b", "c"])
            heard.append("".join([piece async for piece in socket.recv_streaming()]))
            await socket.send(pieces())
            heard.append(await socket.recv())
            await socket.send(b"{}", text=True)
            return [*heard, await socket.recv(), socket.subprotocol]

    live = desk.record(agent)
    assert live == [b'{"type": "hello"}', "abc", "de", "{}", None]
    assert desk.replay(agent) == live


def test_tls_is_not_spoken_in_replay(desk: Desk) -> None:
    desk.record(talk("a"))
    desk.path.write_text(desk.path.read_text().replace("ws://", "wss://"))
    desk.url = desk.url.replace("ws://", "wss://")
    assert desk.replay(talk("a")) == ['{"type": "hello"}', "a"]
    assert desk.replay(talk_sync("a")) == ['{"type": "hello"}', "a"]


@pytest.mark.parametrize(
    ("path", "boundary", "model"),
    [
        ("/v1/realtime?model=gpt-realtime", "openai.realtime", "gpt-realtime"),
        ("/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent", "gemini.live", None),
    ],
)
def test_the_realtime_apis_are_llm_calls(desk: Desk, path: str, boundary: str, model: str | None) -> None:
    desk.url = desk.url.replace("/desk", path)
    headers = {"Authorization": "Bearer sk-secret-0123456789abcdef"}
    live = desk.record(talk("a", additional_headers=headers))
    recorded = desk.recorded
    assert (recorded.kind, recorded.boundary, recorded.metadata.get("model")) == ("llm", boundary, model)
    assert "sk-secret" not in desk.path.read_text()
    assert desk.replay(talk("a", additional_headers={"Authorization": "Bearer another"})) == live


@pytest.mark.parametrize("name", ["api_key", "password"])
@pytest.mark.parametrize("secret", ["sk-proj-0123456789abcdefghijklmnop", "q8Zr5tXw2LmN7vBc9dFg"])
def test_a_secret_in_a_message_is_redacted_and_still_matches(desk: Desk, name: str, secret: str) -> None:
    desk.record(talk(json.dumps({name: secret, "n": 1})))
    assert secret not in desk.path.read_text()
    desk.replay(talk(json.dumps({name: secret, "n": 1})))


def test_openais_client(desk: Desk) -> None:
    openai = pytest.importorskip("openai")

    async def agent(url: str) -> Any:
        base = url.replace("ws://", "http://").replace("/desk", "/v1")
        client = openai.AsyncOpenAI(api_key="sk-test-1234567890", base_url=base)
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            heard = [(await connection.recv()).type]
            await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
            heard.append((await connection.recv()).type)
            await connection.response.create()
            async for event in connection:
                heard.append(event.type)
                break
            return heard

    live = desk.record(agent)
    assert live == ["hello", "session.update", "response.create"]
    assert (desk.recorded.kind, desk.recorded.boundary) == ("llm", "openai.realtime")
    assert desk.replay(agent) == live


def test_openais_sync_client(desk: Desk) -> None:
    openai = pytest.importorskip("openai")

    def agent(url: str) -> Any:
        base = url.replace("ws://", "http://").replace("/desk", "/v1")
        client = openai.OpenAI(api_key="sk-test-1234567890", base_url=base)
        with client, client.realtime.connect(model="gpt-realtime") as connection:
            heard = [connection.recv().type]
            connection.response.create()
            return [*heard, connection.recv().type]

    live = desk.record(agent)
    assert live == ["hello", "response.create"]
    assert desk.replay(agent) == live


def test_a_broadcast_is_a_message_like_any_other(desk: Desk) -> None:
    def agent(message: str) -> Callable[[str], Any]:
        async def broadcasting(url: str) -> Any:
            async with connect_async(url) as socket:
                await socket.recv()
                broadcast([socket], message)
                return await asyncio.wait_for(socket.recv(), 5)

        return broadcasting

    assert desk.record(agent("a")) == "a"
    assert desk.replay(agent("a")) == "a"
    with pytest.raises(UnmatchedInteractionError, match="is not the recorded one"):
        desk.run(agent("b"), mode="none")


def test_two_connections_at_once_keep_their_messages(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        return await asyncio.gather(*(talk(*"abc", name)(f"{url}/{name}") for name in "xyz"))

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_a_connection_in_a_thread(desk: Desk) -> None:
    def agent(url: str) -> Any:
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(talk_sync("a"), url).result()

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_many_large_messages_in_both_directions(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        async with connect_async(url, max_queue=2) as socket:
            await socket.recv()
            sender = asyncio.create_task(send_all(socket))
            heard = [await socket.recv() for _ in range(8)]
            await sender
            return heard

    async def send_all(socket: Any) -> None:
        for index in range(8):
            await socket.send(bytes([index]) * 300_000)

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_a_reader_that_was_cancelled(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        async with connect_async(url) as socket:
            heard = [await socket.recv()]
            try:
                await asyncio.wait_for(socket.recv(), 0.05)
            except TimeoutError:
                heard.append("nothing")
            await socket.send("a")
            return [*heard, await socket.recv()]

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_an_error_of_the_agents_own_is_not_hidden(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        async with connect_async(url) as socket:
            await socket.recv()
            raise LookupError("mine")

    desk.record(talk("a"))
    desk.stop()
    with pytest.raises(LookupError, match="mine"):
        desk.run(agent, mode="none")


def test_a_connection_below_a_recorded_tool_is_not_opened_in_replay(desk: Desk) -> None:
    @tool
    def ask(message: str) -> Any:
        return talk_sync(message)(desk.url)

    live = desk.record(lambda _: ask("a"))
    assert desk.replay(lambda _: ask("a")) == live


def test_a_swallowed_drift_fails_the_test(desk: Desk, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        f"""
        import contextlib, os, pytest
        from websockets.sync.client import connect

        @pytest.mark.agenttape
        def test_it():
            with connect("{desk.url}") as socket, contextlib.suppress(Exception):
                socket.recv()
                socket.send(os.environ["SAID"])
                socket.recv()
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAID", "a")
        pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
        desk.stop()
        pytester.runpytest_subprocess().assert_outcomes(passed=1)
        patch.setenv("SAID", "b")
        result = pytester.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*message 1 sent through this WebSocket is not the recorded one*"])


def test_a_message_that_is_never_sent_through_an_open_connection_fails_the_test(
    desk: Desk, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(
        f"""
        import os, pytest
        from websockets.sync.client import connect

        opened = []

        @pytest.mark.agenttape
        def test_it():
            opened.append(connect("{desk.url}"))
            opened[0].recv()
            for said in os.environ["SAID"]:
                opened[0].send(said)
                opened[0].recv()
        """
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAID", "ab")
        pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
        pytester.runpytest_subprocess().assert_outcomes(passed=1)
        patch.setenv("SAID", "a")
        result = pytester.runpytest_subprocess()
    assert result.parseoutcomes().get("failed", 0) + result.parseoutcomes().get("errors", 0) == 1
    result.stdout.fnmatch_lines(["*the agent closed this WebSocket without a message that it sent when this was*"])


def test_a_message_that_is_read_after_a_message_could_not_be_sent(desk: Desk) -> None:
    async def agent(url: str) -> Any:
        async with connect_async(url) as socket:
            await socket.send("a")
            await socket.send("bye")
            while socket.state.name == "OPEN":
                await asyncio.sleep(0.01)
            with pytest.raises(websockets.ConnectionClosed):
                await socket.send("more")
            return [message async for message in Quiet(socket)]

    live = desk.record(agent)
    assert live == ['{"type": "hello"}', "a"]
    assert desk.replay(agent) == live


class Quiet:
    """Messages up to the end, however that came."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.socket.recv()
        except websockets.ConnectionClosed:
            raise StopAsyncIteration from None


def test_a_connection_that_was_given_up_is_given_up_again(desk: Desk) -> None:
    async def agent(url: str) -> str:
        try:
            async with asyncio.timeout(0.2), connect_async(url):
                return "open"
        except TimeoutError:
            return "given up"

    desk.stop()
    with create_server(("127.0.0.1", 0)) as silent:
        desk.url = f"ws://127.0.0.1:{silent.getsockname()[1]}"
        assert desk.record(agent) == "given up"
    assert desk.replay(agent) == "given up"


def without_tls(uri: str, *, ssl: Any = None, **options: Any) -> Any:
    """Connect for a client that speaks only TLS to a server that speaks none."""
    assert ssl is not None
    return connect_async(uri.replace("wss://", "ws://"), **options)


def test_googles_live_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genai = pytest.importorskip("google.genai")
    monkeypatch.setattr("google.genai.live.ws_connect", without_tls)

    def answer(connection: Any) -> None:
        json.loads(connection.recv())
        connection.send(b'{"setupComplete": {}}')
        for _ in connection:
            connection.send(b'{"serverContent": {"modelTurn": {"parts": [{"text": "Rome"}]}}}')
            connection.send(b'{"serverContent": {"turnComplete": true}}')

    async def agent(url: str) -> Any:
        options = {"base_url": url.replace("ws://", "http://").replace("/desk", "")}
        client = genai.Client(api_key="test-key-0123456789", http_options=options)
        async with client.aio.live.connect(model="gemini-live", config={"response_modalities": ["TEXT"]}) as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Capital?"}]})
            return [message.text async for message in session.receive()]

    desk = Desk(tmp_path / "cassette.yaml", answer)
    live = desk.record(agent)
    assert live == ["Rome", None]
    assert (desk.recorded.kind, desk.recorded.boundary) == ("llm", "gemini.live")
    assert {"received": {"setupComplete": {}}, "layout": "spaced", "frame": "binary"} in desk.recorded.response[
        "messages"
    ]
    assert "0123456789" not in desk.path.read_text()
    assert desk.replay(agent) == live


def test_no_thread_outlives_its_session(desk: Desk) -> None:
    def agent(url: str) -> Any:
        opened.append(connect_sync(url))
        return None

    opened: list[Any] = []
    desk.record(agent)
    opened.pop().close()
    desk.replay(agent)
    until = time.monotonic() + 5
    while time.monotonic() < until and any(each.name == "agenttape-websocket" for each in threading.enumerate()):
        time.sleep(0.01)
    assert not any(each.name == "agenttape-websocket" for each in threading.enumerate())
    opened.pop().close()


def test_a_secret_that_is_received_keeps_its_shape(desk: Desk) -> None:
    key = "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"

    def agent(url: str) -> None:
        with connect_sync(url) as connection:
            connection.recv()
            connection.send(json.dumps({"token": key}))
            token = json.loads(connection.recv())["token"]
            assert token.startswith("sk_live_")
            assert len(token) == 32
            connection.send(f"again: {token}")
            assert connection.recv() == f"again: {token}"

    desk.record(agent)
    assert key not in desk.path.read_text()
    desk.replay(agent)


def test_the_stand_in_of_a_secret_is_not_sent(desk: Desk) -> None:
    heard: list[object] = []

    def agent(url: str, then: str = "") -> None:
        @tool
        def log_in() -> dict[str, str]:
            return {"access_token": "hT4vRm8KpXz2WnQ6YdLs9Gb3"}

        token = log_in()["access_token"]
        with connect_sync(f"{url}?{then}") as connection:
            connection.recv()
            connection.send(json.dumps({"token": token}))
            heard.append(connection.recv())

    desk.record(agent)
    with pytest.raises(RecordingRefusedError, match="would send REDACTED0001, which stands for a secret"):
        desk.run(lambda url: agent(url, "then"), mode="refresh")
    assert len(heard) == 1


def test_digits_that_no_float_holds_are_compared() -> None:
    one, other = (compared(stored("sent", f'{{"eth": 1.00000000000000000{digit}}}')) for digit in "12")
    assert one != other
    assert compared(stored("sent", '{"eth": 1.50}')) == compared(stored("sent", '{"eth":1.5}'))
