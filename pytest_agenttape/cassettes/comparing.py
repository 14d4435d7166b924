"""Whether two file forms are the same: exactly, or apart from what differs in every run."""

from __future__ import annotations

from typing import TypeAlias

from pytest_agenttape.model import JSON

_Where: TypeAlias = tuple[()] | tuple["_Where", str]  # a path, innermost part first to reach


def first_difference(wrote: JSON, got: JSON) -> str | None:
    """Return where two values differ in type, content or order of keys, without showing the values."""
    waiting: list[tuple[_Where, JSON, JSON]] = [((), wrote, got)]
    while waiting:
        where, a, b = waiting.pop()
        problem = _own_difference(a, b)
        if problem:
            return f"{_path(where)} {problem}"
        if isinstance(a, dict):
            waiting += [((where, f".{key}"), a[key], b[key]) for key in a]
        elif isinstance(a, list):
            waiting += [((where, f"[{i}]"), *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    return None


def without_times(root: JSON) -> JSON:
    """Return *root* without what differs in every run."""
    if not isinstance(root, dict):
        return root
    kept = {key: value for key, value in root.items() if key not in ("created_at", "run_id")}
    if isinstance(kept.get("meta"), dict):
        kept["meta"] = {key: value for key, value in kept["meta"].items() if key != "freeze"}
    if isinstance(kept.get("interactions"), list):
        kept["interactions"] = [_without_own_times(each) for each in kept["interactions"]]
    return kept


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


def _without_own_times(interaction: JSON) -> JSON:
    if not isinstance(interaction, dict):
        return interaction
    kept = {key: value for key, value in interaction.items() if key != "latency_ms"}
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in kept["metadata"].items() if key != "start_ms"}
    return kept
