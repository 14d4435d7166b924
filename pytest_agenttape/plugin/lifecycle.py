"""The life of a marked test's cassette: claimed at collection, open around the test, committed when it passed."""

from __future__ import annotations

import contextlib
import linecache
import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest

from pytest_agenttape import ownership, transports
from pytest_agenttape.cassettes.pending import Pending
from pytest_agenttape.errors import (
    AgentTapeError,
    ConfigError,
    RecordingRefusedError,
    UnplayedInteractionsError,
    UnplayedInteractionsWarning,
)
from pytest_agenttape.model import Interaction, Mode
from pytest_agenttape.plugin import orphans
from pytest_agenttape.plugin.claims import MARKER, Claim, Claims, siblings_of
from pytest_agenttape.plugin.outsiders import Aftermath, ConfigFixture, WideFixture
from pytest_agenttape.plugin.progress import Progress
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.process.user_stack import traceback_at
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.usage import total_tokens
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.session.verdict import RunCut, Verdict


@dataclass(slots=True)
class Run:
    """One attempt of one test; a plugin that reruns tests makes several."""

    item: pytest.Item
    claim: Claim
    session: Session
    is_replayed: bool = False
    outcome: str = ""
    error: str | None = None

    def note(self, when: str, outcome: str) -> None:
        """Take the outcome of a phase; a part of the test that failed is not forgotten."""
        if self.outcome != "failed":
            self.outcome = outcome if when == "call" else f"setup {outcome}"


_Written = TypeVar("_Written")
SESSION = "_agenttape_session"  # the fixture that opens it


