"""Under a pinned clock, a timeout that passes moves the time as sleeping does; what ends before it does not."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import select
import threading
import time
from asyncio import wait_for
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from pytest_agenttape import use_cassette
from pytest_agenttape.process.freeze import waiting

LATE = 0.05


def job() -> Any:
    return concurrent.futures.Future()


def limited(wait: Callable[[], Any]) -> None:
    asyncio.run(wait())


async def in_wait_for() -> None:
    await asyncio.wait_for(asyncio.Event().wait(), LATE)


async def in_wait_for_by_name() -> None:
    await wait_for(asyncio.Queue().get(), timeout=LATE)


async def in_timeout() -> None:
    async with asyncio.timeout(LATE):
        await asyncio.Event().wait()


async def in_wait() -> None:
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait([task], timeout=LATE)
    task.cancel()


def with_condition(wait: Callable[[threading.Condition], object]) -> None:
    condition = threading.Condition()
    with condition:
        wait(condition)


def join() -> None:
    go = threading.Event()
    thread = threading.Thread(target=go.wait)
    thread.start()
    thread.join(LATE)
    go.set()
    thread.join()


FULL: queue.Queue[int] = queue.Queue(1)
FULL.put(1)
WAITS: dict[str, Callable[[], object]] = {
    "an event": lambda: threading.Event().wait(LATE),
    "a condition": lambda: with_condition(lambda condition: condition.wait(timeout=LATE)),
    "a condition that holds": lambda: with_condition(lambda condition: condition.wait_for(lambda: False, LATE)),
    "a semaphore": lambda: threading.Semaphore(0).acquire(timeout=LATE),
    "a queue": lambda: queue.Queue().get(timeout=LATE),
    "a queue, by position": lambda: queue.PriorityQueue().get(True, LATE),
    "a full queue": lambda: FULL.put(2, timeout=LATE),
    "a future": lambda: job().result(LATE),
    "the exception of a future": lambda: job().exception(timeout=LATE),
    "several futures": lambda: concurrent.futures.wait([job()], timeout=LATE),
    "a thread": join,
    "asyncio.wait_for": lambda: limited(in_wait_for),
    "wait_for": lambda: limited(in_wait_for_by_name),
    "asyncio.timeout": lambda: limited(in_timeout),
    "asyncio.wait": lambda: limited(in_wait),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_timeout_that_passes_moves_the_clock_by_it(wait: Callable[[], object]) -> None:
    with use_cassette("waits"):
        before = time.time_ns()
        with suppress(TimeoutError, queue.Empty, queue.Full):
            wait()
        assert time.time_ns() - before == LATE * 1e9
    begin = time.monotonic()
    with suppress(TimeoutError, queue.Empty, queue.Full):
        wait()
    assert time.monotonic() - begin >= LATE - 0.001, "after the session, it waits as ever"


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_so_it_does_on_a_machine_that_is_busy_when_the_wait_begins(
    wait: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = waiting._is_users
    monkeypatch.setattr(waiting, "_is_users", lambda: select.select([], [], [], 0.005) and looks())
    with use_cassette("waits"):
        before = time.time_ns()
        with suppress(TimeoutError, queue.Empty, queue.Full):
            wait()
        assert time.time_ns() - before == LATE * 1e9


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_loop_until_a_time_ends(wait: Callable[[], object]) -> None:
    with use_cassette("waits"):
        deadline, rounds = time.time() + 3.5 * LATE, 0
        while time.time() < deadline:
            rounds += 1
            with suppress(TimeoutError, queue.Empty, queue.Full):
                wait()
        assert rounds == 4


async def answered_at_once() -> None:
    await asyncio.wait_for(asyncio.sleep(0), 5)
    async with asyncio.timeout(5):
        await asyncio.sleep(0)
    await asyncio.wait([asyncio.create_task(asyncio.sleep(0))], timeout=5)


def test_what_comes_in_time_does_not_move_it() -> None:
    with use_cassette("waits"), ThreadPoolExecutor() as pool:
        before = time.time_ns()
        done = threading.Event()
        done.set()
        assert done.wait(5)
        assert pool.submit(int).result(5) == 0
        assert pool.submit(print).result(timeout=5) is None
        assert threading.Lock().acquire(timeout=5)
        asyncio.run(answered_at_once())
        assert time.time_ns() == before


def test_a_thread_of_a_library_does_not_move_it() -> None:
    source = "import threading\ndef flush(done):\n    threading.Event().wait(0.01)\n    done.set()\n"
    library: dict[str, Any] = {}
    exec(compile(source, threading.__file__, "exec"), library)  # noqa: S102  # code whose file is a library's
    with use_cassette("waits"):
        before, done = time.time_ns(), threading.Event()
        threading.Thread(target=library["flush"], args=(done,)).start()
        done.wait(5)
        assert time.time_ns() == before


def test_a_timeout_of_zero_only_looks() -> None:
    with use_cassette("waits"):
        before = time.time_ns()
        assert not threading.Event().wait(0)
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=0)
        assert time.time_ns() == before
