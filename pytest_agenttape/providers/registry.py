"""Every known protocol, and all their words. A new one is a module and its line in `VIEWS`."""

from __future__ import annotations

from pytest_agenttape.providers import (
    anthropic,
    bedrock,
    claude_code,
    cohere,
    cohere_embed,
    cohere_rerank,
    gemini,
    gemini_embeddings,
    gemini_interactions,
    gemini_live,
    huggingface,
    mistral_agents,
    mistral_conversations,
    ollama,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_realtime,
    openai_responses,
)
from pytest_agenttape.providers.view import View, Words

VIEWS: tuple[View, ...] = (
    openai_chat.VIEW,
    openai_responses.VIEW,
    openai_embeddings.VIEW,
    anthropic.VIEW,
    gemini.VIEW,
    bedrock.VIEW,
    cohere.VIEW,
    cohere_embed.VIEW,
    cohere_rerank.VIEW,
    gemini_embeddings.VIEW,
    gemini_interactions.VIEW,
    mistral_agents.VIEW,
    mistral_conversations.VIEW,
    ollama.VIEW,
    huggingface.VIEW,
    openai_completions.VIEW,
    openai_images.VIEW,
    openai_realtime.VIEW,
    gemini_live.VIEW,
    claude_code.VIEW,
)

# The words that several protocols have in common.
SHARED = Words(
    last_events=("[DONE]",),
    pieces=("content", "text"),
    places=("index", "type"),
    labels=("id", "type", "event", "role", "model"),
    made_up=("id", "request_id"),
    counts=("usage", "usageMetadata"),
    users_own=("arguments", "parameters", "schema", "tools", "metadata"),
    serving_headers=("x-ratelimit-", "ratelimit-"),
    conversations=("messages",),
    roles={"system": "system", "user": "user", "assistant": "model", "tool": "tool"},
    texts=("content", "text", "prompt", "input", "output", "arguments"),
    error_fields=("error",),
)

# Of all protocols together, because gateways speak one protocol with fields of another.
WORDS = Words.union((SHARED, *(view.words for view in VIEWS)))

BY_BOUNDARY = {boundary: view for view in VIEWS for boundary in view.operations}
