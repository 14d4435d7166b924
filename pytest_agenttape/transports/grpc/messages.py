"""What a cassette holds of gRPC: messages as bytes with protobuf's JSON beside them, and metadata as headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pytest_agenttape import bodies
from pytest_agenttape.bodies.forms import encode_binary
from pytest_agenttape.bodies.messages import Headers, listed
from pytest_agenttape.model import JSON
from pytest_agenttape.transports.grpc import protobuf

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


def asked_once(raw: bytes, message: object) -> dict[str, JSON]:
    """Return the body of a request with one message."""
    return stored_message(protobuf.stable(message, raw), protobuf.readable(message))


def asked_often(sent: Iterable[tuple[bytes, object]]) -> dict[str, JSON]:
    """Return the body of a request with a stream of messages, known to its end."""
    return {"messages": [asked_once(raw, message) for raw, message in sent]}


def stored_message(raw: bytes, readable: JSON) -> dict[str, JSON]:
    """Return the stored form of one message."""
    if readable is None:
        return bodies.encode_body(raw, "application/grpc")
    return {**encode_binary(raw), "message": readable}


def entries(stored: Mapping[str, JSON]) -> list[dict[str, Any]]:
    if isinstance(stored.get("conversation"), list):
        return [each for each in stored["conversation"] if isinstance(each, dict)]
    if isinstance(stored.get("messages"), list):
        return [{"received": each} for each in stored["messages"]]
    return [{"received": stored}]


# Metadata ---------------------------------------------------------------------------------------------------------


def written(metadata: Iterable[Any]) -> Headers:
    """Return *metadata* as headers; the values of names with ``-bin`` are bytes, and become base64."""
    return tuple((str(name), _text(value)) for name, value, *_ in metadata)


def _text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def metadata_of(stored: JSON) -> Metadata:
    if not isinstance(stored, dict):
        return ()
    return tuple((name, _value(name, value)) for name, value in listed(stored))


def _value(name: str, value: str) -> str | bytes:
    if not name.endswith("-bin"):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):  # redacted
        return value.encode()
