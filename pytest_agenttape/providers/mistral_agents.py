"""Mistral agents: a chat completion that names an agent instead of a model."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import openai_chat
from pytest_agenttape.providers.tolerant import at
from pytest_agenttape.providers.view import Operation, View, Words


def identify(_url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a completion by its agent and its list of messages."""
    if not isinstance(body.get("agent_id"), str) or not isinstance(at(body, "messages", 0, "role"), str):
        return None
    return Operation("mistral_ai", "invoke_agent", "mistral.agents")


VIEW = View(
    provider="mistral_ai",
    operations={"mistral.agents": "invoke_agent"},
    suffixes=("/agents/completions",),
    identify=identify,
    read_messages=openai_chat.read_messages,
    read_answer=openai_chat.read_answer,
    words=Words(serving_headers=("x-kong-", "x-envoy-upstream-service-time", "mistral-correlation-id")),
)
