"""Arguments that a function has gained since it was recorded: a recorded call that lacks one had its default."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from pytest_agenttape.model import JSON, Call, Interaction

DefaultsOf: TypeAlias = Callable[[str | None], Mapping[str, JSON]]  # (boundary) -> defaults in stored form


class Completion:
    """Recordings with the arguments that their functions have now.

    A boundary is known when it is called, not when the cassette is loaded, so its recordings are completed then.

    Attributes:
        recordings: The recordings as they would be asked for now, in the same order.
    """

    def __init__(self, recordings: Sequence[Interaction], defaults_of: DefaultsOf = lambda _: {}) -> None:
        self.recordings = list(recordings)
        self._lacking: list[Interaction] = []
        self._defaults_of = defaults_of
        self._positions: dict[str | None, list[int]] = defaultdict(list)
        for position, each in enumerate(recordings):
            if "args" in each.request and not each.is_observed and each.imported_from is None:
                self._positions[each.boundary].append(position)

    def requests(self) -> list[Interaction]:
        """Return the recordings as they would be asked for now, and those that lack an argument also as they are."""
        return [*self.recordings, *self._lacking]

    def complete(self, asked: Call) -> list[int]:
        """Complete the recordings of the boundary of *asked*, once; return the positions of those that changed."""
        positions, given = self._positions.pop(asked.boundary, ()), asked.request.get("args")
        if not positions or not isinstance(given, dict):
            return []
        defaults = {name: each for name, each in self._defaults_of(asked.boundary).items() if name in given}
        found = []
        for position in positions:
            recorded = self.recordings[position]
            args = recorded.request["args"]
            if isinstance(args, dict) and not defaults.keys() <= args.keys():
                request = {**recorded.request, "args": {**defaults, **args}}
                self.recordings[position] = replace(recorded, request=request)
                self._lacking.append(recorded)
                found.append(position)
        return found
