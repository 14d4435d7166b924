"""Clients of providers that are no chats of OpenAI's kind, or have an agent's loop of their own."""

from __future__ import annotations

import inspect
import json
from typing import Any, ClassVar

from tests.frameworks import apis
from tests.frameworks.framework import ANSWER, QUESTION, Framework, around_a_tool
from tests.frameworks.loops import CLAUDE, MODEL, PARAMETERS
from tests.standin import tool_call
from tests.transports import amazon

GEMINI = "gemini-2.5-flash"


class OpenAIResponses(Framework):
    name = "openai, responses"
    library = "openai"
    made = around_a_tool("openai.responses")
    takes_async_tools = False
    tools: Any = ({"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False},)

    def told(self, answer: Any) -> Any:
        call = next(item for item in answer.output if item.type == "function_call")
        output = self.tool(**json.loads(call.arguments))
        return {
            "previous_response_id": answer.id,
            "input": [{"type": "function_call_output", "call_id": call.call_id, "output": output}],
        }

    def run(self) -> Any:
        import openai

        create = openai.OpenAI().responses.create
        asked = create(model=MODEL, input=QUESTION, tools=self.tools)
        return create(model=MODEL, tools=self.tools, **self.told(asked)).output_text

    def stream(self) -> Any:
        import openai

        stream = openai.OpenAI().responses.stream
        with stream(model=MODEL, input=QUESTION, tools=self.tools) as events:
            asked = events.get_final_response()
        with stream(model=MODEL, tools=self.tools, **self.told(asked)) as events:
            return [event.delta for event in events if event.type == "response.output_text.delta"]

    async def arun(self) -> Any:
        import openai

        async with openai.AsyncOpenAI() as client:
            asked = await client.responses.create(model=MODEL, input=QUESTION, tools=self.tools)
            return (await client.responses.create(model=MODEL, tools=self.tools, **self.told(asked))).output_text

    async def astream(self) -> Any:
        import openai

        async with openai.AsyncOpenAI() as client:
            async with client.responses.stream(model=MODEL, input=QUESTION, tools=self.tools) as events:
                asked = await events.get_final_response()
            async with client.responses.stream(model=MODEL, tools=self.tools, **self.told(asked)) as events:
                return [event.delta async for event in events if event.type == "response.output_text.delta"]


class Anthropic(Framework):
    name = "anthropic"
    library = "anthropic"
    made = around_a_tool("anthropic.messages")
    written = "beta_tool"
    asked: ClassVar[Any] = {"model": CLAUDE, "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}

    def decorated(self, function: Any) -> Any:
        import anthropic

        return (anthropic.beta_async_tool if inspect.iscoroutinefunction(function) else anthropic.beta_tool)(function)

    def run(self) -> Any:
        import anthropic

        runner = anthropic.Anthropic().beta.messages.tool_runner(tools=[self.tool], **self.asked)
        return runner.until_done().content[0].text

    def stream(self) -> Any:
        import anthropic

        runner = anthropic.Anthropic().beta.messages.tool_runner(tools=[self.tool], stream=True, **self.asked)
        return [event.text for stream in runner for event in stream if event.type == "text"]

    async def arun(self) -> Any:
        import anthropic

        async with anthropic.AsyncAnthropic() as client:
            runner = client.beta.messages.tool_runner(tools=[self.tool], **self.asked)
            return (await runner.until_done()).content[0].text

    async def astream(self) -> Any:
        import anthropic

        async with anthropic.AsyncAnthropic() as client:
            runner = client.beta.messages.tool_runner(tools=[self.tool], stream=True, **self.asked)
            return [event.text async for stream in runner async for event in stream if event.type == "text"]


class Gemini(Framework):
    name = "google-genai"
    library = "google.genai"
    made = around_a_tool("gemini.generate_content")

    def asked(self) -> Any:
        return {"model": GEMINI, "contents": QUESTION, "config": {"tools": [self.tool]}}

    def run(self) -> Any:
        import google.genai

        with google.genai.Client() as client:
            return client.models.generate_content(**self.asked()).text

    def stream(self) -> Any:
        import google.genai

        with google.genai.Client() as client:
            return [chunk.text for chunk in client.models.generate_content_stream(**self.asked()) if chunk.text]

    async def arun(self) -> Any:
        import google.genai

        async with google.genai.Client().aio as client:
            return (await client.models.generate_content(**self.asked())).text

    async def astream(self) -> Any:
        import google.genai

        async with google.genai.Client().aio as client:
            stream = await client.models.generate_content_stream(**self.asked())
            return [chunk.text async for chunk in stream if chunk.text]


class Instructor(Framework):
    name = "instructor"
    library = "instructor"
    takes_async_tools = False

    def script(self, form: str) -> None:  # noqa: ARG002  # a stream is asked for in the same way
        self.provider.script(tool_call("City", {"city": "London"}), tool_call("Said", {"text": ANSWER}))

    def models(self) -> Any:
        import pydantic

        return pydantic.create_model("City", city=str), pydantic.create_model("Said", text=str)

    def asked(self, words: str, answer: Any) -> Any:
        return {"messages": [{"role": "user", "content": words}], "response_model": answer}

    def run(self) -> Any:
        import instructor

        city, said = self.models()
        client = instructor.from_provider(f"openai/{MODEL}")
        found = client.create(**self.asked(QUESTION, city))
        return client.create(**self.asked(self.tool(found.city), said)).text

    def stream(self) -> Any:
        import instructor

        city, said = self.models()
        client = instructor.from_provider(f"openai/{MODEL}")
        *_, found = client.create_partial(**self.asked(QUESTION, city))
        return [part.text for part in client.create_partial(**self.asked(self.tool(found.city), said))]

    async def arun(self) -> Any:
        import instructor

        city, said = self.models()
        client = instructor.from_provider(f"openai/{MODEL}", async_client=True)
        found = await client.create(**self.asked(QUESTION, city))
        return (await client.create(**self.asked(self.tool(found.city), said))).text

    async def astream(self) -> Any:
        import instructor

        city, said = self.models()
        client = instructor.from_provider(f"openai/{MODEL}", async_client=True)
        found = [part async for part in client.create_partial(**self.asked(QUESTION, city))][-1]
        return [part.text async for part in client.create_partial(**self.asked(self.tool(found.city), said))]


class Boto3(Framework):
    name = "boto3 (Bedrock)"
    library = "boto3"
    made = around_a_tool("bedrock.converse")

    def script(self, form: str) -> None:
        operation = "converse-stream" if form == "stream" else "converse"
        self.provider.script(*apis.bedrock(streamed=form == "stream"), to=amazon.path_of(operation))

    def asked(self) -> Any:
        schema = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": PARAMETERS}}}
        return {"modelId": amazon.MODEL, "toolConfig": {"tools": [schema]}}

    def told(self, number: str, arguments: dict[str, Any]) -> list[Any]:
        used = {"toolUse": {"toolUseId": number, "name": "get_weather", "input": arguments}}
        result = {"toolUseId": number, "content": [{"text": self.tool(**arguments)}]}
        return [
            {"role": "user", "content": [{"text": QUESTION}]},
            {"role": "assistant", "content": [used]},
            {"role": "user", "content": [{"toolResult": result}]},
        ]

    def run(self) -> Any:
        import boto3

        converse = boto3.client("bedrock-runtime").converse
        asked = converse(messages=amazon.ASKED, **self.asked())
        used = asked["output"]["message"]["content"][0]["toolUse"]
        said = converse(messages=self.told(used["toolUseId"], used["input"]), **self.asked())
        return said["output"]["message"]["content"][0]["text"]

    def stream(self) -> Any:
        import boto3

        converse = boto3.client("bedrock-runtime").converse_stream
        events = [*converse(messages=amazon.ASKED, **self.asked())["stream"]]
        started = next(event["contentBlockStart"]["start"] for event in events if "contentBlockStart" in event)
        pieces = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
        arguments = json.loads("".join(piece["toolUse"]["input"] for piece in pieces))
        told = self.told(started["toolUse"]["toolUseId"], arguments)
        events = [*converse(messages=told, **self.asked())["stream"]]
        return [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]


FRAMEWORKS: tuple[type[Framework], ...] = (OpenAIResponses, Anthropic, Gemini, Boto3, Instructor)
