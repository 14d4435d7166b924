"""The nature of a callable decides how it is wrapped, in boundaries, blocks and matchers alike."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from pytest_agenttape.callables import Nature, body_of, nature_of


def plain() -> None: ...


async def coroutine() -> None: ...


def generator() -> Generator[int]:
    yield 1


async def async_generator() -> AsyncGenerator[int]:
    yield 1


class Called:
    async def __call__(self) -> None: ...

    def method(self) -> Generator[int]:
        yield 1


class Marked:
    def __call__(self) -> Any: ...


marked = Marked()
if hasattr(inspect, "markcoroutinefunction"):  # Python 3.12
    inspect.markcoroutinefunction(marked)


@pytest.mark.parametrize(
    ("function", "nature"),
    [
        (plain, Nature.PLAIN),
        (coroutine, Nature.COROUTINE),
        (generator, Nature.GENERATOR),
        (async_generator, Nature.ASYNC_GENERATOR),
        (functools.partial(functools.partial(coroutine)), Nature.COROUTINE),
        (functools.partial(Called()), Nature.COROUTINE),
        (Called(), Nature.COROUTINE),
        (Called().method, Nature.GENERATOR),
        (Called.method, Nature.GENERATOR),
        (Called, Nature.PLAIN),
        (len, Nature.PLAIN),
        pytest.param(
            marked,
            Nature.COROUTINE,
            marks=pytest.mark.skipif(not hasattr(inspect, "markcoroutinefunction"), reason="Python 3.12"),
        ),
    ],
)
def test_the_nature_of_a_callable(function: Any, nature: Nature) -> None:
    assert nature_of(function) is nature


def test_the_code_of_a_callable_is_found_below_partials_and_objects() -> None:
    assert body_of(functools.partial(plain)) is plain
    assert body_of(Called()).__func__ is Called.__call__
    assert body_of(Called) is Called
