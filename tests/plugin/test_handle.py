"""The queries and assertions that a test can make about its run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import types
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.inner_pytest import OUTER, PLUGINS_NAMED
from tests.plugin.project import Project

if TYPE_CHECKING:
    from tests.standin import StandInProvider

AGENT = """
    from pytest_agenttape import memory_read, retrieval, tool

    @tool
    def search(query, limit=3):
        return [{"title": f"{query} {n}"} for n in range(limit)]

    @tool
    def book(to, seats=1):
        geocode(to)
        if to == "Nowhere":
            raise LookupError("no such place")
        return {"to": to, "seats": seats}

    @tool
    def geocode(place):
        return [41.9, 12.5]

    @retrieval
    def recall(question):
        return ["a note"]

    @memory_read
    def remember(key):
        return key * 2
"""
TEST = """
    import pytest
    from agent import *

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
"""
RUN = """
        recall("trips")
        search("Rome")
        book("Rome", seats=2)
"""


def written(body: str, run: str = RUN) -> str:
    return TEST + run + "".join(f"        {line}\n" for line in body.strip().splitlines())


def both_ways(project: Project, body: str, run: str = RUN) -> None:
    """Check that *body* passes while recording and in replay."""
    project.write(agent=AGENT, test_it=written(body, run))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)


def numbered(cases: dict[str, Any]) -> dict[str, str]:
    """Return a name for the test of each case."""
    return {case: f"test_{number:02}" for number, case in enumerate(cases)}


def run_apart(folder: Path, bodies: dict[str, str], *args: str) -> str:
    """Run a test for each of *bodies* in one process, which takes a second no matter how many there are."""
    head, _, test = written("pass").replace("        pass\n", "").partition("    @pytest")
    source = head + "".join(
        f"    @pytest{test.replace('test_it', name)}{textwrap.indent(body.strip(), ' ' * 8)}\n\n"
        for name, body in bodies.items()
    )
    (folder / "agent.py").write_text(textwrap.dedent(AGENT), encoding="utf-8")
    (folder / "test_it.py").write_text(textwrap.dedent(source), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v", *args]
    environment = {name: value for name, value in os.environ.items() if name not in OUTER} | PLUGINS_NAMED
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return ran.stdout


PASSING = {
    "names": 'assert agenttape_cassette.tool_calls == ["recall", "search", "book", "geocode"]',
    "arguments": 'assert agenttape_cassette.tool_calls[2].arguments == {"to": "Rome", "seats": 2}',
    "results": 'assert agenttape_cassette.tool_calls[2].result == {"to": "Rome", "seats": 2}',
    "parents": 'assert [each.parent for each in agenttape_cassette.tool_calls] == [None, None, None, "book"]',
    "durations": "assert all(each.duration >= 0 for each in agenttape_cassette.tool_calls)",
    "no llm calls": "assert agenttape_cassette.llm_calls == []",
    "session": "assert agenttape_cassette.session.path == agenttape_cassette.path",
    "usage": 'assert agenttape_cassette.usage == {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}',
    "strict": 'agenttape_cassette.assert_tool_calls(["recall", "search", ("book", {"seats": 2}), "geocode"])',
    "in order": 'agenttape_cassette.assert_tool_calls(["search", ("book", {"to": "Rome"})], mode="in_order")',
    "forbid": 'agenttape_cassette.assert_tool_calls([], mode="superset", forbid=["delete"], max_calls=4)',
    "forbid one": 'agenttape_cassette.assert_tool_calls([], mode="superset", forbid="delete")',
    "final output": "agenttape_cassette.assert_final_output([41.9, 12.5])",
    "a final output that is assigned": """
agenttape_cassette.final_output = {"answer": "booked"}
agenttape_cassette.assert_final_output({"answer": "booked"})
assert agenttape_cassette.final_output == {"answer": "booked"}
""",
    "a final output that an object decides about": """
from dirty_equals import IsStr
agenttape_cassette.final_output = "booked 7"
agenttape_cassette.assert_final_output(IsStr(regex="booked .*"))
""",
    "no equality of its own": "assert type(agenttape_cassette).__eq__ is object.__eq__",
}


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the output of pytest for all `PASSING`, while recording and in replay."""
    folder, names = tmp_path_factory.mktemp("passing"), numbered(PASSING)
    bodies = {names[case]: body for case, body in PASSING.items()}
    return run_apart(folder, bodies, "--agenttape-record"), run_apart(folder, bodies)


