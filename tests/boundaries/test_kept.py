"""A boundary above a decorator that keeps the plain function is refused when it is drawn: in replay it would run."""

from __future__ import annotations

import contextlib
import functools
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from pytest_agenttape import ConfigError, retrieval, tool


@dataclass
class Entry:
    function: Callable[..., Any]


class Slotted:
    __slots__ = ("function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function


class Route(typing.NamedTuple):
    name: str
    function: Callable[..., Any]


class Agent:
    """Stands for a framework's, with a decorator that returns the function unchanged."""

    def __init__(self, keep: Callable[[Any], object]) -> None:
        self.kept: list[object] = []
        self._keep = keep

    def tool(self, function: Any) -> Any:
        self.kept.append(self._keep(function))
        return function


def in_closure(function: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any) -> Any:
        return function(*args)

    return run


KEEPERS: dict[str, tuple[Callable[[Any], object], str]] = {
    "an object": (Entry, r"a tests\.boundaries\.test_kept\.Entry"),
    "an object with slots": (Slotted, r"a tests\.boundaries\.test_kept\.Slotted"),
    "a list": (lambda function: function, "a list"),
    "a dict": (lambda function: {function.__name__: function}, "a dict"),
    "a closure": (in_closure, "a function"),
    "a tuple": (lambda function: (function.__name__, function), "a tuple"),
    "a named tuple": (lambda function: Route(function.__name__, function), r"a tests\.boundaries\.test_kept\.Route"),
    "a tuple in a tuple": (lambda function: (function.__name__, (function,)), "a tuple"),
    "a default": (lambda function: lambda city, of=function: of(city), "a tuple"),
    "a partial": (lambda function: functools.partial(function), r"a functools\.partial"),
}


@pytest.mark.parametrize(("keep", "shown"), KEEPERS.values(), ids=KEEPERS)
def test_it_is_refused_with_the_place_where_it_belongs(keep: Callable[[Any], object], shown: str) -> None:
    agent = Agent(keep)
    message = (
        rf"^put @tool directly above the function charge: a decorator below @tool keeps the plain function in {shown}"
    )
    with pytest.raises(ConfigError, match=message):

        @tool
        @agent.tool
        def charge(city: str) -> str:
            return city


@pytest.mark.parametrize(("keep", "shown"), KEEPERS.values(), ids=KEEPERS)
def test_also_where_the_decorator_returns_a_wrapper(keep: Callable[[Any], object], shown: str) -> None:
    kept: list[object] = []

    def registered(function: Any) -> Any:
        @functools.wraps(function)
        def run(*args: Any) -> Any:
            return function(*args)

        kept.append(keep(function))
        return run

    with pytest.raises(ConfigError, match=rf"^put @tool directly above the function charge: .* in {shown}, which"):

        @tool
        @registered
        def charge(city: str) -> str:
            return city


def test_also_with_a_name_and_as_another_kind() -> None:
    agent = Agent(Entry)
    with pytest.raises(ConfigError, match=r"^put @retrieval directly above the function search"):

        @retrieval(
            name="index",
        )
        @agent.tool
        def search(city: str) -> str:
            return city


def test_below_the_decorator_it_is_fine() -> None:
    agent = Agent(Entry)

    @agent.tool
    @tool
    def charge(city: str) -> str:
        return city

    assert agent.kept == [Entry(charge)]


def test_above_decorators_that_keep_nothing_it_is_fine() -> None:
    def retried(function: Any) -> Any:
        @functools.wraps(function)
        def run(*args: Any) -> Any:
            run.calls += 1
            return function(*args)

        run.calls = 0
        run.again = functools.partial(run)
        return run

    def labelled(function: Any) -> Any:
        function.label = "shop"
        function.me = function
        return function

    def passed_on(*functions: Any, **settings: Any) -> Any:
        return functions[0] if settings else passed_on(*functions, again=True)

    @functools.lru_cache
    def length_of(function: Any, *_: Any) -> int:
        return len(function.__name__)

    def measured(function: Any) -> Any:
        length_of(function)
        length_of(function, (1, (function,)))
        return function

    known: dict[object, int] = {}

    def counted(function: Any) -> Any:
        known[function] = known.get(function, 0) + 1
        return function

    @tool
    @counted
    @passed_on
    @measured
    @labelled
    @retried
    def charge(city: str) -> str:
        return city

    assert charge("Rome") == "Rome"


def plain(city: str) -> str:
    return city


PLAIN = [plain]


def test_a_function_that_is_passed_by_name_may_be_kept() -> None:
    assert tool(plain)("Rome") == "Rome"
    assert [tool(each)("Rome") for each in PLAIN] == ["Rome"]


def test_a_new_function_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gc.get_referrers", lambda *_: sys.exit("slow"))

    @tool
    def charge(city: str) -> str:
        return city

    @tool(name="pay")
    async def another(city: str) -> str:
        return city

    @tool
    @functools.cache
    @typing.no_type_check
    @contextlib.contextmanager
    def wrapped(city: str) -> Iterator[str]:
        yield city

    assert charge("Rome") == "Rome"
