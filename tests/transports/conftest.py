"""A cassette to record into and replay from, against the stand-in provider."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_agenttape import Cassette, Interaction, use_cassette
from tests.standin import StandInProvider
from tests.transports.http_clients import CLIENTS

T = TypeVar("T")


@dataclass
class Recorder:
    """Runs an agent live and again from the cassette."""

    path: Path
    provider: StandInProvider

    def record(self, run: Callable[[], T], **options: Any) -> T:
        with use_cassette(self.path, mode="all", **options):
            return run()

    def replay(self, run: Callable[[], T], **options: Any) -> T:
        """Run from the cassette; nothing may reach the provider."""
        before = self.provider.hits
        with use_cassette(self.path, **options) as session:
            result = run()
        assert self.provider.hits == before
        assert session.unplayed == []
        return result

    def both(self, run: Callable[[], T]) -> T:
        """Record and replay *run*; it must see the same both times."""
        live = self.record(run)
        assert self.provider.hits > 0
        assert self.replay(run) == live
        return live

    @property
    def interactions(self) -> list[Interaction]:
        return Cassette.load(self.path).interactions if self.path.exists() else []  # none without a call


@pytest.fixture
def recorder(tmp_path: Path, standin_provider: StandInProvider) -> Recorder:
    return Recorder(tmp_path / "cassette.yaml", standin_provider)


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Any:
    """Every HTTP client in turn."""
    return CLIENTS[request.param]


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
