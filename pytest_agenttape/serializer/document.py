"""A cassette file as plain values, and what the readers of both formats share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON

TAG = "$tag"  # in a mapping with "value": what another tool wrote under a tag that means nothing here
MAX_DEPTH = 500  # more levels than data has, fewer than would exhaust the stack of the recursive packages above


# What to do about a file that cannot be parsed: it was edited by hand, merged, or cut off.
WAY_OUT = "correct it there, restore it from version control, or record again with --agenttape-record"


@dataclass(frozen=True, slots=True)
class Document:
    """A cassette file as plain values.

    Attributes:
        root: The file's mapping.
        lines: The 1-based line on which each interaction starts; 0 if that is unknown.
        tagged: The line of the first value that was read by its tag; no cassette of this project has one.
        anchors: What each anchor stands for, in the order of the file; an alias is the same object.
    """

    root: dict[str, JSON]
    lines: tuple[int, ...]
    tagged: int | None = None
    anchors: Mapping[str, JSON] = field(default_factory=dict)


def checked_root(root: JSON) -> dict[str, JSON]:
    """Return *root*, which must be a mapping."""
    if isinstance(root, dict):
        return root
    found = "nothing" if root is None else type(root).__name__
    raise CassetteCorruptError(f"must be a mapping, found {found}", line=1)


def line_of(text: str, position: int) -> int:
    """Return the 1-based line of *position* in *text*."""
    return text.count("\n", 0, position) + 1


def short(name: str | None) -> str:
    """Return *name* as a message shows it."""
    name = name or ""
    return repr(name if len(name) <= 60 else name[:59] + "…")


def duplicate(key: str) -> str:
    """Return the message of both readers for a duplicate key."""
    return f"duplicate key {short(key)}"
