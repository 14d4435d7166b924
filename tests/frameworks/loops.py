"""Clients of chats, around which the agent's loop is the user's own."""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.frameworks import apis
from tests.frameworks.framework import QUESTION, Framework, around_a_tool

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-5"
PARAMETERS: Any = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Tell the weather.", "parameters": PARAMETERS},
}


class Loop(Framework):
    """A loop around a client that speaks as OpenAI's chat does: a message, or a delta, has a content and tool calls."""

    takes_async_tools = False

    def connect(self) -> Any:
        """Return the sync client, as a context."""
        raise NotImplementedError

    def connect_async(self) -> Any:
        """Return the async client, as a context."""
        raise NotImplementedError

    def ask(self, client: Any, said: list[Any], *, streamed: bool) -> Any:
        """Send what was *said*; the async client's answer may have to be awaited."""
        return client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL], stream=streamed)

    def message(self, answer: Any) -> Any:
        return answer.choices[0].message

    def delta(self, chunk: Any) -> Any:
        return chunk.choices[0].delta if chunk.choices else None

    def run(self) -> Any:
        with self.connect() as client:
            return self.talk(lambda said: [self.message(self.ask(client, said, streamed=False))])

    def stream(self) -> Any:
        with self.connect() as client:
            return self.talk(lambda said: [self.delta(chunk) for chunk in self.ask(client, said, streamed=True)])

    async def arun(self) -> Any:
        async with self.connect_async() as client:

            async def asked(said: list[Any]) -> Any:
                return [self.message(await self.ask(client, said, streamed=False))]

            return await self.talk_async(asked)

    async def astream(self) -> Any:
        async with self.connect_async() as client:

            async def asked(said: list[Any]) -> Any:
                chunks = self.ask(client, said, streamed=True)
                chunks = await chunks if inspect.isawaitable(chunks) else chunks
                return [self.delta(chunk) async for chunk in chunks]

            return await self.talk_async(asked)

    def talk(self, ask: Callable[[list[Any]], Any]) -> list[str]:
        turns = self.turns()
        try:
            said = next(turns)
            while True:
                said = turns.send(ask(said))
        except StopIteration as end:
            return list(end.value)

    async def talk_async(self, ask: Callable[[list[Any]], Any]) -> list[str]:
        turns = self.turns()
        try:
            said = next(turns)
            while True:
                said = turns.send(await ask(said))
        except StopIteration as end:
            return list(end.value)

    def turns(self) -> Generator[list[Any], Iterable[Any], list[str]]:
        """Yield what is sent; be sent the messages or deltas of the answer; return the pieces of the last one."""
        said: list[Any] = [{"role": "user", "content": QUESTION}]
        calls = [call for delta in (yield said) if delta for call in delta.tool_calls or ()]
        number = next((call.id for call in calls if getattr(call, "id", None)), "none")
        given = [call.function.arguments or "" for call in calls]
        arguments = json.loads("".join(given)) if isinstance(given[0], str) else given[0]
        said += [self.called(number, arguments), self.told(number, self.tool(**arguments))]
        return [delta.content for delta in (yield said) if delta and delta.content]

    def called(self, number: str, arguments: dict[str, Any]) -> dict[str, Any]:
        function = {"name": "get_weather", "arguments": json.dumps(arguments)}
        return {"role": "assistant", "tool_calls": [{"id": number, "type": "function", "function": function}]}

    def told(self, number: str, result: str) -> dict[str, Any]:
        return {"role": "tool", "tool_call_id": number, "content": result}


class OpenAI(Loop):
    name = "openai, chat"
    library = "openai"

    def connect(self) -> Any:
        import openai

        return openai.OpenAI()

    def connect_async(self) -> Any:
        import openai

        return openai.AsyncOpenAI()


class Groq(Loop):
    name = "groq"
    library = "groq"

    def connect(self) -> Any:
        import groq

        return groq.Groq()

    def connect_async(self) -> Any:
        import groq

        return groq.AsyncGroq()


class HuggingFace(Loop):
    name = "huggingface_hub"
    library = "huggingface_hub"

    def connect(self) -> Any:
        import huggingface_hub

        return huggingface_hub.InferenceClient(base_url=self.provider.openai_url)

    def connect_async(self) -> Any:
        import huggingface_hub

        return huggingface_hub.AsyncInferenceClient(base_url=self.provider.openai_url)


