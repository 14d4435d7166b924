"""Calls made while tests are collected: when a test module is imported, or by a hook. Imports nothing heavy."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Set
from pathlib import Path

import pytest

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.plugin.header import may_be_live
from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.process import collecting

_USE = rb"\bagenttape(_cassette)?\b"  # of the marker or the fixture, not of the package


class Collecting:
    """Judges them: nobody knows yet which tests are marked, so it is told by the text of a test file.

    Attributes:
        calls: What is wrong with each, and the file that was collected, if any.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file: Path | None = None
        self._marked: Set[Path] = frozenset()  # the files with marked tests
        self.calls: Counter[tuple[str, Path | None]] = Counter()
        self.end = collecting.begin(self)
        config.add_cleanup(self.end)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Remember which file is collected."""
        before, self._file = self._file, collector.path if isinstance(collector, pytest.Module | pytest.Class) else None
        try:
            return (yield)
        finally:
            self._file = before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Learn which files have marked tests, even if these are deselected later or another plugin marks them."""
        collected = [*items] if self.calls else []
        yield
        self._marked = {each.path for each in collected if is_marked(each)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Leave what comes next to the rest of the run."""
        self.end()

    def refusal(self) -> AgentTapeError | None:
        """Return the error for a call that is made now; None if it may run."""
        from pytest_agenttape.plugin.rest_of_the_run import place  # heavy, and most runs have no such call

        where, file = place(self._config.rootpath), self._file
        if file is None or may_be_live(self._config) or not re.search(_USE, file.read_bytes()):
            line = f"a call ran for real while tests were collected, in a run that only replays ({where})"
            self.calls[line, file] += 1
            return None
        made = f"a call was made while {file.name} was collected, before any cassette is open; nothing ran for real"
        self.calls[f"{made} ({where})", file] += 1
        return AgentTapeError(
            f"{made}\n  make it in the test or in a function-scoped fixture, or open a cassette for it: "
            "with use_cassette('name'): ..."
        )

    def wrong(self) -> list[str]:
        """Return why a run that only replays fails, a line for each call; a file without marked tests is its own."""
        return [line for line, file in self.calls.elements() if file is None or file in self._marked]


COLLECTING = pytest.StashKey[Collecting]()
