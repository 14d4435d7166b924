"""Which requests are telemetry, and how they are answered."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape import telemetry
from pytest_agenttape.model import Call

KNOWN = {
    "https://api.openai.com/v1/traces/ingest": "OPENAI_AGENTS_DISABLE_TRACING=1",
    "https://api.smith.langchain.com/info": "LANGSMITH_TRACING=false",
    "https://eu.api.smith.langchain.com/api/v1/info": "LANGSMITH_TRACING=false",
    "https://api.smith.langchain.com/runs/7f": "LANGSMITH_TRACING=false",
    "https://self.hosted.example/runs/multipart": "LANGSMITH_TRACING=false",
    "https://cloud.langfuse.com/api/public/otel/v1/traces": "LANGFUSE_TRACING_ENABLED=false",
    "http://localhost:4318/v1/traces": "OTEL_SDK_DISABLED=true",
    "grpc://localhost:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export": "OTEL_SDK_DISABLED=true",
    "https://us.i.posthog.com/batch/": "posthog.disabled = True",
}
UNKNOWN = (
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/threads/t/runs",
    "https://weather.example/info",
    "https://example.com/blacksmith/info",
    "https://blacksmith.example/info",
    "https://api.smith.langchain.com/datasets",
    "https://traces.example/v1/traces/7",
    "https://posthog.com.evil.example/",
    "not a url",
    "",
)


@pytest.mark.parametrize("url", KNOWN)
def test_known_senders_are_told_by_their_address(url: str) -> None:
    (line,) = telemetry.hint(url)
    assert KNOWN[url] in line
    assert telemetry.is_known("GET" if url.endswith("info") else "post", url)


@pytest.mark.parametrize("url", UNKNOWN)
def test_other_addresses_are_no_telemetry(url: str) -> None:
    assert (telemetry.hint(url), telemetry.is_known("POST", url)) == ((), False)


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_reading_traces_back_is_no_telemetry(method: str) -> None:
    assert not telemetry.is_known(method, "http://localhost:4318/v1/traces")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"headers": {"content-type": "application/json"}, "json": {}}),
        ({"Content-Type": "application/x-protobuf"}, {"headers": {"content-type": "application/x-protobuf"}}),
    ],
)
def test_the_answer_is_an_empty_success_in_the_form_of_the_question(headers: Any, expected: Any) -> None:
    call = Call(telemetry.KIND, None, {"method": "POST", "url": "http://h/v1/traces", "headers": headers})
    before = telemetry.counts["OpenTelemetry"]
    assert telemetry.answered(call).response == {"status": 200, **expected}
    assert telemetry.counts["OpenTelemetry"] == before + 1
