"""The pytest runs of this process, as a call or a block sees them that no marked test owns. Imports nothing heavy.

Looks for pytest's public hook `pytest_runtest_protocol` and its argument `item` in the stack; imports no pytest.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cache
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from pytest_agenttape.errors import AgentTapeError

if TYPE_CHECKING:
    from pytest_agenttape.settings.flags import Flags  # only runs with a marked test or a block ask for them

_MARKER = "agenttape"


class Collecting(Protocol):
    """A run that collects its tests, when no cassette is open and nobody owns a call."""

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Hear of a call that belongs to nobody and goes on."""


_running: list[Callable[[], Flags]] = []  # the runs that have loaded the plugin; one can run inside another
_collecting: list[Collecting] = []
_failed: WeakSet[Any] = WeakSet()  # tests that fail in the end, whatever they do with the error


def begin(flags: Callable[[], Flags]) -> Callable[[], None]:
    """Note that a run has loaded the plugin, until what is returned is called; *flags* returns what it was told."""
    return _added(_running, cache(flags))


def flags_of_the_run() -> Flags | None:
    """Return the flags of the pytest run that this process is part of; None outside pytest."""
    return _running[-1]() if _running else None


def begin_to_collect(run: Collecting) -> Callable[[], None]:
    """Let *run* hear of calls that belong to nothing, until what is returned is called."""
    return _added(_collecting, run)


def let_pass(url: Callable[[], str], method: str) -> None:
    """Let the run that collects its tests, if there is one, hear of a call that goes on."""
    if _collecting:
        _collecting[-1].let_pass(url, method)


def refusal() -> AgentTapeError | None:
    """Return the error for a call of a marked test in a run that has not loaded the plugin; None if it may run.

    Nothing records or replays it, so that test fails.
    """
    if _running or "pytest" not in sys.modules:
        return None
    item = _running_test()
    if item is None or item.get_closest_marker(_MARKER) is None:
        return None
    error = AgentTapeError(
        f"{item.nodeid} is marked {_MARKER}, but the plugin is not loaded, so nothing is recorded or replayed; nothing "
        "ran for real\n"
        "  load it with -p agenttape (PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps pytest from finding it); to run marked "
        "tests for real: -p agenttape --agenttape-disable"
    )
    if item not in _failed:
        _failed.add(item)
        item.addfinalizer(lambda: _fail(error))
    return error


def _added(listed: list[Any], entry: object) -> Callable[[], None]:
    listed.append(entry)

    def remove() -> None:
        if entry in listed:
            listed.remove(entry)

    return remove


def _fail(error: AgentTapeError) -> None:
    __tracebackhide__ = True
    raise error


def _running_test() -> Any:  # a pytest.Item, or None
    thread = threading.main_thread().ident
    frame: FrameType | None = sys._current_frames().get(thread or 0)
    while frame is not None:
        if frame.f_code.co_name == "pytest_runtest_protocol" and "item" in frame.f_locals:
            return frame.f_locals["item"]
        frame = frame.f_back
    return None
