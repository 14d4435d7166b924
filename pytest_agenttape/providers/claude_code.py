"""Claude Code, whose program claude-agent-sdk talks to: the prompts of a conversation, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import anthropic
from pytest_agenttape.providers.tolerant import at, mappings, message, text_or_none
from pytest_agenttape.providers.view import Answer, Operation, View, Words

QUERY = "claude_code.query"


def identify(_url: str, _body: Mapping[str, JSON]) -> Operation | None:
    """Return None: no URL leads to it."""
    return None


def operation(model: JSON) -> Operation:
    """Return what a prompt asks for; the *model* may be left to the program."""
    return Operation("anthropic", "invoke_agent", QUERY, text_or_none(model))


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the system prompt, as far as the agent gives it, and the prompts so far."""
    system = body.get("system_prompt")
    given = system if isinstance(system, str) else at(system, "prompt") or at(system, "append")
    return [
        *([message("system", given)] if given else []),
        *anthropic.read_messages({"messages": body.get("messages")}),
    ]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read what the program said about one prompt; the tools that it ran itself are those that its model asked for."""
    said = [each["message"] for each in objects if each.get("type") == "assistant" and "message" in each]
    result: Mapping[str, JSON] = next((each for each in reversed(objects) if each.get("type") == "result"), {})
    answer = anthropic.read_message(
        {
            "content": [part for each in said for part in mappings(at(each, "content"))],
            "usage": result.get("usage"),
            "model": next((model for model in (at(each, "model") for each in (*said, *objects)) if model), None),
            "stop_reason": result.get("stop_reason") or result.get("subtype"),
        }
    )
    text = text_or_none(result.get("result")) or answer.text
    return replace(answer, text=text, error=_error(result) if result.get("is_error") is True else None)


def _error(result: Mapping[str, JSON]) -> str:
    errors = result.get("errors")
    told = [each for each in errors if isinstance(each, str)] if isinstance(errors, list) else []
    return "; ".join(told) or text_or_none(result.get("result")) or text_or_none(result.get("subtype")) or "error"


VIEW = View(
    provider="anthropic",
    operations={QUERY: "invoke_agent"},
    suffixes=(),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        made_up=("uuid", "session_id", "duration_ms", "duration_api_ms"),
        system_prompts=("system_prompt",),
        result_parts=("tool_result",),
        texts=("system_prompt", "thinking", "result"),
        failures={"authentication_failed": 401, "billing_error": 402, "rate_limit": 429, "server_error": 500},
        failed_reasons={  # limits that the agent sets, and its own interrupts
            "error_max_turns": 400,
            "error_max_budget_usd": 400,
            "error_during_execution": 400,
        },
    ),
)
