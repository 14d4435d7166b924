"""Sessions: one cassette open around a block or a function, alone, nested, side by side, with pytest and without."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import inspect
import multiprocessing
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
import uuid
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    AgentTapeError,
    AgentTapeWarning,
    Cassette,
    CassetteCorruptError,
    Config,
    ConfigError,
    DeterminismDriftWarning,
    RecordingRefusedError,
    Session,
    UnmatchedInteractionError,
    active_session,
    record,
    record_call,
    replay,
    tool,
    use_cassette,
)
from tests.rounds import Ran

ran = Ran()


@tool
def work(n: int) -> int:
    ran("work")
    return n * 10


@tool
async def work_later(n: int) -> int:
    ran("work")
    await asyncio.sleep(0)
    return n * 10


@pytest.fixture(autouse=True)
def _nothing_ran_yet() -> None:
    ran.since()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


@pytest.fixture
def recorded(path: Path) -> Path:
    with use_cassette(path, mode="all"):
        work(1)
        work(2)
    ran.since()
    return path


# -- arguments


def test_a_name_is_a_file_below_the_cassette_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert use_cassette("a/b").path == Path("cassettes/a/b.yaml")
    assert use_cassette("a.json").path == Path("cassettes/a.json")
    assert use_cassette("a/b.c").path == Path("cassettes/a/b.c.yaml")
    assert use_cassette("a", cassette_dir="tapes", format="json").path == Path("tapes/a.json")
    assert use_cassette("a", config=Config(cassette_dir=tmp_path / "x")).path == tmp_path / "x/a.yaml"
    assert use_cassette(tmp_path / "a.yaml").path == tmp_path / "a.yaml"


@pytest.mark.parametrize("spell", [str, Path])
def test_a_folder_and_a_suffix_make_a_path_from_the_working_directory(
    spell: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "agenttape.toml").write_text('cassette_dir = "tapes"\n')
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert use_cassette(spell("cassettes/x.json")).path == Path("cassettes/x.json")
    with record(spell("fixtures/deep/x.json")):
        work(1)
    recorded = tmp_path / "below" / "fixtures" / "deep" / "x.json"
    assert recorded.read_text().startswith("{")
    with replay(spell("fixtures/deep/x.json")):
        assert work(1) == 10
    assert use_cassette(spell("fixtures/x.yaml"), cassette_dir="tapes").path == Path("tapes/fixtures/x.yaml")
    with pytest.raises(ConfigError, match=r"contains '\.\.'"):
        use_cassette("../fixtures/x.yaml")


def test_the_configuration_is_found_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "agenttape.toml").write_text('cassette_dir = "tapes"\ndefault_mode = "once"\nformat = "json"\n')
    monkeypatch.chdir(tmp_path)
    session = use_cassette("a")
    assert (session.path, session.mode) == (tmp_path / "tapes/a.json", "once")
    assert use_cassette("a", mode="none").mode == "none"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "refesh"}, "unknown mode 'refesh'. Did you mean 'refresh'? Valid: none, once, new_episodes, refresh"),
        ({"mode": 5}, "unknown mode 5"),
        ({"record": True, "mode": "none"}, "record=True means mode 'all', but mode='none' was given too"),
        ({"live": "llm", "frozen": "tool"}, "live and frozen exclude each other"),
        ({"live": 5}, "live takes kinds"),
        ({"frozen": [""]}, "frozen takes kinds"),
        ({"matchers": "exacct"}, "unknown matcher 'exacct'. Did you mean 'exact'"),
        ({"matchers": []}, "matchers is empty"),
        ({"freeze": "clok"}, "unknown freeze feature 'clok'"),
        ({"format": "toml"}, "unknown format 'toml'. Valid: yaml, json"),
        ({"config": {"format": "json"}}, "config takes a Config"),
        ({"record": "yes"}, "record must be True or False, found 'yes'"),
        ({"tags": 5}, "tags takes a list of strings, found 5"),
        ({"strict": "yes"}, "strict = 'yes': must be true or false"),
        ({"redact": {"regexes": ["x"]}}, "redact takes names, such as redact=['patient_id']"),
        ({"model": ""}, "model_override = '': must be a non-empty string"),
        ({"allow_hosts": [""]}, "allow_hosts = ['']: must be a list of non-empty strings"),
        ({"ignore_hosts": "a b"}, "ignore_hosts = 'a b': must be a list of strings"),
        ({"match_headers": 5}, "match_headers = 5: must be a list of strings"),
        ({"tags": [5]}, "tags takes a list of strings, found [5]"),
        ({"cassette_dir": 5}, "cassette_dir = 5: must be the path of a directory"),
        ({"cassette_dir": ""}, "cassette_dir = '': must be the path of a directory"),
    ],
    ids=lambda each: str(each)[:30],
)  # fmt: skip
def test_an_argument_that_names_nothing_is_refused_with_what_is_valid(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        use_cassette("a", **options)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", ["../up", "/abs", "a/../../b", "", 5, None, print])
def test_a_name_that_is_none_or_leaves_the_folder_is_refused(name: Any) -> None:
    with pytest.raises(ConfigError):
        use_cassette(name)


def test_record_is_short_for_mode_all_and_agrees_with_it() -> None:
    assert [str(use_cassette("a", record=True, **more).mode) for more in ({}, {"mode": "all"}, {"mode": "record"})] == [
        "all"
    ] * 3


@pytest.mark.parametrize("tags", ["slow", ["slow"], ("slow", "net")])
def test_tags_are_kept_with_each_recording(tags: Any, path: Path) -> None:
    with use_cassette(path, mode="all", tags=tags):
        work(1)
    recorded = Cassette.load(path)
    assert recorded.interactions[0].tags == (("slow",) if len(tags) != 2 else ("slow", "net"))
    assert recorded.meta["tags"] == list(recorded.interactions[0].tags)


def test_tags_of_a_later_session_join_those_of_the_cassette(path: Path) -> None:
    for tags in (["slow"], ["net", "slow"], None):
        with use_cassette(path, mode="new_episodes", tags=tags):
            work(len(tags or ()))
    assert Cassette.load(path).meta["tags"] == ["slow", "net"]


@pytest.mark.parametrize("freeze", [(), "clock", ["uuid", "random"], None])
def test_freeze_pins_what_it_names(freeze: Any, path: Path) -> None:
    def world() -> dict[str, Any]:
        seen = {"clock": time.time(), "uuid": uuid.uuid4(), "random": random.random()}
        time.sleep(0.001)
        return seen

    names = {"clock", "uuid", "random"} if freeze is None else {freeze} if isinstance(freeze, str) else set(freeze)
    with use_cassette(path, mode="all", freeze=freeze):
        first = world()
        work(1)
    with use_cassette(path, freeze=freeze):
        second = world()
        work(1)
    assert {name for name in first if first[name] == second[name]} == names


# -- blocks


def test_a_session_says_where_it_is_and_what_it_is_doing(recorded: Path) -> None:
    with use_cassette(recorded) as session:
        assert (session.path, session.mode, session.remaining) == (recorded, "none", 2)
        assert isinstance(session, Session)
        assert active_session() is session
        work(2)
        assert session.remaining == 1
        assert [each.request for each in session.interactions] == [{"args": {"n": 2}}]
        assert [each.index for each in session.loaded.tape.unplayed] == [0]
        assert session.divergences == []
    assert active_session() is None


def test_divergences_tell_what_was_answered_by_another_request_or_by_none(recorded: Path) -> None:
    with use_cassette(recorded, matchers="ordered") as session:
        assert (work(1), work(7)) == (10, 20)
        with pytest.raises(UnmatchedInteractionError):
            work(8)
    assert session.divergences == [
        {"index": 1, "expected": {"args": {"n": 2}}, "actual": {"args": {"n": 7}}},
        {"index": None, "expected": None, "actual": {"args": {"n": 8}}},
    ]


def test_a_block_is_async_too(path: Path) -> None:
    async def main(**options: Any) -> int:
        async with use_cassette(path, **options) as session:
            assert active_session() is session
            return await work_later(3)

    assert asyncio.run(main(mode="all")) == asyncio.run(main()) == 30
    assert ran.since() == ["work"]


def test_a_damaged_start_of_the_clock_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text('version: "1"\nmeta: {freeze: {clock: nope}}\ninteractions: []\n')
    with (
        pytest.raises(CassetteCorruptError, match=r"c\.yaml: 'meta\.freeze\.clock' must be an ISO 8601 time"),
        use_cassette(path),
    ):
        pass


def test_an_environment_that_was_edited_until_it_is_none_is_left_alone(recorded: Path) -> None:
    recorded.write_text(recorded.read_text().replace("meta:\n", "meta:\n  env: 3\n", 1))
    with use_cassette(recorded):
        assert work(1) == 10


def test_a_session_object_can_be_entered_again(path: Path) -> None:
    session = use_cassette(path, mode="once")
    for _ in range(3):
        with session:
            assert work(1) == 10
            assert session.run.live_calls == len(ran.since()) or session.remaining == 0
    assert len(Cassette.load(path).interactions) == 1


def test_entering_an_open_session_is_refused_and_leaves_it_open(recorded: Path) -> None:
    with use_cassette(recorded) as session:
        with pytest.raises(ConfigError, match="is already open"):
            session.__enter__()
        assert work(1) == 10


def test_the_innermost_of_nested_blocks_answers(recorded: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner.yaml"
    with use_cassette(recorded) as outer:
        assert work(1) == 10
        with use_cassette(inner, mode="all") as session:
            assert (work(7), active_session()) == (70, session)
        assert (work(2), active_session()) == (20, outer)
    assert ran.since() == ["work"]
    assert [each.request["args"]["n"] for each in Cassette.load(inner).interactions] == [7]


def test_blocks_may_end_in_another_order_than_they_began(recorded: Path, tmp_path: Path) -> None:
    first, second = use_cassette(recorded), use_cassette(tmp_path / "second.yaml", mode="all")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert (work(5), active_session()) == (50, second)
    second.__exit__(None, None, None)
    assert active_session() is None
    assert work(6) == 60


def test_a_block_that_cannot_open_leaves_nothing_open(path: Path) -> None:
    path.write_text("version: '1'\ninteractions: []\nmeta: {freeze: {clock: never}}\n")
    with pytest.raises(CassetteCorruptError):
        use_cassette(path).__enter__()
    before = threading.Thread.start
    assert (active_session(), work(1), before.__module__) == (None, 10, "threading")
    assert abs(time.time() - time.clock_gettime(time.CLOCK_REALTIME)) < 1


def test_a_transport_that_cannot_be_patched_leaves_nothing_open(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("no such hook")

    monkeypatch.setattr("pytest_agenttape.transports.install", fail)
    with pytest.raises(RuntimeError, match="no such hook"):
        use_cassette(path, mode="all").__enter__()
    assert (active_session(), threading.Thread.start.__module__) == (None, "threading")


# -- side by side


def test_sessions_of_concurrent_tasks_get_their_own_calls(tmp_path: Path) -> None:
    async def one(name: str, n: int, **options: Any) -> list[int]:
        async with use_cassette(tmp_path / f"{name}.yaml", **options):
            got = []
            for step in range(3):
                got.append(await work_later(n + step))
                await asyncio.sleep(0)
                got += await asyncio.gather(work_later(n), asyncio.to_thread(work, n))
            return got

    async def both(**options: Any) -> list[list[int]]:
        return await asyncio.gather(one("a", 1, **options), one("b", 100, **options))

    recorded = asyncio.run(both(mode="all"))
    ran.since()
    assert asyncio.run(both()) == recorded
    assert ran.since() == []
    assert {each.request["args"]["n"] < 50 for each in Cassette.load(tmp_path / "a.yaml").interactions} == {True}


def test_sessions_of_concurrent_threads_get_their_own_calls(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def one(number: int, **options: Any) -> list[int]:
        with use_cassette(tmp_path / f"{number}.yaml", **options):
            together.wait(5)
            got = [work(number * 100 + step) for step in range(5)]
            together.wait(5)
        return got

    for options in ({"mode": "all"}, {}):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda number, options=options: one(number, **options), range(4)))
        assert got == [[(number * 100 + step) * 10 for step in range(5)] for number in range(4)]
        assert len(ran.since()) == (20 if options else 0)


def test_a_cancelled_future_that_the_agent_swallows_refuses_the_recording(tmp_path: Path) -> None:
    def cancelled() -> None:
        raise concurrent.futures.CancelledError

    with (
        pytest.raises(RecordingRefusedError, match="wait raised CancelledError, which cannot be recorded"),
        use_cassette(tmp_path / "c.yaml", mode="all"),
        contextlib.suppress(concurrent.futures.CancelledError),
    ):
        record_call("tool", {}, cancelled, boundary="wait")
    assert not (tmp_path / "c.yaml").exists()


def test_sessions_beside_each_other_share_random_numbers_unless_one_asks_for_its_own(tmp_path: Path) -> None:
    async def one(name: str, **options: Any) -> tuple[float, uuid.UUID, datetime]:
        with use_cassette(tmp_path / f"{name}.yaml", **options):
            await asyncio.sleep(0.01)
            return random.random(), uuid.uuid4(), datetime.now(UTC)

    async def both(**options: Any) -> Any:
        return await asyncio.gather(one("a"), one("b", **options), return_exceptions=True)

    for name in "ab":
        with use_cassette(tmp_path / f"{name}.yaml", mode="all"):
            work(1)
    first, second = asyncio.run(both())
    assert first[0] != second[0]
    assert first[1] != second[1]
    assert asyncio.run(both()) == [first, second]
    _, refused = asyncio.run(both(freeze={"random"}))
    assert isinstance(refused, ConfigError)


def test_a_thread_that_could_belong_to_two_sessions_raises_and_runs_nothing(recorded: Path, tmp_path: Path) -> None:
    ready, done = threading.Event(), threading.Event()
    got: list[Any] = []

    def old() -> None:
        ready.wait(5)
        try:
            got.append(work(1))
        except AgentTapeError as error:
            got.append(str(error))
        got.append(active_session())
        done.set()

    threading.Thread(target=old, name="old", daemon=True).start()

    def both() -> None:
        with use_cassette(recorded), use_cassette(tmp_path / "b.yaml", mode="all"):
            ready.set()
            done.wait(5)

    with pytest.raises(RecordingRefusedError, match="a call was refused"):
        both()
    assert "a call in thread 'old' could belong to" in got[0]
    assert got[1] is None
    assert ran.since() == []


# -- threads, and others that wrap them


def test_threads_are_given_back_when_the_last_session_ends(recorded: Path) -> None:
    start, submit = threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit
    with use_cassette(recorded):
        assert threading.Thread.start is not start
        with use_cassette(recorded):
            pass
        assert threading.Thread.start is not start
    assert (threading.Thread.start, concurrent.futures.ThreadPoolExecutor.submit) == (start, submit)


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_others_wrapped_around_threads_stays(when: str, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def wrap() -> None:
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            seen.append(thread.name)
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)

    def call_in_thread() -> Any:
        got: list[Any] = []
        thread = threading.Thread(target=lambda: got.append(work(1)), name="t")
        thread.start()
        thread.join()
        return got

    if when == "before":
        wrap()
    with use_cassette(recorded):
        if when == "meanwhile":
            wrap()
        assert call_in_thread() == [10]
    assert ran.since() == []
    assert call_in_thread() == [10]
    with use_cassette(recorded):
        assert call_in_thread() == [10]
    assert (seen, ran.since()) == (["t"] * 3, ["work"])


def test_a_finished_thread_is_freed_without_the_collector(recorded: Path) -> None:
    with use_cassette(recorded):
        thread = threading.Thread(target=work, args=(1,))
        gone = weakref.ref(thread)
        thread.start()
        thread.join()
        gc.disable()
        try:
            del thread
            assert gone() is None
        finally:
            gc.enable()


# -- decorators


def _natures(session: Session) -> dict[str, Callable[[], Any]]:
    @session
    def plain(n: int) -> int:
        return work(n)

    @session
    async def coroutine(n: int) -> int:
        return await work_later(n)

    @session
    def generator(n: int) -> Generator[int, None, str]:
        yield work(n)
        yield work(n + 1)
        return "end"

    @session
    async def async_generator(n: int) -> AsyncGenerator[int, None]:
        yield await work_later(n)
        yield await work_later(n + 1)

    class Agent:
        @session
        def method(self, n: int) -> int:
            return work(n)

        @session
        @staticmethod
        def static(n: int) -> int:
            return work(n)

        @classmethod
        @session
        def of_class(cls, n: int) -> int:
            return work(n)

    async def listed() -> list[int]:
        return [each async for each in async_generator(1)]

    return {
        "plain": lambda: plain(1),
        "coroutine": lambda: asyncio.run(coroutine(1)),
        "generator": lambda: list(generator(1)),
        "async generator": lambda: asyncio.run(listed()),
        "method": lambda: Agent().method(1),
        "static method": lambda: Agent.static(1),
        "class method": lambda: Agent.of_class(1),
    }


@pytest.mark.parametrize("nature", _natures(use_cassette("x")))
def test_a_decorated_function_of_any_nature_runs_in_a_session_of_its_own(nature: str, path: Path) -> None:
    recorded = _natures(record(path))[nature]()
    assert ran.since()
    for _ in range(2):
        assert _natures(replay(path))[nature]() == recorded
    assert ran.since() == []
    assert active_session() is None


def test_a_decorated_function_looks_as_it_did() -> None:
    @replay("x")
    async def agent(question: str, *, limit: int = 3) -> str:
        """Answer."""
        return question * limit

    assert inspect.iscoroutinefunction(agent)
    assert (agent.__name__, agent.__doc__, str(inspect.signature(agent))) == (
        "agent", "Answer.", "(question: 'str', *, limit: 'int' = 3) -> 'str'",
    )  # fmt: skip


def test_a_recursive_agent_is_one_recording(path: Path) -> None:
    def make(**options: Any) -> Callable[[int], int]:
        @use_cassette(path, **options)
        def agent(n: int) -> int:
            return work(n) + (agent(n - 1) if n else 0)

        return agent

    assert make(mode="all")(2) == 30
    assert len(Cassette.load(path).interactions) == 3
    ran.since()
    replaying = make()
    assert (replaying(2), replaying(2), ran.since()) == (30, 30, [])


@pytest.mark.parametrize("target", [int, 5, "name"])
def test_what_is_no_function_cannot_be_decorated(target: Any) -> None:
    with pytest.raises(ConfigError, match="a cassette can only decorate a function or a method"):
        use_cassette("x")(target)


@contextlib.contextmanager
def works_around() -> Iterator[int]:
    yield work(1)


@contextlib.asynccontextmanager
async def works_around_later() -> AsyncIterator[int]:
    yield work(1)


LATER: dict[str, Callable[[], Any]] = {
    "coroutine": lambda: work_later(1),
    "generator": lambda: (work(n) for n in (1, 2)),
    "map": lambda: map(work, (1, 2)),
    "filter": lambda: filter(work, (1, 2)),
    "context manager": works_around,
    "async context manager": works_around_later,
}


@pytest.mark.parametrize("make", LATER.values(), ids=LATER)
def test_code_that_would_run_after_the_session_is_refused(make: Callable[[], Any], path: Path) -> None:
    with pytest.raises(ConfigError, match="would run after the cassette is closed"):
        record(path)(make)()
    assert (ran.since(), path.exists()) == ([], False)


def test_record_and_replay_are_blocks_and_decorators(path: Path) -> None:
    with record(path) as session:
        assert (work(1), session.mode) == (10, "all")
    ran.since()
    with replay(path) as session:
        assert (work(1), session.mode) == (10, "none")
    assert (replay(path)(lambda: work(1))(), ran.since()) == (10, [])


def test_record_and_replay_take_what_use_cassette_takes(path: Path) -> None:
    options: dict[str, Any] = {
        "live": None, "matchers": "exact", "freeze": "clock", "config": Config(), "format": "yaml", "tags": ["t"],
        "strict": True, "redact": ["patient_id"], "model": "small", "allow_errors": [503], "allow_hosts": ["a.example"],
        "ignore_hosts": ["b.example"], "allow_programs": ["git"], "match_headers": ["x-tenant"],
        "cassette_dir": "tapes",
    }  # fmt: skip
    for open_it, mode in ((record, "all"), (replay, "none")):
        session = open_it(path, **options)
        config = session.settings.config
        assert (session.mode, config.strict, session.model_override) == (mode, True, "small")
        assert (config.allow_hosts, config.ignore_hosts) == (("a.example",), ("b.example",))
        assert (config.allow_programs, config.match_headers) == (("git",), ("x-tenant",))
        assert (open_it(path, mode=None).mode, open_it(path, record=False).mode) == (mode, mode)
        assert (open_it(path, mode="once").mode, open_it(path, record=True).mode) == ("once", "all")
    with pytest.raises(TypeError, match="unexpected keyword argument 'strickt'"):
        replay(path, strickt=True)


def test_what_a_block_redacts_is_redacted_in_addition(path: Path) -> None:
    @tool
    def admit(patient_id: str, ward: str, password: str) -> str:
        return f"{len(patient_id + ward + password)} characters"

    config = Config.from_mapping({"redact": {"denylist": ["ward"]}})
    with use_cassette(path, mode="all", redact=["patient_id"], config=config):
        admit("Jane Doe of Oslo", "ward number 5", "correct-horse-battery")
    text = path.read_text()
    assert not [each for each in ("Jane", "number 5", "horse") if each in text]
    with use_cassette(path, redact=["patient_id"], config=config):
        admit("John Doe of Bern", "ward number 6", "battery-staple-horse")


def test_the_cursor_counts_what_has_been_played(recorded: Path) -> None:
    with use_cassette(recorded) as session:
        before = session.cursor
        work(1)
        assert (before, session.cursor, session.cursor + session.remaining) == (0, 1, len(session.engine.recordings))
        assert session.live_calls == 0


@pytest.mark.parametrize("bare", [record, replay])
def test_a_decorator_without_its_cassette_is_refused(bare: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError):
        bare(lambda: work(1))


def test_a_decorated_fixture_stays_open_around_the_test(path: Path) -> None:
    @record(path)
    def fixture() -> Iterator[Session | None]:
        yield active_session()

    for session in fixture():
        assert session is active_session()
        work(1)
    assert len(Cassette.load(path).interactions) == 1


# -- without pytest


def test_sessions_work_in_a_plain_program_that_never_loads_pytest(tmp_path: Path) -> None:
    program = """
        import asyncio, sys
        from pytest_agenttape import record_call, tool, use_cassette, active_session
        @tool
        def double(n): print("ran"); return n * 2
        for mode in ("all", "none"):
            with use_cassette("run", mode=mode, freeze=()):  # time-machine imports pytest itself
                print(double(4))
        heavy = {"pytest", "_pytest", "httpx", "httpx2", "requests", "respx", "responses", "aiohttp"}
        print(sorted(heavy & set(sys.modules)))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert (done.stdout.split("\n"), done.stderr) == (["ran", "8", "8", "[]", ""], "")
    assert (tmp_path / "cassettes/run.yaml").exists()


