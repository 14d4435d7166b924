"""The listener: what frameworks tell of is recorded once, readably, and never asked for in replay."""

from __future__ import annotations

import asyncio
import copy
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from pytest_agenttape import AgentTape, Cassette, ConfigError, Interaction, record_call, tool, use_cassette
from pytest_agenttape.session.session import Session


def recorded(path: Path) -> list[Interaction]:
    return Cassette.load(path).interactions


def summary(interactions: Iterable[Interaction]) -> list[tuple[str, str | None]]:
    return [(each.kind, each.boundary) for each in interactions]


def facts(interaction: Interaction) -> dict[str, Any]:
    return {name: value for name, value in interaction.metadata.items() if name != "start_ms"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.yaml"


@tool
def lookup(word: str) -> str:
    return word.upper()


def ask(text: str) -> str:
    answer: str = record_call("llm", {"text": text}, lambda: f"re: {text}", boundary="model")
    return answer


# -- events told by hand, as a framework would


def tell_tool(listener: AgentTape, name: str, body: Callable[[], Any], **inputs: Any) -> Any:
    run = uuid4()
    listener.on_tool_start({"name": name}, str(inputs), run_id=run, inputs=inputs)
    try:
        result = body()
    except ValueError as error:
        listener.on_tool_error(error, run_id=run)
        raise
    listener.on_tool_end(result, run_id=run)
    return result


def tell_llm(listener: AgentTape, body: Callable[[], Any]) -> Any:
    run = uuid4()
    listener.on_llm_start({"id": ["pkg", "Model"]}, ["p"], run_id=run, invocation_params={"model": "m-1"})
    result = body()
    listener.on_llm_end(SimpleNamespace(generations=[[SimpleNamespace(text=result)]], llm_output=None), run_id=run)
    return result


def test_an_event_is_recorded_with_its_tag_and_marked(path: Path) -> None:
    with use_cassette(path, mode="all"):
        tell_llm(AgentTape(tag="planner"), lambda: "said")
    (found,) = recorded(path)
    assert (found.kind, found.boundary, found.tags) == ("llm", "Model", ("planner",))
    assert found.request == {"args": {"prompts": ["p"]}}
    assert found.response == {"role": "assistant", "content": "said"}
    assert facts(found) == {"observed": True, "model": "m-1"}
    assert found.latency_ms is not None


def test_what_failed_is_recorded_as_failed(path: Path) -> None:
    def fail() -> None:
        raise ValueError("no seats")

    with use_cassette(path, mode="all"), pytest.raises(ValueError, match="no seats"):
        tell_tool(AgentTape(), "book", fail)
    (found,) = recorded(path)
    assert found.error == {"type": "ValueError", "module": "builtins", "message": "no seats"}


@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "refresh"])
def test_replaying_needs_nothing_and_changes_nothing(path: Path, mode: str) -> None:
    def run() -> None:
        tell_tool(AgentTape(), "t", lambda: 1, n=1)
        tell_llm(AgentTape(), lambda: "said")

    with use_cassette(path, mode="all"):
        run()
    before = path.read_bytes()
    with use_cassette(path, mode=mode) as session:
        run()
    assert (session.remaining, session.unplayed, session.run.live_calls) == (0, [], 0)
    assert summary(session.interactions) == [("tool", "t"), ("llm", "Model")]
    with use_cassette(path, mode=mode if mode != "refresh" else "none") as session:
        pass
    assert (session.remaining, session.unplayed) == (0, [])
    assert path.read_bytes() == before


def test_an_event_that_was_not_recorded_is_no_miss_in_replay(path: Path) -> None:
    with use_cassette(path, mode="all"):
        lookup("a")
    before = path.read_bytes()
    with use_cassette(path) as session:
        lookup("a")
        assert tell_tool(AgentTape(), "new", lambda: 1) == 1
    assert summary(session.interactions) == [("tool", "lookup"), ("tool", "new")]
    assert path.read_bytes() == before


