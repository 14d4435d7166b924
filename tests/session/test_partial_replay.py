"""Partial replay: who runs for real, who never does, however the call arrives, and what is left behind."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import inspect
import multiprocessing
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    AgentTapeError,
    AgentTapeWarning,
    Cassette,
    CassetteNotFoundError,
    ConfigError,
    RecordingRefusedError,
    UnmatchedInteractionError,
    UnplayedInteractionsError,
    intercept,
    record_call,
    tool,
    use_cassette,
)
from tests.rounds import Ran

ran = Ran()
POOL = concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="module-pool")


@pytest.fixture(autouse=True)
def _nothing_ran_yet() -> None:
    ran.since()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


# -- the tools, one of each nature


@tool
def charge(amount: int) -> str:
    ran("charge")
    return f"charged {amount}"


@tool
async def charge_later(amount: int) -> str:
    ran("charge")
    return f"charged {amount}"


@tool
def charge_in_parts(amount: int) -> Iterator[int]:
    ran("charge")
    yield from range(amount)


class Till:
    @tool
    def charge(self, amount: int) -> str:
        ran("charge")
        return f"charged {amount}"


@tool
def checkout(amount: int) -> str:
    ran("checkout")
    return charge(amount)


def answer(question: str) -> str:
    """Stand for a model: an LLM call that its author records by hand."""
    return record_call("llm", {"question": question}, lambda: ran("llm") or "ok", boundary="my.model")


# -- the ways in which a call arrives


class _Worker:
    """A thread that was started before any session, and takes jobs from a queue."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], concurrent.futures.Future[Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True, name="old-worker").start()

    def __call__(self, job: Callable[[], Any]) -> Any:
        done: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._jobs.put((job, done))
        return done.result(10)

    def _work(self) -> None:
        while True:
            job, done = self._jobs.get()
            try:
                done.set_result(job())
            except BaseException as error:  # noqa: BLE001  # handed to who waits
                done.set_exception(error)


OLD_WORKER = _Worker()


def in_thread(job: Callable[[], Any]) -> Any:
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(job())
        except BaseException as error:  # noqa: BLE001  # handed to who waits
            done.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return done.result()


def in_new_pool(job: Callable[[], Any]) -> Any:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return pool.submit(job).result()


def in_pool_map(job: Callable[[], Any]) -> Any:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return next(iter(pool.map(lambda _: job(), [0])))


def in_run_in_executor(job: Callable[[], Any]) -> Any:
    async def main() -> Any:
        return await asyncio.get_running_loop().run_in_executor(None, job)

    return asyncio.run(main())


def in_to_thread(job: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.to_thread(job))


def in_gather(job: Callable[[], Any]) -> Any:
    async def one() -> Any:
        return job()

    async def main() -> Any:
        return (await asyncio.gather(one()))[0]

    return asyncio.run(main())


def in_task_group(job: Callable[[], Any]) -> Any:
    async def one() -> Any:
        return job()

    async def main() -> Any:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(one())
        return task.result()

    try:
        return asyncio.run(main())
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


def in_timer(job: Callable[[], Any]) -> Any:
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(job())
        except BaseException as error:  # noqa: BLE001  # handed to who waits
            done.set_exception(error)

    threading.Timer(0, run).start()
    return done.result(10)


def in_copied_context(job: Callable[[], Any]) -> Any:
    return in_thread(functools.partial(contextvars.copy_context().run, job))


def in_empty_context(job: Callable[[], Any]) -> Any:
    return contextvars.Context().run(job)


def in_anyio_thread(job: Callable[[], Any], backend: str = "asyncio") -> Any:
    anyio = pytest.importorskip("anyio")

    async def main() -> Any:
        return await anyio.to_thread.run_sync(job)

    return anyio.run(main, backend=backend)


def in_anyio_task_group(job: Callable[[], Any], backend: str = "asyncio") -> Any:
    anyio = pytest.importorskip("anyio")
    got: list[Any] = []

    async def one() -> None:
        got.append(job())

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one)

    try:
        anyio.run(main, backend=backend)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return got[0]


def in_finalizer(job: Callable[[], Any]) -> Any:
    got: list[Any] = []

    class Doomed:
        def __del__(self) -> None:
            try:
                got.append((True, job()))
            except BaseException as error:  # noqa: BLE001  # handed to who waits
                got.append((False, error))

    doomed = Doomed()
    doomed.self = doomed  # type: ignore[attr-defined]  # a cycle, for the collector
    del doomed
    gc.collect(1)  # it is young; all of the heap takes seconds
    (is_fine, result) = got[0]
    if not is_fine:
        raise result
    return result


