"""The socket that a connection of http.client has where nothing is connected: in replay, and before a request is sent.

It answers what code asks of the socket of its connection, and passes the options that it was given on to a real one.
Bytes that are sent or read past HTTP are refused.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from pytest_agenttape.errors import AgentTapeError, NetworkBlockedError

Refuse: TypeAlias = Callable[[AgentTapeError], AgentTapeError]


def make(host: str | None, port: int | None, refuse: Refuse, *, is_tls: bool) -> StandIn:
    """Return the socket of a connection to *host* and *port*; *refuse* keeps the error for who uses it as one."""
    return (_TlsStandIn if is_tls else StandIn)(host or "", port or 0, refuse)


def reading(file: Any) -> StandIn:
    """Return a socket from which *file* is read."""
    stand_in = StandIn("", 0, lambda error: error)
    stand_in.file = file
    return stand_in


class StandIn:
    """A make-believe socket; *file* is the answer that can be read of it."""

    family, type, proto = socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP

    def __init__(self, host: str, port: int, refuse: Refuse) -> None:
        self.file: Any = io.BytesIO()
        self._refuse = refuse
        self._peer = (host, port)
        self._options: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._timeout: tuple[float | None, ...] = ()  # empty until one is set

    def pass_on(self, real: Any) -> None:
        """Give *real* the options of this one."""
        for place, value in self._options.items():
            real.setsockopt(*place, *value)
        for seconds in self._timeout:
            real.settimeout(seconds)

    def makefile(self, *_: object, **__: object) -> Any:
        return self.file

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = (seconds,)

    def gettimeout(self) -> float | None:
        return self._timeout[0] if self._timeout else socket.getdefaulttimeout()

    def setblocking(self, flag: bool) -> None:
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        return self.gettimeout() != 0

    def setsockopt(self, level: int, name: int, *value: Any) -> None:
        self._options[level, name] = value

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        (value, *_) = self._options.get((level, name), (0,))
        return value if not size or isinstance(value, bytes) else int(value).to_bytes(size, "little")

    def getpeername(self) -> tuple[str, int]:
        return self._peer

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 0)

    def fileno(self) -> int:
        return -1  # as that of a closed one

    def _send_or_read(self, *_: object, **__: object) -> NoReturn:
        __tracebackhide__ = True
        host, port = self._peer
        raise self._refuse(
            NetworkBlockedError(
                f"bytes sent or read on the socket of a connection of http.client to {host}:{port} cannot be recorded "
                f'or replayed: wrap the caller in @tool, or keep the host real in both: ignore_hosts=["{host}"]',
                host=host,
                port=port,
            )
        )

    send = sendall = sendfile = sendmsg = recv = recv_into = _send_or_read

    def shutdown(self, how: int) -> None:
        """Nothing is open."""

    def close(self) -> None:
        """Whoever reads closes the file."""


class _TlsStandIn(StandIn):
    """A make-believe socket of TLS, whose other end has shown nothing."""

    @property
    def server_hostname(self) -> str:
        return self._peer[0]

    def getpeercert(self, binary_form: bool = False) -> dict[str, Any] | None:
        return None if binary_form else {}  # as of a certificate that was not validated

    def version(self) -> None:
        """No version is agreed on."""

    cipher = compression = selected_alpn_protocol = version
