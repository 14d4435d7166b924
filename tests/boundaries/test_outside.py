"""Functions named by import path are boundaries, whoever holds a reference to them and whatever their nature."""

from __future__ import annotations

import asyncio
import functools
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pytest_agenttape import Config, ConfigError, tool, use_cassette

SHOP = '''
    import functools

    RAN = []

    def charge(cents: int, currency="EUR") -> str:
        """Charge."""
        RAN.append(cents)
        return f"{cents} {currency}"

    async def search(word):
        RAN.append(word)
        return [word]

    def stream(count):
        for each in range(count):
            RAN.append(each)
            yield each

    async def stream_async(count):
        for each in range(count):
            RAN.append(each)
            yield each

    def made(rate):
        def convert(cents):
            RAN.append(cents)
            return cents * rate
        return convert

    convert = made(2)

    @functools.lru_cache
    def rate(currency):
        RAN.append(currency)
        return 2

    class Kept:
        def __init__(self, function):
            self.function = function

    @Kept
    def look_up(word):
        RAN.append(word)
        return [word]

    def retried(function):
        @functools.wraps(function)
        def run(*args):
            return function(*args)

        return run

    @retried
    def send(text):
        RAN.append(text)
        return [text]

    class Parser:
        @functools.singledispatchmethod
        def parse(self, text):
            RAN.append(text)

    class Cart:
        def __init__(self):
            self.items = []

        def add(self, item):
            RAN.append(item)
            return super().__repr__() and [item]

        @staticmethod
        def price(item):
            RAN.append(item)
            return 3

        @classmethod
        def of(cls, item):
            RAN.append(item)
            return cls.__name__ + item

    TOOLS = (charge, functools.partial(charge, 1), {"cart": Cart.price})
    length = len

    def _private(): ...
'''


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    (tmp_path / "shop_outside.py").write_text(textwrap.dedent(SHOP))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    import shop_outside

    yield shop_outside
    del sys.modules["shop_outside"]


def test_a_module_that_fails_to_import_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_outside.py").write_text("import missing_below_outside")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigError, match="broken_outside cannot be imported: No module named 'missing_below_outside'"):
        use_cassette("it", config=Config(tools=("broken_outside.charge",))).open()


async def _all(items: Any) -> list[Any]:
    return [each async for each in items]


CALLS: dict[str, Callable[[Any], Any]] = {
    "a function": lambda shop: shop.charge(450),
    "by keyword": lambda shop: shop.charge(currency="USD", cents=3),
    "a reference in a tuple": lambda shop: shop.TOOLS[0](450),
    "a partial made before": lambda shop: shop.TOOLS[1](),
    "a coroutine": lambda shop: asyncio.run(shop.search("tea")),
    "a generator": lambda shop: list(shop.stream(2)),
    "an async generator": lambda shop: asyncio.run(_all(shop.stream_async(2))),
    "a closure": lambda shop: shop.convert(4),
    "a method": lambda shop: shop.Cart().add("tea"),
    "a static method": lambda shop: shop.TOOLS[2]["cart"]("tea"),
    "a class method": lambda shop: shop.Cart.of("tea"),
    "a cached function": lambda shop: (shop.rate.cache_clear(), shop.rate("EUR")),
    "what is below a decorator": lambda shop: inspect.unwrap(shop.send)("hello"),
    "a framework's tool": lambda shop: shop.look_up.function("tea"),
}
EVERYTHING = Config(tools=("shop_outside.*", "shop_outside.Cart.*", "shop_outside.convert"))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_it_is_recorded_and_its_body_does_not_run_in_replay(shop: Any, call: Callable[[Any], Any]) -> None:
    with use_cassette("it", mode="all", config=EVERYTHING):
        answer = call(shop)
    assert shop.RAN
    shop.RAN.clear()
    with use_cassette("it", config=EVERYTHING, strict=True):
        assert call(shop) == answer
    assert shop.RAN == []
    assert call(shop) == answer  # without a session it runs
    assert shop.RAN


def test_what_is_taken_looks_as_before(shop: Any) -> None:
    before = {name: inspect.signature(getattr(shop, name)) for name in ("charge", "search", "stream", "convert")}
    with use_cassette("it", mode="all", config=EVERYTHING):
        pass
    assert {name: inspect.signature(getattr(shop, name)) for name in before} == before
    assert inspect.iscoroutinefunction(shop.search)
    assert inspect.isgeneratorfunction(shop.stream)
    assert inspect.isasyncgenfunction(shop.stream_async)
    assert (shop.charge.__name__, shop.charge.__doc__) == ("charge", "Charge.")
    assert shop.charge.__annotations__ == {"cents": int, "return": str}


def test_a_boundary_is_taken_once(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop, "charge", tool(shop.charge))
    for _ in range(2):
        with use_cassette("it", mode="all", config=EVERYTHING) as session:
            shop.charge(1)
        assert [(each.kind, each.boundary) for each in session.interactions] == [("tool", "charge")]


@pytest.mark.parametrize("kind", ["retrieval", "memory_read", "memory_write"])
def test_other_kinds_are_named_likewise(shop: Any, kind: str) -> None:
    config = Config.from_mapping({kind: ["shop_outside.charge"]})
    with use_cassette("it", mode="all", config=config) as session:
        shop.charge(1)
    assert [each.kind for each in session.interactions] == [kind]


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("shop_outside.chage", "shop_outside has no function 'chage'"),
        ("shop_outside.Cart.remove", "shop_outside.Cart has no function 'remove'"),
        ("shop_outside.c*x", "shop_outside has no function 'c*x'"),
        ("shop_outside.length", "it is a builtin_function_or_method, which has no code that could be taken"),
        ("shop_outside.Cart", "it is a type, which has no code that could be taken"),
        ("shop_outside.Parser.parse", "parse is a singledispatchmethod; put @tool directly above each"),
        ("shop_outside.Parser.p*", "parse is a singledispatchmethod; put @tool directly above each"),
        ("shop_missing.tools.*", "shop_missing.tools is no module and no class"),
        ("charge", "give the whole import path, such as 'shop.tools.charge'"),
    ],
)
def test_what_cannot_be_taken_is_refused_by_name(shop: Any, path: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught, use_cassette("it", mode="all", config=Config(tools=(path,))):
        shop.charge(1)
    assert str(caught.value).startswith(f"tools = [{path!r}]: {problem}")
    assert shop.RAN == []


def test_a_pattern_leaves_out_what_is_private_or_imported(shop: Any) -> None:
    before = {name: getattr(shop, name).__code__ for name in ("_private", "charge")}
    with use_cassette("it", mode="all", config=Config(tools=("shop_outside.*",))):
        pass
    assert shop._private.__code__ is before["_private"]
    assert shop.charge.__code__ is not before["charge"]
    assert functools.partial.__module__ == "functools"
    assert isinstance(shop, ModuleType)
