"""HTTP that code writes into a socket itself is seen, where it goes to this machine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import NetworkBlockedError, RecordingRefusedError, tool, use_cassette
from tests.loopback import Handler, serving

GET = b"GET /paid HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


class _Counting(Handler):
    asked: list[str] = []  # noqa: RUF012  # one server, one record

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.answer(b"{}")


@pytest.fixture
def port() -> Iterator[int]:
    _Counting.asked.clear()
    with serving(_Counting) as url:
        yield int(url.rpartition(":")[2])


def _by_socket(port: int, head: bytes = GET % b"localhost") -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(memoryview(head))
        return sock.recv(100)


async def _stream(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET % b"127.0.0.1")
    with contextlib.closing(writer):
        return await reader.read(100)


def _in_pieces(port: int, *pieces: bytes, head: bytes = GET % b"localhost") -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        for piece in pieces:
            sock.send(piece)
            head = head.removeprefix(piece)
        sock.sendmsg(iter([head[:8], memoryview(head)[8:]]))
        return sock.recv(100)


WAYS: dict[str, Callable[[int], object]] = {
    "a socket": _by_socket,
    "asyncio": lambda port: asyncio.run(_stream(port)),
    "a proxy's form": lambda port: _by_socket(port, b"GET http://localhost/paid HTTP/1.0\r\n\r\n"),
    "HTTP/2": lambda port: _by_socket(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "sendmsg, as asyncio's writelines does": lambda port: _in_pieces(port),
    "pieces": lambda port: _in_pieces(port, b"G", b"E"),  # of more, some servers make a request of HTTP/0.9
    "a line without its end": lambda port: _in_pieces(port, b"G", b"ET /paid HTTP/1.1"),
    "another method": lambda port: _by_socket(port, b"\r\nM-SEARCH /paid HTTP/1.1\r\n\r\n"),
    "WebSocket": lambda port: _by_socket(port, GET[:-2] % b"localhost" + b"Upgrade: websocket\r\n\r\n"),
}


@pytest.mark.parametrize("name", WAYS)
def test_it_is_not_sent_in_replay(tmp_path: Path, port: int, name: str) -> None:
    refused = pytest.raises(
        NetworkBlockedError, match=f":{port} blocked: in replay no HTTP is sent that nothing replays"
    )
    with refused, use_cassette(tmp_path / "x.yaml"), contextlib.suppress(Exception):
        WAYS[name](port)
    assert _Counting.asked == []


def test_a_recording_with_it_is_refused(tmp_path: Path, port: int) -> None:
    refused = pytest.raises(RecordingRefusedError, match="would block: localhost; the recording is not kept")
    with refused, use_cassette(tmp_path / "x.yaml", mode="all"):
        assert _by_socket(port).startswith(b"HTTP/1.1 200")
    assert not (tmp_path / "x.yaml").exists()


@pytest.mark.parametrize("option", ["allow_hosts", "ignore_hosts"])
def test_it_is_sent_where_its_host_is_free(tmp_path: Path, port: int, option: str) -> None:
    free: Any = {option: ["localhost"]}
    with use_cassette(tmp_path / "x.yaml", **free):
        assert _by_socket(port).startswith(b"HTTP/1.1 200")


def test_it_is_sent_in_a_tool_and_by_a_library_whose_host_is_ignored(tmp_path: Path, port: int) -> None:
    asked = tool(name="asked")(lambda: len(_by_socket(port)))
    with use_cassette(tmp_path / "x.yaml", mode="all", ignore_hosts=["127.0.0.1"]):
        assert asked() > 0
        assert httpx.get(f"http://127.0.0.1:{port}/free").status_code == 200
    assert _Counting.asked == ["/paid", "/free"]


@pytest.mark.parametrize("said", [b"SELECT 1", b"GET key\r\n", b"HTTP/1.1 200 OK\r\n\r\n", b"*1\r\n"])
def test_what_is_no_request_is_free(tmp_path: Path, said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, use_cassette(tmp_path / "x.yaml"):
        sock = socket.create_connection(server.getsockname())
        assert sock.send(said) == len(said)
        sock.close()
