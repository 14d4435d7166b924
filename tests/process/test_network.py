"""The network guard. No test here connects beyond the loopback interface: a second audit hook, behind the one under
test, counts whatever came past it and stops it."""

from __future__ import annotations

import _socket
import asyncio
import ftplib
import re
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from pytest_agenttape import hosts
from pytest_agenttape.errors import ConfigError, NetworkBlockedError
from pytest_agenttape.process import network

FOREIGN = "api.example.com"
FOREIGN_V4 = "192.0.2.1"
FOREIGN_V6 = "2001:db8::1"
CONNECTING = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostby")

_escaped: list[tuple[str, object]] = []
_watching = False


def _judge(host: str, port: int | None) -> None:
    raise RuntimeError(f"no decision was set for {host}:{port}")


network.install(_judge)  # before the net below, so that it is asked first


@sys.addaudithook
def _net(event: str, args: tuple[object, ...]) -> None:
    if _watching and event.startswith(CONNECTING):
        target = args[:1] if event.startswith("socket.get") else args[1]
        host = target[0] if isinstance(target, tuple) else None  # else a unix socket, or none given
        if host is not None and not hosts.is_local(str(host)) and host != socket.gethostname():
            _escaped.append((event, host))
            raise RuntimeError(f"{event} {host!r} came past the guard")


@pytest.fixture(autouse=True)
def nothing_escapes() -> Iterator[list[tuple[str, object]]]:
    """Watch for connections that the guard let through."""
    global _watching
    _escaped.clear()
    _watching = True
    try:
        yield _escaped
    finally:
        _watching = False
        network.install(_judge)


@pytest.fixture
def guard(nothing_escapes: list[tuple[str, object]]) -> Iterator[list[tuple[str, int | None]]]:
    """Arm the guard so that it blocks every foreign target, and return what it was asked."""
    asked: list[tuple[str, int | None]] = []

    def refuse(host: str, port: int | None) -> None:
        asked.append((host, port))
        raise network.blocked(host, port, "tests/test_x.py::test_y")

    network.install(refuse)
    network.arm()
    try:
        yield asked
    finally:
        network.disarm()
    assert nothing_escapes == []


def raw(call: Callable[[_socket.socket], object], kind: int = socket.SOCK_STREAM) -> Callable[[], object]:
    """Return a call on a socket of the C class, which only the audit hook sees."""

    def run() -> object:
        sock = _socket.socket(socket.AF_INET, kind)
        try:
            return call(sock)
        finally:
            sock.close()

    return run


def python(call: Callable[[socket.socket], object], family: int = socket.AF_INET) -> Callable[[], object]:
    def run() -> object:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            return call(sock)

    return run


WAYS_OUT = {
    "connect_address": python(lambda sock: sock.connect((FOREIGN_V4, 443))),
    "connect_name": python(lambda sock: sock.connect((FOREIGN, 443))),
    "connect_ex": python(lambda sock: sock.connect_ex((FOREIGN, 443))),
    "connect_v6": python(lambda sock: sock.connect((FOREIGN_V6, 443, 0, 0)), socket.AF_INET6),
    "sendto": python(lambda sock: sock.sendto(b"x", (FOREIGN, 53))),
    "sendto_flags": python(lambda sock: sock.sendto(b"x", 0, (FOREIGN_V4, 53))),
    "sendmsg": python(lambda sock: sock.sendmsg([b"x"], [], 0, (FOREIGN, 53))),
    "raw_connect": raw(lambda sock: sock.connect((FOREIGN_V4, 443))),
    "raw_connect_ex": raw(lambda sock: sock.connect_ex((FOREIGN_V4, 443))),
    "raw_sendto": raw(lambda sock: sock.sendto(b"x", (FOREIGN_V4, 53)), socket.SOCK_DGRAM),
    "raw_sendmsg": raw(lambda sock: sock.sendmsg([b"x"], [], 0, (FOREIGN_V4, 53)), socket.SOCK_DGRAM),
    "broadcast": python(lambda sock: sock.sendto(b"x", ("<broadcast>", 53))),
    "multicast": python(lambda sock: sock.sendto(b"x", ("224.0.0.251", 5353))),
    "create_connection": lambda: socket.create_connection((FOREIGN, 443)),
    "getaddrinfo": lambda: socket.getaddrinfo(FOREIGN, 443),
    "getaddrinfo_bytes": lambda: socket.getaddrinfo(FOREIGN.encode(), "https"),
    "gethostbyname": lambda: socket.gethostbyname(FOREIGN),
    "gethostbyname_ex": lambda: socket.gethostbyname_ex(FOREIGN),
    "gethostbyaddr": lambda: socket.gethostbyaddr(FOREIGN_V4),
    "getnameinfo": lambda: socket.getnameinfo((FOREIGN_V4, 443), 0),
    "in_a_thread": lambda: in_a_thread(lambda: socket.create_connection((FOREIGN, 443))),
}


