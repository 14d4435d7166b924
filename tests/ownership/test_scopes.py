"""The scope: which session running code belongs to, and what happens where that cannot be told."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from pytest_agenttape import AgentTapeError, ownership
from pytest_agenttape.telemetry import Telemetry

KNOWN = Telemetry.of(["known"])


class Owner:
    """Stands for a session."""

    def __init__(self, title: str, *, propagates: bool = True) -> None:
        self.title, self.propagates, self.is_closed = title, propagates, False
        self.refused: list[AgentTapeError] = []

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        self.refused.append(error)
        return error

    def answers(self, method: str, url: str, _content_type: str | None = None) -> bool:
        return KNOWN.covers(method, url, None)

    def open(self, *, bound: bool = True) -> Owner:
        ownership.add(self)
        if bound:
            ownership.enter(self)
        return self

    def close(self) -> None:
        self.is_closed = True
        ownership.remove(self)
        ownership.leave(self)


def owner_of(found: ownership.Scope | None) -> Any:
    return found.owner if found else None


def in_thread(job: Callable[[], Any]) -> Any:
    got: list[Any] = []

    def run() -> None:
        try:
            got.append(job())
        except AgentTapeError as error:
            got.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return got[0]


@pytest.fixture
def a() -> Iterator[Owner]:
    owner = Owner("a")
    yield owner
    owner.close()


@pytest.fixture
def b() -> Iterator[Owner]:
    owner = Owner("b")
    yield owner
    owner.close()


def test_where_nothing_is_open_nothing_owns() -> None:
    assert (ownership.current(), ownership.peek(), ownership.opened()) == (None, None, ())


def test_one_open_session_owns_what_belongs_to_none(a: Owner) -> None:
    a.open(bound=False)
    assert owner_of(ownership.current()) is a
    assert owner_of(contextvars.Context().run(ownership.current)) is a
    assert owner_of(in_thread(ownership.current)) is a


def test_a_bound_context_wins_over_others_that_are_open(a: Owner, b: Owner) -> None:
    a.open()
    b.open(bound=False)
    assert owner_of(ownership.current()) is a
    assert owner_of(in_thread(ownership.current)) is a
    assert owner_of(asyncio.run(asyncio.to_thread(ownership.current))) is a


def test_a_context_that_could_belong_to_two_raises_and_tells_both(a: Owner, b: Owner) -> None:
    a.open(bound=False)
    b.open(bound=False)
    with pytest.raises(AgentTapeError, match=r"could belong to a and b; nothing ran for real") as caught:
        ownership.current()
    assert a.refused == b.refused == [caught.value]
    assert ownership.peek() is None
    assert len(a.refused) == 1, "asking without a call spoils nothing"


def test_a_context_whose_session_is_over_raises_and_tells_the_open_one(a: Owner, b: Owner) -> None:
    a.open()
    context = contextvars.copy_context()
    a.close()
    b.open()
    with pytest.raises(AgentTapeError, match=r"for a was made after it had ended; nothing ran for real") as caught:
        context.run(ownership.current)
    assert context.run(ownership.peek) is None
    assert (a.refused, b.refused) == ([], [caught.value])


def test_a_late_call_over_http_is_told_with_its_thread_and_how_to_stop_telemetry(a: Owner, b: Owner) -> None:
    a.open()
    context = contextvars.copy_context()
    a.close()
    b.open()
    with pytest.raises(AgentTapeError) as caught:
        context.run(ownership.current, lambda: "https://u:p@api.smith.example/runs/multipart?key=hidden")
    assert str(caught.value).splitlines()[1:] == [
        f"  asked: https://api.smith.example/runs/multipart in thread {threading.current_thread().name!r}",
        "  this looks like telemetry of LangSmith: switch it off in tests (LANGSMITH_TRACING=false)",
    ]


def test_a_late_call_is_told_without_the_secret_in_its_path(a: Owner) -> None:
    a.open()
    context = contextvars.copy_context()
    a.close()
    secret = "sk-proj-Q8vT3mWp0LrK2xyzAbCdEfGhIjKl"
    with pytest.raises(AgentTapeError) as caught:
        context.run(ownership.current, lambda: f"https://api.example.com/{secret}/send")
    assert "asked: https://api.example.com/" in str(caught.value)
    assert secret not in str(caught.value)


def test_telemetry_belongs_to_whoever_can_answer_it(a: Owner, b: Owner) -> None:
    a.open()
    context = contextvars.copy_context()
    b.open(bound=False)
    asked = (lambda: "https://api.openai.com/v1/traces/ingest", "POST")
    assert contextvars.Context().run(lambda: owner_of(ownership.current(*asked))) is b
    a.close()
    assert context.run(lambda: owner_of(ownership.current(*asked))) is a
    assert (a.refused, b.refused) == ([], [])


@pytest.mark.parametrize("order", ["inner first", "outer first"])
def test_sessions_leave_the_context_as_it_was_in_whatever_order_they_end(order: str, a: Owner, b: Owner) -> None:
    a.open()
    b.open()
    first, second = (b, a) if order == "inner first" else (a, b)
    first.close()
    assert owner_of(ownership.current()) is second
    second.close()
    assert (ownership.bound(), ownership.current()) == (None, None)


def test_leaving_in_another_context_leaves_this_one_alone(a: Owner, b: Owner) -> None:
    a.open()
    contextvars.copy_context().run(b.open)
    assert owner_of(ownership.current()) is a
    b.close()
    assert owner_of(ownership.current()) is a


def test_a_library_may_wrap_the_run_of_a_thread_as_a_method(a: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    a.open()
    start = threading.Thread.start

    def wrapped(thread: threading.Thread) -> None:
        run: Any = getattr(thread.run, "__func__", thread.run)
        thread.run = lambda: run(thread)  # type: ignore[method-assign]
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", wrapped)
    assert in_thread(lambda: owner_of(ownership.current())) is a
    monkeypatch.undo()
    assert in_thread(lambda: owner_of(ownership.current())) is a


def test_a_fixture_that_propagates_to_no_thread_leaves_its_threads_free(a: Owner) -> None:
    a.propagates = False
    a.open()
    started = threading.Event()
    ask, got = threading.Event(), []

    def serve() -> None:
        started.set()
        ask.wait(5)
        got.append(ownership.current())

    server = threading.Thread(target=serve)
    server.start()
    started.wait(5)
    a.close()
    ask.set()
    server.join()
    assert got == [None]


def test_a_task_that_a_wide_fixture_started_is_free_when_it_is_set_up(a: Owner, b: Owner) -> None:
    a.propagates = False

    async def main() -> list[Any]:
        asked, got = asyncio.Event(), []

        async def serve() -> None:
            await asked.wait()
            got.append(owner_of(ownership.current()))

        a.open()
        task = asyncio.create_task(serve())
        await asyncio.sleep(0)
        a.close()
        b.open()
        asked.set()
        await task
        b.close()
        return got

    assert asyncio.run(main()) == [b]


def test_within_binds_for_a_block(a: Owner) -> None:
    a.open(bound=False)
    inner = ownership.Scope(a, running="call")
    with ownership.within(inner):
        assert ownership.current() is inner
        assert in_thread(ownership.current) is inner
    assert ownership.bound() is None


@pytest.mark.parametrize("reused", [False, True])
def test_a_job_belongs_to_who_submitted_it_and_the_worker_to_nobody(reused: bool, a: Owner, b: Owner) -> None:
    with ThreadPoolExecutor(1) as pool:
        if reused:
            pool.submit(int).result()
        a.open()
        assert owner_of(pool.submit(ownership.current).result()) is a
        b.open()
        assert owner_of(pool.submit(ownership.current).result()) is b
        b.close()
        a.close()
        assert pool.submit(ownership.current).result() is None


def test_an_initializer_of_a_pool_belongs_to_nobody_in_particular(a: Owner) -> None:
    a.open()
    got: list[Any] = []
    with ThreadPoolExecutor(1, initializer=lambda: got.append(ownership.bound())) as pool:
        pool.submit(int).result()
    assert got == [None]


def test_a_thread_class_of_ones_own_runs_as_written(a: Owner) -> None:
    class Worker(threading.Thread):
        def run(self) -> None:
            self.got = owner_of(ownership.current())

    a.open()
    worker = Worker()
    worker.start()
    worker.join()
    assert worker.got is a
    assert "run" not in vars(worker)


def test_a_thread_that_fails_to_start_a_second_time_fails_as_ever(a: Owner) -> None:
    a.open()
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    with pytest.raises(RuntimeError, match="threads can only be started once"):
        thread.start()


def test_closing_while_another_thread_asks_never_fails() -> None:
    stop, errors = threading.Event(), []

    def ask() -> None:
        while not stop.is_set():
            try:
                ownership.current()
            except BaseException as error:  # noqa: BLE001  # whatever it is, it must not be
                errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for number in range(300):
        owner = Owner(str(number))
        ownership.add(owner)
        ownership.remove(owner)
    stop.set()
    for thread in threads:
        thread.join()
    assert errors == []
