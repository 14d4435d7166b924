"""Modes: what is replayed, what runs for real, and what becomes of the file."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import requests

from pytest_agenttape import (
    AgentTapeError,
    Cassette,
    CassetteNotFoundError,
    ConfigError,
    Mode,
    RecordingRefusedError,
    UnmatchedInteractionError,
    tool,
    use_cassette,
)
from tests.rounds import Ran
from tests.standin import StandInProvider

ran = Ran()


@tool
def look_up(word: str) -> str:
    ran(f"tool {word}")
    return word.upper()


class Live:
    """One way to call the outside, and what of it really happened."""

    def __init__(self, kind: str, provider: StandInProvider) -> None:
        self._kind, self._provider = kind, provider

    def __call__(self, word: str) -> Any:
        url = f"{self._provider.url}/echo?word={word}"
        match self._kind:
            case "tool":
                return look_up(word)
            case "requests":
                return dict(requests.get(url, timeout=5).json()["query"])["word"].upper()
            case "httpx2":
                return dict(httpx2.get(url).json()["query"])["word"].upper()
            case _:
                return asyncio.run(self._async(url))

    async def _async(self, url: str) -> str:
        async with httpx2.AsyncClient() as client:
            response = await client.get(url)
        return str(dict(response.json()["query"])["word"]).upper()

    def happened(self) -> int:
        """Return how many calls were real since the last look."""
        count = len(ran.since()) if self._kind == "tool" else self._provider.hits
        if self._kind != "tool":
            self._provider.reset()
        return count


@pytest.fixture(params=["tool", "requests", "httpx2", "async httpx2"])
def live(request: pytest.FixtureRequest, standin_provider: StandInProvider) -> Live:
    ran.since()
    return Live(request.param, standin_provider)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


def words(path: Path) -> list[str]:
    """Return what the recordings of a cassette were asked for, in order."""
    found = Cassette.load(path).interactions
    return [
        str(each.request["args"]["word"] if "args" in each.request else each.request["url"].partition("word=")[2])
        for each in found
    ]


def run(path: Path, live: Live, asked: str, **options: Any) -> list[str]:
    with use_cassette(path, **options):
        return [live(word) for word in asked.split()]


@pytest.mark.parametrize(
    ("mode", "asked", "happens", "left"),
    [
        ("none", "a b", 0, "a b"),
        ("none", "b", 0, "a b"),
        ("once", "b a", 0, "a b"),
        ("new_episodes", "a b", 0, "a b"),
        ("new_episodes", "a c b d", 2, "a b c d"),
        ("new_episodes", "a a", 1, "a b a"),
        ("refresh", "a b", 0, "a b"),
        ("refresh", "b c", 1, "b c"),
        ("refresh", "b", 0, "b"),
        ("all", "a b", 2, "a b"),
        ("record", "c", 1, "c"),
    ],
)
def test_each_mode_replays_runs_and_writes_as_the_table_says(
    mode: str, asked: str, happens: int, left: str, live: Live, path: Path
) -> None:
    run(path, live, "a b", mode="all")
    live.happened()
    before = path.read_bytes()
    assert run(path, live, asked, mode=mode) == asked.upper().split()
    assert live.happened() == happens
    assert words(path) == left.split()
    if left == "a b":
        assert path.read_bytes() == before, "nothing changed, so the file is the same"


@pytest.mark.parametrize("mode", ["none", "once"])
def test_a_mode_that_only_replays_refuses_what_is_new(mode: str, live: Live, path: Path) -> None:
    run(path, live, "a", mode="all")
    live.happened()
    before = path.read_bytes()
    with pytest.raises(UnmatchedInteractionError) as caught:
        run(path, live, "a c", mode=mode)
    assert (caught.value.mode, caught.value.cassette_path) == (mode, path)
    assert (live.happened(), path.read_bytes()) == (0, before)


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh", "all", "record"])
def test_each_recording_mode_makes_the_file_that_is_not_there(mode: str, live: Live, path: Path) -> None:
    assert run(path, live, "a b", mode=mode) == ["A", "B"]
    assert (live.happened(), words(path)) == (2, ["a", "b"])
    assert run(path, live, "a b") == ["A", "B"]
    assert live.happened() == 0


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "refresh", "all"])
@pytest.mark.parametrize("live", [None, "llm"])
def test_a_block_without_a_call_needs_no_cassette_and_writes_none(mode: str, live: str | None, path: Path) -> None:
    with use_cassette(path, mode=mode, live=live) as session:
        assert (session.remaining, session.cursor) == (0, 0)
    assert not list(path.parent.iterdir())


def test_without_a_cassette_the_first_call_says_so_and_how_to_record(path: Path) -> None:
    with (
        pytest.raises(
            UnmatchedInteractionError, match=r"no cassette at .*\n  record it: pytest .* --agenttape-record"
        ) as caught,
        use_cassette(path),
    ):
        look_up("a")
    error = caught.value
    assert isinstance(error, CassetteNotFoundError)
    assert (error.path, error.cassette_path, error.mode) == (path, path, "none")
    assert (error.kind, error.boundary, error.request) == ("tool", "look_up", {"args": {"word": "a"}})


def test_new_episodes_leaves_every_old_byte_of_a_recording_in_place(path: Path) -> None:
    with use_cassette(path, mode="all"):
        look_up("a")
        look_up("b")
    before = path.read_text()
    with use_cassette(path, mode="new_episodes"):
        look_up("c")
    after = path.read_text()
    old = before[before.index("- index: 0") :]
    assert old in after
    assert after.index("boundary: look_up\n", after.index(old) + len(old))


def test_refresh_keeps_the_latency_and_bytes_of_what_was_replayed(path: Path) -> None:
    with use_cassette(path, mode="all"):
        look_up("a")
        look_up("b")
    old = Cassette.load(path).interactions
    with use_cassette(path, mode="refresh"):
        look_up("c")
        look_up("b")
    new = Cassette.load(path).interactions
    assert [each.index for each in new] == [0, 1]
    assert (new[1].latency_ms, new[1].request, new[1].response) == (old[1].latency_ms, old[1].request, old[1].response)


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh", "all"])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_that_fails_leaves_the_old_file(mode: str, error: type[BaseException], path: Path) -> None:
    for before in (None, "a"):
        if before:
            with use_cassette(path, mode="all"):
                look_up(before)
        content = path.read_bytes() if path.exists() else None
        with pytest.raises(error), use_cassette(path, mode=mode):
            raise error
        with pytest.raises(error), use_cassette(path, mode=mode):  # noqa: PT012  # the call has to come first
            with contextlib.suppress(AgentTapeError):
                look_up("z")
            raise error
        assert (path.read_bytes() if path.exists() else None) == content
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh", "all"])
def test_a_failed_call_that_the_agent_swallowed_leaves_the_block(
    mode: str, path: Path, standin_provider: StandInProvider
) -> None:
    url = f"{standin_provider.url}/status/503"
    with pytest.raises(RecordingRefusedError, match="503"), use_cassette(path, mode=mode):
        requests.get(url, timeout=5)
    assert not path.exists()
    with use_cassette(path, mode=mode, allow_errors=[503]):
        requests.get(url, timeout=5)
    with use_cassette(path):
        assert requests.get(url, timeout=5).status_code == 503


@pytest.mark.parametrize("given", [200, "late", ["timeout", 3], 4.5, [None]], ids=repr)
def test_what_cannot_be_allowed_is_told(given: Any, path: Path) -> None:
    with pytest.raises(ConfigError, match="allow_errors takes True, statuses from 400 to 599"):
        use_cassette(path, mode="all", allow_errors=given)


# -- HTTP that a tool makes


def _fetch(url: str, client: str) -> int:
    return requests.get(url, timeout=5).status_code if client == "requests" else httpx2.get(url).status_code


def _through_thread(job: Callable[[], Any]) -> Any:
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(job()))
    thread.start()
    thread.join()
    return got[0]


@pytest.mark.parametrize("client", ["requests", "httpx2"])
@pytest.mark.parametrize("way", [lambda job: job(), _through_thread], ids=["directly", "from a thread it starts"])
def test_http_made_by_a_recorded_tool_belongs_to_the_tool(
    client: str, way: Callable[[Callable[[], Any]], Any], path: Path, standin_provider: StandInProvider
) -> None:
    url = f"{standin_provider.url}/echo?x=1"

    @tool
    def weather() -> int:
        return way(lambda: _fetch(url, client))

    def agent() -> list[int]:
        return [weather(), _fetch(url, client), weather()]

    with use_cassette(path, mode="all"):
        assert agent() == [200, 200, 200]
    assert [each.kind for each in Cassette.load(path).interactions] == ["tool", "http", "tool"]
    hits = standin_provider.hits
    with use_cassette(path) as session:
        assert agent() == [200, 200, 200]
    assert (session.remaining, standin_provider.hits) == (0, hits)


@pytest.mark.parametrize(
    ("live", "fine"), [({"weather"}, False), ({"weather", "http"}, True), ("*", True)], ids=["tool", "both", "all"]
)
def test_http_of_a_live_tool_is_judged_by_its_own_token(
    live: Any, fine: bool, path: Path, standin_provider: StandInProvider
) -> None:
    url = f"{standin_provider.url}/echo?x=1"

    @tool
    def weather() -> int:
        return _fetch(url, "requests")

    with use_cassette(path, mode="all"):
        weather()
    hits = standin_provider.hits
    with contextlib.nullcontext() if fine else pytest.raises(UnmatchedInteractionError), use_cassette(path, live=live):
        assert weather() == 200
    assert standin_provider.hits == hits + fine


# -- the derived cassette


def test_a_live_run_leaves_the_whole_served_timeline_beside_the_original(live: Live, path: Path) -> None:
    with use_cassette(path, mode="all"):
        assert (live("a"), look_up("x"), live("b")) == ("A", "X", "B")
    before = path.read_bytes()
    kind = Cassette.load(path).interactions[0].kind
    live.happened()
    with use_cassette(path, live=kind):
        assert (live("c"), look_up("x"), live("b")) == ("C", "X", "B")
    assert path.read_bytes() == before
    derived = path.with_name("cassette.derived.yaml")
    assert words(derived) == ["c", "x", "b"]
    assert [each.index for each in Cassette.load(derived).interactions] == [0, 1, 2]
    with use_cassette(derived) as session:
        assert (live("c"), look_up("x"), live("b")) == ("C", "X", "B")
    assert session.remaining == 0


def test_none_without_live_calls_writes_nothing_at_all(path: Path) -> None:
    with use_cassette(path, mode="all"):
        look_up("a")
    stamp = path.stat().st_mtime_ns
    with use_cassette(path, live={"llm"}):
        look_up("a")
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mtime_ns == stamp


# -- identical requests


def test_identical_requests_are_served_in_recorded_order_each_once(live: Live, path: Path) -> None:
    with use_cassette(path, mode="all"):
        for _ in range(3):
            live("a")
    if live.happened() and look_up.__name__ in path.read_text():
        path.write_text(path.read_text().replace("response: A", "response: A1", 1))
    with use_cassette(path) as session:
        got = [live("a") for _ in range(3)]
        assert session.remaining == 0
        with pytest.raises(UnmatchedInteractionError, match="already played 3 times"):
            live("a")
    assert got in (["A1", "A", "A"], ["A", "A", "A"])
    assert live.happened() == 0


def test_sessions_that_append_to_one_file_lose_no_call_of_each_other(tmp_path: Path) -> None:
    tokens = [f"hT4vRm8KpXz2WnQ6Yd{number}{'-' * number}" for number in range(5)]
    path, asked = tmp_path / "x.yaml", tool(lambda number: {"token": tokens[number]}, name="asked")

    async def append(number: int) -> None:
        async with use_cassette(path, mode="new_episodes"):
            asked(number)
            await asyncio.sleep(0.05)

    async def append_beside_each_other() -> None:
        await asyncio.gather(append(3), append(4))

    with use_cassette(path, mode="new_episodes"):
        asked(1)
        with use_cassette(path, mode="new_episodes"):
            asked(2)
    asyncio.run(append_beside_each_other())
    found = Cassette.load(path)
    assert sorted(each.request["args"]["number"] for each in found.interactions) == [1, 2, 3, 4]
    assert [each.index for each in found.interactions] == [0, 1, 2, 3]
    with use_cassette(path) as session:
        handed_out = [asked(number)["token"] for number in (4, 3, 2, 1)]
    assert session.unplayed == []
    assert list(map(len, handed_out)) == [len(tokens[number]) for number in (4, 3, 2, 1)]  # each its own


def test_threads_that_append_to_one_file_at_the_same_time_lose_no_call_of_each_other(tmp_path: Path) -> None:
    path, asked = tmp_path / "x.yaml", tool(lambda number: number, name="asked")
    together = threading.Barrier(6)

    def append(number: int) -> None:
        with use_cassette(path, mode="new_episodes"):
            asked(number)
            together.wait()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(append, range(6)))
    assert sorted(each.request["args"]["number"] for each in Cassette.load(path).interactions) == list(range(6))


@pytest.mark.parametrize("mode", [Mode.ONCE, Mode.REFRESH, Mode.ALL])
def test_what_one_block_records_no_block_beside_it_overwrites(tmp_path: Path, mode: Mode) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode=mode):
        look_up("a")
        with pytest.raises(ConfigError, match=r"another open session records, .* give each a cassette of its own"):
            use_cassette(path, mode=mode).enter()
        with use_cassette(path):
            pass
    assert Cassette.load(path).num_steps == 1
