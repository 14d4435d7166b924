"""Boundaries drawn from outside: functions that the configuration names, so that their code need not change.

A named function gets other code, which asks the session first and then runs the old code. So every reference to it is
a boundary, wherever it was bound before: in another module, a list of tools, a framework's registry.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import singledispatchmethod
from inspect import signature
from types import FunctionType, ModuleType
from typing import Any

from pytest_agenttape.boundaries.decorators import intercept
from pytest_agenttape.boundaries.gates import code_calling
from pytest_agenttape.errors import ConfigError

KINDS = {"tools": "tool", "retrieval": "retrieval", "memory_read": "memory_read", "memory_write": "memory_write"}

_modules: dict[tuple[str, str], ModuleType] = {}  # in which the named functions were found
_taken: set[FunctionType] = set()  # for as long as the process lives: references to them are everywhere


def take(named: Mapping[str, Iterable[str]]) -> None:
    """Make boundaries of the functions that *named* holds as import paths, by the key of the configuration.

    Raises:
        ConfigError: A path names no function, its module cannot be imported, or it names what has no code of its own.
    """
    for key, path in ((key, path) for key, paths in named.items() for path in paths):
        known = _modules.get((key, path))
        if known is not None and sys.modules.get(known.__name__) is known:
            continue
        try:
            holder, module = _holder(path)
            for function in _functions(path, holder):
                _take(function, KINDS[key])
        except ConfigError as error:
            raise ConfigError(f"{key} = [{path!r}]: {error}") from error.__cause__
        _modules[key, path] = module


def _holder(path: str) -> tuple[Any, ModuleType]:
    """Return the module or class whose function *path* names, imported if it is not, and the module that it is in."""
    parts = path.split(".")[:-1]
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise ConfigError(f"{name} cannot be imported: {error}") from error
            continue
        except Exception as error:  # whatever a module raises
            raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {error}") from error
        found: Any = module
        for each in parts[count:]:
            found = getattr(found, each, None)
        if isinstance(found, ModuleType | type):
            return found, module
        break
    if not parts:
        raise ConfigError(f"give the whole import path, such as 'shop.tools.{path}'")
    raise ConfigError(f"{'.'.join(parts)} is no module and no class")


def _functions(path: str, holder: Any) -> list[FunctionType]:
    """Return the functions in *holder* that *path* names; its last part may be a pattern."""
    where, _, last = path.rpartition(".")
    found = [(name, each) for name, each in vars(holder).items() if fnmatchcase(name, last)]
    if any(each in last for each in "*?["):
        functions = (_function(name, each) for name, each in found)
        own = [each for each in functions if each is not None and _is_own(each, holder)]
    else:
        own = [_required(name, each) for name, each in found]
    if not own:
        raise ConfigError(f"{where} has no function {last!r}")
    return own


def _function(name: str, found: object) -> FunctionType | None:
    """Return the function that *found* is, or that it keeps under its own *name*: a cache, or a framework's tool.

    Raises:
        ConfigError: It calls one of several functions, which have names of their own.
    """
    if isinstance(found, singledispatchmethod):
        raise ConfigError(f"{name} is a singledispatchmethod; put @tool directly above each of its functions")
    if isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if isinstance(found, FunctionType | ModuleType | type):
        return found if isinstance(found, FunctionType) else None
    try:
        kept = object.__getattribute__(found, "__dict__").values()  # a proxy would look at what it stands for
    except AttributeError:
        return None
    return next((each for each in kept if isinstance(each, FunctionType) and each.__name__ == name), None)


def _is_own(function: FunctionType, holder: object) -> bool:
    """Return whether a pattern means *function*: it is public, and neither imported nor a boundary already."""
    module = holder.__name__ if isinstance(holder, ModuleType) else getattr(holder, "__module__", None)
    return not function.__name__.startswith("_") and function.__module__ == module


def _required(name: str, found: object) -> FunctionType:
    function = _function(name, found)
    if function is None:
        raise ConfigError(
            f"it is a {type(found).__name__}, which has no code that could be taken; put @tool above it, or wrap it "
            "with intercept"
        )
    return function


def _take(function: FunctionType, kind: str) -> None:
    if function in _taken or function.__globals__.get("__package__") == __package__:  # a boundary already
        return
    boundary = intercept(_copy(function), kind=kind)
    if not hasattr(function, "__signature__"):
        with contextlib.suppress(TypeError, ValueError):
            function.__signature__ = signature(function)  # type: ignore[attr-defined]  # which inspect looks at first
    if hasattr(function, "__wrapped__"):
        function.__wrapped__ = boundary.__wrapped__  # type: ignore[attr-defined]  # what is below a decorator of the user's is called there
    function.__code__ = code_calling(boundary, like=function)
    _taken.add(function)


def _copy(function: FunctionType) -> FunctionType:
    """Return a function that does what *function* does now, under the same name."""
    made = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__, made.__module__, made.__doc__ = function.__qualname__, function.__module__, function.__doc__
    made.__annotations__ = function.__annotations__
    made.__dict__.update(function.__dict__)
    return made
