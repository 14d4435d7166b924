"""What is paid before the first call: imports, tests without the marker, clients."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.suites import processor_time, run_pytest

IMPORTS = {
    "pytest-agenttape": "pytest_agenttape",
    "pytest-agenttape, its plugin": "pytest_agenttape.plugin",
    "vcrpy": "vcr",
    "agenttape": "agenttape",
    "agenttape, its plugin": "agenttape.pytest_plugin",
    "agentcassette": "agentcassette",
}
FORBIDDEN = ("respx", "responses", "httpx", "httpx2", "requests", "yaml", "time_machine")
_TIMER = """
import sys, time
import pytest
before = time.process_time_ns()
import {module}
print(time.process_time_ns() - before, [name for name in {forbidden!r} if name in sys.modules])
"""


def import_time(module: str, folder: Path) -> float:
    """Return how long importing *module* takes in a process that has pytest, in nanoseconds."""
    return float(_import(module, folder).partition(" ")[0])


def imported_along(module: str, folder: Path) -> str:
    """Return which heavy libraries the import of *module* brings along."""
    return _import(module, folder).partition(" ")[2].strip()


def _import(module: str, folder: Path) -> str:
    code = _TIMER.format(module=module, forbidden=FORBIDDEN)
    return processor_time([sys.executable, "-c", code], folder)[1]


def unmarked_test(folder: Path, count: int, plugin: Sequence[str]) -> float:
    """Return the processor time of one empty test among *count*, in nanoseconds, the run's fixed cost included."""
    return run_pytest(folder, *plugin) * 1e9 / count
