"""The real SDKs, with everything their helpers do, recorded against the stand-in and replayed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import anthropic
import anyio
import google.genai
import openai
import pydantic
import pytest
from google.genai import types

from pytest_agenttape import Cassette, Config, RecordingRefusedError, use_cassette
from tests.standin import error, hang_up, text, tool_call
from tests.transports.conftest import Recorder

MODEL = "gpt-4o-mini"
CLAUDE = "claude-sonnet-5"
GEMINI = "gemini-2.5-flash"
QUESTION = "What is the capital of France? Reply with exactly: Paris, of course."
ASKED: Any = [{"role": "user", "content": QUESTION}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(pydantic.BaseModel):
    name: str
    country: str


class Agents:
    """What an agent does with one SDK; each method gives a transcript."""

    def __init__(self, recorder: Recorder) -> None:
        self.provider = recorder.provider

    def openai(self, **options: Any) -> openai.OpenAI:
        return openai.OpenAI(api_key="sk-test-key", base_url=self.provider.openai_url, **options)

    def async_openai(self, **options: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(api_key="sk-test-key", base_url=self.provider.openai_url, **options)

    def anthropic(self, **options: Any) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="sk-ant-test", base_url=self.provider.anthropic_url, **options)

    def async_anthropic(self, **options: Any) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key="sk-ant-test", base_url=self.provider.anthropic_url, **options)

    def gemini(self) -> google.genai.Client:
        return google.genai.Client(
            api_key="gemini-test", http_options=types.HttpOptions(base_url=self.provider.gemini_url)
        )

    # -- OpenAI, sync

    def openai_chat(self) -> Any:
        return self.openai().chat.completions.create(model=MODEL, messages=ASKED).model_dump()

    def openai_tools(self) -> Any:
        self.provider.script(tool_call("get_weather", {"city": "London"}), text("Mild."))
        client, messages, turns = self.openai(), list(ASKED), []
        for _ in range(2):
            message = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL]).choices[0].message
            turns.append(message.model_dump())
            messages.append(message)
            messages += [
                {"role": "tool", "tool_call_id": call.id, "content": "14 degrees"} for call in message.tool_calls or ()
            ]
        return turns

    def openai_chat_streamed(self) -> Any:
        with self.openai().chat.completions.create(model=MODEL, messages=ASKED, stream=True) as stream:
            return [chunk.model_dump() for chunk in stream]

    def openai_stream_helper(self) -> Any:
        with self.openai().chat.completions.stream(model=MODEL, messages=ASKED) as stream:
            kinds = [event.type for event in stream]
            return kinds, stream.get_final_completion().choices[0].message.content

    def openai_parse(self) -> Any:
        self.provider.reply(text('{"name":"Paris","country":"France"}'))
        done = self.openai().chat.completions.parse(model=MODEL, messages=ASKED, response_format=City)
        return done.choices[0].message.parsed

    def openai_raw_response(self) -> Any:
        response = self.openai().chat.completions.with_raw_response.create(model=MODEL, messages=ASKED)
        return response.status_code, response.headers["content-type"], response.parse().model_dump()

    def openai_streaming_response(self) -> Any:
        opened = self.openai().chat.completions.with_streaming_response.create(model=MODEL, messages=ASKED, stream=True)
        with opened as response:
            return response.status_code, list(response.iter_lines())

    def openai_responses(self) -> Any:
        return self.openai().responses.create(model=MODEL, input=QUESTION).model_dump()

    def openai_responses_streamed(self) -> Any:
        with self.openai().responses.create(model=MODEL, input=QUESTION, stream=True) as stream:
            return [event.model_dump() for event in stream]

    def openai_responses_stream_helper(self) -> Any:
        with self.openai().responses.stream(model=MODEL, input=QUESTION) as stream:
            return [event.type for event in stream], stream.get_final_response().output_text

    def openai_embeddings(self) -> Any:
        made = self.openai().embeddings.create(model="text-embedding-3-small", input=["one", "two"])
        return [each.embedding for each in made.data]

    # -- OpenAI, async

    async def async_openai_chat(self) -> Any:
        async with self.async_openai() as client:
            return (await client.chat.completions.create(model=MODEL, messages=ASKED)).model_dump()

    async def async_openai_chat_streamed(self) -> Any:
        async with self.async_openai() as client:
            stream = await client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)
            return [chunk.model_dump() async for chunk in stream]

    async def async_openai_streaming_response(self) -> Any:
        async with self.async_openai() as client:
            create = client.chat.completions.with_streaming_response.create
            async with create(model=MODEL, messages=ASKED) as response:
                return response.status_code, await response.json()

    async def async_openai_responses_streamed(self) -> Any:
        async with self.async_openai() as client:
            stream = await client.responses.create(model=MODEL, input=QUESTION, stream=True)
            return [event.model_dump() async for event in stream]

    async def async_openai_gathered(self) -> Any:
        async with self.async_openai() as client:

            async def ask(number: int) -> str | None:
                asked: Any = [{"role": "user", "content": f"Reply with exactly: {number}"}]
                done = await client.chat.completions.create(model=MODEL, messages=asked)
                return done.choices[0].message.content

            answers: list[Any] = [None] * 5

            async def keep(number: int) -> None:
                answers[number] = await ask(number)

            async with anyio.create_task_group() as tasks:
                for number in range(5):
                    tasks.start_soon(keep, number)
            return answers

    # -- Anthropic

    def anthropic_message(self) -> Any:
        made = self.anthropic().messages.create(model=CLAUDE, max_tokens=100, messages=ASKED)
        return made.model_dump()

    def anthropic_streamed(self) -> Any:
        with self.anthropic().messages.create(model=CLAUDE, max_tokens=100, messages=ASKED, stream=True) as stream:
            return [event.model_dump() for event in stream]

    def anthropic_stream_helper(self) -> Any:
        with self.anthropic().messages.stream(model=CLAUDE, max_tokens=100, messages=ASKED) as stream:
            return list(stream.text_stream), stream.get_final_message().model_dump()

    def anthropic_raw_response(self) -> Any:
        response = self.anthropic().messages.with_raw_response.create(model=CLAUDE, max_tokens=100, messages=ASKED)
        return response.status_code, response.parse().model_dump()

    async def async_anthropic_message(self) -> Any:
        async with self.async_anthropic() as client:
            return (await client.messages.create(model=CLAUDE, max_tokens=100, messages=ASKED)).model_dump()

    async def async_anthropic_stream_helper(self) -> Any:
        async with (
            self.async_anthropic() as client,
            client.messages.stream(model=CLAUDE, max_tokens=100, messages=ASKED) as stream,
        ):
            return [each async for each in stream.text_stream], (await stream.get_final_message()).model_dump()

    # -- Gemini

    def gemini_content(self) -> Any:
        client = self.gemini()  # a client that nothing holds closes its connections
        return client.models.generate_content(model=GEMINI, contents=QUESTION).model_dump(exclude={"sdk_http_response"})

    def gemini_streamed(self) -> Any:
        client = self.gemini()
        stream = client.models.generate_content_stream(model=GEMINI, contents=QUESTION)
        return [each.model_dump(exclude={"sdk_http_response"}) for each in stream]


def runs(agents: Agents, name: str) -> Callable[[], Any]:
    run = getattr(agents, name)
    return (lambda: asyncio.run(run())) if asyncio.iscoroutinefunction(run) else run


SYNC = [name for name in vars(Agents) if "_" in name.strip("_") and not name.startswith(("_", "async_"))]
ASYNC = [name for name in vars(Agents) if name.startswith("async_") and name.count("_") > 1]


@pytest.mark.parametrize("name", [*SYNC, *ASYNC])
def test_the_transcript_of_an_sdk_is_the_same_in_replay(recorder: Recorder, name: str) -> None:
    run = runs(Agents(recorder), name)
    live = recorder.record(run)
    assert all(each.kind == "llm" for each in recorder.interactions)
    assert all("complete" not in each.response for each in recorder.interactions)
    recorder.provider.stop()
    assert recorder.replay(run) == live


@pytest.mark.parametrize("name", ASYNC)
def test_the_transcript_of_an_sdk_is_the_same_on_trio(recorder: Recorder, name: str) -> None:
    run = getattr(Agents(recorder), name)
    recorder.both(lambda: anyio.run(run, backend="trio"))


def test_a_client_made_before_the_session_is_recorded_and_replayed(recorder: Recorder) -> None:
    client = Agents(recorder).openai()
    recorder.both(lambda: client.chat.completions.create(model=MODEL, messages=ASKED).model_dump())


def test_concurrent_calls_are_kept_in_the_order_of_their_start(recorder: Recorder) -> None:
    recorder.provider.script(text("slow", delay=0.2), text("fast"))
    agents = Agents(recorder)

    async def ask() -> list[Any]:
        async with agents.async_openai() as client:

            async def one(number: int) -> Any:
                await asyncio.sleep(number / 20)
                asked: Any = [{"role": "user", "content": f"question {number}"}]
                return (await client.chat.completions.create(model=MODEL, messages=asked)).choices[0].message.content

            return list(await asyncio.gather(one(0), one(1)))

    assert recorder.both(lambda: asyncio.run(ask())) == ["slow", "fast"]
    assert [each.request["json"]["messages"][0]["content"] for each in recorder.interactions] == [
        "question 0",
        "question 1",
    ]


class TestRetries:
    @pytest.mark.parametrize("failures", [[429], [429, 503], [500, 500]], ids=str)
    def test_that_succeed_are_a_good_recording(self, recorder: Recorder, failures: list[int]) -> None:
        agents = Agents(recorder)
        recorder.provider.script(*(error(status, retry_after=0.01) for status in failures), text("at last"))
        done = recorder.both(
            lambda: agents.openai(max_retries=3).chat.completions.create(model=MODEL, messages=ASKED).model_dump()
        )
        assert done["choices"][0]["message"]["content"] == "at last"
        assert [each.response["status"] for each in recorder.interactions] == [*failures, 200]

    def test_of_anthropic_that_succeed_are_a_good_recording(self, recorder: Recorder) -> None:
        recorder.provider.script(error(529, retry_after=0.01), text("at last"))
        agents = Agents(recorder)
        recorder.both(
            lambda: (
                agents.anthropic(max_retries=3).messages.create(model=CLAUDE, max_tokens=9, messages=ASKED).model_dump()
            )
        )

    def test_of_dropped_connections_are_a_good_recording(self, recorder: Recorder) -> None:
        recorder.provider.script(hang_up(), text("at last"))
        agents = Agents(recorder)
        recorder.both(lambda: agents.openai().chat.completions.create(model=MODEL, messages=ASKED).model_dump())

    def test_that_fail_to_the_end_are_not_kept(self, recorder: Recorder) -> None:
        recorder.provider.script(*[error(429, retry_after=0.01)] * 3)
        agents = Agents(recorder)

        def ask() -> None:
            with pytest.raises(openai.RateLimitError):
                agents.openai(max_retries=2).chat.completions.create(model=MODEL, messages=ASKED)

        with pytest.raises(RecordingRefusedError, match="429"):
            recorder.record(ask)


@pytest.mark.parametrize(
    ("status", "expected"),
    [(400, openai.BadRequestError), (404, openai.NotFoundError), (422, openai.UnprocessableEntityError)],
    ids=["400", "404", "422"],
)
def test_the_errors_of_the_sdk_are_raised_again(recorder: Recorder, status: int, expected: type[Exception]) -> None:
    recorder.provider.script(error(status, "no such thing"))
    agents = Agents(recorder)

    def ask() -> tuple[str, Any]:
        with pytest.raises(expected) as caught:
            agents.openai().chat.completions.create(model=MODEL, messages=ASKED)
        return str(caught.value), caught.value.body  # type: ignore[attr-defined]  # an APIStatusError

    assert "no such thing" in recorder.both(ask)[0]


def test_a_refused_connection_is_the_connection_error_of_the_sdk(recorder: Recorder) -> None:
    def ask() -> str:
        client = openai.OpenAI(api_key="sk-test", base_url=recorder.provider.refused_url, max_retries=0)
        with pytest.raises(openai.APIConnectionError) as caught:
            client.chat.completions.create(model=MODEL, messages=ASKED)
        return type(caught.value.__cause__).__name__

    assert recorder.record(ask) == recorder.replay(ask) == "ConnectError"


def test_a_timeout_that_a_retry_made_good_is_raised_again_and_retried(recorder: Recorder) -> None:
    recorder.provider.script(text("too late", delay=1), text("in time"))
    agents = Agents(recorder)

    def ask() -> Any:
        return (
            agents.openai(timeout=0.3, max_retries=1).chat.completions.create(model=MODEL, messages=ASKED).model_dump()
        )

    assert recorder.both(ask)["choices"][0]["message"]["content"] == "in time"
    assert recorder.interactions[0].error["type"] == "ReadTimeout"


def test_a_stream_that_breaks_is_replayed_as_far_as_it_came(recorder: Recorder) -> None:
    recorder.provider.reply(text("one two three four five", close_after=3))
    agents = Agents(recorder)

    def read() -> tuple[int, str]:
        count = 0
        try:
            for _ in agents.openai().chat.completions.create(model=MODEL, messages=ASKED, stream=True):
                count += 1
        except Exception as failure:  # noqa: BLE001  # the SDK's
            return count, type(failure).__name__
        return count, ""

    count, failure = recorder.both(read)
    assert count > 0
    assert failure


# Another model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["openai_chat", "openai_chat_streamed", "anthropic_message", "gemini_content"])
def test_a_live_call_goes_to_the_model_of_the_configuration(recorder: Recorder, name: str) -> None:
    agents = Agents(recorder)
    recorder.record(runs(agents, name))
    asked = Cassette.load(recorder.path)
    agents.provider.reset()
    with use_cassette(recorder.path, live={"llm"}, config=Config.from_mapping({"model_override": "other/model"})):
        runs(agents, name)()
    (sent,) = agents.provider.requests
    assert "other/model" in (sent.json().get("model"), unquote(sent.path).partition("models/")[2].partition(":")[0])
    assert Cassette.load(recorder.path) == asked
    (served,) = Cassette.load(recorder.path.with_suffix(".derived.yaml")).interactions
    assert (served.request, served.metadata["model"]) == (asked.interactions[0].request, "other/model")


def test_a_live_call_for_embeddings_keeps_its_model(recorder: Recorder) -> None:
    agents = Agents(recorder)
    recorder.record(runs(agents, "openai_embeddings"))
    agents.provider.reset()
    with use_cassette(recorder.path, live={"llm"}, config=Config.from_mapping({"model_override": "other/model"})):
        runs(agents, "openai_embeddings")()
    (sent,) = agents.provider.requests
    assert sent.json()["model"] == "text-embedding-3-small"
