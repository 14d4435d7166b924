"""Which requests are telemetry, and how they are answered."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from pytest_agenttape import telemetry
from pytest_agenttape.model import TELEMETRY_KIND, Call
from pytest_agenttape.telemetry import Telemetry

PROTOBUF = "application/x-protobuf"
# Method, address, content type; how it is switched off.
SENT = {
    ("POST", "https://api.openai.com/v1/traces/ingest", "application/json"): "OPENAI_AGENTS_DISABLE_TRACING=1",
    ("GET", "https://api.smith.langchain.com/info", ""): "LANGSMITH_TRACING=false",
    ("GET", "https://eu.api.smith.langchain.com/api/v1/info", ""): "LANGSMITH_TRACING=false",
    ("POST", "https://api.smith.langchain.com/runs", "application/json"): "LANGSMITH_TRACING=false",
    ("post", "https://api.smith.langchain.com/runs/multipart", "multipart/form-data"): "LANGSMITH_TRACING=false",
    ("PATCH", "https://api.smith.langchain.com/runs/7f", "application/json"): "LANGSMITH_TRACING=false",
    ("POST", "https://cloud.langfuse.com/api/public/otel/v1/traces", PROTOBUF): "LANGFUSE_TRACING_ENABLED=false",
    (
        "POST",
        "https://us.langfuse.com/api/public/ingestion",
        "application/json",
    ): "LANGFUSE_TRACING_ENABLED=false",
    ("POST", "http://localhost:4318/v1/traces", PROTOBUF): "OTEL_SDK_DISABLED=true",
    ("GRPC", "grpc://h:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export", ""): (
        "OTEL_SDK_DISABLED=true"
    ),
    ("POST", "https://us.i.posthog.com/batch/", "application/json"): "posthog.disabled = True",
    ("POST", "https://os-api.agno.com/telemetry/runs", "application/json"): "AGNO_TELEMETRY=false",
    ("HEAD", "https://huggingface.co/api/telemetry/gradio/initiated", ""): "HF_HUB_DISABLE_TELEMETRY=1",
}
# What a library looks up once per process; how it is answered, and the module that must be imported.
LITELLM = "https://raw.githubusercontent.com/BerriAI/litellm/main/"
LOOKED_UP = {
    f"{LITELLM}model_prices_and_context_window.json": ("litellm", 403, "LITELLM_LOCAL_MODEL_COST_MAP=True"),
    f"{LITELLM}litellm/anthropic_beta_headers_config.json": (
        "litellm",
        403,
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True",
    ),
    "https://pypi.org/pypi/crewai/json": ("crewai", None, "CREWAI_DISABLE_VERSION_CHECK=true"),
    "https://huggingface.co/api/agent-harnesses": ("huggingface_hub", None, "HF_HUB_OFFLINE=1"),
    "https://api.gradio.app/pkg-version": (None, None, "GRADIO_ANALYTICS_ENABLED=False"),
}
# What an agent may well ask, as part of what its test is about.
ASKED = (
    ("POST", "https://api.example.com/v1/logs", "application/json"),
    ("GET", "https://api.example.com/v1/logs", ""),
    ("GET", "http://localhost:4318/v1/traces", PROTOBUF),
    ("POST", "https://api.smith.langchain.com/runs/query", "application/json"),
    ("GET", "https://api.smith.langchain.com/runs/7f", ""),
    ("POST", "https://own.example/runs/batch", "application/json"),
    ("GET", "https://cloud.langfuse.com/api/public/traces", ""),
    ("GET", "https://us.posthog.com/api/projects/1", ""),
    ("POST", "https://api.smith.langchain.com/datasets/7f/runs", "application/json"),
    ("PATCH", "https://api.smith.langchain.com/annotation-queues/7f/runs/8a", "application/json"),
    ("GET", "https://api.smith.langchain.com/datasets/info", ""),
    ("POST", "https://own.example/api/public/ingestion", "application/json"),
    ("POST", "https://own.example/api/public/otel/query", "application/json"),
    ("POST", "https://own.example/v1/traces/ingest", "application/json"),
    ("POST", "https://evil-posthog.com/batch", "application/json"),
    ("POST", "https://us.i.posthog.com/flags/", "application/json"),  # an agent may do something else for a flag
    ("GET", "https://pypi.org/pypi/requests/json", ""),
    ("GET", "https://raw.githubusercontent.com/BerriAI/litellm/main/README.md", ""),
    ("GET", "https://raw.githubusercontent.com/other/litellm/main/model_prices_and_context_window.json", ""),
    ("POST", "https://api.gradio.app/pkg-version", ""),
    ("GET", "https://huggingface.co/api/models", ""),
    ("GET", "https://huggingface.co/api/telemetry/x", ""),
)
UNKNOWN = (
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/threads/t/runs",
    "https://weather.example/info",
    "https://example.com/blacksmith/info",
    "https://blacksmith.example/info",
    "https://api.smith.langchain.com/datasets",
    "https://traces.example/v1/traces/7",
    "https://posthog.com.evil.example/batch",
    "not a url",
    "",
)


@pytest.mark.parametrize("request_", SENT)
def test_what_known_senders_send_is_answered(request_: tuple[str, str, str]) -> None:
    (line,) = telemetry.hint(request_[1])
    assert SENT[request_] in line
    assert Telemetry.of(["known"]).covers(*request_)
    assert Telemetry.of(["known"]).covers(*request_[:2], None)
    assert not Telemetry.of([]).covers(*request_)


@pytest.mark.parametrize("url", LOOKED_UP)
def test_what_a_library_looks_up_for_itself_fails_where_it_is_in_use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library, status, switch = LOOKED_UP[url]
    known = Telemetry.of(["known"])
    if library is not None:
        monkeypatch.delitem(sys.modules, library, raising=False)
        assert not known.covers("GET", url, "")  # an agent may read it, for all we know
        monkeypatch.setitem(sys.modules, library, ModuleType(library))
    assert known.covers("GET", url, "")
    assert not known.covers("PUT", url, "")
    assert not Telemetry.of([]).covers("GET", url, "")
    (line,) = telemetry.hint(url)
    assert switch in line
    answer = telemetry.answer(Call(TELEMETRY_KIND, None, {"method": "GET", "url": url, "headers": {}}))
    assert answer.response == (None if status is None else {"status": status, "headers": {}})
    assert (answer.error is None) == (status is not None)


@pytest.mark.parametrize("request_", ASKED)
def test_what_an_agent_asks_of_such_services_is_not(request_: tuple[str, str, str]) -> None:
    assert not Telemetry.of(["known"]).covers(*request_)


@pytest.mark.parametrize("url", UNKNOWN)
def test_other_addresses_are_no_telemetry(url: str) -> None:
    assert telemetry.hint(url) == ()
    assert not Telemetry.of(["known"]).covers("POST", url, PROTOBUF)


def test_telemetry_of_an_own_server_is_named_but_not_answered() -> None:
    (line,) = telemetry.hint("https://own.example/runs/batch")
    assert "LANGSMITH_TRACING=false" in line


def test_all_that_is_sent_to_a_named_host_is_answered() -> None:
    named = Telemetry.of(["*.traces.example"])
    assert named.covers("PUT", "https://eu.traces.example/x", "")
    assert not named.covers("PUT", "https://traces.example.com/x", "")
    assert not named.covers("GRPC", "grpc://eu.traces.example/a.B/C", "")
    assert not named.covers("GET", "wss://eu.traces.example/x", "")
    assert not Telemetry.of(["*.traces.example"], ["eu.traces.example"]).covers(
        "PUT", "https://eu.traces.example/x", ""
    )
    assert not named.covers("POST", "http://localhost:4318/v1/traces", PROTOBUF)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, {"headers": {"content-type": "application/json"}, "json": {}}),
        ({"Content-Type": PROTOBUF}, {"headers": {"content-type": PROTOBUF}}),
    ],
)
def test_the_answer_is_an_empty_success_in_the_form_of_the_question(headers: Any, expected: Any) -> None:
    call = Call(TELEMETRY_KIND, None, {"method": "POST", "url": "http://h/v1/traces", "headers": headers})
    assert telemetry.answer(call).response == {"status": 200, **expected}
