"""Functions whose code calls a boundary: what stands in the place of a function that must not be reached around it.

The templates below have "TAKEN" and "CLOSING" where the code of a gate has the boundary and `contextlib.aclosing`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Generator
from types import CodeType, FunctionType
from typing import Any

from pytest_agenttape.callables import Nature, nature_of


def gate(function: FunctionType, boundary: Callable[..., Any]) -> FunctionType:
    """Return a function for `__wrapped__` of *boundary*, which looks like *function* and calls *boundary*.

    Whoever looks for a signature, type hints or the source below a decorator finds them; a call runs no body in replay.
    """
    from inspect import signature, unwrap

    found = unwrap(function)
    own = found if isinstance(found, FunctionType) else function
    code = code_calling(boundary, like=own, nature=nature_of(function))
    made = FunctionType(code, own.__globals__, function.__name__, own.__defaults__, own.__closure__)
    made.__kwdefaults__ = own.__kwdefaults__
    made.__qualname__, made.__module__, made.__doc__ = function.__qualname__, function.__module__, function.__doc__
    made.__annotations__ = function.__annotations__
    made.__dict__.update({name: value for name, value in vars(function).items() if name != "__wrapped__"})
    with contextlib.suppress(TypeError, ValueError):
        made.__signature__ = signature(function)  # type: ignore[attr-defined]  # which inspect looks at first
    return made


def code_calling(boundary: Any, *, like: FunctionType, nature: Nature | None = None) -> CodeType:
    """Return code that passes its arguments to *boundary*, and is found where that of *like* is."""
    meant = {"TAKEN": boundary, "CLOSING": contextlib.aclosing}
    code, shown = _CODES[nature or nature_of(like)], like.__code__
    free = shown.co_freevars
    return code.replace(
        # The first instruction fetches as many variables of the closure as its argument says. Whoever looked at the
        # frame's variables, as pytest does, would crash the process if one was missing.
        co_code=code.co_code[:1] + bytes([len(free)]) + code.co_code[2:],
        co_consts=tuple(meant.get(each, each) if isinstance(each, str) else each for each in code.co_consts),
        co_freevars=free,
        co_name=shown.co_name,
        co_qualname=shown.co_qualname,
        co_filename=shown.co_filename,
        co_firstlineno=shown.co_firstlineno,
    )


def _templates() -> dict[Nature, CodeType]:
    free = None  # each template has a variable of a closure, and with it the instruction that fetches such variables

    def plain(*args: Any, **kwargs: Any) -> Any:
        nonlocal free
        __tracebackhide__ = True
        boundary: Any = "TAKEN"
        return boundary(*args, **kwargs)

    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        nonlocal free
        __tracebackhide__ = True
        boundary: Any = "TAKEN"
        return await boundary(*args, **kwargs)

    def generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        nonlocal free
        __tracebackhide__ = True
        boundary: Any = "TAKEN"
        return (yield from boundary(*args, **kwargs))

    async def async_generator(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        nonlocal free
        __tracebackhide__ = True
        boundary: Any = "TAKEN"
        closing: Any = "CLOSING"
        async with closing(boundary(*args, **kwargs)) as items:
            async for each in items:
                yield each

    return {
        Nature.PLAIN: plain.__code__,
        Nature.COROUTINE: coroutine.__code__,
        Nature.GENERATOR: generator.__code__,
        Nature.ASYNC_GENERATOR: async_generator.__code__,
    }


_CODES = _templates()
