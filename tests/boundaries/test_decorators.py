"""Boundaries: every nature of callable is recorded when live and served, its body untouched, in replay."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import inspect
import itertools
import os
import pickle
import threading
import time
import typing
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_agenttape import (
    AgentTapeError,
    Cassette,
    CassetteNotFoundError,
    ConfigError,
    RecordingRefusedError,
    StreamingReplayError,
    UnmatchedInteractionError,
    intercept,
    memory_read,
    memory_write,
    record_call,
    retrieval,
    tool,
    use_cassette,
)
from tests.rounds import Ran, around, outcome, record_and_replay

ran = Ran()
numbers = itertools.count(1)
T = typing.TypeVar("T")


@pytest.fixture(autouse=True)
def _nothing_ran_yet() -> None:
    ran.since()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassette.yaml"


# -- the tools


@tool
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    ran("add")
    return a + b


@tool
async def add_later(a: int, b: int = 2) -> int:
    ran("add_later")
    await asyncio.sleep(0)
    return a + b


@tool
def count_to(n: int) -> Generator[int, None, str]:
    ran("count_to")
    yield from range(n)
    return f"counted to {n}"


@tool
async def count_slowly(n: int) -> AsyncGenerator[int, None]:
    ran("count_slowly")
    for number in range(n):
        await asyncio.sleep(0)
        yield number


class Shop:
    @tool
    def price(self, item: str, times: int = 1) -> int:
        ran("price")
        return len(item) * times

    @tool
    async def stock(self, item: str) -> int:
        ran("stock")
        return len(item)

    @tool
    @staticmethod
    def tax(amount: int) -> int:
        ran("tax")
        return amount // 5

    @staticmethod
    @tool
    def duty(amount: int) -> int:
        ran("duty")
        return amount // 10

    @tool
    @classmethod
    def named(cls, name: str) -> str:
        ran("named")
        return f"{cls.__name__} {name}"

    @classmethod
    @tool
    def called(cls, name: str) -> str:
        ran("called")
        return f"{cls.__name__}: {name}"

    @property
    @tool
    def owner(self) -> str:
        ran("owner")
        return "Ann"


class Discounter(Shop):
    @tool
    def price(self, item: str, times: int = 1) -> int:
        ran("discount")
        return super().price(item, times) - 1


@dataclass
class Memory:
    size: int

    @memory_write
    def keep(self, fact: str) -> int:
        ran("keep")
        return self.size + len(fact)

    @memory_read
    def recall(self, topic: str) -> list[str]:
        ran("recall")
        return [topic] * self.size


@retrieval(name="wiki")
def search(query: str) -> list[str]:
    ran("search")
    return [query]


class Finder:
    def __init__(self, sign: str) -> None:
        self.sign = sign

    def __call__(self, query: str) -> str:
        ran("finder")
        return query + self.sign


class AsyncFinder:
    async def __call__(self, query: str) -> str:
        ran("async finder")
        return query


async def later(value: object) -> object:
    ran("later")
    return value


NATURES: dict[str, Callable[[], Any]] = {
    "function": lambda: add(1),
    "generator": lambda: list(count_to(3)),
    "method": lambda: Shop().price("pen", times=2),
    "static method, tool above": lambda: (Shop.tax(10), Shop().tax(20)),
    "static method, tool below": lambda: (Shop.duty(10), Shop().duty(20)),
    "class method, tool above": lambda: (Shop.named("a"), Discounter.named("b")),
    "class method, tool below": lambda: (Shop.called("a"), Shop().called("b")),
    "property": lambda: Shop().owner,
    "overridden method that calls super": lambda: Discounter().price("pen", 2),
    "inherited method": lambda: Discounter.tax(50),
    "method of a dataclass": lambda: (Memory(3).keep("x"), Memory(3).recall("y")),
    "named": lambda: search("cats"),
    "callable object": lambda: intercept(Finder("!"))("q"),
    "partial": lambda: intercept(functools.partial(len))([1, 2]),
    "builtin": lambda: intercept(len, name="length")("four"),
    "builtin without a signature": lambda: intercept(max)(3, 5),
    "lambda": lambda: intercept(lambda x: x * 2, name="double")(4),
    "bound method": lambda: intercept(Finder("?").__call__, name="find")("q"),
    "class": lambda: intercept(int)("7"),
    "function that returns a generator": lambda: list(intercept(lambda n: (i for i in range(n)), name="gen")(3)),
}


@pytest.mark.parametrize("name", NATURES)
def test_every_nature_of_callable_is_replayed_without_its_body(name: str, path: Path) -> None:
    recorded, _ = around(path, NATURES[name], mode="all")
    ran.since()
    for _ in range(2):
        replayed, session = around(path, NATURES[name])
        assert (replayed, session.remaining) == (recorded, 0)
    assert ran.since() == []
    assert not (isinstance(recorded, tuple) and isinstance(recorded[0], type)), recorded


async def _all_of(items: AsyncGenerator[Any, None]) -> list[Any]:
    return [item async for item in items]


ASYNC_NATURES: dict[str, Callable[[], Any]] = {
    "coroutine": lambda: add_later(1),
    "async generator": lambda: _all_of(count_slowly(3)),
    "async method": lambda: Shop().stock("pen"),
    "object with an async call": lambda: intercept(AsyncFinder())("q"),
    "partial of a coroutine": lambda: intercept(functools.partial(later, 5))(),
    "partial of an object with an async call": lambda: intercept(functools.partial(AsyncFinder(), "q"))(),
    "function that returns a coroutine": lambda: intercept(lambda x: later(x), name="later")(4),
    "function that returns an async generator": lambda: _all_of(
        intercept(lambda n: count_slowly.__wrapped__(n), name="count")(3)
    ),
}


@pytest.mark.parametrize("name", ASYNC_NATURES)
def test_every_nature_of_async_callable_is_replayed_without_its_body(name: str, path: Path) -> None:
    async def agent() -> Any:
        return await ASYNC_NATURES[name]()

    recorded, _ = around(path, agent, mode="all")
    assert ran.since()
    replayed, session = around(path, agent)
    assert replayed == recorded
    assert not isinstance(recorded, tuple)
    assert session.remaining == 0
    assert ran.since() == []


def test_without_a_session_boundaries_are_the_functions_they_wrap() -> None:
    async def agent() -> list[Any]:
        items = count_slowly(3)
        return [await add_later(1, 1), await anext(items), await items.aclose(), await anext(items, "over")]

    assert (add(1), list(count_to(2)), Shop().price("x")) == (3, [0, 1], 1)
    assert asyncio.run(agent()) == [2, 0, None, "over"]
    assert ran.since() == ["add", "count_to", "price", "add_later", "count_slowly"]


# -- what a wrapper looks like


@pytest.mark.parametrize(
    ("wrapper", "is_nature"),
    [
        (add, inspect.isfunction),
        (add_later, inspect.iscoroutinefunction),
        (add_later, asyncio.iscoroutinefunction),
        (count_to, inspect.isgeneratorfunction),
        (count_slowly, inspect.isasyncgenfunction),
        (Shop.stock, inspect.iscoroutinefunction),
        (Shop().price, inspect.ismethod),
        (intercept(AsyncFinder()), inspect.iscoroutinefunction),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_wrapper_is_of_the_nature_of_what_it_wraps(wrapper: Any, is_nature: Callable[[Any], bool]) -> None:
    assert is_nature(wrapper)


def test_schema_generators_see_signature_annotations_and_doc() -> None:
    assert str(inspect.signature(add)) == "(a: 'int', b: 'int' = 2) -> 'int'"
    assert typing.get_type_hints(add) == {"a": int, "b": int, "return": int}
    assert (add.__name__, add.__qualname__, add.__module__, add.__doc__) == (
        "add", "add", __name__, "Add two numbers.",
    )  # fmt: skip


def test_a_wrapped_object_shows_the_signature_and_annotations_of_its_call() -> None:
    wrapper = intercept(Finder("!"))
    assert (wrapper.__name__, str(inspect.signature(wrapper))) == ("Finder", "(query: 'str') -> 'str'")
    assert wrapper.__annotations__ == {"query": "str", "return": "str"}


# -- arguments


def both(a: int, /, b: int, *, c: int = 3) -> list[int]:
    return [a, b, c]


def many(*names: str, **options: int) -> list[Any]:
    return [names, options]


_MISSING = object()


def sentinel(a: int, limit: Any = _MISSING) -> int:  # noqa: ARG001  # what matters is its default
    return a


@pytest.mark.parametrize(
    ("fn", "calls", "arguments"),
    [
        (add.__wrapped__, [lambda f: f(1), lambda f: f(1, 2), lambda f: f(b=2, a=1)], {"a": 1, "b": 2}),
        (both, [lambda f: f(1, 2), lambda f: f(1, b=2, c=3)], {"a": 1, "b": 2, "c": 3}),
        (many, [lambda f: f()], {}),
        (many, [lambda f: f("x", y=1)], {"names": ["x"], "options": {"y": 1}}),
        (sentinel, [lambda f: f(1), lambda f: f(a=1)], {"a": 1}),
        (functools.partial(add.__wrapped__, 1), [lambda f: f(), lambda f: f(b=2)], {"b": 2}),
    ],
    ids=["defaults", "positional and keyword only", "nothing passed", "variadic", "sentinel default", "partial"],
)
def test_ways_to_pass_the_same_arguments_are_the_same_call(
    fn: Callable[..., Any], calls: list[Callable[..., Any]], arguments: dict[str, Any], path: Path
) -> None:
    wrapped = intercept(fn, name="fn")
    with use_cassette(path, mode="all"):
        calls[0](wrapped)
    assert Cassette.load(path).interactions[0].request == {"args": arguments}
    for call in calls:
        with use_cassette(path) as session:
            call(wrapped)
        assert session.remaining == 0


@pytest.mark.parametrize("given", [{}, {"kind": "word"}], ids=["by position", "by name"])
def test_a_default_that_the_body_changes_is_recorded_as_it_was_written(given: dict[str, str], path: Path) -> None:
    @tool
    def remember(word: str, kind: str = "word", seen: dict[str, list[str]] = {"word": []}) -> int:  # noqa: B006  # the point
        seen[kind].append(word)
        return len(seen[kind])

    agent = lambda: [remember("a", **given), remember("b", **given)]  # noqa: E731
    assert record_and_replay(path, agent).is_faithful
    assert [each.request["args"]["seen"] for each in Cassette.load(path).interactions] == [{"word": []}] * 2


@pytest.mark.parametrize(
    "call",
    [
        lambda f: f(),
        lambda f: f(1, 2, 3),
        lambda f: f(1, c=2),
        lambda f: f(1, a=1),
        lambda f: f(b=1),
        lambda f: f(1, 2, 3, x=1),
    ],
    ids=["nothing", "too many", "unknown", "twice", "missing", "too many and unknown"],
)
@pytest.mark.parametrize("which", ["function", "coroutine", "method", "bound method", "object", "keyword only"])
@pytest.mark.parametrize("mode", ["all", "none"])
def test_wrong_arguments_raise_the_error_of_the_real_call(
    call: Callable[[Any], Any], which: str, mode: str, path: Path
) -> None:
    shop = Shop()

    class Adder:
        def __call__(self, a: int, b: int = 2) -> None: ...

    def only(*, a: int, b: int) -> None: ...

    def function(a: int, b: int = 2) -> None: ...

    async def coroutine(a: int, b: int = 2) -> None: ...

    adder = Adder()
    real, wrapped = {
        "function": (function, intercept(function)),
        "coroutine": (coroutine, intercept(coroutine)),
        "method": (functools.partial(Shop.price.__wrapped__, shop), shop.price),
        "bound method": (
            shop.price.__func__.__wrapped__.__get__(shop),
            intercept(shop.price.__func__.__wrapped__.__get__(shop)),
        ),
        "object": (adder, intercept(adder)),
        "keyword only": (only, intercept(only)),
    }[which]
    _, expected = outcome(lambda: call(real))
    with use_cassette(path, mode="all"):
        add(1)
    with use_cassette(path, mode=mode):
        kind, got = outcome(lambda: call(wrapped))
    assert (kind, got) == (TypeError, expected)
    assert ran.since() == ["add"]


def test_arguments_are_captured_before_the_body_changes_them(path: Path) -> None:
    @tool
    def drain(items: list[int]) -> int:
        return sum(items.pop() for _ in range(len(items)))

    done = record_and_replay(path, lambda: drain([1, 2, 3]))
    assert done.is_faithful
    assert Cassette.load(path).interactions[0].request == {"args": {"items": [1, 2, 3]}}


def test_each_replay_gives_a_fresh_value(path: Path) -> None:
    @tool
    def rows() -> list[list[int]]:
        return [[1]]

    def agent() -> list[Any]:
        first = rows()
        first[0].append(9)
        return [first, rows()]

    assert record_and_replay(path, agent).replayed == [[[1, 9]], [[1]]]


def test_an_argument_that_cannot_be_recorded_is_refused_with_its_path_and_the_tool(path: Path) -> None:
    with pytest.raises(RecordingRefusedError, match=r"args\.a.*lock") as caught, use_cassette(path, mode="all"):
        add(threading.Lock())
    assert caught.value.__notes__ == [
        "in a call to the tool 'add'",
        "a client or a connection need not be an argument: an attribute of self or a global is not recorded",
    ]
    assert not path.exists()
    assert ran.since() == []


class RunContext(typing.Generic[T]):
    """Stands for a framework's, which is given anew to each call."""

    __module__ = "pydantic_ai._run_context"

    def __init__(self) -> None:
        self.lock, self.number = threading.Lock(), next(numbers)


