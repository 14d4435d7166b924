"""A long conversation with an agent on the OpenAI SDK: twelve turns, each with a tool, over a long prompt."""

from __future__ import annotations

import json
from typing import Any

from openai import OpenAI

from pytest_agenttape import tool
from tests import standin
from tests.standin import StandInProvider

TURNS = 12
_SUBJECTS = ("orders", "invoices", "shipments", "returns", "customers", "products", "suppliers", "warehouses")
PROMPT = "\n".join(
    [
        "You are the back office assistant of a shop that sells garden furniture.",
        *(
            f"{number}. When a colleague asks about a case of kind {number}, look it up first, then answer briefly."
            for number in range(1, 40)
        ),
    ]
)


def _schema(subject: str) -> dict[str, Any]:
    day = {"type": "string", "format": "date", "description": "A day, such as 2026-05-31; days are those of the shop"}
    money = {
        "type": "object",
        "description": "An amount of money",
        "properties": {
            "amount": {"type": "number", "minimum": 0, "description": "How much, with two decimals"},
            "currency": {"type": "string", "enum": ["EUR", "USD", "GBP", "CHF"], "description": "By ISO 4217"},
        },
        "required": ["amount", "currency"],
    }
    fields = {
        "customer_id": {"type": "string", "description": "The customer's number, such as C-10442"},
        "text": {"type": "string", "description": f"Words that the {subject} contain, in any order"},
        "status": {
            "type": "array",
            "items": {"type": "string", "enum": ["open", "paid", "late", "closed", "cancelled"]},
            "description": "Only those with one of these; all if it is left out",
        },
        "since": day,
        "until": day,
        "at_least": money,
        "at_most": money,
        "sort": {
            "type": "object",
            "description": "The order of the results",
            "properties": {
                "field": {"type": "string", "enum": ["date", "amount", "customer"], "description": "What decides"},
                "direction": {"type": "string", "enum": ["ascending", "descending"], "description": "Which is first"},
            },
            "required": ["field"],
        },
        "limit": {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most"},
    }
    parameters = {"type": "object", "properties": fields, "required": ["customer_id"], "additionalProperties": False}
    about = f"Find {subject} in the shop's books. Returns at most a hundred, the newest first."
    return {"type": "function", "function": {"name": f"find_{subject}", "description": about, "parameters": parameters}}


TOOLS: Any = [_schema(subject) for subject in _SUBJECTS]


@tool
def find(subject: str, customer_id: str) -> list[dict[str, Any]]:
    """Look something up in the shop's books."""
    return [
        {"id": f"{subject[:3].upper()}-{number}", "customer_id": customer_id, "status": "open", "amount": 19.5 * number}
        for number in range(1, 3)
    ]


def script(provider: StandInProvider, turns: int = TURNS) -> None:
    """Tell *provider* what the model says in *turns* turns."""
    for turn in range(turns):
        subject = _SUBJECTS[turn % len(_SUBJECTS)]
        provider.script(
            standin.tool_call(f"find_{subject}", {"customer_id": f"C-{10440 + turn}"}),
            standin.text(
                f"Customer C-{10440 + turn} has two {subject}, both of them open: of 19.50 and of 39.00 euros.\n"
                "Shall I send a reminder for one of them?"
            ),
        )


def talk(client: OpenAI, turns: int = TURNS, prompt: str = PROMPT) -> list[str]:
    """Hold the conversation; return the answers."""
    messages: list[Any] = [{"role": "system", "content": prompt}]
    answers = []
    for turn in range(turns):
        subject = _SUBJECTS[turn % len(_SUBJECTS)]
        messages.append({"role": "user", "content": f"Which {subject} does customer C-{10440 + turn} have with us?"})
        while True:
            said = client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS)
            message = said.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                answers.append(message.content or "")
                break
            for call in message.tool_calls:
                name, arguments = call.function.name, json.loads(call.function.arguments)
                found = find(name.removeprefix("find_"), **arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)})
    return answers
