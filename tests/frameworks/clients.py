"""Clients of providers: the agent's loop is the user's own, unless the client has one."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterable
from typing import Any

from tests.frameworks import apis
from tests.frameworks.framework import ANSWER, QUESTION, Framework, around_a_tool
from tests.standin import tool_call
from tests.transports import amazon

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-5"
GEMINI = "gemini-2.5-flash"
PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Tell the weather.", "parameters": PARAMETERS},
}


class _Loop(Framework):
    """A loop around a client that speaks as OpenAI's chat does: a message, or its deltas, has a content and tool calls."""

    takes_async_tools = False

    def turns(self) -> Generator[list[Any], Iterable[Any], list[str]]:
        """Yield what is sent; be sent the deltas of the answer; return the pieces of the last one."""
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        calls = [call for delta in (yield messages) for call in delta.tool_calls or ()]
        number = next((call.id for call in calls if getattr(call, "id", None)), "none")
        given = [call.function.arguments or "" for call in calls]
        arguments = given[0] if isinstance(given[0], dict) else json.loads("".join(given))
        messages += [self.asked(number, arguments), self.told(number, self.tool(**arguments))]
        return [delta.content for delta in (yield messages) if delta.content]

    def asked(self, number: str, arguments: dict[str, Any]) -> dict[str, Any]:
        function = {"name": "get_weather", "arguments": json.dumps(arguments)}
        return {"role": "assistant", "tool_calls": [{"id": number, "type": "function", "function": function}]}

    def told(self, number: str, result: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": number, "content": result}

    def talk(self, ask: Callable[[list[Any]], Iterable[Any]]) -> list[str]:
        turns = self.turns()
        try:
            messages = next(turns)
            while True:
                messages = turns.send([*ask(messages)])
        except StopIteration as end:
            return list(end.value)

    async def talk_async(self, ask: Callable[[list[Any]], Any]) -> list[str]:
        turns = self.turns()
        messages = next(turns)
        try:
            while True:
                messages = turns.send(await ask(messages))
        except StopIteration as end:
            return list(end.value)


def message(answer: Any) -> list[Any]:
    return [answer.choices[0].message]


def deltas(chunks: Iterable[Any]) -> list[Any]:
    return [chunk.choices[0].delta for chunk in chunks if chunk.choices]


async def deltas_async(chunks: Any) -> list[Any]:
    return [chunk.choices[0].delta async for chunk in chunks if chunk.choices]


class OpenAI(_Loop):
    name = "openai, chat"
    library = "openai"

    def run(self) -> Any:
        import openai

        create = openai.OpenAI().chat.completions.create
        return self.talk(lambda said: message(create(model=MODEL, messages=said, tools=[TOOL])))

    def stream(self) -> Any:
        import openai

        create = openai.OpenAI().chat.completions.create
        return self.talk(lambda said: deltas(create(model=MODEL, messages=said, tools=[TOOL], stream=True)))

    async def arun(self) -> Any:
        import openai

        async with openai.AsyncOpenAI() as client:

            async def ask(said: Any) -> Any:
                return message(await client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL]))

            return await self.talk_async(ask)

    async def astream(self) -> Any:
        import openai

        async with openai.AsyncOpenAI() as client:

            async def ask(said: Any) -> Any:
                return await deltas_async(
                    await client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL], stream=True)
                )

            return await self.talk_async(ask)


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
    asked: Any = {"model": CLAUDE, "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}]}

    def decorated(self, function: Any) -> Any:
        import inspect

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


class Cohere(_Loop):
    name = "cohere"
    library = "cohere"
    made = around_a_tool("cohere.chat")
    asked_of: Any = {"model": "command-a", "tools": [TOOL]}

    def script(self, form: str) -> None:
        self.provider.script(*apis.cohere(streamed="stream" in form), to="/v2/chat")

    def run(self) -> Any:
        import cohere

        client = cohere.ClientV2()
        return self.talk(lambda said: [self.whole(client.chat(messages=said, **self.asked_of).message)])

    def stream(self) -> Any:
        import cohere

        client = cohere.ClientV2()
        return self.talk(lambda said: self.pieces(client.chat_stream(messages=said, **self.asked_of)))

    async def arun(self) -> Any:
        import cohere

        async with cohere.AsyncClientV2() as client:

            async def ask(said: Any) -> Any:
                return [self.whole((await client.chat(messages=said, **self.asked_of)).message)]

            return await self.talk_async(ask)

    async def astream(self) -> Any:
        import cohere

        async with cohere.AsyncClientV2() as client:

            async def ask(said: Any) -> Any:
                return self.pieces([event async for event in client.chat_stream(messages=said, **self.asked_of)])

            return await self.talk_async(ask)

    def whole(self, said: Any) -> Any:
        return _Said(said.content[0].text if said.content else None, said.tool_calls)

    def pieces(self, events: Iterable[Any]) -> list[Any]:
        parts = [(event.type, event.delta.message) for event in events if "-delta" in event.type or "-start" in event.type]
        return [
            _Said(part.content.text if kind == "content-delta" else None, [part.tool_calls] if "tool" in kind else None)
            for kind, part in parts
        ]


class _Said:
    def __init__(self, content: str | None, tool_calls: Any) -> None:
        self.content, self.tool_calls = content, tool_calls


class Mistral(_Loop):
    name = "mistralai"
    library = "mistralai"

    def script(self, form: str) -> None:
        if "stream" not in form:
            return super().script(form)
        return self.provider.script(*apis.mistral_events(), to="/v1/chat/completions")

    def client(self) -> Any:
        from mistralai.client import Mistral

        return Mistral(api_key="mistral-test-key", server_url=self.provider.url)

    def run(self) -> Any:
        with self.client() as client:
            return self.talk(lambda said: message(client.chat.complete(model=MODEL, messages=said, tools=[TOOL])))

    def stream(self) -> Any:
        with self.client() as client:
            return self.talk(
                lambda said: deltas(
                    event.data for event in client.chat.stream(model=MODEL, messages=said, tools=[TOOL])
                )
            )

    async def arun(self) -> Any:
        async with self.client() as client:

            async def ask(said: Any) -> Any:
                return message(await client.chat.complete_async(model=MODEL, messages=said, tools=[TOOL]))

            return await self.talk_async(ask)

    async def astream(self) -> Any:
        async with self.client() as client:

            async def ask(said: Any) -> Any:
                stream = await client.chat.stream_async(model=MODEL, messages=said, tools=[TOOL])
                return deltas([event.data async for event in stream])

            return await self.talk_async(ask)


class Groq(_Loop):
    name = "groq"
    library = "groq"

    def run(self) -> Any:
        import groq

        create = groq.Groq().chat.completions.create
        return self.talk(lambda said: message(create(model=MODEL, messages=said, tools=[TOOL])))

    def stream(self) -> Any:
        import groq

        create = groq.Groq().chat.completions.create
        return self.talk(lambda said: deltas(create(model=MODEL, messages=said, tools=[TOOL], stream=True)))

    async def arun(self) -> Any:
        import groq

        async with groq.AsyncGroq() as client:

            async def ask(said: Any) -> Any:
                return message(await client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL]))

            return await self.talk_async(ask)

    async def astream(self) -> Any:
        import groq

        async with groq.AsyncGroq() as client:

            async def ask(said: Any) -> Any:
                return await deltas_async(
                    await client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL], stream=True)
                )

            return await self.talk_async(ask)


