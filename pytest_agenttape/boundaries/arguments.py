"""How the arguments of a callable get their names: positional and keyword calls are treated as the same call."""

from __future__ import annotations

import contextlib
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from pytest_agenttape.boundaries.frameworks import is_context

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Bound(NamedTuple):
    """The arguments of one call by name, with defaults, but without its instance and a framework's context."""

    arguments: dict[str, object]
    instance: object = None
    cls: type | None = None  # of the instance, or what the call got in its place


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters of one callable.

    Attributes:
        function: The callable.
        signature: Its signature; None if it has none, like some builtins.
        names: Names in order, including that of the instance or class.
        positional: How many of them can be passed by position; -1 if binding takes more than counting.
        defaults: The default values.
        fillers: What is filled in, indexed by the number of positional arguments if none is passed by name;
            None for a number that does not fit.
        receiver: The name of the parameter that is the instance or class, if the call passes it.
        instance: The instance that the callable is bound to.
        owner: The class of this instance, or the class that the callable is bound to.
        contexts: Names of the parameters that a framework fills with the context of its run.
    """

    function: Callable[..., Any]
    signature: inspect.Signature | None
    names: tuple[str, ...] = ()
    positional: int = -1
    defaults: Mapping[str, object] = field(default_factory=dict)
    fillers: tuple[Mapping[str, object] | None, ...] = ()
    receiver: str = ""
    instance: object = None
    owner: type | None = None
    contexts: tuple[str, ...] = ()

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Parameters:
        """Read the parameters of *function*."""
        instance = _instance_of(function)
        try:
            signature = inspect.signature(function)
        except (TypeError, ValueError):
            return cls(function, None, instance=instance, owner=_owner_of(function))
        # A body may change a default that is a list; the request has to hold the default as it was written.
        listed = [each.replace(default=_unshared(each.default)) for each in signature.parameters.values()]
        signature = signature.replace(parameters=listed)
        counts = all(each.kind in _BY_NAME for each in listed)
        positional = sum(each.kind is each.POSITIONAL_OR_KEYWORD for each in listed) if counts else -1
        names = tuple(each.name for each in listed)
        defaults = {each.name: each.default for each in listed if each.default is not each.empty}
        return cls(
            function=function,
            signature=signature,
            names=names,
            positional=positional,
            defaults=defaults,
            fillers=tuple(_filler(names[given:], defaults) for given in range(positional + 1)),
            receiver=_receiver(function, listed),
            instance=instance,
            owner=_owner_of(function),
            contexts=_contexts(function, signature),
        )

    @property
    def shown_defaults(self) -> Mapping[str, object]:
        """The default values of the arguments that a request has."""
        return {name: each for name, each in self.defaults.items() if name not in (*self.contexts, self.receiver)}

    def name_for(self, cls: type | None) -> str | None:
        """Return the name of the function as a method of *cls*, if it is one; None if it has none."""
        name = getattr(self.function, "__name__", None)
        if cls is not None:
            return f"{cls.__module__}:{cls.__qualname__}.{name or '__call__'}"
        return name and f"{self.function.__module__}:{self.function.__qualname__}"

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Bound:
        """Return the arguments that a call with *args* and *kwargs* passes.

        Raises:
            TypeError: They do not fit; the same error that the call itself would raise.
        """
        arguments = self._quickly(args, kwargs) if self.positional >= 0 else None
        if arguments is None:
            arguments = self._thoroughly(args, kwargs)
        for name in self.contexts:
            arguments.pop(name, None)
        if not self.receiver:
            return Bound(arguments, self.instance, self.owner)
        instance = arguments.pop(self.receiver)
        if isinstance(instance, type):
            return Bound(arguments, None, instance)
        return Bound(arguments, instance, type(instance))

    def replaced(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], named: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return *args* and *kwargs* with the values in *named*, which are called as `bind` calls them."""
        if self.signature is None:
            return tuple(named.get("args", ())), dict(named.get("kwargs", {}))
        bound = self.signature.bind(*args, **kwargs)
        for name in bound.arguments.keys() & (named.keys() - {self.receiver, *self.contexts}):
            is_variadic = self.signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            bound.arguments[name] = tuple(named[name]) if is_variadic else named[name]
        return bound.args, bound.kwargs

    def _quickly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any] | None:
        """Bind by counting; return None if the arguments do not fit."""
        names = self.names
        given, count = len(args), len(names)
        if given > self.positional:
            return None
        if not kwargs:
            filler = self.fillers[given]
            if filler is None:
                return None
            bound = dict(zip(names, args, strict=False))
            bound.update(filler)
            return bound
        bound = {**self.defaults, **dict(zip(names, args, strict=False))}
        if not kwargs.keys().isdisjoint(names[:given]):
            return None
        bound.update(kwargs)
        if len(bound) != count or not kwargs.keys() <= set(names):
            return None
        return {name: bound[name] for name in names}

    def _thoroughly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self.signature is None:
            return {name: given for name, given in (("args", list(args)), ("kwargs", kwargs)) if given}
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _as_called(self.function, args, kwargs) or error from None
        bound.apply_defaults()
        arguments = dict(bound.arguments)
        for each in self.signature.parameters.values():
            if each.kind in _VARIADIC and not arguments[each.name]:
                del arguments[each.name]
            elif each.kind is each.VAR_POSITIONAL:
                arguments[each.name] = list(arguments[each.name])
        return arguments


