"""Runs a function that a recording has answered for, for real, and compares the shape of what it gives."""

from __future__ import annotations

import inspect
import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, aclosing, chdir, contextmanager, redirect_stderr, redirect_stdout
from contextvars import copy_context
from dataclasses import dataclass, field, replace

import pytest

from pytest_agenttape import ownership, values
from pytest_agenttape.boundaries.results import encode_result
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.process import child_processes, stand_in_keys, waits
from pytest_agenttape.process.cutting import Cut, cut_main_thread, main_thread_can_be_cut
from pytest_agenttape.reading.result_shape import moved_result, stream_of

SECONDS: float = 120
_SECONDS_MORE = 1.0  # until code that has caught what stops it is stopped again
_OF_ANOTHER_LOOP = ("Event loop is closed", "different loop", "different event loop")


class CannotRunAgain(Exception):
    """A call cannot be made outside of its test; the text says why."""


class _Overdue(Cut):
    """Ends a function that does not end."""


def _working_directory() -> str | None:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed
        return None


@dataclass(frozen=True, slots=True)
class RealCall:
    """How a call is made for real, and where it was made.

    Attributes:
        make: Makes it.
        run: Runs a coroutine function, if the call was made in a loop.
        environment: The variables of the environment.
        folder: The working directory, if there was one.
    """

    make: Callable[[], object]
    run: waits.Runner | None = field(default_factory=waits.runner)
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str | None = field(default_factory=_working_directory)


def run_again(call: RealCall, recorded: Interaction, ended: ownership.Owner) -> list[str]:
    """Make *call* for real, which *ended* had answered; return how the shape of its outcome differs from *recorded*.

    Raises:
        CannotRunAgain: It needs something that was the test's.
    """
    reading = _Reading(call, recorded)
    try:
        with _deadline(), _surroundings(call), ownership.free(ended), child_processes.programs_are_free():
            live = copy_context().run(reading.outcome)
    except _Overdue:
        return [f"does not end: stopped after {SECONDS:g} seconds"]
    except RecordingRefusedError as error:
        return [f"returns what cannot be recorded: {str(error).splitlines()[0]}"]
    return moved_result(recorded, live)


class _Reading:
    """Makes a call, and reads what it gives to its end, or as far as it was read when it was recorded."""

    def __init__(self, call: RealCall, recorded: Interaction) -> None:
        self._call = call
        self._recorded = recorded
        self._items: list[JSON] | None = None  # of a stream
        stream = stream_of(recorded) or {}
        self._most = len(stream.get("items") or ()) if stream.get("complete") is False else None

    def outcome(self) -> Interaction:
        """Return the call as it would be recorded now."""
        try:
            stored = self._at_once() if self._call.run is None else self._call.run(self._in_loop)
        except (KeyboardInterrupt, pytest.exit.Exception, _Overdue, CannotRunAgain, RecordingRefusedError):
            raise
        except BaseException as error:  # noqa: BLE001  # whatever the function raises is its outcome
            return self._failed(error)
        return replace(self._recorded, response=stored, error=None)

    def _at_once(self) -> JSON:
        given = self._call.make()
        if inspect.isawaitable(given) or inspect.isasyncgen(given):
            if inspect.iscoroutine(given):
                given.close()
            raise CannotRunAgain("it was called outside of an event loop, and what it returned was awaited in one")
        return self._stored(given)

    async def _in_loop(self) -> JSON:
        given = self._call.make()
        if inspect.isawaitable(given):
            given = await given
        if not inspect.isasyncgen(given):
            return self._stored(given)
        self._items = []
        async with aclosing(given):
            while not self._is_read:
                try:
                    item = await anext(given)
                except StopAsyncIteration:
                    return {"$stream": {"items": self._items}}
                self._items.append(encode_result(item))
        return {"$stream": {"items": self._items, "complete": False}}

    def _stored(self, given: object) -> JSON:
        if not inspect.isgenerator(given):
            return encode_result(given)
        self._items = []
        while not self._is_read:
            try:
                item = next(given)
            except StopIteration as stop:
                return {"$stream": {"items": self._items, "return": encode_result(stop.value)}}
            self._items.append(encode_result(item))
        given.close()
        return {"$stream": {"items": self._items, "complete": False}}

    @property
    def _is_read(self) -> bool:
        return self._most is not None and len(self._items or ()) >= self._most

    def _failed(self, error: BaseException) -> Interaction:
        if isinstance(error, RuntimeError) and any(each in str(error) for each in _OF_ANOTHER_LOOP):
            raise CannotRunAgain("it needs the event loop of its test, which is closed") from error
        after = {"after": self._items} if self._items else {}
        return replace(self._recorded, response=None, error={**values.encode_error(error), **after})


@contextmanager
def _deadline() -> Iterator[None]:
    """Return a block of the main thread that does not last for ever, where the system can interrupt it."""
    is_over = threading.Event()

    def watch() -> None:
        seconds = SECONDS
        while not is_over.wait(seconds):
            cut_main_thread(_Overdue())
            seconds = _SECONDS_MORE

    with main_thread_can_be_cut():
        watching = threading.Thread(target=watch, daemon=True)
        watching.start()
        try:
            yield
        finally:
            is_over.set()
            watching.join()


@contextmanager
def _surroundings(call: RealCall) -> Iterator[None]:
    """Return a block in which the environment and the folder are those of *call*; what is printed there is dropped."""
    before = dict(os.environ)
    with ExitStack() as stack:
        if call.folder is not None:
            try:
                stack.enter_context(chdir(call.folder))
            except OSError:
                raise CannotRunAgain("the folder that it was called in is gone") from None
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        stack.callback(_set_environment, before)
        _set_environment({name: each for name, each in call.environment.items() if each != stand_in_keys.VALUE})
        yield


def _set_environment(wanted: Mapping[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)
