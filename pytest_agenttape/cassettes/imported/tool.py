"""A tool's file format: how its files are recognised, and how they are translated."""

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
        name: Its name, with the versions whose format is known.
        wrote: Recognises a file of the tool by its root.
        listed: Returns the interactions of a root.
        translate: Returns one interaction in our schema, without its index.
        notes: Yields what does not come back as it was, for the whole cassette.
        meta: Returns facts about the run, after checking the version.
    """

    name: str
    wrote: Callable[[Mapping[str, JSON]], bool]
    listed: Callable[[Mapping[str, JSON]], JSON]
    translate: Callable[[dict[str, JSON], ReadAsset], dict[str, JSON]]
    notes: Callable[[Sequence[Mapping[str, JSON]]], Iterator[str]] = lambda _: iter(())
    meta: Callable[[Mapping[str, JSON]], dict[str, JSON]] = lambda _: {}
