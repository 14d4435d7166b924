"""What each framework of the matrix says of itself; the tests show that it is so, and a page of the docs repeats it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pytest_agenttape import tool
from tests.rounds import Ran
from tests.standin import StandInProvider, text, tool_call

QUESTION = "What is the weather in London?"
ANSWER = "It is mild in London."
FORMS = {"run": "sync", "stream": "sync, streamed", "arun": "async", "astream": "async, streamed"}
Other = Literal["works", "refused at import", ""]

ran = Ran()


def weather() -> Callable[[str], str]:
    """Return the tool of the sync agents, undecorated."""

    def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: The name of the city.
        """
        ran(f"weather in {city}")
        return f"mild in {city}"

    return get_weather


def weather_async() -> Callable[[str], Any]:
    """Return the tool of the async agents, undecorated."""

    async def get_weather(city: str) -> str:
        """Tell the weather.

        Args:
            city: The name of the city.
        """
        ran(f"weather in {city}")
        return f"mild in {city}"

    return get_weather


class Framework:
    """One row: an agent with one tool, which asks the model twice.

    A subclass has a method for each form it comes in: `run`, `stream`, and the async `arun` and `astream`. Each returns
    what the user sees, the pieces of a stream included.

    Attributes:
        name: What the page calls it.
        library: The module that has to be there.
        call: The boundary of a call to the model.
        written: The decorators as a user writes them, the uppermost first; empty if it takes plain functions.
        other_order: What becomes of the decorators the other way round.
        needs: What a user has to do for it.
        tool: The tool of the running agent.
    """

    name: ClassVar[str]
    library: ClassVar[str]
    call: ClassVar[str] = "openai.chat"
    written: ClassVar[str] = ""
    other_order: ClassVar[Other] = ""
    needs: ClassVar[str] = ""
    takes_async_tools: ClassVar[bool] = True

    @property
    def made(self) -> list[tuple[str, str]]:
        """The kinds and boundaries of the calls of one run."""
        return [("llm", self.call), ("tool", "get_weather"), ("llm", self.call)]

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

    def prepare(self, form: str, *, other_order: bool = False) -> Callable[[], Any]:
        """Return the agent, with a tool that is not the one of an earlier run."""
        is_async = form.startswith("a") and self.takes_async_tools
        function = weather_async() if is_async else weather()
        self.tool = tool(self.decorated(function)) if other_order else self.decorated(tool(function))
        agent: Callable[[], Any] = getattr(self, form)
        return agent

    def script(self, form: str) -> None:  # noqa: ARG002  # some APIs answer a stream in another way
        """Let the model ask for the tool, and then answer."""
        self.provider.script(tool_call("get_weather", {"city": "London"}), text(ANSWER))
