"""What is found below a decorator of ours looks like the function, and is the boundary."""

from __future__ import annotations

import asyncio
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import tool, use_cassette

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
