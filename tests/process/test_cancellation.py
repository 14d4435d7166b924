"""What counts as a cancellation: that of a task, never an exception that only bears the name."""

from __future__ import annotations

import asyncio
import concurrent.futures

import pytest
import trio

from pytest_agenttape.process.cancellation import is_cancellation, is_unanswered, unanswered


def of_trio() -> BaseException:
    """Return what trio raises in a task that it stops."""
    found: list[BaseException] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()
            try:
                await trio.lowlevel.checkpoint()
            except BaseException as error:
                found.append(error)
                raise

    trio.run(main)
    return found[0]


class OfCurio(BaseException):
    """curio's has this name, and its subclasses (TaskCancelled, ...) others."""


OfCurio.__name__ = "CancelledError"


class TaskCancelled(OfCurio):
    """A subclass."""


class Timeout(asyncio.CancelledError):
    """A framework's own word for it."""


class CancelledError(Exception):
    """An order that is cancelled."""


class Cancelled(Exception):  # the name is what is tested
    """The same in trio's word."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncio.CancelledError(), True),
        (of_trio(), True),
        (OfCurio(), True),
        (TaskCancelled(), True),
        (Timeout(), True),
        (concurrent.futures.CancelledError(), False),
        (CancelledError(), False),
        (Cancelled(), False),
        (KeyboardInterrupt(), False),
        (TimeoutError(), False),
    ],
    ids=lambda value: type(value).__module__ + "." + type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_is_cancellation(error: BaseException, expected: bool) -> None:
    assert is_cancellation(error) is expected


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (unanswered(), True),
        ({**unanswered(), "items": [1]}, True),
        ({"type": "CancelledError", "module": "concurrent.futures._base", "message": ""}, False),
        ({"type": "CancelledError", "module": "shop.orders", "message": ""}, False),
        ({"type": "Cancelled", "module": "shop.orders", "message": ""}, False),
        ({}, False),
    ],
)
def test_is_unanswered(stored: dict[str, object], expected: bool) -> None:
    assert is_unanswered(stored) is expected


def test_each_gets_its_own_stored_form() -> None:
    unanswered()["items"] = []
    assert "items" not in unanswered()
