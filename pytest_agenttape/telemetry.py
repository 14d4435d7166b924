"""Telemetry that a framework sends in the background: no part of what a test is about, so it is answered here.

It comes from threads that outlive their test, and is on by default in some frameworks. A session answers it with an
empty success; it is neither sent nor recorded.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_agenttape.model import JSON, Call, Interaction

KIND = "telemetry"  # of such a call, which is in no cassette

counts: Counter[str] = Counter()  # of the requests that this process has answered, by sender


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who sends it, where to (the host and path, without query), and how a user switches it off."""

    name: str
    place: re.Pattern[str]
    switch: str
    methods: tuple[str, ...] = ("POST",)


_SENDERS = (
    _Sender("the OpenAI Agents SDK", re.compile(r"/traces/ingest$"), "OPENAI_AGENTS_DISABLE_TRACING=1"),
    _Sender("LangSmith", re.compile(r"/runs/(?:batch|multipart)$"), "LANGSMITH_TRACING=false"),
    _Sender(
        "LangSmith",
        re.compile(r"^[^/]*\bsmith\.[^/]*/(?:.*/)?(?:info|runs(?:/[^/]+)?)$"),
        "LANGSMITH_TRACING=false",
        ("GET", "POST", "PATCH"),
    ),
    _Sender("Langfuse", re.compile(r"/api/public/(?:ingestion$|otel/)"), "LANGFUSE_TRACING_ENABLED=false"),
    _Sender(
        "OpenTelemetry",
        re.compile(r"/v1/(?:traces|metrics|logs)$|/opentelemetry\.proto\.collector\."),
        "OTEL_SDK_DISABLED=true",
        ("POST", "GRPC"),
    ),
    _Sender(
        "PostHog",
        re.compile(r"^[^/]*\bposthog\.com/"),
        "posthog.disabled = True, or the library's own switch",
        ("GET", "POST"),
    ),
)


def is_known(method: str, url: str) -> bool:
    """Return whether a request is telemetry of a known sender."""
    sender = _sender(url)
    return sender is not None and method.upper() in sender.methods


def hint(url: str) -> tuple[str, ...]:
    """Return the line that says how to switch off the telemetry that requests *url*; empty if it is not known."""
    sender = _sender(url)
    if sender is None:
        return ()
    return (f"this looks like telemetry of {sender.name}: switch it off in tests ({sender.switch})",)


def answered(call: Call) -> Interaction:
    """Return an empty success for *call*, and count it; an empty message of protobuf has no bytes."""
    count(str(call.request.get("url")))
    response: dict[str, JSON] = {"status": 200, "headers": {"content-type": "application/json"}, "json": {}}
    if "protobuf" in str(call.request.get("headers")):
        response = {"status": 200, "headers": {"content-type": "application/x-protobuf"}}
    return Interaction(index=0, kind=call.kind, boundary=None, request=dict(call.request), response=response)


def count(url: str) -> None:
    """Count a request to *url* that was answered."""
    sender = _sender(url)
    counts[sender.name if sender is not None else urlsplit(url).hostname or ""] += 1


@functools.lru_cache(maxsize=256)  # asked for every request
def _sender(url: str) -> _Sender | None:
    parts = urlsplit(url)
    place = f"{parts.hostname or ''}{parts.path}"
    return next((sender for sender in _SENDERS if sender.place.search(place)), None)
