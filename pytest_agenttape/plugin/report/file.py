"""The report file: every test and call, as JSON or as a page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.plugin.options import is_trace
from pytest_agenttape.plugin.report.comparison import Comparison
from pytest_agenttape.plugin.report.html import render
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.otlp import as_otlp
from pytest_agenttape.plugin.report.spending import total
from pytest_agenttape.plugin.report.test_record import TestRecord
from pytest_agenttape.plugin.report.whole_run import WholeRun
from pytest_agenttape.plugin.report.wording import in_words, shown
from pytest_agenttape.redaction import RedactionRules, Redactor

_FAILURE_SHOWN = 20_000


def write_file(path: Path, ledger: Ledger, verdict: WholeRun, root: Path, live: str | None = None) -> str | None:
    """Write the report to *path* as JSON, HTML or a trace, by its extension; return an error message if that fails.

    Args:
        root: The root directory, whose name a trace gives as that of the service.
        live: What ran for real beside the recordings, if the run is compared with them.
    """
    try:
        text = _text(path, ledger, verdict, root, live)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, AgentTapeError) as error:
        return f"the report was not written: {error}"
    return None


def _text(path: Path, ledger: Ledger, verdict: WholeRun, root: Path, live: str | None) -> str:
    if is_trace(path):
        return as_otlp(ledger, root.name)
    comparison = None if live is None else Comparison.of(ledger, live)
    if comparison is not None and path.suffix == ".md":
        return comparison.as_markdown()
    document = as_document(ledger, verdict)
    if comparison is not None:
        document["comparison"] = comparison.as_document()
    return render(document) if path.suffix == ".html" else _as_json(document)


def as_document(ledger: Ledger, verdict: WholeRun) -> dict[str, Any]:
    """Return the whole report as JSON types.

    Returns:
        ``{"totals", "kinds", "orphans", "deleted", "tests"}``; each test has ``nodeid``, ``outcome``, ``path``,
        ``mode``, ``action``, counts, ``spent`` and ``saved`` tokens and US dollars, ``failure``, ``diff`` and its
        ``steps``.
    """
    redactor = Redactor(RedactionRules(), os.environ)
    records = ledger.records
    return {
        "totals": _totals(ledger, verdict),
        "kinds": sorted({step["kind"] for record in records.values() for step in record.steps}),
        "orphans": [shown(path) for path in verdict.orphans],
        "deleted": [shown(path) for path in verdict.deleted],
        "tests": [
            _test(nodeid, record, ledger.failures.get(nodeid), redactor) for nodeid, record in sorted(records.items())
        ],
    }


def _totals(ledger: Ledger, verdict: WholeRun) -> dict[str, Any]:
    records = ledger.records.values()
    return {
        "tests": len(records),
        "failed": sum(_outcome(record) == "failed" for record in records),
        "calls": sum(record.calls for record in records),
        "live": sum(record.live for record in records),
        "unplayed": sum(record.unplayed_alone for record in records) + sum(verdict.unplayed.values()),
        "spent": in_words(total(record.spent for record in records)),
        "saved": in_words(total(record.saved for record in records)),
    }


def _test(nodeid: str, record: TestRecord, failure: str | None, redactor: Redactor) -> dict[str, Any]:
    return {
        "nodeid": redactor.text(nodeid),
        "outcome": _outcome(record),
        "path": redactor.text(shown(record.path)),
        "mode": record.mode,
        "action": record.action,
        "wrote": record.wrote,
        "calls": record.calls,
        "live": record.live,
        "unplayed": record.unplayed_alone,
        "tokens": record.tokens,
        "spent": None if record.spent is None else record.spent.to_plain(),
        "saved": None if record.saved is None else record.saved.to_plain(),
        "load_ms": record.load_ms,
        "failure": None if failure is None else redactor.text(failure)[:_FAILURE_SHOWN],
        "diff": record.diff,
        "steps": record.steps,
    }


def _outcome(record: TestRecord) -> str:
    """Return ``passed``, ``failed``, ``skipped`` or ``interrupted``, without the phase."""
    return record.outcome.rpartition(" ")[2] or "failed"


def _as_json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
