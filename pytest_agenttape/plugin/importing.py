"""Calls that a test file makes when it is imported, before any cassette is open: refused in a run that only replays."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_agenttape import transports
from pytest_agenttape.errors import AgentTapeError, AgentTapeWarning, ConfigError
from pytest_agenttape.ownership import guard
from pytest_agenttape.plugin.claims import Claims
from pytest_agenttape.plugin.header import may_be_live
from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.plugin.rest_of_the_run import FailingTheRun
from pytest_agenttape.settings.config import Config

_WAY_OUT = (
    "  make it in the test or in a function-scoped fixture, or open a cassette for it: with use_cassette('name'): ..."
)


class Importing:
    """Judges the calls of the test files of a run that may have marked tests.

    Args:
        config: The run.
        refused: Told of each call that is refused, in one line.
    """

    def __init__(self, config: pytest.Config, refused: Callable[[str], None]) -> None:
        self._config = config
        self._refused = refused
        self._claims = Claims(config)
        self._imported: _Imported | None = None  # the file that is imported, whose calls go on
        self._unrecorded: set[Path] = set()  # the files that made calls which a replay refuses

    @contextlib.contextmanager
    def judged(self, file: Path) -> Iterator[None]:
        """Judge, in a block, the calls of *file*."""
        with contextlib.suppress(AgentTapeError):  # the session of each marked test raises it again
            transports.install()
        imported = _Imported(file, self._settings(file), self._config.rootpath, self._refused)
        if may_be_live(self._config):
            with self._watched(imported):
                yield
        else:
            with _guarded(), imported:
                yield

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Note a call that goes on, and which a replay would refuse."""
        imported = self._imported
        if imported is None or ((address := url()) and imported.admits(method, address)):
            return
        if not self._unrecorded:
            self._config.pluginmanager.register(_Warning(self._unrecorded))
        self._unrecorded.add(imported.file)

    @contextlib.contextmanager
    def _watched(self, imported: _Imported) -> Iterator[None]:
        before, self._imported = self._imported, imported
        try:
            yield
        finally:
            self._imported = before

    def _settings(self, file: Path) -> Config:
        try:
            return self._claims.config_at(file.parent)
        except ConfigError:  # each marked test fails with it
            return Config()


class _Imported(FailingTheRun):
    """Owns the calls made while *file* is collected."""

    def __init__(self, file: Path, config: Config, root: Path, refused: Callable[[str], None]) -> None:
        super().__init__(f"the import of {file.name}", config, root, refused)
        self.file = file

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made while {self.file.name} was collected, before any cassette is open; "
            f"nothing ran for real\n{_WAY_OUT}"
        )


class _Warning:
    """Tells, at the first marked test of a file, of the calls that no cassette has."""

    def __init__(self, files: set[Path]) -> None:
        self._files = files

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item.path not in self._files or not is_marked(item):
            return
        self._files.discard(item.path)
        made = f"calls were made while {item.path.name} was collected, which no cassette has; a replay refuses them"
        item.warn(AgentTapeWarning(f"{made}\n{_WAY_OUT}"))


@contextlib.contextmanager
def _guarded() -> Iterator[None]:
    guard.arm()
    try:
        yield
    finally:
        guard.disarm()