def in_a_thread(call: Callable[[], object]) -> None:
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # it is raised again below
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@pytest.mark.parametrize("way", WAYS_OUT)
def test_no_way_out_is_open(way: str, guard: list[tuple[str, int | None]]) -> None:
    with pytest.raises(NetworkBlockedError):
        WAYS_OUT[way]()

    assert len(guard) == 1


def asyncio_streams() -> None:
    asyncio.run(asyncio.open_connection(FOREIGN, 443))  # type: ignore[arg-type]  # a coroutine, all the same


def asyncio_address() -> None:
    asyncio.run(asyncio.open_connection(FOREIGN_V4, 443))  # type: ignore[arg-type]  # see above


def asyncio_datagrams() -> None:
    async def send() -> None:
        await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(FOREIGN, 53))

    asyncio.run(send())


def ftplib_connect() -> None:
    ftplib.FTP(FOREIGN)


def urllib_request() -> None:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{FOREIGN}/")


def requests_get() -> None:
    requests = pytest.importorskip("requests")
    session = requests.Session()
    session.trust_env = False
    session.get(f"http://{FOREIGN}/")


def httpx_get() -> None:
    pytest.importorskip("httpx").Client(trust_env=False).get(f"http://{FOREIGN}/")


def httpx2_async() -> None:
    httpx2 = pytest.importorskip("httpx2")

    async def get() -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            await client.get(f"http://{FOREIGN}/")

    asyncio.run(get())


def aiohttp_get() -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def get() -> None:
        async with aiohttp.ClientSession() as client, client.get(f"http://{FOREIGN}/"):
            pass

    asyncio.run(get())


def anyio_on_trio() -> None:
    anyio = pytest.importorskip("anyio")
    pytest.importorskip("trio")
    anyio.run(anyio.connect_tcp, FOREIGN, 443, backend="trio")


LIBRARIES = [
    (asyncio_streams, None),
    (asyncio_address, None),
    (asyncio_datagrams, None),
    (urllib_request, "urllib"),
    (ftplib_connect, "ftplib"),
    (requests_get, "requests"),
    (httpx_get, "httpx"),
    (httpx2_async, "httpx2"),
    (aiohttp_get, "aiohttp"),
    (anyio_on_trio, None),
]


def root_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@pytest.mark.parametrize(("call", "library"), LIBRARIES, ids=[call.__name__ for call, _ in LIBRARIES])
@pytest.mark.usefixtures("guard")
def test_the_error_surfaces_and_names_the_library(call: Callable[[], None], library: str | None) -> None:
    with pytest.raises((NetworkBlockedError, BaseExceptionGroup)) as caught:
        call()

    error = root_cause(caught.value)
    assert isinstance(error, NetworkBlockedError)
    assert error.host in (FOREIGN, FOREIGN_V4)
    if library is not None:
        assert f"by        {library}" in str(error)


@pytest.mark.usefixtures("guard")
def test_the_library_of_a_request_is_not_the_server_that_makes_it() -> None:
    server: dict[str, object] = {"__name__": "aiohttp.web_protocol", "handle": ftplib_connect}
    exec("def serve(): handle()", server)  # noqa: S102  # a module of that name

    with pytest.raises(NetworkBlockedError, match="by        ftplib,"):
        server["serve"]()  # type: ignore[operator]  # the function above


@pytest.mark.usefixtures("guard")
def test_the_error_says_what_was_asked_by_whom_and_what_to_do() -> None:
    with pytest.raises(NetworkBlockedError) as caught:
        ftplib_connect()

    assert str(caught.value).splitlines() == [
        "connection to api.example.com:21 blocked: in replay nothing leaves the machine",
        "    in        tests/test_x.py::test_y",
        "    by        ftplib, whose calls are not replayed: wrap the caller in @tool to record it",
        '    allow it  allow_hosts=["api.example.com"] on the marker or in agenttape.toml',
    ]
    assert (caught.value.host, caught.value.port) == ("api.example.com", 21)


