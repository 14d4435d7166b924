"""An HTTP exchange in neutral form, between the transports and the cassette."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Headers: TypeAlias = tuple[tuple[str, str], ...]  # in wire order, names as sent, Latin-1 decoded


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header *name* (lower-case), or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it would go onto the wire, its body read whole."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response with its content encoding undone; `chunks` joined are the body.

    Attributes:
        complete: False when the stream ended before its end was reached.
        streamed: True when the chunks carry meaning (event streams) and are replayed one by one.
    """

    status: int
    headers: Headers = ()
    chunks: tuple[bytes, ...] = ()
    reason: str = ""
    http_version: str = "HTTP/1.1"
    complete: bool = True
    trailing: Headers = field(default=())
