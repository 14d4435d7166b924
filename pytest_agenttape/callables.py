"""The nature of a callable: plain function, coroutine function, generator function or async generator function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import Enum, auto
from typing import Any


class Nature(Enum):
    """What calling a function returns."""

    PLAIN = auto()
    COROUTINE = auto()
    GENERATOR = auto()
    ASYNC_GENERATOR = auto()


def nature_of(function: Callable[..., Any]) -> Nature:
    """Return the nature of a function, a method, a partial, or an object that can be called."""
    body = body_of(function)
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
    if inspect.isroutine(function) or isinstance(function, type):
        return function
    return getattr(function, "__call__", function)  # noqa: B004  # the method is wanted
