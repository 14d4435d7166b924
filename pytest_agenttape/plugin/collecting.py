"""Calls made while tests are collected: when a test module is imported, or by a hook. Imports nothing heavy."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Set
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from pytest_agenttape.plugin.header import may_be_live
from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.process import runs

if TYPE_CHECKING:
    from pytest_agenttape.plugin.importing import Importing

_USE = rb"\bagenttape(_cassette)?\b"  # of the marker or the fixture, not of the package


class Collecting:
    """Judges them: nobody knows yet which tests are marked, so it is told by the text of a test file.

    Attributes:
        calls: What is wrong with each, and the file that was collected, if any, with those that it imports.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file: Path | None = None
        self._marked: Set[Path] = frozenset()  # the files with marked tests, and the packages that these are in
        self.calls: Counter[tuple[str, Set[Path]]] = Counter()
        self.end = runs.begin_to_collect(self)
        config.add_cleanup(self.end)

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge the calls that a file makes while it is collected, if it may have marked tests."""
        before, self._file = self._file, collector.path if isinstance(collector, pytest.Module | pytest.Class) else None
        try:
            if self._file is None or not re.search(_USE, self._file.read_bytes()):
                return (yield)
            with self._importing.judged(self._file):
                return (yield)
        finally:
            self._file = before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Learn which files have marked tests, even if these are deselected later or another plugin marks them."""
        collected = [*items] if self.calls else []
        yield
        marked = {each.path for each in collected if is_marked(each)}
        self._marked = marked.union(folder / "__init__.py" for file in marked for folder in file.parents)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Leave what comes next to the rest of the run."""
        self.end()

    @cached_property
    def _importing(self) -> Importing:
        # Heavy, and most runs have no such file.
        from pytest_agenttape.process.garbage import lasting

        with lasting():
            from pytest_agenttape.plugin.importing import Importing

        return Importing(self._config, self._note)

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Note a call that goes on, which a run that only replays should not have made."""
        if may_be_live(self._config):
            if "_importing" in self.__dict__:
                self._importing.let_pass(url, method)
            return
        from pytest_agenttape.plugin.rest_of_the_run import place  # heavy, and most runs have no such call

        where = place(self._config.rootpath)
        self._note(f"a call ran for real while tests were collected, in a run that only replays ({where})")

    def wrong(self) -> list[str]:
        """Return why a run that only replays fails, a line for each call; a file without marked tests is its own."""
        return [line for line, files in self.calls.elements() if not files or files & self._marked]

    def _note(self, line: str) -> None:
        self.calls[line, frozenset() if self._file is None else frozenset({self._file, *_imported()})] += 1


def _imported() -> Iterator[Path]:
    """Yield the files whose import the running code is part of."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield Path(frame.f_code.co_filename)
        frame = frame.f_back


COLLECTING = pytest.StashKey[Collecting]()
