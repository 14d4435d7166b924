"""Frameworks with an agent of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.frameworks import apis
from tests.frameworks.framework import ANSWER, QUESTION, Framework, around_a_tool, told
from tests.standin import text, tool_call
from tests.transports import amazon

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-5"
GEMINI = "gemini-2.5-flash"


class OpenAIAgents(Framework):
    name = "openai-agents"
    library = "agents"
    made = around_a_tool("openai.responses")
    written = "function_tool"
    reports = "the OpenAI Agents SDK"

    def report(self) -> None:
        from agents import flush_traces

        flush_traces()

    def decorated(self, function: Any) -> Any:
        from agents import function_tool

        return function_tool(function)

    def agent(self) -> Any:
        from agents import Agent

        return Agent(name="Weather", model=MODEL, tools=[self.tool])

    def run(self) -> Any:
        from agents import Runner

        return Runner.run_sync(self.agent(), QUESTION).final_output

    async def arun(self) -> Any:
        from agents import Runner

        return (await Runner.run(self.agent(), QUESTION)).final_output

    async def astream(self) -> Any:
        from agents import Runner

        events = Runner.run_streamed(self.agent(), QUESTION).stream_events()
        return [
            event.data.delta
            async for event in events
            if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
        ]


class PydanticAI(Framework):
    """An agent of Pydantic AI with OpenAI's model."""

    name = "pydantic-ai, OpenAI"
    library = "pydantic_ai.models.openai"
    written = "agent.tool_plain"

    def decorated(self, function: Any) -> Any:
        from pydantic_ai import Agent

        self.agent = Agent(self.model())
        return self.agent.tool_plain(function)

    def with_context(self, function: Any) -> Any:
        from pydantic_ai import Agent

        self.agent = Agent(self.model())
        return self.agent.tool(function)

    def model(self) -> Any:
        return f"openai-chat:{MODEL}"

    def run(self) -> Any:
        return self.agent.run_sync(QUESTION).output

    def stream(self) -> Any:
        return [*self.agent.run_stream_sync(QUESTION).stream_text(delta=True, debounce_by=None)]

    async def arun(self) -> Any:
        return (await self.agent.run(QUESTION)).output

    async def astream(self) -> Any:
        async with self.agent.run_stream(QUESTION) as run:
            return [piece async for piece in run.stream_text(delta=True, debounce_by=None)]


class PydanticAIAnthropic(PydanticAI):
    name = "pydantic-ai, Anthropic"
    library = "pydantic_ai.models.anthropic"
    made = around_a_tool("anthropic.messages")

    def model(self) -> Any:
        return f"anthropic:{CLAUDE}"


class PydanticAIBedrock(PydanticAI):
    name = "pydantic-ai, Bedrock"
    library = "pydantic_ai.models.bedrock"
    made = around_a_tool("bedrock.converse")

    def model(self) -> Any:
        return f"bedrock:{amazon.MODEL}"

    def script(self, form: str) -> None:  # noqa: ARG002  # newer releases stream in every form
        self.provider.script(*apis.bedrock(streamed=False), to=amazon.path_of("converse"))
        self.provider.script(*apis.bedrock(streamed=True), to=amazon.path_of("converse-stream"))


class Strands(Framework):
    name = "strands-agents, Bedrock"
    library = "strands"
    made = around_a_tool("bedrock.converse")
    written = "tool"

    def script(self, form: str) -> None:  # noqa: ARG002  # it always streams
        self.provider.script(*apis.bedrock(streamed=True), to=amazon.path_of("converse-stream"))

    def decorated(self, function: Any) -> Any:
        from strands import tool

        return tool(function)

    def with_context(self, function: Any) -> Any:
        from strands import tool

        return tool(context=True)(function)

    def model(self) -> Any:
        return amazon.MODEL

    def agent(self) -> Any:
        from strands import Agent

        return Agent(model=self.model(), tools=[self.tool], callback_handler=None)

    def run(self) -> Any:
        return str(self.agent()(QUESTION))

    async def arun(self) -> Any:
        return str(await self.agent().invoke_async(QUESTION))

    async def astream(self) -> Any:
        return [event["data"] async for event in self.agent().stream_async(QUESTION) if "data" in event]


class StrandsOpenAI(Strands):
    name = "strands-agents, OpenAI"
    library = "strands.models.openai"
    made = around_a_tool("openai.chat")

    def script(self, form: str) -> None:
        Framework.script(self, form)

    def model(self) -> Any:
        from strands.models.openai import OpenAIModel

        return OpenAIModel(model_id=MODEL)


