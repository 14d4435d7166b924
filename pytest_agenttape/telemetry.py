"""Telemetry that a framework sends in the background: no part of what a test is about, so it is answered here.

It comes from threads that outlive their test, and is on by default in some frameworks. A session answers it with an
empty success; it is neither sent nor recorded.

So is what a framework looks up for itself once per process, on whichever test comes first: is there an update, what do
models cost? There nothing is made up. The connection fails, and the framework goes on with what it ships. That it does
was read in litellm 1.110, crewai 1.15, gradio 6.31 and huggingface_hub 2.4.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self
from urllib.parse import urlsplit

from pytest_agenttape.hosts import HostRule, host_rules, is_url_allowed
from pytest_agenttape.model import KNOWN_TELEMETRY, Call, Interaction

counts: Counter[str] = Counter()  # of the requests that this process has answered, by sender


@dataclass(frozen=True, slots=True)
class _Sender:
    """Who sends it, and how a user switches it off.

    Attributes:
        name: What messages call it.
        place: Where to: the host and path, without query.
        switch: What switches it off.
        methods: Those that send it; with none it is only named, because others may use such an address.
        content: What its content type contains.
        library: The module that must be imported, where others may well ask there, too.
        answer: How it is answered.
    """

    name: str
    place: re.Pattern[str]
    switch: str
    methods: tuple[str, ...] = ("POST",)
    content: re.Pattern[str] = re.compile("")  # a constant
    library: str = ""
    answer: Literal["success", "forbidden", "no connection"] = "success"


_AGENTS, _LANGSMITH = "OPENAI_AGENTS_DISABLE_TRACING=1", "LANGSMITH_TRACING=false"
_LANGFUSE, _OTEL = "LANGFUSE_TRACING_ENABLED=false", "OTEL_SDK_DISABLED=true"
_SMITH = r"^(?:[^/]*\.)?smith\.langchain\.com/(?:api/)?(?:v\d/)?"
_PROTOBUF = re.compile("protobuf")
_SENDERS = (
    _Sender("the OpenAI Agents SDK", re.compile(r"^api\.openai\.com/v1/traces/ingest$"), _AGENTS),
    _Sender("LangSmith", re.compile(_SMITH + r"runs(?:/batch|/multipart)?$"), _LANGSMITH),
    _Sender("LangSmith", re.compile(_SMITH + r"runs/[^/]+$"), _LANGSMITH, ("PATCH",)),
    _Sender("LangSmith", re.compile(_SMITH + r"info$"), _LANGSMITH, ("GET",)),
    _Sender("Langfuse", re.compile(r"^(?:[^/]*\.)?langfuse\.com/api/public/ingestion$"), _LANGFUSE),
    _Sender("Langfuse", re.compile(r"/api/public/otel/v1/traces$"), _LANGFUSE, content=_PROTOBUF),
    _Sender("OpenTelemetry", re.compile(r"/v1/(?:traces|metrics|logs)$"), _OTEL, content=_PROTOBUF),
    _Sender("OpenTelemetry", re.compile(r"/opentelemetry\.proto\.collector\."), _OTEL, ("GRPC",)),
    _Sender(
        "PostHog",
        re.compile(r"^(?:[^/]*\.)?posthog\.com/(?:batch|capture|e|i/v0/e)/?$"),
        "posthog.disabled = True, or the library's own switch",
    ),
    _Sender("Agno", re.compile(r"^os-api\.agno\.com/telemetry/"), "AGNO_TELEMETRY=false"),
    _Sender("Hugging Face", re.compile(r"^huggingface\.co/api/telemetry/"), "HF_HUB_DISABLE_TELEMETRY=1", ("HEAD",)),
    # Looked up once per process.
    _Sender(
        "LiteLLM",
        re.compile(r"^raw\.githubusercontent\.com/BerriAI/litellm/[^/]+/model_prices_and_context_window\.json$"),
        "LITELLM_LOCAL_MODEL_COST_MAP=True",
        ("GET",),
        library="litellm",
        answer="forbidden",  # after a failed connection its thread tries twice more, and sleeps on the test's clock
    ),
    _Sender(
        "LiteLLM",
        re.compile(r"^raw\.githubusercontent\.com/BerriAI/litellm/[^/]+/litellm/anthropic_beta_headers_config\.json$"),
        "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True",
        ("GET",),
        library="litellm",
        answer="forbidden",
    ),
    _Sender(
        "CrewAI",
        re.compile(r"^pypi\.org/pypi/crewai/json$"),
        "CREWAI_DISABLE_VERSION_CHECK=true",
        ("GET",),
        library="crewai",
        answer="no connection",
    ),
    _Sender(
        "Gradio",
        re.compile(r"^api\.gradio\.app/pkg-version$"),
        "GRADIO_ANALYTICS_ENABLED=False",
        ("GET",),
        answer="no connection",
    ),
    _Sender(
        "Hugging Face",
        re.compile(r"^huggingface\.co/api/agent-harnesses$"),
        "HF_HUB_OFFLINE=1",
        ("GET",),
        library="huggingface_hub",
        answer="no connection",
    ),
    # On servers of one's own; an agent may have something else there.
    _Sender("the OpenAI Agents SDK", re.compile(r"/traces/ingest$"), _AGENTS, ()),
    _Sender("LangSmith", re.compile(r"/runs/(?:batch|multipart)$"), _LANGSMITH, ()),
    _Sender("Langfuse", re.compile(r"/api/public/(?:ingestion$|otel/)"), _LANGFUSE, ()),
)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a session answers: what known senders send, and all that is sent to some hosts."""

    knows: bool
    hosts: tuple[HostRule, ...]
    ignored: tuple[HostRule, ...]

    @classmethod
    def of(cls, listed: Sequence[str], ignored: Sequence[str] = ()) -> Self:
        """Read the settings `telemetry_hosts` and `ignore_hosts`; what is sent to an ignored host is real."""
        named = [host for host in listed if host != KNOWN_TELEMETRY]
        return cls(len(named) < len(listed), host_rules(named), host_rules(ignored))

    def covers(self, method: str, url: str, content_type: str | None) -> bool:
        """Return whether a request is telemetry; as far as its address says where *content_type* is None.

        Without a *method* it is none. Of what is not HTTP, only the export of OpenTelemetry's gRPC is.
        """
        sender = _sender(method.upper(), url) if self.knows else None
        is_known = sender is not None and _is_of(sender, content_type)
        is_named = bool(self.hosts and method) and url.startswith("http") and is_url_allowed(url, self.hosts)
        return (is_known or is_named) and not is_url_allowed(url, self.ignored)


