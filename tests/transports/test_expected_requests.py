"""A request that is what comes next is told by its bytes; what it gets is what any request gets that is parsed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_agenttape import UnmatchedInteractionError, ownership, use_cassette
from pytest_agenttape.bodies.messages import HttpRequest
from pytest_agenttape.session.session import Session
from pytest_agenttape.transports import exchange as exchanges

TOKEN = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ"
# Each differs from another by a type, an order, a secret or a look-alike of one.
BODIES: list[Any] = [
    {"q": "tea", "n": 1}, {"n": 1, "q": "tea"}, {"q": "tea", "n": True}, {"q": "tea", "n": 1.0}, {"q": "tea"},
    [{"q": "tea"}], "tea", {"q": f"with {TOKEN}"}, {"api_key": TOKEN}, {"q": "with REDACTED0001"},
    {"api_key": "REDACTED0001"}, {"q": "swordfish-swordfish"}, {"jsonrpc": "2.0", "id": 1, "method": "ping"},
    {"jsonrpc": "2.0", "id": 2, "method": "ping"}, {"q": float("nan")}, {"id": "é, \n\\u00e9"},
]  # fmt: skip
LAYOUTS: list[dict[str, Any]] = [{"separators": (",", ":"), "ensure_ascii": False}, {}, {"indent": 1}]
KEYS = ["", "Bearer tea", f"Bearer {TOKEN}", "Bearer swordfish-swordfish"]
Asked = tuple[int, int, int]  # a body, its layout, a key

requests = st.lists(st.tuples(*(st.integers(0, len(each) - 1) for each in (BODIES, LAYOUTS, KEYS))), max_size=4)


def sent(asked: Asked) -> HttpRequest:
    body, layout, key = asked
    content = json.dumps(BODIES[body], **LAYOUTS[layout]).encode()
    headers = (("content-type", "application/json"), *([("authorization", KEYS[key])] if KEYS[key] else []))
    return HttpRequest("POST", "https://api.example/v1/chat/completions", headers, content)


def replayed(path: Path, asked: list[Asked]) -> list[object]:
    """Return all that can be seen of a replay."""
    seen: list[object] = []
    with use_cassette(path, record=False, freeze=()) as session:
        for each in asked:
            try:
                exchange = exchanges.begin(ownership.Scope(session), sent(each))
            except UnmatchedInteractionError as error:
                error.is_expected = True
                seen.append(str(error))
            else:
                assert exchange.recorded is not None
                seen += [exchange.recorded.response, repr(exchange.call.call)]
        seen += [repr(session.interactions), session.divergences, session.remaining]
    return seen


@pytest.fixture(scope="module")
def cassettes() -> Iterator[Callable[[list[Asked]], Path]]:
    with tempfile.TemporaryDirectory() as folder:
        numbers = iter(range(1_000_000))

        def written(recorded: list[Asked]) -> Path:
            path = Path(folder) / f"{next(numbers)}.yaml"
            with use_cassette(path, mode="all", freeze=()) as session:
                for number, each in enumerate(recorded):
                    exchange = exchanges.begin(ownership.Scope(session), sent(each))
                    session.finish(exchange.live, response={"status": 200, "headers": {}, "json": number}, status=200)
            return path

        yield written


@settings(deadline=None, max_examples=30)
@given(recorded=requests, asked=requests, is_in_step=st.booleans())
@example(recorded=[(0, 0, 2), (7, 0, 2)], asked=[(0, 0, 2), (7, 0, 3)], is_in_step=False)
@example(recorded=[(12, 0, 0)], asked=[(13, 0, 0)], is_in_step=False)
def test_a_request_that_is_expected_gets_what_it_would_get_if_it_were_parsed(
    cassettes: Callable[[list[Asked]], Path], recorded: list[Asked], asked: list[Asked], is_in_step: bool
) -> None:
    path = cassettes(recorded)
    asked = [*recorded, *asked] if is_in_step else asked
    with mock.patch.dict("os.environ", {"SHOP_PASSWORD": "swordfish-swordfish"}):
        quick = replayed(path, asked)
        with mock.patch.object(Session, "expected", {}):
            assert replayed(path, asked) == quick


def test_an_expected_request_is_searched_for_secrets(tmp_path: Path) -> None:
    """Someone edits the cassette so that a request in it holds a secret, which a call then sends word for word."""
    path = tmp_path / "edited.yaml"
    text = f"""version: "1"
meta: {{redacted: []}}
interactions:
- index: 0
  kind: http
  request:
    method: POST
    url: https://api.example/v1/chat/completions
    headers: {{content-type: application/json}}
    json: {{q: with {TOKEN}}}
  response: {{status: 200, headers: {{}}, json: {{}}}}
"""
    path.write_text(text)
    with use_cassette(path, freeze=()) as session:
        exchange = exchanges.begin(ownership.Scope(session), sent((7, 0, 0)))
        assert exchange.recorded is not None
        assert TOKEN not in repr(exchange.call.call)