class InjectedState:
    __module__ = "langgraph.prebuilt.tool_node"


class OwnContext(RunContext[T]):
    __module__ = "somewhere"


@dataclass
class FrameworkTool:
    description: str


class CallableTool:
    """Stands for a framework's, which can be called like the function that it was made of."""

    __module__ = "strands.tools.decorator"

    def __call__(self, city: str) -> str:
        return city


CallableTool.__name__ = "AgentTool"


class NoFrameworks:
    def __init__(self) -> None:
        self.lock = threading.Lock()


NoFrameworks.__name__ = "RunContext"


def with_context(ctx: RunContext[str], city: str) -> None:
    ran(f"{city} {ctx.number > 0}")


def with_context_last(city: str, *, ctx: RunContext[str] | None = None) -> None:
    ran(f"{city} {ctx is not None}")


def with_context_of_a_subclass(ctx: OwnContext[str], city: str) -> None:
    ran(f"{city} {ctx.number > 0}")


def with_annotated_context(city: str, ctx: typing.Annotated[Any, InjectedState]) -> None:
    ran(f"{city} {ctx.number > 0}")


@pytest.mark.parametrize(
    "function",
    [with_context, with_context_last, with_context_of_a_subclass, with_annotated_context],
    ids=lambda function: function.__name__,
)
def test_what_a_framework_hands_a_tool_of_its_run_is_no_argument(function: Callable[..., Any], path: Path) -> None:
    call = tool(function)
    done = record_and_replay(path, lambda: call(city="Rome", ctx=RunContext()))
    assert done.is_faithful
    assert Cassette.load(path).interactions[0].request == {"args": {"city": "Rome"}}
    with pytest.raises(UnmatchedInteractionError), use_cassette(path, mode="none"):
        call(city="Oslo", ctx=RunContext())