def test_record_call_outside_a_session_is_the_call() -> None:
    assert record_call("tool", {}, lambda: ran("executor") or 1) == 1
    assert ran.since() == ["executor"]


@pytest.mark.parametrize("is_removed", [False, True], ids=["elsewhere", "removed"])
def test_an_agent_that_changes_the_directory_keeps_its_cassette(
    is_removed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    @use_cassette("run", mode="once")
    def run(number: int) -> None:
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / "elsewhere")
        if is_removed:
            (tmp_path / "elsewhere").rmdir()
        work(number)

    run(1)
    monkeypatch.chdir(tmp_path)
    ran.since()
    run(1)
    assert ran.since() == []
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnmatchedInteractionError):
        run(2)
    assert [each.name for each in (tmp_path / "cassettes").iterdir()] == ["run.yaml"]


def test_a_decorated_function_replays_in_whatever_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = use_cassette("run", mode="once")(work)
    run(1)
    ran.since()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    run(1)

    assert ran.since() == []
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("options", [{"boundary": 5}, {"usage": "five"}, {"tags": 5}, {"tags": [5]}], ids=str)
def test_record_call_names_an_argument_that_cannot_be_used(options: dict[str, Any], path: Path) -> None:
    (name,) = options
    with pytest.raises(ConfigError, match=f"{name} of record_call cannot be"), use_cassette(path, mode="all"):
        record_call("tool", {}, lambda: ran("executor"), **options)
    assert ran.since() == []
    assert not path.exists()


