"""Calls that were under way together end in the order in which they ended when they were recorded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import httpx2
import pytest
import yaml

from pytest_agenttape import Cassette, clocks, tool, use_cassette
from pytest_agenttape.model import Interaction
from pytest_agenttape.ownership.turns import Turns
from pytest_agenttape.process import running
from tests.loopback import serving
from tests.transports.http_clients import CLIENTS

DELAYS = {"a": 0.15, "b": 0.1, "c": 0.05, "d": 0.0}  # by name, in the order of asking
ENDED = ["d", "c", "b", "a"]


missing: set[str] = set()  # calls that have to be under way before the first one ends


@tool
def look_up(name: str) -> str:
    missing.discard(name)
    while missing:
        time.sleep(0.001)
    time.sleep(DELAYS[name])
    return name


@tool
async def look_up_async(name: str) -> str:
    missing.discard(name)
    while missing:
        await asyncio.sleep(0.001)
    await asyncio.sleep(DELAYS[name])
    return name


def _by_tasks_and_threads(ask: Callable[[str], str]) -> list[str]:
    async def run() -> list[str]:
        notes: list[str] = []

        async def note(name: str) -> None:
            notes.append(await (look_up_async(name) if name in "ac" else asyncio.to_thread(ask, name)))

        await asyncio.gather(*map(note, DELAYS))
        return notes

    return asyncio.run(run())


@tool
def fail(name: str) -> str:
    missing.discard(name)
    while missing:
        time.sleep(0.001)
    time.sleep(DELAYS[name])
    raise KeyError(name)


def _by_threads(ask: Callable[[str], str]) -> list[str]:
    notes: list[str] = []
    threads = [threading.Thread(target=lambda name=name: notes.append(ask(name))) for name in DELAYS]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return notes


def _by_executor(ask: Callable[[str], str]) -> list[str]:
    with ThreadPoolExecutor(4) as pool:
        return [each.result() for each in as_completed([pool.submit(ask, name) for name in DELAYS])]


def _by_gather(ask: Callable[[str], str]) -> list[str]:
    async def run() -> list[str]:
        notes: list[str] = []

        async def note(name: str) -> None:
            notes.append(await asyncio.to_thread(ask, name))

        await asyncio.gather(*map(note, DELAYS))
        return notes

    return asyncio.run(run())


GROUPS = {
    "threads": _by_threads,
    "an executor": _by_executor,
    "gather and to_thread": _by_gather,
    "tasks and to_thread": _by_tasks_and_threads,
}


def _failed(name: str) -> str:
    with pytest.raises(KeyError):
        fail(name)
    return name


def _both(path: Path, run: Callable[[], list[str]], names: list[str] = ENDED) -> None:
    with use_cassette(path, mode="all"):
        run()
    calls = Cassette.load(path).interactions
    ended = [_name_in(each) for each in sorted(calls, key=lambda each: (each.start_ms or 0) + (each.latency_ms or 0))]
    assert sorted(ended) == sorted(names) != ended  # on a busy machine not quite in the order of the delays
    for _ in range(3):
        with use_cassette(path) as session:
            assert run() == ended
        assert session.unplayed == []


def _name_in(recorded: Interaction) -> str:
    request = recorded.request
    return str(request["args"]["name"] if "args" in request else request["url"][-1])


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("ask", [look_up, _failed], ids=["results", "failures"])
def test_tools_beside_each_other(tmp_path: Path, group: str, ask: Callable[[str], str]) -> None:
    missing.update(DELAYS)
    _both(tmp_path / "x.yaml", lambda: GROUPS[group](ask))


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks(tmp_path: Path, backend: str) -> None:
    @tool
    async def look(name: str) -> str:
        await anyio.sleep(DELAYS[name])
        return name

    async def run() -> list[str]:
        notes: list[str] = []

        async def note(name: str) -> None:
            found = await look(name)
            await anyio.sleep(0)
            notes.append(found)

        async with anyio.create_task_group() as group:
            for name in DELAYS:
                group.start_soon(note, name)
                await anyio.sleep(0.01)  # trio starts tasks in any order
        return notes

    _both(tmp_path / "x.yaml", lambda: anyio.run(run, backend=backend))


def test_agents_of_several_steps(tmp_path: Path) -> None:
    async def run() -> list[str]:
        notes: list[str] = []

        async def agent(*names: str) -> None:
            for name in names:
                found = await look_up_async(name)
                notes.append(found)

        await asyncio.gather(agent("b", "d"), agent("d", "c", "a"), agent("c"))
        return notes

    _both(tmp_path / "x.yaml", lambda: asyncio.run(run()), ["d", "c", "c", "b", "d", "a"])


@pytest.mark.parametrize("levels", [0, 3])
def test_who_waits_for_the_first_to_end_gets_one_at_a_time(tmp_path: Path, levels: int) -> None:
    async def ask(name: str, levels: int) -> str:
        return await (asyncio.create_task(ask(name, levels - 1)) if levels else look_up_async(name))

    async def run() -> list[str]:
        notes: list[str] = []
        pending = {asyncio.create_task(ask(name, levels)) for name in DELAYS}
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            notes.append("+".join(each.result() for each in done))
        return notes

    _both(tmp_path / "x.yaml", lambda: asyncio.run(run()))


@tool
async def wait_for_all(name: str) -> str:
    missing.discard(name)
    while missing:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    return name


@pytest.mark.parametrize("levels", [0, 3])
def test_calls_that_end_in_one_moment_are_there_together(tmp_path: Path, levels: int) -> None:
    async def ask(name: str, levels: int) -> str:
        return await (asyncio.create_task(ask(name, levels - 1)) if levels else wait_for_all(name))

    async def run() -> list[str]:
        notes: list[str] = []
        pending = [asyncio.create_task(ask(name, levels)) for name in DELAYS]
        while pending:
            done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            notes.append("+".join(each.result() for each in pending if each in done))
            pending = [each for each in pending if each not in done]
        return notes

    path = tmp_path / "x.yaml"
    missing.update(DELAYS)
    with use_cassette(path, mode="all"):
        recorded = asyncio.run(run())
    assert recorded in (["a+b+c+d"], ["d", "a+b+c"])  # the last one that was asked may not wait at all
    for _ in range(3):
        with use_cassette(path):
            assert asyncio.run(run()) == recorded


def test_a_loop_that_cannot_be_referred_to_weakly_is_recorded_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise TypeError("cannot create weak reference")

    async def run() -> list[str]:
        found = await asyncio.gather(*map(look_up_async, DELAYS))
        return sorted(found)

    monkeypatch.setattr("pytest_agenttape.session.rounds.ref", refuse)
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        assert asyncio.run(run()) == sorted(DELAYS)
    with use_cassette(tmp_path / "x.yaml"):
        assert asyncio.run(run()) == sorted(DELAYS)


class _Slow(BaseHTTPRequestHandler):
    everyone = threading.Barrier(len(DELAYS))

    def do_GET(self) -> None:
        self.everyone.wait(timeout=20)  # all of them are under way before the first ends
        name = self.path[-1]
        time.sleep(DELAYS[name])
        body = name.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    with serving(_Slow) as url:
        yield f"{url}/"


@pytest.mark.parametrize("client", CLIENTS)
def test_requests_of_every_library(tmp_path: Path, slow: str, client: str) -> None:
    def ask(name: str) -> str:
        return CLIENTS[client].request("GET", slow + name).body.decode()

    _both(tmp_path / "x.yaml", lambda: _by_threads(ask))


@pytest.mark.parametrize("library", ["aiohttp", "httpx2"])
def test_requests_of_one_loop(tmp_path: Path, slow: str, library: str) -> None:
    async def run() -> list[str]:
        notes: list[str] = []
        async with aiohttp.ClientSession() as session, httpx2.AsyncClient() as client:

            async def ask(name: str) -> None:
                if library == "httpx2":
                    notes.append((await client.get(slow + name)).text)
                    return
                async with session.get(slow + name) as answer:
                    notes.append(await answer.text())

            async with asyncio.TaskGroup() as group:
                for name in DELAYS:
                    group.create_task(ask(name))
        return notes

    _both(tmp_path / "x.yaml", lambda: asyncio.run(run()))


def test_calls_after_each_other_do_not_wait(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        assert [look_up(name) for name in DELAYS] == list(DELAYS)
    stored = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert (
        Turns(map(Interaction.from_dict, stored["interactions"])).of(Interaction.from_dict(stored["interactions"][0]))
        is None
    )


def test_a_call_that_is_no_longer_made_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        _by_threads(look_up)
    with use_cassette(tmp_path / "x.yaml") as session:
        assert look_up("a") == "a"  # three others ended before it
        assert look_up("b") == "b"
    assert len(session.unplayed) == 2


def test_a_run_that_is_no_longer_the_recorded_one_is_not_held_up_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(clocks, "monotonic", lambda: now)
    listed = [
        Interaction(index=index, kind="tool", latency_ms=25.0, metadata={"start_ms": index * 10.0})
        for index in range(200)
    ]
    turns = Turns(listed)
    for each in reversed(listed):
        turn = turns.of(each)
        while turn is not None and not turn.is_due():
            now += 0.005
    assert now < 10


@pytest.mark.parametrize("is_made", [True, False], ids=["the call has its answer", "the call is not made yet"])
def test_what_a_busy_machine_does_not_let_go_on_is_waited_for(is_made: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    now, others_run = 0.0, True
    monkeypatch.setattr(clocks, "monotonic", lambda: now)
    monkeypatch.setattr(running, "others_run", lambda: others_run)
    first, last = (
        Interaction(index=index, kind="tool", latency_ms=latency, metadata={"start_ms": index * 10.0})
        for index, latency in ((1, 5.0), (0, 90.0))
    )
    turns = Turns([first, last])
    if is_made:
        with ThreadPoolExecutor(1) as pool:  # not the strand of the other one
            pool.submit(lambda: (found := turns.of(first)) and found.end()).result()
    turn = turns.of(last)
    assert turn is not None
    now = 0.3
    assert not turn.is_due()
    others_run = False
    assert turn.is_due()


def test_an_answer_that_is_needed_by_a_call_that_had_ended_first_is_given(tmp_path: Path) -> None:
    """The agent has changed: the one call waits for the other's answer now."""
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        assert _by_threads(look_up) == ENDED
    with use_cassette(tmp_path / "x.yaml"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(look_up, "a").result() == "a"
        assert pool.submit(look_up, "d").result() == "d"


def _of_an_executor(job: Callable[[int], str]) -> list[str]:
    with ThreadPoolExecutor(6) as pool:
        return [each.result() for each in [pool.submit(job, number) for number in range(3)]]


def _of_threads(job: Callable[[int], str]) -> list[str]:
    found: dict[int, str] = {}
    threads = [
        threading.Thread(target=lambda number: found.update({number: job(number)}), args=(each,)) for each in range(3)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [found[number] for number in range(3)]


def _of_tasks(gather: Callable[..., Any]) -> Callable[[Callable[[int], Any]], list[str]]:
    async def run(job: Callable[[int], Any]) -> list[str]:
        return list(await gather(job))

    return lambda job: asyncio.run(run(job))


async def _gathered(job: Callable[[int], Any]) -> list[str]:
    return await asyncio.gather(*map(job, range(3)))


async def _in_group(job: Callable[[int], Any]) -> list[str]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(job(number)) for number in range(3)]
    return [task.result() for task in tasks]


async def _nested(job: Callable[[int], Any]) -> list[str]:
    """Each job is started by a task of its own, the last one first."""
    turns = [asyncio.Event() for _ in range(4)]
    turns[3].set()

    async def outer(number: int) -> str:
        await turns[number + 1].wait()
        task = asyncio.create_task(job(number))
        turns[number].set()
        return str(await task)

    return await asyncio.gather(*map(outer, range(3)))


@pytest.mark.parametrize("gather", [_gathered, _in_group, _nested])
def test_equal_calls_of_tasks_are_told_apart_by_the_order_in_which_these_began(
    gather: Callable[..., Any], tmp_path: Path
) -> None:
    answers = iter("abcdef")

    @tool
    async def ask(question: str) -> str:
        return next(answers) if question else ""

    def run(first: int) -> list[str]:
        """Let the task *first* be the first one to ask, after which the others do, one after the other."""
        may_ask = {number: asyncio.Event() for number in range(3)}
        order = [first, *(number for number in range(3) if number != first)]
        may_ask[first].set()

        async def job(number: int) -> str:
            await may_ask[number].wait()
            found = await ask("why?") + await ask("why?")
            for after in order[order.index(number) + 1 :][:1]:
                may_ask[after].set()
            return found

        return _of_tasks(gather)(job)

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = run(first=2)
    assert before == ["cd", "ef", "ab"]
    for first in range(3):
        with use_cassette(tmp_path / "x.yaml"):
            assert run(first) == before


@pytest.mark.parametrize("beside", [_of_an_executor, _of_threads])
def test_equal_calls_are_told_apart_by_the_order_in_which_their_jobs_and_threads_began(
    beside: Callable[[Callable[[int], str]], list[str]], tmp_path: Path
) -> None:
    answers = iter("abcdef")

    @tool
    def ask(question: str) -> str:
        return next(answers) if question else ""

    def run(first: int) -> list[str]:
        """Let the job *first* be the first one to ask."""
        may_ask = {number: threading.Event() for number in range(6)}
        may_ask[first].set()

        def job(number: int) -> str:
            may_ask[number].wait(10)
            found = ask("why?") + ask("why?")
            for each in may_ask.values():
                each.set()
            return found

        return beside(job)

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = run(first=2)
    assert before[2] == "ab"
    stored = Cassette.load(tmp_path / "x.yaml").interactions
    assert sorted(each.job for each in stored) == [0, 0, 1, 1, 2, 2]
    for first in range(3):
        with use_cassette(tmp_path / "x.yaml"):
            assert run(first) == before


def test_threads_are_numbered_once_where_other_code_wraps_their_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)  # which will be there again after the test
    ask = tool(lambda question: question, name="ask")
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        ours = threading.Thread.start
        monkeypatch.setattr(threading.Thread, "start", lambda thread: ours(thread))
    with use_cassette(tmp_path / "y.yaml", mode="all"):
        _of_threads(lambda _: str(ask("why?")))
    assert sorted(each.job for each in Cassette.load(tmp_path / "y.yaml").interactions) == [0, 1, 2]


