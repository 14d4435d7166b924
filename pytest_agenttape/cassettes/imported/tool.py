"""What a tool's format consists of: how its files are known, and how they are translated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pytest_agenttape.model import JSON

IMPORTED, UNPLAYABLE, OBSERVED = "imported", "unplayable", "observed"  # keys of an interaction's metadata

ReadAsset: TypeAlias = Callable[[str], bytes]  # (name in the cassette's folder of assets) -> content


@dataclass(frozen=True, slots=True)
class Tool:
    """One tool's format.

    Attributes:
        name: What it is called, with the versions whose format is known.
        wrote: Say from a file's root whether the tool wrote it.
        listed: Return the interactions of a root.
        translate: Return one interaction without its index.
        notes: Say what does not come back as it was, of the whole cassette.
        meta: Return facts about the run, after checking the version.
    """

    name: str
    wrote: Callable[[Mapping[str, JSON]], bool]
    listed: Callable[[Mapping[str, JSON]], JSON]
    translate: Callable[[dict[str, JSON], ReadAsset], dict[str, JSON]]
    notes: Callable[[Sequence[Mapping[str, JSON]]], Iterator[str]] = lambda _: iter(())
    meta: Callable[[Mapping[str, JSON]], dict[str, JSON]] = lambda _: {}