ARRIVALS: dict[str, Callable[[Callable[[], Any]], Any]] = {
    "direct": lambda job: job(),
    "thread": in_thread,
    "timer": in_timer,
    "new pool": in_new_pool,
    "pool map": in_pool_map,
    "module pool": lambda job: POOL.submit(job).result(),
    "thread from before the session": OLD_WORKER,
    "run_in_executor": in_run_in_executor,
    "to_thread": in_to_thread,
    "gather": in_gather,
    "task group": in_task_group,
    "thread in a copied context": in_copied_context,
    "empty context": in_empty_context,
    "anyio thread": in_anyio_thread,
    "anyio thread on trio": lambda job: in_anyio_thread(job, "trio"),
    "anyio task group": in_anyio_task_group,
    "anyio task group on trio": lambda job: in_anyio_task_group(job, "trio"),
    "finalizer": in_finalizer,
    "thread in a pool in a thread": lambda job: in_thread(lambda: in_new_pool(lambda: in_thread(job))),
}

NATURES: dict[str, Callable[[int], Any]] = {
    "function": charge,
    "coroutine": lambda amount: asyncio.run(charge_later(amount)),
    "generator": lambda amount: list(charge_in_parts(amount)),
    "method": lambda amount: Till().charge(amount),
    "nested": checkout,
    "partial": lambda amount: functools.partial(charge, amount)(),
    "intercepted": intercept(lambda amount: ran("charge") or amount, name="lambda"),
}

# What protects, and the tokens and mode that the session has.
PROTECTIONS: dict[str, dict[str, Any]] = {
    "none": {"mode": "none"},
    "live llm": {"mode": "none", "live": {"llm"}},
    "frozen in record": {"mode": "record", "frozen": {"tool"}},
    "frozen in refresh": {"mode": "refresh", "frozen": {"tool"}},
    "frozen in new_episodes": {"mode": "new_episodes", "frozen": {"*"}},
    "once": {"mode": "once"},
}

# Every arrival with a function, every nature directly and through threads.
ROWS = [(arrival, "function") for arrival in ARRIVALS]
ROWS += [(arrival, nature) for arrival in ("direct", "thread", "new pool", "to_thread") for nature in NATURES]


@pytest.mark.parametrize("protection", PROTECTIONS)
@pytest.mark.parametrize(("arrival", "nature"), sorted(set(ROWS)))
def test_no_body_runs_that_must_not_however_the_call_arrives(
    protection: str, arrival: str, nature: str, path: Path
) -> None:
    deliver, call = ARRIVALS[arrival], NATURES[nature]
    with use_cassette(path, mode="all"):
        recorded = call(3)
    ran.since()
    with use_cassette(path, **PROTECTIONS[protection]):
        assert deliver(lambda: call(3)) == recorded
    assert ran.since() == []
    with (
        contextlib.suppress(RecordingRefusedError, UnmatchedInteractionError),
        use_cassette(path, **PROTECTIONS[protection]),
    ):
        for amount in (4, 3, 3, 3):  # other arguments; and the same, beyond what was recorded
            with contextlib.suppress(UnmatchedInteractionError):
                deliver(lambda amount=amount: call(amount))
    assert ran.since() == []


@pytest.mark.parametrize("arrival", ARRIVALS)
def test_a_call_of_a_session_is_recorded_however_it_arrives(arrival: str, path: Path) -> None:
    with use_cassette(path, mode="all"):
        assert ARRIVALS[arrival](lambda: charge(3)) == "charged 3"
    assert [each.request for each in Cassette.load(path).interactions] == [{"args": {"amount": 3}}]
    assert ran.since() == ["charge"]


@pytest.mark.parametrize("arrival", ["thread", "module pool", "to_thread", "anyio thread", "task group"])
def test_nested_calls_keep_their_parent_however_they_arrive(arrival: str, path: Path) -> None:
    @tool
    def outer() -> Any:
        return ARRIVALS[arrival](lambda: charge(3))

    with use_cassette(path, mode="all"):
        outer()
    ran.since()
    assert [each.metadata.get("parent") for each in Cassette.load(path).interactions] == [None, 0]
    with use_cassette(path) as session:
        assert outer() == "charged 3"
    assert (session.remaining, ran.since()) == (0, [])


# -- calls that come too late


