"""LangChain, LangGraph and LlamaIndex."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from tests.frameworks import apis
from tests.frameworks.framework import QUESTION, Framework, around_a_tool
from tests.transports import amazon


class LangChain(Framework):
    """A chat model of LangChain with a tool bound to it."""

    written = "tool"

    def model(self) -> Any:
        raise NotImplementedError

    def decorated(self, function: Any) -> Any:
        from langchain_core.tools import tool

        return tool(function)

    def run(self) -> Any:
        model = self.model().bind_tools([self.tool])
        asked = model.invoke(QUESTION)
        return model.invoke([("user", QUESTION), asked, self.tool.invoke(asked.tool_calls[0])]).text

    def stream(self) -> Any:
        model = self.model().bind_tools([self.tool])
        chunks = [*model.stream(QUESTION)]
        asked = sum(chunks[1:], chunks[0])
        said = model.stream([("user", QUESTION), asked, self.tool.invoke(asked.tool_calls[0])])
        return [chunk.text for chunk in said]

    async def arun(self) -> Any:
        model = self.model().bind_tools([self.tool])
        asked = await model.ainvoke(QUESTION)
        told = await self.tool.ainvoke(asked.tool_calls[0])
        return (await model.ainvoke([("user", QUESTION), asked, told])).text

    async def astream(self) -> Any:
        model = self.model().bind_tools([self.tool])
        chunks = [chunk async for chunk in model.astream(QUESTION)]
        asked = sum(chunks[1:], chunks[0])
        told = await self.tool.ainvoke(asked.tool_calls[0])
        return [chunk.text async for chunk in model.astream([("user", QUESTION), asked, told])]


class LangChainOpenAI(LangChain):
    name = "langchain-openai"
    library = "langchain_openai"

    def model(self) -> Any:
        from langchain_openai import ChatOpenAI

        return ChatOpenAI(model="gpt-4o-mini")


class LangChainAnthropic(LangChain):
    name = "langchain-anthropic"
    library = "langchain_anthropic"
    made = around_a_tool("anthropic.messages")

    def model(self) -> Any:
        from langchain_anthropic import ChatAnthropic

        return ChatAnthropic(model="claude-sonnet-5")


class LangChainAws(LangChain):
    name = "langchain-aws"
    library = "langchain_aws"
    made = around_a_tool("bedrock.converse")

    def script(self, form: str) -> None:
        operation = "converse-stream" if "stream" in form else "converse"
        self.provider.script(*apis.bedrock(streamed="stream" in form), to=amazon.path_of(operation))

    def model(self) -> Any:
        from langchain_aws import ChatBedrockConverse

        return ChatBedrockConverse(model=amazon.MODEL)


class LangGraph(LangChain):
    name = "langgraph"
    library = "langgraph"
    asked: ClassVar[Any] = {"messages": [("user", QUESTION)]}

    def graph(self) -> Any:
        from langchain_openai import ChatOpenAI
        from langgraph.prebuilt import create_react_agent

        return create_react_agent(ChatOpenAI(model="gpt-4o-mini"), [self.tool])

    def run(self) -> Any:
        return self.graph().invoke(self.asked)["messages"][-1].text

    def stream(self) -> Any:
        return [chunk.text for chunk, _ in self.graph().stream(self.asked, stream_mode="messages")]

    async def arun(self) -> Any:
        return (await self.graph().ainvoke(self.asked))["messages"][-1].text

    async def astream(self) -> Any:
        return [chunk.text async for chunk, _ in self.graph().astream(self.asked, stream_mode="messages")]


class LlamaIndex(Framework):
    name = "llama-index"
    library = "llama_index.llms.openai"
    written = "FunctionTool.from_defaults"

    def decorated(self, function: Any) -> Any:
        from llama_index.core.tools import FunctionTool

        if inspect.iscoroutinefunction(function):
            return FunctionTool.from_defaults(async_fn=function)
        return FunctionTool.from_defaults(function)

    def model(self) -> Any:
        from llama_index.llms.openai import OpenAI

        return OpenAI(model="gpt-4o-mini")

    def run(self) -> Any:
        model = self.model()
        asked = model.chat_with_tools([self.tool], QUESTION)
        return model.chat_with_tools([self.tool], chat_history=self.told(asked)).message.content

    def stream(self) -> Any:
        model = self.model()
        *_, asked = model.stream_chat_with_tools([self.tool], QUESTION)
        return [each.delta for each in model.stream_chat_with_tools([self.tool], chat_history=self.told(asked))]

    def told(self, asked: Any) -> Any:
        from llama_index.core.llms import ChatMessage

        (call,) = self.model().get_tool_calls_from_response(asked)
        result = ChatMessage(
            role="tool", content=str(self.tool(**call.tool_kwargs)), additional_kwargs={"tool_call_id": call.tool_id}
        )
        return [ChatMessage(role="user", content=QUESTION), asked.message, result]

    async def arun(self) -> Any:
        from llama_index.core.agent.workflow import FunctionAgent

        return str(await FunctionAgent(tools=[self.tool], llm=self.model(), streaming=False).run(QUESTION))

    async def astream(self) -> Any:
        from llama_index.core.agent.workflow import AgentStream, FunctionAgent

        running = FunctionAgent(tools=[self.tool], llm=self.model()).run(QUESTION)
        return [event.delta async for event in running.stream_events() if isinstance(event, AgentStream)]


FRAMEWORKS: tuple[type[Framework], ...] = (LangChainOpenAI, LangChainAnthropic, LangChainAws, LangGraph, LlamaIndex)
