"""A project as it is worked on: after each change, what its user reads and how many calls are really made."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.plugin.project import Project
from tests.standin import StandInProvider

AGENT = """
    import json, os
    from pathlib import Path

    import requests
    from openai import AsyncOpenAI

    from pytest_agenttape import memory_write, tool

    MODEL, INSTRUCTIONS = "gpt-4o-mini", "You are a concierge."
    CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    SCHEMA = {"type": "function", "function": {"name": "get_weather", "description": "Weather", "parameters": CITY}}

    def note(text):
        with Path(__file__).with_name("live.log").open("a") as log:
            log.write(text + "\\n")

    @tool
    def get_weather(city):
        note("get_weather")
        return requests.get(os.environ["SERVICE"] + "/weather", params={"city": city}).json()

    @tool
    def book(flight):
        note("book")
        return {"flight": flight, "code": "QX7"}

    @memory_write
    def remember(fact):
        note("remember")

    async def ask(client, question):
        messages = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": question}]
        while True:
            answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[SCHEMA])
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                found = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})
"""
TESTS = """
    import pytest
    from concierge import ask, book, remember
    from openai import AsyncOpenAI

    pytestmark = [pytest.mark.agenttape, pytest.mark.asyncio]

    @pytest.fixture
    def client():
        return AsyncOpenAI()

    @pytest.mark.parametrize("city", ["Oslo", "Paris"])
    async def test_weather(client, city):
        assert city in await ask(client, f"What is the weather in {city}?")

    async def test_trip(client, agenttape_cassette):
        await ask(client, "What is the weather in Lisbon?")
        book("LH 1170")
        remember("flew to Lisbon")
        agenttape_cassette.assert_tool_calls(["get_weather", "book"])
        agenttape_cassette.assert_snapshot()
"""
ACCEPT = "E * accept the change, live only where it differs: pytest * --snapshot-update"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that its user does.

    Attributes:
        sees: Lines of the run that follows.
        live: How many requests were really sent in it, and how many functions ran.
        passed: Whether it is green.
        args: Of the run.
        edit: What is changed before it in the agent and its tests, old and new.
        key: The provider's key in the environment, if it has one.
    """

    title: str
    sees: tuple[str, ...] = ()
    live: tuple[int, int] = (0, 0)
    passed: bool = True
    args: tuple[str, ...] = ()
    edit: tuple[str, str] = ("-", "-")
    key: str = ""


UPDATE = ("--snapshot-update",)
DAY = (
    Step("record", ("created: *test_trip.yaml (5 live calls)",), (9, 5), args=("--agenttape-record",), key="sk-one"),
    Step("replay, with no key and no provider"),
    Step("refresh what has not changed", ("unchanged: *test_trip.yaml",), args=UPDATE),
    Step(
        "change the prompt",
        ("failed: 3 tests for one cause: messages[[]0[]].content changed", "FAILED *::test_trip - messages*changed"),
        passed=False,
        edit=("concierge.", "friendly concierge."),
    ),
    Step("accept it without the key", ("E *so it needs the key: set OPENAI_API_KEY",), passed=False, args=UPDATE),
    Step("accept it", ("refreshed: *test_trip.yaml (2 live calls)",), (6, 0), args=UPDATE, key="sk-two"),
    Step("change the model", ("FAILED * - model: *gpt-4o-mini*",), passed=False, edit=("gpt-4o-mini", "gpt-5-mini")),
    Step("accept it", ("refreshed: *test_trip.yaml (2 live calls)",), (6, 0), args=UPDATE, key="sk-two"),
    Step("change an argument", (ACCEPT, "FAILED * - flight: 'LH 1170' -> 'LH 9'"), passed=False, edit=("1170", "9")),
    Step("accept it", ("refreshed: *test_trip.yaml (1 live call)",), (0, 1), args=UPDATE),
    Step("add a call", ("E *differs at", ACCEPT), passed=False, edit=('book("', 'remember("called"); book("')),
    Step("accept it", ("refreshed: *test_trip.yaml (1 live call)",), (0, 1), args=UPDATE),
    Step(
        "rename a test",
        ("E *was the test renamed or moved? *test_trip.yaml holds this call*", "E *move it, and its view: *"),
        passed=False,
        edit=("test_trip", "test_journey"),
    ),
    Step("accept it", ("moved: *test_trip.yaml to *test_journey.yaml (6 answers kept, 0 live calls)",), args=UPDATE),
    Step("delete a parameter", ("orphan: *Paris*--snapshot-update deletes it)",), edit=(', "Paris"', "")),
    Step("accept it", ("deleted: *Paris*",), args=UPDATE),
    Step("replay", args=("--agenttape-strict",)),
)


def test_each_change_says_what_it_is_and_costs_what_it_must(
    project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(concierge=AGENT, test_trips=TESTS)
    monkeypatch.setenv("OPENAI_BASE_URL", standin_provider.openai_url)
    monkeypatch.setenv("SERVICE", standin_provider.url)
    for step in DAY:
        for name in ("concierge.py", "test_trips.py"):
            path = project.path / name
            path.write_text(path.read_text().replace(*step.edit))
        monkeypatch.setenv("OPENAI_API_KEY", step.key)  # set to nothing, it is not set
        before = standin_provider.hits

        result = project.run(*step.args)

        assert (result.ret == 0) is step.passed, step.title
        result.stdout.fnmatch_lines_random([*step.sees])
        assert (standin_provider.hits - before, len(project.live())) == step.live, step.title
