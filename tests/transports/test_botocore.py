"""boto3's clients, recorded against the stand-in and replayed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tests.transports import amazon
from tests.transports.amazon import ASKED, MODEL, credentials
from tests.transports.conftest import Recorder

pytestmark = pytest.mark.usefixtures("credentials")
__all__ = ["credentials"]


def bedrock(recorder: Recorder, **options: Any) -> Any:
    session = boto3.Session(region_name="eu-west-1")
    return session.client("bedrock-runtime", endpoint_url=recorder.provider.url, **options)


def converse(recorder: Recorder) -> Any:
    return bedrock(recorder).converse(modelId=MODEL, messages=ASKED)


def converse_stream(recorder: Recorder) -> Any:
    answer = bedrock(recorder).converse_stream(modelId=MODEL, messages=ASKED)
    return answer["ResponseMetadata"]["HTTPStatusCode"], list(answer["stream"])


def invoke(recorder: Recorder) -> Any:
    answer = bedrock(recorder).invoke_model(modelId=MODEL, body=json.dumps(amazon.CLAUDE))
    return answer["contentType"], answer["body"].read()


def invoke_stream(recorder: Recorder) -> Any:
    body = json.dumps(amazon.CLAUDE)
    answer = bedrock(recorder).invoke_model_with_response_stream(modelId=MODEL, body=body)
    return list(answer["body"])


OPERATIONS: dict[str, tuple[Callable[[Recorder], Any], Any]] = {
    "converse": (converse, amazon.whole(amazon.WHOLE)),
    "converse-stream": (converse_stream, amazon.streamed(amazon.CONVERSED)),
    "invoke": (invoke, amazon.whole(amazon.MESSAGE)),
    "invoke-with-response-stream": (invoke_stream, amazon.streamed(amazon.INVOKED)),
}


@pytest.mark.parametrize("operation", list(OPERATIONS))
def test_an_operation_of_bedrock_is_recorded_and_replayed(recorder: Recorder, operation: str) -> None:
    run, reply = OPERATIONS[operation]
    recorder.provider.reply(reply, to=amazon.path_of(operation))
    live = recorder.record(lambda: run(recorder))
    assert recorder.provider.hits == 1
    recorder.provider.stop()
    again = recorder.replay(lambda: run(recorder))
    assert _comparable(again) == _comparable(live)
    (recorded,) = recorder.interactions
    assert (recorded.kind, recorded.boundary) == ("llm", f"bedrock.{operation.partition('-')[0]}")
    assert recorded.metadata["model"] == MODEL
    assert recorded.response.keys() & {"json", "events"}
    assert recorded.usage


def _comparable(answer: Any) -> Any:
    return json.loads(json.dumps(answer, default=repr))
