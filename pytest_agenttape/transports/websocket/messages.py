"""A message of a WebSocket as a cassette stores it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TypeAlias

from pytest_agenttape.bodies.json_layout import decode_json, encode_json
from pytest_agenttape.bodies.json_value import exact_numbers
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

Message: TypeAlias = dict[str, JSON]


def stored(direction: str, content: str | bytes) -> Message:
    """Return a message in the form that a cassette stores: JSON where it is an object or a list, else text."""
    text = content
    frame: Message = {}
    if isinstance(text, bytes):
        frame = {"frame": "binary"}
        try:
            text = text.decode()
        except UnicodeDecodeError:
            return {direction: base64.b64encode(content).decode(), "encoding": "base64"}  # type: ignore[arg-type]
    if text.lstrip()[:1] in ("{", "["):
        found = encode_json(text)
        if found is not None:
            layout = {"layout": found["json_layout"]} if "json_layout" in found else {}
            return {direction: found["json"], **layout, **frame}
    if not frame:
        return {direction: text}
    return {direction: base64.b64encode(text.encode()).decode(), "encoding": "base64"}


def content_of(message: Mapping[str, JSON], direction: str) -> str | bytes:
    """Return what a stored message was made of.

    Raises:
        CassetteCorruptError: It is none; somebody has edited it.
    """
    value = message[direction]
    if isinstance(value, str):
        if message.get("encoding") != "base64":
            return value
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise CassetteCorruptError(f"a message that was {direction} is not base64: {error}") from error
    data = b"".join(decode_json({"json": value, "json_layout": message.get("layout", "")}))
    return data if message.get("frame") == "binary" else data.decode()


def compared(message: Mapping[str, JSON]) -> Message:
    """Return what of a sent message is compared: not how its JSON is spelled, but for digits that no float holds."""
    said = {name: value for name, value in message.items() if name != "layout"}
    numbers = exact_numbers(message.get("layout"))
    return {**said, "numbers": numbers} if numbers else said
