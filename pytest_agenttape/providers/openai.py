"""What the OpenAI protocols share: which provider is behind which host, and where the model is named."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.tolerant import at, number, text_or_none, usage
from pytest_agenttape.providers.view import Operation, Refusal, retried_at_once

# The many servers that speak this protocol; any other host counts as "openai".
_HOSTS = (
    ("openai.azure.com", "azure.ai.openai"),
    ("cognitiveservices.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("models.inference.ai.azure.com", "azure.ai.inference"),
    ("models.ai.azure.com", "azure.ai.inference"),
    ("anthropic.com", "anthropic"),
    ("cerebras.ai", "cerebras"),
    ("databricks.com", "databricks"),
    ("azuredatabricks.net", "databricks"),
    ("fireworks.ai", "fireworks"),
    ("moonshot.ai", "moonshotai"),
    ("moonshot.cn", "moonshotai"),
    ("together.ai", "together"),
    ("together.xyz", "together"),
    ("openrouter.ai", "openrouter"),
    ("groq.com", "groq"),
    ("mistral.ai", "mistral_ai"),
    ("deepseek.com", "deepseek"),
    ("perplexity.ai", "perplexity"),
    ("x.ai", "x_ai"),
    ("huggingface.co", "huggingface"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("aiplatform.googleapis.com", "gcp.vertex_ai"),
    ("-aiplatform.googleapis.com", "gcp.vertex_ai"),  # after the name of a region
    ("rep.googleapis.com", "gcp.vertex_ai"),
    ("amazonaws.com", "aws.bedrock"),
)
# Of OpenAI, of Azure in front of it, and of the servers and gateways that speak the same.
SERVING_HEADERS = (
    *("openai-organization", "openai-processing-ms", "openai-project", "openai-version"),
    *("apim-request-id", "azureml-model-session", "x-ms-", "nvcf-", "fireworks-", "x-kong-", "x-metrics-"),
    *("x-groq-region", "x-together-traceid", "x-ds-trace-id", "mistral-correlation-id", "x-generation-id"),
    *("x-litellm-", "llm_provider-", "x-portkey-", "helicone-"),
)
SDK_HEADERS = ("x-stainless-",)
# Those with a status of 400, or none, come from OpenAI, Groq and the gateways before them.
FAILURES = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "context_length_exceeded": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "account_deactivated": 401,
    "billing_hard_limit_reached": 402,
    "billing_not_active": 402,
    "organization_restricted": 403,
    "unsupported_country_region_territory": 403,
    "insufficient_quota": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "server_error": 500,
    "internal_error": 500,
}
FAILURE_SAYINGS = {"Incorrect API key provided": 401}  # x.AI's, with a status of 400
_DEPLOYMENTS = "/openai/deployments/"
# Where an object of an answer has its tokens; in a stream, Groq and Moonshot put them elsewhere.
_USAGE_PLACES: tuple[tuple[str | int, ...], ...] = (("usage",), ("x_groq", "usage"), ("choices", 0, "usage"))
# The tokens that came from a cache, in the words of OpenAI, DeepSeek and Moonshot.
_CACHED = (("prompt_tokens_details", "cached_tokens"), ("prompt_cache_hit_tokens",), ("cached_tokens",))
# Of OpenAI's own errors: type and code.
_REFUSALS: Mapping[int, tuple[str, str | None]] = {
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


def refusal(status: int, said: str) -> Refusal:
    """Return OpenAI's answer to a request that fails."""
    kind, code = _REFUSALS.get(status, ("server_error" if status >= 500 else "invalid_request_error", None))
    return {"error": {"message": said, "type": kind, "param": None, "code": code}}, retried_at_once(status)


def openai_operation(url: str, body: Mapping[str, JSON], operation: str, boundary: str) -> Operation:
    """Return the operation, with the model if one is named: in the body or, as Azure does, in the path."""
    model = text_or_none(body.get("model")) or _deployment(url)
    return Operation(provider_of(url), operation, boundary, model)


def of_named_model(operation: Operation) -> Operation | None:
    """Return *operation* if its model is named; without one, a prompt or an input may be for anything."""
    return operation if operation.model else None


def completion_usage(objects: list[Mapping[str, JSON]]) -> dict[str, int] | None:
    """Return the tokens of a completion, whole or in chunks: the last that are counted."""
    found = (_usage(at(each, *place)) for each in reversed(objects) for place in _USAGE_PLACES)
    return next(filter(None, found), None)


def _usage(counts: JSON) -> dict[str, int] | None:
    asked, said, total = (number(at(counts, f"{kind}_tokens")) for kind in ("prompt", "completion", "total"))
    reasoning = number(at(counts, "completion_tokens_details", "reasoning_tokens"))
    if said is not None and reasoning and total == (asked or 0) + said + reasoning:  # x.AI counts them separately
        said += reasoning
    heard, spoken = (number(at(counts, f"{kind}_tokens_details", "audio_tokens")) for kind in ("prompt", "completion"))
    return usage(
        asked,
        said,
        total,
        cached=next(filter(None, (number(at(counts, *place)) for place in _CACHED)), None),
        reasoning=reasoning,
        audio=(heard or None, spoken or None, None),
    )


def _deployment(url: str) -> str | None:
    _, found, rest = url.partition(_DEPLOYMENTS)
    return unquote(rest.partition("/")[0]) or None if found else None


@lru_cache(maxsize=256)
def provider_of(url: str) -> str:
    """Return the provider at *url*."""
    if _DEPLOYMENTS in url:
        return "azure.ai.openai"
    host = host_of(url)
    return next((name for known, name in _HOSTS if _is_below(host, known)), "openai")


def _is_below(host: str, known: str) -> bool:
    return host == known or host.endswith(known if known.startswith("-") else f".{known}")


def host_of(url: str) -> str:
    """Return the lower-case host of *url* without its port."""
    authority = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return authority.partition(":")[0].lower()