def _is_of(sender: _Sender, content_type: str | None) -> bool:
    if sender.library and sender.library not in sys.modules:
        return False
    return content_type is None or sender.content.search(content_type) is not None


def hint(url: str) -> tuple[str, ...]:
    """Return the line that says how to switch off the telemetry that requests *url*; empty if it is not known."""
    sender = _sender(None, url)
    if sender is None:
        return ()
    return (f"this looks like telemetry of {sender.name}: switch it off in tests ({sender.switch})",)


def is_lookup(method: str, url: str) -> bool:
    """Return whether a request that is telemetry reads something, so that an older cassette may hold what it read."""
    sender = _sender(method.upper(), url)
    return sender is not None and sender.answer != "success"


def answer(call: Call) -> Interaction:
    """Return an empty success for *call*, or the failure after which its sender goes on with what it ships."""
    sender = _sender(str(call.request["method"]).upper(), str(call.request["url"]))
    asked = Interaction(index=0, kind=call.kind, boundary=None, request=dict(call.request))
    if sender is not None and sender.answer == "no connection":
        return replace(asked, error={"type": "ConnectError", "message": "not sent: pytest-agenttape answers telemetry"})
    if sender is not None and sender.answer == "forbidden":
        return replace(asked, response={"status": 403, "headers": {}})
    if "protobuf" in str(call.request.get("headers")):  # an empty message has no bytes
        return replace(asked, response={"status": 200, "headers": {"content-type": "application/x-protobuf"}})
    return replace(asked, response={"status": 200, "headers": {"content-type": "application/json"}, "json": {}})


def count(method: str, url: str) -> None:
    """Count a request that was answered."""
    sender = _sender(method.upper(), url)
    counts[sender.name if sender is not None else urlsplit(url).hostname or ""] += 1


@functools.lru_cache(maxsize=256)  # asked for every request
def _sender(method: str | None, url: str) -> _Sender | None:
    """Return who sends this; without a method, whoever sends anything there."""
    parts = urlsplit(url)
    place = f"{parts.hostname or ''}{parts.path}"
    found = (each for each in _SENDERS if method is None or method in each.methods)
    return next((each for each in found if each.place.search(place)), None)
