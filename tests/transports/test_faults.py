"""Faults from the tape over every transport: an answer, a failure of the library's own, a stream that breaks."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import boto3
import botocore.config
import botocore.exceptions
import grpc
import httpx
import openai
import pytest
import requests
import urllib3

from pytest_agenttape import ConfigError, fault, use_cassette
from pytest_agenttape.reading.timeline import timeline
from tests.standin import raw
from tests.transports import test_mcp_http, test_mcp_stdio, test_websockets
from tests.transports.amazon import ASKED, CONVERSED, EVENT_STREAM, MODEL
from tests.transports.conftest import Recorder
from tests.transports.grpc_server import SERVICE, Server, texts
from tests.transports.http_clients import Aiohttp, HttpxOverAiohttp, Requests
from tests.transports.test_mcp_http import weather  # noqa: F401  # a fixture

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b"data: [DONE]\n\n"]


def raised_by(run: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # the class is what is looked at
        run()
    return caught.value


# -- HTTP by every client


def test_an_answer_with_an_error_status_and_the_recorded_one_for_the_retry(recorder: Recorder, client: Any) -> None:
    def run() -> Any:
        return client.request("GET", f"{recorder.provider.url}/echo")

    live = recorder.record(run)

    def twice() -> Any:
        return run(), run()

    failed, answer = recorder.replay(twice, faults=[fault("http", status=503)])
    assert (failed.status, failed.reason) == (503, "Service Unavailable")
    assert failed.header("retry-after") == ["0"]
    assert failed.body == b"Service Unavailable (a fault from the tape)"
    assert answer == live


def test_a_body_and_headers_take_the_place_of_the_recorded_ones(recorder: Recorder, client: Any) -> None:
    def run() -> Any:
        return client.request("GET", f"{recorder.provider.url}/echo")

    live = recorder.record(run)
    faults = [
        fault("127.0.0.1", body="{not json", headers={"x-added": "1"}),
        fault("127.0.0.1", nth=2, status=418, body={"tea": True}),
        fault("127.0.0.1", nth=3, body=b"\x00\xff"),
    ]
    broken, tea, binary, again = recorder.replay(lambda: [run() for _ in range(4)], faults=faults)
    assert (broken.status, broken.body, broken.header("x-added")) == (live.status, b"{not json", ["1"])
    assert broken.header("content-type") == live.header("content-type")
    assert (tea.status, tea.body, tea.header("content-type")) == (418, b'{"tea":true}', ["application/json"])
    assert (binary.status, binary.body) == (200, b"\x00\xff")
    assert again == live


BY_AIOHTTP: dict[str, type[Exception]] = {
    "timeout": aiohttp.SocketTimeoutError,
    "connection": aiohttp.ClientConnectorError,
    "reset": aiohttp.ClientOSError,
    "half": aiohttp.ClientPayloadError,
}
BY_REQUESTS: dict[str, type[Exception]] = {
    "timeout": requests.ReadTimeout,
    "connection": requests.ConnectionError,
    "reset": requests.ConnectionError,
    "half": requests.exceptions.ChunkedEncodingError,
}
BY_HTTPX = {"timeout": "ReadTimeout", "connection": "ConnectError", "reset": "ReadError", "half": "ReadError"}


def expected(client: Any, how: str) -> type[BaseException]:
    if isinstance(client, Aiohttp):
        return BY_AIOHTTP[how]
    if isinstance(client, Requests):
        return BY_REQUESTS[how]
    found: type[BaseException] = getattr(client.library, BY_HTTPX[how])
    return found


@pytest.mark.parametrize("how", ["timeout", "connection", "reset"])
def test_a_broken_connection_is_raised_as_the_librarys_own(recorder: Recorder, client: Any, how: Any) -> None:
    def run() -> Any:
        return client.request("POST", f"{recorder.provider.url}/echo")  # aiohttp itself repeats a GET

    live = recorder.record(run)

    def twice() -> Any:
        return raised_by(run), run()

    failure, answer = recorder.replay(twice, faults=[fault("http", error=how)])
    if isinstance(client, HttpxOverAiohttp):  # which has its own words for what aiohttp raises
        assert isinstance(failure, httpx.TransportError)
    else:
        assert type(failure) is expected(client, how)
    assert "a fault from the tape" in str(failure)
    assert answer == live


@pytest.mark.parametrize("how", [None, "timeout"])
def test_a_stream_breaks_after_so_many_events(recorder: Recorder, client: Any, how: Any) -> None:
    recorder.provider.reply(raw(EVENTS, {"content-type": "text/event-stream"}), to="/events")
    url = f"{recorder.provider.url}/events"
    recorder.record(lambda: client.chunks(url))

    def twice() -> Any:
        taken: list[bytes] = []
        failure = raised_by(lambda: client.chunks(url, seen=taken.append))
        return taken, failure, client.chunks(url)

    taken, failure, again = recorder.replay(twice, faults=[fault("http", after_events=2, error=how)])
    assert b"".join(taken) == b"".join(EVENTS[:2])
    assert b"".join(again) == b"".join(EVENTS)
    if isinstance(client, HttpxOverAiohttp):
        assert isinstance(failure, httpx.TransportError)
    elif how is None:
        assert type(failure) is expected(client, "half")
    assert "a fault from the tape" in str(failure)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"error": ValueError("x")}, "is no function: give it error='timeout', 'connection' or 'reset'"),
        ({"result": 1}, "is no function: give it a body"),
        ({"after_events": 1}, "was recorded without a stream of events that could break"),
    ],
)
def test_a_fault_that_a_request_cannot_have_is_an_error(recorder: Recorder, given: Any, problem: str) -> None:
    url = f"{recorder.provider.url}/echo"
    recorder.record(lambda: httpx.get(url))
    with pytest.raises(ConfigError) as caught, use_cassette(recorder.path, faults=[fault("http", **given)]):
        httpx.get(url)
    assert str(caught.value).endswith(f"{url} {problem}")


# -- urllib3, urllib, botocore


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("timeout", urllib3.exceptions.ReadTimeoutError),
        ("connection", urllib3.exceptions.NewConnectionError),
        ("reset", urllib3.exceptions.ProtocolError),
    ],
)
def test_urllib3(recorder: Recorder, how: Any, error: type[Exception]) -> None:
    def run() -> Any:
        return urllib3.PoolManager(retries=False).request("GET", f"{recorder.provider.url}/echo").data

    live = recorder.record(run)
    failure, answer = recorder.replay(lambda: (raised_by(run), run()), faults=[fault("http", error=how)])
    assert type(failure) is error
    assert answer == live


def test_urllib3_has_tried_as_often_as_it_does(recorder: Recorder) -> None:
    def run(method: str = "GET", **options: Any) -> Any:
        return urllib3.PoolManager(**options).request(method, f"{recorder.provider.url}/echo").data

    recorder.record(lambda: (run(), run("POST")))

    def replayed() -> Any:
        failures = [raised_by(run), raised_by(lambda: run("POST")), raised_by(lambda: run(retries=urllib3.Retry(None)))]
        return failures, run(), run("POST")

    failures, *_ = recorder.replay(replayed, faults=[fault("http", times=3, error="timeout")])
    exhausted, at_once, endless = failures
    assert isinstance(exhausted, urllib3.exceptions.MaxRetryError)
    assert isinstance(exhausted.reason, urllib3.exceptions.ReadTimeoutError)
    assert type(at_once) is type(endless) is urllib3.exceptions.ReadTimeoutError  # what was sent may have had an effect


def test_urllib3_itself_tries_again_after_a_fault(recorder: Recorder) -> None:
    url = f"{recorder.provider.url}/echo"
    retries = urllib3.Retry(1, status_forcelist=[500], backoff_factor=0)

    def by_urllib3() -> int:
        return urllib3.PoolManager(retries=retries).request("GET", url).status

    def by_requests() -> int:
        with requests.Session() as session:
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
            return session.get(url).status_code

    def both() -> tuple[int, int]:
        return by_urllib3(), by_requests()

    recorder.record(both)
    once = [fault("http", status=500), fault("http", nth=3, status=500)]
    assert recorder.replay(both, faults=once) == (200, 200)

    def failing() -> tuple[BaseException, BaseException, tuple[int, int]]:
        return raised_by(by_urllib3), raised_by(by_requests), both()

    exhausted, of_requests, _ = recorder.replay(failing, faults=[fault("http", times=4, status=500)])
    assert type(exhausted) is urllib3.exceptions.MaxRetryError
    assert type(of_requests) is requests.exceptions.RetryError
    assert str(of_requests) == str(exhausted)


@pytest.mark.parametrize(
    ("how", "error"),
    [("timeout", TimeoutError), ("connection", ConnectionRefusedError), ("reset", ConnectionResetError)],
)
def test_urllib_request(recorder: Recorder, how: Any, error: type[Exception]) -> None:
    def run() -> Any:
        return urllib.request.urlopen(f"{recorder.provider.url}/echo").read()

    live = recorder.record(run)
    failure, answer = recorder.replay(lambda: (raised_by(run), run()), faults=[fault("http", error=how)])
    assert type(failure.reason if isinstance(failure, urllib.error.URLError) else failure) is error
    assert answer == live


def bedrock(url: str, attempts: int = 1) -> Any:
    options = botocore.config.Config(retries={"total_max_attempts": attempts, "mode": "standard"})
    session = boto3.Session(
        region_name="eu-west-1", aws_access_key_id="AKIAEXAMPLE1234567890", aws_secret_access_key="x"
    )  # no secret
    return session.client("bedrock-runtime", endpoint_url=url, config=options)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("timeout", botocore.exceptions.ReadTimeoutError),
        ("connection", botocore.exceptions.EndpointConnectionError),
        ("reset", botocore.exceptions.ConnectionClosedError),
    ],
)
def test_botocore(recorder: Recorder, how: Any, error: type[Exception]) -> None:
    def run() -> Any:
        return bedrock(recorder.provider.url).converse(modelId=MODEL, messages=ASKED)["output"]

    answered = b'{"output":{"message":{"content":[{"text":"Mild."}]}}}'
    recorder.provider.reply(raw(answered, {"content-type": "application/json"}), to=f"/model/{MODEL}/converse")
    live = recorder.record(run)
    failure, answer = recorder.replay(lambda: (raised_by(run), run()), faults=[fault("bedrock.converse", error=how)])
    assert type(failure) is error
    assert answer == live


def test_an_event_stream_of_amazons_breaks(recorder: Recorder) -> None:
    recorder.provider.reply(raw(CONVERSED, EVENT_STREAM), to=f"/model/{MODEL}/converse-stream")

    def run(into: list[Any]) -> None:
        answer = bedrock(recorder.provider.url).converse_stream(modelId=MODEL, messages=ASKED)
        for event in answer["stream"]:
            into.append(event)  # noqa: PERF402  # keeps what came

    recorder.record(lambda: run([]))
    seen: list[Any] = []

    def twice() -> BaseException:
        failure = raised_by(lambda: run(seen))
        run([])
        return failure

    failure = recorder.replay(twice, faults=[fault("bedrock.converse", after_events=2)])
    assert [next(iter(each)) for each in seen] == ["messageStart", "contentBlockDelta"]
    assert "a fault from the tape" in str(failure)


# -- gRPC


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    """A recording of a unary call and of a stream of three messages, its server gone."""
    server = Server()
    path = tmp_path / "cassette.yaml"
    with use_cassette(path, mode="all"), grpc.insecure_channel(server.target) as channel:
        channel.unary_unary(SERVICE + "Unary", **texts())("Paris")
        list(channel.unary_stream(SERVICE + "Stream", **texts())("Paris"))
    server.stop()
    return path, server.target


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"status": 429}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        ({"status": 503}, grpc.StatusCode.UNAVAILABLE),
        ({"error": "timeout"}, grpc.StatusCode.DEADLINE_EXCEEDED),
        ({"error": "reset"}, grpc.StatusCode.UNAVAILABLE),
    ],
    ids=str,
)
def test_grpc(asked: Any, given: dict[str, Any], code: Any) -> None:
    path, target = asked
    with use_cassette(path, faults=[fault("http", **given)]), grpc.insecure_channel(target) as channel:
        call = channel.unary_unary(SERVICE + "Unary", **texts())
        with pytest.raises(grpc.RpcError) as caught:
            call("Paris")
        assert call("Paris")
    assert (caught.value.code(), caught.value.details()) == (code, "a fault from the tape")  # type: ignore[attr-defined]  # grpc's own


def test_a_grpc_stream_breaks(asked: Any) -> None:
    path, target = asked
    heard: list[Any] = []
    with use_cassette(path, faults=[fault("http", nth=2, after_events=1)]), grpc.insecure_channel(target) as channel:
        channel.unary_unary(SERVICE + "Unary", **texts())("Paris")
        stream = channel.unary_stream(SERVICE + "Stream", **texts())
        with pytest.raises(grpc.RpcError) as caught:
            heard.extend(stream("Paris"))
        whole = list(stream("Paris"))
    assert heard == whole[:1]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE  # type: ignore[attr-defined]  # grpc's own


def test_grpc_aio(asked: Any) -> None:
    path, target = asked

    async def run() -> Any:
        async with grpc.aio.insecure_channel(target) as channel:
            call = channel.unary_unary(SERVICE + "Unary", **texts())
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call("Paris")
            await call("Paris")
            stream = channel.unary_stream(SERVICE + "Stream", **texts())("Paris")
            heard = await stream.read()
            with pytest.raises(grpc.aio.AioRpcError) as broken:
                await stream.read()
            return caught.value.code(), broken.value.code(), bool(heard)

    with use_cassette(path, faults=[fault("http", status=404), fault("http", nth=3, after_events=1)]):
        assert asyncio.run(run()) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNAVAILABLE, True)


# -- WebSockets


@pytest.mark.parametrize("talk", ["sync", "async"])
@pytest.mark.parametrize(
    ("how", "error"),
    [("timeout", TimeoutError), ("connection", ConnectionRefusedError), ("reset", ConnectionResetError)],
)
def test_a_websocket_that_does_not_open(tmp_path: Path, talk: str, how: Any, error: type[Exception]) -> None:
    desk = test_websockets.Desk(tmp_path / "cassette.yaml")
    agent: Any = _talk if talk == "sync" else _talk_async
    live = desk.record(agent)
    desk.stop()
    with use_cassette(desk.path, faults=[fault("http", error=how)]):
        assert type(raised_by(lambda: test_websockets.finish(agent(desk.url)))) is error
        assert test_websockets.finish(agent(desk.url)) == live


@pytest.mark.parametrize("talk", ["sync", "async"])
def test_a_websocket_that_is_refused_and_one_that_is_lost(tmp_path: Path, talk: str) -> None:
    desk = test_websockets.Desk(tmp_path / "cassette.yaml")
    agent: Any = _talk if talk == "sync" else _talk_async
    live = desk.record(agent)
    desk.stop()
    faults = [fault("http", status=503), fault("http", nth=2, after_events=1)]
    with use_cassette(desk.path, faults=faults):
        refused, lost = (raised_by(lambda: test_websockets.finish(agent(desk.url))) for _ in range(2))
        assert test_websockets.finish(agent(desk.url)) == live
    assert refused.response.status_code == 503  # type: ignore[attr-defined]  # of InvalidStatus
    assert type(lost).__name__ == "ConnectionClosedError"


def _talk(url: str) -> list[Any]:
    with test_websockets.connect_sync(url) as connection:
        heard = [connection.recv()]
        connection.send("one")
        return [*heard, connection.recv()]


async def _talk_aiohttp(url: str) -> list[Any]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
        heard = [await connection.receive_str()]
        await connection.send_str("one")
        return [*heard, await connection.receive_str()]


def test_a_websocket_of_aiohttps(tmp_path: Path) -> None:
    desk = test_websockets.Desk(tmp_path / "cassette.yaml")
    live = desk.record(_talk_aiohttp)
    desk.stop()
    faults = [
        fault("http", status=503),
        fault("http", nth=2, error="connection"),
        fault("http", nth=3, after_events=1),
    ]
    with use_cassette(desk.path, faults=faults):
        failures = [raised_by(lambda: asyncio.run(_talk_aiohttp(desk.url))) for _ in range(3)]
        assert asyncio.run(_talk_aiohttp(desk.url)) == live
    refused, unopened, lost = failures
    assert isinstance(refused, aiohttp.WSServerHandshakeError)
    assert isinstance(unopened, aiohttp.ClientOSError)
    assert isinstance(lost, TypeError | aiohttp.WSMessageTypeError)  # a closing message is no text


async def _talk_async(url: str) -> list[Any]:
    async with test_websockets.connect_async(url) as connection:
        heard = [await connection.recv()]
        await connection.send("one")
        return [*heard, await connection.recv()]


# -- MCP


def _told(answer: Any) -> tuple[bool, str]:
    plain = answer.model_dump(mode="json", by_alias=True)
    return plain["isError"], plain["content"][0]["text"]


def test_mcp_over_stdio(tmp_path: Path) -> None:
    desk = test_mcp_stdio.Desk(tmp_path)

    async def ask(session: Any) -> Any:
        answers = [await session.call_tool("echo", {"text": "hello"}) for _ in range(3)]
        return [_told(answer) for answer in answers]

    async def live(session: Any) -> Any:
        return (await session.call_tool("echo", {"text": "hello"})).content[0].text

    said = desk.record(live)
    faults = [fault("tool", error=ValueError("no line")), fault("tool", nth=2, result="an answer of mine")]
    answers = desk.replay(ask, faults=faults)
    assert answers == [(True, "no line"), (False, "an answer of mine"), (False, said)]


def test_mcp_over_http(tmp_path: Path, weather: Any) -> None:  # noqa: F811  # the fixture
    _, url, stop = weather
    path = tmp_path / "cassette.yaml"

    async def live(session: Any) -> Any:
        return (await session.call_tool("forecast", {"city": "Oslo"})).content[0].text

    async def ask(session: Any) -> Any:
        answers = [await session.call_tool("forecast", {"city": "Oslo"}) for _ in range(3)]
        return [_told(answer) for answer in answers]

    with use_cassette(path, mode="all"):
        said = anyio.run(test_mcp_http.session_of, url, live)
    stop()
    mine = {"content": [{"type": "text", "text": "an answer of mine"}], "structuredContent": {"result": "of mine"}}
    faults = [fault("weather.forecast", error=ValueError("no line")), fault("tool", nth=2, result=mine)]
    with use_cassette(path, faults=faults):
        answers = anyio.run(test_mcp_http.session_of, url, ask)
    assert answers == [(True, "no line"), (False, "an answer of mine"), (False, said)]


@pytest.mark.parametrize("how", ["timeout", "connection", "reset"])
def test_an_mcp_server_that_is_lost(tmp_path: Path, how: Any) -> None:
    desk = test_mcp_stdio.Desk(tmp_path)
    desk.record(test_mcp_stdio.echo("hello"))

    async def ask(session: Any) -> str:
        await session.list_tools()
        with pytest.raises(Exception) as caught:  # named differently by each version
            await session.call_tool("echo", {"text": "hello"})
        return str(caught.value)

    said = desk.run(ask, faults=[fault("tool", error=how)])
    assert ("a fault from the tape" if how == "timeout" else "Connection closed") in said


# -- what a person reads


def test_a_view_shows_where_a_stream_broke(recorder: Recorder) -> None:
    def ask() -> str:
        client = openai.OpenAI(api_key="none", base_url=recorder.provider.openai_url, max_retries=0)
        asked: Any = [{"role": "user", "content": "Reply with exactly: one two three four"}]
        pieces = client.chat.completions.create(model="gpt-5", messages=asked, stream=True)
        return "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)

    recorder.record(ask)
    with use_cassette(recorder.path, faults=[fault("openai.chat", after_events=3)]) as session:
        failure = raised_by(ask)
        assert ask() == "one two three four"
    assert type(failure) is openai.APIConnectionError
    assert repr(timeline(session.interactions)).splitlines() == [
        "llm openai.chat gpt-5",
        "  user: Reply with exactly: one two three four",
        "  -> one two",
        "  -> failed: connection reset by peer (a fault from the tape)",
        "llm openai.chat gpt-5",
        "  -> one two three four",
    ]
