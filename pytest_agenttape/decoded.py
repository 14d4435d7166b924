"""What stands at a place of a decoded file, which anyone may have edited."""

from __future__ import annotations

from typing import Any, TypeVar

from pytest_agenttape.errors import CassetteCorruptError

_T = TypeVar("_T")


def copied(node: Any) -> Any:  # a decoded JSON value, as everywhere here: the user decides its shape
    """Return a copy of a decoded value; a fraction of what `copy.deepcopy` costs."""
    if isinstance(node, dict):
        return {key: copied(each) if isinstance(each, dict | list) else each for key, each in node.items()}
    if isinstance(node, list):
        return [copied(each) if isinstance(each, dict | list) else each for each in node]
    return node


def optional(value: Any, *types: type[_T]) -> _T | None:
    """Return *value* if it is an instance of *types*, else None; a bool never counts."""
    return value if isinstance(value, types) and not isinstance(value, bool) else None


def mappings(value: Any) -> tuple[dict[str, Any], ...]:
    """Return the mappings of a list; of anything else, none."""
    return tuple(each for each in value if isinstance(each, dict)) if isinstance(value, list) else ()


def optional_number(value: Any, what: str) -> float | None:
    """Return *value* if it is a duration, None if it is None.

    Raises:
        CassetteCorruptError: It is something else; the message begins with *what*.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CassetteCorruptError(f"{what} must be a number, found {value!r}")
    if not abs(value) < 1e15:  # written so that NaN fails too
        raise CassetteCorruptError(f"{what} must be a duration, found a number out of range")
    return value
