"""HTTP that code writes into a socket of its own: while this guard is armed, its owner is asked before it is sent.

No transport sees it. To another machine its connection is refused (`network`); to this one, where databases are free,
the request is. It is known by its first line, so neither TLS nor what a library sends in C is seen.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from pytest_agenttape.hosts import is_local
from pytest_agenttape.process.patching import Guard, Patch

_HEAD = 16384  # of what is sent, the bytes that are looked at
_REQUEST = re.compile(rb"(?:\r?\n)*([A-Z][A-Z-]{2,24}) (\S{1,16000}) HTTP/[12]\.[01]")  # HTTP/2: `PRI * HTTP/2.0`
_BEGINNING = re.compile(rb"(?:\r?\n)*[A-Z-]{1,25}(?: (?:\S{1,16000}(?: [HTP/12.]{0,7})?)?)?")  # of its first line
_HOST = re.compile(rb"\nhost:[ \t]*(\[[^\]\s]*\]|[^\s:]+)", re.IGNORECASE)
_PASSING_ON = frozenset({"socket", "ssl", "asyncio", "selectors", "anyio", __name__})
_JUDGED_ALREADY = frozenset({"aiohttp", "http", "httpcore", "httpcore2", "urllib3"})  # by the transports of these


@dataclass(frozen=True, slots=True)
class SpokenRequest:
    """A request to this machine that is about to be sent.

    Attributes:
        host: What the request calls the machine, or its address.
        port: Where it goes.
    """

    method: str
    path: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """The whole address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}{self.path}" if self.path.startswith("/") else self.path


Decide: TypeAlias = Callable[[SpokenRequest], None]

# Module globals that change, because the socket module is process-wide.
_decide: Decide | None = None
_begun: WeakKeyDictionary[socket.socket, bytes] = WeakKeyDictionary()  # what may be the beginning of a request


def arm(decide: Decide) -> None:
    """Let *decide* judge requests, and raise to stop one; each call needs a matching `disarm`."""
    global _decide
    _decide = decide
    _guard.arm()


def _looking_first(send: Any) -> Any:
    def looked_at(self: socket.socket, data: Any, *args: Any) -> Any:
        __tracebackhide__ = True
        if _guard:
            _look_at(self, data)
        return send(self, data, *args)

    return looked_at


def _looking_first_at_each(send: Any) -> Any:
    def looked_at(self: socket.socket, buffers: Any, *args: Any) -> Any:
        __tracebackhide__ = True
        if _guard:
            buffers = [*buffers]
            for data in buffers:
                _look_at(self, data)
        return send(self, buffers, *args)

    return looked_at


_PATCHES = (
    Patch(socket.socket, "send", _looking_first),
    Patch(socket.socket, "sendall", _looking_first),
    *([Patch(socket.socket, "sendmsg", _looking_first_at_each)] if hasattr(socket.socket, "sendmsg") else []),
)


def _install() -> None:
    for patch in _PATCHES:
        patch.install()


def _uninstall() -> None:
    for patch in _PATCHES:
        patch.uninstall()


_guard = Guard(_install, _uninstall)
disarm = _guard.disarm


def _look_at(sock: socket.socket, data: Any) -> None:
    __tracebackhide__ = True
    if not isinstance(data, bytes | bytearray | memoryview):
        return
    if begun := _begun.pop(sock, b""):
        data = begun + bytes(data)
    if (line := _REQUEST.match(data)) is not None:
        _check(sock, line, data)
    elif _BEGINNING.fullmatch(data):
        _begun[sock] = bytes(data)


def _check(sock: socket.socket, line: re.Match[bytes], data: bytes | bytearray | memoryview) -> None:
    __tracebackhide__ = True
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or _sender() in _JUDGED_ALREADY or _decide is None:
        return
    host, port = sock.getpeername()[:2]
    if not is_local(host):
        return  # its connection was judged
    named = _HOST.search(bytes(data[:_HEAD]))
    name = named[1].decode("latin-1").strip("[]") if named is not None else ""
    _decide(SpokenRequest(line[1].decode(), line[2].decode("latin-1"), name if is_local(name) and name else host, port))


def _sender() -> str:
    """Return the package that sends: the first beyond those that only pass it on."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        package = str(frame.f_globals.get("__name__", ""))
        if package not in _PASSING_ON and package.partition(".")[0] not in _PASSING_ON:
            return package.partition(".")[0]
        frame = frame.f_back
    return ""
