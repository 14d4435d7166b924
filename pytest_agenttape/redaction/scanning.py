"""What a scan of finished text reports: where something is, and what kind of thing, never the thing itself."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One secret in a text.

    Attributes:
        kind: ``known-value``, or the name of the format or rule that it matches.
        offset: Position of its first character.
        line: Its line, from 1.
    """

    kind: str
    offset: int
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind}"