class Lifecycle:
    """Registered for a run that has marked tests."""

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._ledger = Ledger.of(session.config)
        self._claims = Claims(session.config)
        self._runs: dict[str, Run] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._interrupted: dict[str, dict[str, Any]] = {}
        self._folders: set[Path] = set()
        self._modules: set[str] = set()
        self._is_whole = not orphans.is_narrowed(session.config)
        self._aftermath: Aftermath | None = None
        self._was_replayed = ""
        self._pending = _pending_store(session.config)

    # -- collection

    def claim(self, items: Iterable[pytest.Item]) -> None:
        """Give every marked test of *items* that has none yet its cassette.

        Raises:
            UsageError: A marker cannot be used, or two tests would record one file.
        """
        listed = list(items)
        for one in {item.parent: item for item in listed}.values():
            self._folders.add(one.path.parent)
            self._modules.add(str(one.path))
        new = [item for item in listed if item.nodeid not in self._claims and item.get_closest_marker(MARKER)]
        if new:
            self._claims.add(new, siblings_of(new))
            for item in new:
                _open_first(item)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Patch the libraries that are imported by now, below whatever mock a fixture brings later."""
        if any(item.nodeid in self._claims for item in session.items) and not session.config.option.collectonly:
            with contextlib.suppress(AgentTapeError):  # the session of each marked test raises it again
                transports.install()

    # -- one test

    def open(self, request: pytest.FixtureRequest) -> Session | None:
        """Open the session of the test that *request* belongs to; None for an unmarked one."""
        __tracebackhide__ = True
        item: pytest.Item = request.node
        claim = self._claims.of(item.nodeid)
        if claim is None:
            return None
        overrides = self._overrides(request)
        try:
            session = Session(self._settings(item, claim, overrides)).open()
        except AgentTapeError as error:  # said on the marker, in the fixture or in a file: no line of code is at fault
            raise error.with_traceback(_traceback_of(item)) from None
        if session.can_execute:
            session.on_live_call = Progress(self._config, item.nodeid)
        run = self._runs[item.nodeid] = Run(item, claim, session, is_replayed=_is_replayed(session))
        request.addfinalizer(lambda: self._close(run))
        if isinstance(item, pytest.Function) and hasattr(item, "addFailure"):
            _reseed_before(item, session)
            request.addfinalizer(lambda: vars(item).pop("runtest", None))
        return session

    def _overrides(self, request: pytest.FixtureRequest) -> Any:
        """Return what the fixture `agenttape_config` says; in replay nothing real runs to find out.

        Third-party private used: pytest 8-9 `FixtureManager.getfixturedefs`; ours alone makes no call.
        """
        __tracebackhide__ = True
        item: pytest.Item = request.node
        found = item.session._fixturemanager.getfixturedefs("agenttape_config", item) or ()
        if len(found) < 2 or not self._guards_wide_fixtures_of(item):
            return request.getfixturevalue("agenttape_config")
        overrides = None
        with ConfigFixture() as owner:
            try:
                overrides = request.getfixturevalue("agenttape_config")
            except (pytest.skip.Exception, pytest.xfail.Exception):
                if owner.refused is None:
                    raise
        if owner.refused is not None:  # and swallowed
            raise owner.refused
        return overrides

    def has_open(self, item: pytest.Item) -> bool:
        """Say whether the session of *item* is open."""
        return item.nodeid in self._runs

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        try:
            return (yield)
        except BaseException as error:
            run = self._runs.get(item.nodeid)
            judged = error if run is None else _judged(error, run.session)
            if judged is error:
                raise
            raise judged from None  # a fixture's set-up drifted, and it skips the test

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        run = self._runs.get(item.nodeid)
        if run is None:
            return (yield)
        session = run.session
        session.verdict.fail()  # a fixture's set-up drifted, and the exception was swallowed
        try:
            result = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            raise
        except BaseException as error:
            judged = _judged(error, session)
            if judged is error:
                raise
            raise judged from None
        failure = _unittest_failure(item)
        if failure is not None:
            self._judge_unittest(item, failure, session)
        else:
            session.hear_children()
            session.verdict.fail()
            self._judge_passed(run)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> None:
        """Undo what pytest-randomly does to the random numbers before each phase."""
        run = self._runs.get(pyfuncitem.nodeid)
        if run is not None:
            run.session.world.reseed()

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of what turns outcomes round: xfail, unittest
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        report = yield
        run = self._runs.get(item.nodeid)
        if run is not None and call.when != "teardown":
            _fail_drifted(item, report, run.session.verdict)
            run.note(str(call.when), report.outcome)
            if report.failed:
                run.error = _error_of_ours(call, run.session.verdict)
                if self._config.option.agenttape_report is not None:  # which is made when nobody knows its secrets
                    report.agenttape_failure = run.session.secrets.redactor.text(report.longreprtext)
        if call.when == "teardown" and item.nodeid in self._told:
            report.agenttape = told = self._told.pop(item.nodeid)
            told["error"] = told["error"] or _error_of_ours(call)
            report.user_properties += _properties(told, item.config.rootpath)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)  # outside, so that every fixture is torn down when it ends
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        run = self._runs.get(item.nodeid)
        if run is None:
            return (yield)
        run.session.phase = "teardown"
        if run.outcome == "failed":
            from pytest_agenttape.plugin.syrupy import keep_views  # with syrupy, which a green run may not need

            keep_views(item.config, item.nodeid)
        try:
            result = yield
        except BaseException:
            run.outcome = "failed"
            raise
        finally:
            if self._aftermath is not None:
                self._aftermath.close()
                self._aftermath = None
            self._settle(run)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        item = getattr(request, "_pyfuncitem", None)
        if fixturedef.scope == "function" or item is None or not self._guards_wide_fixtures_of(item):
            return (yield)
        with WideFixture(fixturedef.argname, fixturedef.scope) as owner:
            try:
                result = yield
            except (pytest.skip.Exception, pytest.xfail.Exception):
                if owner.refused is None:
                    raise
        if owner.refused is None:
            return result
        _fail_for_all(fixturedef, owner.refused)
        raise owner.refused from None

    def pytest_enter_pdb(self) -> None:
        for run in self._runs.values():
            run.session.is_debugged = True

    def pytest_leave_pdb(self) -> None:
        for run in self._runs.values():
            run.session.is_debugged = False

    # -- the run

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        self._finish(session)
        if not self._was_replayed or ownership.opened():
            return (yield)
        with Aftermath(self._was_replayed, admits_http=True):  # -x leaves wide fixtures to be torn down in here
            return (yield)

    def _finish(self, session: pytest.Session) -> None:
        for run in list(self._runs.values()):  # the run was interrupted before their teardown
            run.outcome = "interrupted"
            self._settle(run)
        self._interrupted.update(self._told)
        self._prune_pending()
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output["agenttape"] = self.tally()
            return
        self._ledger.add(self.tally())

    def tally(self) -> dict[str, Any]:
        """Return what this process knows for the verdict on the whole run, in plain types."""
        return {
            "whole": self._is_whole and self._ledger.is_collected,
            "claimed": sorted(map(str, self._claims.paths)),
            "folders": sorted(map(str, self._folders | self._ledger.folders)),
            "modules": sorted(self._modules),
            "interrupted": self._interrupted,
        }

    # -- below: how

    def _judge_unittest(self, item: pytest.Item, failure: BaseException, session: Session) -> None:
        """Judge what a TestCase failed with; pytest reports what it finds in the item's own list."""
        __tracebackhide__ = True
        judged = _judged(failure, session)
        if judged is session.verdict.error:
            vars(item)["_excinfo"].clear()
            raise judged

    def _judge_passed(self, run: Run) -> None:
        __tracebackhide__ = True
        run.session.recording.refuse_poison()
        _at_test(run.item, run.session.recording.verify)
        self._judge_unplayed(run, [each for each in self._unplayed(run) if not _is_of_teardown(each)])

    def _judge_unplayed(self, run: Run, left: list[Interaction]) -> None:
        __tracebackhide__ = True
        if not left or self._is_shared(run):  # a shared cassette is judged over all tests that use it
            return
        session = run.session
        count = f"{len(left)} recorded interaction{'' if len(left) == 1 else 's'}"
        text = f"{count} of {session.path.name} not played:\n" + "\n".join(
            f"  {summary_line(each)}" for each in left[:10]
        )
        if len(left) > 10:
            text += f"\n  and {len(left) - 10} more"
        if self._is_strict(run):
            error = UnplayedInteractionsError(f"{text}\n  re-record: {session.settings.command}")
            raise error.with_traceback(_traceback_of(run.item))
        run.item.warn(UnplayedInteractionsWarning(text))

    def _unplayed(self, run: Run) -> list[Interaction]:
        session = run.session
        return [] if session.mode is Mode.REFRESH or session.recorded.policy.fresh else session.recorded.unplayed

    def _is_shared(self, run: Run) -> bool:
        """Say whether other tests may use the cassette too, collected this time or not."""
        if self._claims.users(run.claim.path) > 1:
            return True
        recorded_for = run.session.recorded.meta.get("test")
        return run.claim.is_named and not self._is_whole and recorded_for != run.item.nodeid

    def _is_strict(self, run: Run) -> bool:
        if self._config.option.agenttape_strict:
            return True
        return bool(run.session.settings.config.strict)

    def _close(self, run: Run) -> None:
        """Close the session; what is torn down after it belongs to no test, and in replay makes no call."""
        run.session.close()
        if run.is_replayed and not ownership.opened():  # else a wide fixture has a cassette of its own open
            self._aftermath = Aftermath(run.item.nodeid)
            self._aftermath.open()

    def _settle(self, run: Run) -> None:
        """Close the session, commit or keep aside what it recorded, and tell the ledger."""
        __tracebackhide__ = True
        del self._runs[run.item.nodeid]
        self._was_replayed = run.item.nodeid if run.is_replayed else ""
        session = run.session
        session.close()
        was_fresh = not session.path.exists()
        wrote = is_kept = False
        try:
            is_kept = self._may_commit(run, was_fresh)
            if is_kept:
                wrote = _at_test(run.item, session.recording.commit)
                self._forget_pending(session)
        except BaseException:
            is_kept = False
            run.outcome = "failed"
            raise
        finally:
            kept = None if is_kept else self._keep_pending(run)
            self._told[run.item.nodeid] = self._tell(run, wrote=wrote, was_fresh=was_fresh, kept=kept)

    def _may_commit(self, run: Run, was_fresh: bool) -> bool:
        """Say whether the run's recording replaces the old one.

        Raises:
            AgentTapeError: The test had passed until its teardown, and drifted or was poisoned there.
        """
        __tracebackhide__ = True
        session = run.session
        if run.outcome == "passed":
            session.verdict.fail()
            session.recording.refuse_poison()
            self._judge_unplayed(run, [each for each in self._unplayed(run) if _is_of_teardown(each)])
            return True
        if (
            run.outcome != "skipped"
            or not was_fresh
            or session.verdict.error is not None
            or not session.recording.timeline
        ):
            return False
        return not session.recording.is_poisoned

    def _keep_pending(self, run: Run) -> str | None:
        """Keep the paid-for calls of a failed recording, so that accepting them needs no second live run."""
        session = run.session
        if self._pending is None or not session.run.live_calls or session.recording.target() != session.path:
            return None
        cassette = session.recording.result(without_poison=True)
        if cassette is None or not cassette.interactions:
            return None
        try:
            return str(self._pending.keep(cassette, session.path, run.item.nodeid, scan=session.secrets.redactor.scan))
        except RecordingRefusedError:
            return None  # it holds what must not be written, or there is no room; the test has failed as it is

    def _prune_pending(self) -> None:
        """Forget what is kept aside and stale, old, or for a cassette of a collected test file that no test claims."""
        if self._pending is None:
            return
        self._pending.prune()
        for each in self._pending.entries():
            is_claimed = each.target in self._claims.paths
            if self._is_whole and not is_claimed and orphans.would_be_claimed(each.target, each.nodeid, self._modules):
                self._pending.discard(each.target)

    def _forget_pending(self, session: Session) -> None:
        if self._pending is not None and session.can_execute:
            self._pending.discard(session.path)

    def _tell(self, run: Run, *, wrote: bool, was_fresh: bool, kept: str | None) -> dict[str, Any]:
        """Return what the ledger is told about a test, in plain types, for it may cross a process border."""
        session = run.session
        interactions = [each for each, _ in session.recording.timeline]
        usage = total_tokens(interactions)
        passed = run.outcome == "passed"
        return {
            "path": str(session.path),
            "target": str(session.recording.target() if wrote else session.path),
            "mode": str(session.mode),
            "outcome": run.outcome,
            "wrote": wrote,
            "created": wrote and was_fresh,
            "calls": len(interactions),
            "live": session.run.live_calls,
            "unplayed": sorted(each.index for each in self._unplayed(run)) if passed else [],
            "shared": self._is_shared(run),
            "users": self._claims.users(session.path),
            "strict": self._is_strict(run),
            "tokens": [usage.input, usage.output],
            "pending": kept,
            "load_ms": round(session.recorded.seconds_to_load * 1000, 3),
            "refused": session.verdict.error is not None,
            "error": run.error,
            **self._tell_more(session, wrote=wrote),
        }

    def _tell_more(self, session: Session, *, wrote: bool) -> dict[str, Any]:
        """Return what only a live run or a report pays for: money, and every call."""
        has_report = self._config.option.agenttape_report is not None
        if not has_report and not session.run.live_calls:
            return {"spent": None, "saved": None}
        from pytest_agenttape.plugin.report import test_record

        more = test_record.spending(session)
        if has_report:
            more["steps"] = test_record.steps(session)
            more["diff"] = test_record.refreshed(session) if wrote or session.verdict.error is not None else None
        return more

    def _settings(self, item: pytest.Item, claim: Claim, overrides: Any) -> Settings:
        __tracebackhide__ = True
        options = claim.options
        config, mode, rules = self._claims.settings(item, claim, overrides)
        return Settings(
            path=claim.path,
            mode=mode,
            config=config,
            live=options.live,
            frozen=options.frozen,
            matchers=options.matchers,
            freeze=options.frozen_features(config),
            format=options.format,
            tags=options.tags,
            title=item.nodeid,
            command=f"pytest {claim.address} --agenttape-record",
            is_sticky=True,
            test=item.nodeid if self._claims.users(claim.path) == 1 else None,
            pending=self._pending.find(claim.path) if self._pending and mode is Mode.REFRESH else None,
            allow_errors=options.allow_errors,
            rules=rules,
        )

    def _guards_wide_fixtures_of(self, item: pytest.Item) -> bool:
        """Say whether a fixture wider than *item* must not make calls: they would belong to no test, or to this one."""
        claim = self._claims.of(item.nodeid)
        if claim is None:
            return False
        if item.nodeid in self._runs:  # asked for in the middle of the test
            return True
        try:
            _, mode, _ = self._claims.settings(item, claim)
        except ConfigError:
            return True
        return mode is Mode.NONE or (mode is Mode.ONCE and claim.path.exists())


