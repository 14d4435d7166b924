"""Hooks in the main process that gather the records of tests, also from xdist, and report them at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.plugin.options import CASSETTES, MARKER, PURSE, compares_live, title
from pytest_agenttape.plugin.report.ledger import LEDGER, Ledger
from pytest_agenttape.plugin.report.workers import (
    is_worker,
    place_of,
    received_failure,
    received_record,
    received_refusals,
    received_tally,
    send_refusals,
)

if TYPE_CHECKING:
    from pytest_agenttape.plugin.report.whole_run import WholeRun


class Gathering:
    """Registered for every run; imports judging and reporting code only if there is something to report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ledger = config.stash[LEDGER] = Ledger()
        self._verdict: WholeRun | None = None
        self._problem: str | None = None  # why the report file was not written

    def pytest_collect_directory(self, path: Path) -> None:
        """Note folders with cassettes, even if all their tests are gone, but only below the paths of this run."""
        if path.name == CASSETTES and any(map(path.parent.is_relative_to, self._asked_for)):
            self._ledger.folders.add(path.parent)

    @cached_property
    def _asked_for(self) -> list[Path]:
        config = self._config
        return [Path(os.path.abspath(config.invocation_params.dir / each.partition("::")[0])) for each in config.args]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._ledger.is_collected = False
            self._note_missing_key(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        record = received_record(report)
        if record is not None:
            self._ledger.records[report.nodeid] = record
            if record.former is not None and not record.wrote:  # its view stays under the former name as well
                from pytest_agenttape.plugin.syrupy import keep_all_views  # imports syrupy; few tests are renamed

                keep_all_views(self._config)
        if record is not None or report.failed:
            self._note_place(report)
        if report.failed and self._config.option.agenttape_report is not None:
            self._ledger.failures.setdefault(report.nodeid, received_failure(report))
            if MARKER in report.keywords:
                self._ledger.unopened.add(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Add the tally of an xdist worker; the claims of a crashed worker are lost."""
        tally = received_tally(node)
        if tally is not None:
            self._ledger.add(tally)
        self._ledger.refused.update(received_refusals(node))
        if error is not None:
            self._ledger.has_lost_worker = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if is_worker(self._config):  # the controller reports
            send_refusals(self._config, self._ledger.refused)
            return
        path: Path | None = self._config.option.agenttape_report
        ledger = self._ledger
        is_silent = path is None and PURSE not in self._config.stash
        if is_silent and not (ledger.records or ledger.tallies or ledger.keyless):
            return
        from pytest_agenttape.plugin.report.whole_run import judge

        self._verdict = judge(self._ledger, session)
        if self._verdict.fails and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if path is not None:
            self._write_file(path, session, self._verdict)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._verdict is not None:
            from pytest_agenttape.plugin.report.terminal import write_summary

            write_summary(terminalreporter, self._ledger, self._verdict, [*self._more()], self._config.rootpath)

    def _more(self) -> Iterator[str]:
        purse = self._config.stash.get(PURSE, None)
        if compares_live(self._config.option) and self._ledger.records:
            from pytest_agenttape.plugin.report.comparison import Comparison  # most runs compare nothing

            yield from Comparison.of(self._ledger, title(self._config.option)).lines()
        if purse is not None:
            yield from purse.summary()
        if self._problem is not None:
            yield self._problem

    def _note_place(self, report: pytest.TestReport) -> None:
        """Note where a test failed first, else where it begins."""
        place = place_of(report, self._config.rootpath)
        if place is not None:
            self._ledger.places.setdefault(report.nodeid, place)

    def _note_missing_key(self, report: pytest.CollectReport) -> None:
        from pytest_agenttape.plugin.missing_keys import keyless_file  # only for a file that cannot be imported

        name = keyless_file(report)
        if name is not None:
            self._ledger.keyless.setdefault(name, []).append(report.nodeid)

    def _write_file(self, path: Path, session: pytest.Session, verdict: WholeRun) -> None:
        from pytest_agenttape.plugin.report.file import write_run  # most runs do not ask for it

        live = title(self._config.option) if compares_live(self._config.option) else None
        self._problem = write_run(path, self._ledger, verdict, self._config, live)
        if self._problem is not None:
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED
