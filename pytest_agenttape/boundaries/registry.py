"""The boundaries drawn so far in this process: their names, and the defaults of their arguments."""

from __future__ import annotations

from collections.abc import Mapping

_boundaries: dict[str, Mapping[str, object]] = {}  # grows as modules are imported


def register_boundary(name: str, defaults: Mapping[str, object] | None = None) -> None:
    """Note that there is a boundary named *name*, with these *defaults* for its arguments."""
    if defaults is None:
        _boundaries.setdefault(name, {})
    else:
        _boundaries[name] = defaults


def defaults_of(name: str | None) -> Mapping[str, object]:
    """Return the defaults of the arguments of the boundary *name*, as far as they are known."""
    return _boundaries.get(name or "", {})


def registered_boundaries() -> frozenset[str]:
    """Return the names of all boundaries."""
    return frozenset(_boundaries)
