"""Fixtures for the tests and the examples."""

from __future__ import annotations

import compileall
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.inner_pytest import OUTER, PLUGINS_NAMED, distributions
from tests.zygote import Zygote, popen_of

if TYPE_CHECKING:
    from tests.standin import StandInProvider

pytest_plugins = ["pytester"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are processors, for the time in which tests wait."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(scope="session")
def _zygote() -> Iterator[Zygote | None]:
    """What child processes are copied from, which also leaves the package's bytecode for those that are not."""
    compileall.compile_dir(Path(__file__).parent / "pytest_agenttape", quiet=2)
    zygote = Zygote() if hasattr(os, "fork") else None
    yield zygote
    if zygote is not None:
        zygote.stop()


@pytest.fixture
def _afresh() -> None:
    """Start each child process of the test from nothing."""


@pytest.fixture
def pytester(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    _zygote: Zygote | None,
) -> pytest.Pytester:
    """Return pytester, whose runs load the plugins that they need and see nothing of the run that they are part of."""
    if _zygote is not None and "_afresh" not in request.fixturenames:
        monkeypatch.setattr(pytester, "popen", popen_of(_zygote, pytester.popen))
    for name in OUTER:
        monkeypatch.delenv(name, raising=False)
    for name, value in PLUGINS_NAMED.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("importlib.metadata.distributions", distributions)
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
