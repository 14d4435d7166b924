"""The types of plain scalars, as PyYAML's safe loader knows them, without its timestamps."""

from __future__ import annotations

import re

from pytest_agenttape.model import JSON

STARTS = frozenset("-+.0123456789~nNtTfFyYoO")
_WORDS: dict[str, bool | None] = {
    spelling: value
    for word, value in {
        "null": None,
        "yes": True,
        "no": False,
        "true": True,
        "false": False,
        "on": True,
        "off": False,
    }.items()
    for spelling in (word, word.title(), word.upper())
} | {"": None, "~": None}
_INT = re.compile(
    r"[-+]?(?:0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(?P<sixties>(?::[0-5]?[0-9])+))"
)
_FLOAT = re.compile(
    r"[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?P<sixties>(?::[0-5]?[0-9])+)\.[0-9_]*"
    r"|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)


def typed(value: str) -> JSON:
    """Return the value of the plain scalar *value*: that of a known word, a number, else *value* itself.

    Raises:
        ValueError: It is a number that cannot be read.
        OverflowError: As above.
    """
    if value in _WORDS:
        return _WORDS[value]
    return value if value[0] > "9" else _number(value)  # a letter, but not a known word


def _number(value: str) -> JSON:
    """Return the number that *value* spells, else *value*."""
    if found := _INT.fullmatch(value):
        digits = value.replace("_", "")
        if found["sixties"]:
            return _sexagesimal(digits, int)
        return int(digits, _base(digits.lstrip("+-")))
    if found := _FLOAT.fullmatch(value):
        digits = value.replace("_", "").lower()
        if found["sixties"]:
            return _sexagesimal(digits, float)
        return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    return value


def _base(digits: str) -> int:
    if digits.startswith("0b"):
        return 2
    if digits.startswith("0x"):
        return 16
    return 8 if digits[:1] == "0" else 10


def _sexagesimal(digits: str, number: type[int] | type[float]) -> float:
    parts = digits.lstrip("+-").split(":")
    if len(parts) > 100:
        raise ValueError("too many parts")
    total = number(0)
    for power, part in enumerate(reversed(parts)):
        total += number(part) * 60**power
    return -total if digits[0] == "-" else total
