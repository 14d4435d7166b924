"""Credentials on a command line in text: options that say what they are, and those of well-known programs.

What follows a program's name is searched up to the end of its command; no two stretches overlap, and each expression is
bounded, so a search takes time proportional to the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_agenttape.redaction import names, shapes
from pytest_agenttape.redaction.names import HeaderRule
from pytest_agenttape.redaction.patterns import EXAMPLES, Span

# A quote may be escaped, as in JSON.
_OPEN = r"(?:\\{0,3}[\"'])?"
_WORD = r"(?P<secret>[^\s\"'`\\;|&<>(){}\[\]]{1,4096})"
_NAMED = re.compile(rf"--(?P<name>[A-Za-z][A-Za-z0-9_-]{{1,63}}+)(?:=|\s{{1,4}}+){_OPEN}(?!-){_WORD}")
_USER = rf"{_OPEN}[^\s:\"'\\]{{0,128}}+:{_WORD}"
_HEADER = re.compile(
    r"(?<![^\s\"'])(?:-H|--header)[\s=]{0,4}+\\{0,3}[\"'](?P<name>[A-Za-z][A-Za-z0-9-]{1,63}+):\s{0,4}+"
    r"(?:[A-Za-z]{1,16}+\s{1,4}+)?(?P<secret>[^\s\"'\\]{1,4096})(?=\\{0,3}[\"'])"
)
_START = r"(?<![^\s\"'])"
# Programs whose short options mean a credential: what follows the name, and the expression for it.
_OPTIONS: dict[str, re.Pattern[str]] = {
    "curl": re.compile(rf"{_START}(?:-[A-Za-z]{{0,8}}[uU]|--(?:proxy-)?user(?=[\s=]))[\s=]{{0,4}}+{_USER}"),
    "http": re.compile(rf"{_START}(?:-a|--auth)[\s=]{{1,4}}+{_USER}"),
    "https": re.compile(rf"{_START}(?:-a|--auth)[\s=]{{1,4}}+{_USER}"),
    **dict.fromkeys(("mysql", "mysqldump", "mysqladmin"), re.compile(rf"{_START}-p{_OPEN}(?!-){_WORD}")),
    "sshpass": re.compile(rf"{_START}-p[\s=]{{0,4}}+{_OPEN}{_WORD}"),
    "redis-cli": re.compile(rf"{_START}-a[\s=]{{1,4}}+{_OPEN}{_WORD}"),
    "docker login": re.compile(rf"{_START}-p[\s=]{{0,4}}+{_OPEN}{_WORD}"),
}
_MARKS = tuple(f"{name} " for name in _OPTIONS)
_NAMED_MARK = re.compile(r"--[A-Za-z]")
_OPTION_MARK = re.compile(r"-(?<![^\s\"']-)")  # a hyphen after `_START`, written so that it is looked for first
_PROGRAM = re.compile(rf"(?<![\w.-])({'|'.join(sorted(map(re.escape, _OPTIONS), key=len, reverse=True))})(?=\s)")
_END = re.compile(r"(?<!\\)(?:\n|\\n)|[;|]|&&")
_LONGEST = 8192  # characters of a command


def is_marked(text: str) -> bool:
    """Return whether *text* has a sign of what `find_options` looks for."""
    if _OPTION_MARK.search(text) is not None:
        for mark in _MARKS:  # a generator costs more
            if mark in text:
                return True
    return "--" in text and _NAMED_MARK.search(text) is not None


def find_options(text: str) -> Iterator[Span]:
    """Yield the values of ``--token VALUE``, ``curl -u user:VALUE``, ``curl -H "Authorization: VALUE"`` and alike."""
    if "--" in text:
        for match in _NAMED.finditer(text):
            if (
                names.body_rule(match["name"])
                and _is_given(match["secret"])
                and shapes.is_secret_shaped(match["secret"])
            ):
                yield match.span("secret")
    if any(mark in text for mark in _MARKS):
        yield from _find_of_programs(text)


def _find_of_programs(text: str) -> Iterator[Span]:
    programs = list(_PROGRAM.finditer(text))
    for place, program in enumerate(programs, 1):
        limit = min(program.end() + _LONGEST, *(each.start() for each in programs[place : place + 1]), len(text))
        end = _END.search(text, program.end(), limit)
        limit = end.start() if end else limit
        for match in _OPTIONS[program[1]].finditer(text, program.end(), limit):
            if _is_given(match["secret"]):
                yield match.span("secret")
        if program[1] == "curl":
            yield from _find_headers(text, program.end(), limit)


def _find_headers(text: str, start: int, limit: int) -> Iterator[Span]:
    for match in _HEADER.finditer(text, start, limit):
        is_credential = names.header_rule(match["name"].lower()) is HeaderRule.CREDENTIAL
        if is_credential and _is_given(match["secret"]) and shapes.is_secret_shaped(match["secret"]):
            yield match.span("secret")


def _is_given(value: str) -> bool:
    """Return whether *value* is one, and neither a variable nor what an example has in its place."""
    if value.startswith(("$", "%")) or value.lower() in EXAMPLES:
        return False
    return not shapes.is_filler(value) and not shapes.is_path(value)
