"""Credentials as headers spell them: a scheme and its secret, cookies."""

from __future__ import annotations

import base64
import binascii
import re

from pytest_agenttape.redaction import shapes
from pytest_agenttape.redaction.known import is_worth_knowing
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import COOKIE_OF_NETWORK

_SCHEMES = frozenset(
    "bearer basic token apikey api-key key digest negotiate ntlm bot oauth dpop ssws genie-key genie googlelogin hmac"
    " service jwt".split()
)
_SIGNED = re.compile(r"\b(Credential|Signature)=([^/,\s]+)")
_JOINED = re.compile(r"(, ?)(?=[^\s;,=]{1,128}=)")  # what a library puts between two values of one header
_COOKIE_ATTRIBUTES = frozenset(("path", "domain", "expires", "max-age", "samesite", "priority"))


def split_scheme(text: str) -> tuple[str, str]:
    """Return a known scheme and what follows it, such as ``("Bearer", "...")``; empty if there is no scheme."""
    scheme, space, rest = text.strip().partition(" ")
    return (scheme, rest) if space and scheme.lower() in _SCHEMES else ("", text)


def redact_credential(value: str, memory: Memory) -> str:
    """Return the value of an auth-like header with the scheme kept, and learn what was in it."""
    scheme, space, rest = value.strip().partition(" ")
    if scheme.startswith("AWS4-"):
        return _SIGNED.sub(lambda match: f"{match[1]}={memory.replaced(match[2])}", value)
    if not space:
        return value if scheme.lower() in _SCHEMES else memory.learned(value)
    if scheme.lower() not in _SCHEMES:
        return memory.learned(value)
    if scheme.lower() == "basic":
        _learn_basic(rest.strip(), memory)
    return f"{scheme} {memory.learned(rest)}"


def redact_cookies(value: str, memory: Memory) -> str:
    """Return the value of a Cookie header with the names kept."""
    return "; ".join(_cookie(each.strip(), memory) for each in value.split(";"))


def redact_set_cookie(value: str, memory: Memory) -> str:
    """Return the value of a Set-Cookie header, or of several joined, with the names and the attributes kept."""
    return "".join(_set_cookie(each, memory) for each in _JOINED.split(value))


def redact_any_cookies(value: str, memory: Memory) -> str:
    """Return the value of a Cookie or a Set-Cookie header, if it is unknown which of them it is."""
    return "; ".join(
        "".join(_cookie_or_attribute(part, memory) for part in _JOINED.split(each.strip())) for each in value.split(";")
    )


def _learn_basic(credential: str, memory: Memory) -> None:
    try:
        decoded = base64.b64decode(credential + "=" * (-len(credential) % 4)).decode("utf-8")
    except (binascii.Error, ValueError):
        return
    password = decoded.partition(":")[2]
    memory.placeholders.hide(credential, decoded, password)
    for secret in (decoded, password):
        if is_worth_knowing(secret):
            memory.learn(secret)


def _set_cookie(value: str, memory: Memory) -> str:
    pair, mark, attributes = value.partition(";")
    return _cookie(pair, memory) + mark + attributes


def _cookie(pair: str, memory: Memory) -> str:
    name, equals, value = pair.partition("=")
    if not equals and shapes.is_random(pair):  # a cookie may have no name
        return memory.learned(pair)
    if not equals or not value.strip('" '):
        return pair
    if COOKIE_OF_NETWORK.match(pair):
        memory.placeholders.liken(value, name)
    return f"{name}={memory.learned(value) if memory.has_room else memory.replaced(value)}"


def _cookie_or_attribute(pair: str, memory: Memory) -> str:
    return pair if pair.partition("=")[0].lower() in _COOKIE_ATTRIBUTES else _cookie(pair, memory)
