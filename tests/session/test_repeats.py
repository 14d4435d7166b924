"""Calls that `repeats` names: beyond the last recording it is served again, and fewer rounds are no drift."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import (
    AgentTapeWarning,
    Cassette,
    Config,
    ConfigError,
    UnmatchedInteractionError,
    intercept,
    tool,
    use_cassette,
)
from tests.loopback import serving

rounds = count()
is_live = True


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def server() -> Iterator[str]:
    numbers = count(1)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{self.path} {next(numbers)}".encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with serving(Handler) as url:
        yield url


STATES = ["queued", "running", "done"]


def polling(answers: list[str] | None = None) -> Any:
    """Return a tool that returns one of *answers* after the other; without them, it must not run."""
    left = iter(answers or ())

    @tool
    def poll(job: int) -> str:  # noqa: ARG001  # the answers are given
        return next(left)

    return poll


@pytest.fixture
def recorded() -> None:
    poll = polling(STATES)
    with use_cassette("jobs", mode="all", repeats=["poll"]):
        assert [poll(1) for _ in range(3)] == STATES


@pytest.mark.usefixtures("recorded")
def test_recording_keeps_each_round() -> None:
    assert [each.response for each in Cassette.load("cassettes/jobs.yaml").interactions] == STATES


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("token", ["poll", "tool", "*"])
@pytest.mark.parametrize("mode", ["none", "once", "new_episodes", "refresh"])
def test_the_last_recording_is_served_again_in_every_mode_that_replays(token: str, mode: str) -> None:
    before = Path("cassettes/jobs.yaml").read_bytes()
    poll = polling()
    with use_cassette("jobs", mode=mode, repeats=token) as session:
        assert [poll(1) for _ in range(5)] == [*STATES, "done", "done"]

    assert len(session.interactions) == 5
    assert session.remaining == 0
    assert session.divergences == []
    assert Path("cassettes/jobs.yaml").read_bytes() == before


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("mode", ["none", "refresh"])
def test_fewer_rounds_are_no_drift(mode: str) -> None:
    before = Path("cassettes/jobs.yaml").read_bytes()
    poll = polling()
    with use_cassette("jobs", mode=mode, repeats=["poll"]) as session:
        assert session.remaining == 3
        assert poll(1) == "queued"
        assert session.remaining == 0
        assert poll(1) == "running"

    assert session.unplayed == []
    assert Path("cassettes/jobs.yaml").read_bytes() == before


@pytest.mark.usefixtures("recorded")
def test_a_call_that_is_not_made_at_all_is_drift() -> None:
    with use_cassette("jobs", repeats=["poll"]) as session:
        pass

    assert len(session.unplayed) == session.remaining == 3


@pytest.mark.usefixtures("recorded")
def test_another_request_is_unmatched() -> None:
    poll = polling()
    with use_cassette("jobs", repeats=["poll"]):
        poll(1)
        with pytest.raises(UnmatchedInteractionError):
            poll(2)


@pytest.mark.usefixtures("recorded")
def test_what_is_not_named_is_served_once() -> None:
    poll = polling()
    with use_cassette("jobs", repeats=["llm", "poll.example.com"]):
        for _ in range(3):
            poll(1)
        with pytest.raises(UnmatchedInteractionError) as caught:
            poll(1)
    played, hint = str(caught.value).splitlines()[1:3]
    assert played.startswith("  already played 3 times: this request is recorded as #0 ")
    assert hint == "  if it may be made any number of times: repeats=['poll']"


@pytest.mark.usefixtures("recorded")
def test_a_fallback_does_not_come_before_the_repeat() -> None:
    other = intercept(lambda job: f"other {job}", name="poll")
    with use_cassette("jobs", mode="new_episodes"):
        other(2)
    poll = polling()
    with use_cassette("jobs", matchers=["ignore_volatile", "ordered"], repeats=["poll"]):
        assert [poll(1) for _ in range(4)] == [*STATES, "done"]
        assert poll(2) == "other 2"


@pytest.mark.usefixtures("recorded")
def test_a_matcher_of_ones_own_finds_the_last_one() -> None:
    poll = polling()
    with use_cassette("jobs", matchers=[lambda asked, recorded: asked == recorded], repeats=["poll"]) as session:
        assert [poll(1) for _ in range(4)] == [*STATES, "done"]
    with use_cassette("jobs", matchers=[lambda asked, recorded: asked == recorded], repeats=["poll"]) as session:
        poll(1)
    assert session.unplayed == []


def test_it_is_configured_for_a_whole_project() -> None:
    poll = polling(STATES)
    with use_cassette("jobs", mode="all"):
        poll(1)
    config = Config(repeats=["poll", "api.example.com"])
    with use_cassette("jobs", config=config):
        assert [poll(1), poll(1)] == ["queued", "queued"]
    with use_cassette("jobs", config=config, repeats=[]):
        poll(1)
        with pytest.raises(UnmatchedInteractionError):
            poll(1)


@pytest.mark.parametrize("token", ["127.0.0.1", "127.0.0.0/8", "http"])
def test_a_host_names_its_requests(server: str, token: str) -> None:
    with use_cassette("models", mode="all"):
        assert httpx.get(f"{server}/models").text == "/models 1"
        assert httpx.get(f"{server}/token").text == "/token 2"
    with use_cassette("models", repeats=[token]) as session:
        assert [httpx.get(f"{server}/models").text for _ in range(3)] == ["/models 1"] * 3
        assert httpx.get(f"{server}/token").text == "/token 2"
        with pytest.raises(UnmatchedInteractionError):
            httpx.get(f"{server}/other")
    assert session.remaining == 0


def test_a_host_has_a_port(server: str) -> None:
    with use_cassette("models", mode="all"):
        httpx.get(f"{server}/models")
    port = int(server.rpartition(":")[2])
    with use_cassette("models", repeats=[f"127.0.0.1:{port}"]):
        assert [httpx.get(f"{server}/models").text for _ in range(2)] == ["/models 1"] * 2
    with use_cassette("models", repeats=[f"127.0.0.1:{port - 1}"]):
        httpx.get(f"{server}/models")
        with pytest.raises(UnmatchedInteractionError):
            httpx.get(f"{server}/models")


def test_a_repeated_tool_brings_the_calls_of_its_body() -> None:
    inner = intercept(lambda: "token", name="inner")

    @tool
    def outer() -> str:
        return f"got {inner()}"

    with use_cassette("nested", mode="all"):
        outer()
        outer()
    with use_cassette("nested", repeats=["outer"]) as session:
        assert [outer() for _ in range(3)] == ["got token"] * 3
    assert [each.boundary for each in session.interactions] == ["outer", "inner"] * 3
    with use_cassette("nested", repeats=["outer"]) as session:
        outer()
    assert session.remaining == 0


def test_a_changed_argument_is_changed_in_each_repeat() -> None:
    @tool
    def fill(into: list[str]) -> None:
        into.append("x")

    with use_cassette("fill", mode="all"):
        fill([])
    first: list[str] = []
    second: list[str] = []
    with use_cassette("fill", repeats=["fill"]):
        fill(first)
        fill(second)
    assert first == second == ["x"]


async def test_repeats_beside_each_other() -> None:
    import asyncio

    @tool
    async def get_token() -> str:
        await asyncio.sleep(0.01)
        return "t"

    with use_cassette("token", mode="all", freeze=()):
        await asyncio.gather(get_token(), get_token())
    with use_cassette("token", repeats=["get_token"]) as session:
        assert await asyncio.gather(*(get_token() for _ in range(5))) == ["t"] * 5
    assert session.remaining == 0


def test_a_live_call_is_never_answered_by_a_repeat() -> None:
    poll = polling(["a", "b", "c"])
    with use_cassette("jobs", mode="all"):
        poll(1)
    with use_cassette("jobs", live=["poll"], repeats=["poll"]):
        assert [poll(1), poll(1)] == ["b", "c"]


def test_a_refreshed_cassette_has_the_rounds_of_the_run() -> None:
    poll = polling(["queued", "done", "new"])
    with use_cassette("jobs", mode="all"):
        poll(1)
        poll(1)
    with use_cassette("jobs", mode="refresh", repeats=["poll"]):
        assert [poll(1), poll(1), poll(2), poll(1)] == ["queued", "done", "new", "done"]

    made = Cassette.load("cassettes/jobs.yaml").interactions
    assert [each.response for each in made] == ["queued", "done", "new", "done"]
    starts = [each.start_ms or 0 for each in made]
    assert starts == sorted(starts)


@pytest.mark.usefixtures("recorded")
def test_an_unknown_token_is_told() -> None:
    poll = polling()
    session = use_cassette("jobs", repeats=["pol"]).open()
    for _ in range(3):
        poll(1)
    with pytest.warns(AgentTapeWarning, match="unknown repeats token 'pol'. Did you mean 'poll'"):
        session.leave(None)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("token", ["poll", "api.example.com", "*.example.com:8443", "http"])
def test_a_token_that_may_be_one_is_not_told(token: str) -> None:
    poll = polling()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_cassette("jobs", repeats=[token]):
            for _ in range(3):
                poll(1)


@pytest.mark.parametrize("given", [[""], [1], 3])
def test_what_is_no_token_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="repeats takes kinds"):
        use_cassette("jobs", repeats=given)