class CancelledError(Exception):
    """An order is cancelled: a word that asyncio does not own."""


def test_an_exception_of_that_name_is_an_answer_that_replay_does_not_wait_for(path: Path) -> None:
    @tool
    def order(dish: str) -> str:
        raise CancelledError(f"no {dish}")

    for mode in ("all", "none"):
        started = time.monotonic()
        with use_cassette(path, mode=mode), pytest.raises(CancelledError, match="no soup"):
            order("soup")
        assert time.monotonic() - started < 5


class Stop(BaseException):
    pass


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, Stop])
def test_a_swallowed_exit_of_a_tool_is_not_left_out_of_a_recording(path: Path, error: type[BaseException]) -> None:
    @tool
    def leave() -> None:
        raise error

    with (
        pytest.raises(RecordingRefusedError, match=f"leave raised {error.__name__}, which cannot be recorded"),
        use_cassette(path, mode="all"),
        contextlib.suppress(error),
    ):
        leave()
    assert not path.exists()


def test_an_exit_that_the_tool_around_it_answers_is_part_of_that_tool(path: Path) -> None:
    @tool
    def leave() -> None:
        raise Stop

    @tool
    def ask() -> str:
        with contextlib.suppress(Stop):
            leave()
        return "asked"

    with use_cassette(path, mode="all"):
        ask()
    with use_cassette(path, strict=True):
        assert ask() == "asked"