def test_equal_calls_of_tasks_are_told_apart_by_those_that_were_made_meanwhile(tmp_path: Path) -> None:
    seconds, answers = iter([0.02, 0.05, 0.0, 0.0]), iter("abcd")

    @tool
    async def ask(_: str) -> str:
        answer = next(answers)
        await asyncio.sleep(next(seconds))
        return answer

    async def agent() -> dict[str, str]:
        async def talk(name: str, later: float) -> None:
            await asyncio.sleep(later)
            said[name] = await ask("?") + await ask("?")

        said: dict[str, str] = {}
        await asyncio.gather(talk("first", 0), talk("second", 0.01))
        return said

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        recorded = asyncio.run(agent())
    with use_cassette(tmp_path / "x.yaml"):
        assert asyncio.run(agent()) == recorded


def test_the_number_of_a_job_is_kept_only_where_it_is_needed(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        _by_executor(look_up)
    assert "job:" not in (tmp_path / "x.yaml").read_text()


def test_a_function_called_in_an_event_loop_does_not_hold_up_that_loop(tmp_path: Path) -> None:
    async def run() -> list[str]:
        notes: list[str] = []

        async def first() -> None:
            notes.append(await look_up_async("b"))

        async def second() -> None:
            notes.append(await asyncio.to_thread(look_up, "a"))

        async def third() -> None:
            await asyncio.sleep(0.01)
            notes.append(look_up("a"))  # in the loop itself

        await asyncio.gather(first(), second(), third())
        return sorted(notes)

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = asyncio.run(run())
    with use_cassette(tmp_path / "x.yaml") as session:
        assert asyncio.run(run()) == before
    assert session.loaded.turns._given_up == set()


def test_what_a_live_tool_submits_does_not_shift_the_numbers_of_jobs(tmp_path: Path) -> None:
    answers = iter("abcdef")

    @tool
    async def prepare() -> str:
        return await asyncio.to_thread(str.upper, "ready")

    @tool
    def ask(question: str) -> str:
        return next(answers) if question else ""

    def run(first: int) -> list[str]:
        may_ask = [threading.Event() for _ in range(3)]
        may_ask[first].set()

        def job(number: int) -> str:
            may_ask[number].wait(10)
            found = ask("why?")
            for each in may_ask:
                each.set()
            return found

        async def main() -> list[str]:
            await prepare()
            return list(await asyncio.gather(*(asyncio.to_thread(job, number) for number in range(3))))

        return asyncio.run(main())

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = run(first=1)
    for first in range(3):
        with use_cassette(tmp_path / "x.yaml"):
            assert run(first) == before


@pytest.mark.parametrize("odd", [10**400, -1, "soon", 1e300, None])
def test_odd_times_in_an_edited_cassette_are_left_out(tmp_path: Path, odd: object) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        _by_threads(look_up)
    stored = yaml.safe_load((tmp_path / "x.yaml").read_text())
    for each in stored["interactions"]:
        each["metadata"]["start_ms"] = odd
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(stored))
    with use_cassette(tmp_path / "x.yaml"):
        assert sorted(_by_threads(look_up)) == sorted(ENDED)
