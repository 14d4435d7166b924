"""The table of docs/appendix/ways-out.md: each row is what happens, with the line that a user reads."""

from __future__ import annotations

import asyncio
import contextlib
import ftplib
import imaplib
import multiprocessing
import os
import re
import smtplib
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import boto3
import botocore.httpsession
import httpx
import httpx2
import pytest
import requests
import trio
import urllib3
from botocore import UNSIGNED
from botocore.config import Config

from pytest_agenttape import AgentTapeError, record_call, tool, use_cassette
from tests.plugin.test_network_guard import escaped  # noqa: F401  # stops here what a guard that fails lets through
from tests.standin import StandInProvider, raw
from tests.transports import test_grpc, test_mcp_stdio, test_websockets
from tests.transports.grpc_server import Server

pytestmark = pytest.mark.skipif(os.name != "posix", reason="these programs are POSIX's")

DOCS = Path(__file__).parents[2] / "docs/appendix/ways-out.md"
FOREIGN = "192.0.2.1"
TRUE = "/bin/true"


# Recorded -----------------------------------------------------------------------------------------------------------


async def _by_async_httpx(url: str) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).json()


async def _by_aiohttp(url: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.json()


def _by_urllib(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body: bytes = opener.open(url).read()
    return body


def _by_boto3(url: str) -> Any:
    endpoint = url.partition("/weather")[0]
    options: Any = {"region_name": "eu-west-1", "endpoint_url": endpoint, "config": Config(signature_version=UNSIGNED)}
    return boto3.client("s3", **options).get_object(Bucket="echo", Key="key")["Body"].read()


HTTP: dict[str, Callable[[str], Any]] = {
    "httpx, httpx2": lambda url: [httpx.get(url).json(), httpx2.get(url).json(), asyncio.run(_by_async_httpx(url))],
    "httpx on trio": lambda url: trio.run(_by_async_httpx, url),
    "requests": lambda url: requests.get(url).json(),
    "aiohttp": lambda url: asyncio.run(_by_aiohttp(url)),
    "urllib3": lambda url: urllib3.request("GET", url).json(),
    "urllib.request, http.client": _by_urllib,
    "boto3": _by_boto3,
}


@pytest.mark.parametrize("name", HTTP)
def test_http_is_recorded(tmp_path: Path, standin_provider: StandInProvider, name: str) -> None:
    standin_provider.reply(raw(b"an object"), to="/echo/key")
    url = f"{standin_provider.url}/weather?city=London"
    with use_cassette(tmp_path / "x.yaml", mode="all"):
        live = HTTP[name](url)
    standin_provider.stop()
    with use_cassette(tmp_path / "x.yaml"):
        assert HTTP[name](url) == live
    assert documented()[name] == ("recorded", "replayed")


def test_grpc_is_recorded(tmp_path: Path) -> None:
    server = Server()
    assert test_grpc.Tape(tmp_path / "x.yaml", server).both(test_grpc.unary)
    assert documented()["gRPC: grpcio, `grpc.aio`"] == ("recorded", "replayed")


def _talk_by_aiohttp(message: str) -> Callable[[str], Any]:
    async def agent(url: str) -> list[str]:
        async with aiohttp.ClientSession() as session, session.ws_connect(url) as connection:
            heard = [await connection.receive_str()]
            await connection.send_str(message)
            return [*heard, await connection.receive_str()]

    return agent


@pytest.mark.parametrize(
    "talk",
    [test_websockets.talk, test_websockets.talk_sync, _talk_by_aiohttp],
    ids=["websockets", "websockets, sync", "aiohttp"],
)
def test_websockets_are_recorded(tmp_path: Path, talk: Any) -> None:
    desk = test_websockets.Desk(tmp_path / "x.yaml")
    run = talk("hello")
    assert desk.record(run)
    desk.replay(run)
    assert documented()["WebSockets: aiohttp, websockets"] == ("recorded", "replayed")


def test_mcp_is_recorded(tmp_path: Path) -> None:
    desk = test_mcp_stdio.Desk(tmp_path)
    assert desk.record(test_mcp_stdio.echo("a")) == desk.replay(test_mcp_stdio.echo("a"))
    assert documented()["MCP over stdio"] == ("recorded", "replayed")


def test_a_program_of_a_tool_is_recorded_with_it(tmp_path: Path) -> None:
    ran = []

    @tool
    def run() -> int:
        ran.append(1)
        return subprocess.run([TRUE], check=True).returncode

    for mode in ("all", "none"):
        with use_cassette(tmp_path / "x.yaml", mode=mode):  # type: ignore[arg-type]  # two of its words
            assert run() == 0
    assert ran == [1]
    assert documented()["anything in a `@tool`"] == ("recorded", "replayed")


# Refused ------------------------------------------------------------------------------------------------------------


def _by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", (FOREIGN, 53))


def _by_socket() -> None:
    socket.create_connection((FOREIGN, 443), timeout=1).close()


def _by_own_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def _by_trio() -> None:
    await trio.open_tcp_stream(FOREIGN, 443)


async def _by_asyncio() -> None:
    await asyncio.create_subprocess_exec(TRUE)


async def _by_anyio() -> None:
    await anyio.run_process([TRUE])


async def _by_trio_program() -> None:
    await trio.run_process([TRUE])


REFUSED: dict[str, Callable[[], object]] = {
    "a TCP socket": _by_socket,
    "HTTP written into a socket to this machine": _by_own_http,
    "a UDP socket": _by_udp,
    "a look-up of a name": lambda: socket.getaddrinfo("api.invalid", 443),
    "`asyncio.open_connection`": lambda: asyncio.run(asyncio.open_connection(FOREIGN, 443)),
    "trio, `open_tcp_stream`": lambda: trio.run(_by_trio),
    "smtplib": lambda: smtplib.SMTP(FOREIGN, 25, timeout=1),
    "ftplib": lambda: ftplib.FTP(FOREIGN, timeout=1),
    "imaplib": lambda: imaplib.IMAP4(FOREIGN, timeout=1),
    "`subprocess`": lambda: subprocess.run([TRUE], check=True),
    "a shell of `subprocess`": lambda: subprocess.run("true && true", shell=True, check=True),
    "`os.system`, `os.popen`": lambda: os.system("true && true"),
    "`os.exec...`": lambda: os.execv(TRUE, [TRUE]),
    "`os.posix_spawn`": lambda: os.posix_spawn(TRUE, [TRUE], {}),
    "`os.spawn...`": lambda: os.spawnv(os.P_WAIT, TRUE, [TRUE]),
    "asyncio, `create_subprocess_exec`": lambda: asyncio.run(_by_asyncio()),
    "anyio, `run_process`": lambda: anyio.run(_by_anyio),
    "trio, `run_process`": lambda: trio.run(_by_trio_program),
    "another Python": lambda: subprocess.run([sys.executable, "-c", ""], check=True),
}


def _outcome(path: Path, mode: str, run: Callable[[], object]) -> str:
    """Return the first line of the error with which *run* or its recording is refused, though it swallows any."""
    refused: AgentTapeError | None = None
    block = use_cassette(path, mode=mode)  # type: ignore[arg-type]  # "all" or "none"
    try:
        with block, contextlib.suppress(Exception):
            _recorded_call()
            run()
    except AgentTapeError as error:
        refused = error
    refused = block.verdict.first or refused
    return f"`{_without_port(str(refused).splitlines()[0])}`" if refused else "free"


def _without_port(line: str) -> str:
    return re.sub(r"localhost:\d+", "localhost:8080", line)


def _recorded_call() -> None:
    record_call("tool", {"args": {}}, lambda: 1)


@pytest.mark.parametrize("name", REFUSED)
def test_everything_else_is_refused(tmp_path: Path, name: str) -> None:
    with use_cassette(tmp_path / "before.yaml", mode="all"):
        _recorded_call()
    recorded = _outcome(tmp_path / "x.yaml", "all", REFUSED[name])
    assert documented()[name] == (recorded, _outcome(tmp_path / "before.yaml", "none", REFUSED[name]))
    assert not (tmp_path / "x.yaml").exists()


def test_a_release_that_is_not_known_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(botocore.httpsession.URLLib3Session, "send")
    outcomes = (_outcome(tmp_path / "x.yaml", mode, _recorded_call) for mode in ("all", "none"))
    recorded, replayed = (each.replace(botocore.__version__, "9.9") for each in outcomes)
    assert documented()["a release of a library that recording does not know"] == (recorded, replayed)


# Free ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def echoing() -> Iterator[tuple[str, int]]:
    """A server on this machine that speaks no protocol of ours, as a database does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.sendall(connection.recv(10))
                    connection.close()

        threading.Thread(target=answer, daemon=True).start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)


def test_a_socket_to_this_machine_is_free(tmp_path: Path, echoing: tuple[str, int]) -> None:
    def ask() -> None:
        with socket.create_connection(echoing) as sock:
            sock.sendall(b"select 1")
            assert sock.recv(10) == b"select 1"

    assert _both(tmp_path, ask) == documented()["a socket to this machine that speaks no HTTP (a database)"]


def test_a_unix_socket_is_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        server.listen()

        def ask() -> None:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect("s")

        assert _both(tmp_path, ask) == documented()["a Unix socket"]


def test_a_worker_of_multiprocessing_is_free(tmp_path: Path) -> None:
    def ask() -> None:
        worker = multiprocessing.get_context("spawn").Process(target=os.getpid)
        worker.start()
        worker.join()
        assert worker.exitcode == 0

    assert _both(tmp_path, ask) == documented()["a worker of `multiprocessing`, in which no tool runs"]


def test_a_question_to_the_platform_is_free(tmp_path: Path) -> None:
    def ask() -> None:
        assert subprocess.run(["uname"], check=True, capture_output=True).stdout

    assert _both(tmp_path, ask) == documented()["a question about the platform: `uname`, `lscpu`, ..."]


def _both(folder: Path, run: Callable[[], object]) -> tuple[str, str]:
    with use_cassette(folder / "x.yaml", mode="all"):
        run()
    with use_cassette(folder / "x.yaml"):
        run()
    return ("free", "free")


# The table ----------------------------------------------------------------------------------------------------------


def documented() -> dict[str, tuple[str, str]]:
    """Return the rows of the table, by way out: what happens in a recording, and in replay."""
    rows = re.findall(r"^\| (.+?) +\| (.+?) +\| (.+?) +\|$", DOCS.read_text(), re.MULTILINE)
    return {name: (recording, replay) for name, recording, replay in rows if name != "way out"}


def test_each_row_of_the_table_is_tested() -> None:
    others = {
        "gRPC: grpcio, `grpc.aio`",
        "WebSockets: aiohttp, websockets",
        "MCP over stdio",
        "anything in a `@tool`",
        "a socket to this machine that speaks no HTTP (a database)",
        "a Unix socket",
        "a release of a library that recording does not know",
        "a worker of `multiprocessing`, in which no tool runs",
        "a question about the platform: `uname`, `lscpu`, ...",
    }
    assert {name for name in documented() if not name.startswith("-")} == {*HTTP, *REFUSED, *others}
