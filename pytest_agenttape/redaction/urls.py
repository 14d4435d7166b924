"""URLs: their userinfo, path, query and fragment, each with its own escapes."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote_plus

from pytest_agenttape.redaction import names, shapes
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.names import Rule
from pytest_agenttape.redaction.tree import is_secret, redact_text

_MOST_REMEMBERED = 1_024
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,24}://)([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.DOTALL)
_AMZ_CREDENTIAL = re.compile(r"((?:AKIA|ASIA)[A-Z0-9]{16}|[^/]{8,128}\.iam\.gserviceaccount\.com)/\d{8}/.*")
_GRANT_MARKS = frozenset(("state", "grant_type", "redirect_uri", "client_id"))


def is_url(text: str) -> bool:
    """Return whether *text* is a whole URL."""
    return _URL.fullmatch(text) is not None


def redact_url(url: str, memory: Memory) -> str:
    """Return *url* without its password, the secrets in its query, and those known by look or value."""
    redacted = memory.urls.get(url)
    if redacted is None:
        known = len(memory.known)
        redacted = _redact_parts(url, memory)
        if len(memory.urls) < _MOST_REMEMBERED and known == len(memory.known):
            memory.urls[url] = redacted
    return redacted


def redact_query(query: str, memory: Memory, certain: frozenset[str] = frozenset()) -> str:
    """Return a query without its secrets; a parameter of a *certain* name is one whatever it looks like."""
    pairs = [pair.partition("=") for pair in query.split("&")]
    certain = certain | certain_of_names({name for name, _, _ in pairs})
    return "&".join(_parameter(name, equals, value, certain, memory) for name, equals, value in pairs)


def certain_of_names(given: set[str]) -> frozenset[str]:
    """Return the parameters that are credentials because of what is sent with them: the code of an OAuth grant."""
    return frozenset(("code",)) if "code" in given and not given.isdisjoint(_GRANT_MARKS) else frozenset()


def _certain_of_address(authority: str, path: str) -> frozenset[str]:
    """Return the parameters that are credentials because of where they are sent: the key of a Google API."""
    is_google = authority.endswith(".googleapis.com") or ":" in path.rpartition("/")[2]
    return frozenset(("key",)) if is_google else frozenset()


def _redact_parts(url: str, memory: Memory) -> str:
    match = _URL.fullmatch(url)
    if match is None:
        return redact_text(url, memory)
    scheme, authority, path, query, fragment = match.groups("")
    redacted = scheme + _authority(authority, memory) + _part(path, memory)
    if query:
        redacted += query[:1] + redact_query(query[1:], memory, _certain_of_address(authority, path))
    if "=" in fragment:
        redacted += fragment[:1] + redact_query(fragment[1:], memory)
    else:
        redacted += _part(fragment, memory)
    return url if redacted == url else redacted


def _authority(authority: str, memory: Memory) -> str:
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return _part(authority, memory)
    user, colon, password = userinfo.partition(":")
    user = _replaced(user, memory, memory.named) if shapes.is_random(user) else _part(user, memory)
    memory.placeholders.hide(unquote_plus(password))
    return user + colon + (_replaced(password, memory, memory.named) if password else "") + at + host


def _parameter(name: str, equals: str, value: str, certain: frozenset[str], memory: Memory) -> str:
    is_quoted = "%" in name or "+" in name or "%" in value or "+" in value
    plain_name, plain = (unquote_plus(name), unquote_plus(value)) if is_quoted else (name, value)
    name = _part(name, memory)
    if not value:
        return name + equals
    rule = Rule.ALWAYS if plain_name in certain else memory.rule_of(plain_name, names.parameter_rule)
    if rule and is_secret(plain, rule, memory):
        is_known = names.body_rule(plain_name) is not Rule.NONE  # not only in URLs, as ``key`` and ``code`` are
        return name + equals + _replaced(value, memory, memory.named if is_known else memory.replaced)
    return name + equals + _part(value, memory)


def _replaced(value: str, memory: Memory, replaced: Callable[[str], str]) -> str:
    plain = unquote_plus(value)
    if scoped := _AMZ_CREDENTIAL.fullmatch(plain):
        return value.replace(scoped[1], memory.replaced(scoped[1]))
    redacted = replaced(plain)
    return value if redacted is plain else quote(redacted, safe="*")


def _part(text: str, memory: Memory) -> str:
    """Return a part of a URL without secrets that are plain in it or appear once it is decoded."""
    redacted = redact_text(text, memory)
    if redacted != text or not ("%" in text or "+" in text):
        return redacted
    plain = unquote_plus(text)
    redacted = redact_text(plain, memory)
    return text if redacted == plain else quote(redacted, safe="*/:")
