"""What an xdist worker sends to the controller: the record of each test, and at its end what it saw of the run.

Without xdist, records go the same way in one process. Imports nothing heavy, for every run loads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_agenttape.plugin.report.test_record import Tally, TestRecord

# Attributes of reports, and a key of xdist's own mapping; plain values, for they cross to another process.
_RECORD, _FAILURE, _TALLY, _REFUSED = "agenttape", "agenttape_failure", "agenttape", "agenttape_refused"


def is_worker(config: pytest.Config) -> bool:
    """Return whether this process runs tests for an xdist controller."""
    return hasattr(config, "workeroutput")


@contextmanager
def refusing_the_run(session: pytest.Session) -> Iterator[None]:
    """Let a usage error end the run; one of a worker, which xdist would not pass on, as an error of its collection."""
    try:
        yield
    except pytest.UsageError as problem:
        if not is_worker(session.config):
            raise
        report = pytest.CollectReport("", "failed", str(problem), result=[])
        session.config.hook.pytest_collectreport(report=report)
        session.items.clear()


def send_record(report: pytest.TestReport, record: TestRecord) -> None:
    """Let *report* carry the record of its test."""
    setattr(report, _RECORD, record.to_plain())


def received_record(report: pytest.TestReport) -> TestRecord | None:
    """Return the record that *report* carries, if any."""
    plain = getattr(report, _RECORD, None)
    if plain is None:
        return None
    from pytest_agenttape.plugin.report.test_record import TestRecord

    return TestRecord.from_plain(plain)


def send_failure(report: pytest.TestReport, text: str) -> None:
    """Let *report* carry the text of its failure without the secrets that only its test knows."""
    setattr(report, _FAILURE, text)


def received_failure(report: pytest.TestReport) -> str:
    """Return the text of a failure, as it was sent, else as pytest has it."""
    text: str = getattr(report, _FAILURE, None) or report.longreprtext
    return text


def place_of(report: pytest.TestReport, root: Path) -> tuple[str, int] | None:
    """Return the path and the line at which a test failed, else that of its ``def``; None if it has none in *root*."""
    crash = getattr(report.longrepr, "reprcrash", None) if report.failed else None
    if crash is not None and Path(crash.path).is_relative_to(root):
        return crash.path, crash.lineno
    path, line, _ = report.location
    return None if line is None else (str(root / path), line + 1)


def send_tally(config: pytest.Config, tally: Tally) -> None:
    """Send what this worker saw of the run."""
    output: dict[str, Any] = config.workeroutput  # type: ignore[attr-defined]  # of a worker
    output[_TALLY] = tally.to_plain()


def received_tally(node: Any) -> Tally | None:  # xdist's WorkerController
    """Return what a worker that is done saw of the run; None if it crashed."""
    plain = getattr(node, "workeroutput", {}).get(_TALLY)
    if plain is None:
        return None
    from pytest_agenttape.plugin.report.test_record import Tally

    return Tally.from_plain(plain)


def send_refusals(config: pytest.Config, refused: Mapping[str, int]) -> None:
    """Send what this worker has refused outside of every test, and how often."""
    config.workeroutput[_REFUSED] = dict(refused)  # type: ignore[attr-defined]  # of a worker


def received_refusals(node: Any) -> Mapping[str, int]:  # xdist's WorkerController
    """Return what a worker that is done has refused outside of every test; nothing if it crashed."""
    refused: Mapping[str, int] = getattr(node, "workeroutput", {}).get(_REFUSED, {})
    return refused
