"""An HTTP exchange in neutral form, between the transports and the cassette."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import NamedTuple, TypeAlias

from pytest_agenttape.model import JSON

Headers: TypeAlias = tuple[tuple[str, str], ...]  # in wire order, names as sent, Latin-1 decoded

# They describe one connection, not the answer.
CONNECTION_HEADERS = frozenset({"transfer-encoding", "connection", "keep-alive", "trailer", "upgrade"})

_TEXT = frozenset((str,))


def header(headers: Headers, name: str) -> str | None:
    """Return the first value of the header *name* (lower-case), or None."""
    for key, value in headers:
        if key.lower() == name:
            return value
    return None


def grouped(headers: Sequence[tuple[str, str]]) -> dict[str, JSON]:
    """Group *headers* by name, as a cassette stores them; a name that is sent more than once has a list."""
    single: dict[str, JSON] = dict(headers)
    if len({name.lower() for name in single}) == len(headers):
        return single
    values: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, value in headers:
        values.setdefault(names.setdefault(name.lower(), name), []).append(value)
    return {name: found[0] if len(found) == 1 else found for name, found in values.items()}


def listed(headers: Mapping[str, JSON]) -> Headers:
    """Return stored *headers* one by one: the inverse of `grouped`."""
    if {*map(type, headers), *map(type, headers.values())} <= _TEXT:
        return tuple(headers.items())
    pairs: list[tuple[str, str]] = []
    for name, value in headers.items():
        for each in value if isinstance(value, list) else (value,):
            pairs.append((str(name), str(each)))  # noqa: PERF401  # called for each answer, and a generator costs more
    return tuple(pairs)


def by_name(headers: Headers) -> dict[str, str]:
    """Return the first value of each of *headers*, by its name in lower case."""
    return {name.lower(): value for name, value in reversed(headers)}


@lru_cache(maxsize=128)
def standard_phrase(status: int) -> str:
    """Return the standard reason phrase of *status*; empty if there is none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def text_of(value: object) -> str:
    """Return the name or value of a header, which libraries take as text, bytes or a number."""
    if type(value) is str:
        return value
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def whole(body: object) -> bytes:
    """Return a request body that a library was given, read whole: bytes, text, a file, or an iterable of such parts."""
    if not body:
        return b""
    if isinstance(body, str):
        return body.encode()
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body)
    if hasattr(body, "read"):
        return whole(body.read())
    return b"".join(map(whole, body))  # type: ignore[call-overload]  # else the library could not send it either


class HttpRequest(NamedTuple):  # made for every call: a named tuple costs a third of a frozen dataclass
    """A request as it would go onto the wire, its body read whole."""

    method: str
    url: str
    headers: Headers = ()
    body: bytes = b""


class HttpResponse(NamedTuple):
    """A response with its content encoding undone; `chunks` joined are the body.

    Attributes:
        complete: False if the stream was cut off before its end.
        until_closed: Whether the body ends with the connection, as no header says where.
        is_shortened: Whether redaction has made a body that was cut off shorter than what its reader was given.
    """

    status: int
    headers: Headers = ()
    chunks: tuple[bytes, ...] = ()
    reason: str = ""
    http_version: str = "HTTP/1.1"
    complete: bool = True
    until_closed: bool = False
    is_shortened: bool = False