def test_an_exit_of_a_tool_that_ends_the_block_is_itself(path: Path) -> None:
    @tool
    def leave() -> None:
        raise Stop

    with pytest.raises(Stop), use_cassette(path, mode="all"):
        leave()
    assert not path.exists()


def test_a_test_that_changes_what_it_was_shown_changes_no_recording(path: Path) -> None:
    def change(session: Session) -> None:
        [shown] = session.interactions
        for each in (shown.metadata, shown.request["args"], shown.response):
            assert each
            each.clear()
        assert session.interactions[0].metadata

    with use_cassette(path, mode="all") as session:
        record_call("tool", {"args": {"n": 1}}, lambda: {"n": 1})
        change(session)
    [recorded] = Cassette.load(path).interactions
    assert (recorded.request, recorded.response) == ({"args": {"n": 1}}, {"n": 1})
    before = path.read_bytes()
    for mode in ("refresh", "none"):
        with use_cassette(path, mode=mode) as session:
            assert record_call("tool", {"args": {"n": 1}}, lambda: 2) == {"n": 1}
            change(session)
        assert path.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_session_belongs_to_the_process_that_opens_it(path: Path) -> None:
    def record() -> None:
        with session:
            record_call("tool", {"args": {"n": 1}}, lambda: 1)

    session = use_cassette(path, mode="all")
    process = multiprocessing.get_context("fork").Process(target=record)
    process.start()
    process.join(20)
    assert len(Cassette.load(path).interactions) == 1