def _properties(told: Mapping[str, Any], root: Path) -> list[tuple[str, object]]:
    """Return what JUnit is told about a test; the path is relative to the root, as the test's own name is."""
    path = Path(told["path"])
    if path.drive == root.drive:  # else Windows has no way from one to the other
        path = Path(os.path.relpath(path, root))
    tokens = dict(zip(("input_tokens", "output_tokens"), told["tokens"], strict=True))
    figures = {
        "mode": told["mode"],
        "calls": told["calls"],
        "live": told["live"],
        **tokens,
        "tokens": sum(told["tokens"]),
    }
    return [(f"agenttape_{key}", value) for key, value in {"path": path.as_posix(), **figures}.items()]


def _error_of_ours(call: pytest.CallInfo[None], verdict: Verdict | None = None) -> str | None:
    """Return what a phase failed with, where it is for us to tell."""
    error = verdict and verdict.error
    if error is None and call.excinfo is not None and isinstance(call.excinfo.value, AgentTapeError):
        error = call.excinfo.value
    return None if error is None else str(error)


def _judged(error: BaseException, session: Session) -> BaseException:
    """Return what the test fails with when *error* came out of it."""
    verdict = session.verdict.error
    if verdict is None:
        return error
    if error is verdict or isinstance(error, RunCut | pytest.skip.Exception | pytest.xfail.Exception):
        return verdict.with_traceback(session.verdict.traceback or error.__traceback__)
    note = f"agenttape: {verdict}"
    if note not in getattr(error, "__notes__", ()):
        error.add_note(note)
    return error


