"""``--agenttape-verify``: recorded calls are replayed, and sent live as well."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.loopback import serving
from tests.plugin.project import Project

AGENT = """
    import pytest
    import requests
    from openai import OpenAI
    from agent import look_up

    KEY = "sk-live-0123456789abcdefghij"

    @pytest.mark.agenttape
    def test_it():
        client = OpenAI(base_url=f"{ORIGIN}/v1", api_key=KEY, max_retries=0)
        asked = [{"role": "user", "content": "Hello"}]
        assert client.chat.completions.create(model="gpt-4o", messages=asked).choices[0].message.content == "recorded"
        look_up("Rome")
        assert requests.get(f"{ORIGIN}/page").json()["said"] == "recorded"
        requests.post(f"{ORIGIN}/orders", json={"item": 1})
"""


@dataclass
class World:
    """A provider and a service that can change."""

    url: str = ""
    chat: dict[str, Any] = field(default_factory=dict)
    page: dict[str, Any] = field(default_factory=dict)
    status: int = 200
    asked: list[tuple[str, str, str]] = field(default_factory=list)  # method, path, authorization

    def reset(self, said: str) -> None:
        message = {"role": "assistant", "content": said, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        self.chat = {
            "id": said,
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [choice],
            "usage": usage,
        }
        self.page = {"said": said, "price": 3}
        self.asked.clear()


@pytest.fixture
def world(project: Project) -> Iterator[World]:
    """Return a world that answers otherwise than when the project's cassette was recorded."""
    made = World()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self.rfile.read(length)
            made.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
            said = made.chat if self.path.endswith("completions") else made.page
            body = json.dumps(said).encode()
            self.send_response(made.status if said is made.chat else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as made.url:
        made.reset("recorded")
        project.write(test_it=f"    ORIGIN = {made.url!r}\n{AGENT}")
        project.record().assert_outcomes(passed=1)
        made.reset("of today")
        yield made


def test_what_answers_in_the_same_shape_is_verified_and_nothing_is_written(project: Project, world: World) -> None:
    before = project.cassette().read_bytes()
    result = project.run("--agenttape-verify")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "agenttape: recordings are replayed, and what they answer is also sent live (--agenttape-verify)",
            "verified: 2 calls of 1 test sent live",
            "not sent: POST (127.0.0.1:*): it may change something  (test_it.py::test_it)",
        ]
    )
    assert project.cassette().read_bytes() == before
    assert project.live() == []  # the tool did not run
    assert world.asked == [
        ("POST", "/v1/chat/completions", "Bearer sk-live-0123456789abcdefghij"),
        ("GET", "/page", ""),
    ]


def test_a_renamed_field_fails_the_run_and_is_named(project: Project, world: World) -> None:
    world.chat["usage"]["input_tokens"] = world.chat["usage"].pop("prompt_tokens")
    world.page["price"] = "3"
    result = project.run("--agenttape-verify", "--agenttape-report=report.json")
    assert result.ret == 1
    result.assert_outcomes(passed=1)
    [test] = json.loads((project.path / "report.json").read_text())["tests"]
    assert (test["verified"]["sent"], len(test["verified"]["moved"])) == (2, 2)
    result.stdout.fnmatch_lines(
        [
            "moved: openai.chat (127.0.0.1:*): the body.usage.prompt_tokens is gone (input_tokens is new)  (test*",
            "moved: GET (127.0.0.1:*): the body.price is a text, was a number  (test_it.py::test_it)",
        ]
    )


def test_a_retired_model_is_named_in_the_providers_words(project: Project, world: World) -> None:
    world.status, world.chat = (
        404,
        {"error": {"message": "The model `gpt-4o` has been retired", "code": "model_not_found"}},
    )
    result = project.run("--agenttape-verify")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["moved: openai.chat (127.0.0.1:*): status 404 in place of 200: *The model `gpt-4o` has been retired*"]
    )


