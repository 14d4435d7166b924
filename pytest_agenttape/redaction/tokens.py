"""JSON web tokens: what a cassette tells of one, and a token made anew of what it tells.

A token is its signature's secret, and what it says may be private. So it keeps its times and the names of what it says;
a text in it stays only where the cassette says it in plain anyway: who was logged in, and with which key.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from pytest_agenttape.model import JSON, SECRET_PLACEHOLDER
from pytest_agenttape.redaction.placeholders import decoded

_TOKEN = re.compile(r"(eyJ[\w-]+)\.(eyJ[\w-]+)\.([\w-]+)", re.ASCII)
_NAME = re.compile(r"[\w:/.#-]{1,80}", re.ASCII)
_KIND = ("alg", "typ")
_LEAST_TEXT = 3
_DEEPEST = 8
_decoder = json.JSONDecoder()

IsTold: TypeAlias = Callable[[tuple[str, ...], str], bool]  # whether what is at a path is plain in the cassette


def parts_told(token: str, is_told: IsTold) -> tuple[str, str] | None:
    """Return what is told of *token*, as JSON, and its signature; None if it is none."""
    found = _TOKEN.fullmatch(token)
    if found is None:
        return None
    head, claims = decoded(found[1]), decoded(found[2])
    kind = {name: value for name, value in head.items() if name in _KIND and len(str(value)) < 16}
    told = _told(claims, is_told)
    times = {name: claims[name] for name in told if isinstance(claims[name], int | float)}
    return f"{_text({**_told(head, is_told), **kind})}.{_text({**told, **times})}", found[3]


def segments_of(shape: str) -> tuple[str, str] | None:
    """Return the first two segments of a token for which *shape* begins with what is told of it, and the rest."""
    segments, at = "", 0
    for _ in range(2):
        try:
            said, at = _decoder.raw_decode(shape, at)
            text = _text(said)
        except (ValueError, RecursionError):  # edited by hand
            return None
        if text[:1] != "{" or shape[at : at + 1] != ".":
            return None
        segments += base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=") + "."
        at += 1
    return segments, shape[at:]


def _told(said: Mapping[str, JSON], is_told: IsTold) -> dict[str, JSON]:
    return {name: _value((name,), value, is_told) for name, value in said.items() if _NAME.fullmatch(name)}


def _value(path: tuple[str, ...], value: JSON, is_told: IsTold) -> JSON:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, list) and len(path) < _DEEPEST:
        return [_value((*path, "[]"), each, is_told) for each in value]
    if isinstance(value, dict) and len(path) < _DEEPEST:
        return {name: _value((*path, name), each, is_told) for name, each in value.items() if _NAME.fullmatch(name)}
    is_plain = len(str(value)) >= _LEAST_TEXT and is_told(path, str(value))
    if isinstance(value, str):
        return value if is_plain else SECRET_PLACEHOLDER
    return value if is_plain else 0


def _text(said: Mapping[str, JSON]) -> str:
    return json.dumps(said, separators=(",", ":"))
