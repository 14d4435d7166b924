"""The user's own patterns, run in a way that none can hang a test.

Python's matcher cannot be interrupted, so three outside measures bound it. A pattern whose worst case
grows too fast is refused when the rules are read. The others run on windows of a text, so their cost grows only with
its length. Between windows the time is checked: a pattern that took too long ends in an error.

The worst case is estimated from the parse tree of the pattern, which only the private `re._parser` and `re._constants`
provide. They were seen in Python 3.11 to 3.14; if they are missing, patterns are refused because nothing bounds them.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_agenttape import clocks
from pytest_agenttape.errors import ConfigError

try:
    from re import _constants as sre  # type: ignore[attr-defined]  # private
    from re import _parser as parser  # type: ignore[attr-defined]  # private
except ImportError:
    parser = None

_SEEN_IN = "3.11 to 3.14"
LONGEST_MATCH = 1_000
_WINDOW = 2 * LONGEST_MATCH
_BUDGET_SECONDS = 5.0
_WORST_STEPS = 10_000  # per starting position, by the estimate below


@dataclass(frozen=True, slots=True)
class BoundedPattern:
    """A user's pattern; a match longer than `LONGEST_MATCH` characters may be missed in a long text."""

    source: str
    compiled: re.Pattern[str]
    literal: str = ""  # what every match contains

    def is_all_of(self, text: str) -> bool:
        """Return whether *text*, which is short, is one match."""
        return len(text) <= LONGEST_MATCH and self.compiled.fullmatch(text) is not None

    def find(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield the spans of the non-empty matches.

        Raises:
            ConfigError: The pattern took too long on this text.
        """
        if self.literal not in text:
            return
        if len(text) <= _WINDOW:
            yield from _spans(self.compiled, text, 0)
            return
        end_of_time = clocks.perf_counter() + _BUDGET_SECONDS
        for start in range(0, len(text), LONGEST_MATCH):
            yield from _spans(self.compiled, text[start : start + _WINDOW], start)
            if clocks.perf_counter() > end_of_time:
                raise ConfigError(
                    f"redact.regexes: {self.source!r} took more than {_BUDGET_SECONDS:.0f} s on a text of {len(text):,}"
                    " characters; begin it with a literal and bound its repeats, as in [a-z]{1,64}"
                )


@lru_cache(maxsize=256)
def bounded(source: str, setting: str = "redact.regexes") -> BoundedPattern:
    """Return the pattern *source* of *setting*, ready to run.

    Raises:
        ConfigError: It is invalid, matches the empty text or nothing else, cannot be checked, or can take too long.
    """
    if not isinstance(source, str):
        raise ConfigError(f"{setting}: {source!r} is not a string")
    if missing := missing_names():
        raise ConfigError(
            f"{setting}: {source!r} could hang a test and cannot be checked: Python {platform.python_version()}"
            f" does not have {', '.join(missing)}, which {_SEEN_IN} have; remove the pattern, or use one of those"
        )
    try:
        compiled = re.compile(source)
        tree = parser.parse(source)
    except (re.error, OverflowError, RecursionError) as error:
        raise ConfigError(f"{setting}: {source!r} is not a valid regular expression: {error}") from error
    if compiled.search("") is not None:
        raise ConfigError(f"{setting}: {source!r} matches the empty text, so it would match everywhere")
    if tree.getwidth()[1] == 0:
        raise ConfigError(f"{setting}: {source!r} only looks around and matches no character, so it redacts nothing")
    if _steps(tree, is_last=True) > _WORST_STEPS:
        raise ConfigError(
            f"{setting}: {source!r} can take very long on some texts, because a repeat in it can match the same"
            " text in many ways; bound it ([a-z]{1,64}), or make it possessive ([a-z]++) or atomic ((?>...))"
        )
    return BoundedPattern(source, compiled, _literal(tree, compiled.flags))


def missing_names() -> list[str]:
    """Return the private names for checking patterns that this Python lacks."""
    if parser is None:
        return ["re._parser and re._constants"]
    return [f"re._constants.{name}" for name in _OPERATIONS if not hasattr(sre, name)]


def _spans(pattern: re.Pattern[str], text: str, offset: int) -> Iterator[tuple[int, int]]:
    return (
        (offset + match.start(), offset + match.end())
        for match in pattern.finditer(text)
        if match.end() > match.start()
    )


def _literal(nodes: Any, flags: int) -> str:
    """Return the longest text that every match contains, as far as the outermost level of the pattern says."""
    if flags & re.IGNORECASE:
        return ""
    characters = (chr(what) if kind is sre.LITERAL else "\0" for kind, what in nodes)
    return max("".join(characters).split("\0"), key=len)


# Any: the nodes of the parse tree are untyped tuples.
def _steps(nodes: Any, *, is_last: bool) -> float:
    """Return an upper estimate of the ways in which *nodes* can be tried from one position."""
    total = 1.0
    listed = list(nodes)
    for at, (operation, argument) in enumerate(listed):
        following = listed[at + 1] if at + 1 < len(listed) else None
        total *= _steps_of(operation, argument, following, is_last=is_last and following is None)
        if total > _WORST_STEPS:
            break
    return total


def _steps_of(operation: Any, argument: Any, following: Any, *, is_last: bool) -> float:
    if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT):
        low, high, body = argument
        return _steps_of_repeat(int(low), int(high), body, following, is_last=is_last)
    if operation is sre.SUBPATTERN:
        return _steps(argument[3], is_last=is_last)
    if operation is sre.BRANCH:
        return _steps_of_branch(argument[1], is_last=is_last)
    if operation in (sre.ASSERT, sre.ASSERT_NOT):
        return _steps(argument[1], is_last=True)
    if operation is sre.ATOMIC_GROUP:
        return _steps(argument, is_last=True)
    if operation is sre.POSSESSIVE_REPEAT:
        return _steps(argument[2], is_last=True)
    if operation is sre.GROUPREF_EXISTS:
        return sum(_steps(each, is_last=is_last) for each in argument[1:] if each)
    return 1.0


def _steps_of_repeat(low: int, high: int, body: Any, following: Any, *, is_last: bool) -> float:
    inner = _steps(body, is_last=False)
    most = min(high, _WINDOW)
    if inner > 1:
        return float(inner ** min(most, 64))
    if low == high or is_last or _ends_clearly(body, following):
        return 1.0
    return float(most - min(low, most) + 1)


def _steps_of_branch(branches: Any, *, is_last: bool) -> float:
    costs = [_steps(each, is_last=is_last) for each in branches]
    firsts = [each[0] if len(each) else None for each in branches]
    literals = [first[1] for first in firsts if first is not None and first[0] is sre.LITERAL]
    if len(set(literals)) == len(branches):
        return max(costs)
    return sum(costs)


def _ends_clearly(body: Any, following: Any) -> bool:
    """Return whether a repeated single character has a certain end: a literal follows that it never takes."""
    if len(body) != 1 or following is None:
        return False
    operation, argument = following
    if operation is not sre.LITERAL:
        return False
    (kind, taken) = body[0]
    if kind is sre.LITERAL:
        return bool(taken != argument)
    if kind is sre.NOT_LITERAL:
        return bool(taken == argument)
    return kind is sre.IN and not _takes(taken, chr(argument))


def _takes(items: Any, character: str) -> bool:
    is_negated = items[0][0] is sre.NEGATE
    return any(_item_takes(kind, what, character) for kind, what in items if kind is not sre.NEGATE) != is_negated


def _item_takes(kind: Any, argument: Any, character: str) -> bool:
    if kind is sre.LITERAL:
        return bool(chr(argument) == character)
    if kind is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    expression = _CATEGORIES.get(str(argument))
    return expression is None or re.match(expression, character) is not None


_OPERATIONS = (
    "ASSERT", "ASSERT_NOT", "ATOMIC_GROUP", "BRANCH", "GROUPREF_EXISTS", "IN", "LITERAL", "MAX_REPEAT", "MIN_REPEAT",
    "NEGATE", "NOT_LITERAL", "POSSESSIVE_REPEAT", "RANGE", "SUBPATTERN",
)  # fmt: skip
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}
