"""A session in Python's own words: ``with``, ``async with``, and a decorator."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from pytest_agenttape import ownership
from pytest_agenttape.session.decorator import decorated
from pytest_agenttape.session.settings import Settings


class Block(ABC):
    """What can be entered, sync or async, and can decorate a function."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def enter(self) -> None:
        """Open the cassette for a block."""

    @abstractmethod
    def leave(self, error: BaseException | None) -> None:
        """Close it again; keep what the block recorded unless it ends with *error*."""

    def __enter__(self) -> Self:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    async def __aenter__(self) -> Self:
        self.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.leave(error)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Run *function* in a session of its own at each call; what it calls of itself belongs to the same one."""
        wrapper: Callable[..., Any] = decorated(function, self._again)
        return wrapper

    def _again(self) -> AbstractContextManager[object]:
        found = ownership.peek()
        is_inside = found is not None and getattr(found.owner, "settings", None) is self.settings
        return contextlib.nullcontext() if is_inside else type(self)(self.settings)
