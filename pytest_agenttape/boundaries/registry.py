"""The boundaries drawn so far in this process: their names and labels, and the defaults of their arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping

_boundaries: dict[str, Mapping[str, object]] = {}  # grows as modules are imported
_labels: set[str] = set()  # likewise


_deferred: list[Callable[[], object]] = []  # likewise, until a session asks


def defer(register: Callable[[], object]) -> None:
    """Let *register* be called before anyone asks for what is known here."""
    _deferred.append(register)


def register_boundary(name: str, defaults: Mapping[str, object] | None = None) -> None:
    """Note that there is a boundary named *name*, with these *defaults* for its arguments."""
    if defaults is None:
        _boundaries.setdefault(name, {})
    else:
        _boundaries[name] = defaults


def register_label(label: str) -> None:
    """Note that some boundaries have *label*."""
    _labels.add(label)


def defaults_of(name: str | None) -> Mapping[str, object]:
    """Return the defaults of the arguments of the boundary *name*, as far as they are known."""
    _settle()
    return _boundaries.get(name or "", {})


def registered_boundaries() -> frozenset[str]:
    """Return the names of all boundaries."""
    _settle()
    return frozenset(_boundaries)


def registered_labels() -> frozenset[str]:
    """Return the labels of all boundaries."""
    return frozenset(_labels)


def _settle() -> None:
    while _deferred:
        due = _deferred[:]
        del _deferred[: len(due)]
        for register in due:
            register()
