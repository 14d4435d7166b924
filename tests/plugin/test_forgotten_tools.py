"""A recording, and a replay that leaves calls out, name tools that run for real; strict makes them an error."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project
from tests.standin import StandInProvider

TEST = """
    import json

    import pytest
    from openai import OpenAI

    from pytest_agenttape import tool

    TOOLS = [{{"type": "function", "function": {{"name": "find_flights", "parameters": {{
        "type": "object", "properties": {{"city": {{"type": "string"}}}}, "required": ["city"]}}}}}}]

    {decorator}
    def find_flights(city):
        return "LH 1170"

    def ask(question):
        messages = [{{"role": "user", "content": question}}]
        while True:
            completion = OpenAI().chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS)
            message = completion.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                found = find_flights(**json.loads(call.function.arguments))
                messages.append({{"role": "tool", "tool_call_id": call.id, "content": found}})

    @pytest.mark.agenttape
    def test_it():
        assert "LH 1170" in ask("Which flights go to Lisbon?")
"""
LINE = "real in replay: find_flights (test_it.py::test_it); it crosses no boundary, so put @tool above it"


@pytest.fixture
def agent(project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{standin_provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-for-recording")
    project.write(test_it=TEST.format(decorator=""))
    return project


def test_the_recording_names_them(agent: Project) -> None:
    result = agent.run("--agenttape-record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["created: cassettes/test_it/test_it.yaml (2 live calls)", LINE], consecutive=True)
    agent.run().stdout.no_fnmatch_line("real in replay: *")


def test_a_replay_names_one_that_was_a_tool_when_it_was_recorded(agent: Project) -> None:
    agent.write(test_it=TEST.format(decorator="@tool"))
    agent.run("--agenttape-record").assert_outcomes(passed=1)
    agent.write(test_it=TEST.format(decorator=""))
    result = agent.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines([LINE, "unplayed: 1 in *"], consecutive=True)


def test_an_assertion_that_misses_one_says_why(agent: Project) -> None:
    test = TEST.format(decorator="").replace("test_it():", "test_it(agenttape_cassette):")
    agent.write(test_it=f"{test}        agenttape_cassette.assert_tool_calls(['find_flights'])\n")
    result = agent.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *find_flights ran for real and crossed no boundary: put @tool above it"])


def test_strict_makes_them_an_error(agent: Project) -> None:
    result = agent.run("--agenttape-record", "--agenttape-strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *AgentTapeError: find_flights crossed no boundary, so in replay the function runs for real",
            "E * put @tool above it (https://pytest-agenttape.readthedocs.io/en/latest/python-api.html#boundaries)",
        ]
    )
    assert agent.files() == []


def test_a_tool_is_none_of_them(agent: Project) -> None:
    agent.write(test_it=TEST.format(decorator="@tool"))
    result = agent.run("--agenttape-record", "--agenttape-strict")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("real in replay: *")