def test_a_context_of_the_users_own_is_an_argument(path: Path) -> None:
    @tool
    def greet(ctx: NoFrameworks) -> None:
        ran(f"greet {ctx.lock.locked()}")

    with pytest.raises(RecordingRefusedError, match=r"args\.ctx"), use_cassette(path, mode="all"):
        greet(NoFrameworks())


@pytest.mark.parametrize("what", ["argument", "result"])
def test_what_an_agent_swallows_of_a_refused_recording_leaves_the_block(what: str, path: Path) -> None:
    lock = intercept(lambda: threading.Lock(), name="lock")
    with pytest.raises(RecordingRefusedError), use_cassette(path, mode="all"), contextlib.suppress(AgentTapeError):
        lock() if what == "result" else add(threading.Lock())
    assert not path.exists()


# -- instances


def test_two_instances_are_told_apart_by_the_order_of_their_first_call(path: Path) -> None:
    class Account:
        def __init__(self, money: int) -> None:
            self.money = money

        @tool
        def balance(self) -> int:
            ran("balance")
            return self.money

    def agent(reverse: bool = False) -> list[int]:
        first, second = Account(1), Account(2)
        order = [first, second, second, first]
        got = [account.balance() for account in order[:2]]
        return got + [account.balance() for account in (reversed(order[2:]) if reverse else order[2:])]

    assert around(path, agent, mode="all")[0] == [1, 2, 2, 1]
    assert around(path, lambda: agent(reverse=True))[0] == [1, 2, 1, 2]
    assert [each.request.get("instance", 0) for each in Cassette.load(path).interactions] == [0, 1, 1, 0]


