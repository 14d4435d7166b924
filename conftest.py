"""Fixtures for the tests and the examples."""

from __future__ import annotations

import compileall
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.inner_pytest import OUTER, PLUGINS_NAMED

if TYPE_CHECKING:
    from tests.standin import StandInProvider

pytest_plugins = ["pytester"]


_IMPORTING_ALL = """
import importlib, sys, pytest
class All:
    def pytest_configure(self):
        for name in sys.argv[1:]:
            importlib.import_module(name)
pytest.main(["--markers"], [All()])
"""


@pytest.fixture(scope="session")
def _compiled_package() -> None:
    """Compile the package once, for the runs that must not write bytecode; pytest has its own form for plugins."""
    package = Path(__file__).parent / "pytest_agenttape"
    compileall.compile_dir(package, quiet=2)
    names = [
        ".".join(path.relative_to(package.parent).with_suffix("").parts) for path in package.glob("plugin/**/*.py")
    ]
    outside = {name: value for name, value in os.environ.items() if name not in OUTER}
    environment = {**outside, **PLUGINS_NAMED, "PYTHONDONTWRITEBYTECODE": ""}
    command = [sys.executable, "-c", _IMPORTING_ALL, *names]
    subprocess.run(command, check=True, capture_output=True, cwd=package.parent, env=environment)


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, _compiled_package: None) -> pytest.Pytester:
    """Return pytester, whose runs load the plugins that they need and see nothing of the run that they are part of."""
    for name in OUTER:
        monkeypatch.delenv(name, raising=False)
    for name, value in PLUGINS_NAMED.items():
        monkeypatch.setenv(name, value)
    return pytester


@pytest.fixture(scope="session")
def _standin_server() -> Iterator[StandInProvider]:
    from tests.standin import StandInProvider  # aiohttp is loaded only by tests that talk to the server

    provider = StandInProvider()
    yield provider
    provider.stop()


@pytest.fixture
def standin_provider(_standin_server: StandInProvider) -> StandInProvider:
    """Return the stand-in provider, running, with nothing scripted and no request counted."""
    _standin_server.start()
    _standin_server.reset()
    return _standin_server
