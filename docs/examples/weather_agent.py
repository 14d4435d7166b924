"""An agent on the OpenAI SDK: it answers questions about the weather with one tool."""

import json
from typing import Any

from openai import OpenAI

from pytest_agenttape import tool

MODEL = "gpt-4o-mini"
INSTRUCTIONS = "You are a weather assistant. Answer in one short sentence."
STATIONS = {
    "London": {"temperature_c": 14, "conditions": "light rain"},
    "Paris": {"temperature_c": 17, "conditions": "sunny spells"},
}
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the current weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@tool
def get_weather(city: str) -> dict[str, Any]:
    """Look up the city; yours would ask a database or a service."""
    return {"city": city, **STATIONS[city]}


def ask(question: str) -> str:
    """Answer *question*, calling the tool as often as the model wants."""
    client = OpenAI()
    messages: list[Any] = [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": question},
    ]
    while True:
        completion = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        message = completion.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            if call.type == "function":
                result = get_weather(**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})


if __name__ == "__main__":
    print(ask("What is the weather in London?"))