class Hotels:
    @tool
    def find(self, city: str) -> str:
        ran("hotels")
        return f"{city} Inn"


class Flights:
    @tool
    def find(self, city: str) -> str:
        ran("flights")
        return f"flight to {city}"


HOTELS, FLIGHTS = Hotels(), Flights()


class Row:
    @classmethod
    @tool
    def load(cls, number: int) -> str:
        ran("load")
        return f"{cls.__name__} {number}"


class User(Row): ...


class Order(Row): ...


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: HOTELS.find("Rome"), lambda: FLIGHTS.find("Rome")),
        (lambda: User.load(1), lambda: Order.load(1)),
    ],
    ids=["methods of one name", "a method of two classes"],
)
def test_functions_of_one_name_answer_for_themselves(
    one: Callable[[], str], other: Callable[[], str], path: Path
) -> None:
    with use_cassette(path, mode="all"):
        recorded = one(), other()
    ran.since()
    with use_cassette(path):
        assert (other(), one()) == recorded[::-1]
    with use_cassette(path):
        one()
        with pytest.raises(UnmatchedInteractionError, match="already played once"):
            one()
    assert ran.since() == []


def test_a_function_is_named_only_where_another_has_its_name(path: Path) -> None:
    def agent() -> None:
        Hotels().find("Rome")
        Flights().find("Rome")
        User.load(1)

    record_and_replay(path, agent)
    here = Hotels.__module__
    named = [each.metadata.get("function") for each in Cassette.load(path).interactions]
    assert named == [f"{here}:Hotels.find", f"{here}:Flights.find", None]


def test_a_class_that_was_renamed_is_the_same(path: Path) -> None:
    with use_cassette(path, mode="all"):
        Hotels().find("Rome")
        Flights().find("Rome")

    class Inns(Hotels): ...

    with use_cassette(path):
        assert Inns().find("Rome") == "Rome Inn"
        assert Flights().find("Rome") == "flight to Rome"


@pytest.mark.parametrize(
    "make", [lambda sign: Finder(sign), lambda sign: Finder(sign).__call__], ids=["object", "bound method"]
)
def test_wrapped_objects_and_bound_methods_are_told_apart_too(make: Callable[[str], Any], path: Path) -> None:
    def agent(order: str) -> dict[str, str]:
        found = {"a": intercept(make("!"), name="find"), "b": intercept(make("?"), name="find")}
        first = [found[each]("x") for each in "ab"]
        return {"first": "".join(first), **{each: found[each]("q") for each in order}}

    recorded, _ = around(path, lambda: agent("ab"), mode="all")
    assert around(path, lambda: agent("ba"))[0] == recorded


