"""Tools that ask their framework for the context of the run, which is no argument of the recorded call.

Annotations are evaluated here: the frameworks' classes are imported inside the functions.
"""

# ruff: noqa: ARG001  # no tool needs its context

from collections.abc import Callable
from typing import Annotated, Any

from tests.frameworks.framework import told


def openai_agents() -> Callable[..., Any]:
    from agents import RunContextWrapper

    def get_weather(context: RunContextWrapper, city: str) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def pydantic_ai() -> Callable[..., Any]:
    from pydantic_ai import RunContext

    def get_weather(context: RunContext[None], city: str) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def langgraph_runtime() -> Callable[..., Any]:
    from langgraph.prebuilt import ToolRuntime

    def get_weather(city: str, runtime: ToolRuntime) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def langgraph_state() -> Callable[..., Any]:
    from langgraph.prebuilt import InjectedState

    def get_weather(city: str, state: Annotated[dict, InjectedState]) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def langchain_config() -> Callable[..., Any]:
    from langchain_core.runnables import RunnableConfig

    def get_weather(city: str, config: RunnableConfig) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def google_adk() -> Callable[..., Any]:
    from google.adk.tools import ToolContext

    def get_weather(city: str, tool_context: ToolContext) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def strands() -> Callable[..., Any]:
    from strands import ToolContext

    def get_weather(city: str, tool_context: ToolContext) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def agno() -> Callable[..., Any]:
    from agno.run import RunContext

    def get_weather(run_context: RunContext, city: str) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def llama_index() -> Callable[..., Any]:
    from llama_index.core.workflow import Context

    async def get_weather(ctx: Context, city: str) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def autogen() -> Callable[..., Any]:
    from autogen_core import CancellationToken

    async def get_weather(city: str, cancellation_token: CancellationToken) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather


def fastmcp() -> Callable[..., Any]:
    from fastmcp import Context

    def get_weather(city: str, ctx: Context) -> str:
        """Tell the weather."""
        return told(city)

    return get_weather
