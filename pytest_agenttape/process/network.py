"""The network guard: while it is armed, it asks the owner of the calling code before a connection leaves the machine.

It covers everything that goes through Python's `socket`. Out of its reach are subprocesses, libraries that open sockets
in C (uvloop, libpq, c-ares; libcurl, of which a transport refuses curl_cffi; grpc, which one replays; the proactor of
asyncio on Windows, once it has an address) and connections that were already open.
"""

from __future__ import annotations

import _socket
import functools
import socket
import sys
from collections.abc import Callable
from typing import Any, TypeAlias

from pytest_agenttape.errors import NetworkBlockedError
from pytest_agenttape.hosts import address_of, is_local, plain_name
from pytest_agenttape.process import audit
from pytest_agenttape.process.patching import Guard, Patch

Decide: TypeAlias = Callable[[str, int | None], None]

NOTHING_LEAVES = "in replay nothing leaves the machine"

# Families that never leave the machine; all others (IP, but also VSOCK and Bluetooth) can.
_LOCAL_FAMILIES = frozenset(
    getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG", "AF_SYSTEM") if hasattr(socket, name)
)
_IP_FAMILIES = frozenset({socket.AF_INET, socket.AF_INET6})
_SERVICES = {"http": 80, "https": 443}
# The best known comes first: requests, not the urllib3 below it; but aiohttp before an httpx that uses it.
_LIBRARIES = (
    "aiohttp", "requests", "httpx2", "httpx", "botocore", "websockets", "grpc", "redis", "valkey", "psycopg",
    "psycopg2", "asyncpg", "pymysql", "aiomysql", "pymongo", "elastic_transport", "opensearchpy", "kafka", "pika",
    "paramiko", "googleapiclient", "google", "tornado", "urllib3", "httpcore2", "httpcore", "httplib2", "smtplib",
    "imaplib", "poplib", "ftplib", "xmlrpc", "urllib", "http",
)  # fmt: skip
_REPLAYED = frozenset(
    "aiohttp requests httpx2 httpx httpcore2 httpcore botocore elastic_transport opensearchpy urllib3 httplib2 "
    "googleapiclient xmlrpc urllib http".split()
)

# Module globals that change, because the socket module is process-wide.
_decide: Decide | None = None
_names: dict[tuple[str, int | None], str] = {}  # the allowed name whose lookup returned an address


def install(decide: Decide) -> None:
    """Make *decide* the judge of connections; it is only asked about other machines, and raises to stop one."""
    global _decide
    _decide = decide
    audit.install()


def _install() -> None:
    audit.listen(_CHECKS)
    for patch in _patches():
        patch.install()


def _uninstall() -> None:
    audit.ignore(_CHECKS)
    for patch in _patches():
        patch.uninstall()
    _names.clear()


_guard = Guard(_install, _uninstall)
arm, disarm = _guard.arm, _guard.disarm


# The error --------------------------------------------------------------------------------------------------------


def blocked(
    host: str,
    port: int | None,
    test: str,
    *,
    library: str | None = None,
    why: str = NOTHING_LEAVES,
    way_out: str = "",
) -> NetworkBlockedError:
    """Return the error for a connection that *test* must not make; the library is found in the call stack."""
    library = library or calling_library()
    target = f"[{host}]" if ":" in host else host
    lines = [
        f"connection to {target}{f':{port}' if port else ''} blocked: {why}",
        f"    in        {test}",
    ]
    if library is not None:
        note = (
            ""
            if way_out or library in _REPLAYED
            else ", whose calls are not replayed: wrap the caller in @tool to record it"
        )
        lines.append(f"    by        {library}{note}")
    way_out = way_out or f'allow_hosts=["{host}"] on the marker or in agenttape.toml'
    lines.append(f"    allow it  {way_out}")
    return NetworkBlockedError("\n".join(lines), host=host, port=port)


def calling_library() -> str | None:
    """Return the best known library among the callers; None if there is none."""
    found: set[str] = set()
    frame = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if not module.startswith("aiohttp.web"):  # a server, which handles a request by making one of its own
            found.add(module.partition(".")[0])
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return next((name for name in _LIBRARIES if name in found), None)


