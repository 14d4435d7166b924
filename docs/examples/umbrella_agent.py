"""An agent that calls a weather service with requests: directly, and inside a tool."""

import json
import os
from typing import Any

import requests
from openai import OpenAI

from pytest_agenttape import tool

MODEL = "gpt-4o-mini"
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "fetch_forecast",
            "description": "Fetch the forecast for a city: rain, temperature, whether an umbrella is needed",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


def fetch(city: str) -> dict[str, Any]:
    """Ask the weather service."""
    response = requests.get(f"{os.environ['WEATHER_API_URL']}/weather", params={"city": city}, timeout=10)
    response.raise_for_status()
    found: dict[str, Any] = response.json()
    return found


@tool
def fetch_forecast(city: str) -> dict[str, Any]:
    """Offer the weather service to the model as a tool; the request made here belongs to the tool."""
    return fetch(city)


def needs_umbrella(city: str) -> bool:
    """Decide without a model: one plain HTTP request."""
    return "rain" in fetch(city)["conditions"]


def advise(question: str) -> str:
    """Decide with a model, which may fetch one forecast."""
    client = OpenAI()
    messages: list[Any] = [{"role": "user", "content": question}]
    asked = client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message
    if not asked.tool_calls:
        return asked.content or ""
    messages.append(asked.model_dump(exclude_none=True))
    for call in asked.tool_calls:
        if call.type == "function":
            forecast = fetch_forecast(**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(forecast)})
    return client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS).choices[0].message.content or ""


if __name__ == "__main__":
    print(advise("Do I need an umbrella in London?"))
