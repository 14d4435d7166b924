"""A line now and then while a live recording goes on, so that a long one does not look like a hang."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pytest_agenttape import clocks
from pytest_agenttape.session.session import Session

SECONDS = 5.0  # between two lines


class Progress:
    """Tells the terminal how far the recording of one test is."""

    def __init__(self, config: pytest.Config, nodeid: str) -> None:
        self._nodeid = nodeid
        self._terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._capture: Any = config.pluginmanager.get_plugin("capturemanager")
        self._started = self._told = clocks.perf_counter()

    def __call__(self, session: Session) -> None:
        """Note that a live call is over."""
        now = clocks.perf_counter()
        if now - self._told < SECONDS or threading.current_thread() is not threading.main_thread():
            return
        self._told = now
        calls = f"{session.run.live_calls} live call{'' if session.run.live_calls == 1 else 's'}"
        self._write(f"agenttape: {self._nodeid}: {calls}, {now - self._started:.0f} s")

    def _write(self, line: str) -> None:
        if self._terminal is None:  # an xdist worker, or a run without a terminal
            return
        if self._capture is None:
            self._terminal.write_line(line)
            return
        with self._capture.global_and_fixture_disabled():
            self._terminal.ensure_newline()
            self._terminal.write_line(line)
