"""What an open cassette holds in memory, and what a suite of many cassettes leaves behind."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2

from pytest_agenttape import use_cassette
from pytest_agenttape.cassettes.cassette import Cassette
from tests.benchmarks import histories, table

_SIZES = (100, 1_000, 10_000)  # calls in one cassette
_SUITES = (250, 500, 1_000)  # cassettes
_CALLS = 4  # in each of them


def held(work: Path, calls: int) -> tuple[int, int]:
    """Return how many bytes an open cassette of so many *calls* holds, and the bytes of its file."""
    path = work / f"held-{calls}.yaml"
    Cassette(interactions=[histories.call(number) for number in range(calls)]).save(path)
    with use_cassette(path):  # what is loaded once
        pass
    with _traced(), use_cassette(path):
        return _now(), path.stat().st_size


def left_behind(work: Path, suites: tuple[int, ...]) -> list[int]:
    """Return how many bytes are held after a suite's first cassettes, for each number of them in *suites*."""
    found = []
    _test(work, 0)
    with _traced():
        for number in range(1, max(suites) + 1):
            _test(work, number)
            if number in suites:
                found.append(_now())
    return found


def lines(work: Path) -> list[str]:
    """Measure the memory of cassettes of growing size, and of growing suites."""
    rows = [("calls in an open cassette", "file", "memory", "to file")]
    for size in _SIZES:
        memory, file = held(work, size)
        rows.append((f"{size:,}", f"{file / 1e6:.2f} MB", f"{memory / 1e6:.2f} MB", f"{memory / file:.2f}x"))
    left = zip(_SUITES, left_behind(work, _SUITES), strict=True)
    suites = [("cassettes replayed before", "memory"), *((f"{size:,}", f"{each / 1e6:.2f} MB") for size, each in left)]
    return [*table.aligned(rows), "", *table.aligned(suites)]


def _test(work: Path, number: int) -> None:
    path, first = work / f"{number}.yaml", number * 100  # no message is said in two of them
    Cassette(interactions=[replace(histories.call(first + at), index=at) for at in range(_CALLS)]).save(path)
    with use_cassette(path), httpx2.Client() as client:
        for at in range(_CALLS):
            client.post(histories.URL, json=histories.asked(first + at)).raise_for_status()
    path.unlink()


@contextmanager
def _traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def _now() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
