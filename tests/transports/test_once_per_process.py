"""What libraries look up or download once per process does not depend on which test comes first."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
import urllib3

from pytest_agenttape import Cassette, Interaction, UnmatchedInteractionError, telemetry, use_cassette
from tests.transports.conftest import Recorder

MODES = ("all", "none")
ENCODING = "https://openaipublic.blob.core.windows.net/encodings/tiny.tiktoken"


@pytest.fixture(autouse=True)
def looked_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The hosts that something wanted to connect to; no test here does."""
    found: list[str] = []

    def refuse(host: Any, *_: Any, **__: Any) -> Any:
        found.append(str(host))
        raise socket.gaierror(f"a test looked for {host}")

    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **n: (real if host == "127.0.0.1" else refuse)(host, *a, **n)
    )
    yield found
    assert found == []


@pytest.fixture
def counted() -> Iterator[Callable[[], Counter[str]]]:
    before = telemetry.counts.copy()
    yield lambda: telemetry.counts - before
    telemetry.counts.clear()
    telemetry.counts.update(before)


def saved(recorder: Recorder, url: str = "", text: str = "") -> Path:
    """Save a cassette without calls, or with one answer."""
    request: dict[str, Any] = {"method": "GET", "url": url, "headers": {}}
    response: dict[str, Any] = {"status": 200, "headers": {}, "text": text}
    calls = [Interaction(index=0, kind="http", request=request, response=response)] if url else []
    cassette = Cassette(version="1", created_at="2026-01-01T00:00:00Z", run_id="x", meta={}, interactions=calls)
    cassette.save(recorder.path)
    return recorder.path


def _aiohttp(url: str) -> None:
    async def ask() -> None:
        async with aiohttp.ClientSession() as session, session.get(url):
            pass

    asyncio.run(ask())


ASK: dict[str, tuple[Callable[[str], Any], type[Exception]]] = {
    "httpx": (httpx.get, httpx.ConnectError),
    "httpx2": (httpx2.get, httpx2.ConnectError),
    "requests": (requests.get, requests.ConnectionError),
    "urllib3": (lambda url: urllib3.PoolManager().request("GET", url), urllib3.exceptions.HTTPError),
    "urllib.request": (lambda url: urllib.request.urlopen(url, timeout=2), urllib.error.URLError),
    "aiohttp": (_aiohttp, aiohttp.ClientConnectionError),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("client", ASK)
def test_a_check_for_updates_finds_no_connection_in_recording_and_replay_alike(
    recorder: Recorder,
    mode: str,
    client: str,
    counted: Callable[[], Counter[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "crewai", ModuleType("crewai"))
    ask, error = ASK[client]
    saved(recorder)
    with use_cassette(recorder.path, mode=mode) as session, pytest.raises(error):
        ask("https://pypi.org/pypi/crewai/json")
    assert session.interactions == []
    assert session.divergences == []
    assert counted() == {"CrewAI": 1}


def test_what_an_older_cassette_holds_of_it_is_replayed(
    recorder: Recorder, counted: Callable[[], Counter[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "crewai", ModuleType("crewai"))
    url = "https://pypi.org/pypi/crewai/json"
    with use_cassette(saved(recorder, url, "{}")) as session:
        assert httpx.get(url).text == "{}"
        with pytest.raises(httpx.ConnectError):
            httpx.get(url)
    assert counted() == {"CrewAI": 1}
    with use_cassette(recorder.path) as session:
        pass
    assert session.unplayed == []  # in another order of tests, another is first


class TestLitellm:
    @pytest.fixture
    def cost_map(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        pytest.importorskip("litellm")
        monkeypatch.delenv("LITELLM_LOCAL_MODEL_COST_MAP")
        return importlib.import_module("litellm.litellm_core_utils.get_model_cost_map")

    @pytest.mark.parametrize("mode", MODES)
    def test_takes_the_prices_that_it_ships(
        self, recorder: Recorder, cost_map: Any, mode: str, counted: Callable[[], Counter[str]]
    ) -> None:
        saved(recorder)
        with use_cassette(recorder.path, mode=mode) as session:
            prices = cost_map.get_model_cost_map(url=sys.modules["litellm"].model_cost_map_url)
        assert len(prices) > 1000
        assert session.interactions == []
        assert counted() == {"LiteLLM": 1}
        assert not [each for each in threading.enumerate() if "cost-map" in each.name]  # it tries no second time

    @pytest.mark.usefixtures("cost_map")
    def test_takes_the_headers_that_it_ships(self, recorder: Recorder, counted: Callable[[], Counter[str]]) -> None:
        manager = importlib.import_module("litellm.anthropic_beta_headers_manager")
        with use_cassette(recorder.path, mode="all"):
            found = manager.get_beta_headers_config(url=sys.modules["litellm"].anthropic_beta_headers_url)
        assert "anthropic" in found
        assert counted() == {"LiteLLM": 1}


class TestHuggingFace:
    def test_knows_no_agents_and_reports_nothing(self, recorder: Recorder, counted: Callable[[], Counter[str]]) -> None:
        agents = pytest.importorskip("huggingface_hub.utils._detect_agent")
        reports = pytest.importorskip("huggingface_hub.utils._telemetry")
        with use_cassette(recorder.path, mode="all") as session:
            assert agents._fetch_registry() is None
            reports._send_telemetry_in_thread("gradio/initiated")
        assert session.interactions == []
        assert counted()["Hugging Face"] >= 2  # to send is to build a user agent, for which it may look up agents


class TestTiktoken:
    """It does not do without its file, so that is recorded; but whether it asks depends on what it has kept."""

    @pytest.fixture
    def load(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], bytes]:
        loading = pytest.importorskip("tiktoken.load")
        monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path / "kept"))
        return lambda: bytes(loading.read_file_cached(ENCODING))

    @pytest.fixture
    def recorded(self, recorder: Recorder) -> Path:
        """A cassette that holds the download, as the first test that ran was given it."""
        return saved(recorder, ENCODING, "IQ== 0\n")

    def test_a_file_that_was_kept_is_no_drift(self, load: Callable[[], bytes], recorded: Path) -> None:
        for left in (0, 1):
            with use_cassette(recorded) as session:
                assert load() == b"IQ== 0\n"
            assert session.remaining == left
            assert session.unplayed == []

    def test_a_file_that_was_kept_when_recording_is_missed_with_the_way_out(
        self, load: Callable[[], bytes], recorder: Recorder
    ) -> None:
        saved(recorder)
        with pytest.raises(UnmatchedInteractionError) as caught, use_cassette(recorder.path):
            load()
        lines = str(caught.value).splitlines()
        at = lines.index(
            "  tiktoken keeps what it downloads, so which test asks for this depends on what has run before:"
        )
        assert lines[at + 1] == (
            "    keep its files in the project: set TIKTOKEN_CACHE_DIR, and fill that folder once before the tests run"
        )