def test_an_observed_call_is_never_served(path: Path) -> None:
    real: list[str] = []

    @tool(name="t")
    def named(n: int) -> int:
        real.append("ran")
        return n

    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "t", lambda: 5, n=5)
    with use_cassette(path, mode="new_episodes"):
        assert named(5) == 5
    assert real == ["ran"]
    assert summary(recorded(path)) == [("tool", "t"), ("tool", "t")]


@pytest.mark.parametrize("mode", ["all", "new_episodes"])
def test_a_new_event_is_added_where_calls_are_recorded(path: Path, mode: str) -> None:
    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "a", lambda: 1)
    with use_cassette(path, mode=mode):
        tell_tool(AgentTape(), "a", lambda: 1)
        tell_tool(AgentTape(), "b", lambda: 2)
    assert summary(recorded(path)) == [("tool", "a"), ("tool", "b")]


def test_what_a_decorator_or_a_transport_records_is_not_recorded_again(path: Path) -> None:
    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "lookup", lambda: lookup("a"), word="a")
        tell_llm(AgentTape(), lambda: ask("x"))
    assert summary(recorded(path)) == [("tool", "lookup"), ("llm", "model")]
    assert all("observed" not in each.metadata for each in recorded(path))


def test_a_tool_that_asks_a_model_keeps_its_place_before_it(path: Path) -> None:
    listener = AgentTape()
    with use_cassette(path, mode="all"):
        tell_tool(listener, "research", lambda: tell_llm(listener, lambda: ask("x")))
    assert summary(recorded(path)) == [("tool", "research"), ("llm", "model")]


def test_events_in_the_body_of_a_decorated_tool_belong_to_it(path: Path) -> None:
    @tool
    def outer() -> Any:
        return tell_tool(AgentTape(), "inner", lambda: 1)

    with use_cassette(path, mode="all"):
        outer()
    assert [(each.boundary, facts(each)) for each in recorded(path)] == [
        ("outer", {}),
        ("inner", {"observed": True, "parent": 0}),
    ]
    with use_cassette(path) as session:
        outer()
        assert session.remaining == 0


def test_a_batch_of_model_calls_that_start_together_is_recorded_once(path: Path) -> None:
    listener, runs = AgentTape(), [uuid4(), uuid4()]
    with use_cassette(path, mode="all"):
        for run in runs:
            listener.on_llm_start({}, ["p"], run_id=run)
        answers = [ask("x"), ask("y")]
        for run, answer in zip(runs, answers, strict=True):
            listener.on_llm_end(answer, run_id=run)
    assert summary(recorded(path)) == [("llm", "model"), ("llm", "model")]


@pytest.mark.parametrize("how", ["threads", "tasks"])
def test_events_of_concurrent_runs_are_told_apart(path: Path, how: str) -> None:
    listener = AgentTape()
    crossing = [number % 2 == 0 for number in range(8)]

    def one(crosses: bool) -> None:
        tell_tool(listener, "seen", lambda: lookup("a") if crosses else 1, crosses=crosses)

    async def one_async(crosses: bool) -> None:
        run = uuid4()
        listener.on_tool_start({"name": "seen"}, "", run_id=run)
        await asyncio.sleep(0.01)
        listener.on_tool_end(lookup("a") if crosses else 1, run_id=run)

    async def all_of_them() -> None:
        await asyncio.gather(*map(one_async, crossing))

    with use_cassette(path, mode="all"):
        if how == "threads":
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(one, crossing))
        else:
            asyncio.run(all_of_them())
    assert sorted(each.boundary or "" for each in recorded(path)) == ["lookup"] * 4 + ["seen"] * 4


def test_without_a_session_nothing_happens() -> None:
    assert tell_tool(AgentTape(), "t", lambda: 1) == 1
    assert tell_llm(AgentTape(), lambda: "said") == "said"


def test_an_end_without_a_start_or_after_the_session_disturbs_nobody(path: Path) -> None:
    listener, run = AgentTape(), uuid4()
    with use_cassette(path, mode="all"):
        listener.on_tool_end(1, run_id=uuid4())
        listener.on_tool_start({"name": "t"}, "", run_id=run)
    listener.on_tool_end(1, run_id=run)
    assert not path.exists()