def test_a_secret_that_leaves_the_environment_after_the_start_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BILLING_API_KEY", "hT4vRm8KpXz2WnQ6Yd")
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        key = os.environ.pop("BILLING_API_KEY")
        record_call("tool", {"args": {"note": f"pay with {key} now"}}, lambda: 1)
    assert key not in (tmp_path / "c.yaml").read_text()


@pytest.mark.parametrize("calls_before", [0, 1])
def test_a_secret_that_enters_the_environment_after_the_start_is_known_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls_before: int
) -> None:
    key = "hT4vRm8KpXz2WnQ6Yd"

    def run(mode: str) -> None:
        monkeypatch.delenv("BILLING_API_KEY", raising=False)
        with use_cassette(tmp_path / "c.yaml", mode=mode):
            for _ in range(calls_before):
                record_call("tool", {"args": {"note": "hello"}}, lambda: f"the key will be {key}")
            monkeypatch.setenv("BILLING_API_KEY", key)
            record_call("tool", {"args": {"note": f"pay with {key} now"}}, lambda: f"paid with {key}")

    run("all")
    assert key not in (tmp_path / "c.yaml").read_text()
    run("none")


def _in_a_block(path: Path, config: Config, live: set[str]) -> None:
    with use_cassette(path, config=config, live=live):
        work(1)


def _in_a_task(path: Path, config: Config, live: set[str]) -> None:
    async def block() -> None:
        async with use_cassette(path, config=config, live=live):
            work(1)

    asyncio.run(block())


def _decorated(path: Path, config: Config, live: set[str]) -> None:
    use_cassette(path, config=config, live=live)(work)(1)


@pytest.mark.parametrize("block", [_in_a_block, _in_a_task, _decorated])
def test_a_warning_points_at_the_block_in_the_users_code(
    block: Callable[[Path, Config, set[str]], None], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(env_snapshot=["MODEL_NAME"])
    monkeypatch.setenv("MODEL_NAME", "gpt-4o")
    with use_cassette(path, mode="all", config=config):
        work(1)
    monkeypatch.setenv("MODEL_NAME", "gpt-5")
    with pytest.warns(AgentTapeWarning) as caught:
        block(path, config, {"wrk"})
    assert [(each.filename, type(each.message)) for each in caught] == [
        (__file__, DeterminismDriftWarning),
        (__file__, AgentTapeWarning),
    ]