class GoogleADK(Framework):
    name = "google-adk"
    library = "google.adk"
    made = around_a_tool("gemini.generate_content")

    def runner(self) -> Any:
        from google.adk.agents import Agent
        from google.adk.runners import InMemoryRunner

        agent = Agent(name="weather", model=GEMINI, tools=[self.tool])
        return InMemoryRunner(agent=agent, app_name="matrix")

    def asked(self, session: Any) -> Any:
        from google.genai import types

        words = types.Content(role="user", parts=[types.Part(text=QUESTION)])
        return {"user_id": "one", "session_id": session.id, "new_message": words}

    def run(self, **options: Any) -> Any:
        runner = self.runner()
        session = asyncio.run(runner.session_service.create_session(app_name="matrix", user_id="one"))
        return self.said(runner.run(**self.asked(session), **options))

    def stream(self) -> Any:
        return self.run(run_config=self.as_stream())

    async def arun(self, **options: Any) -> Any:
        runner = self.runner()
        session = await runner.session_service.create_session(app_name="matrix", user_id="one")
        return self.said([event async for event in runner.run_async(**self.asked(session), **options)])

    async def astream(self) -> Any:
        return await self.arun(run_config=self.as_stream())

    def as_stream(self) -> Any:
        from google.adk.agents.run_config import RunConfig, StreamingMode

        return RunConfig(streaming_mode=StreamingMode.SSE)

    def said(self, events: Any) -> list[str]:
        return [part.text for event in events if event.content for part in event.content.parts if part.text]


class Smolagents(Framework):
    name = "smolagents"
    library = "smolagents"
    written = "tool"
    needs = "`@pytest_agenttape.tool`, imported as a module: two decorators called `tool` are refused by smolagents"

    def script(self, form: str) -> None:  # noqa: ARG002  # a stream is asked for in the same way
        self.provider.script(
            tool_call("get_weather", {"city": "London"}), tool_call("final_answer", {"answer": ANSWER})
        )

    def decorated(self, function: Any) -> Any:
        from smolagents import tool

        return tool(function)

    def prepare(self, form: str) -> Any:
        """Return the agent; its tool is decorated as a user does, because smolagents reads the source."""
        from smolagents import tool

        import pytest_agenttape

        @tool
        @pytest_agenttape.tool
        def get_weather(city: str) -> str:
            """Tell the weather.

            Args:
                city: The name of the city.
            """
            return told(city)

        self.tool = get_weather
        return getattr(self, form)

    def agent(self, **options: Any) -> Any:
        from smolagents import OpenAIModel, ToolCallingAgent

        model = OpenAIModel(MODEL, api_base=self.provider.openai_url, api_key="sk-test-key")
        return ToolCallingAgent(tools=[self.tool], model=model, verbosity_level=0, **options)

    def run(self) -> Any:
        return self.agent().run(QUESTION)

    def stream(self) -> Any:
        steps = self.agent(stream_outputs=True).run(QUESTION, stream=True)
        return [type(step).__name__ for step in steps] + [ANSWER]


class Agno(Framework):
    name = "agno"
    library = "agno"
    written = "tool"

    def decorated(self, function: Any) -> Any:
        from agno.tools import tool

        return tool(function)

    def agent(self) -> Any:
        from agno.agent import Agent
        from agno.models.openai import OpenAIChat

        return Agent(model=OpenAIChat(id=MODEL), tools=[self.tool])

    def run(self) -> Any:
        return self.agent().run(QUESTION).content

    def stream(self) -> Any:
        return [event.content for event in self.agent().run(QUESTION, stream=True)]

    async def arun(self) -> Any:
        return (await self.agent().arun(QUESTION)).content

    async def astream(self) -> Any:
        return [event.content async for event in self.agent().arun(QUESTION, stream=True)]


class Haystack(Framework):
    name = "haystack-ai"
    library = "haystack"
    written = "tool"
    takes_async_tools = False

    def decorated(self, function: Any) -> Any:
        from haystack.tools import tool

        return tool(function)

    def agent(self, **options: Any) -> Any:
        from haystack.components.agents import Agent
        from haystack.components.generators.chat import OpenAIChatGenerator

        return Agent(chat_generator=OpenAIChatGenerator(model=MODEL), tools=[self.tool], **options)

    def asked(self) -> Any:
        from haystack.dataclasses import ChatMessage

        return [ChatMessage.from_user(QUESTION)]

    def run(self) -> Any:
        return self.agent().run(messages=self.asked())["last_message"].text

    def stream(self) -> Any:
        pieces: list[str] = []
        self.agent(streaming_callback=lambda chunk: pieces.append(chunk.content)).run(messages=self.asked())
        return pieces

    async def arun(self) -> Any:
        return (await self.agent().run_async(messages=self.asked()))["last_message"].text

    async def astream(self) -> Any:
        pieces: list[str] = []

        async def hear(chunk: Any) -> None:
            pieces.append(chunk.content)

        await self.agent(streaming_callback=hear).run_async(messages=self.asked())
        return pieces


