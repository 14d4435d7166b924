"""A cassette recorded on one machine is replayed on another one, and a request that asks something else is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx2
import pytest

from pytest_agenttape import Config, UnmatchedInteractionError, use_cassette
from tests.standin import StandInProvider
from tests.tables import compare_with_page

_BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Reply with exactly: hi"}], "seed": 1}
_HEADERS = {
    "authorization": "Bearer sk-proj-A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6",
    "content-type": "application/json",
    "user-agent": "OpenAI/Python 3.1.0",
    "x-stainless-package-version": "3.1.0",
    "x-stainless-os": "MacOS",
    "x-stainless-runtime-version": "3.13.1",
    "openai-organization": "org-dev",
    "openai-project": "proj-dev",
    "cookie": "session=A1b2C3d4E5f6G7h8I9j0",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@dataclass(frozen=True)
class Asked:
    """One request of an agent."""

    path: str = "/v1/chat/completions"
    query: str = "?api-version=1"
    userinfo: str = ""
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=lambda: dict(_HEADERS))
    body: dict[str, object] = field(default_factory=lambda: dict(_BODY))
    layout: dict[str, object] = field(default_factory=dict)

    def send(self, base: str) -> str:
        url = base.replace("://", f"://{self.userinfo}") + self.path + self.query
        content = json.dumps(self.body, **self.layout).encode()  # type: ignore[arg-type]  # json's own options
        with httpx2.Client() as client:
            return client.request(self.method, url, headers=self.headers, content=content).text


def with_headers(**changed: str | None) -> Asked:
    named = {name.replace("_", "-"): value for name, value in changed.items()}
    kept = {name: value for name, value in _HEADERS.items() if name not in named}
    return Asked(headers={**kept, **{name: value for name, value in named.items() if value is not None}})


HERE = Asked()
ANOTHER_KEY = "Bearer sk-proj-Z9y8X7w6V5u4T3s2R1q0P9o8N7m6L5k4"

# What differs, how it was recorded where that is not `HERE`, and how it is asked.
REPLAYED: dict[str, tuple[Asked, Asked]] = {
    "another API key": (HERE, with_headers(authorization=ANOTHER_KEY)),
    "a dummy key": (HERE, with_headers(authorization="Bearer test")),
    "no key": (HERE, with_headers(authorization=None)),
    "a key under another scheme": (HERE, with_headers(authorization=None, x_api_key="A1b2C3d4E5f6G7h8I9j0")),
    "a key in the query, or none": (replace(HERE, query="?api-version=1&key=A1b2C3d4E5f6G7h8I9j0K1l2"), HERE),
    "user and password before the host": (HERE, replace(HERE, userinfo="ci:A1b2C3d4E5f6G7h8@")),
    "another cookie, or none": (HERE, with_headers(cookie=None)),
    "another release of the SDK": (
        HERE,
        with_headers(x_stainless_package_version="3.4.0", user_agent="OpenAI/Python 3.4.0"),
    ),
    "another operating system and Python": (
        HERE,
        with_headers(x_stainless_os="Linux", x_stainless_runtime_version="3.11.7"),
    ),
    "an organisation and a project in the environment, or none": (
        HERE,
        with_headers(openai_organization="org-ci", openai_project=None),
    ),
    "trace ids": (HERE, with_headers(traceparent=None, x_datadog_trace_id="1")),
    "a header that a proxy or a gateway wants": (HERE, with_headers(x_gateway_tenant="ci")),
    "compression, connection and language headers": (
        HERE,
        with_headers(accept_encoding="br", connection="close", accept_language="de"),
    ),
    "`charset` beside the content type": (HERE, with_headers(content_type="application/json; charset=utf-8")),
    "the port of a server on this machine": (HERE, HERE),
    "the order of keys and spaces in JSON": (HERE, replace(HERE, layout={"sort_keys": True, "indent": 1})),
    "the order of query parameters": (
        replace(HERE, query="?api-version=1&a=2"),
        replace(HERE, query="?a=2&api-version=1"),
    ),
    "a time stamp or a nonce in the query": (
        replace(HERE, query="?ts=1&nonce=a"),
        replace(HERE, query="?ts=2&nonce=b"),
    ),
}
REFUSED: dict[str, tuple[Asked, Asked]] = {
    "a word of the prompt": (HERE, replace(HERE, body={**_BODY, "messages": [{"role": "user", "content": "hi"}]})),
    "the model": (HERE, replace(HERE, body={**_BODY, "model": "gpt-4o"})),
    "a parameter of the model": (HERE, replace(HERE, body={**_BODY, "seed": 2})),
    "the method or the path": (HERE, replace(HERE, path="/v2/chat/completions")),
    "a query parameter": (HERE, replace(HERE, query="?api-version=2")),
    "a beta header of OpenAI or Anthropic": (HERE, with_headers(openai_beta="assistants=v2")),
    "what is accepted": (HERE, with_headers(accept="text/csv")),
    "a range of bytes": (HERE, with_headers(range="bytes=0-9")),
}


@pytest.fixture
def elsewhere() -> Iterator[StandInProvider]:
    with StandInProvider() as provider:
        yield provider


def _record(path: Path, provider: StandInProvider, asked: Asked) -> str:
    with use_cassette(path, mode="all", allow_errors=True):
        return asked.send(provider.url)


@pytest.mark.parametrize("what", REPLAYED)
def test_it_is_replayed(
    tmp_path: Path, standin_provider: StandInProvider, elsewhere: StandInProvider, what: str
) -> None:
    recorded, asked = REPLAYED[what]
    before = _record(tmp_path / "x.yaml", standin_provider, recorded)
    with use_cassette(tmp_path / "x.yaml") as session:
        assert asked.send(elsewhere.url) == before
    assert session.unplayed == []
    assert elsewhere.hits == 0


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(tmp_path: Path, standin_provider: StandInProvider, what: str) -> None:
    recorded, asked = REFUSED[what]
    _record(tmp_path / "x.yaml", standin_provider, recorded)
    hits = standin_provider.hits
    with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "x.yaml"):
        asked.send(standin_provider.url)
    assert standin_provider.hits == hits


@pytest.mark.parametrize("matches", [True, False])
def test_where_a_model_is_asked_is_compared_unless_it_is_left_out(
    tmp_path: Path, standin_provider: StandInProvider, matches: bool
) -> None:
    config = Config(match_base_url=matches)
    with use_cassette(tmp_path / "x.yaml", mode="all", config=config):
        before = HERE.send(standin_provider.url)
    if matches:
        with pytest.raises(UnmatchedInteractionError), use_cassette(tmp_path / "x.yaml", config=config):
            HERE.send("https://gateway.invalid")
    else:
        with use_cassette(tmp_path / "x.yaml", config=config):
            assert HERE.send("https://gateway.invalid") == before


@pytest.mark.parametrize("name", ["OpenAI-Organization", "User-Agent"])
def test_a_header_that_is_named_is_compared(tmp_path: Path, standin_provider: StandInProvider, name: str) -> None:
    config = Config(match_headers=[name])
    there = with_headers(**{name.replace("-", "_").lower(): "other/1"})
    with use_cassette(tmp_path / "x.yaml", mode="all", config=config):
        before = HERE.send(standin_provider.url)
    with use_cassette(tmp_path / "x.yaml", config=config):
        assert HERE.send(standin_provider.url) == before
    with (
        pytest.raises(UnmatchedInteractionError, match=name.lower()),
        use_cassette(tmp_path / "x.yaml", config=config),
    ):
        there.send(standin_provider.url)


def test_the_page_says_what_is_replayed() -> None:
    rows = [*((what, "replayed") for what in REPLAYED), *((what, "refused") for what in REFUSED)]
    rows += [
        ("scheme, host and port of a server elsewhere", "refused; for LLM calls `match_base_url = false` replays it")
    ]
    compare_with_page(
        "matching.md",
        "machines",
        [
            "| what differs from the recording | the call is |",
            "|---|---|",
            *(f"| {what} | {how} |" for what, how in rows),
        ],
    )