class Ollama(_Loop):
    name = "ollama"
    library = "ollama"
    made = around_a_tool("ollama.chat")

    def script(self, form: str) -> None:
        self.provider.script(*apis.ollama(streamed="stream" in form), to="/api/chat")

    def asked(self, number: str, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # it has no numbers
        return {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": arguments}}]}

    def told(self, number: str, result: str) -> dict[str, Any]:  # noqa: ARG002  # as above
        return {"role": "tool", "tool_name": "get_weather", "content": result}

    def run(self) -> Any:
        import ollama

        chat = ollama.Client().chat
        return self.talk(lambda said: [chat(model="llama3.2", messages=said, tools=[self.tool]).message])

    def stream(self) -> Any:
        import ollama

        chat = ollama.Client().chat
        return self.talk(
            lambda said: [
                part.message for part in chat(model="llama3.2", messages=said, tools=[self.tool], stream=True)
            ]
        )

    async def arun(self) -> Any:
        import ollama

        async def ask(said: Any) -> Any:
            return [(await ollama.AsyncClient().chat(model="llama3.2", messages=said, tools=[self.tool])).message]

        return await self.talk_async(ask)

    async def astream(self) -> Any:
        import ollama

        async def ask(said: Any) -> Any:
            stream = await ollama.AsyncClient().chat(
                model="llama3.2", messages=said, tools=[self.tool], stream=True
            )
            return [part.message async for part in stream]

        return await self.talk_async(ask)


class HuggingFace(_Loop):
    name = "huggingface_hub"
    library = "huggingface_hub"
    asked_of: Any = {"model": MODEL, "tools": [TOOL]}

    def run(self) -> Any:
        import huggingface_hub

        client = huggingface_hub.InferenceClient(base_url=self.provider.openai_url)
        return self.talk(lambda said: message(client.chat_completion(said, **self.asked_of)))

    def stream(self) -> Any:
        import huggingface_hub

        client = huggingface_hub.InferenceClient(base_url=self.provider.openai_url)
        return self.talk(lambda said: deltas(client.chat_completion(said, stream=True, **self.asked_of)))

    async def arun(self) -> Any:
        import huggingface_hub

        async with huggingface_hub.AsyncInferenceClient(base_url=self.provider.openai_url) as client:

            async def ask(said: Any) -> Any:
                return message(await client.chat_completion(said, **self.asked_of))

            return await self.talk_async(ask)

    async def astream(self) -> Any:
        import huggingface_hub

        async with huggingface_hub.AsyncInferenceClient(base_url=self.provider.openai_url) as client:

            async def ask(said: Any) -> Any:
                return await deltas_async(await client.chat_completion(said, stream=True, **self.asked_of))

            return await self.talk_async(ask)


class LiteLLM(_Loop):
    name = "litellm"
    library = "litellm"
    asked_of: Any = {"model": f"openai/{MODEL}", "tools": [TOOL]}

    def run(self) -> Any:
        import litellm

        return self.talk(lambda said: message(litellm.completion(messages=said, **self.asked_of)))

    def stream(self) -> Any:
        import litellm

        return self.talk(lambda said: deltas(litellm.completion(messages=said, stream=True, **self.asked_of)))

    async def arun(self) -> Any:
        import litellm

        async def ask(said: Any) -> Any:
            return message(await litellm.acompletion(messages=said, **self.asked_of))

        return await self.talk_async(ask)

    async def astream(self) -> Any:
        import litellm

        async def ask(said: Any) -> Any:
            return await deltas_async(await litellm.acompletion(messages=said, stream=True, **self.asked_of))

        return await self.talk_async(ask)


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


FRAMEWORKS: tuple[type[Framework], ...] = (
    OpenAI,
    OpenAIResponses,
    Anthropic,
    Gemini,
    Boto3,
    Cohere,
    Mistral,
    Groq,
    Ollama,
    HuggingFace,
    LiteLLM,
    Instructor,
)
