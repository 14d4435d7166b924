"""HTTP that code writes into a socket of its own: while this guard is armed, its owner is asked before it is sent.

No transport sees it. To another machine its connection is refused (`network`); to this one, where databases are free,
the request is. It is known by its first line. All ways into a socket that Python code has are in `_PATCHES`, TLS of the
module `ssl` included; not seen is what is written in C: by a file made of the socket's number, `sendfile`, uvloop,
another TLS library, or from memory through TLS whose server has a name that is not this machine's, or none.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from pytest_agenttape.hosts import is_local
from pytest_agenttape.process.import_hook import ImportHook
from pytest_agenttape.process.patching import Guard, Patch

_HEAD = 16384  # of what is sent, the bytes that are looked at
_REQUEST = re.compile(rb"(?:\r?\n)*([A-Z][A-Z-]{2,24}) (\S{1,16000}) HTTP/[12]\.[01]")  # HTTP/2: `PRI * HTTP/2.0`
_BEGINNING = re.compile(rb"(?:\r?\n)*[A-Z-]{1,25}(?: (?:\S{1,16000}(?: [HTP/12.]{0,7})?)?)?")  # of its first line
_HOST = re.compile(rb"\nhost:[ \t]*(\[[^\]\s]*\]|[^\s:]+)", re.IGNORECASE)
_PASSING_ON = frozenset({"socket", "ssl", "asyncio", "selectors", "anyio", "trio", __name__})
_JUDGED_ALREADY = frozenset({"aiohttp", "http", "urllib3"})  # by the transports of these
_JUDGED_IN_POOLS = frozenset({"httpcore", "httpcore2"})  # not a connection of these that is used without one


@dataclass(frozen=True, slots=True)
class SpokenRequest:
    """A request to this machine that is about to be sent.

    Attributes:
        host: What the request calls the machine, or its address.
        port: Where it goes; 0 if that is not known.
        scheme: Whether TLS is around it.
    """

    method: str
    path: str
    host: str
    port: int
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The whole address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}" if self.path.startswith("/") else self.path


Decide: TypeAlias = Callable[[SpokenRequest], None]

# Module globals that change, because the socket module is process-wide.
_decide: Decide | None = None
_begun: WeakKeyDictionary[Any, bytes] = WeakKeyDictionary()  # what may be the beginning of a request


def arm(decide: Decide) -> None:
    """Let *decide* judge requests, and raise to stop one; each call needs a matching `disarm`."""
    global _decide
    _decide = decide
    _guard.arm()


def _looking_first(send: Any) -> Any:
    def looked_at(self: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if _guard:
            _look_at(self, data)
        return send(self, data, *args, **kwargs)

    return looked_at


def _looking_first_at_each(send: Any) -> Any:
    def looked_at(self: Any, buffers: Any, *args: Any) -> Any:
        __tracebackhide__ = True
        if _guard:
            buffers = [*buffers]
            for data in buffers:
                _look_at(self, data)
        return send(self, buffers, *args)

    return looked_at


def _patches_of(owner: Any, *names: str) -> tuple[Patch, ...]:
    wraps = {"sendmsg": _looking_first_at_each, "writev": _looking_first_at_each}
    return tuple(Patch(owner, name, wraps.get(name, _looking_first)) for name in names if hasattr(owner, name))


_SENDING = ("send", "sendall", "sendto", "sendmsg")
_PATCHES = (*_patches_of(socket.socket, *_SENDING), *_patches_of(os, "write", "writev"))


@functools.cache
def _patches_of_tls(ssl: Any) -> tuple[Patch, ...]:
    return (*_patches_of(ssl.SSLSocket, "send", "write"), *_patches_of(ssl.SSLObject, "write"))


@functools.cache
def _patches_of_trio(trio: Any) -> tuple[Patch, ...]:  # it has taken the methods of sockets when it was imported
    return tuple(patch for each in trio.socket.SocketType.__subclasses__() for patch in _patches_of(each, *_SENDING))


_OPTIONAL: dict[str, tuple[str, Callable[[Any], tuple[Patch, ...]]]] = {  # with what is there once they are imported
    "ssl": ("SSLSocket", _patches_of_tls),
    "trio": ("socket", _patches_of_trio),
}


def _patches() -> tuple[Patch, ...]:
    found = ((sys.modules.get(name), *optional) for name, optional in _OPTIONAL.items())
    return sum((patches_of(module) for module, part, patches_of in found if hasattr(module, part)), _PATCHES)


def _install() -> None:
    _imports.install()
    for patch in _patches():
        patch.install()


def _uninstall() -> None:
    for patch in _patches():
        patch.uninstall()


_guard = Guard(_install, _uninstall)
_imports = ImportHook(frozenset(_OPTIONAL), lambda: _install() if _guard else None)
disarm = _guard.disarm


def _look_at(channel: Any, data: Any) -> None:
    """Look at what is sent through *channel*: a socket, its number, one of trio's, or TLS with or without a socket."""
    __tracebackhide__ = True
    if not isinstance(data, bytes | bytearray | memoryview):
        return
    is_number = isinstance(channel, int)
    if begun := b"" if is_number else _begun.pop(channel, b""):
        data = begun + bytes(data)
    if (line := _REQUEST.match(data)) is not None:
        _check(channel, line, data)
    elif not is_number and _BEGINNING.fullmatch(data):
        _begun[channel] = bytes(data)


def _check(channel: Any, line: re.Match[bytes], data: bytes | bytearray | memoryview) -> None:
    __tracebackhide__ = True
    target = _target_of(channel)
    if target is None or _decide is None or _is_judged_already():
        return
    scheme, host, port = target
    if not is_local(host):
        return  # its connection was judged
    named = _HOST.search(bytes(data[:_HEAD]))
    name = named[1].decode("latin-1").strip("[]") if named is not None else ""
    host = name if name and is_local(name) else host
    _decide(SpokenRequest(line[1].decode(), line[2].decode("latin-1"), host, port, scheme))


def _target_of(channel: Any) -> tuple[str, str, int] | None:
    """Return the scheme, the host and the port of where *channel* leads; None if that is no server."""
    if isinstance(channel, int):
        return _target_of_number(channel)
    if not hasattr(channel, "family"):  # TLS whose bytes somebody else sends
        return None if channel.server_side else ("https", channel.server_hostname or "", 0)
    if channel.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    return "https" if hasattr(channel, "server_hostname") else "http", *channel.getpeername()[:2]


def _target_of_number(number: int) -> tuple[str, str, int] | None:
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        with socket.socket(fileno=os.dup(number)) as sock:
            return _target_of(sock)
    except OSError:
        return None


def _is_judged_already() -> bool:
    sender = _sender()
    return sender in _JUDGED_ALREADY or (
        sender in _JUDGED_IN_POOLS and _is_called_by(f"{sender}._", ".connection_pool")
    )


def _is_called_by(first: str, last: str) -> bool:
    """Return whether a caller's module has a name that begins and ends so."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(first) and name.endswith(last):
            return True
        frame = frame.f_back
    return False


def _sender() -> str:
    """Return the package that sends: the first beyond those that only pass it on."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", ""))
        if package not in _PASSING_ON and package.partition(".")[0] not in _PASSING_ON:
            return package.partition(".")[0]
        frame = frame.f_back
    return ""
