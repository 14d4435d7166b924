"""MCP over stdio: the real SDK's client records a server that runs, and replays it when its script is gone."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_agenttape import Cassette, Interaction, Session, record_call, tool, use_cassette

mcp = pytest.importorskip("mcp")
anyio = pytest.importorskip("anyio")

from mcp.client.stdio import stdio_client  # noqa: E402  # after it is known to be there

SERVER = Path(__file__).with_name("mcp_server.py")
Agent = Callable[[Any], Awaitable[Any]]


class Desk:
    """A server's script, what it noted, and the cassette of its client."""

    def __init__(self, folder: Path) -> None:
        self.script = folder / "desk_server.py"
        self.log = folder / "log.txt"
        self.path = folder / "cassette.yaml"
        self.said: list[Any] = []
        self.sampled = "blue"
        self.sure: object = 1
        shutil.copy(SERVER, self.script)

    def run(self, agent: Agent, *, backend: str = "asyncio", **options: Any) -> Any:
        with use_cassette(self.path, **options) as self.session:
            return anyio.run(self.connected, agent, backend=backend)

    def record(self, agent: Agent, **options: Any) -> Any:
        return self.run(agent, mode="all", **options)

    def replay(self, agent: Agent, **options: Any) -> Any:
        """Run from the cassette, the script gone; nothing may start, and all that was recorded is used."""
        self.script.unlink(missing_ok=True)
        before = self.notes
        result = self.run(agent, **options)
        assert self.notes == before
        assert self.session.unplayed == []
        return result

    async def connected(self, agent: Agent) -> Any:
        parameters = mcp.StdioServerParameters(command=sys.executable, args=[str(self.script), str(self.log)])
        async with (
            stdio_client(parameters) as (read, write),
            mcp.ClientSession(read, write, sampling_callback=self.sample, logging_callback=self.hear) as session,
        ):
            await session.initialize()
            return await agent(session)

    async def sample(self, _context: Any, params: Any) -> Any:
        self.said.append(params.messages[0].content.text)
        content = mcp.types.TextContent(type="text", text=self.sampled, _meta={"sure": self.sure})
        return mcp.types.CreateMessageResult(role="assistant", content=content, model="m")

    async def hear(self, params: Any) -> None:
        self.said.append(params.data)

    @property
    def notes(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    @property
    def interactions(self) -> list[Interaction]:
        return Cassette.load(self.path).interactions

    session: Session


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def plain(result: Any) -> Any:
    return result.model_dump(mode="json")


def echo(*texts: str) -> Agent:
    async def agent(session: Any) -> Any:
        await session.list_tools()
        return [plain(await session.call_tool("echo", {"text": text})) for text in texts]

    return agent


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_server_runs_when_it_is_recorded_and_never_again(desk: Desk, backend: str) -> None:
    live = desk.record(echo("a", "ü\u2028"), backend=backend)
    assert desk.notes == ["started", "echo", "echo"]
    assert desk.replay(echo("a", "ü\u2028"), backend=backend) == live


def test_the_cassette_names_server_and_tools_and_holds_no_number_of_the_protocol(desk: Desk) -> None:
    desk.record(echo("a"))
    shown = [(each.kind, each.boundary, each.request) for each in desk.interactions]
    assert shown == [
        ("http", "mcp.connect", {"server": "desk_server.py"}),
        ("http", "mcp.initialize", {"server": "desk_server.py"}),
        ("http", "desk.tools/list", {}),
        ("tool", "desk.echo", {"args": {"text": "a"}}),
    ]
    assert desk.interactions[-1].response == {"content": [{"type": "text", "text": "echo a"}]}
    assert "jsonrpc" not in desk.path.read_text()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_calls_beside_each_other_end_as_they_did(desk: Desk, backend: str) -> None:
    async def agent(session: Any) -> list[str]:
        notes = []

        async def ask(name: str) -> None:
            result = await session.call_tool(name, {"text": "a"})
            notes.append(result.content[0].text)

        async with anyio.create_task_group() as group:
            group.start_soon(ask, "hold")
            await anyio.sleep(0.05)
            group.start_soon(ask, "echo")
        return notes

    assert desk.record(agent, backend=backend) == ["echo a", "hold a"]
    assert desk.replay(agent, backend=backend) == ["echo a", "hold a"]


def test_a_drifted_argument_is_refused_with_what_differs(desk: Desk) -> None:
    desk.record(echo("a"))
    desk.script.unlink()
    with pytest.raises(BaseException) as caught:
        desk.run(echo("b"))
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert "desk.echo(text='b') matches no unplayed interaction" in str(error)
    assert desk.notes == ["started", "echo"]


def test_a_server_that_is_not_recorded_is_not_started(desk: Desk) -> None:
    with use_cassette(desk.path, mode="all"):
        record_call("tool", {}, lambda: None)
    with pytest.raises(BaseException, match="connect") as caught:
        desk.run(echo("a"))
    assert desk.notes == []
    assert "mcp.connect(server='desk_server.py') matches no unplayed interaction" in str(caught.value)


def test_a_program_that_cannot_be_started_fails_again(desk: Desk) -> None:
    async def agent() -> None:
        async with stdio_client(mcp.StdioServerParameters(command="/nowhere/desk-server")):
            pass

    for mode in ("all", "none"):
        with use_cassette(desk.path, mode=mode), pytest.raises(FileNotFoundError, match="nowhere"):
            anyio.run(agent)


def test_progress_reaches_who_asked_for_it(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        steps: list[float] = []

        async def note(progress: float, _total: float | None, _message: str | None) -> None:
            steps.append(progress)

        await session.call_tool("count", {"text": "x"}, progress_callback=note)
        return steps

    live = desk.record(agent)
    assert live == [0, 1, 2]
    assert desk.replay(agent) == live
    assert "progressToken" not in desk.path.read_text()


async def ask(session: Any) -> Any:
    return plain(await session.call_tool("ask", {"text": "which colour?"}))


def test_the_server_asks_back_in_replay_too(desk: Desk) -> None:
    live = desk.record(ask)
    assert live["content"][0]["text"] == "ask blue"
    assert desk.said == ["which colour?"]
    assert desk.replay(ask) == live
    assert desk.said == ["which colour?"] * 2


@pytest.mark.parametrize(("answer", "sure"), [("red", 1), ("blue", True)])
def test_another_answer_to_what_the_server_asked_is_a_drift(desk: Desk, answer: str, sure: object) -> None:
    desk.record(ask)
    desk.sampled, desk.sure = answer, sure
    with pytest.raises(BaseException) as caught:
        desk.run(ask)
    error = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert "the answer to the server's sampling/createMessage is not the recorded one" in str(error)


def test_what_the_server_says_after_its_answer_is_said_again(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        await session.call_tool("news", {})
        with anyio.fail_after(20):
            while not desk.said:
                await anyio.sleep(0.01)
        return desk.said.copy()

    live = desk.record(agent)
    desk.said.clear()
    assert desk.replay(agent) == live == ["late news"]


def test_an_error_of_the_protocol_is_raised_again(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        with pytest.raises(Exception, match="no such desk") as caught:
            await session.call_tool("refuse", {})
        about = getattr(caught.value, "error", caught.value)
        return about.code, about.message, about.data

    live = desk.record(agent)
    assert live == (-32602, "no such desk", {"why": "closed"})
    assert desk.replay(agent) == live


def test_a_server_that_ends_ends_in_replay_too(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        with pytest.raises(Exception, match="onnection closed") as caught:
            await session.call_tool("crash", {})
        return str(caught.value)

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_an_agent_that_stops_waiting_does_so_again(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        with anyio.move_on_after(0.3) as waiting:
            await session.call_tool("hang", {})
        return waiting.cancelled_caught, plain(await session.call_tool("echo", {"text": "on"}))

    live = desk.record(agent)
    assert live[0]
    assert desk.replay(agent) == live


def test_calls_that_are_under_way_together_get_their_own_answers(desk: Desk) -> None:
    async def agent(session: Any) -> Any:
        found: dict[str, Any] = {}

        async def one(text: str) -> None:
            found[text] = plain(await session.call_tool("echo", {"text": text}))

        async with anyio.create_task_group() as together:
            for number in range(10):
                together.start_soon(one, str(number))
        return dict(sorted(found.items()))

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_a_refresh_starts_the_server_only_for_what_is_new(desk: Desk) -> None:
    desk.record(echo("a"))
    desk.log.unlink()
    live = desk.run(echo("a"), mode="refresh")
    assert desk.notes == []
    both = desk.run(echo("a", "b"), mode="refresh")
    assert desk.notes == ["started", "echo"]
    assert both[:1] == live
    assert desk.replay(echo("a", "b")) == both


def test_a_live_tool_runs_on_a_server_whose_start_was_replayed(desk: Desk) -> None:
    desk.record(echo("a"))
    desk.log.unlink()
    assert desk.run(echo("c"), live={"tool"})[0]["content"][0]["text"] == "echo c"
    assert desk.notes == ["started", "echo"]


def test_two_servers_are_told_apart_by_their_scripts(desk: Desk) -> None:
    other = desk.script.with_name("other.py")
    shutil.copy(desk.script, other)

    def connected(*scripts: Path) -> Any:
        async def agent() -> None:
            for script in scripts:
                parameters = mcp.StdioServerParameters(command=sys.executable, args=[str(script), str(desk.log)])
                async with stdio_client(parameters) as (read, write), mcp.ClientSession(read, write) as session:
                    await session.initialize()

        return agent

    with use_cassette(desk.path, mode="all"):
        anyio.run(connected(desk.script, other))
    with use_cassette(desk.path) as session:
        anyio.run(connected(other, desk.script))
    assert session.unplayed == []


def test_outside_of_a_session_a_server_runs_as_it_did(desk: Desk) -> None:
    with use_cassette(desk.path, mode="all"):
        pass
    assert anyio.run(desk.connected, echo("a"))[0]["content"][0]["text"] == "echo a"
    assert desk.notes == ["started", "echo"]


def test_a_secret_among_the_arguments_reaches_no_file(desk: Desk) -> None:
    key = "sk-proj-" + "aB3dE5gH" * 6
    live = desk.record(echo(key))
    assert key not in desk.path.read_text()
    yaml.safe_load(desk.path.read_text())
    other = desk.replay(echo("sk-proj-" + "zY8wV6uT" * 6))
    assert len(other) == len(live)


def test_a_secret_keeps_its_shape_and_what_stands_for_it_is_not_sent_to_a_server_that_asks(desk: Desk) -> None:
    @tool
    def log_in() -> dict[str, str]:
        return {"access_token": "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"}

    async def agent(session: Any) -> None:
        token = plain(await session.call_tool("echo", {"text": log_in()["access_token"]}))["content"][0]["text"]
        assert token.startswith("echo sk_live_")
        assert len(token) == 37
        await session.call_tool("echo", {"text": f"again: {token}"})

    async def asked_back(session: Any) -> None:
        desk.sampled = log_in()["access_token"]
        await ask(session)

    desk.record(agent)
    assert "hT4vRm8K" not in desk.path.read_text()
    desk.replay(agent)
    shutil.copy(SERVER, desk.script)
    before = desk.path.read_bytes()
    with pytest.raises(BaseException) as caught:
        desk.run(asked_back, mode="refresh")
    assert "would send REDACTED0001, which stands for a secret" in repr(caught.getrepr())
    assert desk.path.read_bytes() == before