# -- outcomes


class Busy(Exception):
    def __init__(self, seconds: int) -> None:
        super().__init__(f"busy for {seconds} s")
        self.seconds = seconds


@tool
def fail(seconds: int) -> None:
    ran("fail")
    raise Busy(seconds)


def test_an_exception_is_raised_again_with_its_class_and_attributes(path: Path) -> None:
    def agent() -> Any:
        with pytest.raises(Busy) as caught:
            fail(3)
        return caught.value.seconds, str(caught.value)

    assert record_and_replay(path, agent).replayed == (3, "busy for 3 s")
    assert ran.since() == ["fail"]


@dataclass(frozen=True)
class Closed(Exception):
    reason: str


@tool
def close(reason: str) -> None:
    raise Closed(reason)


def test_an_exception_that_cannot_be_changed_is_itself(path: Path) -> None:
    def agent() -> Any:
        with ThreadPoolExecutor() as pool:
            return type(pool.submit(close, "holiday").exception())

    rounds = record_and_replay(path, agent)
    assert rounds.recorded == rounds.replayed == Closed


def test_a_value_whose_class_is_gone_fails_the_run_by_name(path: Path) -> None:
    with use_cassette(path, mode="all"):
        intercept(lambda: Memory(3), name="memory")()
    path.write_text(path.read_text().replace("test_decorators:Memory", "test_decorators:Forgotten"))
    with use_cassette(path), pytest.raises(AgentTapeError, match="Forgotten"):
        intercept(lambda: Memory(3), name="memory")()


def test_a_result_with_the_words_of_our_format_is_itself(path: Path) -> None:
    odd = {"$stream": {"items": [1]}, "$type": "x"}
    assert record_and_replay(path, lambda: intercept(lambda: odd, name="odd")()).replayed == odd


# -- generators


@tool
def echo() -> Generator[Any, Any, str]:
    """Answer what is sent; an error that is thrown in is answered too."""
    ran("echo")
    got: Any = "start"
    while got != "stop":
        try:
            got = yield got
        except KeyError as error:
            got = f"caught {error}"
    return "bye"


def _talk(*, sent: object = "a", thrown: Exception | None = None) -> list[Any]:
    talk = echo()
    said = [next(talk), talk.send(sent), talk.throw(thrown or KeyError("k"))]
    try:
        talk.send("stop")
    except StopIteration as stop:
        said.append(stop.value)
    return said


@pytest.mark.parametrize("given", ["value", "error"])
def test_what_was_put_into_a_generator_has_to_be_put_into_it_again(path: Path, given: str) -> None:
    def talk(*, is_left_out: bool) -> None:
        talking = echo()
        next(talking)
        if not is_left_out:
            talking.send("a") if given == "value" else talking.throw(KeyError("k"))
        talking.close()

    around(path, lambda: talk(is_left_out=False), mode="all")
    around(path, lambda: talk(is_left_out=False))
    with pytest.raises(StreamingReplayError, match="after item 0, which is missing now"), use_cassette(path):
        talk(is_left_out=True)


def test_an_error_that_was_thrown_into_a_generator_is_no_plain_step(path: Path) -> None:
    around(path, _talk, mode="all")
    with use_cassette(path):
        talking = echo()
        assert [next(talking), talking.send("a")] == ["start", "a"]
        with pytest.raises(StreamingReplayError, match="had a KeyError thrown into it after item 1"):
            next(talking)


def test_a_generator_that_is_still_read_is_a_call_that_assertions_see(path: Path) -> None:
    @tool
    def count() -> Iterator[int]:
        yield from range(3)

    seen: dict[str, list[tuple[int, bool]]] = {}
    for mode in ("all", "none"):
        with use_cassette(path, mode=mode) as session:
            items = count()
            next(items)
            [made] = session.interactions
            seen[mode] = [(len(made.response["$stream"]["items"]), "complete" in made.response["$stream"])]
            assert list(items) == [1, 2]
            [made] = session.interactions
            seen[mode].append((len(made.response["$stream"]["items"]), "complete" in made.response["$stream"]))
    assert seen == {"all": [(1, True), (3, False)], "none": [(3, False), (3, False)]}


def test_what_is_sent_and_thrown_into_a_generator_is_part_of_its_recording(path: Path) -> None:
    done = record_and_replay(path, _talk)
    assert done.replayed == done.recorded == ["start", "a", "caught 'k'", "bye"]
    assert ran.since() == ["echo"]


@pytest.mark.parametrize(("sent", "instead"), [("a", "b"), (1, True), (1, 1.0)])
def test_sending_something_else_than_recorded_is_no_replay(path: Path, sent: object, instead: object) -> None:
    around(path, lambda: _talk(sent=sent), mode="all")
    with use_cassette(path), pytest.raises(StreamingReplayError, match="sent a different value after item 0"):
        _talk(sent=instead)