def test_sessions_that_cannot_be_told_apart_get_nothing(tmp_path: Path) -> None:
    first = use_cassette(tmp_path / "a.yaml", mode="all")
    second = use_cassette(tmp_path / "b.yaml", mode="all")
    first.open()
    second.open()
    try:
        assert Context().run(tell_tool, AgentTape(), "t", lambda: 1) == 1
        assert (first.interactions, second.interactions) == ([], [])
    finally:
        second.close()
        first.close()


def test_secrets_are_redacted(path: Path) -> None:
    secret = "sk-proj-" + "a1B2c3D4e5F6g7H8i9J0" * 2
    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "t", lambda: f"got {secret}", note=f"use {secret}")
    assert secret not in path.read_text()


@dataclass
class Point:
    x: int


class Opaque:
    pass


class Role(Enum):
    USER = "user"


def message(content: Any, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(content=content, **more)


VALUES = {
    "plain": ({"a": [1, None, True, 1.5]}, {"a": [1, None, True, 1.5]}),
    "tuple": ((1, 2), [1, 2]),
    "opaque": ([Opaque()], [{"unrecorded": f"{__name__}.Opaque"}]),
    "role": (message("hi", type="human"), {"role": "user", "content": "hi"}),
    "enum role": (message("hi", role=Role.USER), {"role": "user", "content": "hi"}),
    "calls": (
        message("", type="ai", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "c1", "type": "tool_call"}]),
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "f", "arguments": {"a": 1}}]},
    ),
    "document": (SimpleNamespace(page_content="p", metadata={"s": 1}), {"content": "p", "metadata": {"s": 1}}),
    "node": (SimpleNamespace(node=SimpleNamespace(text="n"), score=0.5), {"content": "n", "score": 0.5}),
    "non-text keys": ({1: "a"}, {"1": "a"}),
}


@pytest.mark.parametrize(("value", "stored"), VALUES.values(), ids=VALUES)
def test_values_are_stored_readably(path: Path, value: Any, stored: Any) -> None:
    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "t", lambda: [value])
    assert recorded(path)[0].response == [stored]


def test_a_value_that_contains_itself_or_cannot_be_recorded_is_named(path: Path) -> None:
    loop: list[Any] = []
    loop.append(loop)
    with use_cassette(path, mode="all"):
        tell_tool(AgentTape(), "t", lambda: 1, loop=loop, point=Point(1))
    (found,) = recorded(path)
    assert "unrecorded: builtins.list" in path.read_text()
    assert found.request["args"]["point"]["fields"] == {"x": 1}


def test_tokens_are_read_from_the_result(path: Path) -> None:
    listener = AgentTape()
    counted = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    spelled = {"prompt_tokens": 3, "completion_tokens": 2}
    results = [
        SimpleNamespace(generations=[[SimpleNamespace(message=message("a", type="ai", usage_metadata=counted))]]),
        SimpleNamespace(generations=[[SimpleNamespace(text="a")]], llm_output={"token_usage": spelled}),
        SimpleNamespace(generations=[[SimpleNamespace(text="a")]], llm_output={"token_usage": {}}),
    ]
    with use_cassette(path, mode="all"):
        for result in results:
            run = uuid4()
            listener.on_llm_start({}, ["p"], run_id=run)
            listener.on_llm_end(result, run_id=run)
    assert [each.usage for each in recorded(path)] == [counted, counted, None]


def test_no_framework_is_imported() -> None:
    code = "import pytest_agenttape, sys; pytest_agenttape.AgentTape(); print('langchain_core' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# -- LlamaIndex's and CrewAI's shapes


class Event(Enum):
    LLM = "llm"
    RETRIEVE = "retrieve"
    FUNCTION_CALL = "function_call"
    CHUNKING = "chunking"


class Payload(StrEnum):
    MESSAGES = "messages"
    RESPONSE = "response"
    QUERY_STR = "query_str"
    NODES = "nodes"
    TOOL = "tool"
    FUNCTION_CALL = "function_call"
    FUNCTION_OUTPUT = "function_call_response"
    EXCEPTION = "exception"


