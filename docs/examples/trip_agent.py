"""An agent on the Anthropic SDK: async and streamed, with two tools and a callback for each piece of text."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from anthropic import AsyncAnthropic
from anthropic.types import ToolUseBlock

from pytest_agenttape import tool

MODEL = "claude-haiku-4-5"
TOOLS: Any = [
    {
        "name": "find_trains",
        "description": "Find trains to a city",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {
        "name": "find_hotels",
        "description": "Find hotels and rooms in a city",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
]


@tool
async def find_trains(city: str) -> dict[str, Any]:
    """Ask the railway, which takes a moment to answer."""
    await asyncio.sleep(0.05)
    return {"train": f"the 09:31 to {city}", "seats": 12}


@tool
async def find_hotels(city: str) -> dict[str, Any]:
    """Ask the hotels."""
    await asyncio.sleep(0.05)
    return {"hotel": f"Grand {city}", "rooms": 3}


HANDS: dict[str, Callable[..., Awaitable[dict[str, Any]]]] = {"find_trains": find_trains, "find_hotels": find_hotels}


def show_at_once(piece: str) -> None:
    """Print a piece of text as it arrives."""
    print(piece, end="", flush=True)


async def plan(request: str, show: Callable[[str], None] = show_at_once) -> str:
    """Answer *request*; *show* gets each piece of text as soon as the model writes it."""
    async with AsyncAnthropic() as client:
        messages: list[Any] = [{"role": "user", "content": request}]
        while True:
            async with client.messages.stream(model=MODEL, max_tokens=1024, messages=messages, tools=TOOLS) as stream:
                async for piece in stream.text_stream:
                    show(piece)
                message = await stream.get_final_message()
            calls = [block for block in message.content if block.type == "tool_use"]
            if not calls:
                return "".join(block.text for block in message.content if block.type == "text")
            messages.append({"role": "assistant", "content": message.content})
            messages.append({"role": "user", "content": await asyncio.gather(*map(use, calls))})


async def use(call: ToolUseBlock) -> dict[str, Any]:
    """Run the tool that the model asks for; several can run at the same time."""
    result = await HANDS[call.name](**dict(call.input))
    return {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(result)}


if __name__ == "__main__":
    asyncio.run(plan("Find me trains to Lisbon"))
