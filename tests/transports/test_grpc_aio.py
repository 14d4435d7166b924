"""grpc.aio's calls, recorded against a real server and replayed with it gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

from pytest_agenttape import StreamingReplayError, UnmatchedInteractionError, use_cassette
from tests.transports.grpc_server import SERVICE, Server, pairs, texts


class Tape:
    """Runs an agent live, then with the server gone."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path, self.server, self.target = path, server, server.target

    def record(self, run: Callable[[Any], Any], **options: Any) -> Any:
        with use_cassette(self.path, mode="all", **options):
            return asyncio.run(self._run(run))

    def replay(self, run: Callable[[Any], Any]) -> Any:
        before = len(self.server.calls)
        self.server.stop()
        with use_cassette(self.path) as session:
            answer = asyncio.run(self._run(run))
        assert session.unplayed == []
        assert len(self.server.calls) == before
        return answer

    def both(self, run: Callable[[Any], Any]) -> Any:
        live = self.record(run)
        assert self.server.calls
        assert self.replay(run) == live
        return live

    async def _run(self, run: Callable[[Any], Any]) -> Any:
        async with grpc.aio.insecure_channel(self.target) as channel:
            return await asyncio.wait_for(run(channel), 20)


@pytest.fixture
def tape(tmp_path: Path) -> Iterator[Tape]:
    server = Server()
    yield Tape(tmp_path / "cassette.yaml", server)
    server.stop()


async def unary(channel: Any) -> Any:
    call = channel.unary_unary(SERVICE + "Unary", **texts())("Paris", timeout=20, metadata=(("x-user", "me"),))
    answer = await call
    return (
        answer, await call.code(), await call.details(),
        pairs(await call.initial_metadata()), pairs(await call.trailing_metadata()), call.done(), call.cancelled(),
    )  # fmt: skip


async def stream(channel: Any) -> Any:
    call = channel.unary_stream(SERVICE + "Stream", **texts())("Paris")
    return [each async for each in call], await call.code()


async def stream_by_read(channel: Any) -> Any:
    call = channel.unary_stream(SERVICE + "Stream", **texts())("Paris")
    heard = []
    while (each := await call.read()) is not grpc.aio.EOF:
        heard.append(each)
    return heard


async def collect(channel: Any) -> Any:
    async def words() -> Any:
        for each in "abc":
            yield each

    return await channel.stream_unary(SERVICE + "Collect", **texts())(words())


async def collect_by_write(channel: Any) -> Any:
    call = channel.stream_unary(SERVICE + "Collect", **texts())()
    for each in "abc":
        await call.write(each)
    await call.done_writing()
    return await call


async def converse(channel: Any) -> Any:
    return [each async for each in channel.stream_stream(SERVICE + "Converse", **texts())(iter("abc"))]


async def converse_in_turns(channel: Any) -> Any:
    call = channel.stream_stream(SERVICE + "Converse", **texts())()
    heard = []
    for each in "abc":
        await call.write(each)
        heard.append(await call.read())
    await call.done_writing()
    return heard, await call.read() is grpc.aio.EOF, await call.code()


async def failing(channel: Any) -> Any:
    with pytest.raises(grpc.RpcError) as caught:
        await channel.unary_unary(SERVICE + "Failing")(b"Paris")
    error: Any = caught.value
    return type(error), error.code(), error.details(), pairs(error.trailing_metadata())


async def failing_stream(channel: Any) -> Any:
    heard: list[str] = []

    async def listen() -> None:
        async for each in channel.unary_stream(SERVICE + "Stream", **texts())("Nowhere"):
            heard.append(each)  # noqa: PERF401  # what was heard before the error counts

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listen()
    return heard, caught.value.code(), caught.value.details()


async def ready(channel: Any) -> Any:
    await channel.channel_ready()
    return await channel.unary_unary(SERVICE + "Unary", **texts())("Paris")


async def at_once(channel: Any) -> Any:
    ask = channel.unary_unary(SERVICE + "Unary", **texts())
    return await asyncio.gather(*(ask(f"place {number}") for number in range(10)))


RUNS = [
    unary, stream, stream_by_read, collect, collect_by_write, converse, converse_in_turns, failing, failing_stream,
    ready, at_once,
]  # fmt: skip