def test_a_tag_that_could_not_be_kept_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="the tag of AgentTape must be a text, not 5"):
        AgentTape(tag=5)  # type: ignore[arg-type]


def test_the_events_of_llamaindex_are_recorded(path: Path) -> None:
    listener = AgentTape(tag="l")
    events: list[tuple[Event, dict[Payload, Any], dict[Payload, Any]]] = [
        (
            Event.LLM,
            {Payload.MESSAGES: [message("hi", role=Role.USER)]},
            {Payload.RESPONSE: SimpleNamespace(message=message("yo", role="assistant"))},
        ),
        (
            Event.RETRIEVE,
            {Payload.QUERY_STR: "q"},
            {Payload.NODES: [SimpleNamespace(node=SimpleNamespace(text="n"), score=1.0)]},
        ),
        (
            Event.FUNCTION_CALL,
            {Payload.TOOL: SimpleNamespace(name="add"), Payload.FUNCTION_CALL: {"a": 1}},
            {Payload.FUNCTION_OUTPUT: "2"},
        ),
        (Event.FUNCTION_CALL, {Payload.TOOL: SimpleNamespace(name="bad")}, {Payload.EXCEPTION: ValueError("no")}),
        (Event.CHUNKING, {}, {}),
    ]
    with use_cassette(path, mode="all"):
        listener.start_trace("query")
        for number, (kind, started, ended) in enumerate(events):
            assert listener.on_event_start(kind, started, event_id=str(number), parent_id="root") == str(number)
            listener.on_event_end(kind, ended, event_id=str(number))
        listener.end_trace("query", {})
    llm, retrieval, add, bad = recorded(path)
    assert (llm.kind, llm.request, llm.response) == (
        "llm",
        {"args": {"messages": [{"role": "user", "content": "hi"}]}},
        {"role": "assistant", "content": "yo"},
    )
    assert (retrieval.kind, retrieval.response) == ("retrieval", [{"content": "n", "score": 1.0}])
    assert (add.boundary, add.request, add.response) == ("add", {"args": {"a": 1}}, "2")
    assert bad.error == {"type": "ValueError", "module": "builtins", "message": "no"}
    assert all(each.tags == ("l",) for each in (llm, retrieval, add, bad))


