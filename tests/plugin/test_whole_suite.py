"""A whole suite records the same cassettes however it is run, and replays them without a live call."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from tests.plugin.project import Origin, Project

SLOW = os.environ.get("AGENTTAPE_SLOW") == "1"
FILES, TESTS = (10, 20) if SLOW else (3, 8)
SUITE = """
    import asyncio, os, random, threading, unittest, uuid
    import httpx, pytest, requests
    from agent import look_up, note
    from pytest_agenttape import tool

    HERE = "{here}"
    attempted = set()

    @tool
    async def think(about):
        note(f"think {{about}}")
        await asyncio.sleep(0)
        return {{"about": about, "bytes": about.encode(), "set": {{1, 2}}}}

    @pytest.fixture
    def warm():
        look_up(f"{{HERE}} set up")
        yield
        look_up(f"{{HERE}} teardown")

    def ask_http(number):
        url = f"{{os.environ['ORIGIN']}}/{{HERE}}/{{number}}"
        assert httpx.get(url).json() == requests.post(url, json={{"n": number}}).json()

    def ask_in_threads(number):
        threads = [threading.Thread(target=look_up, args=[f"{{number}}"]) for _ in range(2)]
        for thread in threads:
            thread.start()
            thread.join()

    def ask_in_tasks(number):
        async def main():
            for each in await asyncio.gather(*(think(f"{{number}} {{part}}") for part in "abc")):
                assert each["set"] == {{1, 2}}
        asyncio.run(main())

    ASK = (ask_http, ask_in_threads, ask_in_tasks)

    @pytest.mark.agenttape
    def test_by_chance():
        look_up(f"{{random.random()}} {{uuid.uuid4()}}")

    @pytest.mark.agenttape
    @pytest.mark.parametrize("number", range({tests}))
    def test_it(number, warm):
        ASK[number % len(ASK)](number)
        if os.environ.get("FLAKY") and number % 5 == 0 and number not in attempted:
            attempted.add(number)
            assert 0

    @pytest.mark.agenttape
    class TestOld(unittest.IsolatedAsyncioTestCase):
        async def test_it(self):
            await think("old")
"""
WAYS = {
    "in one process": (),
    "xdist": ("-p", "xdist", "-n2"),
    "randomly": ("-p", "randomly"),
    "rerunfailures": ("-p", "rerunfailures", "--reruns=2"),
    "all of them": ("-p", "xdist", "-n2", "-p", "randomly", "-p", "rerunfailures", "--reruns=2"),
}


@pytest.fixture
def suite(project: Project) -> Project:
    project.write(**{f"test_{n}": SUITE.format(here=f"file {n}", tests=TESTS - 2) for n in range(FILES)})
    return project


def run(suite: Project, way: str, *args: str) -> None:
    run_here = suite.run_apart if "-n2" in WAYS[way] else suite.run
    result = run_here("-q", "--agenttape-strict", *WAYS[way], *args)
    counts = {key: count for key, count in result.parseoutcomes().items() if key != "warnings"}
    reruns = {"rerun": FILES * len(range(0, TESTS - 2, 5))} if os.environ.get("FLAKY") else {}
    assert counts == {"passed": FILES * TESTS, **reruns}


def content(suite: Project, *, recorded_once: bool = True) -> dict[str, bytes]:
    """Return the contents of the cassettes, except those with values that are random in each recording."""
    files = (file for file in suite.files() if recorded_once or "chance" not in file)
    return {file: (suite.path / file).read_bytes() for file in files}


def calls(suite: Project, origin: Origin) -> list[str]:
    """Return the calls that ran for real since the last call of this function."""
    found = [*suite.live(), *origin.asked]
    origin.asked.clear()
    return sorted(each for each in found if not each.startswith("look_up 0."))


def lasting(cassette: bytes) -> bytes:
    """Return a cassette without its recording time and durations."""
    return re.sub(rb"(created_at|run_id|latency_ms|start_ms|clock_ms|clock|seed): .*", b"", cassette)


@pytest.mark.parametrize("way", WAYS if SLOW else ["in one process", "all of them"])
def test_it_gives_the_same_cassettes(suite: Project, origin: Origin, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run(suite, "in one process", "--agenttape-record")
    live = calls(suite, origin)
    before = content(suite)
    lasts = content(suite, recorded_once=False)
    assert len(before) == FILES * TESTS
    if "--reruns=2" in WAYS[way]:
        monkeypatch.setenv("FLAKY", "1")

    run(suite, way)
    assert calls(suite, origin) == []
    assert content(suite) == before

    run(suite, way, "--agenttape-record")
    assert (calls(suite, origin) == live) is not bool(os.environ.get("FLAKY"))
    assert content(suite, recorded_once=False) == lasts

    shutil.rmtree(suite.path / "cassettes")
    run(suite, way, "--agenttape-record")
    anew = content(suite, recorded_once=False)
    assert {file: lasting(text) for file, text in anew.items()} == {file: lasting(text) for file, text in lasts.items()}
