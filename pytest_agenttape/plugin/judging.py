"""The verdict on a test: the error it fails with, even if its own code or pytest would hide it."""

from __future__ import annotations

import pytest

from pytest_agenttape.errors import AgentTapeError, StaleCassetteError, UnplayedInteractionsWarning
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.asserted import names_ours
from pytest_agenttape.plugin.attempt import Attempt
from pytest_agenttape.plugin.error_place import refused_at, traceback_of
from pytest_agenttape.plugin.headlines import headline_of
from pytest_agenttape.plugin.missing_keys import note_missing_key
from pytest_agenttape.plugin.pytest_privates import forget_testcase_failure, testcase_failure
from pytest_agenttape.plugin.report.wording import page, shown
from pytest_agenttape.reading.forgotten import forgotten_tools
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.unplayed import unplayed_error, unplayed_text
from pytest_agenttape.session.verdict import RunCut, Verdict, noted
from pytest_agenttape.settings.ages import UNKNOWN, shown_age, shown_days, stale_days


def judged(error: BaseException, session: Session) -> BaseException:
    """Return the error that the test fails with if it raised *error*."""
    verdict = session.verdict.error
    if verdict is None:
        if session.loaded.policy.replays_only:
            missing = None if session.loaded.cassette else shown(session.path)
            note_missing_key(error, missing, session.settings.advice)
        gap = session.recording.gap or session.faults.missed
        return error if gap is None else noted(error, gap)
    if error is verdict or isinstance(error, RunCut | pytest.skip.Exception | pytest.xfail.Exception):
        return verdict.with_traceback(session.verdict.traceback or error.__traceback__)
    return noted(error, verdict)


def judge_returned(attempt: Attempt) -> None:
    """Judge a test whose call phase raised nothing; a failed TestCase raises nothing either.

    Raises:
        AgentTapeError: The run drifted, was poisoned, cannot be written, left recordings unplayed or a fault out.
    """
    __tracebackhide__ = True
    failure = testcase_failure(attempt.item)
    if failure is not None:
        _judge_testcase(attempt, failure)
        return
    session = attempt.session
    session.hear_children()
    session.verdict.fail()
    session.recording.refuse_poison()
    _judge_faults(attempt)
    refused_at(attempt.item, session.recording.verify)
    _judge_unplayed(attempt, [each for each in attempt.unplayed if not each.is_of_teardown])
    _judge_age(attempt)
    _judge_forgotten(attempt)


def judge_teardown(attempt: Attempt) -> None:
    """Judge the teardown of a test that passed.

    Raises:
        AgentTapeError: The teardown drifted, was poisoned, or left recordings unplayed.
    """
    __tracebackhide__ = True
    attempt.session.verdict.fail()
    attempt.session.recording.refuse_poison()
    _judge_unplayed(attempt, [each for each in attempt.unplayed if each.is_of_teardown])


def fail_drifted(item: pytest.Item, report: pytest.TestReport, verdict: Verdict) -> None:
    """Fail a drifted test even if it is skipped or expected to fail, unless its xfail names our error."""
    if verdict.error is None or report.outcome != "skipped":
        return
    expected = [mark.kwargs.get("raises") for mark in item.iter_markers("xfail")]
    if any(names_ours(each) for each in expected):
        return
    report.outcome = "failed"
    vars(report).pop("wasxfail", None)
    if isinstance(report.longrepr, tuple):  # a skip: the reason is not a failure text
        error = verdict.error.with_traceback(verdict.traceback)
        report.longrepr = item.repr_failure(pytest.ExceptionInfo.from_exception(error))


def error_of_ours(call: pytest.CallInfo[None], verdict: Verdict | None = None) -> AgentTapeError | None:
    """Return the error that a phase failed with, if it is one of ours."""
    error = None if verdict is None else verdict.error
    if error is None and call.excinfo is not None and isinstance(call.excinfo.value, AgentTapeError):
        error = call.excinfo.value
    return error


def put_headline_first(report: pytest.TestReport, error: BaseException | None) -> None:
    """Let the short summary say what *error* is about; of a long line it shows the beginning, the name of a class."""
    headline = error.headline if isinstance(error, AgentTapeError) else headline_of(error)
    crash = getattr(report.longrepr, "reprcrash", None)
    if headline and crash is not None and str(error) in crash.message:
        crash.message = f"{headline}\n{crash.message}"


def _judge_testcase(attempt: Attempt, failure: BaseException) -> None:
    __tracebackhide__ = True
    error = judged(failure, attempt.session)
    if error is attempt.session.verdict.error:
        forget_testcase_failure(attempt.item)
        raise error


def _judge_age(attempt: Attempt) -> None:
    __tracebackhide__ = True
    session = attempt.session
    config, cassette = session.settings.config, session.loaded.cassette
    if config.max_age is None or cassette is None or not session.loaded.policy.replays_only:
        return
    days = stale_days(cassette.created_at, session.world.created_at, config.max_age)
    if days is None:
        return
    when = f"recorded {shown_days(days)}" if days != UNKNOWN else "recorded nobody knows when"
    attempt.stale = f"{when}; max_age is {shown_age(config.max_age)}"
    if config.on_stale == "fail":
        error = StaleCassetteError(
            f"{shown(session.path)} was {attempt.stale}\n  record it again: {session.settings.command}"
        )
        raise error.with_traceback(traceback_of(attempt.item))


def _judge_forgotten(attempt: Attempt) -> None:
    __tracebackhide__ = True
    forgotten = forgotten_tools(attempt.session.interactions) if attempt.is_strict else []
    if forgotten:
        error = AgentTapeError(
            f"{', '.join(forgotten)} crossed no boundary, so in replay the function runs for real\n"
            f"  put @tool above it ({page('python-api', 'boundaries')})"
        )
        raise error.with_traceback(traceback_of(attempt.item))


def _judge_faults(attempt: Attempt) -> None:
    __tracebackhide__ = True
    missed = attempt.session.faults.missed
    if missed is not None:
        raise missed.with_traceback(traceback_of(attempt.item))


def _judge_unplayed(attempt: Attempt, left: list[Interaction]) -> None:
    __tracebackhide__ = True
    if not left or attempt.is_shared:  # a shared cassette is judged across all tests that use it
        return
    session = attempt.session
    if attempt.is_strict:
        raise unplayed_error(session, left).with_traceback(traceback_of(attempt.item))
    attempt.item.warn(UnplayedInteractionsWarning(unplayed_text(session, left)))