class Mistral(Loop):
    name = "mistralai"
    library = "mistralai"

    def script(self, form: str) -> None:
        if "stream" in form:
            self.provider.script(*apis.mistral_events(), to="/v1/chat/completions")
        else:
            super().script(form)

    def chat(self) -> Any:
        from mistralai.client import Mistral

        return Mistral(api_key="mistral-test-key", server_url=self.provider.url).chat

    def connect(self) -> Any:
        chat = self.chat()
        return contextlib.nullcontext((chat.complete, chat.stream))

    def connect_async(self) -> Any:
        chat = self.chat()
        return contextlib.nullcontext((chat.complete_async, chat.stream_async))

    def ask(self, client: Any, said: list[Any], *, streamed: bool) -> Any:
        return client[streamed](model=MODEL, messages=said, tools=[TOOL])

    def delta(self, chunk: Any) -> Any:
        return chunk.data.choices[0].delta


class Cohere(Loop):
    name = "cohere"
    library = "cohere"
    made = around_a_tool("cohere.chat")

    def script(self, form: str) -> None:
        self.provider.script(*apis.cohere(streamed="stream" in form), to="/v2/chat")

    def connect(self) -> Any:
        import cohere

        client = cohere.ClientV2()
        return contextlib.nullcontext((client.chat, client.chat_stream))

    def connect_async(self) -> Any:
        import cohere

        client = cohere.AsyncClientV2()
        return contextlib.nullcontext((client.chat, client.chat_stream))

    def ask(self, client: Any, said: list[Any], *, streamed: bool) -> Any:
        return client[streamed](model="command-a", messages=said, tools=[TOOL])

    def message(self, answer: Any) -> Any:
        said = answer.message
        return Said(said.content[0].text if said.content else None, said.tool_calls)

    def delta(self, chunk: Any) -> Any:
        match chunk.type:
            case "content-delta":
                return Said(chunk.delta.message.content.text)
            case "tool-call-start" | "tool-call-delta":
                return Said(tool_calls=[chunk.delta.message.tool_calls])
        return None


@dataclass
class Said:
    content: str | None = None
    tool_calls: Any = None


class Ollama(Loop):
    name = "ollama"
    library = "ollama"
    made = around_a_tool("ollama.chat")

    def script(self, form: str) -> None:
        self.provider.script(*apis.ollama(streamed="stream" in form), to="/api/chat")

    def connect(self) -> Any:
        import ollama

        return contextlib.nullcontext(ollama.Client())

    def connect_async(self) -> Any:
        import ollama

        return contextlib.nullcontext(ollama.AsyncClient())

    def ask(self, client: Any, said: list[Any], *, streamed: bool) -> Any:
        return client.chat(model="llama3.2", messages=said, tools=[self.tool], stream=streamed)

    def message(self, answer: Any) -> Any:
        return answer.message

    def delta(self, chunk: Any) -> Any:
        return chunk.message

    def called(self, number: str, arguments: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002  # it has no numbers
        return {"role": "assistant", "tool_calls": [{"function": {"name": "get_weather", "arguments": arguments}}]}

    def told(self, number: str, result: str) -> dict[str, Any]:  # noqa: ARG002  # as above
        return {"role": "tool", "tool_name": "get_weather", "content": result}


class LiteLLM(Loop):
    name = "litellm, OpenAI"
    library = "litellm"
    model: ClassVar[str] = f"openai/{MODEL}"

    def connect(self) -> Any:
        import litellm

        return contextlib.nullcontext(litellm.completion)

    def connect_async(self) -> Any:
        import litellm

        return contextlib.nullcontext(litellm.acompletion)

    def ask(self, client: Any, said: list[Any], *, streamed: bool) -> Any:
        return client(model=self.model, messages=said, tools=[TOOL], stream=streamed)


class LiteLLMAnthropic(LiteLLM):
    name = "litellm, Anthropic"
    made = around_a_tool("anthropic.messages")
    model = f"anthropic/{CLAUDE}"


FRAMEWORKS: tuple[type[Framework], ...] = (
    OpenAI,
    Mistral,
    Cohere,
    Groq,
    Ollama,
    HuggingFace,
    LiteLLM,
    LiteLLMAnthropic,
)
