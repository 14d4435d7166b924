"""HTTP clients in C and Rust: nothing of theirs leaves in replay, and a recording says that it cannot have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import curl_cffi
import impit
import primp
import pytest

from pytest_agenttape import AgentTapeError, Mode, tool, use_cassette
from tests.loopback import serving

EMPTY = 'version: "1"\ninteractions: []\n'
asked: list[str] = []


class _Counting(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Be quiet."""


@pytest.fixture
def url() -> Iterator[str]:
    asked.clear()
    with serving(_Counting) as found:
        yield f"{found}/"


def _curl_async(url: str) -> str:
    async def ask() -> str:
        async with curl_cffi.AsyncSession() as session:
            return str((await session.get(url)).text)

    return asyncio.run(ask())


def _primp_async(url: str) -> str:
    async def ask() -> str:
        return str((await primp.AsyncClient().get(url)).text)

    return asyncio.run(ask())


def _impit_async(url: str) -> str:
    async def ask() -> str:
        async with impit.AsyncClient() as client:
            return (await client.get(url)).text

    return asyncio.run(ask())


def _impit_stream(url: str) -> str:
    with impit.Client() as client, client.stream("GET", url) as answer:
        return answer.read().decode()


def _curl_stream(url: str) -> str:
    with curl_cffi.Session() as session, session.stream("GET", url) as answer:
        return b"".join(answer.iter_content()).decode()


WAYS: dict[str, Callable[[str], str]] = {
    "curl_cffi.get": lambda url: str(curl_cffi.get(url).text),
    "curl_cffi, a session with a base": lambda url: str(curl_cffi.Session(base_url=url).request("GET", "x").text),
    "curl_cffi, a stream": _curl_stream,
    "curl_cffi, async": _curl_async,
    "primp.get": lambda url: str(primp.get(url).text),
    "primp, a client": lambda url: str(primp.Client().get(url=url).text),
    "primp, any method": lambda url: str(primp.Client().request("GET", url).text),
    "primp, async": _primp_async,
    "impit.get": lambda url: impit.get(url).text,
    "impit, a client": lambda url: impit.Client().request("GET", url=url).text,
    "impit, a stream": _impit_stream,
    "impit, async": _impit_async,
}


@pytest.mark.parametrize("mode", ["all", "none"])
@pytest.mark.parametrize("way", WAYS)
def test_a_request_is_refused_also_when_that_is_swallowed(way: str, mode: Mode, url: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(EMPTY)
    with pytest.raises(AgentTapeError) as told, use_cassette(path, mode=mode), suppress(Exception):
        WAYS[way](url)
    assert asked == []
    library = way.partition(".")[0].partition(",")[0]
    assert (
        f"a request to 127.0.0.1 by {library} cannot be recorded or replayed, for Python sees nothing of it: "
        'wrap the caller in @tool, or allow it: allow_hosts=["127.0.0.1"]'
    ) in str(told.value)
    assert path.read_text() == EMPTY


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_may_send_it_while_it_is_recorded(way: str, url: str, tmp_path: Path) -> None:
    @tool
    def search() -> str:
        return WAYS[way](url)

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        assert search() == "ok"
    assert len(asked) == 1
    with use_cassette(tmp_path / "x.yaml"):
        assert search() == "ok"
    assert len(asked) == 1


@pytest.mark.parametrize("way", WAYS)
def test_it_goes_out_where_its_host_is_allowed_and_where_no_cassette_is_open(
    way: str, url: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(EMPTY)
    with use_cassette(path, allow_hosts=["127.0.0.1"]):
        assert WAYS[way](url) == "ok"
    assert WAYS[way](url) == "ok"
    assert len(asked) == 2
