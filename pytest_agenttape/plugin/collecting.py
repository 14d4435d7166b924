"""Calls made while tests are collected: when a test module is imported, or by a hook. Imports nothing heavy."""

from __future__ import annotations

import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Set
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.plugin.header import may_be_live
from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.process import runs
from pytest_agenttape.process.patching import Patch

if TYPE_CHECKING:
    from pytest_agenttape.plugin.importing import Importing

_USE = rb"\bagenttape(_cassette)?\b"  # of the marker or the fixture, not of the package


class Collecting:
    """Judges them: nobody knows yet which tests are marked, so it is told by the text of a test file.

    Attributes:
        calls: What is wrong with each, and the file that was collected, if any, with those that it imports.
        lookups: The same of hosts, by their names, that were looked up: wrong if they want a key.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file: Path | None = None
        self._imports: Importing | None = None
        self._marked: Set[Path] = frozenset()  # the files with marked tests, and the packages that these are in
        self.calls: Counter[tuple[str, Set[Path]]] = Counter()
        self.lookups: dict[str, tuple[str, Set[Path]]] = {}
        # No transport is loaded yet, because most runs need none.
        self._patch = Patch(socket, "getaddrinfo", self._noting)
        self._patch.install()
        self._end = runs.begin_to_collect(self)
        config.add_cleanup(self.end)

    def end(self) -> None:
        """Judge nothing any longer."""
        self._end()
        self._patch.uninstall()

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge the calls that a file makes while it is collected, if it may have marked tests."""
        before, self._file = self._file, collector.path if isinstance(collector, pytest.Module | pytest.Class) else None
        try:
            if self._file is None or not re.search(_USE, self._file.read_bytes()):
                return (yield)
            with self._importing().judged(self._file):
                return (yield)
        finally:
            self._file = before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Learn which files have marked tests, even if these are deselected later or another plugin marks them."""
        collected = [*items] if self.calls or self.lookups else []
        yield
        marked = {each.path for each in collected if is_marked(each)}
        self._marked = marked.union(folder / "__init__.py" for file in marked for folder in file.parents)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self) -> None:
        """Leave what comes next to the rest of the run."""
        self.end()

    def _importing(self) -> Importing:  # no property: pytest before 8.3.5 asks plugins for theirs
        if self._imports is None:
            # Heavy, and most runs have no such file.
            from pytest_agenttape.process.garbage import lasting

            with lasting():
                from pytest_agenttape.plugin.importing import Importing

            self._imports = Importing(self._config, self._note)
        return self._imports

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Note a call that goes on, which a run that only replays should not have made."""
        if may_be_live(self._config):
            if self._imports is not None:
                self._imports.let_pass(url, method)
            return
        self._note(self._line("a call"))

    def wrong(self) -> list[str]:
        """Return why a run that only replays fails, a line for each call; a file without marked tests is its own."""
        from pytest_agenttape.providers.keys import answers_for_a_key  # heavy, and only runs with marked tests ask

        found = [*self.calls.elements(), *(each for host, each in self.lookups.items() if answers_for_a_key(host))]
        return [line for line, files in found if not files or files & self._marked]

    def _line(self, call: str) -> str:
        from pytest_agenttape.process.user_stack import place  # most runs have no such call

        where = place(self._config.rootpath)
        return f"{call} ran for real while tests were collected, in a run that only replays ({where})"

    def _note(self, line: str) -> None:
        self.calls[line, self._files()] += 1

    def _files(self) -> Set[Path]:
        return frozenset() if self._file is None else frozenset({self._file, *_imported()})

    def _noting(self, look_up: Callable[..., Any]) -> Callable[..., Any]:
        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            found = look_up(host, *args, **kwargs)
            if isinstance(host, str) and host not in self.lookups and not may_be_live(self._config):
                self.lookups[host] = self._line(f"a call to {host}"), self._files()
            return found

        return getaddrinfo


def _imported() -> Iterator[Path]:
    """Yield the files whose import the running code is part of."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            yield Path(frame.f_code.co_filename)
        frame = frame.f_back


COLLECTING = pytest.StashKey[Collecting]()
