"""What the tests of a run did to their cassettes, gathered in the main process, also under xdist."""

from __future__ import annotations

import importlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pytest

LEDGER = "agenttape-ledger"
CASSETTES = "cassettes"  # as in `model`, which a run without a cassette does not load

Told: TypeAlias = dict[str, Any]  # plain types: it may have crossed a process border


class Ledger:
    """Registered for every run; imports what judges and reports only when there is something to say."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.tests: dict[str, Told] = {}
        self.orphans: list[str] = []
        self.deleted: list[str] = []
        self.failures: dict[str, str] = {}
        self.problems: list[str] = []
        self.folders: set[Path] = set()
        self.is_collected = True
        self._tallies: list[Told] = []
        self._lost_worker = False

    @classmethod
    def of(cls, config: pytest.Config) -> Ledger:
        """Return the one of this run."""
        ledger: Ledger | None = config.pluginmanager.get_plugin(LEDGER)
        assert ledger is not None
        return ledger

    def pytest_collect_directory(self, path: Path) -> None:
        """Note folders of cassettes, also where all tests are gone; not those that pytest finds beside what it runs."""
        if path.name == CASSETTES and any(map(path.parent.is_relative_to, self._asked_for)):
            self.folders.add(path.parent)

    @cached_property
    def _asked_for(self) -> list[Path]:
        config = self._config
        return [Path(os.path.abspath(config.invocation_params.dir / each.partition("::")[0])) for each in config.args]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.is_collected = False

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = getattr(report, "agenttape", None)
        if told is not None:
            self.tests[report.nodeid] = told
        if report.failed and self._config.option.agenttape_report is not None:
            failure = getattr(report, "agenttape_failure", None) or report.longreprtext
            self.failures.setdefault(report.nodeid, failure)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what an xdist worker knows; a worker that was lost takes its claims with it."""
        tally = getattr(node, "workeroutput", {}).get("agenttape")
        if tally is not None:
            self.add(tally)
        self._lost_worker = self._lost_worker or error is not None

    def add(self, tally: Told) -> None:
        """Take what a process knows at its end: this one, or a worker."""
        self._tallies.append(tally)
        self.tests.update(tally["interrupted"])

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            return
        path: Path | None = self._config.option.agenttape_report
        if not self.tests and not self._tallies and path is None:
            return
        report = importlib.import_module("pytest_agenttape.plugin.report.verdicts")
        report.judge(self, session)
        problem = None if path is None else report.write_file(self, path)
        if problem is not None:
            self.problems.append(problem)
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.tests or self.orphans or self.deleted or self.problems:
            importlib.import_module("pytest_agenttape.plugin.report.verdicts").write_summary(self, terminalreporter)

    @property
    def is_whole(self) -> bool:
        """Whether every process collected everything, so that an unclaimed cassette is an orphan."""
        return bool(self._tallies) and not self._lost_worker and all(tally["whole"] for tally in self._tallies)

    @property
    def root(self) -> Path:
        """The folder that node ids are relative to."""
        return self._config.rootpath

    def told(self, key: str) -> set[str]:
        """Return the union of what the tallies say under *key*."""
        return {each for tally in self._tallies for each in tally[key]}

    @property
    def updates_snapshots(self) -> bool:
        """Whether the user asked for a refresh, which CI alone does not grant."""
        option = self._config.option
        return bool(getattr(option, "update_snapshots", False)) and not os.environ.get("CI")

    @property
    def is_strict(self) -> bool:
        """Whether orphans and unplayed recordings fail the run."""
        return bool(self._config.option.agenttape_strict)
