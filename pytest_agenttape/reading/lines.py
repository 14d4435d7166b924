"""Lines of text, each with the part it plays, from which a terminal takes its colour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Part: TypeAlias = Literal["plain", "title", "call", "failure", "cause", "old", "new", "moved", "aside"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line.

    Attributes:
        note: What stands behind the text, and is kept when a narrow terminal cuts that.
    """

    text: str
    part: Part = "plain"
    note: str = ""

    def __str__(self) -> str:
        return f"{self.text}  ({self.note})" if self.note else self.text


def indented(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield *lines* two columns further right."""
    return (replace(line, text=f"  {line.text}") for line in lines)
