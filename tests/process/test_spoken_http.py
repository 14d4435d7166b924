"""HTTP that code writes into a socket itself is seen, where it goes to this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpcore2
import httpx
import pytest
import trio

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


def _by_sendto(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendto(GET % b"localhost", ("127.0.0.1", port))
        return sock.recv(100)


async def _trio(port: int) -> None:
    with trio.socket.socket() as sock:
        await sock.connect(("127.0.0.1", port))
        await sock.send(GET % b"localhost")
        await sock.recv(100)


async def _trio_stream(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(GET % b"localhost")


def _by_number(port: int, write: Callable[[int], object]) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        write(sock.fileno())
        return sock.recv(100)


def _one_connection(httpcore: Any, port: int) -> None:
    with httpcore.HTTPConnection(httpcore.URL(f"http://localhost:{port}").origin) as connection:
        connection.request("GET", f"http://localhost:{port}/paid")


def _tls(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port)) as raw, _anonymous().wrap_socket(raw) as sock:
        sock.sendall(GET % b"localhost")
        return sock.recv(100)


async def _tls_stream(port: int) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_anonymous(), server_hostname="localhost")
    writer.write(GET % b"localhost")
    writer.close()


def _anonymous(purpose: int = ssl.PROTOCOL_TLS_CLIENT) -> ssl.SSLContext:
    """Return a context that needs no certificate."""
    context = ssl.SSLContext(purpose)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("aNULL:@SECLEVEL=0")
    return context


WAYS: dict[str, Callable[[int], object]] = {
    "a socket": _by_socket,
    "asyncio": lambda port: asyncio.run(_stream(port)),
    "a proxy's form": lambda port: _by_socket(port, b"GET http://localhost/paid HTTP/1.0\r\n\r\n"),
    "HTTP/2": lambda port: _by_socket(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "sendmsg, as asyncio's writelines does": lambda port: _in_pieces(port),
    "pieces": lambda port: _in_pieces(port, b"G", b"E"),  # of more, some servers make a request of HTTP/0.9
    "a line without its end": lambda port: _in_pieces(port, b"G", b"ET /paid HTTP/1.1"),
    "sendto": _by_sendto,
    "the number of a socket": lambda port: _by_number(port, lambda sock: os.write(sock, GET % b"localhost")),
    "its number, writev": lambda port: _by_number(port, lambda sock: os.writev(sock, [GET % b"localhost"])),
    "trio's socket": lambda port: trio.run(_trio, port),
    "trio's stream": lambda port: trio.run(_trio_stream, port),
    "a connection of httpcore": lambda port: _one_connection(httpcore, port),
    "a connection of httpcore2": lambda port: _one_connection(httpcore2, port),
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


@pytest.mark.parametrize("ask", [_tls, lambda port: asyncio.run(_tls_stream(port))], ids=["a socket", "asyncio"])
def test_nor_is_it_within_tls(tmp_path: Path, ask: Callable[[int], object]) -> None:
    refused = pytest.raises(NetworkBlockedError, match="blocked: in replay no HTTP is sent that nothing replays")
    server = serving(_Counting, _anonymous(ssl.PROTOCOL_TLS_SERVER))
    with server as url, refused, use_cassette(tmp_path / "x.yaml"), contextlib.suppress(Exception):
        ask(int(url.rpartition(":")[2]))
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
