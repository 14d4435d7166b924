"""Which headers of a request are stored, and which say what is asked for."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

from pytest_agenttape.bodies.messages import Headers
from pytest_agenttape.providers.registry import WORDS

# Set by the connection or by the client library, never by the agent: neither stored nor compared. Those of the library
# are if `match_headers` names them.
_CONNECTION_HEADERS = frozenset(
    "host connection keep-alive proxy-connection te trailer transfer-encoding upgrade content-length expect".split()
)
_LIBRARY_HEADERS = frozenset("accept-encoding accept-language user-agent priority".split())
_LIBRARY_PREFIXES = (*WORDS.sdk_headers, "sec-")

# Say what is asked for; any other header tells of the machine more often. A final `-` makes a prefix.
_ASKING_HEADERS = (
    *"accept content-type range if-match prefer soapaction".split(),
    *"x-http-method-override x-http-method x-method-override depth destination".split(),
    *"x-amz-target x-amz-invocation-type x-amz-acl x-amz-copy-source x-amz-meta- x-amzn-sagemaker-".split(),
    *"x-ms-copy-source x-ms-rename-source x-ms-meta- azureml-model-deployment".split(),
    *"x-goog-fieldmask x-goog-copy-source x-goog-acl x-goog-meta-".split(),
    *"notion-version x-github-api-version dropbox-api-arg".split(),
    *"x-target-selector x-remove-selector x-return-format x-respond-with".split(),
    *WORDS.asking_headers,
)
_COMPARED_HEADERS = frozenset(name for name in _ASKING_HEADERS if not name.endswith("-"))
_COMPARED_PREFIXES = tuple(name for name in _ASKING_HEADERS if name.endswith("-"))

# What clients accept that were not told what to.
_ANY_ACCEPT = frozenset(("*/*", "application/json", "text/event-stream"))

# Differ from run to run by their nature: stored, compared only by the `exact` matcher.
VOLATILE_HEADERS = frozenset(
    "date age cookie idempotency-key x-idempotency-key traceparent tracestate baggage b3 x-b3-traceid x-b3-spanid "
    "x-b3-sampled x-b3-parentspanid x-request-id x-correlation-id request-id x-client-request-id x-amzn-trace-id "
    "x-cloud-trace-context sentry-trace x-datadog-trace-id x-datadog-parent-id x-datadog-sampling-priority "
    "x-amz-date x-amz-security-token x-amz-content-sha256 amz-sdk-invocation-id amz-sdk-request "
    "x-goog-api-client x-goog-request-params if-modified-since "
    "if-none-match mcp-session-id last-event-id".split()
)


def is_asking_header(name: str) -> bool:
    """Return whether the header *name* (lower-case) says what is asked for, and is compared."""
    return name in _COMPARED_HEADERS or name.startswith(_COMPARED_PREFIXES)


def is_connection_header(name: str) -> bool:
    """Return whether the header *name* (lower-case) is the connection's, and is never stored."""
    return name in _CONNECTION_HEADERS


@lru_cache(maxsize=1024)  # clients send the same few names with each request
def is_transport_header(name: str) -> bool:
    """Return whether the header *name* (lower-case) belongs to the client library rather than to the agent."""
    return name in _CONNECTION_HEADERS or name in _LIBRARY_HEADERS or name.startswith(_LIBRARY_PREFIXES)


def stored_headers(headers: Headers, compared: Container[str] = ()) -> Headers:
    """Return those of *headers* that say something of the request, not of the client library, or are *compared*."""
    kept = []
    for header in headers:
        name = header[0].lower()
        is_asking = _says_something(header[1]) if name == "accept" else not is_transport_header(name)
        if is_asking or name in compared:
            kept.append(header)
    return tuple(kept)


@lru_cache(maxsize=256)
def _says_something(accept: str) -> bool:
    kinds = {each.partition(";")[0].strip().lower() for each in accept.split(",")}
    return not kinds <= _ANY_ACCEPT or kinds == {"text/event-stream"}
