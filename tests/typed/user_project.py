"""What a user writes, with every public name: clean under ``mypy --strict`` and pyright, which check that nothing loses
its type. It is checked with the package, and never run."""

from __future__ import annotations

import pathlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import pytest

import pytest_agenttape
from pytest_agenttape import (
    AgentTape,
    AgentTapeError,
    AgentTapeWarning,
    AgentTapeYAMLExtension,
    Cassette,
    CassetteCorruptError,
    CassetteDiff,
    CassetteHandle,
    CassetteNotFoundError,
    Config,
    ConfigError,
    DeterminismDriftWarning,
    Interaction,
    LLMCall,
    Mode,
    NetworkBlockedError,
    ProgramBlockedError,
    RecordingRefusedError,
    SchemaVersionError,
    Session,
    StaleCassetteError,
    StreamingNotRecordedWarning,
    StreamingReplayError,
    TokenTotals,
    ToolCall,
    UnmatchedInteractionError,
    UnplayedInteractionsError,
    UnplayedInteractionsWarning,
    active_session,
    diff_cassettes,
    fault,
    intercept,
    memory_read,
    memory_write,
    record,
    record_call,
    register_codec,
    replay,
    retrieval,
    tool,
    use_cassette,
)

# -- boundaries keep what they wrap


@tool
def get_weather(city: str, days: int = 1) -> dict[str, int]:
    return {city: days}


@retrieval(name="handbook")
async def search(question: str) -> list[str]:
    return [question]


@memory_read
def recall(key: str) -> Iterator[str]:
    yield key


class Notes:
    @memory_write
    async def keep(self, text: str) -> AsyncIterator[str]:
        yield text


@intercept(name="dice", kind="planner")
def roll(sides: int) -> int:
    return sides


counted = intercept(len, kind="tool")


async def ask(prompt: str) -> str:
    return prompt


def calls() -> None:
    assert_type(get_weather("Oslo", days=2), dict[str, int])
    assert_type(recall("name"), Iterator[str])
    assert_type(Notes().keep("note"), AsyncIterator[str])
    assert_type(roll(6), int)
    assert_type(counted([1]), int)
    assert_type(record_call("llm", {"prompt": "hi"}, lambda: "hello", boundary="ask"), str)
    record_call("poem", {}, lambda: "hello")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    get_weather(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def asynchronous_calls() -> None:
    assert_type(await search("dogs?"), list[str])
    assert_type(await replayed("Oslo"), list[str])
    assert_type(await record_call("llm", {}, lambda: ask("hi"), usage={"input_tokens": 1}, tags=["a"]), str)


# -- sessions


@use_cassette("weather", mode="once", freeze={"clock", "uuid"}, matchers=["exact", "ordered"], format="json")
def decorated(city: str) -> dict[str, int]:
    return get_weather(city)


@replay("weather", matchers=lambda asked, recorded: asked == recorded, strict=True)
async def replayed(city: str) -> list[str]:
    return await search(city)


@record("weather", mode=Mode.REFRESH, live={"llm"}, redact=["patient_id"])
def recorded(city: str) -> Iterator[str]:
    yield from recall(city)


class Loose:
    def key(self, request: dict[str, Any]) -> str:
        return str(sorted(request))


def sessions() -> None:
    assert_type(decorated("Oslo"), dict[str, int])
    assert_type(recorded("Oslo"), Iterator[str])
    with use_cassette(pathlib.Path("weather"), matchers=Loose(), config=Config.load()) as session:
        assert_type(session, Session)
        assert_type(session.usage, TokenTotals)
        assert_type(session.duration_ms, float)
        assert_type(active_session(), Session | None)
        session.inject(fault("llm", status=429))
    with replay("weather") as again, record("weather", tags=["a"]):
        assert_type(again, Session)
    use_cassette("weather", mode="sometimes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    replay("weather", matchers="inexact")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    record("weather", freezes="clock")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


# -- a test


@pytest.mark.agenttape
def test_weather(agenttape_cassette: CassetteHandle) -> None:
    get_weather("Oslo")
    agenttape_cassette.assert_tool_calls([("get_weather", {"city": "Oslo"})], mode="in_order")
    assert_type(agenttape_cassette.tool_calls, list[ToolCall])
    assert_type(agenttape_cassette.llm_calls, list[LLMCall])
    assert_type(agenttape_cassette.usage["input_tokens"], int)
    assert_type(agenttape_cassette.duration_ms, float)
    assert_type(agenttape_cassette.tool_calls[0].latency_ms, float | None)
    agenttape_cassette.assert_tool_calls([], mode="exactly")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# -- data


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


register_codec(Money, encode=lambda money: money.cents, decode=Money, name="money")


def data(path: str) -> CassetteDiff:
    cassette = Cassette.load(path)
    assert_type(cassette.interactions, list[Interaction])
    assert_type(cassette.usage, TokenTotals)
    assert_type(cassette.duration_ms, float)
    cassette.redact("patient_id").save(path, format="yaml")
    return diff_cassettes(cassette, path)


LISTENER = AgentTape(tag="night")
VIEWS: type[AgentTapeYAMLExtension] = AgentTapeYAMLExtension
VERSION: str = pytest_agenttape.__version__
ERRORS: tuple[type[AgentTapeError], ...] = (
    CassetteCorruptError,
    CassetteNotFoundError,
    ConfigError,
    NetworkBlockedError,
    ProgramBlockedError,
    RecordingRefusedError,
    SchemaVersionError,
    StaleCassetteError,
    StreamingReplayError,
    UnmatchedInteractionError,
    UnplayedInteractionsError,
)
WARNINGS: tuple[type[AgentTapeWarning], ...] = (
    DeterminismDriftWarning,
    StreamingNotRecordedWarning,
    UnplayedInteractionsWarning,
)
