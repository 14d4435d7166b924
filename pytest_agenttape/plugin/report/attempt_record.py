"""Creates the record of a test after its session has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.attempt import Attempt
from pytest_agenttape.plugin.options import is_trace
from pytest_agenttape.plugin.report.test_record import TestRecord
from pytest_agenttape.reading.forgotten import forgotten_tools
from pytest_agenttape.reading.usage import total_tokens
from pytest_agenttape.session.session import Session

Timeline: TypeAlias = Sequence[tuple[Interaction, bool]]  # each call, and whether it was live


def record_of(attempt: Attempt, *, report: Path | None) -> TestRecord:
    """Return what *attempt* did to its cassette, with all its calls as its *report* needs them."""
    session = attempt.session
    timeline = session.recording.timeline
    calls = [each for each, _ in timeline]
    tokens = total_tokens(calls)
    unplayed = tuple(sorted(each.index for each in attempt.unplayed)) if attempt.outcome == "passed" else ()
    record = TestRecord(
        path=session.path,
        target=session.recording.target() if attempt.wrote else session.path,
        mode=str(session.mode),
        outcome=attempt.outcome,
        action=_action(attempt),
        wrote=attempt.wrote,
        calls=len(timeline),
        live=sum(is_live for _, is_live in timeline),
        unplayed=unplayed,
        is_shared=attempt.is_shared,
        users=attempt.users,
        is_strict=attempt.is_strict,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        pending=attempt.kept,
        load_ms=round(session.loaded.seconds_to_load * 1000, 3),
        error=None if attempt.error is None else str(attempt.error),
        cause=None if attempt.error is None else attempt.error.headline,
        stale=attempt.stale,
        verified=attempt.verified,
        from_pending=len(session.run.served()) if session.settings.pending and not session.settings.former else 0,
        former=_former(attempt),
        forgotten=tuple(forgotten_tools(calls)) if attempt.wrote or unplayed else (),
    )
    if report is not None or session.run.live_calls:
        record = _with_money(record, timeline)
    if report is not None:
        record = _with_spans(record, timeline, session) if is_trace(report) else _with_calls(record, timeline, attempt)
    return record


def _former(attempt: Attempt) -> Path | None:
    session = attempt.session
    if not attempt.wrote:
        return session.former
    return session.settings.former if session.run.served() else None


def _action(attempt: Attempt) -> str:
    is_refresh = attempt.session.loaded.policy.refreshes
    if attempt.wrote:
        return "created" if attempt.was_fresh else "refreshed" if is_refresh else "recorded"
    if attempt.kept is not None or attempt.session.verdict.error is not None:
        return "refused"
    return "unchanged" if (is_refresh and _had_one(attempt)) or _is_recorded_alike(attempt) else "replayed"


def _had_one(attempt: Attempt) -> bool:
    return attempt.session.loaded.cassette is not None and attempt.session.settings.former is None


def _is_recorded_alike(attempt: Attempt) -> bool:
    """Return whether a test that passed has recorded all that its cassette has, once more."""
    is_kept = attempt.outcome == "passed" and not attempt.was_fresh
    return is_kept and attempt.session.loaded.policy.starts_over and bool(attempt.session.run.live_calls)


def _with_money(record: TestRecord, timeline: Timeline) -> TestRecord:
    from pytest_agenttape.plugin.report.spending import spent_and_saved  # not needed if the run only replays

    spent, saved = spent_and_saved(timeline)
    return replace(record, spent=spent, saved=saved)


def _with_spans(record: TestRecord, timeline: Timeline, session: Session) -> TestRecord:
    from pytest_agenttape.plugin.report.spans import spans_of  # not needed without a trace

    recorded = None if record.live else session.loaded.cassette
    began = session.world.created_at if recorded is None else recorded.created_at
    return replace(record, spans=spans_of(timeline), began=began)


def _with_calls(record: TestRecord, timeline: Timeline, attempt: Attempt) -> TestRecord:
    from pytest_agenttape.plugin.report import changed_calls, shown_calls  # not needed without a report

    session = attempt.session
    has_changed = record.wrote or record.live or record.unplayed or session.verdict.error is not None
    is_cut = record.outcome != "passed"
    return replace(
        record,
        steps=shown_calls.shown_steps(timeline),
        change=changed_calls.change_of_run(session, is_cut=is_cut, is_alone=not record.is_shared)
        if has_changed
        else None,
        miss=changed_calls.miss_of(session.verdict.error or attempt.error, len(timeline)),
        not_reached=len(session.unplayed) if is_cut and not record.is_shared else 0,
    )
