"""Headers of a response that say when, by whom and to whom it was served, and nothing of what it says."""

from __future__ import annotations

from pytest_agenttape.matching.headers import VOLATILE_HEADERS
from pytest_agenttape.model import JSON
from pytest_agenttape.providers.made_up import is_about_serving as is_known_to_provider
from pytest_agenttape.redaction.names import COOKIE_OF_NETWORK


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of one delivery only: the next answer has others.
_OF_ONE_DELIVERY = VOLATILE_HEADERS | _names(
    "expires server-timing report-to nel x-trace-id x-served-by x-timer x-runtime x-cache x-cache-hits x-cache-status "
    "x-response-time x-process-time x-request-time x-amz-request-id x-amz-id-2 x-amz-cf-id x-amz-cf-pop x-vercel-id "
    "x-github-request-id x-azure-ref x-cloud-trace-context x-guploader-uploadid"
)
_PREFIXES = ("cf-", "x-envoy-")
_ENDS = ("-processing-ms", "request-id", "trace-id", "traceid", "correlation-id")
# Of the server: the same in each of its answers.
_STEADY = _names(
    "server via alt-svc etag last-modified content-length content-encoding connection keep-alive transfer-encoding "
    "strict-transport-security cf-cache-status openai-organization openai-project openai-version "
    "anthropic-organization-id"
)


def is_about_serving(name: str) -> bool:
    """Return whether the header *name* of a response (lower-case) is not about what the response says."""
    return name == "set-cookie" or name in _STEADY or _is_of_one_delivery(name)


def is_about_delivery(name: str, value: JSON) -> bool:
    """Return whether a header of a response describes only this one delivery."""
    name = name.lower()
    if name == "set-cookie":
        return not _others(value)
    is_allowance = "limit" in name.replace("ratelimit", "")  # how much there is of it, not how much of it is left
    return name not in _STEADY and not is_allowance and _is_of_one_delivery(name)


def without_cookies_of_networks(response: JSON) -> JSON:
    """Return a stored *response* without what a network between client and server sets to recognise the client."""
    headers = response.get("headers") if isinstance(response, dict) else None
    if not isinstance(headers, dict):
        return response
    of_network = {name: value for name, value in headers.items() if str(name).lower() == "set-cookie"}
    if not of_network:
        return response
    others = {name: _others(value) for name, value in of_network.items()}
    return {**response, "headers": {name: value for name, value in (headers | others).items() if value != []}}


def _others(cookies: JSON) -> list[JSON]:
    """Return which of the values of a ``set-cookie`` header a network does not set."""
    listed = cookies if isinstance(cookies, list) else [cookies]
    return [each for each in listed if not COOKIE_OF_NETWORK.match(str(each))]


def _is_of_one_delivery(name: str) -> bool:
    if name in _OF_ONE_DELIVERY or name.startswith(_PREFIXES) or name.endswith(_ENDS):
        return True
    return is_known_to_provider(name)