def test_an_exception_that_the_recorded_body_never_saw_comes_back_out(path: Path) -> None:
    around(path, _talk, mode="all")
    with (
        pytest.raises(StreamingReplayError, match="had no LookupError thrown into it after item 1"),
        use_cassette(path),
        pytest.raises(LookupError, match="other"),
    ):
        _talk(thrown=LookupError("other"))


@tool
def stumble(n: int) -> Iterator[int]:
    ran("stumble")
    yield from range(n)
    raise Busy(n)


@tool
async def stumble_slowly(n: int) -> AsyncGenerator[int, None]:
    ran("stumble")
    for number in range(n):
        yield number
    raise Busy(n)


def _read_until_it_fails(n: int) -> list[Any]:
    got: list[Any] = []
    try:
        for each in stumble(n):
            got.append(each)  # noqa: PERF402  # what came before the error counts
    except Busy as error:
        got.append(error.seconds)
    return got


async def _read_slowly_until_it_fails(n: int) -> list[Any]:
    got: list[Any] = []
    try:
        async for each in stumble_slowly(n):
            got.append(each)  # noqa: PERF401  # as above
    except Busy as error:
        got.append(error.seconds)
    return got


@pytest.mark.parametrize("n", [0, 2])
@pytest.mark.parametrize("read", [_read_until_it_fails, _read_slowly_until_it_fails])
def test_an_exception_after_some_items_comes_after_them(read: Callable[[int], Any], n: int, path: Path) -> None:
    done = record_and_replay(path, lambda: read(n))
    assert done.is_faithful
    assert done.replayed == [*range(n), n]
    assert ran.since() == ["stumble"]


def _read_two() -> list[int]:
    items = count_to(5)
    got = [next(items), next(items)]
    items.close()
    return got


async def _read_two_slowly() -> list[int]:
    items = count_slowly(5)
    got = [await anext(items), await anext(items)]
    await items.aclose()
    return got


def _abandon() -> list[Any]:
    items = count_to(5)
    return [next(items), next(items), items][:2]


def _hold(kept: list[Any] = []) -> list[int]:  # noqa: B006  # it outlives the session on purpose
    kept.append(count_to(5))
    return [next(kept[-1]), next(kept[-1])]


@pytest.mark.parametrize(
    "agent", [_read_two, _read_two_slowly, _abandon, _hold], ids=["close", "aclose", "collected", "held"]
)
def test_a_stream_that_was_left_early_says_so_and_replays_up_to_there(agent: Callable[[], Any], path: Path) -> None:
    done = record_and_replay(path, agent)
    assert done.is_faithful
    assert Cassette.load(path).interactions[0].response == {"$stream": {"items": [0, 1], "complete": False}}


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_reading_past_where_the_recorded_reader_stopped_raises(is_async: bool, path: Path) -> None:
    around(path, _read_two_slowly if is_async else _read_two, mode="all")
    agent = (lambda: _all_of(count_slowly(5))) if is_async else (lambda: list(count_to(5)))
    kind, text = around(path, agent)[0]
    assert kind is StreamingReplayError
    assert "ends here: its reader stopped early; record it again" in text


def test_a_value_recorded_where_a_stream_is_asked_for_is_named(path: Path) -> None:
    around(path, lambda: intercept(lambda n: n, name="count_to")(3), mode="all")
    kind, text = around(path, lambda: list(count_to(3)))[0]
    assert (kind, "holds a value, not a stream" in text) == (StreamingReplayError, True)


async def _count_async(n: int) -> list[int]:
    raise AssertionError(n)


@pytest.mark.parametrize("now", [lambda n: [n], _count_async], ids=["function", "coroutine"])
@pytest.mark.parametrize("reads", [3, 1], ids=["to its end", "in part"])
def test_a_stream_recorded_where_a_value_is_asked_for_is_named(path: Path, now: Any, reads: int) -> None:
    around(path, lambda: list(itertools.islice(count_to(3), reads)), mode="all")
    kind, text = around(path, lambda: intercept(now, name="count_to")(3))[0]
    assert (kind, "holds a stream, not a value" in text) == (StreamingReplayError, True)


@pytest.mark.parametrize(
    ("part", "damaged"), [("items", 3), ("items", {"a": 1}), ("sent", [1]), ("thrown", "x")], ids=str
)
def test_a_damaged_stream_is_named(path: Path, part: str, damaged: object) -> None:
    around(path, lambda: list(count_to(3)), mode="all")
    cassette = yaml.safe_load(path.read_text())
    cassette["interactions"][0]["response"]["$stream"][part] = damaged
    path.write_text(yaml.safe_dump(cassette))
    kind, text = around(path, lambda: list(count_to(3)))[0]
    assert (kind, f"is damaged: {part!r} of its stream is not a" in text) == (StreamingReplayError, True)