def test_nothing_is_looked_up_before_the_verdict(
    monkeypatch: pytest.MonkeyPatch, nothing_escapes: list[tuple[str, object]]
) -> None:
    reached: list[object] = []
    monkeypatch.setattr(_socket, "getaddrinfo", lambda *args, **_: reached.append(args) or [])
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: reached.append(address))

    def refuse(host: str, port: int | None) -> None:
        raise network.blocked(host, port, "t")

    network.install(refuse)
    network.arm()
    try:
        with pytest.raises(NetworkBlockedError), socket.socket() as sock:
            sock.connect((FOREIGN, 443))
        with pytest.raises(NetworkBlockedError):
            asyncio_streams()
    finally:
        network.disarm()
    assert (reached, nothing_escapes) == ([], [])


def test_this_machine_stays_reachable(guard: list[tuple[str, int | None]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost", "0.0.0.0", ""):
            with socket.socket() as sock:
                sock.connect((host, port))
            server.accept()[0].close()
    socket.getaddrinfo(None, 0, flags=socket.AI_PASSIVE)
    socket.getaddrinfo("127.0.0.1", 80)

    assert guard == []


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no unix sockets here")
def test_unix_sockets_stay_free(guard: list[tuple[str, int | None]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "s")
    names: list[str | bytes] = [path, *([b"\0agenttape-test"] if sys.platform == "linux" else [])]
    for name in names:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(name)
            server.listen()
            client.connect(name)

    assert guard == []


def test_an_event_loop_and_a_subprocess_work_under_the_guard(guard: list[tuple[str, int | None]]) -> None:
    async def work() -> bytes:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            found = await reader.read()
            writer.close()
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
        await process.wait()
        return found

    assert asyncio.run(work()) == b"hello"
    assert guard == []


def test_an_allowed_name_allows_the_address_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = hosts.host_rules([f"{FOREIGN}:443"])
    connected: list[object] = []
    asked: list[tuple[str, int | None]] = []

    def lookup(_host: str, port: int, *_: object) -> list[object]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (FOREIGN_V4, port))]

    def decide(host: str, port: int | None) -> None:
        asked.append((host, port))
        if not hosts.is_allowed(host, port, rules):
            raise network.blocked(host, port, "t")

    monkeypatch.setattr(_socket, "getaddrinfo", lookup)
    monkeypatch.setattr(socket.socket, "connect", lambda _, address: connected.append(address))
    network.install(decide)
    network.arm()
    try:
        socket.create_connection((FOREIGN, 443)).close()
        with pytest.raises(NetworkBlockedError, match=r"api\.example\.com:80 "):
            socket.create_connection((FOREIGN_V4, 80))
    finally:
        network.disarm()

    assert connected == [(FOREIGN_V4, 443)]
    assert asked == [(FOREIGN, 443), (FOREIGN, 80)]


def test_a_local_looking_name_vouches_for_no_foreign_address(
    monkeypatch: pytest.MonkeyPatch, guard: list[tuple[str, int | None]]
) -> None:
    network.disarm()
    monkeypatch.setattr(_socket, "getaddrinfo", lambda _, port, *__: [(2, 1, 6, "", (FOREIGN_V4, port))])
    network.arm()

    with pytest.raises(NetworkBlockedError):
        socket.create_connection(("evil.localhost", 443))
    assert guard == [(FOREIGN_V4, 443)]


def test_a_disarmed_guard_leaves_nothing_behind() -> None:
    before = (vars(socket.socket).copy(), _socket.getaddrinfo, asyncio.BaseEventLoop.getaddrinfo)
    network.arm()
    network.arm()
    network.disarm()
    assert vars(socket.socket) != before[0]
    network.disarm()
    network.disarm()  # one too many does no harm

    assert (vars(socket.socket).copy(), _socket.getaddrinfo, asyncio.BaseEventLoop.getaddrinfo) == before


def test_a_disarmed_guard_asks_nobody(nothing_escapes: list[tuple[str, object]]) -> None:
    with pytest.raises(RuntimeError, match="came past the guard"):
        raw(lambda sock: sock.connect((FOREIGN_V4, 443)))()

    assert nothing_escapes == [("socket.connect", FOREIGN_V4)]
    nothing_escapes.clear()


def test_what_somebody_else_put_into_the_socket_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    network.arm()
    theirs = lambda *_: None  # noqa: E731  # a stand-in
    monkeypatch.setattr(socket.socket, "connect", theirs)
    network.disarm()

    assert socket.socket.connect is theirs


def test_the_hook_is_installed_once() -> None:
    code = (
        "import sys; from pytest_agenttape.process import network\n"
        "added = []; sys.addaudithook(lambda event, _: added.append(event) if event == 'sys.addaudithook' else None)\n"
        "[network.install(print) for _ in range(3)]; print(len(added))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


LOCAL = [
    "127.0.0.1", "127.8.9.10", "::1", "[::1]", "::ffff:127.0.0.1", "localhost", "LOCALHOST", "localhost.",
    "a.localhost", "", "0.0.0.0", "::", "127.1", "0x7f000001", "2130706433", "::1%lo",
]  # fmt: skip
NOT_LOCAL = [
    "10.0.0.1", "192.168.1.1", "169.254.169.254", "8.8.8.8", "2001:db8::1", "::ffff:8.8.8.8", "localhost.example.com",
    "notlocalhost", "127.0.0.1.example.com", "example.com", "fe80::1%eth0", "0x08080808", "<broadcast>", "128.0.0.1",
    "127.0.0.1 x", "1e100.net", "dead.beef",
]  # fmt: skip


@pytest.mark.parametrize("host", LOCAL)
def test_is_local(host: str) -> None:
    assert hosts.is_local(host)


@pytest.mark.parametrize("host", NOT_LOCAL)
def test_is_not_local(host: str) -> None:
    assert not hosts.is_local(host)


ALLOWED = [
    ("api.example.com", "api.example.com", 443, True),
    ("api.example.com", "API.Example.com.", None, True),
    ("api.example.com", "example.com", 443, False),
    ("api.example.com", "xapi.example.com", 443, False),
    ("api.example.com", "api.example.com.evil.org", 443, False),
    ("*.example.com", "api.example.com", 443, True),
    ("*.example.com", "a.b.example.com", 443, True),
    ("*.example.com", "example.com", 443, False),
    ("*.example.com", "badexample.com", 443, False),
    ("*", "anything.org", 1, True),
    ("api.example.com:443", "api.example.com", 443, True),
    ("api.example.com:443", "api.example.com", 80, False),
    ("api.example.com:443", "api.example.com", None, True),
    ("*.example.com:80", "a.example.com", 80, True),
    ("10.0.0.0/8", "10.1.2.3", 5432, True),
    ("10.0.0.0/8", "11.1.2.3", 5432, False),
    ("10.0.0.0/8", "ten.example.com", 5432, False),
    ("10.1.2.3", "10.1.2.3", 5432, True),
    ("10.1.2.3:5432", "10.1.2.3", 80, False),
    ("2001:db8::1", "2001:db8:0::1", 443, True),
    ("2001:db8::/32", "2001:db8:5::1", 443, True),
    ("[2001:db8::1]:443", "2001:db8::1", 443, True),
    ("[2001:db8::1]:443", "2001:db8::1", 80, False),
    ("bücher.example", "xn--bcher-kva.example", 443, True),
]


@pytest.mark.parametrize(("entry", "host", "port", "expected"), ALLOWED)
def test_allow_hosts(entry: str, host: str, port: int | None, expected: bool) -> None:
    assert hosts.is_allowed(host, port, hosts.host_rules([entry])) is expected


def test_a_lone_entry_needs_no_list() -> None:
    assert hosts.host_rules("a.example") == hosts.host_rules(["a.example"])
    assert not hosts.is_allowed("a.example", 1, hosts.host_rules([]))


BAD = ["", " ", "https://api.example.com", "api.example.com/v1", "a b", "10.0.0.0/99", "10.0.0.1/8", "a.*.com", "*com",
       "api.example.com:0", "api.example.com:99999", "a..b", ":443", 5, None]  # fmt: skip


@pytest.mark.parametrize("entry", BAD, ids=repr)
def test_a_bad_entry_is_named(entry: object) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(repr(entry))} "):
        hosts.host_rules([entry])  # type: ignore[list-item]  # what a configuration file may hold
