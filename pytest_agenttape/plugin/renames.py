"""Finds the cassette of a test that was renamed or moved: it has none, and the cassette's own test is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from difflib import SequenceMatcher
from functools import cached_property
from pathlib import Path

import pytest

from pytest_agenttape.plugin.orphans import sees_whole_files


class Renames:
    """What tests without a cassette may have been called before.

    Args:
        config: Of the run.
        claimed: Returns every cassette that a test claims.
        orphans: Returns those that no test claims.
    """

    def __init__(
        self,
        config: pytest.Config,
        claimed: Callable[[], Iterable[Path]],
        orphans: Callable[[], Sequence[Path]],
    ) -> None:
        self._can_tell = sees_whole_files(config)
        self._is_selection = any("::" in each for each in config.args)
        self._claimed = claimed
        self._find_orphans = orphans

    def candidates(self, path: Path) -> list[Path]:
        """Return the cassettes that may be the former ones of the test whose cassette would be *path*, best first."""
        alike = [each for each in self._orphans if each.suffix == path.suffix]
        return sorted(alike, key=lambda each: _likeness(each, path), reverse=True)

    def former(self, path: Path) -> Path | None:
        """Return the one cassette that most likely was that of the test whose cassette would be *path*."""
        best = next(iter(self.candidates(path)), None)
        if best is None or self._likest_test(best) != path:
            return None
        return best

    def _likest_test(self, orphan: Path) -> Path | None:
        return max(self._without_cassette, key=lambda each: _likeness(orphan, each), default=None)

    @cached_property
    def _orphans(self) -> Sequence[Path]:
        if not self._can_tell:
            return ()
        if not self._is_selection:
            return self._find_orphans()
        seen = set(map(_place, self._claimed()))  # all tests beside a selected one are known, and no others
        return [each for each in self._find_orphans() if _place(each) in seen]

    @cached_property
    def _without_cassette(self) -> list[Path]:
        """The cassettes that tests of this run claim and that were missing when this was first asked for."""
        return sorted(each for each in self._claimed() if not each.exists())


def _place(path: Path) -> tuple[Path, str]:
    """Return where the test of a cassette stands: its module's folder, and its class."""
    return path.parent, path.stem.partition("[")[0].rpartition(".")[0]


def _likeness(orphan: Path, path: Path) -> tuple[bool, bool, float]:
    """Return how alike two cassettes' names are: a moved test keeps its own, a renamed one its module's."""
    names = SequenceMatcher(None, orphan.stem, path.stem).ratio()
    return orphan.stem == path.stem, orphan.parent == path.parent, names
