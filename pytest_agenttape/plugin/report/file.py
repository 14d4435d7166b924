"""The report file of a run: every test and call, as JSON or as a page."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.plugin.options import is_trace
from pytest_agenttape.plugin.report import about, totals
from pytest_agenttape.plugin.report.comparison import Comparison
from pytest_agenttape.plugin.report.html import page
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.otlp import as_otlp
from pytest_agenttape.plugin.report.spending import total
from pytest_agenttape.plugin.report.test_record import NOT_RUN, TestRecord
from pytest_agenttape.plugin.report.whole_run import WholeRun
from pytest_agenttape.plugin.report.wording import shown
from pytest_agenttape.redaction import RedactionRules, Redactor

_FAILURE_SHOWN = 20_000


def write_run(path: Path, ledger: Ledger, verdict: WholeRun, config: pytest.Config, live: str | None) -> str | None:
    """Write the report of a run to *path*, by its extension; return an error message if that fails.

    Args:
        live: What ran for real beside the recordings, if the run is compared with them.
    """
    comparison = None if live is None else Comparison.of(ledger, live)
    if is_trace(path):
        return write(path, as_otlp(ledger, config.rootpath.name))
    if comparison is not None and path.suffix == ".md":
        return write(path, comparison.as_markdown())
    document = as_document(ledger, verdict, config)
    if comparison is not None:
        document["comparison"] = comparison.as_document()
    return write_document(path, document)


def write_document(path: Path, document: dict[str, Any]) -> str | None:
    """Write *document* to *path* as a page or as JSON, by its extension; return an error message if that fails."""
    is_page = path.suffix == ".html"
    return write(path, page(document) if is_page else json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> str | None:
    """Write a report's *text* to *path*; return an error message if that fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        return f"the report was not written: {error}"
    return None


def as_document(ledger: Ledger, verdict: WholeRun, config: pytest.Config) -> dict[str, Any]:
    """Return the whole report of a run as JSON types; docs/pytest.md has its schema."""
    redactor = Redactor(RedactionRules(), os.environ)
    records = dict.fromkeys(ledger.unopened, NOT_RUN) | ledger.records
    runs = [record.steps for record in records.values()]
    return {
        **about.document("run", config),
        "totals": _totals(records.values(), verdict),
        "kinds": totals.kinds(runs),
        "models": totals.by_model(runs),
        "orphans": [shown(path) for path in verdict.orphans],
        "deleted": [shown(path) for path in verdict.deleted],
        "refused": [redactor.text(line) for line in verdict.refused],
        "tests": [_test(nodeid, record, ledger, redactor) for nodeid, record in sorted(records.items())],
    }


def _totals(records: Collection[TestRecord], verdict: WholeRun) -> dict[str, Any]:
    return {
        **totals.taken_by_all([record.steps for record in records]),
        "tests": len(records),
        "failed": sum(_outcome(record) == "failed" for record in records),
        "calls": sum(record.calls for record in records),
        "live": sum(record.live for record in records),
        "unplayed": sum(record.unplayed_alone for record in records) + sum(verdict.unplayed.values()),
        "spent": total(record.spent for record in records).to_plain(),
        "saved": total(record.saved for record in records).to_plain(),
    }


def _test(nodeid: str, record: TestRecord, ledger: Ledger, redactor: Redactor) -> dict[str, Any]:
    failure, place = ledger.failures.get(nodeid), ledger.places.get(nodeid)
    return {
        "nodeid": redactor.text(nodeid),
        "place": None if place is None else f"{redactor.text(shown(Path(place[0])))}:{place[1]}",
        "outcome": _outcome(record),
        "path": None if record is NOT_RUN else redactor.text(shown(record.path)),
        "mode": record.mode,
        "action": record.action,
        "wrote": record.wrote,
        "calls": record.calls,
        "live": record.live,
        "unplayed": record.unplayed_alone,
        "not_reached": record.not_reached,
        **totals.taken_by(record.steps),
        "spent": None if record.spent is None else record.spent.to_plain(),
        "saved": None if record.saved is None else record.saved.to_plain(),
        "load_ms": record.load_ms,
        "pending": None if record.pending is None else redactor.text(shown(record.pending)),
        "stale": record.stale,
        "verified": None if record.verified is None else record.verified.to_plain(),
        "real_in_replay": record.forgotten,
        "failure": None if failure is None else redactor.text(failure)[:_FAILURE_SHOWN],
        "miss": record.miss,
        "change": record.change,
        "steps": record.steps,
    }


def _outcome(record: TestRecord) -> str:
    """Return ``passed``, ``failed``, ``skipped`` or ``interrupted``, without the phase."""
    return record.outcome.rpartition(" ")[2] or "failed"
