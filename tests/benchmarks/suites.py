"""Whole pytest runs: suites that are written, recorded once, and timed as processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent

_AGENT = '''
"""An agent on the OpenAI SDK that answers some questions, one after the other, with the help of a tool."""

import json

from openai import OpenAI

from tests.benchmarks import provider

{imports}

{decorator}
def get_weather(city):
    return {{"city": city, "temperature_c": 14, "conditions": "light rain"}}


def ask(number):
    client = {client}
    talk = provider.{talk}
    messages = [talk.prompt]
    for turn in range(talk.turns):
        messages.append(talk.question(number, turn))
        answer = finish_turn(client, messages, talk.tools)
    return answer


def finish_turn(client, messages, tools):
    while True:
        completion = client.chat.completions.create(model=provider.MODEL, messages=messages, tools=tools)
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            result = get_weather(**json.loads(call.function.arguments))
            messages.append({{"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)}})
'''
_TEST = """

{marker}
def test_question_{number}():
    {block}assert "Paris" in ask({number})
"""
_STUB_CLIENT = "OpenAI(http_client=httpx2.Client(transport=calls.stub_transport()))"


@dataclass(frozen=True, slots=True)
class Suite:
    """How the same tests are written for one recorder.

    Attributes:
        plugin: What pytest loads with ``-p``.
        record: Flags of the run that records.
        decorator: What stands on the tool; vcrpy has no tools, they run.
    """

    name: str
    imports: str = ""
    decorator: str = ""
    client: str = "OpenAI()"
    test_imports: str = ""
    marker: str = ""
    block: str = ""
    plugin: str = ""
    record: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    def write(self, folder: Path, count: int, talk: str) -> None:
        """Write the agent and *count* tests, each of a conversation of the kind that `provider` calls *talk*."""
        folder.mkdir(parents=True)
        agent = _AGENT.format(imports=self.imports, decorator=self.decorator, client=self.client, talk=talk)
        (folder / "agent.py").write_text(agent)
        tests = (
            _TEST.format(marker=self.marker.format(number=at), number=at, block=self.block.format(number=at))
            for at in range(count)
        )
        (folder / "test_agent.py").write_text(
            f"import pytest\n\nfrom agent import ask\n{self.test_imports}\n" + "".join(tests)
        )

    def run(self, folder: Path, url: str, *flags: str) -> float:
        """Run the suite in a process; return its processor time in seconds."""
        plugins = ("-p", self.plugin) if self.plugin else ()
        environment = {**self.environment, "OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "benchmark-key"}
        return run_pytest(folder, *plugins, *flags, environment=environment)


SUITES = (
    Suite(
        "stub, no recorder",
        imports="import httpx2\nfrom tests.benchmarks import calls",
        client=_STUB_CLIENT,
    ),
    Suite(
        "pytest-agenttape",
        imports="from pytest_agenttape import tool",
        decorator="@tool",
        marker="@pytest.mark.agenttape",
        plugin="pytest_agenttape.plugin",
        record=("--agenttape-record",),
    ),
    Suite(
        "vcrpy",
        test_imports=(
            "import os\nimport vcr\n"
            'tape = vcr.VCR(record_mode=os.environ.get("VCR_MODE", "none"), cassette_library_dir="cassettes",\n'
            '               match_on=("method", "scheme", "host", "port", "path", "query", "body"))'
        ),
        marker='@tape.use_cassette("test_question_{number}.yaml")',
        record=(),
        environment={"VCR_MODE": "none"},
    ),
    Suite(
        "cassetter",
        test_imports=(
            "import os\nimport cassetter\n"
            'tape = cassetter.Cassetter(record_mode=os.environ.get("VCR_MODE", "none"), '
            'cassette_library_dir="cassettes",\n'
            '                           match_on=["method", "uri", "body"])'
        ),
        block='with tape.use_cassette("test_question_{number}.yaml"): ',
        record=(),
        environment={"VCR_MODE": "none"},
    ),
    Suite(
        "agenttape",
        imports="from agenttape import tool",
        decorator="@tool",
        marker='@pytest.mark.agenttape("test_question_{number}")',
        plugin="agenttape.pytest_plugin",
        record=("--agenttape-record",),
    ),
)


def record(suite: Suite, folder: Path, url: str) -> None:
    """Record the cassettes of *suite* from the provider at *url*."""
    if suite.record is not None:
        environment = {"VCR_MODE": "all"} if "VCR_MODE" in suite.environment else {}
        replace(suite, environment=environment).run(folder, url, *suite.record)


def write_empty_tests(folder: Path, count: int) -> None:
    """Write *count* tests that do nothing."""
    folder.mkdir(parents=True)
    (folder / "test_empty.py").write_text("".join(f"def test_{at}():\n    pass\n\n\n" for at in range(count)))


def run_pytest(folder: Path, *flags: str, environment: Mapping[str, str] | None = None) -> float:
    """Run pytest in *folder* with nothing loaded but what *flags* name; return its processor time in seconds."""
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", "."]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **(environment or {})}
    return processor_time([*command, *flags], folder, alone)[0]


def processor_time(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Return the user and system time in seconds that *command* takes, and what it prints; it must succeed."""
    # A CI service's variables would change the record mode; byte code is cached, as it is where a package is installed.
    dropped = ("CI", "PYTHONDONTWRITEBYTECODE")
    inherited = {name: value for name, value in os.environ.items() if name not in dropped}
    paths = {
        "PYTHONPATH": os.pathsep.join((str(PROJECT), str(folder))),
        "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode"),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, **paths, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout
