"""A session as Python syntax: ``with``, ``async with``, and a decorator."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self, TypeVar

from pytest_agenttape import ownership
from pytest_agenttape.session.decorator import decorated
from pytest_agenttape.session.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class Block(ABC):
    """A context manager, sync and async, that can also decorate a function."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.made_with = settings  # what tells a block that decorates a recursive function

    @abstractmethod
    def enter(self) -> None:
        """Open the cassette for a block."""

    @abstractmethod
    def leave(self, error: BaseException | None) -> None:
        """Close the cassette; keep what the block recorded unless it ends with *error*."""

    def __enter__(self) -> Self:
        __tracebackhide__ = True
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self.leave(error)

    async def __aenter__(self) -> Self:
        __tracebackhide__ = True
        self.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self.leave(error)

    def __call__(self, function: F) -> F:
        """Run each call of *function* in its own session; recursive calls belong to the same one."""
        wrapper: F = decorated(function, self._again)
        return wrapper

    def _again(self) -> AbstractContextManager[object]:
        found = ownership.peek()
        is_inside = found is not None and getattr(found.owner, "made_with", None) is self.made_with
        return contextlib.nullcontext() if is_inside else type(self)(self.made_with)
