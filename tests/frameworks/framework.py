"""What each framework of the matrix says of itself; the tests show that it is so, and a page of the docs repeats it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from pytest_agenttape import tool
from tests.rounds import Ran
from tests.standin import StandInProvider, text, tool_call

QUESTION = "What is the weather in London?"
ANSWER = "It is mild in London."
FORMS = {"run": "sync", "stream": "sync, streamed", "arun": "async", "astream": "async, streamed"}  # by method
Made = tuple[tuple[str, str | None], ...]

ran = Ran()


def told(city: str) -> str:
    """Return what the tool tells, and note that its body ran."""
    ran(f"weather in {city}")
    return f"mild in {city}"


def weather() -> Callable[[str], str]:
    """Return the tool of the sync agents, undecorated."""

    def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: The name of the city.
        """
        return told(city)

    return get_weather


def weather_async() -> Callable[[str], Any]:
    """Return the tool of the async agents, undecorated."""

    async def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: The name of the city.
        """
        return told(city)

    return get_weather


def around_a_tool(call: str) -> Made:
    """Return what an agent makes that asks a model, its tool, and the model again."""
    return (("llm", call), ("tool", "get_weather"), ("llm", call))


class Framework:
    """One row: an agent with one tool, which asks the model twice.

    A subclass has a method for each form it comes in: `run`, `stream`, and the async `arun` and `astream`. Each returns
    what the user sees, the pieces of a stream included.

    Attributes:
        name: What the page calls it.
        library: The module that has to be there.
        made: The kinds and boundaries of the calls of one run.
        written: The framework's decorator, which a user writes above `@tool`; empty if it takes plain functions.
        needs: What a user has to do for it.
        reports: Who sends telemetry of it, unless it is switched off.
        takes_async_tools: Whether its async agents have an async tool.
        tool: The tool of the running agent.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    made: ClassVar[Made] = around_a_tool("openai.chat")
    written: ClassVar[str] = ""
    needs: ClassVar[str] = ""
    takes_async_tools: ClassVar[bool] = True
    reports: ClassVar[str] = ""

    def __init__(self, provider: StandInProvider) -> None:
        self.provider = provider
        self.tool: Any = None

    @classmethod
    def forms(cls) -> list[str]:
        """Return the methods that run the agent."""
        return [form for form in FORMS if hasattr(cls, form)]

    def decorated(self, function: Callable[..., Any]) -> Any:
        """Return *function* below the framework's own decorator."""
        return function

    def with_context(self, function: Callable[..., Any]) -> Any:
        """Return *function*, which takes a context, below the framework's own decorator."""
        return self.decorated(function)

    def prepare(self, form: str) -> Callable[[], Any]:
        """Return the agent, with a tool that is not the one of an earlier run."""
        is_async = form.startswith("a") and self.takes_async_tools
        self.tool = self.decorated(tool(weather_async() if is_async else weather()))
        agent: Callable[[], Any] = getattr(self, form)
        return agent

    def script(self, form: str) -> None:  # noqa: ARG002  # some APIs answer a stream in another way
        """Let the model ask for the tool, and then answer."""
        self.provider.script(tool_call("get_weather", {"city": "London"}), text(ANSWER))

    def report(self) -> None:
        """Send at once the telemetry that would be sent later."""
