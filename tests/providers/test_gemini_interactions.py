"""Gemini interactions: their steps read, recorded and replayed, by google-genai's client as well."""

from __future__ import annotations

import json
from typing import Any

import google.genai
import pytest
from google.genai import types

from pytest_agenttape.providers import Answer, Operation, RequestedTool, identify, read_answer, read_messages
from tests.providers.laws import EVENTS, Api, Stream, StreamLaws, stored

MODEL = "gemini-3-flash-preview"
PATH = "/v1beta/interactions"
OPERATION = Operation("gcp.gemini", "generate_content", "gemini.interactions", MODEL)
COUNTS = {"total_input_tokens": 7, "total_output_tokens": 3, "total_thought_tokens": 2, "total_tokens": 12}
TOKENS = {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12, "reasoning_tokens": 2}
WEATHER = RequestedTool("call_1", "weather", {"city": "Paris"})
CALL = {"type": "function_call", "id": "call_1", "name": "weather", "arguments": {"city": "Paris"}}
ASKED = {"model": MODEL, "input": "hi", "stream": True, "system_instruction": "be brief"}


def interaction(run: str, **fields: Any) -> dict[str, Any]:
    times = {"created": f"2026-01-0{run}T10:00:00Z", "updated": f"2026-01-0{run}T10:00:01Z"}
    return {"id": f"v1_{run}", "model": MODEL, "object": "interaction", **times, **fields}


def events(run: str = "1", said: tuple[str, ...] = ("Hel", "lo")) -> list[bytes]:
    def step(kind: str, index: int, **fields: Any) -> dict[str, Any]:
        return {"event_type": f"step.{kind}", "index": index, **fields}

    call = {**CALL, "id": f"call_{run}", "arguments": {}}
    done = interaction(run, status="requires_action", usage=COUNTS)
    listed = [
        {"event_type": "interaction.created", "interaction": interaction(run, status="in_progress")},
        {"event_type": "interaction.status_update", "interaction_id": f"v1_{run}", "status": "in_progress"},
        step("start", 0, step={"type": "thought"}),
        step("delta", 0, delta={"type": "thought_signature", "signature": f"sig{run}"}),
        step("stop", 0),
        step("start", 1, step={"type": "model_output"}),
        *(step("delta", 1, delta={"type": "text", "text": piece}) for piece in said),
        step("stop", 1),
        step("start", 2, step=call),
        step("delta", 2, delta={"type": "arguments_delta", "arguments": '{"city":'}),
        step("delta", 2, delta={"type": "arguments_delta", "arguments": '"Paris"}'}),
        step("stop", 2),
        {"event_type": "interaction.completed", "interaction": done},
    ]
    return [
        f"event: {each['event_type']}\ndata: {json.dumps({**each, 'event_id': f'{run}-{place}'})}\n\n".encode()
        for place, each in enumerate(listed)
    ]


STEPS = [{"type": "thought"}, {"type": "model_output", "content": [{"type": "text", "text": "Hello"}]}, CALL]
WHOLE = interaction("1", status="requires_action", usage=COUNTS, steps=STEPS)
ANSWER = Answer("Hello", (WEATHER,), TOKENS, MODEL, "requires_action")


class TestStream(StreamLaws):
    stream = Stream(
        PATH,
        ASKED,
        OPERATION,
        pieces=events(),
        again=events("2", ("H", "ell", "o")),
        other=events("1", ("Bye",)),
        answer=ANSWER,
        whole=json.dumps(WHOLE).encode(),
    )


def test_an_answer_of_the_time_before_there_were_steps_is_read() -> None:
    whole = {"id": "1", "model": MODEL, "status": "completed", "outputs": [{"type": "text", "text": "Hello"}, CALL]}
    assert read_answer(OPERATION, {"status": 200, "json": whole}) == Answer(
        "Hello", (WEATHER,), None, MODEL, "completed"
    )
    deltas = [
        {"event_type": "content.delta", "index": 0, "delta": {"type": "text", "text": "Hello"}},
        {"event_type": "content.delta", "index": 1, "delta": CALL},
    ]
    assert read_answer(OPERATION, {"status": 200, "events": [{"data": each} for each in deltas]}).tool_calls == (
        WEATHER,
    )


def test_an_agent_is_invoked_and_anything_else_is_plain_http() -> None:
    url = f"http://127.0.0.1{PATH}"
    agent = identify("POST", url, {"agent": "deep-research", "input": [{"type": "text", "text": "hi"}]})
    assert agent == Operation("gcp.gemini", "invoke_agent", "gemini.interactions")
    assert identify("POST", url, {"input": "hi"}) is None
    assert identify("POST", url, {"model": MODEL}) is None
    assert identify("POST", f"{url}/v1_1/cancel", ASKED) is None


@pytest.mark.parametrize(
    ("asked", "messages"),
    [
        ({"type": "text", "text": "hi"}, [{"role": "user", "content": "hi"}]),
        ([{"type": "text", "text": "hi"}], [{"role": "user", "content": "hi"}]),
        (
            [{"role": "user", "content": "hi"}, {"role": "model", "content": [{"type": "text", "text": "ho"}]}],
            [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
        ),
        (
            [
                {"type": "user_input", "content": [{"type": "text", "text": "hi"}]},
                CALL,
                {"type": "function_result", "call_id": "call_1", "name": "weather", "result": "sunny"},
            ],
            [
                {"role": "user", "content": "hi"},
                {
                    "role": "assistant",
                    "content": "",
                    "tool_calls": [{"id": "call_1", "name": "weather", "arguments": {"city": "Paris"}}],
                },
                {"role": "tool", "content": "sunny", "tool_call_id": "call_1"},
            ],
        ),
    ],
    ids=["content", "contents", "turns", "steps"],
)
def test_the_messages_are_read(asked: object, messages: object) -> None:
    request = {"json": {"model": MODEL, "input": asked, "system_instruction": "be brief"}}
    assert read_messages(OPERATION, request) == [{"role": "system", "content": "be brief"}, *messages]


def test_an_error_is_read_also_in_the_middle_of_a_stream() -> None:
    said = {"error": {"code": "invalid", "message": "no such model"}}
    error = f"event: error\ndata: {json.dumps({**said, 'event_type': 'error'})}\n\n".encode()
    assert read_answer(OPERATION, stored(json.dumps(said).encode(), status=404)).error == "no such model"
    assert read_answer(OPERATION, stored(b"".join(events()[:3]) + error, EVENTS)).error == "no such model"


def test_its_client_replays_what_it_recorded(api: Api) -> None:
    options = types.HttpOptions(base_url=api.provider.url, api_version="v1beta")
    streamed = [*events(), b"event: done\ndata: [DONE]\n\n"]
    api.answers(PATH, json.dumps(WHOLE).encode())
    api.answers(PATH, streamed, kind=EVENTS)

    def ask() -> Any:
        client = google.genai.Client(api_key="gemini-test", http_options=options)
        if not hasattr(client, "interactions"):
            pytest.skip("this release of google-genai has no interactions")
        whole = client.interactions.create(model=MODEL, input="hi")
        stream = client.interactions.create(model=MODEL, input="hi", stream=True)
        return whole.id, whole.status, [each.event_type for each in stream]

    api.both(ask)
    assert [(each.boundary, each.usage) for each in api.interactions] == [("gemini.interactions", TOKENS)] * 2
    assert all("complete" not in each.response for each in api.interactions)
