"""Which WebSockets are LLM calls."""

from __future__ import annotations

import pytest

from pytest_agenttape import providers
from pytest_agenttape.providers import realtime

GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"


@pytest.mark.parametrize(
    ("url", "boundary", "model"),
    [
        ("wss://api.openai.com/v1/realtime?model=gpt-realtime", "openai.realtime", "gpt-realtime"),
        ("wss://x.openai.azure.com/openai/realtime?deployment=mine&api-version=1", "openai.realtime", "mine"),
        ("ws://localhost:8000/v1/realtime/", "openai.realtime", None),
        (f"wss://generativelanguage.googleapis.com{GEMINI}?key=k", "gemini.live", None),
        (f"wss://generativelanguage.googleapis.com{GEMINI}Constrained", "gemini.live", None),
    ],
)
def test_a_realtime_api_is_recognised_by_its_path(url: str, boundary: str, model: str | None) -> None:
    found = realtime.identify(url)
    assert found is not None
    assert (found.boundary, found.model) == (boundary, model)
    assert boundary in providers.BOUNDARIES
    assert providers.is_llm_path("GET", url)


@pytest.mark.parametrize("url", ["ws://localhost/", "wss://x/realtime/rooms", "wss://x/?path=/v1/realtime"])
def test_any_other_websocket_is_none(url: str) -> None:
    assert realtime.identify(url) is None
    assert not providers.is_llm_path("GET", url)
