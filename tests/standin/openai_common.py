"""What the three OpenAI APIs share: headers, errors, model names."""

from __future__ import annotations

from collections.abc import Sequence

from tests.standin.dialect import Call, Conversation, pretty
from tests.standin.script import JSON, Answer, Failure, Headers

_SNAPSHOTS = {
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
}
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "We could not parse the JSON body of your request."),
    401: (
        "invalid_request_error",
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
    ),
    403: ("invalid_request_error", "unsupported_country_region_territory", "Country not supported"),
    404: ("invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests per min (RPM): Limit 3, Used 3."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
}


def snapshot_of(model: str) -> str:
    """Return the dated name that the API answers with."""
    return _SNAPSHOTS.get(model, model)


def headers(call: Call) -> Headers:
    """Return the headers of an OpenAI response."""
    ids = call.ids
    return (
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-limit-tokens", "200000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-remaining-tokens", str(200_000 - ids.number(20, 400))),
        ("x-ratelimit-reset-requests", "8.64s"),
        ("x-ratelimit-reset-tokens", f"{ids.number(2, 90)}ms"),
        ("openai-organization", "acme-labs"),
        ("openai-project", "proj_4kqTzX0cVbN7mLw2Rj8sYdPa"),
        ("openai-version", "2020-10-01"),
        ("openai-processing-ms", str(ids.number(180, 990))),
        ("x-request-id", ids.hexadecimal("req_", 32)),
        ("access-control-expose-headers", "X-Request-ID"),
        ("strict-transport-security", "max-age=31536000; includeSubDomains; preload"),
        ("x-content-type-options", "nosniff"),
        ("cf-cache-status", "DYNAMIC"),
        ("cf-ray", ids.hexadecimal("", 16) + "-LHR"),
        ("server", "cloudflare"),
        ("alt-svc", 'h3=":443"; ma=86400'),
        (
            "set-cookie",
            f"__cf_bm={ids.letters('', 43)}-1764000000-1.0.1.1-{ids.letters('', 86)}; path=/; "
            "expires=Mon, 24-Nov-25 16:30:00 GMT; domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
        ),
        (
            "set-cookie",
            f"_cfuvid={ids.letters('', 43)}-1764000000000-0.0.1.1-604800000; path=/; "
            "domain=.api.openai.com; HttpOnly; Secure; SameSite=None",
        ),
    )


def refuse(_call: Call, failure: Failure) -> bytes:
    """Return the body of an OpenAI error."""
    kind, code, message = _ERRORS.get(failure.status, ("api_error", None, "Something went wrong."))
    told = {"message": failure.message or message, "type": kind, "param": None, "code": code}
    return pretty({"error": told}, indent=4)


def schema_of(response_format: JSON) -> JSON:
    """Return the JSON schema of a structured output, None for free text."""
    if not isinstance(response_format, dict) or response_format.get("type") != "json_schema":
        return None
    return response_format.get("json_schema", response_format).get("schema")


def never_asked(_call: Call) -> Conversation:
    """Stand in for the conversation of an API that has none."""
    return Conversation("")


def never_streamed(_call: Call, _answer: Answer) -> Sequence[bytes]:
    """Stand in for the events of an API that does not stream."""
    return ()
