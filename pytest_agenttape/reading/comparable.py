"""What of a recorded call is compared: all but what two recordings of one run never share."""

from __future__ import annotations

from pytest_agenttape.matching.canonical import VOLATILE_HEADERS, KeyRules, canonical_request
from pytest_agenttape.model import JSON, Interaction


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# The words of providers: all of them are here, and above the first function that is not about them.

# Made up for each LLM exchange.
_MADE_UP = _names(
    "id created created_at completed_at createTime system_fingerprint tool_call_id tool_use_id toolUseId call_id "
    "item_id response_id responseId request_id previous_response_id obfuscation sequence_number signature "
    "thoughtSignature encrypted_content data_layout"
)
# A streamed text comes in pieces under one of these names; where it is cut is chance.
_PIECES = _names("content text delta arguments partial_json thinking refusal reasoning reasoning_content")
# Below these everything is the user's, whatever its keys are called.
_THE_USERS_OWN = _names("args arguments parameters input_schema schema json_schema tools metadata functionResponse")
# Headers of a response that say when and by whom it was served, not what it says.
_SERVING_HEADERS = VOLATILE_HEADERS | _names(
    "expires etag last-modified server via alt-svc set-cookie content-length connection keep-alive transfer-encoding "
    "strict-transport-security report-to nel server-timing apim-request-id x-trace-id openai-processing-ms "
    "openai-organization openai-project openai-version anthropic-organization-id x-served-by x-timer x-runtime "
    "x-cache x-cache-hits"
)
_SERVING_PREFIXES = ("x-ratelimit-", "ratelimit-", "anthropic-ratelimit-", "cf-", "x-envoy-", "x-amzn-", "x-ms-")


def _is_the_users(key: str, value: JSON) -> bool:
    # `input` is the arguments of a tool in Anthropic's words, the conversation (a list) in those of OpenAI.
    return key in _THE_USERS_OWN or (key == "input" and isinstance(value, dict))


def _is_keep_alive(event: JSON) -> bool:
    return isinstance(event, dict) and (event.keys() <= {"comment"} or event.get("event") == "ping")


def _is_about_serving(name: str) -> bool:
    return name in _SERVING_HEADERS or name.startswith(_SERVING_PREFIXES)


# How the words are used

_MAX_DEPTH = 50  # no provider nests its own fields deeper; what is below is compared as it stands
_LAYOUT = frozenset(("json_layout", "events_layout", "http_version", "reason"))


def compared_request(interaction: Interaction, rules: KeyRules) -> JSON:
    """Return what of the request of *interaction* is compared."""
    request = canonical_request(interaction.request, rules)
    return _without_made_up(request) if interaction.kind == "llm" else request


def compared_response(interaction: Interaction) -> JSON:
    """Return what of the response of *interaction* is compared."""
    response = interaction.response
    if isinstance(response, dict) and "status" in response and "url" in interaction.request:
        response = {key: value for key, value in response.items() if key not in _LAYOUT}
        headers = response.get("headers") or {}
        if isinstance(headers, dict):
            shown = {name: value for name, value in headers.items() if not _is_about_serving(name.lower())}
            response["headers"] = shown
    if interaction.kind != "llm":
        return response
    response = _without_made_up(response)
    if isinstance(response, dict) and isinstance(response.get("events"), list):
        response["events"] = _with_whole_texts(response["events"])
    return response


def _without_made_up(node: JSON, depth: int = 0) -> JSON:
    if depth > _MAX_DEPTH:
        return node
    if isinstance(node, list):
        return [_without_made_up(each, depth + 1) for each in node]
    if isinstance(node, dict):
        return {
            key: value if _is_the_users(key, value) else _without_made_up(value, depth + 1)
            for key, value in node.items()
            if key not in _MADE_UP
        }
    return node


def _with_whole_texts(events: list[JSON]) -> list[JSON]:
    """Return *events* with runs that carry one text in pieces made into one, and without keep-alives."""
    runs: list[tuple[JSON, list[str]]] = []
    for event in events:
        if _is_keep_alive(event):
            continue
        pieces: list[str] = []
        frame = _without_pieces(event, pieces)
        if len(pieces) != 1 or not isinstance(event, dict):
            runs.append((event, []))
        elif runs and runs[-1][1] and runs[-1][0] == frame:
            runs[-1][1].extend(pieces)
        else:
            runs.append((frame, pieces))
    return [{**event, "text": "".join(pieces)} if pieces else event for event, pieces in runs]


def _without_pieces(node: JSON, pieces: list[str], depth: int = 0) -> JSON:
    if depth > _MAX_DEPTH:
        return node
    if isinstance(node, list):
        return [_without_pieces(each, pieces, depth + 1) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if key in _PIECES and isinstance(value, str):
            pieces.append(value)
        else:
            kept[key] = _without_pieces(value, pieces, depth + 1)
    return kept
