"""Where the examples' clients connect.

Replaying needs no account and no network: the SDKs get an address where nothing listens, and a dummy key.
Recording (``--agenttape-record``) uses the real provider if its key is set, otherwise the tests' stand-in provider.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_agenttape import CassetteHandle
    from tests.standin import StandInProvider

LOOPBACK = "http://127.0.0.1"
NOBODY = f"{LOOPBACK}:9"  # a loopback host's port is not part of what is matched
NO_KEY = "replaying-needs-no-key"
REPLAYING = "none"
STARTED_WITH = dict(os.environ)  # during a test, a key that is not set has a stand-in


@dataclass(frozen=True)
class Service:
    """How the examples find a service: its environment variables, and its path on the stand-in."""

    url_variable: str
    key_variable: str | None = None
    path: str = ""

    @property
    def is_configured(self) -> bool:
        """Whether the environment names the real service."""
        return bool(STARTED_WITH.get(self.key_variable or self.url_variable))


SERVICES = (
    Service("OPENAI_BASE_URL", "OPENAI_API_KEY", path="/v1"),
    Service("ANTHROPIC_BASE_URL", "ANTHROPIC_API_KEY"),
    Service("WEATHER_API_URL"),
)


@pytest.fixture(scope="session")
def provider() -> Iterator[StandInProvider]:
    """Return the stand-in provider; it starts when its URL is first read."""
    from tests.standin import StandInProvider  # needs aiohttp, which replaying does not

    standin = StandInProvider()
    yield standin
    standin.stop()


@pytest.fixture(autouse=True)
def services(
    agenttape_cassette: CassetteHandle, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Point the SDKs, through the environment, at the source of this run's answers."""
    replaying = agenttape_cassette.mode == REPLAYING and not request.config.getoption("--agenttape-live")
    for service in SERVICES:
        if _stays_as_it_is(service, agenttape_cassette, replaying=replaying):
            continue
        address = NOBODY if replaying else request.getfixturevalue("provider").url
        monkeypatch.setenv(service.url_variable, address + service.path)
        if service.key_variable is not None:
            monkeypatch.setenv(service.key_variable, NO_KEY)


def _stays_as_it_is(service: Service, cassette: CassetteHandle, *, replaying: bool) -> bool:
    """Return whether the environment already names the service that is, or was, recorded."""
    if not replaying or not cassette.path.exists():
        return service.is_configured
    return service.is_configured and LOOPBACK not in cassette.path.read_text(encoding="utf-8")
