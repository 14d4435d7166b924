"""Cassettes of long conversations, whose requests repeat what was said: their size, and what opening them costs."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import httpx2

from pytest_agenttape import use_cassette
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.model import Interaction
from tests.benchmarks import table

URL = "http://127.0.0.1/v1/chat/completions"
_SIZES = (100, 1_000, 10_000)  # calls
_HISTORY = 20  # messages besides the system prompt
_FEW = 5
_HEADERS = {"content-type": "application/json", "server": "cloudflare"}
_SYSTEM = {"role": "system", "content": "\n".join(f"{at}. A rule for cases of kind {at}." for at in range(20))}
_TOOLS = [
    {
        "type": "function",
        "function": {
            "name": f"find_{what}",
            "description": f"Find {what} in the books of the shop",
            "parameters": {"type": "object", "properties": {"customer": {"type": "string"}}},
        },
    }
    for what in ("orders", "invoices", "returns", "customers")
]


def _message(number: int) -> dict[str, str]:
    text = f"Message {number}: what was said about order {number * 7}, and what is to be done about it next."
    return {"role": ("user", "assistant")[number % 2], "content": text}


def asked(number: int) -> dict[str, Any]:
    """Return the body of call *number*."""
    history = [_message(at) for at in range(number, number + _HISTORY)]
    return {"model": "gpt-4o-mini", "messages": [_SYSTEM, *history], "tools": _TOOLS}


def call(number: int) -> Interaction:
    """Return the recording of call *number*."""
    body = json.loads(json.dumps(asked(number)))  # as it would come in: nothing is shared with another call
    choice = {"index": 0, "message": _message(number + _HISTORY), "finish_reason": "stop"}
    delivery = {"date": "Mon, 24 Nov 2025 16:00:00 GMT", "x-request-id": f"req_{number}"}
    return Interaction(
        index=number,
        kind="llm",
        boundary="openai.chat",
        request={"method": "POST", "url": URL, "headers": {"content-type": "application/json"}, "json": body},
        response={"status": 200, "headers": {**_HEADERS, **delivery}, "json": {"choices": [choice]}},
        metadata={"provider": "openai", "operation": "chat", "start_ms": float(number)},
    )


def lines(work: Path, repeats: int) -> list[str]:
    """Measure cassettes of growing size."""
    rows = [("calls, each with 21 messages", "file", "write", f"open and {_FEW} calls", "open and all calls")]
    for size in _SIZES:
        path = work / f"{size}.yaml"
        cassette = Cassette(interactions=[call(number) for number in range(size)])
        wrote = _seconds(lambda path=path, cassette=cassette: cassette.save(path))
        few, every = (
            min(_seconds(lambda path=path, calls=calls: _replay(path, calls)) for _ in range(repeats))
            for calls in (_FEW, size)
        )
        shown = (table.duration(each * 1e9) for each in (wrote, few, every))
        rows.append((f"{size:,}", f"{path.stat().st_size / 1e6:.2f} MB", *shown))
    return table.aligned(rows)


def _replay(path: Path, calls: int) -> None:
    with use_cassette(path), httpx2.Client() as client:
        for number in range(calls):
            client.post(URL, json=asked(number)).raise_for_status()


def _seconds(work: Any) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
