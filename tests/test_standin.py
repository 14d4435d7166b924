"""The stand-in provider speaks as the real ones do: the real SDKs understand it."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import time
import zlib
from typing import Any

import anthropic
import httpx2
import openai
import pytest
import requests
from google import genai
from google.genai import errors as genai_errors
from google.genai import types as genai_types
from hypothesis import given
from hypothesis import strategies as st

from tests.standin import Reply, StandInProvider, error, hang_up, raw, text, tool_call, tool_calls
from tests.standin.dialect import argument_pieces, pieces
from tests.standin.encodings import encoder

LONDON = {"city": "London"}
PARIS = {"city": "Paris"}
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DESCRIPTION = "Weather in a city"
CHAT_TOOLS: Any = [
    {"type": "function", "function": {"name": "get_weather", "description": DESCRIPTION, "parameters": PARAMETERS}}
]
RESPONSES_TOOLS: Any = [
    {
        "type": "function",
        "name": "get_weather",
        "description": DESCRIPTION,
        "parameters": PARAMETERS,
        "strict": False,
    }
]
ANTHROPIC_TOOLS: Any = [{"name": "get_weather", "description": DESCRIPTION, "input_schema": PARAMETERS}]
GEMINI_TOOLS: Any = [
    {"function_declarations": [{"name": "get_weather", "description": DESCRIPTION, "parameters": PARAMETERS}]}
]
WEATHER = {"city": "London", "temperature_c": 14, "conditions": "light rain"}
CHAT_MODEL, CLAUDE, GEMINI = "gpt-4o-mini", "claude-haiku-4-5", "gemini-2.5-flash"


def ask(words: str) -> Any:
    return [{"role": "user", "content": words}]


@pytest.fixture
def chat(standin_provider: StandInProvider) -> openai.OpenAI:
    return openai.OpenAI(base_url=standin_provider.openai_url, api_key="test", max_retries=0)


@pytest.fixture
def async_chat(standin_provider: StandInProvider) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=standin_provider.openai_url, api_key="test", max_retries=0)


@pytest.fixture
def claude(standin_provider: StandInProvider) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=standin_provider.anthropic_url, api_key="test", max_retries=0)


@pytest.fixture
def async_claude(standin_provider: StandInProvider) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=standin_provider.anthropic_url, api_key="test", max_retries=0)


@pytest.fixture
def gemini(standin_provider: StandInProvider) -> genai.Client:
    return genai.Client(api_key="test", http_options=genai_types.HttpOptions(base_url=standin_provider.gemini_url))


class TestOpenAIChat:
    def test_a_tool_loop_goes_from_question_to_call_to_answer(self, chat: openai.OpenAI) -> None:
        messages = ask("What is the weather in London?")
        first = chat.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=CHAT_TOOLS)
        assert first.choices[0].finish_reason == "tool_calls"
        (call,) = first.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", LONDON)

        messages += [
            first.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": json.dumps(WEATHER)},
        ]
        second = chat.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=CHAT_TOOLS)
        assert second.choices[0].message.content == "It is 14 °C with light rain in London."
        assert second.usage is not None
        assert second.usage.total_tokens == second.usage.prompt_tokens + second.usage.completion_tokens

    def test_two_places_are_two_calls_at_once(self, chat: openai.OpenAI) -> None:
        question = ask("What is the weather in London and Paris?")
        answer = chat.chat.completions.create(model=CHAT_MODEL, messages=question, tools=CHAT_TOOLS)
        calls = answer.choices[0].message.tool_calls or ()
        assert [json.loads(call.function.arguments) for call in calls if call.type == "function"] == [LONDON, PARIS]

    def test_a_stream_opens_with_the_role_and_closes_with_usage(self, chat: openai.OpenAI) -> None:
        options: Any = {"include_usage": True}
        stream = chat.chat.completions.create(
            model=CHAT_MODEL, messages=ask("Say: one two three"), stream=True, stream_options=options
        )
        chunks = list(stream)
        assert chunks[0].choices[0].delta.role == "assistant"
        assert chunks[-2].choices[0].finish_reason == "stop"
        assert chunks[-1].choices == []
        assert chunks[-1].usage is not None
        words = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
        assert "".join(words) == "You asked: Say: one two three"
        assert len([word for word in words if word]) > 3

    def test_without_the_option_a_stream_has_no_usage(self, chat: openai.OpenAI) -> None:
        stream = chat.chat.completions.create(model=CHAT_MODEL, messages=ask("hello"), stream=True)
        assert [chunk.usage for chunk in stream if chunk.usage] == []

    def test_streamed_tool_calls_come_in_fragments_that_the_sdk_joins(
        self, chat: openai.OpenAI, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(tool_calls(("get_weather", LONDON), ("get_weather", PARIS), words="Let me look."))
        with chat.chat.completions.stream(model=CHAT_MODEL, messages=ask("x"), tools=CHAT_TOOLS) as stream:
            message = stream.get_final_completion().choices[0].message
        assert message.content == "Let me look."
        asked = [call.function for call in message.tool_calls or () if call.type == "function"]
        assert [json.loads(each.arguments) for each in asked] == [LONDON, PARIS]

    async def test_the_async_client_streams(self, async_chat: openai.AsyncOpenAI) -> None:
        stream = await async_chat.chat.completions.create(model=CHAT_MODEL, messages=ask("hello"), stream=True)
        words = [chunk.choices[0].delta.content or "" async for chunk in stream]
        assert "".join(words) == "You asked: hello"

    def test_structured_output_follows_the_schema(self, chat: openai.OpenAI) -> None:
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": PARAMETERS}}
        answer = chat.chat.completions.create(
            model=CHAT_MODEL, messages=ask("We met in London"), response_format=wanted
        )
        assert json.loads(answer.choices[0].message.content or "") == LONDON

    def test_any_path_prefix_is_served(self, standin_provider: StandInProvider) -> None:
        client = openai.OpenAI(base_url=f"{standin_provider.url}/openai/deployments/mine", api_key="test")
        answer = client.chat.completions.create(model=CHAT_MODEL, messages=ask("hello"))
        assert answer.choices[0].message.content == "You asked: hello"


class TestOpenAIResponses:
    def test_a_tool_loop_may_refer_to_the_previous_response(self, chat: openai.OpenAI) -> None:
        first = chat.responses.create(model=CHAT_MODEL, input="What is the weather in London?", tools=RESPONSES_TOOLS)
        (call,) = first.output
        assert call.type == "function_call"
        result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": json.dumps(WEATHER)}
        second = chat.responses.create(model=CHAT_MODEL, previous_response_id=first.id, input=[result])
        assert second.output_text == "It is 14 °C with light rain in London."

    def test_events_are_numbered_and_the_sdk_builds_the_response(self, chat: openai.OpenAI) -> None:
        with chat.responses.stream(model=CHAT_MODEL, input="hello there") as stream:
            numbers = [event.sequence_number for event in stream]
            final = stream.get_final_response()
        assert numbers == sorted(set(numbers))
        assert final.output_text == "You asked: hello there"
        assert final.usage is not None

    async def test_the_async_client_streams_a_tool_call(self, async_chat: openai.AsyncOpenAI) -> None:
        stream = await async_chat.responses.create(
            model=CHAT_MODEL, input="Weather in Paris?", tools=RESPONSES_TOOLS, stream=True
        )
        done = [event async for event in stream if event.type == "response.function_call_arguments.done"]
        assert [json.loads(event.arguments) for event in done] == [PARIS]


class TestOpenAIEmbeddings:
    def test_texts_with_common_words_are_closer(self, chat: openai.OpenAI) -> None:
        texts = ["remote work policy", "policy on remote work", "office dogs"]
        found = chat.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=64)
        policy, same, other = (each.embedding for each in found.data)
        assert sum(map(float.__mul__, policy, same)) > sum(map(float.__mul__, policy, other))
        assert len(policy) == 64

    @pytest.mark.parametrize("encoding_format", ["float", "base64"])
    def test_both_encodings_hold_the_same_numbers(self, chat: openai.OpenAI, encoding_format: Any) -> None:
        wanted: dict[str, Any] = {"model": "text-embedding-3-small", "input": "hello world", "dimensions": 8}
        plain = chat.embeddings.create(**wanted)
        encoded = chat.embeddings.create(**wanted, encoding_format=encoding_format)
        assert isinstance(encoded.data[0].embedding, str) == (encoding_format == "base64")
        if encoding_format == "float":
            assert encoded.data[0].embedding == pytest.approx(plain.data[0].embedding)

    def test_scripted_answers_are_kept_for_the_conversation(
        self, chat: openai.OpenAI, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(text("for the chat"))
        assert chat.embeddings.create(model="text-embedding-3-small", input="x").data
        assert standin_provider.pending == 1


class TestAnthropicMessages:
    def test_a_tool_loop_goes_from_question_to_call_to_answer(self, claude: anthropic.Anthropic) -> None:
        messages = ask("What is the weather in London?")
        first = claude.messages.create(model=CLAUDE, max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS)
        (block,) = first.content
        assert (first.stop_reason, block.type) == ("tool_use", "tool_use")
        assert block.type == "tool_use"
        assert block.input == LONDON

        result = {"type": "tool_result", "tool_use_id": block.id, "content": json.dumps(WEATHER)}
        messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        second = claude.messages.create(model=CLAUDE, max_tokens=99, messages=messages, tools=ANTHROPIC_TOOLS)
        (said,) = second.content
        assert said.type == "text"
        assert said.text == "It is 14 °C with light rain in London."

    async def test_the_async_client_streams_text_and_tool_use(
        self, async_claude: anthropic.AsyncAnthropic, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(tool_calls(("get_weather", LONDON), words="Let me look that up."))
        async with async_claude.messages.stream(
            model=CLAUDE, max_tokens=99, messages=ask("x"), tools=ANTHROPIC_TOOLS
        ) as stream:
            words = [word async for word in stream.text_stream]
            message = await stream.get_final_message()
        assert "".join(words) == "Let me look that up."
        assert message.content[1].type == "tool_use"
        assert message.content[1].input == LONDON
        assert message.usage.output_tokens > 1

    def test_the_events_are_named_and_include_a_ping(self, standin_provider: StandInProvider) -> None:
        body = {"model": CLAUDE, "max_tokens": 9, "stream": True, "messages": ask("hello")}
        lines = requests.post(f"{standin_provider.anthropic_url}/v1/messages", json=body, timeout=5).text.splitlines()
        names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        assert names[:3] == ["message_start", "content_block_start", "ping"]
        assert names[-3:] == ["content_block_stop", "message_delta", "message_stop"]


class TestGemini:
    def test_a_tool_loop_goes_from_question_to_call_to_answer(self, gemini: genai.Client) -> None:
        config = genai_types.GenerateContentConfig(
            tools=GEMINI_TOOLS, automatic_function_calling=genai_types.AutomaticFunctionCallingConfig(disable=True)
        )
        question = genai_types.UserContent("What is the weather in London?")
        first = gemini.models.generate_content(model=GEMINI, contents=question, config=config)
        (call,) = first.function_calls or []
        assert (call.name, call.args) == ("get_weather", LONDON)
        assert first.candidates
        assert first.candidates[0].content
        result = genai_types.Part.from_function_response(name="get_weather", response={"result": WEATHER})
        contents: Any = [question, first.candidates[0].content, genai_types.UserContent([result])]
        second = gemini.models.generate_content(model=GEMINI, contents=contents, config=config)
        assert second.text == "It is 14 °C with light rain in London."

    def test_a_stream_comes_in_several_events(self, gemini: genai.Client) -> None:
        stream = gemini.models.generate_content_stream(model=GEMINI, contents="one two three four five six")
        words = [each.text or "" for each in stream]
        assert "".join(words) == "You asked: one two three four five six"
        assert len(words) > 1

    async def test_the_async_client_streams(self, gemini: genai.Client) -> None:
        stream = await gemini.aio.models.generate_content_stream(model=GEMINI, contents="one two three four five six")
        assert "".join([each.text or "" async for each in stream]) == "You asked: one two three four five six"

    def test_without_sse_the_stream_is_a_json_array(self, standin_provider: StandInProvider) -> None:
        url = f"{standin_provider.gemini_url}/v1beta/models/{GEMINI}:streamGenerateContent"
        body = {"contents": [{"parts": [{"text": "one two three four five six"}]}]}
        assert len(requests.post(url, json=body, timeout=5).json()) > 1


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "raised"),
        [
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (404, openai.NotFoundError),
            (429, openai.RateLimitError),
            (500, openai.InternalServerError),
        ],
    )
    def test_openai_raises_its_own_class(
        self, chat: openai.OpenAI, standin_provider: StandInProvider, status: int, raised: type[openai.APIStatusError]
    ) -> None:
        standin_provider.script(error(status, "told"))
        with pytest.raises(raised, match="told") as caught:
            chat.chat.completions.create(model=CHAT_MODEL, messages=ask("hello"))
        assert caught.value.request_id

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (404, "not_found_error"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (529, "overloaded_error"),
        ],
    )
    def test_anthropic_names_the_kind(
        self, claude: anthropic.Anthropic, standin_provider: StandInProvider, status: int, kind: str
    ) -> None:
        standin_provider.script(error(status))
        with pytest.raises(anthropic.APIStatusError) as caught:
            claude.messages.create(model=CLAUDE, max_tokens=9, messages=ask("hello"))
        assert caught.value.status_code == status
        body: Any = caught.value.body
        assert body["error"]["type"] == kind

    def test_gemini_names_the_status(self, gemini: genai.Client, standin_provider: StandInProvider) -> None:
        standin_provider.script(error(429, retry_after=1))
        with pytest.raises(genai_errors.ClientError) as caught:
            gemini.models.generate_content(model=GEMINI, contents="hello")
        assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")

    def test_a_retry_after_429_is_followed(self, standin_provider: StandInProvider) -> None:
        standin_provider.script(error(429, retry_after=0.01), text("now"))
        client = openai.OpenAI(base_url=standin_provider.openai_url, api_key="test", max_retries=1)
        answer = client.chat.completions.create(model=CHAT_MODEL, messages=ask("hello"))
        assert answer.choices[0].message.content == "now"
        assert standin_provider.hits_to("/v1/chat/completions") == 2

    @pytest.mark.parametrize(
        ("key", "body", "status"),
        [
            ("an-invalid-key", {"model": CHAT_MODEL, "messages": []}, 401),
            ("test", {"model": CHAT_MODEL}, 400),
            ("test", {"model": "no-such-model", "messages": []}, 404),
        ],
        ids=["wrong key", "missing field", "unknown model"],
    )
    def test_a_bad_request_is_refused_without_a_script(
        self, standin_provider: StandInProvider, key: str, body: dict[str, Any], status: int
    ) -> None:
        headers = {"authorization": f"Bearer {key}"}
        url = f"{standin_provider.openai_url}/chat/completions"
        assert requests.post(url, json=body, headers=headers, timeout=5).status_code == status


class TestTheWire:
    def test_headers_look_like_the_providers(self, standin_provider: StandInProvider) -> None:
        body = {"model": CHAT_MODEL, "messages": ask("hello"), "max_tokens": 9}
        answer = requests.post(f"{standin_provider.openai_url}/chat/completions", json=body, timeout=5)
        assert answer.headers["x-request-id"].startswith("req_")
        assert answer.headers["content-encoding"] == "gzip"
        assert "__cf_bm=" in answer.headers["set-cookie"]
        answer = requests.post(f"{standin_provider.anthropic_url}/v1/messages", json=body, timeout=5)
        assert answer.headers["request-id"].startswith("req_")

    @pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "br"])
    @pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
    def test_every_encoding_is_understood(
        self, chat: openai.OpenAI, standin_provider: StandInProvider, encoding: Any, stream: bool
    ) -> None:
        standin_provider.script(text("the same words", encoding=encoding))
        if not stream:
            answer = chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x"))
            assert answer.choices[0].message.content == "the same words"
            return
        chunks = chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "the same words"

    @pytest.mark.parametrize("size", [1, 7])
    def test_a_stream_can_be_cut_anywhere(
        self, chat: openai.OpenAI, standin_provider: StandInProvider, size: int
    ) -> None:
        standin_provider.script(text("naïve 日本語 🌦", chunk_bytes=size))
        chunks = chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x"), stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "naïve 日本語 🌦"

    def test_the_first_chunk_arrives_while_the_next_waits(
        self, chat: openai.OpenAI, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(text("one two", chunk_delay=0.1))
        began = time.monotonic()
        stream = chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x"), stream=True)
        next(iter(stream))
        first = time.monotonic() - began
        list(stream)
        assert time.monotonic() - began - first >= 0.25

    @pytest.mark.parametrize("reply", [hang_up(), text("x", close_after=1)], ids=["no response", "half a body"])
    def test_a_dropped_connection_is_an_error(
        self, chat: openai.OpenAI, standin_provider: StandInProvider, reply: Reply
    ) -> None:
        standin_provider.script(reply)
        with pytest.raises(openai.APIConnectionError):
            chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x"))

    def test_a_stream_that_is_closed_early_gives_what_came_and_then_fails(
        self, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(text("one two three", close_after=2))
        url = f"{standin_provider.openai_url}/chat/completions"
        seen: list[bytes] = []
        body = {"model": CHAT_MODEL, "messages": ask("x"), "stream": True}
        with httpx2.stream("POST", url, json=body) as response, pytest.raises(httpx2.RemoteProtocolError):
            seen.extend(response.iter_bytes())
        assert b"".join(seen).count(b"data: ") == 2

    def test_a_delay_times_the_client_out(self, standin_provider: StandInProvider) -> None:
        standin_provider.script(text("late", delay=0.5))
        client = openai.OpenAI(base_url=standin_provider.openai_url, api_key="test", timeout=0.1, max_retries=0)
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model=CHAT_MODEL, messages=ask("x"))

    def test_raw_bytes_and_headers_travel_as_they_are(self, standin_provider: StandInProvider) -> None:
        standin_provider.script(
            raw(b"\x00\xff", [("content-type", "image/x-odd"), ("x-twice", "1"), ("x-twice", "2")], status=218),
            to="/any",
        )
        answer = httpx2.get(f"{standin_provider.url}/any")
        assert (answer.status_code, answer.content) == (218, b"\x00\xff")
        assert answer.headers.get_list("x-twice") == ["1", "2"]


class TestPlainRoutes:
    def test_the_weather(self, standin_provider: StandInProvider) -> None:
        assert requests.get(f"{standin_provider.url}/weather", LONDON, timeout=5).json() == WEATHER
        assert requests.get(f"{standin_provider.url}/weather?city=Atlantis", timeout=5).status_code == 404

    @pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def test_echo_tells_any_method(self, standin_provider: StandInProvider, method: str) -> None:
        seen = httpx2.request(method, f"{standin_provider.url}/echo/deep?a=1&a=2", content=b"\xff\x00").json()
        assert (seen["method"], seen["path"], seen["base64"]) == (method, "/echo/deep", "/wA=")
        assert seen["query"] == [["a", "1"], ["a", "2"]]

    def test_echo_tells_a_multipart_upload(self, standin_provider: StandInProvider) -> None:
        content = bytes(range(256))
        seen = httpx2.post(
            f"{standin_provider.url}/echo", data={"purpose": "test"}, files={"file": ("a.bin", content, "image/png")}
        ).json()
        assert [part["name"] for part in seen["parts"]] == ["purpose", "file"]
        assert seen["parts"][1]["sha256"] == hashlib.sha256(content).hexdigest()
        assert seen["parts"][1]["filename"] == "a.bin"

    def test_redirects_cookies_and_binary(self, standin_provider: StandInProvider) -> None:
        url = standin_provider.url
        followed = requests.get(f"{url}/redirect?to=/weather?city=Oslo", timeout=5)
        assert [each.status_code for each in followed.history] == [302]
        assert followed.json()["city"] == "Oslo"
        assert len(httpx2.get(f"{url}/cookies").headers.get_list("set-cookie")) == 2
        assert httpx2.get(f"{url}/binary?size=300").content == (bytes(range(256)) * 2)[:300]

    @pytest.mark.parametrize("status", [204, 304])
    def test_a_status_without_a_body(self, standin_provider: StandInProvider, status: int) -> None:
        answer = httpx2.get(f"{standin_provider.url}/status/{status}")
        assert (answer.status_code, answer.content) == (status, b"")

    def test_head_tells_the_length_and_sends_nothing(self, standin_provider: StandInProvider) -> None:
        answer = httpx2.head(f"{standin_provider.url}/binary?size=10")
        assert (answer.headers["content-length"], answer.content) == ("10", b"")

    @pytest.mark.parametrize("chunked", ["0", "1"])
    def test_a_truncated_body_is_an_error(self, standin_provider: StandInProvider, chunked: str) -> None:
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            requests.get(f"{standin_provider.url}/truncated?chunked={chunked}", timeout=5)


class TestTheServer:
    def test_requests_are_counted_until_the_reset(self, standin_provider: StandInProvider) -> None:
        requests.post(f"{standin_provider.url}/echo", json={"a": 1}, headers={"X-Mine": "yes"}, timeout=5)
        (seen,) = standin_provider.requests
        assert (seen.method, seen.path, seen.json(), seen.header("x-mine")) == ("POST", "/echo", {"a": 1}, "yes")
        assert (standin_provider.hits, standin_provider.hits_to("/echo")) == (1, 1)
        standin_provider.script(text("forgotten"))
        standin_provider.reset()
        assert (standin_provider.hits, standin_provider.pending) == (0, 0)

    def test_the_script_is_given_in_order_and_then_the_rules_answer(
        self, chat: openai.OpenAI, standin_provider: StandInProvider
    ) -> None:
        standin_provider.script(text("first"), tool_call("get_weather", LONDON))
        answers = [chat.chat.completions.create(model=CHAT_MODEL, messages=ask("x")).choices[0] for _ in range(3)]
        assert [each.message.content for each in answers] == ["first", None, "You asked: x"]

    def test_the_same_conversation_gets_the_same_bytes(self, standin_provider: StandInProvider) -> None:
        def converse() -> list[tuple[bytes, dict[str, str]]]:
            standin_provider.reset()
            body = {"model": CHAT_MODEL, "messages": ask("hello")}
            url = f"{standin_provider.openai_url}/chat/completions"
            answers = [requests.post(url, json=body, timeout=5) for _ in range(2)]
            return [(answer.content, dict(answer.headers)) for answer in answers]

        first, second = converse(), converse()
        assert first == second
        assert first[0] != first[1]

    def test_a_stopped_server_refuses_and_comes_back_at_its_address(self) -> None:
        with StandInProvider() as provider:
            url = provider.url
            assert requests.get(f"{url}/weather", LONDON, timeout=5).ok
            provider.stop()
            with pytest.raises(requests.ConnectionError, match="refused"):
                requests.get(f"{provider.url}/weather", LONDON, timeout=5)
            provider.start()
            assert provider.url == url
            assert requests.get(f"{url}/weather", LONDON, timeout=5).ok

    def test_the_refused_address_refuses(self, standin_provider: StandInProvider) -> None:
        host, _, port = standin_provider.refused_url.removeprefix("http://").partition(":")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))


@given(st.text(max_size=200))
def test_pieces_joined_are_the_text(words: str) -> None:
    assert "".join(pieces(words)) == words
    assert "".join(argument_pieces(words)) == words


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_encoded_chunks_decode_to_what_was_handed_in(chunks: list[bytes]) -> None:
    def encoded(name: str) -> bytes:
        encode = encoder(name)
        return b"".join(encode(chunk, number == len(chunks) - 1) for number, chunk in enumerate(chunks))

    whole = b"".join(chunks)
    assert gzip.decompress(encoded("gzip")) == whole
    assert zlib.decompress(encoded("deflate")) == whole
    assert _stored_zstd(encoded("zstd")) == whole


def _stored_zstd(frame: bytes) -> bytes:
    """Read a zstd frame of stored blocks as RFC 8878 lays it out."""
    assert frame[:4] == b"\x28\xb5\x2f\xfd"
    content, at, last = b"", 6, False
    while not last:
        head = int.from_bytes(frame[at : at + 3], "little")
        last, kind, size = bool(head & 1), head >> 1 & 3, head >> 3
        assert kind == 0
        content += frame[at + 3 : at + 3 + size]
        at += 3 + size
    assert at == len(frame)
    return content
