"""Who else holds a function that a boundary is about to wrap: a decorator below it that has registered it as it is."""

from __future__ import annotations

import functools
import gc
import sys
from collections import deque
from collections.abc import Callable
from types import FrameType, FunctionType, GeneratorType, ModuleType
from typing import Any

_CACHE = type(functools.cache(len))
_MOST = 500  # objects that are looked at for those that a function holds itself


def keeper_of(function: Callable[..., Any], *, is_passed_on: bool) -> str | None:
    """Return what keeps the plain *function*, in words; None if nothing does, or if it is no decorator's doing.

    Args:
        function: What is about to be wrapped. Under a name of its own it may be kept: `tool(look_up)`.
        is_passed_on: Whether the decorator was made by a call, as in ``@tool(name="look_up")``.
    """
    is_new = _references(function) <= (_OF_A_NEW_ONE_PASSED_ON if is_passed_on else _OF_A_NEW_ONE)
    is_wrapper = hasattr(function, "__wrapped__")
    if (is_new and not is_wrapper) or not _is_decorating(function):
        return None
    own = _held_by(function)
    if not is_new and (holder := _holder_of(function, own)) is not None:
        return _shown(holder)
    if is_wrapper and len(own) < _MOST:
        below = _unwrapped(function)
        if _others(below, own) > _OF_A_WRAPPED_ONE and (holder := _holder_of(below, own)) is not None:
            return _shown(holder)
    return None


def _holder_of(held: object, own: dict[int, object]) -> object | None:
    """Return what keeps *held* beside *own* objects."""
    holder: object
    holders = gc.get_referrers(held)
    own = own | {id(own): own, id(holders): holders}
    for holder in holders:  # no expression with a scope of its own, which would keep it as well
        if id(holder) not in own and holder is not own and _keeps(holder, held, own):
            return holder
    return None


def _others(function: object, own: dict[int, object]) -> int:
    """Return how many references there are to *function* beside those of *own* objects."""
    count = _references(function)
    for holder in own.values():
        for each in gc.get_referents(holder):
            count -= each is function
    return count


def _keeps(holder: object, held: object, own: dict[int, object]) -> bool:
    """Return whether *holder* is more than the running code, a call's arguments, or a cache with functions for keys."""
    if isinstance(holder, dict):
        return id(held) in map(id, holder.values())
    if isinstance(holder, tuple):  # nothing but the running code holds arguments
        return _holder_of(holder, own | {id(own): own}) is not None
    if isinstance(holder, _CACHE):  # whose keys are tuples
        return not isinstance(held, tuple)
    return not isinstance(holder, FrameType | GeneratorType)


def _is_decorating(function: Callable[..., Any]) -> bool:
    """Return whether the running code is at one of the decorators of *function*."""
    code = getattr(_unwrapped(function), "__code__", None)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
    if frame is None or code is None or frame.f_code.co_filename != code.co_filename:
        return False
    lines = [line for _, _, line in code.co_lines() if line is not None and line > code.co_firstlineno]
    return bool(code.co_firstlineno <= frame.f_lineno < min(lines, default=code.co_firstlineno + 1))


def _references(function: object) -> int:
    return sys.getrefcount(function)


# How many references there are to a function that is new, where `keeper_of` counts them: as many as there are to one
# that goes through functions like those that call it.
def _in_keeper(function: Callable[..., Any], *, is_passed_on: bool) -> int:  # noqa: ARG001  # as there
    return _references(function)


def _in_decorator(function: Callable[..., Any], *, name: str | None = None) -> int:
    return _in_keeper(function, is_passed_on=name is not None)


_OF_A_NEW_ONE = _in_decorator(lambda: None)
_OF_A_NEW_ONE_PASSED_ON = (lambda function: _in_decorator(function, name=""))(lambda: None)


def _held_by(function: object) -> dict[int, object]:
    """Return by id what *function* holds itself, such as a wrapper that is an attribute of it, or one that it wraps."""
    found = {id(function): function}
    left = deque(gc.get_referents(function))
    shared = getattr(_unwrapped(function), "__globals__", None)
    while left and len(found) < _MOST:
        each = left.popleft()
        if id(each) in found or each is shared or isinstance(each, type | ModuleType):
            continue
        found[id(each)] = each
        if not (isinstance(each, dict) and "__builtins__" in each):  # the globals of another module
            left.extend(gc.get_referents(each))
    return found


def _unwrapped(function: object) -> object:
    """Return what *function* wraps, as `inspect.unwrap` does, which production code need not load."""
    seen = set()
    while hasattr(function, "__wrapped__") and id(function) not in seen:
        seen.add(id(function))
        function = function.__wrapped__
    return function


def _shown(holder: object) -> str:
    kind = type(holder)
    if kind is FunctionType or kind.__name__ == "cell":
        return "a function"
    return f"a {kind.__qualname__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"


def _of_a_wrapped_one() -> int:
    """Return how many others hold a new function that is wrapped: where they are counted above, the running code."""

    def wrapped() -> Callable[..., Any]:
        def function() -> None:
            """Do nothing."""

        def run() -> None:
            function()

        run.__wrapped__ = function  # type: ignore[attr-defined]  # as functools.wraps does
        return run

    wrapper = wrapped()
    own, below = _held_by(wrapper), _unwrapped(wrapper)
    return _others(below, own)


_OF_A_WRAPPED_ONE = _of_a_wrapped_one()
