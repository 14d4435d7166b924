"""Each framework records and replays in every form it has; docs/frameworks.md says so, and says no more than that."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import ConfigError, use_cassette
from pytest_agenttape.plugin.handle import CassetteHandle
from tests.frameworks import agents, clients, graphs
from tests.frameworks.conftest import Connections
from tests.frameworks.framework import FORMS, Framework, ran
from tests.standin import StandInProvider

FRAMEWORKS: tuple[type[Framework], ...] = (*clients.FRAMEWORKS, *graphs.FRAMEWORKS, *agents.FRAMEWORKS)
pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries
CASES = [
    pytest.param(framework, form, id=f"{framework.name}, {FORMS[form]}")
    for framework in FRAMEWORKS
    for form in framework.forms()
]


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.Runner]:
    """Return a loop for all runs: some frameworks keep one client for the whole process."""
    with asyncio.Runner() as runner:
        yield runner


def seen(path: Path, run: Callable[[], Any], framework: Framework, mode: str, loop: asyncio.Runner) -> Any:
    """Return what a user sees of one run whose calls and tool are as they should be."""
    with use_cassette(path, mode=mode) as session:
        found = run()
        if inspect.iscoroutine(found):
            found = loop.run(found)
        CassetteHandle(session, pytest.fail).assert_tool_calls([("get_weather", {"city": "London"})])
    assert [(each.kind, each.boundary) for each in session.interactions] == framework.made
    assert session.unplayed == []
    return found


@pytest.mark.parametrize(("framework", "form"), CASES)
def test_an_agent_is_replayed_without_a_connection_or_its_tool(
    framework: type[Framework],
    form: str,
    provider: StandInProvider,
    connections: Connections,
    loop: asyncio.Runner,
    tmp_path: Path,
) -> None:
    pytest.importorskip(framework.library)
    agent = framework(provider)
    path = tmp_path / "cassette.yaml"
    ran.since()
    agent.script(form)
    live = seen(path, agent.prepare(form), agent, "all", loop)
    assert "mild" in str(live)
    assert ran.since() == ["weather in London"]
    assert set(connections.since()) == {provider.url.removeprefix("http://")}
    asked = provider.hits
    assert asked == sum(kind == "llm" for kind, _ in agent.made)

    provider.stop()
    assert seen(path, agent.prepare(form), agent, "none", loop) == live
    assert ran.since() == []
    assert connections.since() == []
    assert provider.hits == asked
