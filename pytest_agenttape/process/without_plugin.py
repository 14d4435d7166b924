"""Marked tests in a run that has not loaded the plugin: nothing records or replays their calls, so none may run.

Looks for pytest's public hook `pytest_runtest_protocol` and its argument `item` in the stack; imports no pytest.
"""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any
from weakref import WeakSet

from pytest_agenttape.errors import AgentTapeError

_MARKER = "agenttape"

_plugins = 0  # of the runs in this process; one can run inside another
_failed: WeakSet[Any] = WeakSet()  # tests that fail in the end, whatever they do with the error


def plugin_is_loaded(by: int) -> None:
    """Be told that a run has loaded the plugin, with 1, or has ended, with -1."""
    global _plugins
    _plugins += by


def refusal() -> AgentTapeError | None:
    """Return the error for a call of a marked test without the plugin, and let that test fail; None if it may run."""
    if _plugins or "pytest" not in sys.modules:
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
