"""Searches text as it is: known values, the formats of credentials, assignments. JSON within it is left to `tree`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

from pytest_agenttape.redaction import commands, context, patterns
from pytest_agenttape.redaction.known import NUL, has_token
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.patterns import Span

_QUOTED = re.compile(r"(?:[A-Za-z0-9_.~+*/-]|%[0-9A-Fa-f]{2})++")
_QUOTED_MARKS = ("%3A%2F%2F", "%3a%2f%2f", "%3A//", "%3a//", "-----BEGIN%20", "-----BEGIN+")
_PASSWORD_MARKS = tuple("assw ASSW assphrase ASSPHRASE asscode ASSCODE _pass _PASS pwd Pwd PWD ecret ECRET".split())
_PASSWORD_IN_URL, _AUTHORIZATION = "password-in-url", "authorization"
_NAMED = (_PASSWORD_IN_URL, _AUTHORIZATION)  # what is no secret by its look: it may stand elsewhere without its name
_SCHEME_MARKS = ("asic ", "earer ", "ASIC ", "EARER ")


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a scan found a secret in finished text, and what kind of thing it is; never the secret itself.

    Attributes:
        kind: ``known-value``, or the name of the format or rule that it matches.
        line: Its line, from 1.
    """

    kind: str
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: {self.kind}"


def scan(text: str, memory: Memory) -> list[Finding]:
    """Return where *text* still holds a known secret in any form or a known format."""
    found = {text.find(needle.text): "known-value" for needle in memory.known.in_text(text)}
    for kind, (start, end) in _hard_spans(text, memory):
        if not memory.stays(text[start:end]):
            found.setdefault(start, kind)
    return list(_with_lines(text, sorted(found.items())))


def redact_flat(text: str, memory: Memory) -> str:
    """Return *text* without the secrets that are plain in it or in a URL-encoded part of it."""
    redacted = _redact_plain(text, memory)
    if "%" not in redacted or not any(mark in redacted for mark in _QUOTED_MARKS):
        return redacted
    requoted = _QUOTED.sub(lambda match: _requoted(match[0], memory), redacted)
    return redacted if requoted == redacted else requoted


def is_unmarked(text: str, memory: Memory) -> bool:
    """Return whether *text* has none of the signs that come with every secret that is plain in it."""
    if has_token(text) or memory.patterns:
        return False
    # A single character is looked for some fifty times as fast as a longer text.
    if ("@" in text or "=" in text) and "://" in text:
        return False
    if NUL in text or ("%" in text and "%40" in text):
        return False
    for mark in _SCHEME_MARKS:  # a generator costs more
        if mark in text:
            return False
    if memory.redacts_emails and "@" in text:
        return False
    if (":" in text or "=" in text or ">" in text) and any(mark in text for mark in _PASSWORD_MARKS):
        return False
    if "-" in text and commands.is_marked(text):
        return False
    unrun = memory.known.unrun
    return not unrun or not any(form in text for form in unrun)


def _requoted(quoted: str, memory: Memory) -> str:
    plain = unquote_plus(quoted)
    redacted = _redact_plain(plain, memory)
    return quoted if redacted is plain else quote(redacted, safe="*/" if "/" in quoted else "*")


def _redact_plain(text: str, memory: Memory) -> str:
    placeholders = memory.placeholders
    redacted = memory.known.replace(text, placeholders.stand_in)
    hard = list(_hard_spans(redacted, memory))
    placeholders.hide(*(unquote(redacted[start:end]) for kind, (start, end) in hard if kind == _PASSWORD_IN_URL))
    found = [(span, kind in _NAMED) for kind, span in hard]
    found += [(span, True) for span in (*context.find_assigned(redacted), *commands.find_options(redacted))]
    found += [(span, False) for span in context.find_cookies(redacted)]
    if "=" in redacted:
        found += context.find_parameters(redacted)
    named = {start for (start, _), is_named in found if is_named}
    out, at = [], 0
    for start, end in sorted((span for span, _ in found), key=lambda span: (span[0], -span[1])):
        secret = redacted[start:end]
        if start < at or memory.stays(secret):
            continue
        out += [redacted[at:start], memory.named(unquote(secret)) if start in named else placeholders.stand_in(secret)]
        at = end
    redacted = "".join((*out, redacted[at:])) if out else redacted
    return text if redacted == text else redacted


def _hard_spans(text: str, memory: Memory) -> Iterator[tuple[str, Span]]:
    """Yield the secrets that are recognised by their look alone, whatever is around them."""
    yield from patterns.find_formats(text)
    if "://" in text:
        yield from ((_PASSWORD_IN_URL, span) for span in patterns.find_userinfo(text))
    yield from ((_AUTHORIZATION, span) for span in patterns.find_authorization(text))
    if memory.redacts_emails:
        yield from (("email", span) for span in patterns.find_emails(text))
    for pattern in memory.patterns:
        yield from ((pattern.source, span) for span in pattern.find(text))


def _with_lines(text: str, found: Iterable[tuple[int, str]]) -> Iterator[Finding]:
    line, counted = 1, 0
    for at, kind in found:
        line += text.count("\n", counted, at)
        counted = at
        yield Finding(kind, line)
