"""Headers of a response that say when, by whom and to whom it was served, and nothing of what it says."""

from __future__ import annotations

from pytest_agenttape.matching.headers import VOLATILE_HEADERS
from pytest_agenttape.model import JSON
from pytest_agenttape.providers.made_up import is_about_serving as is_known_to_provider


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of one delivery only: the next answer has others.
_OF_ONE_DELIVERY = VOLATILE_HEADERS | _names(
    "expires server-timing report-to nel x-trace-id x-served-by x-timer x-runtime x-cache x-cache-hits x-cache-status "
    "x-response-time x-process-time x-request-time x-amz-request-id x-amz-id-2 x-amz-cf-id x-amz-cf-pop x-vercel-id "
    "x-github-request-id x-azure-ref x-cloud-trace-context x-guploader-uploadid"
)
_PREFIXES = ("cf-", "x-envoy-")
# Of the server: the same in each of its answers.
_STEADY = _names(
    "server via alt-svc etag last-modified content-length content-encoding connection keep-alive transfer-encoding "
    "strict-transport-security cf-cache-status openai-organization openai-project openai-version "
    "anthropic-organization-id"
)
# A content delivery network or a load balancer sets these to recognise the client; no agent asks for them.
_COOKIES_OF_NETWORKS = (
    *("__cf_bm=", "_cfuvid=", "__cflb=", "cf_clearance=", "__cfruid=", "AWSALB=", "AWSALBCORS=", "AWSALBTG="),
    *("AWSALBTGCORS=", "ARRAffinity=", "ARRAffinitySameSite=", "incap_ses_", "visid_incap_", "nlbi_", "ak_bmsc="),
)


def is_about_serving(name: str) -> bool:
    """Return whether the header *name* of a response (lower-case) is not about what the response says."""
    return name == "set-cookie" or name in _STEADY or _is_of_one_delivery(name)


def is_about_delivery(name: str, value: JSON) -> bool:
    """Return whether a header of a response describes only this one delivery."""
    name = name.lower()
    if name == "set-cookie":
        cookies = value if isinstance(value, list) else [value]
        return all(is_cookie_of_network(str(each)) for each in cookies)
    is_allowance = "limit" in name.replace("ratelimit", "")  # how much there is of it, not how much of it is left
    return name not in _STEADY and not is_allowance and _is_of_one_delivery(name)


def is_cookie_of_network(cookie: str) -> bool:
    """Return whether a network between client and server sets *cookie*, the value of a ``set-cookie`` header."""
    return cookie.startswith(_COOKIES_OF_NETWORKS)


def _is_of_one_delivery(name: str) -> bool:
    is_timing = name.endswith("-processing-ms")
    return is_timing or name in _OF_ONE_DELIVERY or name.startswith(_PREFIXES) or is_known_to_provider(name)