@pytest.mark.parametrize("case", PASSING)
def test_the_same_holds_while_recording_and_in_replay(passing: tuple[str, str], case: str) -> None:
    for said in passing:
        assert f"{numbered(PASSING)[case]} PASSED" in said, said


def test_concurrent_and_nested_calls_are_listed_alike_while_recording_and_in_replay(project: Project) -> None:
    run = """
        import asyncio
        from pytest_agenttape import tool

        @tool
        async def inner(n):
            await asyncio.sleep(0.01)
            return n

        @tool
        async def outer(n):
            await asyncio.sleep(0.01)
            return await inner(n)

        async def both():
            await asyncio.gather(outer(1), outer(2))

        asyncio.run(both())
"""
    both_ways(project, 'assert agenttape_cassette.tool_calls == ["outer", "inner", "outer", "inner"]', run)


def test_an_error_of_a_tool_is_its_own_class(project: Project) -> None:
    run = """
        with pytest.raises(LookupError):
            book("Nowhere")
"""
    both_ways(project, "assert isinstance(agenttape_cassette.tool_calls[0].error, LookupError)", run)


def test_a_memory_is_the_last_word_when_nothing_else_is(project: Project) -> None:
    both_ways(project, 'agenttape_cassette.assert_final_output("kk")', run='\n        remember("k")\n')


