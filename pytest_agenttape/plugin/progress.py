"""Prints a line now and then during a live recording, so a long one does not look like a hang."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from pytest_agenttape import clocks
from pytest_agenttape.plugin.pytest_privates import capture_paused
from pytest_agenttape.plugin.report.wording import counted
from pytest_agenttape.session.session import Session

SECONDS = 5.0  # seconds between two lines


class Progress:
    """Shows the progress of one test's recording in the terminal."""

    def __init__(self, config: pytest.Config, nodeid: str) -> None:
        self._config = config
        self._nodeid = nodeid
        self._terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        self._started = self._last = clocks.perf_counter()

    def __call__(self, session: Session) -> None:
        """Count a finished live call."""
        now = clocks.perf_counter()
        if now - self._last < SECONDS or threading.current_thread() is not threading.main_thread():
            return
        self._last = now
        calls = counted(session.run.live_calls, "live call")
        self._write(f"agenttape: {self._nodeid}: {calls}, {now - self._started:.0f} s")

    def _write(self, line: str) -> None:
        if self._terminal is None:  # an xdist worker, or a run without a terminal
            return
        with capture_paused(self._config):
            self._terminal.write_line(line)
