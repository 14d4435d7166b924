"""The summary at the end of a run; empty if everything was replayed as recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_agenttape.plugin.missing_keys import keyless_lines
from pytest_agenttape.plugin.report.github import workflow_commands
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.spending import total
from pytest_agenttape.plugin.report.test_record import TestRecord
from pytest_agenttape.plugin.report.whole_run import WholeRun
from pytest_agenttape.plugin.report.wording import counted, in_words, page, shown
from pytest_agenttape.session.misses import WHERE_IT_DIFFERS

_SLOW_MS = 100.0
_SLOWEST_SHOWN = 3
_STALE_SHOWN = 5
_UNCHANGED_SHOWN = 3


def write_summary(
    terminal: pytest.TerminalReporter, ledger: Ledger, verdict: WholeRun, more: Sequence[str], root: Path
) -> None:
    """Write the summary, *more* about the run, and on GitHub the annotations."""
    lines = [*_lines(ledger, verdict), *more]
    if lines:
        terminal.write_sep("-", "agenttape")
    for line in (*lines, *workflow_commands(ledger, verdict, root)):
        terminal.write_line(line)


def _lines(ledger: Ledger, verdict: WholeRun) -> Iterator[str]:
    yield from keyless_lines(ledger.keyless)
    yield from _causes(ledger)
    for nodeid, record in sorted(ledger.records.items()):
        yield from _lines_of(nodeid, record)
    yield from _unchanged(ledger)
    yield from _stale(ledger)
    yield from _verified(ledger)
    for path, count in verdict.unplayed.items():
        failing = "; the run fails because strict is set" if path in verdict.strict else ""
        yield f"unplayed: {count} in {shown(path)}, shared by {ledger.count_users(path)} tests{failing}"
    for line, count in verdict.refused.items():
        yield f"refused: {line}{f', {count} times' if count > 1 else ''}"
    yield from (f"deleted: {shown(path)} (no test claims it)" for path in verdict.deleted)
    for path in verdict.orphans:
        test = verdict.renamed.get(path)
        what = f"may be that of {test}; --snapshot-update moves it" if test else "--snapshot-update deletes it"
        yield f"orphan: {shown(path)} (no test claims it; {what})"
    if verdict.orphans_fail:
        yield f"strict: the run fails for {counted(len(verdict.orphans), 'orphan')} (--agenttape-strict)"
    answered = sum((Counter(tally.telemetry) for tally in ledger.tallies), Counter[str]())
    for sender, count in sorted(answered.items()):
        yield f"telemetry: {counted(count, 'request')} of {sender} answered, none sent"
    if any(record.live for record in ledger.records.values()):
        yield from _money(ledger)
    yield from _slowest(ledger)


def _causes(ledger: Ledger) -> Iterator[str]:
    """Yield what made several tests fail, each cause once."""
    failed = [record for record in ledger.records.values() if record.outcome == "failed"]
    causes = Counter(record.cause for record in ledger.records.values() if record.cause)
    for cause, count in causes.most_common():
        if count > 1:
            yield f"failed: {count} tests for one cause: {cause}"
        if count > 1 and len(causes) == 1 and all(WHERE_IT_DIFFERS in (each.error or "") for each in failed):
            yield f"        accept it in all of them, {WHERE_IT_DIFFERS}: pytest --lf --snapshot-update"
    if causes:
        yield f"help: {page('workflow', 'when-tests-fail')}"


def _lines_of(nodeid: str, record: TestRecord) -> Iterator[str]:
    path = shown(record.target)
    pending = [f"{counted(record.from_pending, 'answer')} from its pending recording"] if record.from_pending else []
    if record.wrote and record.former is not None:
        kept = counted(record.calls - record.live, "answer")
        yield f"moved: {shown(record.former)} to {path} ({kept} kept, {counted(record.live, 'live call')})"
    elif record.wrote:
        yield f"{record.action}: {path} ({', '.join((counted(record.live, 'live call'), *pending))})"
    if record.forgotten:
        yield f"real in replay: {', '.join(record.forgotten)} ({nodeid}); it crosses no boundary, so put @tool above it"
    if record.unplayed_alone:
        yield f"unplayed: {record.unplayed_alone} in {path} ({nodeid})"
    if record.pending is not None:
        yield f"pending: {path} is unchanged; the recording of {nodeid} is kept in {shown(record.pending)}"
        yield from (f"         with {each}" for each in pending)
        if record.outcome == "skipped":
            yield "         a skipped or expected-to-fail test replaces no cassette: delete it, then --snapshot-update"
        else:
            yield "         accept it with --snapshot-update, without a second live run"


def _unchanged(ledger: Ledger) -> Iterator[str]:
    """Yield which cassettes a run that may write left as they are; of many, how many."""
    records = [each for _, each in sorted(ledger.records.items()) if each.action == "unchanged"]
    if len(records) > _UNCHANGED_SHOWN:
        live = sum(each.live for each in records)
        yield f"unchanged: {counted(len(records), 'cassette')}{_in_brackets(_came_of(live, 0))}"
        return
    for each in records:
        yield f"unchanged: {shown(each.target)}{_in_brackets(_came_of(each.live, each.from_pending))}"


def _came_of(live: int, from_pending: int) -> Iterator[str]:
    if live:
        yield counted(live, "live call")
    if from_pending:
        yield f"{counted(from_pending, 'answer')} from its pending recording"


def _in_brackets(parts: Iterable[str]) -> str:
    text = ", ".join(parts)
    return f" ({text})" if text else ""


def _stale(ledger: Ledger) -> Iterator[str]:
    stale = dict(sorted((shown(each.path), each.stale) for each in ledger.records.values() if each.stale))
    for path, age in [*stale.items()][:_STALE_SHOWN]:
        yield f"stale: {path} was {age}"
    if len(stale) > _STALE_SHOWN:
        yield f"stale: … and {len(stale) - _STALE_SHOWN} more"
    if stale:
        yield "         record them again with --agenttape-record"


def _verified(ledger: Ledger) -> Iterator[str]:
    """Yield what became of the calls that were also sent for real; what is the same in many tests is said once."""
    verified = {nodeid: each.verified for nodeid, each in sorted(ledger.records.items()) if each.verified}
    if not verified:
        return
    sent = sum(each.sent for each in verified.values())
    yield f"verified: {counted(sent, 'call')} of {counted(len(verified), 'test')} sent live"
    yield from _said_once("moved", {nodeid: each.moved for nodeid, each in verified.items()})
    yield from _said_once("not sent", {nodeid: each.left_out for nodeid, each in verified.items()})


def _said_once(label: str, texts: Mapping[str, Sequence[str]]) -> Iterator[str]:
    told: dict[str, dict[str, None]] = {}
    for nodeid, said in texts.items():
        for text in said:
            told.setdefault(text, {})[nodeid] = None
    for text, nodeids in told.items():
        first, *others = nodeids
        more = f" and {counted(len(others), 'other test')}" if others else ""
        yield f"{label}: {text}  ({first}{more})"


def _money(ledger: Ledger) -> Iterator[str]:
    spent = total(record.spent for record in ledger.records.values())
    saved = total(record.saved for record in ledger.records.values())
    if spent.calls:
        yield f"spent: {in_words(spent)} on {counted(spent.calls, 'live LLM call')}"
    if saved.calls:
        yield f"saved: {in_words(saved)} by replaying {saved.calls}"


def _slowest(ledger: Ledger) -> Iterator[str]:
    slow = {(record.load_ms, record.path) for record in ledger.records.values() if record.load_ms > _SLOW_MS}
    for ms, path in sorted(slow, reverse=True)[:_SLOWEST_SHOWN]:
        yield f"slow to load: {shown(path)} ({ms:.0f} ms)"