@pytest.mark.parametrize("mode", ["none", "all"])
@pytest.mark.parametrize("how", ["thread", "thread without a Thread", "timer", "pool", "module pool", "copied context"])
def test_a_call_after_its_session_is_over_raises_and_runs_nothing(mode: str, how: str, path: Path) -> None:
    release = threading.Event()
    outcomes: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def late() -> None:
        release.wait(5)
        try:
            outcomes.put(charge(3))
        except AgentTapeError as error:
            outcomes.put(error)

    with use_cassette(path, mode="all"):
        charge(3)
    ran.since()
    pool = concurrent.futures.ThreadPoolExecutor()
    with use_cassette(path, mode=mode):
        if how == "thread":
            threading.Thread(target=late).start()
        elif how == "thread without a Thread":
            _thread.start_new_thread(late, ())
        elif how == "timer":
            threading.Timer(0, late).start()
        elif how == "copied context":
            threading.Thread(target=contextvars.copy_context().run, args=(late,)).start()
        else:
            (pool if how == "pool" else POOL).submit(late)
    release.set()
    got = outcomes.get(timeout=5)
    assert isinstance(got, AgentTapeError), got
    assert "after it had ended; nothing ran for real" in str(got)
    assert ran.since() == []
    pool.shutdown()
    assert POOL.submit(charge, 5).result() == "charged 5"  # the pool is not spoilt for those without a session
    assert charge(6) == "charged 6"


def test_a_late_task_raises_and_runs_nothing(path: Path) -> None:
    async def main() -> Any:
        async def late() -> str:
            await asyncio.sleep(0.02)
            return charge(3)

        with use_cassette(path):
            task = asyncio.create_task(late())
        return (await asyncio.gather(task, return_exceptions=True))[0]

    with use_cassette(path, mode="all"):
        charge(3)
    ran.since()
    assert isinstance(asyncio.run(main()), AgentTapeError)
    assert ran.since() == []


def test_a_late_call_of_one_session_never_lands_in_the_next(path: Path, tmp_path: Path) -> None:
    release, got = threading.Event(), []

    def late() -> None:
        release.wait(5)
        with contextlib.suppress(AgentTapeError):
            got.append(charge(3))

    with use_cassette(path, mode="all"):
        thread = threading.Thread(target=late)
        thread.start()
    with pytest.raises(RecordingRefusedError, match="after it had ended"):
        use_cassette(tmp_path / "next.yaml", mode="all")(lambda: (release.set(), thread.join()))()
    assert (got, ran.since(), (tmp_path / "next.yaml").exists()) == ([], [], False)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_of_a_replay_runs_no_body(path: Path, tmp_path: Path) -> None:
    witness = tmp_path / "ran"

    @tool
    def touch(n: int) -> int:
        witness.write_text("ran")
        return n

    def child(results: Any) -> None:
        outcomes = []
        for n in (1, 2):
            try:
                outcomes.append(touch(n))
            except AgentTapeError as error:
                outcomes.append(type(error).__name__)
        results.put(outcomes)

    with use_cassette(path, mode="all"):
        touch(1)
    witness.unlink()
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    with pytest.raises(AgentTapeError, match="a forked child of"), use_cassette(path):  # noqa: PT012
        process = fork.Process(target=child, args=(results,))
        process.start()
        process.join(20)
    assert results.get() == ["AgentTapeError"] * 2
    assert not witness.exists()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.parametrize("mode", ["all", "none"])
def test_what_a_forked_child_was_refused_is_told_of_its_own_block_only(path: Path, tmp_path: Path, mode: str) -> None:
    @tool
    def ask(n: int) -> int:
        return n

    def child() -> None:
        with contextlib.suppress(AgentTapeError):
            ask(2)

    with use_cassette(path, mode="all"):
        ask(1)
    before, error = path.read_bytes(), RecordingRefusedError if mode == "all" else AgentTapeError
    with pytest.raises(error, match="a forked child of"), use_cassette(path, mode=mode):  # noqa: PT012
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(20)
        ask(1)
    assert path.read_bytes() == before
    with use_cassette(tmp_path / "next.yaml", mode="all"):
        ask(3)
    assert (tmp_path / "next.yaml").exists()


