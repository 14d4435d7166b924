"""Telemetry that a framework sends in the background, and how it is switched off: a hint for messages, not a rule."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SWITCHES: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("the OpenAI Agents SDK", re.compile(r"/traces/ingest$"), "OPENAI_AGENTS_DISABLE_TRACING=1"),
    (
        "LangSmith",
        re.compile(r"^[^/]*smith[^/]*/(?:.*/)?(?:info|runs)$|/runs/(?:batch|multipart)$"),
        "LANGSMITH_TRACING=false",
    ),
    ("Langfuse", re.compile(r"/api/public/(?:ingestion|otel/)"), "LANGFUSE_TRACING_ENABLED=false"),
    ("OpenTelemetry", re.compile(r"/v1/(?:traces|metrics|logs)$"), "OTEL_SDK_DISABLED=true"),
    ("PostHog", re.compile(r"^[^/]*posthog[^/]*/"), "posthog.disabled = True, or the library's own switch"),
)


def hint(url: str) -> tuple[str, ...]:
    """Return the line that says how to switch off the telemetry that requests *url*; empty if it is not known."""
    parts = urlsplit(url)
    place = f"{parts.hostname or ''}{parts.path}"
    for sender, pattern, switch in _SWITCHES:
        if pattern.search(place):
            return (f"this looks like telemetry of {sender}: switch it off in tests ({switch})",)
    return ()
