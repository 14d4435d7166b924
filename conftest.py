"""Fixtures for the tests and the examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.standin import StandInProvider

pytest_plugins = ["pytester"]


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
