"""OpenAI's legacy completions and its images: read, recorded and replayed, by its own client as well."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from pytest_agenttape.providers import Answer, Operation, identify, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws, stored

MODEL = "gpt-3.5-turbo-instruct"
COMPLETION = Operation("openai", "text_completion", "openai.completions", MODEL)
IMAGE = Operation("openai", "generate_content", "openai.images", "gpt-image-1")
COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
TOKENS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
IMAGE_COUNTS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "input_tokens_details": {"text_tokens": 5}}
PICTURE = {"background": "opaque", "output_format": "png", "quality": "low", "size": "1024x1024"}


def completion(run: str, said: str, reason: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"text": said, "index": 0, "logprobs": None, "finish_reason": reason}
    return {
        "id": f"cmpl-{run}",
        "object": "text_completion",
        "created": int(run),
        "model": MODEL,
        "choices": [choice],
        **more,
    }


def chunks(run: str, *said: str) -> list[bytes]:
    counted = {**completion(run, ""), "choices": [], "usage": COUNTS}
    listed = [*(completion(run, piece) for piece in said), completion(run, "", "stop"), counted]
    return [*(f"data: {json.dumps(each)}\n\n".encode() for each in listed), b"data: [DONE]\n\n"]


def drawn(run: str, picture: str = "aGk=") -> list[bytes]:
    listed = [
        {
            "type": "image_generation.partial_image",
            "b64_json": "aA==",
            "partial_image_index": 0,
            "created_at": int(run),
        },
        {
            "type": "image_generation.completed",
            "b64_json": picture,
            "created_at": int(run),
            "usage": IMAGE_COUNTS,
            **PICTURE,
        },
    ]
    return [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in listed]


WHOLE = completion("1", "Hello", "stop", usage=COUNTS)
IMAGE_WHOLE = {"created": 1, "data": [{"b64_json": "aGk=", "revised_prompt": "a red cat"}], "usage": IMAGE_COUNTS}


class TestCompletion(StreamLaws):
    stream = Stream(
        "/v1/completions",
        {"model": MODEL, "prompt": "Say hello", "stream": True},
        COMPLETION,
        pieces=chunks("1", "Hel", "lo"),
        again=chunks("2", "H", "ell", "o"),
        other=chunks("1", "Bye"),
        answer=Answer("Hello", (), TOKENS, MODEL, "stop"),
        whole=json.dumps(WHOLE).encode(),
    )


class TestImage(StreamLaws):
    stream = Stream(
        "/v1/images/generations",
        {"model": "gpt-image-1", "prompt": "a cat", "stream": True},
        IMAGE,
        pieces=drawn("1"),
        again=drawn("2"),
        other=drawn("1", "aG8="),
        answer=Answer(usage=TOKENS),
    )


def test_a_prompt_is_a_message() -> None:
    assert read_messages(COMPLETION, {"json": {"prompt": ["a", "b"]}}) == [{"role": "user", "content": "a\nb"}]
    assert read_messages(IMAGE, {"json": {"prompt": "a cat"}}) == [{"role": "user", "content": "a cat"}]


@pytest.mark.parametrize(
    ("path", "body", "boundary"),
    [
        ("chat/completions", {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}, "openai.chat"),
        ("fim/completions", {"model": "codestral", "prompt": "def f(", "suffix": "return a"}, "openai.completions"),
        ("completions", {"model": MODEL}, None),
        ("completions", {"prompt": "hi"}, None),
        ("images/generations", {"prompt": "a cat"}, "openai.images"),
        ("images/edits", {"prompt": "a cat", "images": [{"file_id": "f"}]}, "openai.images"),
        ("images/generations", {"model": "m"}, None),
        ("images/variations", {"prompt": "a cat"}, None),
    ],
)
def test_each_is_recognised_by_its_path_and_its_prompt(path: str, body: object, boundary: str | None) -> None:
    found = identify("POST", f"http://127.0.0.1/v1/{path}", body)
    assert (found and found.boundary) == boundary


def test_the_prompt_as_the_model_has_rewritten_it_is_the_text_of_an_image() -> None:
    assert read_answer(IMAGE, {"status": 200, "json": IMAGE_WHOLE}) == Answer("a red cat", usage=TOKENS)


def test_fill_in_the_middle_is_read_although_it_answers_as_a_chat() -> None:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a):"}}]}
    streamed = {"choices": [{"index": 0, "delta": {"content": "a):"}}]}
    for each in (whole, streamed):
        assert read_answer(COMPLETION, {"status": 200, "json": each}).text == "a):"


def test_an_error_is_read() -> None:
    error = b'{"error":{"message":"no such model","type":"invalid_request_error"}}'
    assert read_answer(COMPLETION, stored(error, status=404)).error == "no such model"


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    api.answers("/v1/completions", json.dumps(WHOLE).encode())
    api.answers("/v1/completions", chunks("1", "Hel", "lo"), kind=EVENTS)
    api.answers("/v1/images/generations", json.dumps(IMAGE_WHOLE).encode())
    api.answers("/v1/images/generations", drawn("1"), kind=EVENTS)

    async def draw() -> Any:
        client = openai.AsyncOpenAI(api_key="sk-test-key", base_url=api.provider.openai_url)
        stream = await client.images.generate(model="gpt-image-1", prompt="a cat", stream=True)
        return [each.model_dump() async for each in stream]

    def ask() -> Any:
        client = openai.OpenAI(api_key="sk-test-key", base_url=api.provider.openai_url)
        whole = client.completions.create(model=MODEL, prompt="Say hello")
        stream = client.completions.create(model=MODEL, prompt="Say hello", stream=True)
        said = [whole.model_dump(), *(each.model_dump() for each in stream)]
        return said, client.images.generate(prompt="a cat").model_dump(), asyncio.run(draw())

    api.both(ask)
    assert [each.boundary for each in api.interactions] == ["openai.completions"] * 2 + ["openai.images"] * 2
    assert [each.usage for each in api.interactions] == [TOKENS] * 4
    assert all("complete" not in each.response for each in api.interactions)
