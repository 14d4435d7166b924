"""The realtime APIs, which are spoken over a WebSocket: which one a connection belongs to."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from pytest_agenttape.providers.view import Operation

OPENAI = "openai.realtime"
GEMINI = "gemini.live"
BOUNDARIES = (OPENAI, GEMINI)


def identify(url: str) -> Operation | None:
    """Return what a WebSocket to *url* is for; None if it is not that of a known realtime API."""
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if path.endswith("/realtime"):
        query = parse_qs(parts.query)
        named = query.get("model") or query.get("deployment")
        return Operation(provider="openai", operation="chat", boundary=OPENAI, model=named[0] if named else None)
    if "BidiGenerateContent" in path:  # also ...Constrained; the model is in the first message
        return Operation(provider="gcp.gemini", operation="generate_content", boundary=GEMINI)
    return None
