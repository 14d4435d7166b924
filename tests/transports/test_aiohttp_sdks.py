"""SDKs whose async calls go over aiohttp, some of them below httpx: recorded once, as the LLM calls that they are."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import google.genai
import openai
import pytest
from google.genai import types

from tests.standin import error, text, tool_call
from tests.transports.conftest import Recorder
from tests.transports.test_sdks import ASKED, CLAUDE, GEMINI, MODEL, QUESTION, TOOL


class Agents:
    """What an agent does with one SDK; each method gives a transcript."""

    def __init__(self, recorder: Recorder) -> None:
        self.provider = recorder.provider

    def openai(self) -> openai.AsyncOpenAI:
        pytest.importorskip("httpx_aiohttp")
        return openai.AsyncOpenAI(
            api_key="sk-test-key", base_url=self.provider.openai_url, http_client=openai.DefaultAioHttpClient()
        )

    def anthropic(self) -> anthropic.AsyncAnthropic:
        pytest.importorskip("httpx_aiohttp")
        return anthropic.AsyncAnthropic(
            api_key="sk-ant-test", base_url=self.provider.anthropic_url, http_client=anthropic.DefaultAioHttpClient()
        )

    def gemini(self) -> google.genai.Client:
        """By its own session, which it has where aiohttp is installed."""
        return google.genai.Client(
            api_key="gemini-test", http_options=types.HttpOptions(base_url=self.provider.gemini_url)
        )

    async def openai_chat(self) -> Any:
        async with self.openai() as client:
            return (await client.chat.completions.create(model=MODEL, messages=ASKED)).model_dump()

    async def openai_streamed(self) -> Any:
        async with self.openai() as client:
            stream = await client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)
            return [chunk.model_dump() async for chunk in stream]

    async def openai_responses_streamed(self) -> Any:
        async with self.openai() as client:
            stream = await client.responses.create(model=MODEL, input=QUESTION, stream=True)
            return [event.model_dump() async for event in stream]

    async def openai_tools(self) -> Any:
        self.provider.script(tool_call("get_weather", {"city": "London"}), text("Mild."))
        messages, turns = list(ASKED), []
        async with self.openai() as client:
            for _ in range(2):
                answer = await client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
                message = answer.choices[0].message
                turns.append(message.model_dump())
                messages += [message]
                messages += [
                    {"role": "tool", "tool_call_id": call.id, "content": "14 degrees"}
                    for call in message.tool_calls or ()
                ]
        return turns

    async def openai_retried(self) -> Any:
        self.provider.script(error(429, retry_after=0), error(503))
        return await self.openai_chat()

    async def openai_gathered(self) -> Any:
        async with self.openai() as client:
            calls = (client.chat.completions.create(model=MODEL, messages=ASKED, seed=seed) for seed in range(4))
            return [answer.model_dump() for answer in await asyncio.gather(*calls)]

    async def anthropic_streamed(self) -> Any:
        async with (
            self.anthropic() as client,
            client.messages.stream(model=CLAUDE, max_tokens=64, messages=ASKED) as stream,
        ):
            return [event.model_dump() async for event in stream if event.type != "text"]

    async def gemini_chat(self) -> Any:
        async with self.gemini().aio as client:
            return (await client.models.generate_content(model=GEMINI, contents=QUESTION)).text

    async def gemini_streamed(self) -> Any:
        async with self.gemini().aio as client:
            stream = await client.models.generate_content_stream(model=GEMINI, contents=QUESTION)
            return [chunk.text async for chunk in stream]


AGENTS = [name for name in vars(Agents) if "_" in name.strip("_") and not name.startswith("_")]


@pytest.mark.parametrize("agent", AGENTS)
def test_an_sdk_is_replayed_with_the_provider_gone(recorder: Recorder, agent: str) -> None:
    run = getattr(Agents(recorder), agent)
    live = recorder.record(lambda: asyncio.run(run()))
    made = len(recorder.interactions)
    assert made == recorder.provider.hits
    assert {each.kind for each in recorder.interactions} == {"llm"}
    assert {each.boundary.partition(".")[0] for each in recorder.interactions} == {agent.partition("_")[0]}
    recorder.provider.stop()
    again = recorder.replay(lambda: asyncio.run(run()))
    assert again == live
