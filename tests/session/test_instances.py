"""The instances of one class are told apart by the order of their first calls, in each job, thread and task."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from pytest_agenttape import Cassette, UnmatchedInteractionError, tool, use_cassette

Job: TypeAlias = Callable[[int], object]


class Account:
    """An account whose every booking has a number of its own."""

    numbers = itertools.count(1)

    @tool
    def book(self, amount: int) -> str:
        return f"{amount} as {next(self.numbers)}"

    @tool
    def close(self) -> str:
        return f"closed as {next(self.numbers)}"


def _submitted(job: Job) -> list[object]:
    with ThreadPoolExecutor(3) as pool:
        return [each.result() for each in [pool.submit(job, number) for number in range(3)]]


def _mapped(job: Job) -> list[object]:
    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(job, range(3)))


def _in_threads(job: Job) -> list[object]:
    found: dict[int, object] = {}

    def run(number: int) -> None:
        found[number] = job(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [found[number] for number in range(3)]


def _in_threads_of_a_loop(job: Job) -> list[object]:
    async def run() -> list[object]:
        return await asyncio.gather(*(asyncio.to_thread(job, number) for number in range(3)))

    return asyncio.run(run())


def _in_a_group(job: Job) -> list[object]:
    async def run() -> list[object]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.to_thread(job, number)) for number in range(3)]
        return [each.result() for each in tasks]

    return asyncio.run(run())


BESIDE = [_submitted, _mapped, _in_threads, _in_threads_of_a_loop, _in_a_group]


def in_order(order: tuple[int, ...], job: Job, beside: Callable[[Job], list[object]] = _submitted) -> list[object]:
    """Return what *job* returns for 0, 1 and 2, beside each other, if they begin in this *order*."""
    may_run = {number: threading.Event() for number in order}
    may_run[order[0]].set()

    def run(number: int) -> object:
        may_run[number].wait()
        try:
            return job(number)
        finally:
            for after in order[order.index(number) + 1 :][:1]:
                may_run[after].set()

    return beside(run)


def booking(*amounts: int) -> Job:
    """Return a job with an account of its own, for one of the *amounts*."""
    return lambda number: Account().book(amounts[number])


def drifted(path: Path, run: Callable[[], object]) -> bool:
    """Return whether a replay of *run* is one that fails."""
    try:
        with use_cassette(path):
            run()
    except UnmatchedInteractionError as error:
        error.is_expected = True
        return True
    return False


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("amounts", [(5, 6, 7), (5, 5, 5)], ids=["different", "equal"])
def test_which_thread_is_first_does_not_matter(amounts: tuple[int, ...], beside: Any, tmp_path: Path) -> None:
    def job(number: int) -> list[str]:
        account = Account()
        return [account.book(amounts[number]), account.close()]

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = in_order((1, 2, 0), job, beside)
    for order in ((0, 1, 2), (2, 1, 0)):
        with use_cassette(tmp_path / "x.yaml") as session:
            assert in_order(order, job, beside) == before
        assert not session.unplayed


def test_an_instance_that_several_jobs_share_is_found_by_any_of_them(tmp_path: Path) -> None:
    def run(order: tuple[int, ...]) -> object:
        one, other = Account(), Account()
        calls = {0: (one, other), 1: (other, one), 2: (one, one)}
        return in_order(order, lambda number: [each.book(number) for each in calls[number]])

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = run((0, 1, 2))
    for order in itertools.permutations(range(3)):
        with use_cassette(tmp_path / "x.yaml"):
            assert run(order) == before


def test_a_cassette_without_the_jobs_is_replayed_by_the_arguments(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        before = in_order((0, 1, 2), booking(5, 6, 7))
    stored = yaml.safe_load(path.read_text())
    for each in stored["interactions"]:
        del each["metadata"]["job"]
    path.write_text(yaml.safe_dump(stored))
    with use_cassette(path):
        assert in_order((2, 0, 1), booking(5, 6, 7)) == before


def test_what_ran_in_threads_may_run_one_after_the_other(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = in_order((2, 0, 1), booking(5, 6, 7))
    with use_cassette(tmp_path / "x.yaml"):
        assert list(map(booking(5, 6, 7), range(3))) == before


def test_amounts_that_change_accounts_are_drift(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        in_order((0, 1, 2), booking(5, 6, 7))
    assert drifted(path, lambda: in_order((0, 1, 2), booking(6, 5, 7)))
    with use_cassette(path, mode="all"):
        list(map(booking(5, 6, 7), range(3)))
    assert drifted(path, lambda: list(map(booking(6, 5, 7), range(3))))


def test_one_instance_in_place_of_several_is_drift_and_so_are_several_in_place_of_one(tmp_path: Path) -> None:
    def run(*accounts: Account) -> object:
        return in_order((0, 1, 2), lambda number: accounts[number].book(number))

    one = Account()
    with use_cassette(tmp_path / "several.yaml", mode="all"):
        run(Account(), Account(), Account())
    with use_cassette(tmp_path / "one.yaml", mode="all"):
        run(one, one, one)
    assert drifted(tmp_path / "several.yaml", lambda: run(one, one, Account()))
    assert drifted(tmp_path / "one.yaml", lambda: run(one, one, Account()))


def test_a_refresh_runs_only_what_changed_whichever_thread_is_first(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        before = in_order((0, 1, 2), booking(5, 6, 7))
    with use_cassette(path, mode="refresh") as session:
        after = in_order((2, 1, 0), booking(5, 8, 7))
    assert (session.live_calls, after[0], after[2]) == (1, before[0], before[2])
    with use_cassette(path):
        assert in_order((1, 0, 2), booking(5, 8, 7)) == after


def test_the_jobs_are_recorded_only_where_there_are_several_instances(tmp_path: Path) -> None:
    account = Account()
    for name, job in (("one", lambda number: account.book(number)), ("several", booking(0, 1, 2))):
        with use_cassette(tmp_path / f"{name}.yaml", mode="all"):
            in_order((0, 1, 2), job)
    one, several = (Cassette.load(tmp_path / f"{name}.yaml").interactions for name in ("one", "several"))
    assert [each.job for each in one] == [None, None, None]
    assert [each.job for each in several] == [0, 1, 2]


def test_a_thread_whose_function_is_the_tool_itself_has_a_number(tmp_path: Path) -> None:
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        for amount in range(3):
            thread = threading.Thread(target=Account().book, args=(amount,))
            thread.start()
            thread.join()
    assert [each.job for each in Cassette.load(tmp_path / "x.yaml").interactions] == [0, 1, 2]


@pytest.mark.parametrize("amounts", [(5, 6), (5, 5)], ids=["different", "equal"])
def test_jobs_of_different_functions_have_instances_of_their_own(amounts: tuple[int, ...], tmp_path: Path) -> None:
    def beside(job: Job) -> list[object]:
        def research() -> object:
            return job(0)

        def write() -> object:
            return job(1)

        with ThreadPoolExecutor(2) as pool:
            return [each.result() for each in (pool.submit(research), pool.submit(write))]

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        before = in_order((0, 1), booking(*amounts), beside)
    with use_cassette(tmp_path / "x.yaml"):
        assert in_order((1, 0), booking(*amounts), beside) == before
