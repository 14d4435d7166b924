"""What a test tells the stand-in provider to answer, and how to put it on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

JSON: TypeAlias = Any  # a decoded JSON value; its shape is the provider's
Headers: TypeAlias = tuple[tuple[str, str], ...]
Encoding: TypeAlias = Literal["auto", "identity", "gzip", "deflate", "br", "zstd"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that the model asks for."""

    name: str
    arguments: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def arguments_json(self) -> str:
        """Return the arguments as the providers send them: compact JSON in a string."""
        return json.dumps(self.arguments, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says: a text, tool calls, or both."""

    text: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """An HTTP error in the shape of the provider that is asked."""

    status: int
    message: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """A response given byte for byte; more than one chunk makes it a stream."""

    chunks: tuple[bytes, ...]
    status: int = 200
    headers: Headers = ()


class DeliveryOptions(TypedDict, total=False):
    """The keyword arguments that every reply takes; see `Delivery`."""

    delay: float
    chunk_delay: float
    chunk_bytes: int
    close_after: int
    encoding: Encoding
    extra_headers: Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How a reply travels.

    Attributes:
        delay: Seconds before the status line.
        chunk_delay: Seconds between the chunks of a stream.
        chunk_bytes: Cut a stream into pieces of this many bytes, across events and characters.
        close_after: Drop the connection after this many chunks, 0 for before the status line.
            A body that is not a stream is cut in half.
        encoding: Content encoding; ``auto`` is what the real provider does (gzip for JSON when the client accepts it).
        extra_headers: Sent besides the provider's own.
    """

    delay: float = 0
    chunk_delay: float = 0
    chunk_bytes: int | None = None
    close_after: int | None = None
    encoding: Encoding = "auto"
    extra_headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted reply."""

    content: Answer | Failure | Raw
    delivery: Delivery = field(default_factory=Delivery)


def text(words: str, **delivery: Unpack[DeliveryOptions]) -> Reply:
    """Return the reply in which the model says *words*."""
    return Reply(Answer(words), Delivery(**delivery))


def tool_call(name: str, arguments: Mapping[str, JSON] | None = None, **delivery: Unpack[DeliveryOptions]) -> Reply:
    """Return the reply in which the model asks for one tool."""
    return tool_calls((name, arguments or {}), **delivery)


def tool_calls(
    *calls: tuple[str, Mapping[str, JSON]], words: str | None = None, **delivery: Unpack[DeliveryOptions]
) -> Reply:
    """Return the reply in which the model asks for several tools at once, after saying *words*."""
    return Reply(Answer(words, tuple(ToolCall(name, arguments) for name, arguments in calls)), Delivery(**delivery))


def error(
    status: int,
    message: str | None = None,
    *,
    retry_after: float | None = None,
    **delivery: Unpack[DeliveryOptions],
) -> Reply:
    """Return the reply that fails with *status*, its body in the shape of the provider that is asked."""
    return Reply(Failure(status, message, retry_after), Delivery(**delivery))


def raw(
    body: bytes | Iterable[bytes],
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    *,
    status: int = 200,
    **delivery: Unpack[DeliveryOptions],
) -> Reply:
    """Return the reply made of exactly these bytes; an iterable of bytes is streamed."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    chunks = (body,) if isinstance(body, bytes) else tuple(body)
    return Reply(Raw(chunks, status, tuple(pairs)), Delivery(**delivery))


def hang_up(*, delay: float = 0) -> Reply:
    """Return the reply that drops the connection without a word."""
    return Reply(Answer(""), Delivery(delay=delay, close_after=0))
