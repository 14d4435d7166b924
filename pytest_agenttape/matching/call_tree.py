"""Which call made which: the tree of the calls of one run or one recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Self

from pytest_agenttape.model import Interaction


@dataclass(frozen=True, slots=True)
class CallTree:
    """Calls below the call whose body made them. Chains may be thousands of calls deep, so nothing here recurses."""

    _children: Mapping[int | None, Sequence[Interaction]]  # by the index of the parent; None for the roots
    _known: Set[int]  # the indices of all

    @classmethod
    def of(cls, interactions: Sequence[Interaction]) -> Self:
        """Return the tree of *interactions*; a call whose parent is not among them has none."""
        known = {each.index for each in interactions}
        children: dict[int | None, list[Interaction]] = {}
        for each in interactions:
            parent = parent_of(each)
            children.setdefault(parent if parent in known else None, []).append(each)
        return cls(children, known)

    @property
    def is_flat(self) -> bool:
        """Whether no call made another."""
        return self._children.keys() <= {None}

    def is_nested(self, interaction: Interaction) -> bool:
        """Return whether another of the calls made *interaction*."""
        return parent_of(interaction) in self._known

    @property
    def roots(self) -> Sequence[Interaction]:
        """The calls that no other call made, in the order given."""
        return self._children.get(None, ())

    def children(self, index: int) -> Sequence[Interaction]:
        """Return the calls that the body of call *index* made itself, in the order given."""
        return self._children.get(index, ())

    def descendants(self, index: int) -> Iterator[Interaction]:
        """Yield the calls below call *index*, each right before those that it made."""
        return self._walk(self.children(index))

    def in_order(self) -> Iterator[Interaction]:
        """Yield all calls, each right before those that it made."""
        return self._walk(self.roots)

    def _walk(self, calls: Sequence[Interaction]) -> Iterator[Interaction]:
        waiting = [*reversed(calls)]
        while waiting:
            each = waiting.pop()
            yield each
            waiting += reversed(self.children(each.index))


def parent_of(interaction: Interaction) -> int | None:
    """Return the index of the call whose body made *interaction*; None if the agent itself did."""
    parent = interaction.parent
    return parent if parent is not None and parent < interaction.index else None


def in_call_order(interactions: Sequence[Interaction]) -> list[Interaction]:
    """Return *interactions* with each nested call right after the one that made it: as recorded and as replayed."""
    return [*CallTree.of(interactions).in_order()]
