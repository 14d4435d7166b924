"""claude-agent-sdk: the real SDK records a program that runs, and replays it when the program is gone."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_agenttape import (
    AgentTapeError,
    AgentTapeWarning,
    Cassette,
    Config,
    ConfigError,
    Interaction,
    RecordingRefusedError,
    Session,
    diff_cassettes,
    fault,
    tool,
    use_cassette,
)
from pytest_agenttape.transports.claude import replay as claude_replay

sdk = pytest.importorskip("claude_agent_sdk")

PROGRAM = Path(__file__).with_name("claude_program.py")
Agent = Callable[["Desk"], Awaitable[Any]]


class Desk:
    """A stand-in for Claude Code's program, what it noted, and the cassette of its agent."""

    def __init__(self, folder: Path) -> None:
        self.program = folder / "claude"
        self.log = folder / "log.txt"
        self.path = folder / "cassette.yaml"
        source = PROGRAM.read_text().replace("/usr/bin/env python3", sys.executable)
        self.program.write_text(source)
        self.program.chmod(0o755)

    def options(self, **given: Any) -> Any:
        env = {"CLAUDE_LOG": str(self.log), **given.pop("env", {})}
        return sdk.ClaudeAgentOptions(cli_path=self.program, env=env, **given)

    def run(self, agent: Agent, **options: Any) -> Any:
        with use_cassette(self.path, **options) as self.session:
            return asyncio.run(self.limited(agent))

    async def limited(self, agent: Agent) -> Any:
        async with asyncio.timeout(30):
            return await agent(self)

    def record(self, agent: Agent, **options: Any) -> Any:
        return self.run(agent, mode="all", **options)

    def replay(self, agent: Agent, **options: Any) -> Any:
        """Run from the cassette, the program gone; nothing may start, and all that was recorded is used."""
        self.program.unlink(missing_ok=True)
        before = self.notes
        result = self.run(agent, **options)
        assert self.notes == before
        assert self.session.unplayed == []
        return result

    @property
    def notes(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    @property
    def interactions(self) -> list[Interaction]:
        return Cassette.load(self.path).interactions

    session: Session


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def told(message: Any) -> Any:
    return type(message).__name__, vars(message)


def one(prompt: str, **given: Any) -> Agent:
    async def agent(desk: Desk) -> Any:
        return [told(each) async for each in sdk.query(prompt=prompt, options=desk.options(**given))]

    return agent


def several(*prompts: str, **given: Any) -> Agent:
    async def agent(desk: Desk) -> Any:
        found = []
        async with sdk.ClaudeSDKClient(desk.options(**given)) as client:
            for prompt in prompts:
                await client.query(prompt)
                found += [told(each) async for each in client.receive_response()]
        return found

    return agent


def result_of(messages: Any) -> Any:
    return messages[-1][1]["result"]


def test_a_program_runs_when_it_is_recorded_and_never_again(desk: Desk) -> None:
    live = desk.record(one("hello ü"))
    assert result_of(live) == "claude-default heard hello ü"
    assert desk.notes == ["started", "initialize", "prompt hello ü"]
    assert desk.replay(one("hello ü")) == live


def test_a_prompt_is_a_readable_llm_call_with_its_answer_and_tokens(desk: Desk) -> None:
    desk.record(one("bash ls", model="claude-opus", allowed_tools=["Bash"]))
    options = {"model": "claude-opus", "allowed_tools": ["Bash"]}
    shown = [(each.kind, each.boundary, each.request) for each in desk.interactions]
    assert shown == [
        ("http", "claude_code.connect", {"options": options}),
        ("http", "claude_code.initialize", {}),
        ("llm", "claude_code.query", {"json": {**options, "messages": [{"role": "user", "content": "bash ls"}]}}),
    ]
    prompt = desk.interactions[-1]
    assert prompt.usage == {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "cached_tokens": 3}
    assert prompt.metadata["provider"] == "anthropic"
    assert prompt.metadata["model"] == "claude-opus"


def test_a_conversation_of_several_prompts_is_replayed(desk: Desk) -> None:
    live = desk.record(several("one", "two"))
    assert desk.replay(several("one", "two")) == live
    assert [each.boundary for each in desk.interactions if each.kind == "llm"] == ["claude_code.query"] * 2


def test_streamed_prompts_are_replayed(desk: Desk) -> None:
    async def agent(desk: Desk) -> Any:
        async def prompts() -> AsyncIterator[dict[str, Any]]:
            for text in ("one", "two"):
                yield {"type": "user", "message": {"role": "user", "content": text}}

        return [told(each) async for each in sdk.query(prompt=prompts(), options=desk.options())]

    live = desk.record(agent)
    assert [each[1]["result"] for each in live if each[0] == "ResultMessage"] == [
        "claude-default heard one",
        "claude-default heard two",
    ]
    assert desk.replay(agent) == live


@pytest.mark.parametrize(
    ("agent", "named"),
    [
        (one("hello Bob"), "messages[0]"),
        (one("hello Ann", model="claude-sonnet"), "options.model"),
        (one("hello Ann", system_prompt="Be brief."), "options.system_prompt"),
        (one("hello Ann", allowed_tools=["Read"]), "options.allowed_tools"),
        (one("hello Ann", permission_mode="acceptEdits"), "options.permission_mode"),
        (one("hello Ann", mcp_servers={"sums": {"command": "sums-server"}}), "options.mcp_servers"),
    ],
    ids=["prompt", "model", "system prompt", "tools", "permissions", "servers"],
)
def test_a_drifted_prompt_or_option_is_refused_with_what_differs(desk: Desk, agent: Agent, named: str) -> None:
    desk.record(one("hello Ann"))
    desk.program.unlink()
    before = desk.notes
    with pytest.raises(AgentTapeError) as caught:
        desk.run(agent)
    assert "matches no unplayed interaction" in str(caught.value)
    assert named in str(caught.value)
    assert desk.notes == before


def test_where_the_agent_works_is_not_compared(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    rules = {"allowed_tools": [f"Read({tmp_path}/notes.txt)"], "extra_args": {"debug-file": str(tmp_path / "log")}}
    live = desk.record(one("hello Ann", cwd=tmp_path, env={"A": "1"}, max_buffer_size=100_000, **rules))
    assert str(tmp_path) not in yaml.safe_dump([each.request for each in desk.interactions])
    rules = {"allowed_tools": [f"Read({other}/notes.txt)"], "extra_args": {"debug-file": str(other / "log")}}
    assert desk.replay(one("hello Ann", cwd=other, env={"B": "2"}, **rules)) == live


def test_the_program_asks_whether_it_may_use_a_tool_in_replay_too(desk: Desk) -> None:
    asked: list[Any] = []

    async def may(name: str, given: Any, _context: Any) -> Any:
        asked.append((name, given))
        return sdk.PermissionResultAllow()

    live = desk.record(several("bash ls", can_use_tool=may))
    assert desk.replay(several("bash ls", can_use_tool=may)) == live
    assert asked == [("Bash", {"command": "ls"})] * 2
    assert not re.search(r"request_id: (?!question-)", desk.path.read_text())


def test_another_answer_of_the_agent_is_a_drift(desk: Desk) -> None:
    async def yes(*_: Any) -> Any:
        return sdk.PermissionResultAllow()

    async def no(*_: Any) -> Any:
        return sdk.PermissionResultDeny(message="not today")

    desk.record(several("bash ls", can_use_tool=yes))
    with pytest.raises(AgentTapeError) as caught:
        desk.replay(several("bash ls", can_use_tool=no))
    assert "the answer to Claude Code's can_use_tool is not the recorded one, in claude_code.query" in str(caught.value)
    assert "not today" in str(caught.value)


def test_hooks_run_in_replay_too(desk: Desk) -> None:
    seen: list[Any] = []

    async def look(given: Any, _number: Any, _context: Any) -> Any:
        seen.append(given["tool_input"])
        return {}

    hooks = {"PreToolUse": [sdk.HookMatcher(matcher="Bash", hooks=[look])]}
    live = desk.record(one("bash ls", hooks=hooks))
    assert desk.replay(one("bash ls", hooks=hooks)) == live
    assert seen == [{"command": "ls"}] * 2
    with pytest.raises(AgentTapeError, match=r"claude_code\.initialize\(hooks=.*matches no unplayed interaction"):
        desk.replay(one("bash ls", hooks={"Stop": [sdk.HookMatcher(hooks=[look])]}))


class Sums:
    """A server in the agent's process, with a tool that is recorded or is not."""

    def __init__(self, *, is_recorded: bool) -> None:
        self.runs = 0
        self.more = 0

        async def add(args: dict[str, Any]) -> dict[str, Any]:
            self.runs += 1
            return {"content": [{"type": "text", "text": str(args["a"] + args["b"] + self.more)}]}

        body = tool(name="add")(add) if is_recorded else add
        made = sdk.tool("add", "Adds.", {"a": int, "b": int})(body)
        self.options = {"mcp_servers": {"sums": sdk.create_sdk_mcp_server("sums", tools=[made])}}


def test_a_recorded_tool_of_the_agents_process_does_not_run_in_replay(desk: Desk) -> None:
    sums = Sums(is_recorded=True)
    live = desk.record(one("add 3", **sums.options))
    assert sums.runs == 1
    assert [(each.kind, each.boundary) for each in desk.interactions if each.kind == "tool"] == [("tool", "add")]
    assert desk.replay(one("add 3", **sums.options)) == live
    assert sums.runs == 1


def test_an_unrecorded_tool_of_the_agents_process_is_named_and_runs_again(desk: Desk) -> None:
    sums = Sums(is_recorded=False)
    with pytest.warns(AgentTapeWarning, match=r"sums\.add: nothing recorded this tool"):
        live = desk.record(one("add 3", **sums.options))
    assert desk.interactions[-1].metadata["unrecorded_tools"] == ["sums.add"]
    assert desk.replay(one("add 3", **sums.options)) == live
    assert sums.runs == 2
    sums.more = 1
    with pytest.raises(AgentTapeError, match=r"the answer to Claude Code's sums\.add is not the recorded one"):
        desk.replay(one("add 3", **sums.options))


def test_an_interrupt_ends_what_it_ended_when_recorded(desk: Desk) -> None:
    async def agent(desk: Desk) -> Any:
        found = []
        async with sdk.ClaudeSDKClient(desk.options()) as client:
            await client.query("long story")
            async for each in client.receive_response():
                found.append(told(each))
                if isinstance(each, sdk.AssistantMessage):
                    await client.interrupt()
            await client.query("and now")
            return found + [told(each) async for each in client.receive_response()]

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_requests_of_the_agent_are_answered_as_recorded(desk: Desk) -> None:
    def agent(model: str) -> Agent:
        async def run(desk: Desk) -> Any:
            async with sdk.ClaudeSDKClient(desk.options()) as client:
                info = await client.get_server_info()
                await client.set_model(model)
                await client.set_permission_mode("plan")
                usage = await client.get_context_usage()
                with pytest.raises(Exception, match="no server x") as caught:
                    await client.toggle_mcp_server("x", enabled=False)
                await client.query("hello")
                return info, usage, str(caught.value), [told(each) async for each in client.receive_response()]

        return run

    live = desk.record(agent("claude-haiku"))
    assert result_of(live[-1]) == "claude-haiku heard hello"
    assert desk.interactions[-1].request["json"]["model"] == "claude-haiku"
    assert desk.interactions[-1].request["json"]["permission_mode"] == "plan"
    assert desk.replay(agent("claude-haiku")) == live
    with pytest.raises(AgentTapeError, match=r"claude_code\.set_model"):
        desk.run(agent("claude-opus"))


@pytest.mark.parametrize(("prompt", "kind"), [("crash", "ProcessError"), ("limit", "ResultError")])
def test_a_program_that_fails_fails_again(desk: Desk, prompt: str, kind: str) -> None:
    async def agent(desk: Desk) -> Any:
        found = []

        async def listen() -> None:
            async for each in sdk.query(prompt=prompt, options=desk.options()):
                found.append(told(each))  # noqa: PERF401  # it raises in between

        with pytest.raises(sdk.ProcessError) as caught:
            await listen()
        return found, type(caught.value).__name__, caught.value.exit_code, str(caught.value)

    live = desk.record(agent)
    assert live[1] == kind
    assert desk.replay(agent) == live


def test_an_overloaded_model_is_not_recorded_unless_allowed(desk: Desk) -> None:
    with pytest.raises(RecordingRefusedError, match="got status 529"):
        desk.record(several("overload"))
    assert not desk.path.exists()
    live = desk.record(several("overload"), allow_errors=[529])
    assert desk.replay(several("overload")) == live


def test_a_missing_program_is_missing_again(desk: Desk) -> None:
    desk.program.unlink()
    for mode in ("all", "none"):
        with use_cassette(desk.path, mode=mode), pytest.raises(sdk.CLINotFoundError, match="Claude Code not found at"):
            asyncio.run(one("hello")(desk))


def test_lines_of_standard_error_reach_the_agent_again(desk: Desk) -> None:
    lines: list[str] = []

    async def agent(desk: Desk) -> Any:
        async with sdk.ClaudeSDKClient(desk.options(stderr=lines.append)) as client:
            await client.query("complain loudly")
            async for _ in client.receive_response():
                pass
            while not lines:
                await asyncio.sleep(0.01)
        return lines.copy()

    assert desk.record(agent) == ["loudly"]
    lines.clear()
    assert desk.replay(agent) == ["loudly"]


def test_an_agent_that_leaves_early_does_so_again(desk: Desk) -> None:
    async def agent(desk: Desk) -> Any:
        async with sdk.ClaudeSDKClient(desk.options()) as client:
            await client.query("long story")
            async for each in client.receive_response():
                if isinstance(each, sdk.AssistantMessage):
                    return told(each)
        return None

    live = desk.record(agent)
    assert desk.interactions[-1].response["complete"] is False
    assert desk.replay(agent) == live


def test_an_agent_that_waits_for_more_than_was_said_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def agent(*, interrupts: bool) -> Agent:
        async def run(desk: Desk) -> Any:
            async with sdk.ClaudeSDKClient(desk.options()) as client:
                await client.query("long story")
                async for each in client.receive_response():
                    if isinstance(each, sdk.AssistantMessage) and interrupts:
                        await client.interrupt()

        return run

    desk.record(agent(interrupts=True))
    monkeypatch.setattr(claude_replay, "LONGEST_WAIT", 0.1)
    with pytest.raises(AgentTapeError, match="when this was recorded, it sent 'interrupt' here; record it again"):
        desk.replay(agent(interrupts=False))


def test_an_agent_that_reads_on_where_it_left_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def left(desk: Desk) -> None:
        messages = sdk.query(prompt="wait a little", options=desk.options())
        async for each in messages:
            if isinstance(each, sdk.AssistantMessage):
                break
        await messages.aclose()
        while len(asyncio.all_tasks()) > 1:  # the SDK closes it in a task of its own
            await asyncio.sleep(0.01)

    desk.record(left)
    monkeypatch.setattr(claude_replay, "LONGEST_WAIT", 0.1)
    with pytest.raises(AgentTapeError, match="when this was recorded, it stopped waiting here; record it again"):
        desk.replay(one("wait a little"))


def test_a_program_that_is_missing_for_a_streamed_prompt_ends_the_stream(desk: Desk) -> None:
    def agent(text: str) -> Agent:
        async def run(desk: Desk) -> Any:
            async def prompts() -> AsyncIterator[dict[str, Any]]:
                yield {"type": "user", "message": {"role": "user", "content": text}}

            return [told(each) async for each in sdk.query(prompt=prompts(), options=desk.options())]

        return run

    desk.record(agent("one"))
    desk.program.unlink()
    with pytest.raises(sdk.CLINotFoundError):
        desk.run(agent("two"), mode="refresh")


def test_conversations_that_are_under_way_together_get_their_own_answers(desk: Desk) -> None:
    async def agent(desk: Desk) -> Any:
        return await asyncio.gather(*(one(f"hello {number}")(desk) for number in range(5)))

    async def backwards(desk: Desk) -> Any:
        return (await asyncio.gather(*(one(f"hello {number}")(desk) for number in reversed(range(5)))))[::-1]

    live = desk.record(agent)
    assert desk.replay(agent) == live
    assert desk.replay(backwards) == live


def test_a_refresh_starts_the_program_only_for_what_is_new(desk: Desk) -> None:
    sums = Sums(is_recorded=True)
    desk.record(one("add 3", **sums.options))
    desk.log.unlink()
    desk.run(one("add 3", **sums.options), mode="refresh")
    assert desk.notes == []
    live = desk.run(one("add 4", **sums.options), mode="refresh")
    assert desk.notes == ["started", "initialize", "prompt add 4"]
    assert desk.replay(one("add 4", **sums.options)) == live


def test_a_live_prompt_goes_to_the_model_that_is_tried(desk: Desk) -> None:
    def agent(desk: Desk) -> Any:
        return several("hello", model="claude-opus")(desk)

    desk.record(agent)
    desk.log.unlink()
    live = desk.run(agent, live={"llm"}, config=Config.from_mapping({"model_override": "claude-next"}))
    assert result_of(live) == "claude-next heard hello"
    assert desk.notes == ["started", "initialize", "prompt hello"]
    assert desk.session.interactions[-1].metadata["model"] == "claude-next"


def test_a_conversation_is_not_half_replayed(desk: Desk) -> None:
    desk.record(several("one"))
    before = desk.notes
    with pytest.raises(AgentTapeError, match="an earlier prompt of this conversation was replayed, and this one runs"):
        desk.run(several("one", "two"), mode="refresh")
    assert desk.notes == before


def test_outside_of_a_session_the_program_runs_as_it_did(desk: Desk) -> None:
    with use_cassette(desk.path, mode="all"):
        pass
    assert result_of(asyncio.run(desk.limited(several("one", "two")))) == "claude-default heard two"


@pytest.mark.parametrize("mode", ["refresh", "none"])
def test_trio_is_refused(desk: Desk, mode: str) -> None:
    trio = pytest.importorskip("trio")
    desk.record(one("hello"))
    before = desk.notes
    with (
        pytest.raises(AgentTapeError, match="recorded and replayed under asyncio only; nothing was started"),
        use_cassette(desk.path, mode=mode),
    ):
        trio.run(one("hello"), desk)
    assert desk.notes == before


def test_a_secret_reaches_no_file(desk: Desk) -> None:
    def agent(key: str) -> Agent:
        servers = {"web": {"type": "http", "url": "https://x.test", "headers": {"Authorization": f"Bearer {key}"}}}
        given = {"include_partial_messages": True, "mcp_servers": servers, "env": {"ANTHROPIC_API_KEY": key}}
        return one(f"stream the key is {key}", **given)

    key = "sk-proj-" + "aB3dE5gH" * 6
    live = desk.record(agent(key))
    written = desk.path.read_text()
    assert "aB3dE5gH" not in written
    yaml.safe_load(written)
    assert len(desk.replay(agent("sk-proj-" + "zY8wV6uT" * 6))) == len(live)


def test_secrets_in_questions_and_answers_are_equal_in_replay(desk: Desk) -> None:
    def agent(key: str, other: str) -> Agent:
        async def may(_name: str, given: Any, _context: Any) -> Any:
            return sdk.PermissionResultAllow(updated_input={**given, "note": f"with {other}"})

        return several(f"bash login {key}", can_use_tool=may)

    keys = ["sk-proj-" + 6 * text for text in ("aB3dE5gH", "zY8wV6uT", "qW9eR7tY", "mN2bV4cX")]
    live = desk.record(agent(keys[0], keys[1]))
    assert not any(key in desk.path.read_text() for key in keys)
    assert len(desk.replay(agent(keys[2], keys[3]))) == len(live)


def test_what_stands_for_a_secret_is_not_sent_to_a_program_that_asks(desk: Desk) -> None:
    @tool
    def log_in() -> dict[str, str]:
        return {"access_token": "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"}

    async def may(_name: str, given: Any, _context: Any) -> Any:
        return sdk.PermissionResultAllow(updated_input={**given, "note": log_in()["access_token"]})

    with use_cassette(desk.path, mode="all"):
        log_in()
    before = desk.path.read_bytes()
    with pytest.raises(RecordingRefusedError, match="would send REDACTED0001, which stands for a secret"):
        desk.run(several("bash login", can_use_tool=may), mode="refresh")
    assert desk.path.read_bytes() == before


def test_an_agent_that_is_stopped_is_stopped_again(desk: Desk) -> None:
    async def agent(desk: Desk) -> Any:
        found = []

        async def listen() -> None:
            async with asyncio.timeout(1), sdk.ClaudeSDKClient(desk.options()) as client:
                await client.query("long story")
                async for each in client.receive_response():
                    found.append(told(each))  # noqa: PERF401  # it is stopped in between

        with pytest.raises(TimeoutError):
            await listen()
        return found

    live = desk.record(agent)
    assert desk.replay(agent) == live


def test_two_recordings_are_told_apart_by_nothing_but_made_up_numbers(desk: Desk) -> None:
    desk.record(one("bash ls"))
    first = Cassette.load(desk.path)
    desk.record(one("bash ls"))
    assert diff_cassettes(first, Cassette.load(desk.path)).identical


def test_a_fault_is_an_error_of_the_conversation(desk: Desk) -> None:
    live = desk.record(one("hello"))
    desk.program.unlink()
    with pytest.raises(TimeoutError, match="a fault from the tape"):
        desk.run(one("hello"), faults=[fault("llm", error="timeout")])
    with pytest.raises(ConfigError, match="is a conversation with a program: give it an error"):
        desk.run(one("hello"), faults=[fault("llm", result="hello")])
    assert desk.replay(one("hello")) == live
