"""Loops that poll until a time end while they are recorded, and take as many rounds in replay."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
import pytest

from pytest_agenttape import tool, use_cassette
from tests.loopback import serving

ROUND, LIMIT = 0.1, 0.25


@tool
def poll_by_sleeping() -> str:
    time.sleep(ROUND)
    return "pending"


@tool
def poll_by_waiting() -> str:
    threading.Event().wait(ROUND)
    return "pending"


def block() -> str:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=ROUND)  # of which we know nothing, as of a socket
    return "pending"


poll_by_blocking = tool(block)


@tool
async def poll_in_a_task() -> str:
    await asyncio.sleep(ROUND)
    return "pending"


@tool
def outer() -> str:
    return poll_by_sleeping()


def until_a_time(poll: Callable[[], object]) -> list[float]:
    began = time.time()
    seen = []
    while time.time() < began + LIMIT:
        poll()
        seen.append(time.time() - began)
    return seen


POLLS: dict[str, Callable[[], object]] = {
    "sleeping": poll_by_sleeping,
    "waiting": poll_by_waiting,
    "blocking": poll_by_blocking,
    "in a task": lambda: asyncio.run(poll_in_a_task()),
    "in another tool": outer,
}


@pytest.mark.parametrize("poll", POLLS.values(), ids=POLLS)
def test_a_loop_with_a_tool(poll: Callable[[], object], tmp_path: Path) -> None:
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        recorded = until_a_time(poll)
    assert 3 <= len(recorded) <= 4
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert until_a_time(poll) == recorded


@pytest.mark.parametrize("poll", [poll_by_sleeping, poll_by_blocking], ids=["sleeping", "blocking"])
def test_a_loop_in_a_thread_that_ran_before(poll: Callable[[], object], tmp_path: Path) -> None:
    asked: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    seen: queue.SimpleQueue[list[float]] = queue.SimpleQueue()

    def work() -> None:
        for _ in range(2):
            asked.get()()

    def run() -> list[float]:
        asked.put(lambda: seen.put(until_a_time(poll)))
        return seen.get(timeout=2)

    threading.Thread(target=work, daemon=True).start()
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        recorded = run()
    assert 3 <= len(recorded) <= 4
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert run() == recorded


class Job(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        block()
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_loop_with_a_request(tmp_path: Path) -> None:
    with serving(Job) as url:

        def poll() -> int:
            return httpx2.get(f"{url}/job").status_code

        with use_cassette(tmp_path / "a.yaml", mode="all"):
            recorded = until_a_time(poll)
    assert 3 <= len(recorded) <= 4
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert until_a_time(poll) == recorded


def test_different_calls_leave_the_clock_alone(tmp_path: Path) -> None:
    @tool
    def look_up(city: str) -> str:
        return city

    with use_cassette(tmp_path / "a.yaml", mode="all"):
        before = time.time_ns()
        look_up("Rome")
        look_up("Oslo")
        assert time.time_ns() == before
    assert "clock_ms" not in (tmp_path / "a.yaml").read_text()
