"""Claude Code: the prompts of a conversation, and what the program says about one."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import Answer, RequestedTool, identify, read_answer, read_messages
from pytest_agenttape.providers.claude_code import operation

QUERY = operation("claude-opus")
USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 5}
TOKENS = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "cached_tokens": 3}


def said(*content: Any) -> dict[str, JSON]:
    return {"data": {"type": "assistant", "message": {"model": "claude-opus-4", "content": [*content]}}}


def text(words: str) -> dict[str, JSON]:
    return {"type": "text", "text": words}


def result(**fields: JSON) -> dict[str, JSON]:
    return {"data": {"type": "result", "subtype": "success", "usage": USAGE, **fields}}


BASH = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "ls"}}
SENT = {"sent": {"type": "control_response", "response": {"subtype": "success", "response": {"behavior": "allow"}}}}


@pytest.mark.parametrize(
    ("events", "answer"),
    [
        (
            [said(text("I look.")), said(BASH), SENT, said(text("a README")), result(result="a README")],
            Answer("a README", (RequestedTool("t1", "Bash", {"command": "ls"}),), TOKENS, "claude-opus-4", "success"),
        ),
        ([said(text("I lo"))], Answer("I lo", model="claude-opus-4")),
        (
            [result(subtype="error_max_turns", is_error=True, errors=["too many turns"])],
            Answer(usage=TOKENS, finish_reason="error_max_turns", error="too many turns"),
        ),
        ([], Answer()),
    ],
    ids=["whole", "left early", "failed", "nothing"],
)
def test_an_answer_has_the_last_words_the_tools_that_ran_and_the_tokens(
    events: list[dict[str, JSON]], answer: Answer
) -> None:
    assert read_answer(QUERY, {"events": events}) == answer


@pytest.mark.parametrize(
    ("system", "shown"),
    [
        ("Be brief.", [{"role": "system", "content": "Be brief."}]),
        (
            {"type": "preset", "preset": "claude_code", "append": "Be brief."},
            [{"role": "system", "content": "Be brief."}],
        ),
        ({"type": "preset", "preset": "claude_code"}, []),
        (None, []),
    ],
)
def test_the_messages_are_the_prompts_below_the_agents_own_system_prompt(system: JSON, shown: list[JSON]) -> None:
    body = {"system_prompt": system, "messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}
    prompts = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    assert read_messages(QUERY, {"json": body}) == [*shown, *prompts]


def test_no_request_over_http_is_one() -> None:
    assert identify("POST", "https://api.test/claude_code.query", {"messages": [{"role": "user"}]}) is None
