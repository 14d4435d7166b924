"""Tokens beyond kinds and names: the hosts of HTTP requests, and the labels that users give to their boundaries."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import Cassette, CassetteNotFoundError, UnmatchedInteractionError, intercept, tool, use_cassette
from tests.loopback import serving

asked: list[str] = []


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked.clear()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.headers["host"].partition(":")[0] + self.path)
        body = f"answer {len(asked)}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server; the tests know it by two names: the address, and localhost."""
    with serving(_Handler) as url:
        yield int(url.rpartition(":")[2])


def agent(port: int) -> list[str]:
    """Pay at one host and look at another."""
    return [
        httpx.get(f"http://{host}:{port}/{what}").text for host, what in (("127.0.0.1", "pay"), ("localhost", "look"))
    ]


@pytest.mark.parametrize("token", ["127.0.0.1", "127.0.0.0/8", "127.0.0.1:PORT"])
def test_a_frozen_host_is_replayed_in_every_mode(port: int, token: str) -> None:
    with use_cassette("shop", mode="all"):
        agent(port)
    asked.clear()
    with use_cassette("shop", mode="all", frozen={token.replace("PORT", str(port))}):
        assert agent(port) == ["answer 1", "answer 1"]
    assert asked == ["localhost/look"]


def test_a_request_to_a_frozen_host_that_is_not_recorded_is_refused(port: int) -> None:
    with (
        pytest.raises(CassetteNotFoundError, match="frozen calls are only replayed"),
        use_cassette("shop", mode="all", frozen={"127.0.0.1"}),
    ):
        agent(port)
    assert asked == []


def test_a_live_host_is_asked_for_real_and_the_rest_is_replayed(port: int) -> None:
    with use_cassette("shop", mode="all"):
        agent(port)
    asked.clear()
    with use_cassette("shop", live={"localhost"}) as session:
        assert agent(port) == ["answer 1", "answer 1"]
    assert asked == ["localhost/look"]
    assert session.unplayed == []


@pytest.mark.parametrize("mode", ["none", "all"])
def test_the_host_of_a_request_in_a_live_tool_is_judged_by_its_own_token(port: int, mode: str) -> None:
    @tool
    def checkout() -> str:
        return httpx.get(f"http://127.0.0.1:{port}/pay").text

    with use_cassette("shop", mode="all"):
        checkout()
    asked.clear()
    if mode == "none":
        with use_cassette("shop", live={"checkout", "127.0.0.1"}):
            checkout()
        assert asked == ["127.0.0.1/pay"]
        return
    with pytest.raises(UnmatchedInteractionError), use_cassette("shop", mode="all", frozen={"127.0.0.1"}):
        checkout()
    assert asked == []


@pytest.mark.parametrize("option", ["live", "frozen"])
def test_a_host_that_is_not_asked_is_not_reported(option: str, port: int) -> None:
    with use_cassette("shop", mode="all"):
        agent(port)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_cassette("shop", **{option: {"api.stripe.com", "*.internal:8080"}}):  # type: ignore[arg-type]
            agent(port)


# -- labels

ran: list[str] = []


def plan(goal: str) -> str:
    ran.append("plan")
    return f"pay for {goal}"


@pytest.fixture
def planner() -> Any:
    ran.clear()
    return intercept(plan, kind="planner")


def test_a_free_form_kind_is_kept_as_the_label_of_a_tool(planner: Any) -> None:
    with use_cassette("plan", mode="all"):
        planner("lunch")
    with use_cassette("plan") as session:
        assert planner("lunch") == "pay for lunch"

    (recorded,) = Cassette.load("cassettes/plan.yaml").interactions
    assert (recorded.kind, recorded.boundary, recorded.label) == ("tool", "plan", "planner")
    assert "label: planner" in Path("cassettes/plan.yaml").read_text()
    assert session.interactions[0].label == "planner"
    assert ran == ["plan"]


def test_a_label_is_a_token_of_live_frozen_and_repeats(planner: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with use_cassette("plan", mode="all"):
            planner("lunch")
        with use_cassette("plan", mode="all", frozen={"planner"}):
            planner("lunch")
        with use_cassette("plan", repeats={"planner"}):
            planner("lunch")
            planner("lunch")
        assert ran == ["plan"]
        with use_cassette("plan", live={"planner"}):
            planner("dinner")
        assert ran == ["plan", "plan"]


async def test_a_generator_and_a_coroutine_have_labels_too() -> None:
    async def think() -> str:
        return "hm"

    def say() -> Iterator[str]:
        yield "so"

    thought, said = intercept(think, kind="inner voice"), intercept(kind="inner voice")(say)
    for mode in ("all", "none"):
        with use_cassette("voice", mode=mode) as session:
            assert await thought() == "hm"
            assert list(said()) == ["so"]
        assert [each.label for each in session.interactions] == ["inner voice"] * 2