# The hook ---------------------------------------------------------------------------------------------------------


def _check_target(sock: Any, address: Any = None) -> None:  # a socket, or the C base of one
    """Judge a socket that is about to connect or send."""
    family = sock.family
    if address is None or family in _LOCAL_FAMILIES:
        return
    if family not in _IP_FAMILIES:
        _ask(f"{address!r} (socket family {family})", None)
    elif isinstance(address, tuple) and len(address) >= 2:  # anything else makes the socket raise TypeError
        _ask(_text(address[0]), _port(address[1]))


def _check_lookup(host: Any, port: Any = None, *_: object) -> None:  # str, bytes or None; int, str or None
    """Judge a name that is about to be looked up."""
    if host is not None:
        _ask(_text(host), _port(port))


def _check_reverse_lookup(address: Any) -> None:  # a socket address
    if isinstance(address, tuple) and address:
        _ask(_text(address[0]), None)


def _ask(host: str, port: int | None) -> None:
    name = _names.get((host, port)) or _names.get((host, None)) or host
    if is_local(name) or plain_name(name) == _own_name():
        return
    if _decide is not None:
        _decide(name, port)


def _own_name() -> str:
    return plain_name(socket.gethostname())


def _text(host: object) -> str:
    return host.decode("utf-8", "backslashreplace") if isinstance(host, bytes | bytearray) else str(host)


def _port(value: object) -> int | None:
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, str):
        return int(value) if value.isdecimal() else _SERVICES.get(value)
    return value if isinstance(value, int) and value > 0 else None


_CHECKS: audit.Checks = {
    "socket.connect": _check_target,
    "socket.sendto": _check_target,
    "socket.sendmsg": _check_target,
    "socket.getaddrinfo": _check_lookup,
    "socket.gethostbyname": _check_lookup,
    "socket.gethostbyaddr": _check_lookup,
    "socket.getnameinfo": _check_reverse_lookup,
}


# Where the hook alone is not enough -------------------------------------------------------------------------------


def _asking_first(count: int, original: Any) -> Any:
    """Ask before the C function runs, because it looks up a host name before it raises its audit event."""

    def guarded(self: socket.socket, *args: Any) -> Any:
        if _guard and len(args) >= count:
            _check_target(self, args[-1])
        return original(self, *args)

    return guarded


def _remembering(original: Any) -> Any:
    """Remember the name that an address belongs to, because the connection that follows only shows the address."""

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        answers = original(host, *args, **kwargs)
        name = "" if host is None else _text(host)
        # A name such as x.localhost must not vouch for a foreign address; an address needs no name.
        if _guard and not is_local(name) and address_of(name) is None:
            for *_, address in answers:
                _names[address[0], _port(address[1])] = _names[address[0], None] = name
        return answers

    return getaddrinfo


def _asking_in_the_task(original: Any) -> Any:
    """Ask in the task that looks up a name: in the executor's thread, its code and library are not on the stack."""

    async def getaddrinfo(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        if _guard:
            _check_lookup(host, port)
        return await original(self, host, port, **kwargs)

    return getaddrinfo


# The methods that take a target as their last argument, once they have that many arguments.
_SENDING = {"connect": 1, "connect_ex": 1, "sendto": 2, "sendmsg": 4}
_PATCHES = (
    *(
        Patch(socket.socket, name, functools.partial(_asking_first, count))
        for name, count in _SENDING.items()
        if hasattr(socket.socket, name)  # no sendmsg on Windows
    ),
    Patch(_socket, "getaddrinfo", _remembering),
)


def _patches() -> tuple[Patch, ...]:
    loops: Any = sys.modules.get("asyncio.base_events")
    return _PATCHES if loops is None else (*_PATCHES, _patch_of(loops.BaseEventLoop))


@functools.cache
def _patch_of(loop: type) -> Patch:
    return Patch(loop, "getaddrinfo", _asking_in_the_task)
