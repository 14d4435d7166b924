"""What a call of a boundary asks for, in stored form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from pytest_agenttape import values
from pytest_agenttape.boundaries.arguments import Parameters
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON, OWN_VARIABLES

Stored: TypeAlias = dict[str, JSON]


class Asked(NamedTuple):
    """A request in stored form, the arguments that the call may change, the function, and whose method it is."""

    request: Stored
    changeable: Mapping[str, object]
    function: str | None = None
    instance: object = None


@dataclass(frozen=True, slots=True)
class Spelled:
    """A request spelled out by the caller, who also says what makes the call."""

    given: dict[str, Any]
    executor: Callable[[], Any]

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked:  # noqa: ARG002  # as Named's
        return Asked(dict(values.encode(self.given, "request")), {})

    def real(self, args: tuple[Any, ...], kwargs: dict[str, Any], request: Stored) -> Callable[[], Any]:  # noqa: ARG002  # as Named's
        """Return what makes the call for real."""
        return self.executor


@dataclass(frozen=True, slots=True)
class Named:
    """A request built from the arguments of a call."""

    parameters: Parameters

    def request(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Asked:
        bound = self.parameters.bind(args, kwargs)
        encoded = self._encoded(bound.arguments)
        # Of each argument only a mapping is looked at: a call passes here each time.
        arguments = {name: _without_own(each) if type(each) is dict else each for name, each in encoded.items()}
        # What is stored as it is cannot be changed.
        changeable = {name: each for name, each in bound.arguments.items() if encoded.get(name, each) is not each}
        return Asked({"args": arguments}, changeable, self.parameters.name_for(bound.cls), bound.instance)

    def real(self, args: tuple[Any, ...], kwargs: dict[str, Any], request: Stored) -> Callable[[], Any]:
        """Return what makes the call for real, with its arguments as *request* has them: the agent may change others.

        The instance, and what is not recorded, are those of the call.
        """

        def call() -> Any:
            own_args, own_kwargs = self.parameters.replaced(args, kwargs, values.decode(request["args"]))
            return self.parameters.function(*own_args, **own_kwargs)

        return call

    def _encoded(self, arguments: dict[str, object]) -> Stored:
        try:
            return values.encode_each(arguments, "args")
        except RecordingRefusedError:
            # A default such as a sentinel object means that nothing was passed, so it is left out.
            defaults = self.parameters.defaults
            passed = {name: each for name, each in arguments.items() if each is not defaults.get(name, _NOTHING)}
            if len(passed) == len(arguments):
                raise
            kept = {name: each for name, each in arguments.items() if name in passed or _is_recordable(each)}
            return values.encode_each(kept, "args")


_NOTHING = object()


def _without_own(argument: Stored) -> Stored:
    """Return an argument, which may be a copy of the environment, without the variables that we have added to it."""
    if OWN_VARIABLES[0] not in argument:
        return argument
    return {name: each for name, each in argument.items() if name not in OWN_VARIABLES}


def _is_recordable(value: object) -> bool:
    try:
        values.encode(value)
    except RecordingRefusedError:
        return False
    return True