def _fail_for_all(fixturedef: pytest.FixtureDef[Any], error: BaseException) -> None:
    """Let a fixture fail for each test that uses it, whatever its own set-up came to.

    Third-party private used: pytest 8-9 `FixtureDef.cached_result`, which later tests get.
    """
    if fixturedef.cached_result is not None:
        fixturedef.cached_result = (None, fixturedef.cached_result[1], (error, error.__traceback__))


def _at_test(item: pytest.Item, write: Callable[[], _Written]) -> _Written:
    """Return what *write* returns; what keeps a recording from being written is told at the test, not in our code."""
    __tracebackhide__ = True
    try:
        return write()
    except RecordingRefusedError as error:
        raise error.with_traceback(_traceback_of(item)) from None


def _traceback_of(item: pytest.Item) -> TracebackType | None:
    """Return a traceback that ends at the ``def`` of a test."""
    path, line, name = item.path, item.location[1], item.name
    if line is None:
        return None
    lines = linecache.getlines(str(path))
    is_def = (number for number in range(line, len(lines)) if lines[number].lstrip().startswith(("def ", "async def ")))
    return traceback_at(str(path), next(is_def, line) + 1, name)


def _is_replayed(session: Session) -> bool:
    return session.mode is Mode.NONE or (session.mode is Mode.ONCE and not session.recorded.policy.fresh)


