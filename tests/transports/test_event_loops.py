"""A client that is used in another event loop than it was made for fails by itself: that is no answer of a provider."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import httpx
import httpx2
import openai
import pytest

from pytest_agenttape import Cassette, RecordingRefusedError, use_cassette
from tests.standin import StandInProvider
from tests.standin.script import Delivery
from tests.transports.conftest import Recorder
from tests.transports.test_sdks import CLAUDE, MODEL

Ask = Callable[[], Coroutine[Any, Any, object]]
WAY_OUT = (
    "  make the client in the test or in a fixture with the test's loop, or run the tests in one loop "
    '(asyncio_default_test_loop_scope = "session" of pytest-asyncio)'
)


@pytest.fixture(autouse=True)
def _left_open() -> Iterator[None]:
    """The clients are left open in loops that have ended, as a global client is."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _openai(provider: StandInProvider, http_client: Any = None) -> Ask:
    client = openai.AsyncOpenAI(base_url=provider.openai_url, api_key="sk-test-key", http_client=http_client)

    async def ask() -> object:
        asked: Any = [{"role": "user", "content": "hello"}]
        return (await client.chat.completions.create(model=MODEL, messages=asked)).choices[0].message.content

    return ask


def _httpx(provider: StandInProvider, library: Any = httpx) -> Ask:
    client = library.AsyncClient()

    async def ask() -> object:
        return (await client.get(f"{provider.openai_url}/models")).status_code

    return ask


CLIENTS: dict[str, Callable[[StandInProvider], Ask]] = {
    "openai": _openai,
    "openai over aiohttp": lambda provider: _openai(provider, openai.DefaultAioHttpClient()),
    "httpx": _httpx,
    "httpx2": lambda provider: _httpx(provider, httpx2),
}


@pytest.mark.variants(3)
@pytest.mark.parametrize("allowed", [False, True], ids=["", "all errors allowed"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_of_an_earlier_loop_is_refused_where_its_error_is_swallowed(
    tmp_path: Path, standin_provider: StandInProvider, client: str, allowed: bool
) -> None:
    ask = CLIENTS[client](standin_provider)
    with use_cassette(tmp_path / "one.yaml", mode="all"):
        asyncio.run(ask())

    with pytest.raises(RecordingRefusedError) as caught:  # noqa: SIM117, PT012
        with use_cassette(tmp_path / "two.yaml", mode="all", allow_errors=allowed) as session:
            with contextlib.suppress(Exception):
                asyncio.run(ask())
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "the client of a live call belongs to another event loop, and the run went on as if nothing had happened; "
        "the recording is not kept"
    )
    assert lines[1].startswith("  call: #0 ")
    assert lines[2:] == [WAY_OUT]
    assert session.interactions == []
    assert len(Cassette.load(tmp_path / "one.yaml").interactions) == 1
    assert not (tmp_path / "two.yaml").exists()


@pytest.mark.parametrize("client", ["openai", "httpx", "httpx2"])
def test_the_error_says_what_happened(tmp_path: Path, standin_provider: StandInProvider, client: str) -> None:
    ask = CLIENTS[client](standin_provider)
    with use_cassette(tmp_path / "one.yaml", mode="all"):
        asyncio.run(ask())
    with pytest.raises(RuntimeError) as caught, use_cassette(tmp_path / "two.yaml", mode="all"):
        asyncio.run(ask())
    said = f"agenttape: the client of a live call belongs to another event loop, so it is not recorded\n{WAY_OUT}"
    assert caught.value.__notes__ == [said]
    assert not (tmp_path / "two.yaml").exists()


def test_a_retry_that_succeeded_is_recorded_alone(tmp_path: Path, standin_provider: StandInProvider) -> None:
    client = anthropic.AsyncAnthropic(base_url=standin_provider.anthropic_url, api_key="sk-ant-test")

    async def ask() -> object:
        asked: Any = [{"role": "user", "content": "hello"}]
        return (await client.messages.create(model=CLAUDE, max_tokens=64, messages=asked)).content

    answers = []
    for name in ("one", "two"):
        with use_cassette(tmp_path / f"{name}.yaml", mode="all") as session:
            answers.append(asyncio.run(ask()))
        assert [each.error for each in session.interactions] == [None]
    standin_provider.stop()
    for name in ("two", "one"):  # in any order, for it no longer depends on it
        with use_cassette(tmp_path / f"{name}.yaml") as session:
            assert asyncio.run(ask()) in answers
        assert session.remaining == 0


def test_a_closed_client_leaves_nothing_and_does_the_same_in_replay(recorder: Recorder) -> None:
    client = openai.OpenAI(base_url=recorder.provider.openai_url, api_key="sk-test-key")
    client.close()

    def ask() -> None:
        with pytest.raises(RuntimeError, match="client has been closed"):
            client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hello"}])

    recorder.record(ask)
    recorder.replay(ask)
    assert not recorder.path.exists()
    assert recorder.provider.hits == 0


def test_a_client_of_an_earlier_loop_is_replayed(recorder: Recorder) -> None:
    ask = _openai(recorder.provider)
    live = recorder.record(lambda: asyncio.run(ask()))
    for _ in range(2):
        assert recorder.replay(lambda: asyncio.run(ask())) == live


def test_a_stream_read_in_another_loop_is_refused(tmp_path: Path, standin_provider: StandInProvider) -> None:
    standin_provider.delivery = Delivery(chunk_delay=0.02)
    client = httpx.AsyncClient()
    asked = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "hello"}]}

    async def begin() -> httpx.Response:
        request = client.build_request("POST", f"{standin_provider.openai_url}/chat/completions", json=asked)
        return await client.send(request, stream=True)

    async def read(response: httpx.Response) -> None:
        async for _ in response.aiter_raw():
            pass

    with pytest.raises(RecordingRefusedError, match="another event loop"):  # noqa: SIM117, PT012
        with use_cassette(tmp_path / "one.yaml", mode="all"):
            response = asyncio.run(begin())
            with contextlib.suppress(RuntimeError):
                asyncio.run(read(response))


async def test_the_program_s_own_runtime_error_is_recorded_as_ever(recorder: Recorder) -> None:
    """Only what asyncio says of a loop counts."""

    class Refusing(aiohttp.TCPConnector):
        async def _create_connection(self, *_: Any, **__: Any) -> Any:
            raise RuntimeError("the event loop is closed today")

    async def ask() -> None:
        async with aiohttp.ClientSession(connector=Refusing()) as session:
            await session.get(f"{recorder.provider.openai_url}/models")

    with use_cassette(recorder.path, mode="all"), contextlib.suppress(RuntimeError):
        await ask()
    (kept,) = recorder.interactions
    assert kept.error is not None
    assert kept.error["type"] == "RuntimeError"
