"""A run as OTLP JSON: a trace for each test, which Jaeger, Langfuse, Phoenix and other collectors take."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pytest_agenttape.model import JSON
from pytest_agenttape.plugin.report.ledger import Ledger
from pytest_agenttape.plugin.report.test_record import TestRecord
from pytest_agenttape.plugin.report.timing import placed
from pytest_agenttape.redaction import RedactionRules, Redactor

_INTERNAL, _CLIENT = 1, 3  # SpanKind
_OK, _ERROR = 1, 2  # StatusCode
_RESULTS = {"passed": "pass", "failed": "fail"}


def as_otlp(ledger: Ledger, service: str) -> str:
    """Return the run as the JSON of an ``ExportTraceServiceRequest``.

    The ids come from the test and the time of its recording: the same recording is the same trace.
    """
    redactor = Redactor(RedactionRules(), os.environ)
    spans = [
        span
        for nodeid, record in sorted(ledger.records.items())
        for span in _trace(redactor.text(nodeid), record, redactor)
    ]
    scope = {"name": "pytest_agenttape", "version": version("pytest-agenttape")}
    resource = {"attributes": _attributes({"service.name": service})}
    request = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}
    text = json.dumps(request, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode() + "\n"  # half a character is none that collectors take


def _trace(nodeid: str, record: TestRecord, redactor: Redactor) -> Iterator[Mapping[str, Any]]:
    """Yield the span of a test, then one for each of its calls."""
    trace = _digest(f"{nodeid}\n{record.began}", 32)
    began = _nanoseconds(record.began)
    times = placed((each["start_ms"], each["latency_ms"]) for each in record.spans)
    ids = {each["index"]: _digest(f"{trace} {each['index']}", 16) for each in record.spans}
    root = _digest(trace, 16)
    module, _, name = nodeid.partition("::")
    outcome = record.outcome.rpartition(" ")[2]
    about: Mapping[str, JSON] = {
        "test.suite.name": module,
        "test.case.name": name,
        "test.case.result.status": _RESULTS.get(outcome),
        "agenttape.mode": record.mode,
        "agenttape.action": record.action,
    }
    end = max((start + took for start, took in times), default=0.0)
    error = (redactor.text(record.error or outcome)) if outcome == "failed" else None
    yield {
        "traceId": trace,
        "spanId": root,
        "name": nodeid,
        "kind": _INTERNAL,
        **_interval(began, 0.0, end),
        "attributes": _attributes({name: value for name, value in about.items() if value is not None}),
        "status": _status(error),
    }
    for each, (start, took) in zip(record.spans, times, strict=True):
        yield {
            "traceId": trace,
            "spanId": ids[each["index"]],
            "parentSpanId": ids.get(each["parent"], root) if each["parent"] is not None else root,
            "name": each["name"],
            "kind": _CLIENT if each["leaves"] else _INTERNAL,
            **_interval(began, start, took),
            "attributes": _attributes(each["attributes"]),
            "status": _status(each["error"]),
        }


def _interval(began: int, start: float, took: float) -> dict[str, str]:
    first = began + round(start * 1_000_000)
    return {"startTimeUnixNano": str(first), "endTimeUnixNano": str(first + round(took * 1_000_000))}


def _nanoseconds(time: str) -> int:
    try:
        moment = datetime.fromisoformat(time)
    except ValueError:  # of another tool
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    passed = moment - datetime.fromtimestamp(0, UTC)
    return (passed.days * 86_400 + passed.seconds) * 1_000_000_000 + passed.microseconds * 1_000


def _status(error: str | None) -> dict[str, Any]:
    return {"code": _OK} if error is None else {"code": _ERROR, "message": error}


def _attributes(said: Mapping[str, JSON]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in said.items()]


def _value(value: JSON) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    return {"stringValue": str(value)}


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:digits]