def _open_first(item: pytest.Item) -> None:
    """Move the session before every other function-scoped fixture, also one that another plugin made autouse.

    Third-party private used: pytest 8-9 `Function._fixtureinfo`, which alone tells the scope of a fixture.
    """
    names: list[str] = getattr(item, "fixturenames", [])
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    if SESSION not in names:
        return
    narrow = (at for at, name in enumerate(names) if known.get(name) and known[name][-1].scope == "function")
    first = next(narrow, len(names))
    if names.index(SESSION) > first:
        names.remove(SESSION)
        names.insert(first, SESSION)


def _fail_drifted(item: pytest.Item, report: pytest.TestReport, verdict: Verdict) -> None:
    """Let a drifted test fail although it is skipped or expected to fail, unless by the name of our error."""
    if verdict.error is None or report.outcome != "skipped":
        return
    expected = [mark.kwargs.get("raises") for mark in item.iter_markers("xfail")]
    if any(_names_ours(each) for each in expected):
        return
    report.outcome = "failed"
    vars(report).pop("wasxfail", None)
    if isinstance(report.longrepr, tuple):  # the reason to skip
        error = verdict.error.with_traceback(verdict.traceback)
        report.longrepr = item.repr_failure(pytest.ExceptionInfo.from_exception(error))


def _names_ours(raises: Any) -> bool:
    listed = raises if isinstance(raises, tuple) else (raises,)
    return any(isinstance(each, type) and issubclass(each, AgentTapeError) for each in listed)


def _unittest_failure(item: pytest.Item) -> BaseException | None:
    """Return what a TestCase failed with.

    Third-party private used: pytest 8-9 `TestCaseFunction._excinfo`. unittest swallows what a test raises, and pytest
    puts it back only when the report is made.
    """
    failures = getattr(item, "_excinfo", None)
    return failures[0].value if isinstance(failures, list) and failures else None


def _reseed_before(item: pytest.Function, session: Session) -> None:
    """Undo what pytest-randomly does before a TestCase runs; there is no hook in between."""
    runtest = item.runtest

    def run() -> None:
        __tracebackhide__ = True
        session.world.reseed()
        runtest()

    item.runtest = run  # type: ignore[method-assign]  # this item only


def _is_of_teardown(recorded: Interaction) -> bool:
    return recorded.is_of_teardown


def _pending_store(config: pytest.Config) -> Pending | None:
    cache = getattr(config, "cache", None)  # None under -p no:cacheprovider
    if cache is None:
        return None
    try:
        return Pending(Path(cache.mkdir("agenttape")))
    except OSError:  # a read-only checkout
        return None
