"""The hooks around marked tests: a cassette is claimed at collection, open around the test, settled at its end."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import telemetry, transports
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.plugin.another_model import ANOTHER_MODEL, LIVE, refuse_unknown
from pytest_agenttape.plugin.attempt import Attempt
from pytest_agenttape.plugin.claims import Claim, Claims
from pytest_agenttape.plugin.committing import commit, keep_parsed_files, pending_store, prune
from pytest_agenttape.plugin.judging import error_of_ours, fail_drifted, judge_returned, judged, put_headline_first
from pytest_agenttape.plugin.missing_keys import note_missing_key
from pytest_agenttape.plugin.node_ids import unrepeated, was_recorded_for
from pytest_agenttape.plugin.opening import configuration_of, open_session, reseed_before, restore_runtest
from pytest_agenttape.plugin.options import CASSETTES, has_snapshot_update, is_marked
from pytest_agenttape.plugin.orphans import find, is_narrowed, sees_whole_files
from pytest_agenttape.plugin.pytest_privates import is_testcase
from pytest_agenttape.plugin.renames import Renames
from pytest_agenttape.plugin.report.attempt_record import record_of
from pytest_agenttape.plugin.report.junit import properties
from pytest_agenttape.plugin.report.ledger import LEDGER
from pytest_agenttape.plugin.report.test_record import Plain, Tally, TestRecord
from pytest_agenttape.plugin.report.workers import (
    is_worker,
    refusing_the_run,
    send_failure,
    send_record,
    send_tally,
)
from pytest_agenttape.plugin.session_fixture import move_first
from pytest_agenttape.plugin.surroundings import Surroundings
from pytest_agenttape.process.cutting import main_thread_can_be_cut, raised_as
from pytest_agenttape.session.session import Session


class Lifecycle:
    """Registered for a run that has marked tests.

    Attributes:
        surroundings: The hooks around these tests.
    """

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._ledger = session.config.stash[LEDGER]
        self._claims = Claims(session.config)
        self._pending = pending_store(session.config)
        keep_parsed_files(session.config)
        self._renames = Renames(
            session.config,
            lambda: self._claims.paths,
            lambda: find(self._homes, self._claims.paths_of_all(), self._modules),
        )
        self._is_whole = not is_narrowed(session.config)
        self._folders: set[Path] = set()
        self._modules: set[str] = set()
        self._attempts: dict[str, Attempt] = {}
        self._records: dict[str, TestRecord] = {}  # of tests that pytest has not reported yet
        self._tried: dict[str, list[Plain]] = {}  # the runs of each test with live calls
        self._ran: set[str] = set()  # the tests that had a session
        self._telemetry_before = telemetry.counts.copy()
        self.surroundings = Surroundings(session, self._claims, self.has_open)

    # -- collection

    def claim(self, items: Iterable[pytest.Item]) -> None:
        """Assign a cassette to every marked test of *items* that has none yet.

        Raises:
            UsageError: A marker cannot be used, or two tests would record one file.
        """
        listed = list(items)
        for one in {item.parent: item for item in listed}.values():
            self._folders.add(one.path.parent)
            self._modules.add(str(one.path))
        new = [item for item in listed if item.nodeid not in self._claims and is_marked(item)]
        if new:
            self._claims.add(new)
            for item in new:
                move_first(item)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Patch the libraries imported so far, before any fixture can mock them.

        Raises:
            UsageError: What is to run for real names nothing.
        """
        if any(item.nodeid in self._claims for item in session.items) and not session.config.option.collectonly:
            with contextlib.suppress(AgentTapeError):  # the session of each marked test raises it again
                transports.install()
                self._claims.take_boundaries()
            if LIVE in session.config.stash:
                with refusing_the_run(session):
                    refuse_unknown(session.config.stash[LIVE], self._claims.paths)

    # -- one test

    def open(self, request: pytest.FixtureRequest) -> Session | None:
        """Open the session of the test that *request* belongs to; return None if the test is unmarked."""
        __tracebackhide__ = True
        item: pytest.Item = request.node
        claim = self._claims.of(item.nodeid)
        if claim is None:
            return None
        overrides = configuration_of(request, self._claims)
        session = open_session(item, claim, self._claims, overrides, self._pending, self._renames)
        self._attempts[item.nodeid] = self._attempt(item, claim, session)
        request.addfinalizer(session.close)
        if isinstance(item, pytest.Function) and is_testcase(item):
            reseed_before(item, session.world.freeze.reseed)
            request.addfinalizer(lambda: restore_runtest(item))
        return session

    def has_open(self, item: pytest.Item) -> bool:
        """Return whether the session of *item* is open."""
        return item.nodeid in self._attempts

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        try:
            return (yield)
        except BaseException as error:
            attempt = self._attempts.get(item.nodeid)
            if attempt is None and item.nodeid in self._claims:
                note_missing_key(error)
            verdict = error if attempt is None else judged(error, attempt.session)
            if verdict is error:
                raise
            raise verdict from None  # a fixture drifted in its setup and skips the test

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        attempt = self._attempts.get(item.nodeid)
        if attempt is None:
            return (yield)
        attempt.session.verdict.fail()  # a fixture drifted in its setup and swallowed the exception
        try:
            with main_thread_can_be_cut():
                result = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            verdict = judged(error, attempt.session)
            if verdict is error:
                raise
            raise verdict from None
        judge_returned(attempt)
        attempt.session.world.freeze.judge_draws()
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Undo what pytest-randomly does to the random numbers before each phase."""
        attempt = self._attempts.get(pyfuncitem.nodeid)
        if attempt is not None:
            attempt.session.world.freeze.reseed()

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside the hooks that change outcomes: xfail, unittest
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        attempt = self._attempts.get(item.nodeid)
        if attempt is not None and call.when != "teardown":
            fail_drifted(item, report, attempt.session.verdict)
            attempt.note(str(call.when), report.outcome)
            if report.failed:
                attempt.error = error_of_ours(call, attempt.session.verdict)
                put_headline_first(report, attempt.error or (call.excinfo.value if call.excinfo else None))
                if self._has_report:  # it is written after the test's secrets are forgotten
                    send_failure(report, attempt.session.secrets.redactor.text(report.longreprtext))
        if call.when == "teardown" and item.nodeid in self._records:
            record = self._records.pop(item.nodeid).or_error(error_of_ours(call))
            send_record(report, record)
            report.user_properties += properties(record, item.config.rootpath)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outermost: all fixtures are torn down when it ends
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        attempt = self._attempts.get(item.nodeid)
        if attempt is None:
            return (yield)
        attempt.session.phase = "teardown"
        if attempt.outcome == "failed":
            from pytest_agenttape.plugin.syrupy import keep_views  # imports syrupy, which a green run may not need

            keep_views(item.config, item.nodeid)
        try:
            with raised_as(pytest.fail.Exception):  # pytest goes on to the next finalizer
                result = yield
        except BaseException:
            attempt.outcome = "failed"
            raise
        finally:
            self._settle(attempt)
        return result

    def pytest_enter_pdb(self) -> None:
        for attempt in self._attempts.values():
            attempt.session.is_debugged = True

    def pytest_leave_pdb(self) -> None:
        for attempt in self._attempts.values():
            attempt.session.is_debugged = False

    # -- the run

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for attempt in list(self._attempts.values()):  # the run was interrupted before their teardown
            attempt.outcome = "interrupted"
            self._settle(attempt)
        if self._pending is not None:
            prune(self._pending, self._claims.paths, self._modules, self._homes, is_whole=self._is_whole)
        if is_worker(self._config):
            send_tally(self._config, self._tally())
        else:
            self._ledger.add(self._tally())
            self._keep_views(session)

    # -- internals

    def _attempt(self, item: pytest.Item, claim: Claim, session: Session) -> Attempt:
        users = self._claims.users(claim.path)
        test = session.loaded.meta.get("test")
        may_have_others = claim.is_named and not self._is_whole and not was_recorded_for(item, test)
        return Attempt(
            item=item,
            session=session,
            users=users,
            is_shared=users > 1 or may_have_others,
        )

    @property
    def _has_report(self) -> bool:
        return self._config.option.agenttape_report is not None

    def _settle(self, attempt: Attempt) -> None:
        """Close the session, commit its recording or keep it as pending, and create its record."""
        __tracebackhide__ = True
        nodeid = attempt.item.nodeid
        del self._attempts[nodeid]
        self._ran.add(nodeid)
        attempt.session.close()
        verify = getattr(attempt.session, "verify", None)  # of a session of --agenttape-verify
        if verify is not None and attempt.outcome == "passed":
            attempt.verified = verify()
        try:
            commit(attempt, self._pending)
            if attempt.outcome == "passed" and attempt.session.loaded.policy.records:
                self._claims.note_recorded(attempt.session.path)
        finally:
            record = record_of(attempt, report=self._config.option.agenttape_report)
            if ANOTHER_MODEL in self._config.stash:
                record = self._with_runs(record, attempt)
            self._records[nodeid] = record

    def _with_runs(self, record: TestRecord, attempt: Attempt) -> TestRecord:
        """Return *record* with this run of its test and the former ones, some of which pytest has not reported."""
        from pytest_agenttape.plugin.report.tried import Tried  # for --agenttape-live only

        session = attempt.session
        recorded = [] if session.loaded.cassette is None else session.loaded.cassette.interactions
        tried = Tried.of(
            unrepeated(attempt.item), attempt.outcome, recorded, session.interactions, session.verdict.error
        )
        runs = self._tried.setdefault(attempt.item.nodeid, [])
        runs.append(tried.to_plain())
        return replace(record, tried=tuple(runs))

    def _keep_views(self, session: pytest.Session) -> None:
        """Keep the views of tests that did not run, because -x or an interrupt has ended the run before."""
        if not has_snapshot_update(session.config):
            return
        from pytest_agenttape.plugin.syrupy import keep_all_views, keep_views  # imports syrupy, as above

        if not sees_whole_files(session.config):
            keep_all_views(session.config)
        for item in session.items:
            if item.nodeid in self._claims and item.nodeid not in self._ran:
                keep_views(session.config, item.nodeid)

    @property
    def _homes(self) -> dict[Path, Path]:
        """The folders with cassettes that this run has seen, each with the folder of their tests."""
        found = {folder / CASSETTES: folder for folder in self._ledger.folders}
        with contextlib.suppress(ConfigError):  # the tests fail with it
            found |= {self._claims.cassettes_of(folder): folder for folder in self._folders}
        return found

    def _tally(self) -> Tally:
        return Tally(
            is_whole=self._is_whole and self._ledger.is_collected,
            claimed=self._claims.paths,
            homes=self._homes,
            modules=frozenset(self._modules),
            interrupted=dict(self._records),
            telemetry=telemetry.counts - self._telemetry_before,
        )
