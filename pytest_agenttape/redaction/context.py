"""Secrets that only their context reveals: an assignment in text, a parameter of a URL in text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_plus

from pytest_agenttape.redaction import names, shapes
from pytest_agenttape.redaction.names import Rule
from pytest_agenttape.redaction.patterns import Span

_ASSIGNED = re.compile(
    r"(?:key|token|secret|pass(?:w(?:or)?d|phrase|code)?|pwd|credential|authorization)s?(?:[_-]?(?:value|string|text|\d{1,2}))?"
    r"(?:[\"'\\`]{0,4}\s{0,4}(?:=>|:=|[=:>])\s{0,4}[\"'\\`]{0,4}|(?P<attributes>\s{1,16}[\w:-]{1,64}=[^<>]{1,512}>))"
    r"(?:<!\[CDATA\[)?",
    re.IGNORECASE,
)
_ASSIGNED_WORD = re.compile(r"[A-Za-z0-9_-]++")
_ASSIGNED_VALUE = re.compile(r"[^\s\"'<>,;&\\`=(){}\[\]|]{8,256}={0,2}")
_SIGNED_SCOPE = re.compile(r"/[0-9]{8}/[^/]{1,64}/[^/]{1,64}/aws4_request\Z")  # what a key of Amazon's signs for
_QUOTED_VALUE = re.compile(r"[^\s\"'\\`]{8,256}")
_VALUE_REST = re.compile(r"[A-Za-z0-9+/_-]*+={0,2}")
_NAME_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_COOKIES = re.compile(r"(?:\b|-)[Cc]ookie: ([^\r\n\"']{1,4096})")
_COOKIE = re.compile(r"[^\s;=\\]{1,128}=([^\s;\\]{1,4096})")
_PARAMETER = re.compile(r"[?&#]([A-Za-z0-9_.~%\[\]-]{1,64})=([^&\s\"'<>#\\]{1,8192})")


def find_assigned(text: str) -> Iterator[Span]:
    """Yield the values in ``name = value``, ``"name": "value"``, ``<name>value`` where the name is a secret's."""
    match = _ASSIGNED.search(text)
    while match:
        word = _ASSIGNED_WORD.match(text, match.start())
        before = text[max(0, match.start() - 64) : match.start()]
        start = before.rstrip(_NAME_CHARACTERS)
        name = before[len(start) :] + (word[0] if word else "")
        if match["attributes"] and start[-1:] not in ("<", ":"):  # no element of XML
            match = _ASSIGNED.search(text, match.start("attributes"))
            continue
        is_quoted = text[match.end() - 1] in "\"'`"
        value = (_QUOTED_VALUE if is_quoted else _ASSIGNED_VALUE).match(text, match.end())
        end = match.end()
        if value and (signed := _SIGNED_SCOPE.search(value[0])):
            end = value.end()
            if _is_assigned_secret(name.strip("-"), value[0][: signed.start()]):
                yield value.start(), value.start() + signed.start()
        elif value and _is_assigned_secret(name.strip("-"), value[0]):
            end = max(value.end(), _VALUE_REST.match(text, value.end()).end())  # type: ignore[union-attr]  # may be empty
            yield value.start(), end
        match = _ASSIGNED.search(text, end)


def _is_assigned_secret(name: str, value: str) -> bool:
    rule = names.body_rule(name)
    if not rule:
        return False
    if shapes.is_random(value) and sum(map(str.isdigit, value)) >= 3:
        return True
    lowered = name.lower()
    is_password = rule in (Rule.PASSWORD, Rule.PHRASE) or (rule is Rule.SHAPED and "secret" in lowered)
    return is_password and shapes.is_secret_shaped(value) and shapes.is_mixed(value)


def find_cookies(text: str) -> Iterator[Span]:
    """Yield the values in ``Cookie: name=value; name=value``, and in ``Set-Cookie``, that look random."""
    if "ookie: " in text:
        for line in _COOKIES.finditer(text):
            for pair in _COOKIE.finditer(text, *line.span(1)):
                if shapes.is_random(pair[1]):
                    yield pair.span(1)


def find_parameters(text: str) -> Iterator[tuple[Span, bool]]:
    """Yield the secrets in ``?name=value&name=value``, and whether their names are secrets' outside of URLs, too."""
    for match in _PARAMETER.finditer(text):
        rule = names.parameter_rule(match[1])
        if not rule:
            continue
        value = unquote_plus(match[2])
        if shapes.is_machine_made(value) or (
            rule is Rule.ALWAYS and shapes.is_secret_shaped(value) and not shapes.is_filler(value)
        ):
            yield match.span(2), bool(names.body_rule(unquote_plus(match[1])))
