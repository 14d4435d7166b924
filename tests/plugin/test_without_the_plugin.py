"""A marked test in a run that does not load the plugin runs nothing for real, and fails."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TESTS = """
    import contextlib, threading, pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        {body}

    def test_other():
        look_up("mine")
"""
BODIES = {
    "raises": ("look_up('Rome')", {"failed": 1, "errors": 1, "passed": 1}),
    "swallows": (
        "with contextlib.suppress(Exception): look_up('Rome')",
        {"errors": 1, "passed": 2},
    ),
    "calls in a thread": (
        "thread = threading.Thread(target=look_up, args=['Rome']); thread.start(); thread.join()",
        {"errors": 1, "passed": 2},
    ),
}


@pytest.mark.parametrize("how", ["the environment", "a flag"])
@pytest.mark.parametrize(("body", "outcomes"), BODIES.values(), ids=BODIES)
def test_it_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch, body: str, outcomes: dict[str, int], how: str
) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_asyncio.plugin")
    project.write(test_it=TESTS.format(body=body))
    result = project.run_apart("-W", "ignore", *(["-p", "no:agenttape"] if how == "a flag" else []))
    assert {each: count for each, count in result.parseoutcomes().items() if each != "warnings"} == outcomes
    result.stdout.fnmatch_lines(
        [
            "E *AgentTapeError: test_it.py::test_it is marked agenttape, but the plugin is not loaded, so nothing is *",
            "E *load it with -p agenttape (PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps pytest from finding it)*",
        ]
    )
    assert project.live() == ["look_up mine"]


def test_the_way_out_is_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_asyncio.plugin")
    project.write(test_it=TESTS.format(body="look_up('Rome')"))
    project.run_apart("-p", "agenttape", "--agenttape-disable").assert_outcomes(passed=2)
    assert project.live() == ["look_up Rome", "look_up mine"]
