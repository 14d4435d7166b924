"""Runs of an agent, as recorded."""

from __future__ import annotations

from typing import Any

from pytest_agenttape import values
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.calls import ToolCall, tool_calls


def tool(
    index: int, name: str = "book", *, parent: int | None = None, kind: str = "tool", **arguments: Any
) -> Interaction:
    metadata = {} if parent is None else {"parent": parent}
    request = {"args": values.encode(arguments, "args")}
    return Interaction(index=index, kind=kind, boundary=name, request=request, response="done", metadata=metadata)


def chat(index: int, text: str = "", *asks: tuple[str, str], model: str = "gpt-4o", **usage: int) -> Interaction:
    asked = [{"id": f"c{n}", "function": {"name": name, "arguments": given}} for n, (name, given) in enumerate(asks)]
    answer = {"role": "assistant", "content": text or None, **({"tool_calls": asked} if asked else {})}
    body = {"model": f"{model}-2026-01-01", "choices": [{"index": 0, "message": answer}]}
    return Interaction(
        index=index,
        kind="llm",
        boundary="openai.chat",
        request={"method": "POST", "url": "https://api.openai.com/v1/chat/completions", "headers": {},
                 "json": {"model": model, "messages": [{"role": "user", "content": "Weather?"}]}},
        response={"status": 200, "json": body},
        usage=dict(usage) or None,
        metadata={"provider": "openai", "operation": "chat", "model": model},
    )  # fmt: skip


def calls(*named: str | tuple[str, dict[str, Any]]) -> list[ToolCall]:
    pairs = [(each, {}) if isinstance(each, str) else each for each in named]
    return tool_calls([tool(n, name, **arguments) for n, (name, arguments) in enumerate(pairs)])
