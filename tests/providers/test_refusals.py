"""What a provider answers to a request that fails: its own error body, of which its SDK makes its own exception."""

from __future__ import annotations

from typing import Any

import anthropic
import boto3
import botocore.config
import botocore.exceptions
import google.genai
import google.genai.errors
import openai
import pytest

from pytest_agenttape import fault, use_cassette
from pytest_agenttape.providers import VIEWS, failure_of, refusal_of

MESSAGES: Any = [{"role": "user", "content": "Hi"}]
URL = "http://127.0.0.1:9"


def ask_openai(**options: Any) -> Any:
    client = openai.OpenAI(api_key="none", base_url=URL, max_retries=0)
    return client.chat.completions.create(model="gpt-5", messages=MESSAGES, **options)


def ask_responses(**options: Any) -> Any:
    client = openai.OpenAI(api_key="none", base_url=URL, max_retries=0)
    return client.responses.create(model="gpt-5", input="Hi", **options)


def ask_anthropic(**options: Any) -> Any:
    client = anthropic.Anthropic(api_key="none", base_url=URL, max_retries=0)
    return client.messages.create(model="claude-sonnet-5", max_tokens=9, messages=MESSAGES, **options)


def ask_gemini() -> Any:
    client = google.genai.Client(api_key="none", http_options=google.genai.types.HttpOptions(base_url=URL))
    return client.models.generate_content(model="gemini-2.5-flash", contents="Hi")


def ask_bedrock() -> Any:
    key = {"aws_access_key_id": "AKIAEXAMPLE1234567890", "aws_secret_access_key": "x"}
    session = boto3.Session(region_name="eu-west-1", **key)
    options = botocore.config.Config(retries={"total_max_attempts": 1})
    client = session.client("bedrock-runtime", endpoint_url=URL, config=options)
    return client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "Hi"}]}])


def raised(ask: Any, status: int, **options: Any) -> Any:
    faults = [fault("llm", status=status)]
    with use_cassette("none", faults=faults), pytest.raises(Exception) as caught:  # the class is what is looked at
        ask(**options)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("ask", [ask_openai, ask_responses])
@pytest.mark.parametrize(
    ("status", "error", "kind", "code"),
    [
        (400, openai.BadRequestError, "invalid_request_error", None),
        (401, openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
        (404, openai.NotFoundError, "invalid_request_error", "model_not_found"),
        (429, openai.RateLimitError, "requests", "rate_limit_exceeded"),
        (500, openai.InternalServerError, "server_error", None),
        (503, openai.InternalServerError, "server_error", None),
    ],
)
def test_openai(ask: Any, stream: bool, status: int, error: Any, kind: str, code: str | None) -> None:
    failure = raised(ask, status, stream=stream)
    assert type(failure) is error
    assert (failure.type, failure.code, failure.status_code) == (kind, code, status)
    assert "a fault from the tape" in failure.message


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"), (401, "authentication_error"), (413, "request_too_large"),
        (418, "invalid_request_error"), (429, "rate_limit_error"), (500, "api_error"), (503, "api_error"),
        (529, "overloaded_error"),
    ],
)  # fmt: skip
def test_anthropic(stream: bool, status: int, kind: str) -> None:
    failure = raised(ask_anthropic, status, stream=stream)
    assert isinstance(failure, anthropic.APIStatusError)
    assert failure.status_code == status
    assert isinstance(failure.body, dict)
    assert failure.body["error"]["type"] == kind


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL"), (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ],
)  # fmt: skip
def test_gemini(status: int, code: str) -> None:
    failure = raised(ask_gemini, status)
    assert isinstance(failure, google.genai.errors.APIError)
    assert (failure.code, failure.status) == (status, code)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (400, "ValidationException"), (403, "AccessDeniedException"), (429, "ThrottlingException"),
        (503, "ServiceUnavailableException"), (502, "InternalServerException"),
    ],
)  # fmt: skip
def test_bedrock(status: int, name: str) -> None:
    failure = raised(ask_bedrock, status)
    assert isinstance(failure, botocore.exceptions.ClientError)
    assert failure.response["Error"]["Code"] == name


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize("boundary", [name for view in VIEWS if view.read_session is None for name in view.operations])
def test_every_protocol_recognises_its_own_refusal(boundary: str, status: int) -> None:
    failure = failure_of(boundary, refusal_of(boundary, status, "so it is"))
    assert failure is not None
    assert (failure.status, failure.said) == (status, "so it is")


def test_the_sdks_retry_without_a_pause() -> None:
    slept: list[float] = []
    with use_cassette("none", faults=[fault("llm", status=503, times=4)]), pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", slept.append)
        with pytest.raises(openai.InternalServerError):
            openai.OpenAI(api_key="none", base_url=URL).chat.completions.create(model="gpt-5", messages=MESSAGES)
        with pytest.raises(anthropic.InternalServerError):
            anthropic.Anthropic(api_key="none", base_url=URL, max_retries=0).messages.create(
                model="claude-sonnet-5", max_tokens=9, messages=MESSAGES
            )
    assert len(slept) == 2
    assert max(slept) < 0.1
