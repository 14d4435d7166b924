"""The recorders that are compared, each behind the same questions: what it can call, record and replay."""

from __future__ import annotations

import atexit
import importlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import calls
from tests.benchmarks.calls import Ask

Open = Callable[[Path], AbstractContextManager[object]]
_HTTP: dict[str, Callable[..., Ask]] = {
    "httpx2 POST": calls.httpx2_post,
    "OpenAI SDK call": calls.openai_call,
    "OpenAI SDK stream": calls.openai_stream,
    "requests GET": calls.requests_get,
    "aiohttp GET": calls.aiohttp_get,
    "boto3 call": calls.boto3_call,
}


@dataclass(frozen=True, slots=True)
class Recorder:
    """One way to answer the measured calls.

    Attributes:
        name: Name in the table.
        ask: Returns the call of a kind for the provider's address; KeyError where it cannot be recorded.
        record: Opens a new cassette.
        replay: Opens a recorded one.
        in_order: Whether it only serves recordings one after the other.
    """

    name: str
    ask: Callable[[str, str], Ask]
    record: Open
    replay: Open
    in_order: bool = False


def _called(kind: str, url: str, tool: Callable[[Any], Any], *, is_stubbed: bool = False) -> Ask:
    """Return the call of a *kind*; *tool* makes a tool of a function."""
    return calls.tool_call(kind, tool) if kind in calls.TOOL_KINDS else _HTTP[kind](url, is_stubbed=is_stubbed)


def floor() -> Recorder:
    """Nothing is recorded: a stub answers in the process."""

    def ask(kind: str, url: str) -> Ask:
        return _called(kind, url, lambda body: body, is_stubbed=True)

    return Recorder("floor", ask, lambda path: nullcontext(), lambda path: nullcontext())  # noqa: ARG005  # one shape


def pytest_agenttape() -> Recorder:
    from pytest_agenttape import tool, use_cassette

    def ask(kind: str, url: str) -> Ask:
        return _called(kind, url, tool)

    return Recorder(
        "pytest-agenttape",
        ask,
        lambda path: use_cassette(path.with_suffix(".yaml"), mode="all"),
        lambda path: use_cassette(path.with_suffix(".yaml"), mode="none"),
    )


def pytest_agenttape_again() -> Recorder:
    """As in every run under pytest but the first: what a file says is kept."""
    parsed = importlib.import_module("pytest_agenttape.cassettes.parsed")
    folder = tempfile.TemporaryDirectory(prefix="benchmark-parsed-")
    atexit.register(folder.cleanup)
    parsed.keep_in(lambda: Path(folder.name))
    return replace(pytest_agenttape(), name=AGAIN)


def vcrpy() -> Recorder:
    vcr = importlib.import_module("vcr")

    # The URL of an LLM call is always the same, so vcrpy has to look at the body, too.
    tape = vcr.VCR(match_on=("method", "scheme", "host", "port", "path", "query", "body"))
    return Recorder(
        "vcrpy",
        lambda kind, url: _HTTP[kind](url, is_stubbed=False),
        lambda path: tape.use_cassette(f"{path}.yaml", record_mode="all"),
        lambda path: tape.use_cassette(f"{path}.yaml", record_mode="none"),
    )


def cassetter() -> Recorder:
    peer = importlib.import_module("cassetter")

    def opened(path: Path, mode: str) -> Any:
        return peer.use_cassette(f"{path}.yaml", record_mode=mode, match_on=["method", "uri", "body"])

    return Recorder(
        "cassetter",
        lambda kind, url: _HTTP[kind](url, is_stubbed=False),
        lambda path: opened(path, "all"),
        lambda path: opened(path, "none"),
    )


def agenttape() -> Recorder:
    peer = importlib.import_module("agenttape")

    def ask(kind: str, url: str) -> Ask:
        if not kind.startswith(("@tool", "OpenAI", "requests")):
            raise KeyError(kind)
        return _called(kind, url, peer.tool)

    def opened(path: Path, mode: str) -> Any:
        return peer.use_cassette(path.name, mode=mode, cassette_dir=path.parent)

    return Recorder("agenttape", ask, lambda path: opened(path, "record"), lambda path: opened(path, "none"))


def agentcassette() -> Recorder:
    peer = importlib.import_module("agentcassette")

    def ask(kind: str, _url: str) -> Ask:
        if kind not in calls.TOOL_KINDS:
            raise KeyError(kind)
        return calls.tool_call(kind, lambda body: peer.intercept(body, kind="tool"))

    @contextmanager
    def replay(path: Path) -> Iterator[object]:
        with peer.replay(f"{path}.json") as player:
            yield player

    return Recorder("agentcassette", ask, lambda path: peer.record(f"{path}.json"), replay, in_order=True)


AGAIN = "pytest-agenttape, parsed before"
RECORDERS: dict[str, Callable[[], Recorder]] = {
    "floor": floor,
    "pytest-agenttape": pytest_agenttape,
    AGAIN: pytest_agenttape_again,
    "vcrpy": vcrpy,
    "cassetter": cassetter,
    "agenttape": agenttape,
    "agentcassette": agentcassette,
}
