"""Each framework records and replays in every form it has; docs/frameworks.md says so, and says no more than that."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import ConfigError, telemetry, tool, use_cassette
from pytest_agenttape.plugin.handle import CassetteHandle
from tests.frameworks import agents, clients, contexts, graphs, loops, services
from tests.frameworks.conftest import Connections
from tests.frameworks.framework import FORMS, Framework, ran
from tests.standin import StandInProvider
from tests.tables import compare_with_page

FRAMEWORKS = (*loops.FRAMEWORKS, *clients.FRAMEWORKS, *graphs.FRAMEWORKS, *agents.FRAMEWORKS, *services.FRAMEWORKS)
CASES = [
    pytest.param(framework, form, id=f"{framework.name}, {FORMS[form]}")
    for framework in FRAMEWORKS
    for form in framework.forms()
]
DECORATED = [pytest.param(framework, id=framework.name) for framework in FRAMEWORKS if framework.written]

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """Return a loop for all runs: some frameworks keep one client for the whole process."""
    with asyncio.Runner() as runner:
        yield runner


class Stage:
    """Runs an agent live and again from its cassette."""

    def __init__(self, provider: StandInProvider, connections: Connections, loop: asyncio.Runner, path: Path) -> None:
        self.provider, self.connections, self.loop, self.path = provider, connections, loop, path
        self.since()

    def since(self) -> tuple[list[str], set[str], int]:
        """Return since the last look: bodies of tools that ran, addresses connected to, requests that arrived."""
        seen = ran.since(), {*self.connections.since()}, self.provider.hits
        self.provider.requests.clear()
        return seen

    def run(self, agent: Framework, run: Callable[[], Any], mode: str) -> Any:
        """Return what a user sees of one run, in which all was recorded or replayed, and nothing else."""
        with use_cassette(self.path, mode=mode) as session:
            found = self.finished(run())
            telemetry.counts.clear()
            agent.report()
            assert [*telemetry.counts] == [agent.reports] * bool(agent.reports)
            called = [("get_weather", {"city": "London"}) for kind, _ in agent.made if kind == "tool"]
            CassetteHandle(session, pytest.fail).assert_tool_calls(called)
        assert tuple((each.kind, each.boundary) for each in session.interactions) == agent.made
        assert session.unplayed == []
        return found

    def finished(self, run: Any) -> Any:
        """Return the result of a run, awaited where it is to be."""
        return self.loop.run(run) if inspect.iscoroutine(run) else run


@pytest.fixture
def stage(provider: StandInProvider, connections: Connections, loop: asyncio.Runner, tmp_path: Path) -> Stage:
    return Stage(provider, connections, loop, tmp_path / "cassette.yaml")


@pytest.mark.parametrize(("framework", "form"), CASES)
def test_an_agent_is_replayed_without_a_connection_or_its_tool(
    framework: type[Framework], form: str, stage: Stage
) -> None:
    pytest.importorskip(framework.library)
    agent = framework(stage.provider)
    agent.script(form)
    live = stage.run(agent, agent.prepare(form), "all")
    assert "mild" in str(live)
    kinds = [kind for kind, _ in agent.made]
    asked = len(kinds) - kinds.count("tool")
    address = stage.provider.url.removeprefix("http://")
    assert stage.since() == (["weather in London"] * kinds.count("tool"), {address} if asked else set(), asked)

    stage.provider.stop()
    assert stage.run(agent, agent.prepare(form), "none") == live
    assert stage.since() == ([], set(), 0)


@pytest.mark.parametrize("framework", DECORATED)
def test_tool_above_the_decorator_of_a_framework_is_refused(framework: type[Framework], stage: Stage) -> None:
    pytest.importorskip(framework.library)
    agent = framework(stage.provider)
    with pytest.raises(ConfigError, match=r"^put @tool (below|directly above)"):

        @tool
        @agent.decorated
        def get_weather(city: str) -> dict[str, str]:
            """Return the weather in a city.

            Args:
                city: Its name.
            """
            return {"city": city}


CONTEXTS = (
    (agents.OpenAIAgents, contexts.openai_agents),
    (agents.PydanticAI, contexts.pydantic_ai),
    (graphs.LangGraph, contexts.langgraph_runtime),
    (graphs.LangGraph, contexts.langgraph_state),
    (graphs.LangGraph, contexts.langchain_config),
    (graphs.LlamaIndex, contexts.llama_index),
    (agents.Strands, contexts.strands),
    (agents.GoogleADK, contexts.google_adk),
    (agents.Agno, contexts.agno),
    (agents.AutoGen, contexts.autogen),
    (services.FastMCP, contexts.fastmcp),
)


@pytest.mark.parametrize(
    ("framework", "make"), [pytest.param(framework, make, id=make.__name__) for framework, make in CONTEXTS]
)
def test_the_context_of_a_run_is_no_argument_of_its_tool(
    framework: type[Framework], make: Callable[[], Callable[..., Any]], stage: Stage
) -> None:
    pytest.importorskip(framework.library)
    agent = framework(stage.provider)
    form = agent.forms()[-1] if inspect.iscoroutinefunction(make()) else agent.forms()[0]
    agent.script(form)
    for mode in ("all", "none"):
        agent.tool = agent.with_context(tool(make()))
        stage.run(agent, getattr(agent, form), mode)
    assert ran.since() == ["weather in London"]


# -- the page


def test_the_page_says_which_forms_are_tested_and_what_they_need() -> None:
    lines = [
        f"| framework | {' | '.join(FORMS.values())} | a tool | a call is | needs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for each in FRAMEWORKS:
        has = [form in each.forms() for form in FORMS]
        has.append(("tool", "get_weather") in each.made)
        calls = dict.fromkeys(f"`{boundary}`" if kind == "llm" else kind for kind, boundary in each.made)
        calls.pop("tool", None)
        cells = [each.name, *("yes" if one else "-" for one in has), ", ".join(calls) or "-", each.needs or "nothing"]
        lines.append(f"| {' | '.join(cells)} |")
    compare_with_page("frameworks.md", "forms", lines)


def test_the_page_says_in_which_order_to_decorate() -> None:
    named: dict[object, list[type[Framework]]] = {}
    for each in FRAMEWORKS:
        if each.written:
            named.setdefault(each.decorated, []).append(each)
    lines = ["| framework | above `@tool` |", "|---|---|"]
    for each in named.values():
        names = dict.fromkeys(framework.name.partition(",")[0] for framework in each)
        lines.append(f"| {', '.join(names)} | `{each[0].written}` |")
    compare_with_page("frameworks.md", "order", lines)
