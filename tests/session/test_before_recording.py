"""Functions of the user's that see a call before it is recorded, and may change or drop it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import (
    Cassette,
    Config,
    ConfigError,
    Interaction,
    RecordingRefusedError,
    UnmatchedInteractionError,
    tool,
    use_cassette,
)
from tests.loopback import serving

asked: list[str] = []
statuses: list[int] = []


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked.clear()
    statuses.clear()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        asked.append(self.path)
        body = b'{"said": "hello", "visitor": 17}'
        self.send_response(statuses.pop(0) if statuses else 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with serving(_Handler) as found:
        yield found


def without_visitor(call: Interaction) -> Interaction:
    call.request.get("json", {}).pop("visitor", None)
    return call


def saying(what: str) -> Callable[[Interaction], Interaction]:
    def change(call: Interaction) -> Interaction:
        return replace(call, response={**call.response, "json": {"said": what}})

    return change


def ask(url: str, visitor: int, path: str = "/chat") -> Any:
    return httpx.post(f"{url}{path}", json={"ask": "hi", "visitor": visitor}).json()


def test_a_changed_request_is_recorded_and_compared(url: str) -> None:
    config = Config(before_record_request=without_visitor)
    with use_cassette("chat", mode="all", config=config):
        ask(url, 1)
    with use_cassette("chat", config=config):
        assert ask(url, 2)["said"] == "hello"
    (recorded,) = Cassette.load("cassettes/chat.yaml").interactions
    assert recorded.request["json"] == {"ask": "hi"}
    with pytest.raises(UnmatchedInteractionError), use_cassette("chat"):
        ask(url, 2)


def test_the_agents_own_objects_stay_as_they_are() -> None:
    @tool
    def keep(things: dict[str, Any]) -> dict[str, Any]:
        return things

    def emptied(call: Interaction) -> Interaction:
        call.request["args"]["things"].clear()
        return call

    given = {"a": {"b": 1}}
    with use_cassette("things", mode="all", config=Config(before_record_request=emptied)):
        assert keep(given) == {"a": {"b": 1}}
    assert given == {"a": {"b": 1}}
    assert Cassette.load("cassettes/things.yaml").interactions[0].request == {"args": {"things": {}}}


def test_a_changed_answer_is_what_a_replay_gets(url: str) -> None:
    config = Config(before_record_response=[saying("a"), saying("b")])
    with use_cassette("chat", mode="all", config=config):
        assert ask(url, 1)["said"] == "hello"
    with use_cassette("chat", config=config):
        assert ask(url, 1) == {"said": "b"}


@pytest.mark.parametrize("mode", ["all", "none"])
def test_a_dropped_request_is_real_in_every_mode_and_in_no_cassette(url: str, mode: str) -> None:
    config = Config(before_record_request=lambda call: None if call.request["url"].endswith("/health") else call)
    with use_cassette("chat", mode="all", config=config):
        ask(url, 1)
        ask(url, 1, "/health")
    asked.clear()
    with use_cassette("chat", mode=mode, config=config) as session:
        ask(url, 1)
        ask(url, 1, "/health")
    assert asked == (["/health"] if mode == "none" else ["/chat", "/health"])
    assert len(session.interactions) == len(Cassette.load("cassettes/chat.yaml").interactions) == 1


def test_a_dropped_request_sends_nothing_that_stands_for_a_secret(url: str) -> None:
    @tool
    def log_in() -> dict[str, str]:
        return {"token": "tok-5f4dcc3b5aa765d61d8327deb882cf99"}

    def agent() -> None:
        httpx.post(f"{url}/health", json={}, headers={"authorization": f"Bearer {log_in()['token']}"})

    config = Config(before_record_request=lambda call: None if "url" in call.request else call)
    with use_cassette("chat", mode="all", config=config):
        agent()
    asked.clear()
    with pytest.raises(RecordingRefusedError, match="would send REDACTED"), use_cassette("chat", config=config):
        agent()
    assert asked == []


def test_a_dropped_answer_that_was_repeated_is_left_out(url: str) -> None:
    def without_failures(call: Interaction) -> Interaction | None:
        return None if call.status == 500 else call

    config = Config(before_record_response=without_failures)
    statuses.extend([500, 200])
    with use_cassette("chat", mode="all", config=config):
        ask(url, 1)
        ask(url, 1)
    assert [each.status for each in Cassette.load("cassettes/chat.yaml").interactions] == [200]


def test_a_dropped_answer_that_a_replay_would_miss_is_refused(url: str) -> None:
    session = use_cassette("chat", mode="all", config=Config(before_record_response=lambda _: None)).open()
    ask(url, 1)
    with pytest.raises(RecordingRefusedError) as caught:
        session.leave(None)
    first, *_, last = str(caught.value).splitlines()
    assert first.startswith("before_record_response dropped the answer of a live call, and the run went on")
    assert last.startswith("  a replay would have no answer for it: drop only answers after which the same request ")
    assert not Path("cassettes/chat.yaml").exists()


def test_a_tool_cannot_be_dropped() -> None:
    ran = []

    @tool
    def charge() -> None:
        ran.append(1)

    with (
        pytest.raises(ConfigError, match="dropped a call to the tool charge, which would run for real in each replay"),
        use_cassette("tool", mode="all", config=Config(before_record_request=lambda _: None)),
    ):
        charge()
    assert ran == []


@pytest.mark.parametrize("mode", ["all", "none"])
def test_a_call_of_a_model_cannot_be_dropped_as_by_a_function_that_forgets_to_return(url: str, mode: str) -> None:
    config = Config(before_record_request=lambda _: None)
    with (
        pytest.raises(
            ConfigError, match=r"dropped a call to the llm openai\.chat, .*; return it, or name its host in ig"
        ),
        use_cassette("chat", mode=mode, config=config),
    ):
        httpx.post(f"{url}/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert asked == []


@pytest.mark.parametrize("mode", ["all", "none"])
def test_a_frozen_request_cannot_be_dropped(url: str, mode: str) -> None:
    with use_cassette("chat", mode="all"):
        ask(url, 1, "/health")
    asked.clear()
    config = Config(before_record_request=lambda _: None)
    with (
        pytest.raises(ConfigError, match="dropped a request that is frozen, which would run for real in each replay"),
        use_cassette("chat", mode=mode, config=config, frozen={"127.0.0.1"}),
    ):
        ask(url, 1, "/health")
    assert asked == []


def broken(call: Interaction) -> Interaction:
    raise KeyError(call.kind)


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        (
            broken,
            "before_record_request raised KeyError: 'tool'\n  it is given an Interaction, with .request and",
        ),
        (lambda call: call.request, "before_record_request must return the call that it was given, changed or not, "),
    ],
)
def test_a_function_that_cannot_be_used_stops_the_call(hook: Any, text: str) -> None:
    @tool
    def look() -> int:
        return 1

    with pytest.raises(ConfigError) as caught, use_cassette("x", mode="all", config=Config(before_record_request=hook)):
        look()
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("scrub", "before_record_request = 'scrub': 'scrub' is not a function, nor the path of one, such as "),
        (3, "before_record_request = 3: 3 is not a function"),
        ("no_such_module:scrub", "before_record_request = 'no_such_module:scrub': cannot be imported: No module named"),
        ("os:nothing", "before_record_request = 'os:nothing': cannot be imported: module 'os' has no attribute"),
        ("os:sep", "before_record_request = 'os:sep': is not a function"),
    ],
)
def test_what_is_no_function_is_refused_by_name(given: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        use_cassette("x", config=Config(before_record_request=given))
    assert str(caught.value).startswith(text)


# -- under pytest

TEST = """
    import pytest
    from pytest_agenttape import tool

    @tool
    def look_up(city, visitor): return city

    @pytest.mark.agenttape
    def test_it(request):
        look_up("Rome", request.config.getoption("verbose"))
"""
SCRUB = """
    def scrub(call):
        call.request["args"].pop("visitor")
        return call
"""
PLACES = {
    "the configuration file": ("agenttape.toml", "before_record_request = 'shop:scrub'"),
    "an ini key": ("pytest.ini", "[pytest]\nagenttape_before_record_request = shop:scrub"),
    "the fixture": (
        "conftest.py",
        "import pytest, shop\n@pytest.fixture\ndef agenttape_config(): return {'before_record_request': shop.scrub}",
    ),
    "the hook": (
        "conftest.py",
        "import shop\ndef pytest_agenttape_policy(config): return {'before_record_request': shop.scrub}",
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_function_is_named_anywhere_in_the_configuration(pytester: pytest.Pytester, place: str) -> None:
    name, content = PLACES[place]
    pytester.makepyfile(test_it=TEST, shop=SCRUB)
    (pytester.path / name).write_text(content)
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=1)
    pytester.runpytest("-v").assert_outcomes(passed=1)
    (recorded,) = Cassette.load(pytester.path / "cassettes/test_it/test_it.yaml").interactions
    assert recorded.request == {"args": {"city": "Rome"}}
