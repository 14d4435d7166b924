"""What is found below a decorator of ours looks like the function, and is the boundary."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import tool, use_cassette
from pytest_agenttape.boundaries.gates import gate

ran: list[str] = []


def plain(city: str, days: int = 2, *, unit: str = "C") -> str:
    """Look the weather up."""
    ran.append(city)
    return f"{city} {days} {unit}"


async def coroutine(city: str, days: int = 2, *, unit: str = "C") -> str:
    """Look the weather up."""
    return plain(city, days, unit=unit)


def generator(city: str, days: int = 2, *, unit: str = "C") -> Iterator[str]:
    """Look the weather up."""
    yield plain(city, days, unit=unit)


async def async_generator(city: str, days: int = 2, *, unit: str = "C") -> AsyncIterator[str]:
    """Look the weather up."""
    yield plain(city, days, unit=unit)


@functools.wraps(plain)
def wrapping(*args: Any, **kwargs: Any) -> str:
    return plain(*args, **kwargs)


FUNCTIONS = (plain, coroutine, generator, async_generator, wrapping)


def result_of(function: Callable[..., Any]) -> object:
    found = function("Rome", unit="F")
    if inspect.isasyncgen(found):

        async def all_of() -> list[Any]:
            return [each async for each in found]

        return asyncio.run(all_of())
    if inspect.iscoroutine(found):
        return asyncio.run(found)
    return list(found) if inspect.isgenerator(found) else found


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_call_of_it_runs_no_body_in_replay(function: Callable[..., Any], tmp_path: Path) -> None:
    below = inspect.unwrap(tool(function))
    with use_cassette(tmp_path / "a.yaml", mode="all"):
        live = result_of(below)
    ran.clear()
    with use_cassette(tmp_path / "a.yaml", strict=True):
        assert result_of(below) == live
    assert ran == []
    assert result_of(below) == live  # outside of a session it is the function
    assert ran == ["Rome"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_looks_like_the_function(function: Callable[..., Any]) -> None:
    drawn = tool(function)
    for found in (drawn, inspect.unwrap(drawn)):
        assert inspect.signature(found) == inspect.signature(function)
        assert found is drawn or inspect.getfullargspec(found) == inspect.getfullargspec(inspect.unwrap(function))
        assert typing.get_type_hints(found) == typing.get_type_hints(function)
        assert inspect.getsource(found) == inspect.getsource(function)
        assert inspect.getdoc(found) == "Look the weather up."
        assert (found.__name__, found.__qualname__) == (function.__name__, function.__qualname__)
        for nature in (inspect.iscoroutinefunction, inspect.isasyncgenfunction):
            assert nature(found) == nature(function)


def _closures(first: str, second: str) -> dict[str, Callable[[], Any]]:
    def in_plain() -> str:
        return first + second

    async def in_coroutine() -> str:
        return first + second

    def in_generator() -> Iterator[str]:
        yield first + second

    async def in_async_generator() -> AsyncIterator[str]:
        yield first + second

    return {each.__name__: each for each in (in_plain, in_coroutine, in_generator, in_async_generator)}


@pytest.mark.parametrize("name", _closures("", ""))
def test_the_variables_of_its_frame_can_be_looked_at(name: str) -> None:
    """As pytest does with each frame of a traceback: where a closure's variables were missing, the process crashed."""
    seen: list[dict[str, object]] = []

    def boundary() -> Any:
        seen.append(dict(sys._getframe(1).f_locals))
        raise LookupError

    made: Any = gate(_closures("a", "b")[name], boundary)  # type: ignore[arg-type]  # a function
    with pytest.raises(LookupError):
        _run(made())
    assert seen[0].items() >= {"first": "a", "second": "b"}.items()


def _run(started: Any) -> None:
    if inspect.isasyncgen(started):
        started = anext(started)
    started.send(None)


def test_a_closure_is_one(tmp_path: Path) -> None:
    factor = 3

    @tool
    def scaled(number: int) -> int:
        ran.append("scaled")
        return number * factor

    with use_cassette(tmp_path / "a.yaml", mode="all"):
        assert scaled(2) == 6
    ran.clear()
    with use_cassette(tmp_path / "a.yaml"):
        assert inspect.unwrap(scaled)(2) == 6
    assert ran == []
    assert inspect.getclosurevars(inspect.unwrap(scaled)).nonlocals == {"factor": 3}