def test_what_a_replayed_call_handed_out_for_a_secret_is_not_sent(project: Project, world: World) -> None:
    project.write(
        test_it=f"""
        import pytest, requests
        from pytest_agenttape import tool

        @tool
        def log_in():
            return {{"access_token": "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"}}

        @pytest.mark.agenttape
        def test_it():
            requests.get({world.url!r} + "/page", auth=("ada", log_in()["access_token"]))
        """
    )
    project.record().assert_outcomes(passed=1)
    world.asked.clear()
    result = project.run("--agenttape-verify")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["not sent: GET (127.0.0.1:*): it carries what stands for a secret in the recording *"])
    assert world.asked == []


def test_the_same_cause_in_several_tests_is_said_once_over_workers(project: Project, world: World) -> None:
    path = project.path / "test_it.py"
    path.write_text(
        path.read_text()
        + path.read_text().partition("@pytest")[2].join(["\n@pytest", ""]).replace("test_it", "test_too")
    )
    world.reset("recorded")
    project.record().assert_outcomes(passed=2)
    del world.page["price"]
    result = project.run("--agenttape-verify", "--agenttape-live=look_up", "-p", "xdist", "-n", "2")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "verified: 6 calls of 2 tests sent live",
            "moved: GET (127.0.0.1:*): the body.price is gone  (test_it.py::test_it and 1 other test)",
        ]
    )


def test_a_provider_that_cannot_be_reached_fails_the_run(project: Project, world: World) -> None:
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace(world.url, "http://127.0.0.1:9"))  # a local port is not compared
    result = project.run("--agenttape-verify")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["moved: openai.chat (127.0.0.1:9): cannot be asked: [[]Errno *[]] Connection refused  (test_it.py::test_it)"]
    )


def test_without_a_key_nothing_is_sent(project: Project, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace("api_key=KEY, ", ""))
    project.run("--agenttape-verify").stdout.fnmatch_lines(["not sent: openai.chat (*): no key is set *"])
    assert [path for _, path, _ in world.asked] == ["/page"]


def test_what_is_frozen_is_not_sent(project: Project, world: World) -> None:
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace("@pytest.mark.agenttape", "@pytest.mark.agenttape(frozen='llm')"))
    project.run("--agenttape-verify").stdout.fnmatch_lines(["not sent: openai.chat (*): it is frozen *"])
    assert [path for _, path, _ in world.asked] == ["/page"]


def test_an_answer_that_a_fault_made_up_is_not_compared(project: Project, world: World) -> None:
    path = project.path / "test_it.py"
    marker = "from pytest_agenttape import fault\n@pytest.mark.agenttape(faults=[fault('llm', status=503)])"
    changed = path.read_text().replace("@pytest.mark.agenttape", marker).replace("max_retries=0", "max_retries=1")
    path.write_text(changed)
    result = project.run("--agenttape-verify")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["verified: 2 calls of 1 test sent live"])
    assert [asked for _, asked, _ in world.asked] == ["/v1/chat/completions", "/page"]


def test_a_test_that_fails_is_not_sent(project: Project, world: World) -> None:
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace("Hello", "Goodbye"))
    project.run("--agenttape-verify").assert_outcomes(failed=1)
    assert world.asked == []


def test_what_is_verified_is_paid_from_the_budget(project: Project, world: World) -> None:
    pytest.importorskip("genai_prices")
    world.chat["usage"] = {"prompt_tokens": 100_000, "completion_tokens": 0, "total_tokens": 100_000}
    result = project.run("--agenttape-verify", "--agenttape-budget=0.1")
    result.stdout.fnmatch_lines(
        ["not sent: GET (127.0.0.1:*): the budget is spent *", "budget: about $0.25 of $0.10 spent, $0.00 left"]
    )
    assert [path for _, path, _ in world.asked] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    "flag",
    ["--agenttape-record", "--agenttape-mode=once", "--snapshot-update", "--agenttape-disable", "--agenttape-review"],
)
def test_it_does_not_go_together_with_what_records(project: Project, flag: str) -> None:
    result = project.run("--agenttape-verify", flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = flag.partition("=")[0]
    result.stderr.fnmatch_lines([f"*--agenttape-verify replays; it does not go together with {name}"])
