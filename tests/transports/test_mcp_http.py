"""MCP over HTTP: a tool is called by its name, on a server that is gone in replay; the long-lived stream stays open."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import Cassette, use_cassette
from pytest_agenttape.reading.calls import tool_calls

mcp = pytest.importorskip("mcp")
anyio = pytest.importorskip("anyio")
uvicorn = pytest.importorskip("uvicorn")

import mcp.client.streamable_http as client  # noqa: E402  # after it is known to be there

try:
    from mcp.server.fastmcp import FastMCP
except ImportError:  # its name since mcp 2
    from mcp.server.mcpserver import MCPServer as FastMCP  # type: ignore[import-not-found,no-redef]

connect = getattr(client, "streamable_http_client", None) or client.streamablehttp_client


class Weather:
    """A server in a thread, which counts the requests that reach it."""

    def __init__(self) -> None:
        self.hits: list[str] = []
        self.ran: list[str] = []
        server = FastMCP("weather")

        @server.tool()
        def forecast(city: str) -> str:
            self.ran.append(city)
            if city == "Atlantis":
                raise ValueError("no such city")
            return f"sunny in {city}"

        self.app = server.streamable_http_app()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.hits.append(scope["method"])
        await self.app(scope, receive, send)


@pytest.fixture
def weather() -> Iterator[tuple[Weather, str, Callable[[], None]]]:
    made = Weather()
    config = uvicorn.Config(made, host="127.0.0.1", port=0, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]

    def stop() -> None:
        server.should_exit = True
        thread.join(10)

    yield made, f"http://127.0.0.1:{port}/mcp", stop
    stop()


async def session_of(url: str, agent: Callable[[Any], Awaitable[Any]], terminate: bool = True) -> Any:
    async with contextlib.AsyncExitStack() as stack:
        streams = await stack.enter_async_context(connect(url, terminate_on_close=terminate))
        session = await stack.enter_async_context(mcp.ClientSession(*streams[:2]))
        await session.initialize()
        return await agent(session)


async def ask(session: Any) -> Any:
    await session.list_tools()
    result = await session.call_tool("forecast", {"city": "Oslo"})
    await anyio.sleep(0.2)  # the long-lived stream has been asked for by now
    failed = await session.call_tool("forecast", {"city": "Atlantis"})
    return result.model_dump(mode="json"), failed.model_dump(mode="json")


@pytest.mark.parametrize("terminate", [True, False], ids=["the server ends it", "the client leaves it"])
def test_a_tool_is_called_by_name_on_a_server_that_is_gone(
    tmp_path: Path, weather: tuple[Weather, str, Callable[[], None]], terminate: bool
) -> None:
    server, url, stop = weather
    path = tmp_path / "cassette.yaml"
    with use_cassette(path, mode="all"):
        live = anyio.run(session_of, url, ask, terminate)
    hits = list(server.hits)
    assert hits.count("GET") == 1
    assert server.ran == ["Oslo", "Atlantis"]
    stop()

    recorded = Cassette.load(path).interactions
    (stream,) = [each for each in recorded if each.request["method"] == "GET"]
    if not terminate:  # else the server's end and the client's leave race each other
        assert stream.response["complete"] is False
    assert stream.pace
    calls = tool_calls(recorded)
    assert [(call.name, call.arguments) for call in calls] == [
        ("weather.forecast", {"city": "Oslo"}),
        ("weather.forecast", {"city": "Atlantis"}),
    ]
    assert calls[0].result["content"][0]["text"] == "sunny in Oslo"
    assert calls[1].result["isError"]

    with use_cassette(path) as session:
        assert anyio.run(session_of, url, ask, terminate) == live
    assert session.unplayed == []
    assert server.hits == hits


def test_the_client_may_number_and_introduce_itself_otherwise(
    tmp_path: Path, weather: tuple[Weather, str, Callable[[], None]]
) -> None:
    _, url, stop = weather
    path = tmp_path / "cassette.yaml"

    async def oslo(session: Any) -> Any:
        return (await session.call_tool("forecast", {"city": "Oslo"})).content[0].text

    with use_cassette(path, mode="all"):
        live = anyio.run(session_of, url, oslo)
    stop()
    text = path.read_text()
    path.write_text(text.replace("clientInfo:", "clientInfo:\n          title: Old").replace("id: 1", "id: 7"))
    assert path.read_text() != text
    with use_cassette(path) as session:
        assert anyio.run(session_of, url, oslo) == live
    assert session.unplayed == []


def test_a_drifted_argument_is_refused(tmp_path: Path, weather: tuple[Weather, str, Callable[[], None]]) -> None:
    server, url, stop = weather
    path = tmp_path / "cassette.yaml"

    async def oslo(session: Any) -> Any:
        return await session.call_tool("forecast", {"city": "Oslo"})

    async def rome(session: Any) -> Any:
        return await session.call_tool("forecast", {"city": "Rome"})

    with use_cassette(path, mode="all"):
        anyio.run(session_of, url, oslo)
    stop()
    with contextlib.suppress(BaseException), use_cassette(path) as session:
        anyio.run(session_of, url, rome)
    assert session.verdict.first is not None
    assert "weather.forecast" in str(session.verdict.first)
    assert "Rome" in str(session.verdict.first)
    assert server.ran == ["Oslo"]
