"""Recorded calls of each kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_agenttape.model import Cassette, Interaction


def tool(index: int = 0, name: str = "get_weather", result: Any = "sunny", **arguments: Any) -> Interaction:
    return Interaction(index=index, kind="tool", boundary=name, request={"args": arguments}, response=result)


def http(
    index: int = 0, url: str = "https://api.example.com/v1", *, method: str = "GET", **request: Any
) -> Interaction:
    return Interaction(
        index=index,
        kind="http",
        request={"method": method, "url": url, "headers": {}, **request},
        response={"status": 200, "headers": {}, "json": {"ok": True}},
    )


def chat(index: int, *said: str, answer: str = "ok", run: int = 0, **body: Any) -> Interaction:
    """An OpenAI chat call; `said` alternates system, user, assistant, tool."""
    roles = ("system", "user", "assistant", "tool")
    messages = [{"role": roles[min(n, 3)], "content": text} for n, text in enumerate(said)]
    return Interaction(
        index=index,
        kind="llm",
        boundary="openai.chat",
        request={
            "method": "POST",
            "url": "https://api.openai.com/v1/chat/completions",
            "headers": {"user-agent": f"sdk/{run}"},
            "json": {"model": "gpt-4o", "messages": messages, **body},
        },
        response={
            "status": 200,
            "headers": {"date": f"day {run}", "x-request-id": f"req_{run}", "content-type": "application/json"},
            "json": {
                "id": f"chatcmpl-{run}",
                "created": run,
                "system_fingerprint": f"fp_{run}",
                "choices": [{"message": {"role": "assistant", "content": answer}}],
            },
        },
        usage={"input_tokens": 10, "output_tokens": 2, "total_tokens": 12},
    )


def cassette(*interactions: Interaction) -> Cassette:
    return Cassette(interactions=[replace(each, index=n) for n, each in enumerate(interactions)])
