"""The nature of a callable: plain function, coroutine function, generator function or async generator function.

Production code imports this module, so it does without `inspect` for functions written in Python.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from enum import Enum, auto
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200  # flags of code, as in `inspect`


class Nature(Enum):
    """What calling a function returns."""

    PLAIN = auto()
    COROUTINE = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


def nature_of(function: Callable[..., Any]) -> Nature:
    """Return the nature of a function, a method, a partial, or an object that can be called."""
    body = body_of(function)
    if type(body) is FunctionType and body is function and not vars(body):
        return _nature_of_code(body.__code__.co_flags)
    import inspect

    if inspect.isasyncgenfunction(body):
        return Nature.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(body):
        return Nature.GENERATOR
    if inspect.iscoroutinefunction(body) or inspect.iscoroutinefunction(function):
        return Nature.COROUTINE
    return Nature.PLAIN


def body_of(function: Callable[..., Any]) -> Any:
    """Return the callable that holds the code of *function*: itself, or the method that makes an object callable."""
    while isinstance(function, functools.partial):
        function = function.func
    if is_routine(function) or isinstance(function, type):
        return function
    return getattr(function, "__call__", function)  # noqa: B004  # the method is wanted


def is_routine(function: object) -> bool:
    """Return whether *function* is a function or a method, and no other object that can be called."""
    if isinstance(function, FunctionType | MethodType | BuiltinFunctionType):
        return True
    import inspect

    return inspect.isroutine(function)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a callable; of a partial, that of its function."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _nature_of_code(flags: int) -> Nature:
    if flags & _ASYNC_GENERATOR:
        return Nature.ASYNC_GENERATOR
    if flags & _COROUTINE:
        return Nature.COROUTINE
    return Nature.GENERATOR if flags & _GENERATOR else Nature.PLAIN