@dataclass
class Bus:
    handlers: dict[type, Callable[..., None]] = field(default_factory=dict)

    def on(self, event: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
        return lambda handler: self.handlers.setdefault(event, handler)

    def emit(self, event: Any) -> None:
        with ThreadPoolExecutor(1) as pool:  # as CrewAI does
            pool.submit(self.handlers[type(event)], None, event).result()


@pytest.fixture
def crew(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = (
        *("LLMCallStartedEvent", "LLMCallCompletedEvent", "LLMCallFailedEvent"),
        *("ToolUsageStartedEvent", "ToolUsageFinishedEvent", "ToolUsageErrorEvent"),
    )
    events = SimpleNamespace(**{name: type(name, (SimpleNamespace,), {}) for name in names})
    monkeypatch.setitem(sys.modules, "crewai", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "crewai.events", events)
    return events


def test_the_events_of_crewai_are_recorded(path: Path, crew: Any) -> None:
    bus = Bus()
    AgentTape().setup_listeners(bus)
    with use_cassette(path, mode="all"):
        bus.emit(crew.LLMCallStartedEvent(call_id="1", messages=[{"role": "user", "content": "hi"}], model="m"))
        bus.emit(crew.LLMCallCompletedEvent(call_id="1", response="yo"))
        bus.emit(crew.ToolUsageStartedEvent(tool_name="add", tool_args={"a": 1}))
        bus.emit(crew.ToolUsageFinishedEvent(tool_name="add", tool_args={"a": 1}, output=2))
        bus.emit(crew.ToolUsageStartedEvent(tool_name="bad", tool_args={}))
        bus.emit(crew.ToolUsageErrorEvent(tool_name="bad", tool_args={}, error="broken"))
    llm, add, bad = recorded(path)
    assert (llm.response, facts(llm)) == ({"role": "assistant", "content": "yo"}, {"observed": True, "model": "m"})
    assert (add.boundary, add.request, add.response) == ("add", {"args": {"a": 1}}, 2)
    assert bad.error is not None
    assert bad.error["message"] == "broken"


def test_a_crew_call_that_crossed_a_boundary_is_not_recorded_again(path: Path, crew: Any) -> None:
    bus = Bus()
    AgentTape().setup_listeners(bus)
    with use_cassette(path, mode="all"):
        bus.emit(crew.LLMCallStartedEvent(call_id="1", messages="hi"))
        ask("x")
        bus.emit(crew.LLMCallCompletedEvent(call_id="1", response="yo"))
        bus.emit(crew.ToolUsageStartedEvent(tool_name="lookup", tool_args={"word": "a"}))
        lookup("a")
        bus.emit(crew.ToolUsageFinishedEvent(tool_name="lookup", tool_args={"word": "a"}, output="A"))
    assert summary(recorded(path)) == [("llm", "model"), ("tool", "lookup")]
    assert all("observed" not in each.metadata for each in recorded(path))


# -- the real langchain-core


class Chain:
    """Models, tools and a retriever of langchain-core, with the listener in their configuration."""

    def __init__(self, **options: Any) -> None:
        from langchain_core.documents import Document
        from langchain_core.language_models import FakeListChatModel, FakeListLLM
        from langchain_core.messages import HumanMessage
        from langchain_core.retrievers import BaseRetriever
        from langchain_core.runnables import RunnableLambda
        from langchain_core.tools import tool as make_tool

        class Library(BaseRetriever):
            def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:  # noqa: ARG002
                return [Document(page_content=f"about {query}", metadata={"page": 1})]

        @make_tool
        def weather(city: str, unit: str = "c") -> dict[str, Any]:
            """Tell the weather."""
            return {"city": city, "unit": unit}

        @make_tool
        def broken(n: int) -> int:
            """Fail."""
            raise ValueError(f"no {n}")

        @make_tool
        def dictionary(word: str) -> str:
            """Look a word up."""
            return lookup(word)

        class Asking(FakeListChatModel):
            """A model whose calls reach a boundary, as real ones do."""

            def _call(self, messages: Any, *args: Any, **kwargs: Any) -> str:  # noqa: ARG002
                return ask(str(messages[-1].content))

        self.config: Any = {"callbacks": [AgentTape(**options)]}
        self.weather, self.broken, self.dictionary = weather, broken, dictionary
        self.library, self.asking = Library(), Asking(responses=["unused"])
        self.chat: Any = FakeListChatModel(responses=["chat"])
        self.completion: Any = FakeListLLM(responses=["completion"])
        self.lambda_: Any = RunnableLambda
        self.said: Any = HumanMessage


@pytest.fixture
def chain() -> Chain:
    pytest.importorskip("langchain_core", reason="langchain-core is not installed")
    return Chain(tag="chain")


def run_all(chain: Chain) -> list[Any]:
    first = [
        chain.chat.invoke("hello", chain.config).content,
        chain.completion.invoke("complete", chain.config),
        chain.weather.invoke({"city": "Rome"}, chain.config),
        chain.library.invoke("art", chain.config)[0].page_content,
        chain.dictionary.invoke({"word": "a"}, chain.config),
        chain.asking.invoke("x", chain.config).content,
    ]
    with pytest.raises(ValueError, match="no 1"):
        chain.broken.invoke({"n": 1}, chain.config)
    return first


EXPECTED = [
    ("llm", "FakeListChatModel"),
    ("llm", "FakeListLLM"),
    ("tool", "weather"),
    ("retrieval", "Library"),
    ("tool", "lookup"),
    ("llm", "model"),
    ("tool", "broken"),
]


def test_langchain_is_recorded_once_and_readably(path: Path, chain: Chain) -> None:
    with use_cassette(path, mode="all"):
        assert run_all(chain) == ["chat", "completion", {"city": "Rome", "unit": "c"}, "about art", "A", "re: x"]
    found = recorded(path)
    assert summary(found) == EXPECTED
    chat, completion, weather, library, _, _, broken = found
    assert chat.request == {"args": {"messages": [{"role": "user", "content": "hello"}]}}
    assert chat.response == {"role": "assistant", "content": "chat"}
    assert (completion.request, completion.response) == (
        {"args": {"prompts": ["complete"]}},
        {"role": "assistant", "content": "completion"},
    )
    assert (weather.request, weather.response) == ({"args": {"city": "Rome"}}, {"city": "Rome", "unit": "c"})
    assert library.response == [{"content": "about art", "metadata": {"page": 1}}]
    assert broken.error == {"type": "ValueError", "module": "builtins", "message": "no 1"}
    assert [each.tags for each in found] == [("chain",)] * 4 + [(), ()] + [("chain",)]


def test_langchain_replays_without_a_miss_or_a_change(path: Path, chain: Chain) -> None:
    with use_cassette(path, mode="all"):
        run_all(chain)
    before = path.read_bytes()
    session: Session
    with use_cassette(path) as session:
        run_all(chain)
    assert summary(session.interactions) == EXPECTED
    assert (session.unplayed, session.run.live_calls, path.read_bytes()) == ([], 0, before)


async def test_langchains_async_managers_are_heard(path: Path, chain: Chain) -> None:
    with use_cassette(path, mode="all"):
        await chain.chat.ainvoke("hello", chain.config)
        await asyncio.gather(
            chain.weather.ainvoke({"city": "Rome"}, chain.config),
            chain.dictionary.ainvoke({"word": "a"}, chain.config),
            chain.asking.ainvoke("x", chain.config),
            chain.library.ainvoke("art", chain.config),
        )
        assert "".join([each.content async for each in chain.chat.astream("more", chain.config)]) == "chat"
    assert sorted(summary(recorded(path)), key=str) == sorted(
        [
            ("llm", "FakeListChatModel"),
            ("tool", "weather"),
            ("tool", "lookup"),
            ("llm", "model"),
            ("retrieval", "Library"),
            ("llm", "FakeListChatModel"),
        ],
        key=str,
    )


def test_langchains_batches_and_streams_are_recorded_once(path: Path, chain: Chain) -> None:
    with use_cassette(path, mode="all"):
        chain.asking.generate([[chain.said("a")], [chain.said("b")]], callbacks=chain.config["callbacks"])
        chain.asking.batch(["c", "d"], chain.config)
        chain.chat.batch(["e", "f"], chain.config)
        assert "".join(each.content for each in chain.chat.stream("g", chain.config)) == "chat"
    counts = summary(recorded(path))
    assert (counts.count(("llm", "model")), counts.count(("llm", "FakeListChatModel"))) == (4, 3)
    assert len(counts) == 7


def test_a_langchain_chain_hands_the_listener_down(path: Path, chain: Chain) -> None:
    flow = chain.lambda_(lambda text: f"{text}!") | chain.chat
    with use_cassette(path, mode="all"):
        assert flow.invoke("go", chain.config).content == "chat"
    assert summary(recorded(path)) == [("llm", "FakeListChatModel")]


async def test_a_langchain_model_takes_the_listener_as_one_of_its_callbacks(path: Path, chain: Chain) -> None:
    listener = chain.config["callbacks"][0]
    seen, reaching = (type(each)(responses=["chat"], callbacks=[listener]) for each in (chain.chat, chain.asking))
    for mode in ("all", "none"):
        with use_cassette(path, mode=mode) as session:
            for model in (seen, reaching):
                model.invoke("sync")
                await model.ainvoke("async")
                model.invoke("in both places", chain.config)
            list(seen.stream("in pieces"))
            [_ async for _ in seen.astream("later")]
        assert summary(session.interactions) == [
            *[("llm", "FakeListChatModel")] * 3,
            *[("llm", "model")] * 3,  # which crossed a boundary, and is there once
            *[("llm", "FakeListChatModel")] * 2,
        ]
    assert isinstance(listener, AgentTape)
    assert isinstance(copy.deepcopy(listener), AgentTape)