def test_async_generators_get_what_is_sent_and_thrown(path: Path) -> None:
    @tool
    async def answer() -> AsyncGenerator[Any, Any]:
        got: Any = "start"
        while True:
            try:
                got = yield got
            except KeyError:
                got = "caught"

    async def agent() -> list[Any]:
        items = answer()
        return [await anext(items), await items.asend("x"), await items.athrow(KeyError()), await items.aclose()]

    assert outcome(agent) == ["start", "x", "caught", None]
    assert record_and_replay(path, agent).replayed == ["start", "x", "caught", None]


# -- cancelled and unfinished calls


@tool
async def hang(seconds: float = 30) -> str:
    ran("hang")
    await asyncio.sleep(seconds)
    return "done"


@tool
async def drip() -> AsyncGenerator[int, None]:
    ran("drip")
    yield 1
    await asyncio.sleep(30)
    yield 2


@tool
async def lease(seconds: float) -> AsyncGenerator[float, None]:
    ran("lease")
    yield seconds


async def _read(last: int = 1) -> None:
    async for number in count_slowly(4):
        if number == last:
            return  # the end of the loop cancels what closes the generator


async def _hold(seconds: float = 30) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.02), contextlib.asynccontextmanager(lease)(1):
            await asyncio.sleep(seconds)


@pytest.mark.parametrize(
    ("agent", "further", "items"),
    [(_read, lambda: _read(3), [0, 1]), (_hold, lambda: _hold(0), [1])],
    ids=["at the end of the loop", "in its block"],
)
def test_an_async_generator_whose_reader_is_cancelled_is_told_at_once_when_it_is_read_further(
    agent: Callable[[], Any], further: Callable[[], Any], items: list[int], path: Path
) -> None:
    assert record_and_replay(path, agent).is_faithful
    assert Cassette.load(path).interactions[0].response == {"$stream": {"items": items, "complete": False}}
    with use_cassette(path), pytest.raises(StreamingReplayError, match="ends here: its reader stopped early"):
        asyncio.run(further())


async def _wait_for() -> Any:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(hang(), 0.05)
    return "gave up"


async def _timeout() -> Any:
    try:
        async with asyncio.timeout(0.05):
            await hang()
    except TimeoutError:
        return "gave up"


async def _task_group() -> Any:
    async def break_off() -> None:
        await asyncio.sleep(0.05)
        raise Busy(1)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(hang())
            group.create_task(break_off())
    except* Busy:
        pass
    return "gave up"


async def _cancel() -> Any:
    task = asyncio.create_task(hang())
    await asyncio.sleep(0.02)
    task.cancel()
    return await asyncio.gather(task, return_exceptions=True) and "gave up"


async def _stream() -> Any:
    got = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            async for item in drip():
                got.append(item)  # noqa: PERF401  # the loop is cut
    return got


@pytest.mark.parametrize("agent", [_wait_for, _timeout, _task_group, _cancel, _stream])
def test_a_cancelled_call_waits_in_replay_until_it_is_cancelled_again(agent: Callable[[], Any], path: Path) -> None:
    done = record_and_replay(path, agent)
    assert done.is_faithful
    assert ran.since() in (["hang"], ["drip"])
    assert Cassette.load(path).interactions[0].error["type"] == "CancelledError"


def test_a_cancelled_call_that_nobody_cancels_any_more_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.boundaries.call._LONGEST_WAIT", 0.05)
    around(path, _timeout, mode="all")
    kind, text = around(path, lambda: hang())[0]
    assert kind is AgentTapeError
    assert "the agent stopped waiting for hang when it was recorded, but is still waiting now" in text


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_anyio_cancels_a_replayed_call_as_it_did_the_real_one(library: str, path: Path) -> None:
    anyio = pytest.importorskip("anyio")
    pytest.importorskip(library)

    @tool
    async def nap() -> None:
        ran("nap")
        await anyio.sleep(30)

    async def agent() -> bool:
        with anyio.move_on_after(0.05) as scope:
            await nap()
        return bool(scope.cancelled_caught)

    with use_cassette(path, mode="all"):
        assert anyio.run(agent, backend=library)
    with use_cassette(path):
        assert anyio.run(agent, backend=library)
    assert ran.since() == ["nap"]


def test_a_call_that_the_recording_did_not_see_end_is_held_until_the_replay_ends(path: Path) -> None:
    release, errors = threading.Event(), []

    @tool
    def linger() -> None:
        ran("linger")
        release.wait(5)

    def background() -> None:
        try:
            linger()
        except AgentTapeError as error:
            errors.append(str(error))

    def agent() -> threading.Thread:
        thread = threading.Thread(target=background)
        thread.start()
        time.sleep(0.05)
        return thread

    recorded, _ = around(path, agent, mode="all")
    release.set()
    recorded.join()
    replayed, _ = around(path, agent)
    replayed.join(5)
    assert ran.since() == ["linger"]
    assert len(errors) == 1
    assert "in its recording, linger was never answered" in errors[0]