def _unshared(default: object) -> object:
    """Return *default* with its plain containers copied."""
    if type(default) is list:
        return [_unshared(each) for each in default]
    if type(default) is dict:
        return {name: _unshared(each) for name, each in default.items()}
    return set(default) if type(default) is set else default


def _filler(missing: tuple[str, ...], defaults: Mapping[str, object]) -> Mapping[str, object] | None:
    return {name: defaults[name] for name in missing} if defaults.keys() >= set(missing) else None


def _instance_of(function: Callable[..., Any]) -> object:
    """Return the instance that *function* is a method of, or *function* itself if it is a callable object."""
    if isinstance(function, type):
        return None
    if inspect.isroutine(function):
        owner = getattr(function, "__self__", None)
        return None if isinstance(owner, type | ModuleType) else owner
    return None if hasattr(function, "func") else function  # a partial has no identity


def _owner_of(function: Callable[..., Any]) -> type | None:
    """Return the class that *function* is bound to, or whose instance it is bound to or is."""
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type):
        return owner
    instance = _instance_of(function)
    return None if instance is None else type(instance)


def _receiver(function: Callable[..., Any], listed: list[inspect.Parameter]) -> str:
    """Return the name of the first parameter if *function* is a plain function written as a method, else nothing."""
    first = listed[0].name if listed else ""
    return first if first in ("self", "cls") and "." in getattr(function, "__qualname__", "") else ""


def _contexts(function: Callable[..., Any], signature: inspect.Signature) -> tuple[str, ...]:
    hints = {each.name: each.annotation for each in signature.parameters.values()}
    if any(isinstance(hint, str) for hint in hints.values()):
        with contextlib.suppress(Exception):  # an annotation can be any code; if it fails, the argument is a plain one
            hints |= typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    return tuple(name for name in signature.parameters if is_context(hints[name]))


def _as_called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError | None:
    """Return the interpreter's own error for a call that does not fit, without calling *function*.

    A function with the same name and parameters but no body is called instead.
    """
    target: Any = inspect.unwrap(function)
    if not inspect.isroutine(target) and not isinstance(target, type):
        target = getattr(target, "__call__", None)  # noqa: B004  # we want the method, not whether it exists
    if isinstance(target, MethodType):
        target, args = target.__func__, (target.__self__, *args)
    if not isinstance(target, FunctionType):
        return None
    try:
        stand_in = _without_body(target)
    except (SyntaxError, ValueError):  # a hand-made signature
        return None
    try:
        stand_in(*args, **kwargs)
    except TypeError as error:
        return error.with_traceback(None)
    return None


def _without_body(function: FunctionType) -> FunctionType:
    plain = [
        each.replace(annotation=each.empty, default=each.empty if each.default is each.empty else None)
        for each in inspect.signature(function).parameters.values()
    ]
    text = f"def stand_in{inspect.Signature(plain)}: pass"
    code = next(each for each in compile(text, "<parameters>", "exec").co_consts if hasattr(each, "co_code"))
    defaults = tuple(None for each in plain if each.default is None and each.kind is not each.KEYWORD_ONLY)
    stand_in = FunctionType(code, {}, function.__name__, defaults)
    stand_in.__kwdefaults__ = {
        each.name: None for each in plain if each.default is None and each.kind is each.KEYWORD_ONLY
    }
    stand_in.__qualname__ = function.__qualname__
    return stand_in
