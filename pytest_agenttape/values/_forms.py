"""The vocabulary of this package: a `Form` is one way to store a kind of value, `Refused` says why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_agenttape.model import JSON

MARKER = "$type"
ATOMS = frozenset({str, bool, type(None)})  # stored as they are, whatever their value

Stored: TypeAlias = dict[str, JSON]
EncodePart: TypeAlias = Callable[[object, str], JSON]  # (part of a value, its path segment) -> stored part
DecodePart: TypeAlias = Callable[[JSON], Any]  # Any: what was stored decides


@dataclass(frozen=True, slots=True)
class Form:
    """How one built-in type is stored under its own name."""

    name: str
    encode: Callable[[Any, EncodePart], Stored]  # Any: the table gives each form its own type
    decode: Callable[[Stored, DecodePart], object]


@dataclass(frozen=True, slots=True)
class Family:
    """How all classes of one kind (enums, dataclasses, ...) are stored, each under its importable name."""

    owns: Callable[[type], bool]
    encode: Callable[[Any, EncodePart], Stored]  # Any: `owns` has vetted it
    decode: Callable[[type, Stored, DecodePart], object]


@dataclass(frozen=True, slots=True)
class Codec:
    """A user's way to record one class."""

    cls: type
    name: str
    encode: Callable[[Any], object]  # Any: an instance of cls
    decode: Callable[[Any], object]  # Any: what encode returned


@dataclass(eq=False)
class Refused(Exception):
    """A part of a value that cannot be stored; callers prepend their path segment on the way out."""

    problem: str
    segments: list[str] = field(default_factory=list)

    def message(self, where: str) -> str:
        """Return the problem with its path from *where*; a very deep path is shortened."""
        path = [*reversed(self.segments)]
        shown = path if len(path) <= 12 else [*path[:6], " ... ", *path[-4:]]
        return f"{where}{''.join(shown)}: {self.problem}"


def cannot_record(cls: type, why: str = "") -> Refused:
    """Return the refusal of a value of *cls*."""
    reason = f" ({why})" if why else ""
    return Refused(f"{class_text(cls)} cannot be recorded{reason}; use plain data or register a codec")


def class_text(cls: type) -> str:
    """Return the class as Python shows it, whatever its metaclass makes of ``repr``."""
    return f"<class '{cls.__module__}.{cls.__qualname__}'>"


def key_segment(key: object) -> str:
    """Return the path segment of a mapping's key: ``.name``, or ``['odd name']``."""
    if type(key) is str and key.isidentifier():
        return f".{key[:40]}"
    text = repr(key) if type(key) in (str, int, float, bool, type(None)) else f"<{type(key).__name__}>"
    return f"[{text if len(text) <= 42 else text[:40] + '...'}]"