class AutoGen(Framework):
    name = "autogen"
    library = "autogen_ext.models.openai"
    written = "FunctionTool"

    def decorated(self, function: Any) -> Any:
        from autogen_core.tools import FunctionTool

        return FunctionTool(function, description="Tell the weather.")

    def agent(self, **options: Any) -> Any:
        from autogen_agentchat.agents import AssistantAgent
        from autogen_ext.models.openai import OpenAIChatCompletionClient

        client = OpenAIChatCompletionClient(model=MODEL)
        return AssistantAgent("weather", model_client=client, tools=[self.tool], reflect_on_tool_use=True, **options)

    async def arun(self) -> Any:
        return (await self.agent().run(task=QUESTION)).messages[-1].content

    async def astream(self) -> Any:
        events = self.agent(model_client_stream=True).run_stream(task=QUESTION)
        return [event.content async for event in events if type(event).__name__ == "ModelClientStreamingChunkEvent"]


class DSPy(Framework):
    name = "dspy"
    library = "dspy"
    needs = "`dspy.LM(..., cache=False)`: a call that its own cache answers is no call"
    made = (*around_a_tool("openai.chat"), ("llm", "openai.chat"))

    def script(self, form: str) -> None:  # noqa: ARG002  # a stream is asked for in the same way
        asked = {"next_thought": "ask", "next_tool_name": "get_weather", "next_tool_args": '{"city": "London"}'}
        done = {"next_thought": "done", "next_tool_name": "finish", "next_tool_args": "{}"}
        said = {"reasoning": "it was said", "answer": ANSWER}
        self.provider.script(*(text(_fields(each)) for each in (asked, done, said)))

    def agent(self) -> Any:
        import dspy

        return dspy.ReAct("question -> answer", tools=[self.tool])

    def model(self) -> Any:
        import dspy

        return dspy.context(lm=dspy.LM(f"openai/{MODEL}", cache=False))

    def run(self) -> Any:
        with self.model():
            return self.agent()(question=QUESTION).answer

    async def arun(self) -> Any:
        with self.model():
            return (await self.agent().acall(question=QUESTION)).answer

    def stream(self) -> Any:
        with self.model():
            return self.said(self.streamed(async_streaming=False)(question=QUESTION))

    async def astream(self) -> Any:
        with self.model():
            chunks = [chunk async for chunk in self.streamed(is_async_program=True)(question=QUESTION)]
        return self.said(chunks)

    def streamed(self, **options: Any) -> Any:
        import dspy

        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        return dspy.streamify(self.agent(), stream_listeners=[listener], **options)

    def said(self, chunks: Any) -> list[str]:
        return [getattr(chunk, "chunk", None) or getattr(chunk, "answer", "") for chunk in chunks]


def _fields(said: dict[str, str]) -> str:
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in said.items()) + "[[ ## completed ## ]]"


class CrewAI(Framework):
    name = "crewai"
    library = "crewai"
    written = "tool"
    reports = "OpenTelemetry"

    def report(self) -> None:
        from crewai.telemetry import Telemetry

        Telemetry().provider.force_flush()

    def decorated(self, function: Any) -> Any:
        from crewai.tools import tool

        return tool(function)

    def crew(self, *, stream: bool = False) -> Any:
        from crewai import LLM, Agent, Crew, Task

        model = LLM(f"openai/{MODEL}", stream=stream)
        agent = Agent(role="forecaster", goal="Tell the weather", backstory="None", llm=model, tools=[self.tool])
        task = Task(description=QUESTION, expected_output="A sentence", agent=agent)
        return Crew(agents=[agent], tasks=[task], stream=stream)

    def run(self) -> Any:
        return self.crew().kickoff().raw

    async def arun(self) -> Any:
        return (await self.crew().akickoff()).raw

    def stream(self) -> Any:
        return [chunk.content for chunk in self.crew(stream=True).kickoff()]

    async def astream(self) -> Any:
        return [chunk.content async for chunk in await self.crew(stream=True).akickoff()]


FRAMEWORKS: tuple[type[Framework], ...] = (
    OpenAIAgents,
    PydanticAI,
    PydanticAIAnthropic,
    PydanticAIBedrock,
    Strands,
    StrandsOpenAI,
    GoogleADK,
    Smolagents,
    Agno,
    Haystack,
    AutoGen,
    DSPy,
    CrewAI,
)