def test_at_exit_an_open_replay_runs_no_body(path: Path) -> None:
    with use_cassette(path, mode="all"):
        record_call("tool", {}, lambda: 1)
    script = f"""
import atexit, pathlib
from pytest_agenttape import tool, use_cassette
@tool
def touch(n):
    print("the body ran")
def leave():
    try: touch(1)
    except Exception as error: print(type(error).__name__)
session = use_cassette(pathlib.Path({str(path)!r}))
session.__enter__()
atexit.register(leave)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("UnmatchedInteractionError\n", "")


def test_what_is_below_the_decorator_is_a_boundary_too(path: Path) -> None:
    """Schema generators look at `__wrapped__`, and some frameworks call what they find there."""
    with use_cassette(path, mode="all"):
        charge(1)
    ran.since()
    with use_cassette(path):
        assert inspect.unwrap(charge)(1) == "charged 1"
        with pytest.raises(UnmatchedInteractionError):
            charge.__wrapped__(5)
    assert ran.since() == []


# -- tokens


def _two_tools_and_a_model() -> list[str]:
    return [answer("q"), charge(3), Till().charge(4), checkout(5)]


@pytest.mark.parametrize(
    ("live", "really"),
    [
        ("llm", ["llm"]),
        ({"my.model"}, ["llm"]),
        (["charge"], ["charge", "charge"]),
        ({"checkout"}, ["checkout"]),
        ({"checkout", "charge"}, ["charge", "charge", "checkout", "charge"]),
        ("tool", ["charge", "charge", "checkout", "charge"]),
        ("*", ["llm", "charge", "charge", "checkout", "charge"]),
        ((), []),
    ],
    ids=["kind", "llm by boundary", "boundary", "outer alone", "outer and inner", "kind of both", "all", "nothing"],
)
def test_live_runs_what_it_names_and_nothing_along_with_it(live: Any, really: list[str], path: Path) -> None:
    with use_cassette(path, mode="all"):
        recorded = _two_tools_and_a_model()
    ran.since()
    before = path.read_bytes()
    with use_cassette(path, live=live) as session:
        assert _two_tools_and_a_model() == recorded
    assert ran.since() == really
    assert path.read_bytes() == before
    derived = path.with_name("cassette.derived.yaml")
    assert derived.exists() == bool(really)
    if really:
        original, served = Cassette.load(path).interactions, Cassette.load(derived).interactions
        assert [(each.boundary, each.request, each.response) for each in served] == [
            (each.boundary, each.request, each.response) for each in original
        ]
        assert [each.metadata.get("parent") for each in served] == [each.metadata.get("parent") for each in original]
    assert session.remaining == len(really)


@pytest.mark.parametrize("mode", ["record", "all", "refresh", "new_episodes", "once", "none"])
@pytest.mark.parametrize("frozen", [{"charge"}, "tool", "*"])
def test_frozen_protects_in_every_mode(mode: str, frozen: Any, path: Path) -> None:
    with use_cassette(path, mode="all"):
        recorded = _two_tools_and_a_model()
    ran.since()
    with use_cassette(path, mode=mode, frozen=frozen):
        assert _two_tools_and_a_model() == recorded
    assert "charge" not in ran.since()
    with pytest.raises(AgentTapeError), use_cassette(path, mode=mode, frozen=frozen):
        charge(99)
    assert ran.since() == []


@pytest.mark.parametrize("mode", ["record", "refresh", "new_episodes"])
def test_a_frozen_call_that_was_refused_and_swallowed_keeps_the_old_cassette(mode: str, path: Path) -> None:
    with use_cassette(path, mode="all"):
        charge(1)
    before = path.read_bytes()

    def run() -> None:
        with use_cassette(path, mode=mode, frozen="tool"):
            answer("q")
            with contextlib.suppress(UnmatchedInteractionError):
                charge(2)

    with pytest.raises(RecordingRefusedError, match="a call was refused"):
        run()
    assert path.read_bytes() == before


def test_frozen_without_a_cassette_says_what_is_missing(path: Path) -> None:
    with (
        pytest.raises(
            CassetteNotFoundError, match=r"frozen calls are only replayed\n  it is frozen, .*\n  record it: "
        ),
        use_cassette(path, mode="record", frozen={"charge"}),
    ):
        charge(1)
    assert (ran.since(), path.exists()) == ([], False)


def test_a_frozen_call_that_differs_says_that_it_has_to_be_thawed_first(path: Path) -> None:
    with use_cassette(path, mode="record"):
        charge(1)
    ran.since()
    for frozen, said in [({"charge"}, True), ({"answer"}, False)]:
        with pytest.raises(UnmatchedInteractionError) as caught, use_cassette(path, frozen=frozen):
            charge(2)
        assert ("it is frozen, so that nothing runs it; first take it out" in str(caught.value)) is said
    assert ran.since() == []


def test_live_and_frozen_exclude_each_other(path: Path) -> None:
    with pytest.raises(ConfigError, match="live and frozen exclude each other"):
        use_cassette(path, live={"llm"}, frozen={"tool"})


@pytest.mark.parametrize("option", ["live", "frozen"])
@pytest.mark.parametrize("given", [5, [5], [""], [None]], ids=repr)
def test_a_token_that_is_no_word_is_refused(option: str, given: Any, path: Path) -> None:
    with pytest.raises(ConfigError, match=option):
        use_cassette(path, **{option: given})


@pytest.mark.parametrize("live", ["tol", {"lmm"}, {"get_wether"}])
def test_a_live_token_that_names_nothing_is_reported_with_the_nearest_name(live: Any, path: Path) -> None:
    with use_cassette(path, mode="all"):
        charge(1)
        intercept(len, name="get_weather")("x")

    def run() -> None:
        with use_cassette(path, live=live):
            charge(1)
            intercept(len, name="get_weather")("x")

    with pytest.warns(AgentTapeWarning, match=r"unknown live token .*Did you mean"):
        run()


@pytest.mark.parametrize(
    "token", ["llm", "openai.chat", "anthropic.messages", "charge", "drawn_later", "only_recorded", "*"]
)
def test_a_token_that_names_something_is_not_reported(token: str, path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with use_cassette(path, mode="all"):
        record_call("tool", {}, lambda: 1, boundary="only_recorded")
    with use_cassette(path, live=token):
        intercept(lambda: 1, name="drawn_later")
    assert [each for each in recwarn if issubclass(each.category, AgentTapeWarning)] == []


def test_a_mistyped_frozen_token_stops_before_anything_runs(path: Path) -> None:
    with use_cassette(path, mode="all"):
        charge(1)
    ran.since()
    with (
        pytest.raises(ConfigError, match=r"unknown frozen token 'chagre'\. Did you mean 'charge'"),
        use_cassette(path, mode="record", frozen={"chagre"}),
    ):
        charge(1)
    assert ran.since() == []
    assert charge(1)
    assert ran.since() == ["charge"]


NAMES_NOTHING = {
    "charge, get_weather": r"looks like several: give each of its own, \{'charge', 'get_weather'\}",
    "charge get_weather": "looks like several",
    "Charge": r"^unknown frozen token 'Charge'\. Did you mean 'charge'\?",
    "send_money_home": r"^unknown frozen token 'send_money_home'\.",
    "charge_*": "looks like a pattern: name each boundary",
    "get_*": "looks like a pattern: name each boundary, 'get_weather'",
    "get_[ws]eather": "looks like a pattern",
    "tools.charge": "is the path of a function: name its boundary, 'charge'",
    "json.dumps": "is the path of a function: name its boundary, 'dumps'",
    "json.JSONEncoder.encode": "is the path of a function: name its boundary, 'encode'",
    "payments.send_home": r"^unknown frozen token 'payments\.send_home'\.",
    "https://api.stripe.com:443/v1": r"is an address: name its host, 'api\.stripe\.com:443'",
    "api.stripe.com/v1": r"is an address: name its host, 'api\.stripe\.com'",
    "openai.chats": r"Did you mean 'openai\.chat'\?",
}


@pytest.mark.parametrize("mode", ["record", "refresh", "new_episodes"])
@pytest.mark.parametrize("token", NAMES_NOTHING)
def test_a_frozen_token_that_names_nothing_stops_before_anything_runs(token: str, mode: str, path: Path) -> None:
    intercept(len, name="get_weather")
    with use_cassette(path, mode="all"):
        charge(1)
    ran.since()
    with pytest.raises(ConfigError, match=NAMES_NOTHING[token]), use_cassette(path, mode=mode, frozen=token):
        charge(2)
    assert ran.since() == []


@pytest.mark.parametrize(
    "token", ["api.stripe.com", "*.internal:8080", "10.0.0.0/8", "[::1]:80", "localhost", "host.docker.internal"]
)
def test_a_frozen_token_may_be_a_host_that_nothing_has_asked_yet(token: str, path: Path) -> None:
    with use_cassette(path, mode="all", frozen=token):
        charge(1)
    assert ran.since() == ["charge"]


@pytest.mark.parametrize("option", ["live", "frozen"])
@pytest.mark.parametrize("token", ["send_money_home", "charge_*", "api.stripe.com/v1"])
def test_in_a_mode_that_runs_nothing_a_token_that_names_nothing_is_reported(
    option: str, token: str, path: Path
) -> None:
    with use_cassette(path, mode="all"):
        charge(1)
    reason = NAMES_NOTHING[token].lstrip("^").replace(" frozen", f" {option}")
    with pytest.warns(AgentTapeWarning, match=reason), use_cassette(path, **{option: {token}}):  # type: ignore[arg-type]
        charge(1)


def test_a_live_model_that_asks_for_something_new_gets_the_tool_refused(path: Path) -> None:
    wanted = [1]

    def agent() -> str:
        amount = record_call("llm", {"q": 1}, lambda: ran("llm") or wanted[0], boundary="my.model")
        return in_thread(lambda: charge(amount))

    with use_cassette(path, mode="all"):
        agent()
    ran.since()
    wanted[0] = 2
    with pytest.raises(UnmatchedInteractionError, match="charge"), use_cassette(path, live={"llm"}):
        agent()
    assert ran.since() == ["llm"]


# -- under pytest


AGENTS = """
    import asyncio, pathlib, threading, unittest
    import anyio, pytest
    from pytest_agenttape import tool

    BODIES = pathlib.Path(__file__).with_name("bodies.txt")
    LATE = []

    @tool
    def charge(amount):
        with BODIES.open("a") as out: print(amount, file=out)
        return amount

    async def agent():
        assert charge(1) == 1
        assert await asyncio.to_thread(charge, 2) == 2
        assert await asyncio.get_running_loop().run_in_executor(None, charge, 3) == 3
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(charge, 4))

    @pytest.mark.agenttape
    @pytest.mark.asyncio(loop_scope="session")
    async def test_asyncio():
        await agent()
        LATE.append(asyncio.create_task(late()))
        LATE.append(asyncio.get_running_loop().run_in_executor(None, late_in_thread))

    GO = threading.Event()

    async def late():
        while not GO.is_set():
            await asyncio.sleep(0.01)
        return charge(98)

    def late_in_thread():
        GO.wait(5)
        return charge(99)

    @pytest.mark.asyncio(loop_scope="session")
    async def test_late_calls_of_the_test_before():
        GO.set()
        outcomes = await asyncio.gather(*LATE, return_exceptions=True)
        assert ["after it had ended" in str(each) for each in outcomes] == [True, True]

    @pytest.mark.agenttape
    @pytest.mark.anyio
    async def test_anyio(anyio_backend_name):
        assert charge(1) == 1
        assert await anyio.to_thread.run_sync(charge, 2) == 2
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, charge, 3)

    @pytest.mark.agenttape
    class TestUnit(unittest.TestCase):
        def test_it(self):
            assert charge(5) == 5

    @pytest.mark.agenttape
    class TestAsyncUnit(unittest.IsolatedAsyncioTestCase):
        async def asyncSetUp(self):
            assert charge(6) == 6
        async def test_it(self):
            await agent()