FAILING = {
    "another argument": (
        'agenttape_cassette.assert_tool_calls(["recall", "search", ("book", {"to": "Oslo"}), "geocode"])',
        [
            ">       agenttape_cassette.assert_tool_calls(*",
            "E       AssertionError: the tool calls are not the expected ones (mode strict: exactly these calls, in *",
            "E       first divergence: #2 book(to='Rome', seats=2) differs at to",
            "E       ",
            "E           expected         the run",
            "E         = recall           #0 recall(question='trips')",
            "E         = search           #1 search(query='Rome', limit=3)",
            "E         ~ book(to='Oslo')  #2 book(to='Rome', seats=2)",
            "E             to: expected 'Oslo', called with 'Rome'",
            "E         = geocode          #3 geocode(place='Rome')",
            "",
            "test_it.py:*: AssertionError",
        ],
    ),
    "forbidden": (
        'agenttape_cassette.assert_tool_calls(["search"], mode="superset", forbid=[("book", {"seats": 2})])',
        ["E       AssertionError: forbidden tool calls were made:", "E         #2 book(to='Rome', seats=2)"],
    ),
    "too many": (
        'agenttape_cassette.assert_tool_calls([], mode="superset", max_calls=3)',
        ["E       AssertionError: 4 tool calls were made, 3 are allowed (max_calls):"],
    ),
    "a wrong mode": (
        'agenttape_cassette.assert_tool_calls([], mode="any_order")',
        ["E       pytest_agenttape.errors.ConfigError: unknown mode of assert_tool_calls 'any_order'.*"
         " Valid: strict, unordered, subset, superset, in_order"],
    ),
    "a wrong item": (
        'agenttape_cassette.assert_tool_calls([("book", "Rome")])',
        ["E       pytest_agenttape.errors.ConfigError: assert_tool_calls: item 0: the arguments are 'Rome'; a call is "
         "a name, (name, {argument: value}), or an object with .name and .arguments"],
    ),
    "a wrong number": (
        'agenttape_cassette.assert_tool_calls([], max_calls="3")',
        ["E       pytest_agenttape.errors.ConfigError: max_calls must be a whole number, 0 or more; found '3'"],
    ),
    "no limit": (
        "agenttape_cassette.assert_usage()",
        ["E       pytest_agenttape.errors.ConfigError: assert_usage needs a limit: max_total_tokens, *max_cost"],
    ),
    "no llm call": (
        "agenttape_cassette.assert_llm_calls()",
        ["E       AssertionError: some LLM calls were expected, 0 were made; all LLM calls of the run:",
         "E         (none)"],
    ),
    "unasked": (
        "agenttape_cassette.assert_tools_match_requests()",
        ["E       AssertionError: tool calls and the models' requests do not match:",
         "E         #1 search(query='Rome', limit=3) ran, but no model asked for it",
         "E         #2 book(to='Rome', seats=2) ran, but no model asked for it"],
    ),
    "another final text": (
        'agenttape_cassette.final_output = "booked for Rome"\n'
        'agenttape_cassette.assert_final_output("booked for Oslo")',
        ["E       AssertionError: the final output is not as expected",
         "E         (value)",
         "E           expected  'booked for Oslo'",
         "E           found     'booked for Rome'"],
    ),
    "another final value": (
        'agenttape_cassette.assert_final_output(None)',
        ["E       AssertionError: the final output is not as expected",
         "E         expected  None",
         "E         found     [[]41.9, 12.5[]]"],
    ),
    "a final output that cannot be stored": (
        "agenttape_cassette.final_output = object()",
        ["E       pytest_agenttape.errors.*final_output: <class 'builtins.object'> cannot be recorded*"],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the output of pytest for each of `FAILING`."""
    names = numbered(FAILING)
    bodies = {names[case]: body for case, (body, _) in FAILING.items()}
    said = run_apart(tmp_path_factory.mktemp("failing"), bodies, "--agenttape-record")
    sections = re.split(r"^_+ (test_\d\d) _+$", said.partition("= short test summary")[0], flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


@pytest.mark.parametrize("case", FAILING)
def test_a_failed_assertion_reads_like_this(failing: dict[str, str], case: str) -> None:
    said = failing[numbered(FAILING)[case]]
    pytest.LineMatcher(said.splitlines()).fnmatch_lines(FAILING[case][1])
    assert "handle.py" not in said  # all frames are in the user's code


def test_what_was_called_after_the_verdict_is_not_asserted_on(project: Project) -> None:
    project.write(agent=AGENT, test_it=written("pass"))
    project.record()
    project.write(
        test_it=TEST
        + """
        try:
            search("Oslo")
        except Exception:
            pass
        agenttape_cassette.assert_tool_calls(["search"])
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*UnmatchedInteractionError: search(query='Oslo', limit=3) matches no *"])


def test_a_secret_in_the_final_output_is_shown_and_compared_without_it(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-proj-Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg"
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    body = """
import os
agenttape_cassette.final_output = "the key is " + os.environ["OPENAI_API_KEY"]
assert os.environ["OPENAI_API_KEY"] not in agenttape_cassette.final_output
assert os.environ["OPENAI_API_KEY"] not in repr(agenttape_cassette)
agenttape_cassette.assert_final_output("the key is " + os.environ["OPENAI_API_KEY"])
agenttape_cassette.assert_snapshot()
"""
    both_ways(project, body)
    assert secret not in (project.path / "__snapshots__" / "test_it.ambr").read_text()


# LLM calls: a real SDK against the stand-in

LLM = """
    import json
    import pytest
    from openai import OpenAI
    from pytest_agenttape import tool

    TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Weather in a city", "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]

    @tool
    def get_weather(city):
        return {"city": city, "temperature_c": 11, "conditions": "rain"}

    def run(question, runs_tools=True):
        client = OpenAI(base_url="BASE", api_key="replaying-needs-no-key")
        messages = [{"role": "user", "content": question}]
        while True:
            answer = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS)
            message = answer.choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message)
            for call in message.tool_calls:
                result = get_weather(**json.loads(call.function.arguments)) if runs_tools else "no"
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})

    @pytest.mark.agenttape
    def test_it(agenttape_cassette):
        run("What is the weather in London?"RUNS_TOOLS)
"""


def llm(standin: StandInProvider, body: str, *, runs_tools: bool = True) -> str:
    source = LLM.replace("BASE", standin.openai_url).replace("RUNS_TOOLS", "" if runs_tools else ", runs_tools=False")
    return source + "".join(f"        {line}\n" for line in body.strip().splitlines())


LLM_PASSING = """
from dirty_equals import IsStr
first, second = agenttape_cassette.llm_calls
assert (first.provider, first.operation, first.model, first.index) == ("openai", "chat", "gpt-4o-mini", 0)
assert first.messages == [{"role": "user", "content": "What is the weather in London?"}]
assert [(each.name, each.arguments) for each in first.tool_calls] == [("get_weather", {"city": "London"})]
assert second.text == agenttape_cassette.final_output == "It is 11 °C with rain in London."
assert second.latency > 0
assert agenttape_cassette.usage["total_tokens"] == first.usage["total_tokens"] + second.usage["total_tokens"] > 0
agenttape_cassette.assert_llm_calls(2)
agenttape_cassette.assert_llm_calls(2, model="gpt-4o-mini", provider="openai", max_calls=2)
agenttape_cassette.assert_llm_calls(0, model="gpt-5")
agenttape_cassette.assert_llm_calls(2, model=IsStr(regex="gpt-4o.*"))
agenttape_cassette.assert_tools_match_requests()
agenttape_cassette.assert_usage(max_total_tokens=10_000, max_input_tokens=10_000, max_output_tokens=10_000)
agenttape_cassette.assert_final_output(IsStr(regex="It is .*"))
"""


def test_llm_calls_hold_while_recording_and_in_replay(project: Project, standin_provider: StandInProvider) -> None:
    project.write(test_it=llm(standin_provider, LLM_PASSING))
    project.run("--agenttape-record").assert_outcomes(passed=1)
    hits = len(standin_provider.requests)
    project.run().assert_outcomes(passed=1)
    assert len(standin_provider.requests) == hits == 2


def test_a_tool_that_was_asked_for_and_never_ran_is_told(project: Project, standin_provider: StandInProvider) -> None:
    body = "agenttape_cassette.assert_tools_match_requests(ignore=['other'])"
    project.write(test_it=llm(standin_provider, body, runs_tools=False))
    result = project.run("--agenttape-record")
    result.stdout.fnmatch_lines(["E         #0 asked for get_weather(city='London'), which never ran"])


def test_exceeded_limits_are_all_told(project: Project, standin_provider: StandInProvider) -> None:
    body = "agenttape_cassette.assert_usage(max_total_tokens=2, max_output_tokens=1)"
    project.write(test_it=llm(standin_provider, body))
    result = project.run("--agenttape-record")
    result.stdout.fnmatch_lines(
        [
            "E       AssertionError: * total tokens were used, 2 are allowed (max_total_tokens)",
            "E       * output tokens were used, 1 are allowed (max_output_tokens)",
        ]
    )


def prices(known: dict[str, str]) -> Any:
    """Return a stand-in for genai-prices that knows the price of a token of some models."""

    def calc_price(usage: Any, model_ref: str, *, provider_id: str | None = None) -> Any:
        if model_ref not in known:
            raise LookupError(f"no model {model_ref} at {provider_id}")
        tokens = usage.input_tokens + usage.output_tokens
        return types.SimpleNamespace(total_price=Decimal(known[model_ref]) * tokens)

    module: Any = types.ModuleType("genai_prices")
    module.Usage, module.calc_price = types.SimpleNamespace, calc_price
    return module


COSTS = {
    "within": ({"gpt-4o-mini": "0.0001"}, 1, None),
    "above": (
        {"gpt-4o-mini": "0.0001"},
        0,
        ["E       AssertionError: the LLM calls cost $0.0*, $0 is allowed (max_cost)",
         "E         $0.0*  #0 openai gpt-4o-mini: asks for get_weather(city='London')"],
    ),
    "unknown": (
        {},
        1,
        ["E       pytest_agenttape.errors.ConfigError: price unknown: #0 openai gpt-4o-mini: asks for get_weather(*",
         "E         max_cost cannot be asserted for this run"],
    ),
    "no number": ({}, "'a'", ["E*ConfigError: max_cost must be a number of US dollars, 0 or more; found 'a'"]),
}  # fmt: skip


@pytest.mark.parametrize("case", COSTS)
def test_costs_are_limited_where_prices_are_known(
    project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    known, limit, lines = COSTS[case]
    monkeypatch.setitem(sys.modules, "genai_prices", prices(known))
    project.write(test_it=llm(standin_provider, f"agenttape_cassette.assert_usage(max_cost={limit})"))
    result = project.run("--agenttape-record")
    result.assert_outcomes(**({"failed": 1} if lines else {"passed": 1}))
    result.stdout.fnmatch_lines(lines or ["*1 passed*"])


def test_without_the_package_the_way_to_prices_is_told(
    project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    project.write(test_it=llm(standin_provider, "agenttape_cassette.assert_usage(max_cost=1)"))
    result = project.run("--agenttape-record")
    result.stdout.fnmatch_lines(["E*ConfigError: max_cost needs prices: pip install 'pytest-agenttape[[]prices]'"])


def test_prices_that_are_too_old_to_be_told_are_none(
    project: Project, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", types.ModuleType("genai_prices"))  # as before 0.0.21
    project.write(
        test_it=llm(standin_provider, "agenttape_cassette.assert_usage(max_total_tokens=1000)"),
        test_cost=llm(standin_provider, "agenttape_cassette.assert_usage(max_cost=1)"),
    )
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["E*ConfigError: max_cost needs prices: pip install 'pytest-agenttape[[]prices]'"])
    result = project.run("--agenttape-record", "--agenttape-budget=1")
    result.stderr.fnmatch_lines(["ERROR: --agenttape-budget needs prices: pip install 'pytest-agenttape[[]prices]'"])