# -- nested calls


def test_the_recorded_body_takes_its_nested_calls_along(path: Path) -> None:
    @tool
    def outer(n: int) -> int:
        ran("outer")
        return add(n) + add(n + 1)

    done = record_and_replay(path, lambda: (outer(1), add(1)))
    assert done.is_faithful
    assert ran.since() == ["outer", "add", "add", "add"]
    assert [each.metadata.get("parent") for each in Cassette.load(path).interactions] == [None, 0, 0, None]


def test_a_tool_that_swallows_our_verdict_is_not_half_recorded(path: Path) -> None:
    around(path, lambda: add(1), mode="all")
    before = path.read_bytes()

    @tool
    def outer() -> str:
        with contextlib.suppress(UnmatchedInteractionError):
            add(5)
        return "fine"

    with pytest.raises(RecordingRefusedError, match="a call was refused"):
        around(path, outer, mode="all", frozen={"add"})
    assert path.read_bytes() == before


# -- record_call


def test_record_call_runs_its_executor_once(path: Path) -> None:
    def agent() -> Any:
        return record_call("retrieval", {"query": "q"}, lambda: ran("executor") or [1], boundary="index", tags=["t"])

    assert agent() == [1]
    assert ran.since() == ["executor"]
    assert record_and_replay(path, agent).is_faithful
    assert ran.since() == ["executor"]
    (found,) = Cassette.load(path).interactions
    assert (found.kind, found.boundary, found.request, found.tags) == ("retrieval", "index", {"query": "q"}, ("t",))


@pytest.mark.parametrize("executor", [later, lambda value: later(value)], ids=["coroutine function", "lambda"])
def test_record_call_awaits_what_its_executor_gives(executor: Callable[..., Any], path: Path) -> None:
    async def agent() -> Any:
        return await record_call("tool", {"x": 1}, functools.partial(executor, 3), usage={"input_tokens": 2})

    assert record_and_replay(path, agent).replayed == 3
    assert Cassette.load(path).interactions[0].usage == {"input_tokens": 2}
    assert ran.since() == ["later"]


# -- what is refused


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda: intercept(len, kind="tol"), "unknown kind 'tol'. Did you mean 'tool'?"),
        (lambda: intercept(5), "a boundary must wrap a callable, not 5"),
        (lambda: tool(name=""), "the name of a boundary must be a non-empty string"),
        (lambda: tool("search"), "a boundary must wrap a callable, not 'search'"),
        (
            lambda: tool(FrameworkTool("search")),
            "put @tool below the decorator that makes the FrameworkTool, directly above the function",
        ),
        (
            lambda: tool(CallableTool()),
            "put @tool below the decorator that makes the AgentTool, directly above the function",
        ),
        (lambda: tool(Shop), "@tool decorates a function, not the class Shop: decorate its methods"),
        (lambda: tool(property(len)), "put @tool below @property"),
        (lambda: record_call("shop", {}, dict), "unknown kind 'shop'"),
        (lambda: record_call("tool", [1], dict), "record_call takes a mapping"),
        (lambda: record_call("tool", {}, 5), "record_call takes a mapping"),
    ],
    ids=["kind", "not callable", "empty name", "name as a function", "tool object", "callable tool object", "class",
         "property", "record_call kind", "record_call request", "record_call executor"],
)  # fmt: skip
def test_what_cannot_be_a_boundary_is_refused_by_name(draw: Callable[[], Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        draw()
    assert text in str(caught.value)


def test_a_copied_or_pickled_tool_is_the_tool(path: Path) -> None:
    around(path, lambda: add(1), mode="all")
    for same in (copy.copy(add), copy.deepcopy(add), pickle.loads(pickle.dumps(add))):
        assert around(path, lambda same=same: same(1))[0] == 3
    assert ran.since() == ["add"]


@pytest.mark.parametrize("library", ["openai", "anthropic"])
def test_a_method_of_a_client_is_intercepted(library: str, path: Path) -> None:
    module = pytest.importorskip(library)
    client = module.OpenAI(api_key="k") if library == "openai" else module.Anthropic(api_key="k")
    create = client.chat.completions.create if library == "openai" else client.messages.create
    ask = intercept(create, kind="llm")
    with pytest.raises(CassetteNotFoundError, match=r"there is no cassette"), use_cassette(path):
        ask(model="m", messages=[{"role": "user", "content": "hi"}], max_tokens=5)


def test_a_copy_of_the_environment_is_an_argument_like_any_other(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_AGENTTAPE_PARENT", "/one")
    run = tool(lambda env: len(env), name="run")
    with use_cassette(path, mode="all"):
        run(dict(os.environ))
    assert "PYTEST_AGENTTAPE_PARENT" not in path.read_text()
    monkeypatch.setenv("PYTEST_AGENTTAPE_PARENT", "/another")
    with use_cassette(path):
        run(dict(os.environ))
