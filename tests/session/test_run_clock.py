"""The calls of a refreshed cassette start one after the other, whichever run they were recorded in."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, Interaction, clocks, record_call, tool, use_cassette


@tool
def look_up(name: str) -> str:
    time.sleep(0.02)
    return name


def _run(path: Path, mode: str, names: str) -> list[Interaction]:
    with use_cassette(path, mode=mode):
        for name in names:
            look_up(name)
    return Cassette.load(path).interactions


def _do_not_overlap(calls: list[Interaction]) -> bool:
    times = [(each.start_ms or 0, (each.start_ms or 0) + (each.latency_ms or 0)) for each in calls]
    return all(end <= start + 0.01 for (_, end), (start, _) in itertools.pairwise(times))


def test_new_calls_stand_between_those_that_were_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    before = {each.request["args"]["name"]: each.start_ms for each in _run(path, "all", "abcd")}
    calls = _run(path, "refresh", "abxxxcd")
    assert [each.request["args"]["name"] for each in calls] == list("abxxxcd")
    assert _do_not_overlap(calls)
    assert [each.start_ms for each in calls[:2]] == [before["a"], before["b"]]


def test_a_new_call_at_the_end_starts_after_the_kept_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    before = _run(path, "all", "abcd")
    for mode in ("refresh", "new_episodes"):
        calls = _run(path, mode, "abcdx" if mode == "refresh" else "abcdxy")
        assert _do_not_overlap(calls)
        assert [each.start_ms for each in calls[:4]] == [each.start_ms for each in before]


def test_kept_calls_beside_each_other_keep_their_times(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"

    @tool
    def outer(names: str) -> str:
        return "".join(map(look_up, names))

    def run(mode: str, first: str) -> list[Interaction]:
        with use_cassette(path, mode=mode):
            look_up(first)
            outer("ab")
        return Cassette.load(path).interactions

    run("all", "a")
    calls = run("refresh", "x")
    assert [each.boundary for each in calls] == ["look_up", "outer", "look_up", "look_up"]
    first, parent, *inner = calls
    assert (parent.start_ms or 0) + 0.01 >= (first.start_ms or 0) + (first.latency_ms or 0)
    assert _do_not_overlap(inner)
    assert all((parent.start_ms or 0) <= (each.start_ms or 0) for each in inner)


def test_a_refreshed_run_is_replayed_in_the_order_in_which_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    delays = {"A": 0.05, "B": 0.03, "C": 0.01, "new": 0.005}

    @tool
    async def wait_for(name: str) -> str:
        await asyncio.sleep(delays[name])
        return name

    def run(names: list[str], mode: str) -> list[str]:
        notes: list[str] = []

        async def note(name: str) -> None:
            notes.append(await wait_for(name))

        async def main() -> None:
            await asyncio.gather(*map(note, names))

        with use_cassette(path, mode=mode):
            asyncio.run(main())
        return notes

    run(["A", "B", "C"], "all")
    refreshed = run(["A", "B", "C", "new"], "refresh")
    assert sorted(refreshed) == ["A", "B", "C", "new"]
    for _ in range(3):
        assert run(["A", "B", "C", "new"], "none") == refreshed


def test_a_call_does_not_seem_to_end_later_because_a_busy_machine_held_it_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for held_up in range(12):
        readings = itertools.count()
        monkeypatch.setattr(clocks, "perf_counter", partial(_perf_counter, readings, held_up))
        with use_cassette(tmp_path / "x.yaml", mode="all"):
            for name in "ab":
                record_call("tool", {"name": name}, str)
        assert _do_not_overlap(Cassette.load(tmp_path / "x.yaml").interactions)


def _perf_counter(readings: Iterator[int], held_up: int) -> float:
    number = next(readings)
    return number + (10.0 if number >= held_up else 0.0)
