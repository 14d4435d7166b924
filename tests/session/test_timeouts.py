"""A timeout of the agent's that passed when it was recorded passes again in replay, so it takes the same path."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import httpx2
import pytest

from pytest_agenttape import Cassette, tool, use_cassette
from pytest_agenttape.ownership import turns
from tests.loopback import Handler, serving
from tests.standin import StandInProvider, raw

SOON, LATE = 0.1, 0.4


@tool
def slow(number: int = 0) -> str:
    threading.Event().wait(LATE)  # a wait of its own, which no replay makes
    return f"slow {number}"


@tool
def fallback() -> str:
    return "fallback"


def of_a_future() -> list[str]:
    with ThreadPoolExecutor() as pool:
        try:
            return [pool.submit(slow).result(timeout=SOON)]
        except TimeoutError:
            return [fallback()]


def of_a_future_without_another_call() -> list[str]:
    with ThreadPoolExecutor() as pool:
        try:
            return [pool.submit(slow).result(timeout=SOON)]
        except TimeoutError:
            return ["sorry"]


def of_a_task_in_a_thread() -> list[str]:
    async def main() -> list[str]:
        try:
            return [await asyncio.wait_for(asyncio.to_thread(slow), SOON)]
        except TimeoutError:
            return [fallback()]

    return asyncio.run(main())


def of_a_block() -> list[str]:
    async def main() -> list[str]:
        task = asyncio.create_task(asyncio.to_thread(slow))
        try:
            async with asyncio.timeout(SOON):
                return [await asyncio.shield(task)]
        except TimeoutError:
            return [fallback(), await task]

    return asyncio.run(main())


def of_a_hedge() -> list[str]:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(slow)
        done, _ = concurrent.futures.wait([first], timeout=SOON)
        second = None if done else pool.submit(fallback)
        found = concurrent.futures.wait([each for each in (first, second) if each], return_when="FIRST_COMPLETED")
        return [each.result() for each in found.done]


def of_a_queue() -> list[str]:
    answers: queue.Queue[str] = queue.Queue()
    thread = threading.Thread(target=lambda: answers.put(slow()))
    thread.start()
    try:
        found = [answers.get(timeout=SOON)]
    except queue.Empty:
        found = [fallback()]
    thread.join()
    return found


def of_each_try() -> list[str]:
    with ThreadPoolExecutor() as pool:
        for number in range(3):
            try:
                return [pool.submit(slow, number).result(timeout=SOON)]
            except TimeoutError:
                pass
        return [fallback()]


AGENTS = {
    agent.__name__: agent
    for agent in (
        of_a_future,
        of_a_future_without_another_call,
        of_a_task_in_a_thread,
        of_a_block,
        of_a_hedge,
        of_a_queue,
        of_each_try,
    )
}


@pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)
def test_a_timeout(agent: Callable[[], list[str]], tmp_path: Path) -> None:
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        recorded = agent()
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert agent() == recorded
    assert recorded[0] in ("fallback", "sorry")


def test_of_a_request(tmp_path: Path, standin_provider: StandInProvider) -> None:
    def ask() -> int:
        return httpx2.get(f"{standin_provider.url}/slow").status_code

    def agent() -> list[object]:
        with ThreadPoolExecutor() as pool:
            try:
                return [pool.submit(ask).result(timeout=SOON)]
            except TimeoutError:
                return [fallback()]

    standin_provider.script(raw(b"late", {}, delay=LATE), to="/slow")
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        recorded = agent()
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert agent() == recorded == ["fallback"]


def in_rounds() -> str:
    done, found = threading.Event(), []

    def work() -> None:
        found.append(slow())
        done.set()

    threading.Thread(target=work).start()
    while not done.wait(SOON / 4):
        pass
    return found[0]


def test_who_waits_in_rounds_for_one_thing_does_not_wait_in_replay(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        in_rounds()
    began = time.monotonic()
    with use_cassette(tmp_path / "a.yaml"):
        assert in_rounds() == "slow 0"
    assert time.monotonic() - began < LATE / 2
    assert "timeouts" not in Cassette.load(tmp_path / "a.yaml").interactions[0].metadata


def test_an_agent_that_has_more_patience_now_gets_its_answer_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_STUCK", 0.1)
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        of_a_future()
    with use_cassette(tmp_path / "a.yaml"), ThreadPoolExecutor() as pool:
        assert pool.submit(slow).result(timeout=30) == "slow 0"


class Slow(Handler):
    def do_POST(self) -> None:
        self.read()
        if self.path == "/waits":
            threading.Event().wait(SOON)
        else:
            time.sleep(SOON)
        self.answer()


@pytest.mark.parametrize("is_the_tests_own", [True, False], ids=["of the test", "of the module"])
@pytest.mark.parametrize("how", ["waits", "sleeps"])
def test_a_server_of_the_tests_that_takes_its_time_does_not_move_the_agents_clock(
    tmp_path: Path, how: str, is_the_tests_own: bool
) -> None:
    def agent() -> list[str]:
        said = []
        with serving(Slow) if is_the_tests_own else nullcontext(url) as found:
            for _ in range(2):
                said.append(datetime.now().isoformat())
                httpx2.post(f"{found}/{how}", json={"now": said[-1]})
        return said

    with serving(Slow) as url:
        with use_cassette(tmp_path / "a.yaml", mode="all"):
            recorded = agent()
        with use_cassette(tmp_path / "a.yaml", strict=True):
            assert agent() == recorded
    assert all("timeouts" not in each.metadata for each in Cassette.load(tmp_path / "a.yaml").interactions)


@tool
def slow_at(now: str) -> str:
    time.sleep(SOON)
    return now


class Agent(Handler):
    def do_GET(self) -> None:
        said = [slow_at(datetime.now().isoformat()) for _ in range(2)]
        time.sleep(SOON)
        self.answer(" ".join((*said, datetime.now().isoformat())).encode())


def test_an_agent_behind_a_server_of_the_tests_sees_the_time_that_it_saw_when_it_was_recorded(tmp_path: Path) -> None:
    def ask() -> list[str]:
        with serving(Agent) as url:
            return [httpx2.get(url).text for _ in range(2)]

    with use_cassette(tmp_path / "a.yaml", mode="all", ignore_hosts=["127.0.0.1"]):
        recorded = ask()
    with use_cassette(tmp_path / "a.yaml", strict=True, ignore_hosts=["127.0.0.1"]):
        assert ask() == recorded
