"""Whether two values are exactly the same."""

from __future__ import annotations

from typing import TypeAlias

from pytest_agenttape.model import JSON

_Where: TypeAlias = tuple[()] | tuple["_Where", str]  # a path, innermost part first to reach


def first_difference(wrote: JSON, got: JSON) -> str | None:
    """Return where two values differ in type, content or order of keys, without showing the values."""
    waiting: list[tuple[_Where, JSON, JSON]] = [((), wrote, got)]
    compared: set[tuple[int, int]] = set()  # pairs of trees: what stands often is compared once
    while waiting:
        where, a, b = waiting.pop()
        if a is b:
            continue
        if isinstance(a, dict | list):
            pair = id(a), id(b)
            if pair in compared:
                continue
            compared.add(pair)
        problem = _own_difference(a, b)
        if problem:
            return f"{_path(where)} {problem}"
        if isinstance(a, dict):
            waiting += [((where, f".{key}"), a[key], b[key]) for key in a]
        elif isinstance(a, list):
            waiting += [((where, f"[{i}]"), *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    return None


def _own_difference(a: JSON, b: JSON) -> str | None:
    """Return how two values themselves differ, ignoring their parts."""
    if type(a) is not type(b):
        return f"is a {type(a).__name__} and comes back as a {type(b).__name__}"
    if isinstance(a, dict):
        return None if list(a) == list(b) else "comes back with different keys"
    if isinstance(a, list):
        return None if len(a) == len(b) else f"comes back with {len(b)} items instead of {len(a)}"
    if isinstance(a, float):  # repr distinguishes -0.0 from 0.0, and equals itself for nan
        return None if repr(a) == repr(b) else "comes back as a different number"
    return None if a == b else "comes back changed"


def _path(where: _Where) -> str:
    parts: list[str] = []
    while where:
        where, part = where
        parts.append(part)
    return "".join(reversed(parts)).lstrip(".") or "the root"
