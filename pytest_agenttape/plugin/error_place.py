"""Errors about a test as a whole: shown at its ``def``, because no line of its code raised them."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

import pytest

from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.process.user_stack import traceback_at

_Written = TypeVar("_Written")


def traceback_of(item: pytest.Item) -> TracebackType | None:
    """Return a traceback that ends at the ``def`` of a test."""
    path, line, name = item.path, item.location[1], item.name
    if line is None:
        return None
    lines = linecache.getlines(str(path))
    is_def = (number for number in range(line, len(lines)) if lines[number].lstrip().startswith(("def ", "async def ")))
    return traceback_at(str(path), next(is_def, line) + 1, name)


def refused_at(item: pytest.Item, write: Callable[[], _Written]) -> _Written:
    """Return the result of *write*; if it refuses the recording, show the error at the test *item*, not at our code.

    Raises:
        RecordingRefusedError: The recording cannot be written.
    """
    __tracebackhide__ = True
    try:
        return write()
    except RecordingRefusedError as error:
        raise error.with_traceback(traceback_of(item)) from None