"""


def test_every_test_framework_replays_without_a_body(pytester: pytest.Pytester) -> None:
    pytest.importorskip("anyio")
    pytest.importorskip("trio")
    pytester.makepyfile(AGENTS)
    bodies = pytester.path / "bodies.txt"
    recorded = pytester.runpytest_subprocess("--agenttape-record", "-p", "anyio", "-W", "ignore")
    recorded.assert_outcomes(passed=6)
    assert sorted(bodies.read_text().split()) == sorted("1234123123561234")
    bodies.unlink()
    replayed = pytester.runpytest_subprocess("-p", "anyio", "-W", "ignore", "--agenttape-strict")
    replayed.assert_outcomes(passed=6)
    assert not bodies.exists()


def test_a_recorded_call_of_a_live_body_that_is_no_longer_made_is_drift(tmp_path: Path) -> None:
    does_pay = True

    @tool
    def pay(amount: int) -> int:
        return amount

    @tool
    def checkout(amount: int) -> int:
        return pay(amount) if does_pay else amount

    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        checkout(3)
    with use_cassette(path, live={"checkout"}, strict=True):
        checkout(3)
    does_pay = False
    with (
        pytest.raises(UnplayedInteractionsError, match=r"1 recorded interaction of x\.yaml not played:\n.*pay\("),
        use_cassette(path, live={"checkout"}, strict=True),
    ):
        checkout(3)
    with use_cassette(path, live={"checkout", "pay"}, strict=True):
        checkout(3)
