"""What a tool does to its arguments is done again in replay, to the caller's own objects."""

from __future__ import annotations

import asyncio
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydantic
import pytest

from pytest_agenttape import (
    AgentTapeError,
    Cassette,
    RecordingRefusedError,
    memory_write,
    register_codec,
    retrieval,
    tool,
    use_cassette,
)
from pytest_agenttape.reading.comparable import compared_response
from pytest_agenttape.reading.timeline import timeline


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@dataclass
class Order:
    items: list[str] = field(default_factory=list)
    status: str = "open"


class Profile(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")

    name: str = ""
    tags: list[str] = []
    _seen: int = pydantic.PrivateAttr(0)


class Handle:
    """Recorded by a codec."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and other.number == self.number


register_codec(Handle, encode=lambda handle: handle.number, decode=Handle, name="test-handle")


def _append(log: Any) -> None:
    log.append("done")


def _fill_profile(profile: Profile) -> None:
    profile.name = "Ada"
    profile.tags.append("new")
    profile._seen = 3
    profile.extra = {"a": 1}  # type: ignore[attr-defined]  # the model allows it


def _close_order(order: Order) -> None:
    order.items.append("pear")
    order.status = "closed"


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "list: appended": (lambda: ["begun"], _append),
    "list: inserted": (lambda: [1, 2, 3], lambda given: given.insert(1, 9)),
    "list: cleared": (lambda: [1, 2, 3], lambda given: given.clear()),
    "list: sorted": (lambda: [[3], [1], [2]], lambda given: given.sort()),
    "list: typed items": (lambda: [(1, 2)], lambda given: given.append((3, {4}))),
    "deque": (lambda: deque([1], maxlen=2), lambda given: given.extend([2, 3])),
    "dict: filled": (dict, lambda given: given.update(answer=42)),
    "dict: other keys": (lambda: {1: "a", (2, 3): "b"}, lambda given: given.pop((2, 3)) and given.update({4: "c"})),
    "dict: order": (lambda: {"a": 1, "b": 2}, lambda given: given.update(a=given.pop("a"))),
    "dict: nested": (lambda: {"a": {"b": [{"c": 1}]}}, lambda given: given["a"]["b"][0].update(c=2, d=None)),
    "dict: replaced": (lambda: {"a": [1]}, lambda given: given.update(a=[1, 2])),
    "defaultdict": (lambda: defaultdict(list), lambda given: given["x"].append(1)),
    "OrderedDict": (lambda: OrderedDict(a=1, b=2), lambda given: given.move_to_end("a")),
    "set": (lambda: {1, 2}, lambda given: given.symmetric_difference_update({2, 3})),
    "set of tuples": (lambda: {(1, "a")}, lambda given: given.add((2, "b")) or given.discard((1, "a"))),
    "bytearray": (lambda: bytearray(b"a"), lambda given: given.extend(b"\xff")),
    "dataclass": (Order, _close_order),
    "dataclass in a tuple": (lambda: (Order(), 1), lambda given: _close_order(given[0])),
    "pydantic model": (Profile, _fill_profile),
}


@pytest.mark.parametrize(("make", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_done_again_on_the_callers_object(make: Callable[[], Any], change: Callable[[Any], Any]) -> None:
    @tool
    def work(given: Any) -> None:
        change(given)

    expected = make()
    change(expected)
    recorded, replayed = make(), make()
    with use_cassette("work", mode="all"):
        work(recorded)
    with use_cassette("work"):
        work(replayed)

    assert replayed == recorded == expected
    assert repr(replayed) == repr(expected)


def test_a_change_is_readable_in_the_cassette() -> None:
    @tool
    def note(log: list[str], state: dict[str, int]) -> str:
        log.append("checked")
        state["steps"] = 2
        del state["open"]
        return "ok"

    with use_cassette("note", mode="all"):
        note(["begun"], {"steps": 1, "open": 1})

    (call,) = Cassette.load("cassettes/note.yaml").interactions
    assert call.request == {"args": {"log": ["begun"], "state": {"steps": 1, "open": 1}}}
    assert call.metadata["changed"] == [
        {"at": "args.log", "from": 1, "items": ["checked"]},
        {"at": "args.state", "set": {"steps": 2}, "removed": ["open"]},
    ]


def test_arguments_that_stay_the_same_leave_no_trace() -> None:
    @tool
    def look(log: list[Any], state: dict[str, Any], order: Order) -> int:
        state["log"] = state.pop("log")
        log.append(log.pop())
        return len(log) + len(order.items)

    with use_cassette("look", mode="all"):
        look([{"a": 1}], {"log": (1, 2)}, Order())

    (call,) = Cassette.load("cassettes/look.yaml").interactions
    assert "changed" not in call.metadata


def test_objects_keep_their_identity() -> None:
    first, second = {"n": 2}, {"n": 1}

    @tool
    def order(people: list[dict[str, int]], state: dict[str, Any]) -> None:
        people.sort(key=lambda each: each["n"])
        state["best"] = {"who": people[0], "all": (people, 1)}

    def run() -> None:
        people, state = [first, second], dict[str, Any]()
        order(people, state)
        assert people == [{"n": 1}, {"n": 2}]
        assert people[0] is second
        assert state["best"]["who"] is second
        assert state["best"]["all"][0] is people

    with use_cassette("order", mode="all"):
        run()
    with use_cassette("order"):
        run()


def test_one_object_given_twice_is_changed_once_and_no_other_than_recorded() -> None:
    @tool
    def both(left: list[int], right: list[int]) -> None:
        left.append(len(right) + 1)

    with use_cassette("both", mode="all"):
        one: list[int] = []
        both(one, one)
    with use_cassette("both"):
        one = []
        both(one, one)
        assert one == [1]
    with (
        pytest.raises(
            AgentTapeError, match=r"changed args\.left and args\.right, but this call has one object as args"
        ),
        use_cassette("both"),
    ):
        both([], [])


def test_the_next_call_sees_the_change() -> None:
    @tool
    def step(state: dict[str, int]) -> int:
        state["n"] = state.get("n", 0) + 1
        return state["n"]

    def run() -> list[int]:
        state: dict[str, int] = {}
        return [step(state), step(state), step(state)]

    with use_cassette("step", mode="all"):
        assert run() == [1, 2, 3]
    with use_cassette("step"):
        assert run() == [1, 2, 3]


def test_a_change_before_an_exception_is_done_again() -> None:
    @tool
    def fail(log: list[str]) -> None:
        log.append("tried")
        raise ValueError("no")

    def run() -> list[str]:
        log: list[str] = []
        with pytest.raises(ValueError, match="no"):
            fail(log)
        return log

    with use_cassette("fail", mode="all"):
        assert run() == ["tried"]
    with use_cassette("fail"):
        assert run() == ["tried"]


@pytest.mark.parametrize("kind", [retrieval, memory_write])
def test_retrieval_and_memory_change_their_arguments_too(kind: Any) -> None:
    class Store:
        @kind(name="keep")
        def keep(self, into: list[str], **options: list[str]) -> None:
            into.append("a")
            options["more"].append("b")

    def run() -> tuple[list[str], list[str]]:
        into, more = list[str](), list[str]()
        Store().keep(into, more=more)
        return into, more

    with use_cassette("keep", mode="all"):
        assert run() == (["a"], ["b"])
    with use_cassette("keep"):
        assert run() == (["a"], ["b"])


async def test_an_async_tool_changes_its_arguments() -> None:
    @tool
    async def gather(out: list[str], name: str) -> None:
        await asyncio.sleep(0)
        out.append(name)

    async def run() -> list[str]:
        out: list[str] = []
        await gather(out, "a")
        await asyncio.gather(gather(out, "b"), gather(out, "c"))
        return out

    with use_cassette("gather", mode="all"):
        recorded = await run()
    with use_cassette("gather"):
        assert await run() == recorded == ["a", "b", "c"]


async def test_a_cancelled_tool_has_changed_its_arguments() -> None:
    @tool
    async def wait(log: list[str]) -> None:
        log.append("begun")
        await asyncio.sleep(3600)

    async def run() -> list[str]:
        log: list[str] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(log), 0.05)
        return log

    with use_cassette("wait", mode="all", freeze=()):
        assert await run() == ["begun"]
    with use_cassette("wait", freeze=()):
        assert await run() == ["begun"]


def test_a_generator_changes_its_arguments_item_by_item() -> None:
    @tool
    def stream(log: list[str]) -> Any:
        log.append("begun")
        yield 1
        log.append("half")
        yield 2
        log.append("over")

    def run() -> list[list[str]]:
        log: list[str] = []
        seen = []
        for item in stream(log):
            log.append(f"read {item}")  # the reader's own change
            seen.append(list(log))
        return [*seen, log]

    with use_cassette("stream", mode="all"):
        recorded = run()
    with use_cassette("stream"):
        assert run() == recorded
    assert recorded[-1] == ["begun", "read 1", "half", "read 2", "over"]


async def test_an_async_generator_changes_its_arguments_when_it_is_closed() -> None:
    @tool
    async def stream(log: list[str]) -> Any:
        try:
            log.append("begun")
            yield 1
            yield 2
        finally:
            log.append("closed")

    async def run() -> list[str]:
        log: list[str] = []
        items = stream(log)
        async for _ in items:
            log.append("read")
            break
        await items.aclose()
        return log

    with use_cassette("stream", mode="all"):
        recorded = await run()
    with use_cassette("stream"):
        assert await run() == recorded == ["begun", "read", "closed"]


def test_a_plain_function_that_returns_a_generator_changes_its_arguments() -> None:
    @tool
    def stream(log: list[str]) -> Any:
        log.append("asked")
        return iter_items(log)

    def iter_items(log: list[str]) -> Any:
        yield 1
        log.append("over")

    def run() -> list[str]:
        log: list[str] = []
        assert list(stream(log)) == [1]
        return log

    with use_cassette("stream", mode="all"):
        assert run() == ["asked", "over"]
    with use_cassette("stream"):
        assert run() == ["asked", "over"]


def test_a_change_that_cannot_be_done_again_is_refused_with_its_path() -> None:
    @tool
    def use(handles: list[Handle]) -> None:
        handles[0].number += 1

    with pytest.raises(RecordingRefusedError) as caught, use_cassette("use", mode="all"):
        use([Handle(1)])

    assert str(caught.value).startswith(
        "args.handles[0]: <class 'tests.boundaries.test_changed_arguments.Handle'> was changed by the call, "
        "which cannot be done to it again in replay"
    )


def test_a_new_content_that_cannot_be_recorded_is_refused_with_its_path() -> None:
    @tool
    def connect(state: dict[str, Any]) -> None:
        state["client"] = object()

    with (
        pytest.raises(
            RecordingRefusedError, match=r"^args\.state\.client: <class 'builtins.object'> cannot be recorded"
        ),
        use_cassette("connect", mode="all"),
    ):
        connect({})


def test_a_new_item_that_cannot_be_recorded_is_refused_with_its_path() -> None:
    @tool
    def connect(clients: list[Any]) -> None:
        clients.append({"raw": object()})

    with pytest.raises(RecordingRefusedError, match=r"^args\.clients\[2\]\.raw: "), use_cassette("connect", mode="all"):
        connect([1, 2])


def test_arguments_are_let_go_when_the_call_ends() -> None:
    @tool
    def use(order: Order) -> None:
        order.status = "used"

    with use_cassette("use", mode="all"):
        order = Order()
        left = weakref.ref(order)
        use(order)
        del order
        assert left() is None


def test_the_view_and_the_diff_show_a_change() -> None:
    @tool
    def note(log: list[str], what: str) -> None:
        log.append(what)

    for name, what in (("one", "a"), ("other", "b")):
        with use_cassette(name, mode="all"):
            note([], what)
    one, other = (Cassette.load(f"cassettes/{name}.yaml").interactions for name in ("one", "other"))

    assert timeline(one).data()[0]["changed"] == [{"at": "args.log", "from": 0, "items": ["a"]}]
    assert compared_response(one[0]) != compared_response(other[0])


def test_a_swallowed_refusal_of_a_change_keeps_the_recording_from_being_written() -> None:
    @tool
    def fail(handles: list[Handle]) -> None:
        handles[0].number += 1
        raise ValueError("no")

    refused = pytest.raises(RecordingRefusedError, match=r"args\.handles\[0\]")
    with refused, use_cassette("fail", mode="all"), pytest.raises(ValueError, match="no"):
        fail([Handle(1)])

    assert not Path("cassettes/fail.yaml").exists()


def test_a_member_of_a_set_may_not_change() -> None:
    @dataclass(eq=False)
    class Node:
        n: int = 0

    globals()["Node"] = Node
    Node.__qualname__ = "Node"

    @tool
    def count(nodes: set[Node]) -> None:
        for each in nodes:
            each.n += 1

    refused = pytest.raises(RecordingRefusedError, match=r"^args\.nodes\[\*\]: .* was changed by the call")
    with refused, use_cassette("count", mode="all"):
        count({Node()})


def test_secrets_in_a_change_are_redacted() -> None:
    secret = "hunter2-hunter2-hunter2"

    @tool
    def log_in(session: dict[str, Any], passwords: list[str]) -> None:
        session["password"] = secret
        passwords.append(secret)

    with use_cassette("log_in", mode="all"):
        log_in({}, [])

    assert secret not in Path("cassettes/log_in.yaml").read_text()
    session: dict[str, Any] = {}
    passwords: list[str] = []
    with use_cassette("log_in"):
        log_in(session, passwords)
    assert session == {"password": "REDACTED0001"}
    assert passwords == ["REDACTED0001"]


def test_a_change_that_does_not_fit_the_call_fails_and_changes_nothing() -> None:
    @tool
    def note(log: list[str], other: list[str]) -> None:
        other.append("x")
        log.append("y")

    with use_cassette("note", mode="all"):
        note(["a", "b"], [])
    log: list[str] = []
    other: list[str] = []
    with (
        pytest.raises(
            AgentTapeError, match=r"^note: what the recorded call did to args\.log cannot be done to it: it has"
        ),
        use_cassette("note", matchers="ordered"),
    ):
        note(log, other)

    assert log == other == []


def test_a_cassette_may_not_replace_the_class_of_an_argument() -> None:
    @tool
    def close(order: Order) -> None:
        order.status = "closed"

    with use_cassette("close", mode="all"):
        close(Order())
    path = Path("cassettes/close.yaml")
    path.write_text(path.read_text().replace("status: closed", "__class__: closed"))

    refused = pytest.raises(AgentTapeError, match="'__class__' is not an attribute that can be changed")
    with refused, use_cassette("close"):
        close(Order())