@pytest.mark.parametrize("run", RUNS)
def test_a_call_is_recorded_and_replayed(tape: Tape, run: Callable[[Any], Any]) -> None:
    assert tape.both(run)


def test_interceptors_of_the_users_are_above(tape: Tape) -> None:
    class Adds(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            details.metadata.add("x-added", "1")
            return await continuation(details, request + "!")

    async def run(_: Any) -> Any:
        async with grpc.aio.insecure_channel(tape.target, interceptors=[Adds()]) as channel:
            return await channel.unary_unary(SERVICE + "Unary", **texts())("Paris", metadata=grpc.aio.Metadata())

    assert tape.both(run) == "sunny in Paris!"


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream", "stream_stream"])
def test_an_unknown_call_is_refused(tape: Tape, kind: str) -> None:
    tape.record(unary)

    async def run(channel: Any) -> Any:
        if kind == "stream_stream":
            return await channel.stream_stream(SERVICE + "Converse", **texts())(iter("a")).read()
        call = getattr(channel, kind)(SERVICE + "Other", **texts())("Paris")
        return await (call if kind == "unary_unary" else call.read())

    before = len(tape.server.calls)
    with pytest.raises(UnmatchedInteractionError), use_cassette(tape.path, mode="none"):
        asyncio.run(tape._run(run))
    assert len(tape.server.calls) == before


def test_a_drifted_conversation_is_refused(tape: Tape) -> None:
    tape.record(converse)

    async def run(channel: Any) -> Any:
        return [each async for each in channel.stream_stream(SERVICE + "Converse", **texts())(iter("abX"))]

    with pytest.raises(UnmatchedInteractionError, match="message 3"), use_cassette(tape.path, mode="none"):
        asyncio.run(tape._run(run))


def test_an_agent_that_waits_in_turn_for_what_came_later_is_refused(
    tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_agenttape.transports.grpc.aio_call.LONGEST_WAIT", 0.2)
    tape.record(converse)
    stored = yaml.safe_load(tape.path.read_text())
    turns = stored["interactions"][0]["response"]["conversation"]
    turns.sort(key=lambda turn: "received" in turn)
    tape.path.write_text(yaml.safe_dump(stored))
    message = r"waits for message 1 of the server, .* has sent 1 now"
    with pytest.raises(UnmatchedInteractionError, match=message), use_cassette(tape.path, mode="none"):
        asyncio.run(tape._run(converse_in_turns))


def test_a_stream_that_was_left_early_ends_where_its_reader_did(tape: Tape) -> None:
    async def run(channel: Any, count: int = 2) -> Any:
        call = channel.unary_stream(SERVICE + "Stream", **texts())("Paris")
        heard = [await call.read() for _ in range(count)]
        await asyncio.sleep(0.2)
        call.cancel()
        return heard

    assert tape.both(run)
    with pytest.raises(StreamingReplayError), use_cassette(tape.path, mode="none"):
        asyncio.run(tape._run(lambda channel: run(channel, 3)))


def test_a_deadline_is_of_the_real_clock(tape: Tape) -> None:
    async def run(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            await channel.unary_unary(SERVICE + "Slow")(b"", timeout=0.3)
        return caught.value.code()  # type: ignore[attr-defined]

    assert tape.record(unary, freeze=("clock",))
    tape.record(run, freeze=("clock",), allow_errors=True)
    assert tape.replay(run) is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_call_that_the_agent_gave_up_is_given_up_again(tape: Tape) -> None:
    async def run(channel: Any) -> Any:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.unary_unary(SERVICE + "Slow")(b""), 0.2)
        return "gave up"

    assert tape.both(run)


def test_a_stream_that_the_agent_gave_up_is_given_up_again(tape: Tape) -> None:
    async def run(channel: Any) -> Any:
        call = channel.stream_stream(SERVICE + "Converse", **texts())()
        await call.write("a")
        heard = await call.read()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(call.read(), 0.2)
        return heard

    assert tape.both(run) == "heard a"


def test_a_reader_is_released_if_another_task_cancels_the_call(tape: Tape) -> None:
    async def run(channel: Any) -> Any:
        call = channel.stream_stream(SERVICE + "Converse", **texts())()
        await call.write("a")
        heard = [await call.read()]
        reader = asyncio.ensure_future(call.read())
        await asyncio.sleep(0.1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        return heard, call.cancelled(), call.done()

    assert tape.both(run) == (["heard a"], True, True)
