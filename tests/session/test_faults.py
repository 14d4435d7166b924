"""Faults from the tape, in a block: which call gets one, what it gets, and that the recording is left for the retry."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    AgentTapeError,
    Cassette,
    ConfigError,
    UnmatchedInteractionError,
    fault,
    intercept,
    record_call,
    tool,
    use_cassette,
)

ran: list[str] = []


class Declined(Exception):
    """Has more than a message."""

    def __init__(self, reason: str, code: int) -> None:
        super().__init__(reason, code)
        self.code = code


@tool
def look_up(city: str) -> str:
    ran.append(city)
    return f"sunny in {city}"


@tool
async def look_up_async(city: str) -> str:
    ran.append(city)
    return f"sunny in {city}"


@tool
def count_to(end: int) -> Iterator[int]:
    ran.append("count")
    yield from range(end)


@tool
async def count_to_async(end: int) -> AsyncIterator[int]:
    ran.append("count")
    for each in range(end):
        yield each


def _later(city: str) -> Any:
    return look_up_async.__wrapped__(city)  # type: ignore[attr-defined]  # a plain function with an awaitable


later = intercept(_later, name="later")


async def counted(end: int, into: list[int]) -> None:
    async for each in count_to_async(end):
        into.append(each)  # noqa: PERF401  # keeps what came


@pytest.fixture(autouse=True)
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    async def run() -> None:
        await look_up_async("Rome")
        await later("Rome")
        await counted(4, [])

    with use_cassette("it", mode="all"):
        look_up("Rome")
        look_up("Oslo")
        list(count_to(4))
        asyncio.run(run())
        record_call("llm", {"prompt": "hi"}, lambda: {"text": "hello"}, boundary="house.model")
    ran.clear()


def test_a_tool_fails_once_and_the_retry_gets_the_recorded_answer() -> None:
    with use_cassette("it", faults=[fault("look_up", error=Declined("no", 7))]) as session:
        with pytest.raises(Declined) as caught:
            look_up("Rome")
        assert look_up("Rome") == "sunny in Rome"
    assert (caught.value.args, caught.value.code) == (("no", 7), 7)
    assert [each.fault for each in session.interactions] == ["fault('look_up', error=Declined('no', 7))", None]
    assert session.divergences == []
    assert ran == []


@pytest.mark.parametrize(
    ("word", "error"),
    [("timeout", TimeoutError), ("connection", ConnectionRefusedError), ("reset", ConnectionResetError)],
)
def test_the_words_are_pythons_own_errors_in_a_function(word: Any, error: type[Exception]) -> None:
    faults = [fault("tool", error=word)]
    with use_cassette("it", faults=faults), pytest.raises(error, match="a fault from the tape"):
        look_up("Rome")


def test_from_the_nth_call_on_so_many_get_it() -> None:
    with use_cassette("it", repeats="look_up", faults=[fault("look_up", nth=2, times=2, result={"no": "weather"})]):
        seen = [look_up("Rome") for _ in range(5)]
    assert seen == ["sunny in Rome", {"no": "weather"}, {"no": "weather"}, "sunny in Rome", "sunny in Rome"]


def test_each_fault_counts_the_calls_and_the_first_that_is_due_comes() -> None:
    faults = [fault("tool", nth=2, result="first"), fault("look_up", times=3, result="second")]
    with use_cassette("it", faults=faults):
        assert [look_up("Rome") for _ in range(4)] == ["second", "first", "second", "sunny in Rome"]


def test_each_call_gets_a_result_and_an_exception_of_its_own() -> None:
    given: list[int] = [1]
    with use_cassette("it", faults=[fault("look_up", times=2, result=given)]):
        first: Any = look_up("Rome")
        first.append(2)
        assert look_up("Rome") == [1]
    with use_cassette("it", faults=[fault("look_up", times=2, error=ValueError("x"))]):
        errors = []
        for _ in range(2):
            with pytest.raises(ValueError, match="x") as caught:
                look_up("Rome")
            errors.append(caught.value)
    assert errors[0] is not errors[1]


def test_a_coroutine_fails_when_it_is_awaited() -> None:
    async def run() -> str:
        with pytest.raises(TimeoutError):
            await look_up_async("Rome")
        waiting = later("Rome")  # which is a plain function
        with pytest.raises(TimeoutError):
            await waiting
        return await look_up_async("Rome") + await later("Rome")

    faults = [fault("look_up_async", error="timeout"), fault("later", error="timeout")]
    with use_cassette("it", faults=faults):
        assert asyncio.run(run()) == "sunny in Romesunny in Rome"
    assert ran == []


def test_calls_at_once_get_what_is_theirs() -> None:
    async def run() -> list[object]:
        return await asyncio.gather(look_up_async("Rome"), later("Rome"), return_exceptions=True)

    with use_cassette("it", faults=[fault("look_up_async", error=ValueError("no"))]):
        failed, answer = asyncio.run(run())
    assert (type(failed), answer) == (ValueError, "sunny in Rome")


def test_a_generator_breaks_after_so_many_items() -> None:
    seen: list[int] = []
    with use_cassette("it", faults=[fault("count_to", after_events=2)]):
        with pytest.raises(ConnectionResetError):
            seen.extend(count_to(4))  # keeps what came
        assert list(count_to(4)) == [0, 1, 2, 3]
    assert seen == [0, 1]


def test_an_async_generator_breaks_after_so_many_items() -> None:
    seen: list[int] = []
    with use_cassette("it", faults=[fault("count_to_async", after_events=3, error=ValueError("cut"))]):
        with pytest.raises(ValueError, match="cut"):
            asyncio.run(counted(4, seen))
        asyncio.run(counted(4, seen))
    assert seen == [0, 1, 2, 0, 1, 2, 3]


def test_a_generator_fails_before_its_first_item_and_yields_another_result() -> None:
    with use_cassette("it", faults=[fault("count_to", error="timeout"), fault("count_to", nth=2, result=[7])]):
        with pytest.raises(TimeoutError):
            next(iter(count_to(4)))
        assert list(count_to(4)) == [7]


@pytest.mark.parametrize("kind", ["llm", "house.model", "*"])
def test_a_call_without_a_function_can_fail(kind: str) -> None:
    with use_cassette("it", faults=[fault(kind, error="timeout")]), pytest.raises(TimeoutError):
        record_call("llm", {"prompt": "hi"}, dict, boundary="house.model")


def test_a_delay_moves_the_pinned_clock_and_the_answer_is_the_recorded_one() -> None:
    with use_cassette("it", faults=[fault("look_up", delay=3600)]) as session:
        before, really = datetime.datetime.now(datetime.UTC), time.perf_counter()
        assert look_up("Rome") == "sunny in Rome"
        passed = datetime.datetime.now(datetime.UTC) - before
    assert passed == datetime.timedelta(hours=1)
    assert time.perf_counter() - really < 60
    assert session.cursor == 1
    assert [each.fault for each in session.interactions] == ["fault('look_up', delay=3600)"]


def test_a_delay_comes_before_a_failure() -> None:
    with use_cassette("it", faults=[fault("look_up", delay=30, error="timeout")]):
        before = time.time()
        with pytest.raises(TimeoutError):
            look_up("Rome")
        assert time.time() - before == 30


def test_a_delayed_call_that_is_not_recorded_is_refused() -> None:
    with pytest.raises(UnmatchedInteractionError), use_cassette("it", faults=[fault("look_up", delay=1)]):
        look_up("Paris")


def test_a_delay_needs_a_pinned_clock() -> None:
    with pytest.raises(ConfigError) as caught:
        use_cassette("it", freeze="uuid", faults=[fault("look_up", delay=1)])
    assert str(caught.value) == (
        "fault('look_up', delay=1): delay moves the pinned clock, and the cassette block 'it' keeps the real one"
    )


def test_a_fault_is_injected_into_a_block() -> None:
    with use_cassette("it") as session:
        assert look_up("Rome") == "sunny in Rome"
        session.inject(fault("look_up", error="timeout"), fault("look_up", nth=2, result="fog"))
        with pytest.raises(TimeoutError):
            look_up("Oslo")
        assert [look_up("Oslo") for _ in range(2)] == ["fog", "sunny in Oslo"]


@pytest.mark.parametrize("matchers", ["exact", "ordered"])
def test_other_matchers_are_not_disturbed(matchers: str) -> None:
    with use_cassette("it", matchers=matchers, faults=[fault("look_up", result="fog")]) as session:
        assert [look_up(city) for city in ("Rome", "Rome", "Oslo")] == ["fog", "sunny in Rome", "sunny in Oslo"]
    assert session.divergences == []


def test_a_call_that_is_not_recorded_can_fail_too() -> None:
    with use_cassette("it", faults=[fault("look_up", error="timeout")]):
        with pytest.raises(TimeoutError):
            look_up("Paris")
        with pytest.raises(UnmatchedInteractionError):
            look_up("Paris")


# -- what must not be


def test_a_fault_that_never_happened_fails_the_block() -> None:
    with pytest.raises(AgentTapeError) as caught, use_cassette("it", faults=[fault("look_up", nth=3, result=1)]):
        look_up("Rome")
    assert str(caught.value) == (
        "fault('look_up', nth=3, result=...) never happened: it is for call 3 of 'look_up', and the run made 1"
    )


def test_a_fault_for_a_call_that_nobody_made_says_what_was_called() -> None:
    faults = [fault("lookup", result=1), fault("count_to", result=1)]
    with pytest.raises(AgentTapeError) as caught, use_cassette("it", faults=faults):
        look_up("Rome")
    assert str(caught.value).splitlines() == [
        "fault('lookup', result=...) never happened: the run made no call of 'lookup'; it called look_up",
        "  did you mean 'look_up'?",
        "fault('count_to', result=...) never happened: the run made no call of 'count_to'; it called look_up",
    ]


def test_a_block_that_fails_says_which_fault_never_happened() -> None:
    with pytest.raises(ZeroDivisionError) as caught, use_cassette("it", faults=[fault("tool", result=1)]):
        1 / 0  # noqa: B018  # it is raised
    assert caught.value.__notes__ == [
        "agenttape: fault('tool', result=...) never happened: the run made no call of 'tool'; it made none at all"
    ]


def test_a_fault_behind_another_says_so() -> None:
    faults = [fault("look_up", result="fog"), fault("tool", result="rain")]
    with pytest.raises(AgentTapeError) as caught, use_cassette("it", faults=faults):
        look_up("Rome")
    assert str(caught.value) == (
        "fault('tool', result=...) never happened: whenever it was due, another fault came first"
    )


def test_a_run_without_a_call_had_no_fault() -> None:
    with pytest.raises(AgentTapeError) as caught, use_cassette("it", faults=[fault("tool", result="rain")]):
        pass
    assert str(caught.value) == (
        "fault('tool', result=...) never happened: the run made no call of 'tool'; it made none at all"
    )


def test_faults_are_injected_into_an_open_session() -> None:
    session = use_cassette("it")
    for _ in range(2):  # before it is open, and after
        with pytest.raises(ConfigError, match="is not open"):
            session.inject(fault("look_up", result=1))
        with session:
            look_up("Rome"), look_up("Oslo")


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh", "all"])
def test_faults_happen_in_mode_none_alone(mode: str) -> None:
    with pytest.raises(ConfigError) as caught:
        use_cassette("it", mode=mode, faults=[fault("look_up", result=1)])
    assert str(caught.value) == (
        "fault('look_up', result=...): faults happen in a replay alone, and the mode of the cassette block 'it' is "
        f"'{mode}'; record without them (--deselect leaves a test out), and replay with --agenttape-mode=none"
    )
    with pytest.raises(ConfigError), use_cassette("it", mode=mode) as session:
        session.inject(fault("look_up", result=1))


def test_faults_and_live_calls_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="the cassette block 'it' has live calls, too"):
        use_cassette("it", live="llm", faults=[fault("look_up", result=1)])


def test_nothing_is_written() -> None:
    before = {path: path.read_bytes() for path in Path("cassettes").iterdir()}
    with use_cassette("it", faults=[fault("look_up", result=1)]):
        look_up("Rome")
    assert {path: path.read_bytes() for path in Path("cassettes").iterdir()} == before
    assert "fault" not in repr(Cassette.load("cassettes/it.yaml"))


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"status": 429}, "look_up is no call over HTTP: give it an error or a result"),
        ({"body": "x"}, "look_up is no call over HTTP: give it an error or a result"),
        ({"after_events": 2}, "look_up was recorded without a stream of events that could break"),
    ],
)
def test_a_fault_that_a_function_cannot_have_is_an_error(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught, use_cassette("it", faults=[fault("look_up", **given)]):
        look_up("Rome")
    assert str(caught.value).partition("): ")[2] == problem


def test_a_stream_breaks_before_its_end_or_not_at_all() -> None:
    said = "count_to was recorded with 4 events, and can break before the last of them"
    faults = [fault("count_to", after_events=4)]
    with pytest.raises(ConfigError, match=said), use_cassette("it", faults=faults):
        list(count_to(4))
