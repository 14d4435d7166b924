"""Realtime sessions: recognised, and read as other LLM calls, from the events that the APIs document."""

from __future__ import annotations

import base64
import importlib
import json
import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import Cassette, Interaction, diff_cassettes, providers, tool
from pytest_agenttape.plugin.handle import CassetteHandle
from pytest_agenttape.providers.common_form import session_facts
from pytest_agenttape.providers.pricing import price
from pytest_agenttape.reading.calls import LLMCall, last_word, tool_calls
from pytest_agenttape.reading.expectations_text import requests_problem, shown_llm_call
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.reading.usage import count_tokens
from tests.transports.test_websockets import Desk, without_tls

GEMINI = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
VERTEX = "wss://us-central1-aiplatform.googleapis.com/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent"


@pytest.mark.parametrize(
    ("url", "provider", "boundary", "model"),
    [
        ("wss://api.openai.com/v1/realtime?model=gpt-realtime", "openai", "openai.realtime", "gpt-realtime"),
        (
            "wss://x.openai.azure.com/openai/realtime?deployment=mine&api-version=1",
            "azure.ai.openai",
            "openai.realtime",
            "mine",
        ),
        ("ws://localhost:8000/v1/realtime/", "openai", "openai.realtime", None),
        (f"wss://generativelanguage.googleapis.com{GEMINI}?key=k", "gcp.gemini", "gemini.live", None),
        (f"wss://generativelanguage.googleapis.com{GEMINI}Constrained", "gcp.gemini", "gemini.live", None),
        (VERTEX, "gcp.vertex_ai", "gemini.live", None),
    ],
)
def test_a_realtime_api_is_recognised_by_its_path(url: str, provider: str, boundary: str, model: str | None) -> None:
    found = providers.identify_socket(url)
    assert found is not None
    assert (found.provider, found.boundary, found.model) == (provider, boundary, model)
    assert boundary in providers.BOUNDARIES
    assert providers.is_llm_path("GET", url)


@pytest.mark.parametrize("url", ["ws://localhost/", "wss://x/realtime/rooms", "wss://x/?path=/v1/realtime"])
def test_any_other_websocket_is_none(url: str) -> None:
    assert providers.identify_socket(url) is None
    assert not providers.is_llm_path("GET", url)


# What a cassette holds --------------------------------------------------------------------------------------------


def sent(event: str, **fields: Any) -> dict[str, Any]:
    return {"sent": {"type": event, **fields}}


def got(event: str, **fields: Any) -> dict[str, Any]:
    return {"received": {"type": event, **fields}}


def recorded(*messages: dict[str, Any], boundary: str = "openai.realtime", **response: Any) -> Interaction:
    model = {"model": "gpt-realtime"} if boundary == "openai.realtime" else {}
    held = {"status": 101, "headers": {}, "messages": list(messages), **response}
    return Interaction(
        index=0,
        kind="llm",
        boundary=boundary,
        request={"method": "GET", "url": f"wss://h/v1/realtime?model={model.get('model')}", "headers": {}},
        response=held,
        usage=session_facts(boundary, held)[1],
        metadata={"provider": "openai", "operation": "chat", **model},
    )


def live(*messages: dict[str, Any], **response: Any) -> Interaction:
    return recorded(*messages, boundary="gemini.live", **response)


def view(interaction: Interaction) -> list[str]:
    return repr(timeline([interaction])).splitlines()


def diff(old: Interaction, new: Interaction) -> Any:
    return diff_cassettes(*(Cassette(version="1", interactions=[each]) for each in (old, new)))


def ask(text: str, run: str = "1") -> dict[str, Any]:
    item = {"id": f"it{run}", "type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return sent("conversation.item.create", event_id=f"ev{run}", previous_item_id=f"p{run}", item=item)


def counts(given: int, taken: int, cached: int = 0) -> dict[str, Any]:
    return {
        "total_tokens": given + taken,
        "input_tokens": given,
        "output_tokens": taken,
        "input_token_details": {"text_tokens": given, "audio_tokens": 0, "cached_tokens": cached},
        "output_token_details": {"text_tokens": taken, "audio_tokens": 0},
    }


NAMES = {
    "present": ("output_text", "output_audio_transcript", "output_audio"),
    "beta": ("text", "audio_transcript", "audio"),
}
SCHEMA = {"type": "function", "name": "weather", "parameters": {"type": "object"}}


def answer(run: str, *pieces: str, names: str = "present", spoken: bool = False, usage: Any = None) -> list[Any]:
    """Return the events of an answer that says *pieces*."""
    text, transcript, audio = NAMES[names]
    kind, whole = (transcript, "transcript") if spoken else (text, "text")
    ids = {"response_id": f"resp_{run}", "item_id": f"item_{run}", "output_index": 0, "content_index": 0}
    part = {"type": "audio" if spoken else "text", whole: "".join(pieces)}
    item = {"id": f"item_{run}", "object": "realtime.item", "type": "message", "role": "assistant"}
    sound = [got(f"response.{audio}.delta", event_id="e", **ids, delta=base64.b64encode(run.encode()).decode())]
    return [
        got("response.created", event_id=f"event_{run}", response={"id": f"resp_{run}", "status": "in_progress"}),
        got("response.output_item.added", response_id=f"resp_{run}", output_index=0, item={**item, "content": []}),
        got("conversation.item.added", previous_item_id=f"item_of_{run}", item=item),
        got("response.content_part.added", **ids, part={"type": part["type"], whole: ""}),
        *(
            event
            for piece in pieces
            for event in (got(f"response.{kind}.delta", **ids, delta=piece), *(sound if spoken else ()))
        ),
        got(f"response.{kind}.done", **ids, **{whole: "".join(pieces)}),
        got("response.content_part.done", **ids, part=part),
        got("response.output_item.done", response_id=f"resp_{run}", output_index=0, item={**item, "content": [part]}),
        got(
            "response.done",
            event_id=f"end_{run}",
            response={
                "id": f"resp_{run}",
                "object": "realtime.response",
                "status": "completed",
                "output": [{**item, "status": "completed", "content": [part]}],
                "usage": usage,
            },
        ),
        got("rate_limits.updated", rate_limits=[{"name": "tokens", "remaining": len(run)}]),
    ]


def calling(run: str, arguments: str, usage: Any = None) -> list[Any]:
    """Return the events of an answer that asks for the weather."""
    ids = {"response_id": f"resp_{run}", "item_id": f"item_{run}", "output_index": 0, "call_id": f"call_{run}"}
    item = {"id": f"item_{run}", "type": "function_call", "name": "weather", "call_id": f"call_{run}"}
    return [
        got("response.created", response={"id": f"resp_{run}"}),
        got("response.output_item.added", response_id=f"resp_{run}", output_index=0, item={**item, "arguments": ""}),
        *(got("response.function_call_arguments.delta", **ids, delta=each) for each in arguments),
        got("response.function_call_arguments.done", **ids, arguments=arguments),
        got(
            "response.done",
            response={
                "id": f"resp_{run}",
                "status": "completed",
                "output": [{**item, "arguments": arguments}],
                "usage": usage,
            },
        ),
    ]


def conversation(run: str = "1", *, names: str = "present", **changes: Any) -> Interaction:
    """Return a session with two turns, the first with a tool; *run* is what is made up."""
    said = {"prompt": "Be brief.", "asked": "Weather in Rome?", "result": "sunny", "pieces": ("It is ", "sunny.")}
    said |= changes
    result = {"type": "function_call_output", "call_id": f"call_{run}t", "output": said["result"]}
    return recorded(
        got("session.created", event_id=run, session={"id": f"sess_{run}", "model": "gpt-realtime-2025"}),
        sent("session.update", session={"type": "realtime", "instructions": said["prompt"], "tools": [SCHEMA]}),
        got("session.updated", session={"id": f"sess_{run}", "model": "gpt-realtime-2025"}),
        ask(said["asked"], run),
        sent("response.create"),
        *calling(f"{run}t", '{"city": "Rome"}', counts(20, 5)),
        sent("conversation.item.create", item=result),
        sent("response.create"),
        *answer(f"{run}a", *said["pieces"], names=names, usage=counts(30, 7, cached=10)),
        ask("Thanks.", run),
        sent("response.create"),
        *answer(f"{run}b", "You are ", "welcome.", names=names, spoken=True, usage=counts(40, 9)),
        closed={"code": 1000, "reason": "", "by": "agent"},
    )


@pytest.mark.parametrize(("module", "names"), [("realtime", "present"), ("beta.realtime", "beta")])
def test_the_events_are_those_that_openais_package_documents(module: str, names: str) -> None:
    pytest.importorskip("openai")
    events = importlib.import_module(f"openai.types.{module}.realtime_server_event").RealtimeServerEvent
    documented = {
        name
        for each in typing.get_args(typing.get_args(events)[0])
        for name in typing.get_args(each.model_fields["type"].annotation)
    }
    told = {each["received"]["type"] for each in conversation(names=names).response["messages"] if "received" in each}
    assert told - documented <= {"conversation.item.added"}  # which the beta did not have


VIEW = [
    "llm openai.realtime gpt-realtime",
    "  system: Be brief.",
    "  user: Weather in Rome?",
    "  assistant asks weather(city='Rome')",
    "  tool: sunny",
    "  assistant: It is sunny.",
    "  user: Thanks.",
    "  -> You are welcome.",
]


@pytest.mark.parametrize("names", NAMES)
def test_a_conversation_is_shown_turn_by_turn(names: str) -> None:
    assert view(conversation(names=names)) == VIEW


def test_a_session_is_one_call_with_all_that_was_said() -> None:
    session = conversation()
    call = LLMCall.of(session)
    assert (call.provider, call.operation, call.model) == ("openai", "chat", "gpt-realtime")
    assert (call.text, call.answered_by, call.error) == ("You are welcome.", "gpt-realtime-2025", None)
    assert [(each.id, each.name, each.arguments) for each in call.tool_calls] == [
        ("call_1t", "weather", {"city": "Rome"})
    ]
    assert [each.text for each in call.answers] == ["", "It is sunny.", "You are welcome."]
    assert call.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Rome?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "call_1t", "name": "weather", "arguments": {"city": "Rome"}}],
        },
        {"role": "tool", "content": "sunny", "tool_call_id": "call_1t"},
        {"role": "assistant", "content": "It is sunny."},
        {"role": "user", "content": "Thanks."},
    ]
    assert call.usage == {"input_tokens": 90, "output_tokens": 21, "total_tokens": 111, "cached_tokens": 10}
    assert session.usage == call.usage
    assert last_word([session]) == "You are welcome."
    assert summary_line(session) == '#0 llm openai.realtime gpt-realtime: "Thanks."'
    assert shown_llm_call(call) == "#0 openai gpt-realtime: \"You are welcome.\", asks for weather(city='Rome')"


def test_the_tools_that_it_asks_for_are_to_run() -> None:
    ran = Interaction(index=1, kind="tool", boundary="weather", request={"args": {"city": "Rome"}}, response="sunny")
    assert requests_problem([conversation(), ran]) is None
    problem = requests_problem([conversation()])
    assert problem is not None
    assert "#0 asked for weather(city='Rome'), which never ran" in problem
    assert tool_calls([conversation()]) == []


def test_two_recordings_of_one_conversation_are_identical() -> None:
    assert diff(conversation(), conversation("22", pieces=("It ", "is sunny."))).identical
    assert view(conversation("22")) == VIEW


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"prompt": "Be kind."}, "the system prompt changed at messages[0]"),
        ({"asked": "Weather in Oslo?"}, "the user's message changed at messages[1]"),
        ({"result": "rain"}, "a tool result changed at messages[2]"),
        ({"pieces": ("It rains.",)}, "the result of call 0 (openai.realtime) changed"),
    ],
)
def test_a_difference_is_named(changes: dict[str, Any], text: str) -> None:
    found = diff(conversation(), conversation("2", **changes))
    assert f"first divergence: {text}" in found.render()
    assert len(found.changed_calls) == 1
    assert len(found.changed_calls[0].field_diffs) == 1


def test_changed_tools_and_settings_are_named() -> None:
    def session(**settings: Any) -> Interaction:
        return recorded(sent("session.update", session=settings), ask("Hi"), *answer("1", "Ho"))

    old = session(tools=[SCHEMA], voice="alloy")
    assert "the list of tools changed" in diff(old, session(tools=[{**SCHEMA, "name": "w"}], voice="alloy")).render()
    assert "voice" in diff(old, session(tools=[SCHEMA], voice="echo")).render()


def audio(*chunks: bytes) -> list[dict[str, Any]]:
    return [sent("input_audio_buffer.append", audio=base64.b64encode(each).decode()) for each in chunks]


def spoken(run: str, *chunks: bytes, heard: str = "") -> Interaction:
    transcript = "conversation.item.input_audio_transcription"
    return recorded(
        *audio(*chunks),
        got("input_audio_buffer.speech_started", audio_start_ms=len(run), item_id=run),
        got("input_audio_buffer.committed", item_id=run, previous_item_id=None),
        *answer(f"a{run}", "Hi!", spoken=True),
        *([got(f"{transcript}.delta", item_id=run, delta=heard[:3])] if heard else []),
        *([got(f"{transcript}.completed", item_id=run, transcript=f"{heard}\n")] if heard else []),
    )


def test_speech_is_shown_as_its_transcript_and_never_as_bytes() -> None:
    assert view(spoken("1", b"\0\1")) == ["llm openai.realtime gpt-realtime", "  user: (audio)", "  -> Hi!"]
    assert view(spoken("1", b"\0\1", heard="Hello there")) == [
        "llm openai.realtime gpt-realtime",
        "  user: Hello there",
        "  -> Hi!",
    ]


def test_where_speech_was_cut_is_no_difference_but_other_speech_is() -> None:
    old = spoken("1", b"abcdef")
    assert diff(old, spoken("22", b"ab", b"c", b"def")).identical
    assert "request.json.media" in diff(old, spoken("1", b"abcdeX")).render()


def test_speech_that_the_agent_commits_comes_before_what_it_says_next() -> None:
    session = recorded(
        *audio(b"a"),
        sent("input_audio_buffer.commit"),
        ask("And this?"),
        sent("response.create"),
        got("input_audio_buffer.committed", item_id="i"),
        got("conversation.item.input_audio_transcription.completed", item_id="i", transcript="What is that?"),
        *answer("1", "Both."),
    )
    assert view(session)[1:] == ["  user: What is that?", "  user: And this?", "  -> Both."]


def test_parts_that_are_no_text_are_named() -> None:
    parts = [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_image", "image_url": "https://h/a.png"},
        {"type": "input_audio", "audio": "AAEC"},
        {"type": "input_audio", "audio": "AAEC", "transcript": "said"},
        {"type": "input_text", "text": "text"},
    ]
    item = {"type": "message", "role": "user", "content": parts}
    session = recorded(sent("conversation.item.create", item=item), *answer("1", "Ok."))
    assert LLMCall.of(session).messages[0]["content"] == "(image)\nhttps://h/a.png\n(audio)\nsaid\ntext"


def test_instructions_of_one_answer_and_new_ones_are_shown_where_they_are_given() -> None:
    session = recorded(
        sent("session.update", session={"instructions": "Be brief."}),
        sent("session.update", session={"instructions": "Be kind."}),
        sent("response.create", response={"instructions": "Greet.", "output_modalities": ["text"]}),
        *answer("1", "Hello."),
        sent("session.update", session={"instructions": "Be kind.", "voice": "echo"}),
        sent("session.update", session={"instructions": "Be rude."}),
        ask("Bye"),
        *answer("2", "Go."),
    )
    assert view(session)[1:] == [
        "  system: Be kind.",
        "  system: Greet.",
        "  assistant: Hello.",
        "  system: Be rude.",
        "  user: Bye",
        "  -> Go.",
    ]


def test_a_history_that_the_agent_sends_is_part_of_the_conversation() -> None:
    def item(**fields: Any) -> dict[str, Any]:
        return sent("conversation.item.create", item=fields)

    session = recorded(
        item(type="message", role="assistant", content=[{"type": "output_text", "text": "Hi."}]),
        item(type="function_call", call_id="c", name="weather", arguments='{"city": "Rome"}'),
        item(type="function_call_output", call_id="c", output="sunny"),
        *answer("1", "Sunny."),
    )
    assert view(session)[1:] == [
        "  assistant: Hi.",
        "  assistant asks weather(city='Rome')",
        "  tool: sunny",
        "  -> Sunny.",
    ]
    assert LLMCall.of(session).tool_calls == ()


# Failures and early ends ------------------------------------------------------------------------------------------


def test_a_session_cut_anywhere_gives_what_was_there() -> None:
    messages = conversation().response["messages"]
    whole = LLMCall.of(conversation())
    said = [each.text for each in whole.answers]
    for end in range(len(messages)):
        call = LLMCall.of(recorded(*messages[:end]))
        assert all(full.startswith(each.text) for each, full in zip(call.answers, said, strict=False))
        assert len(call.tool_calls) <= 1
        assert call.messages[:1] in ([], whole.messages[:1])


def test_a_message_without_an_answer_is_shown() -> None:
    session = recorded(ask("Hi"), *answer("1", "Ho"), ask("Bye"))
    assert view(session)[1:] == ["  user: Hi", "  assistant: Ho", "  user: Bye", "  -> (no text)"]
    assert LLMCall.of(session).text == "Ho"


ERROR = {"type": "invalid_request_error", "code": "x", "message": "no such item", "event_id": "e"}


def test_an_error_that_ends_the_session_is_that_of_the_call() -> None:
    session = recorded(ask("Hi"), *answer("1", "Ho"), ask("Bye"), got("error", event_id="e", error=ERROR))
    assert LLMCall.of(session).error == "no such item"
    assert view(session)[-1] == "  -> failed: no such item"


def test_an_error_that_the_session_outlives_is_shown_in_its_place() -> None:
    session = recorded(ask("Hi"), got("error", event_id="e", error=ERROR), *answer("1", "Ho"))
    assert LLMCall.of(session).error is None
    assert view(session)[1:] == ["  user: Hi", "  assistant: (failed: no such item)", "  -> Ho"]


def test_a_failed_response_has_its_error_and_a_cancelled_one_its_reason() -> None:
    def done(**response: Any) -> dict[str, Any]:
        return got("response.done", response={"id": "resp_1", "output": [], **response})

    events = answer("1", "Half ", "of it")[:5]
    broken = {"type": "failed", "error": {"type": "server_error", "message": "out of order"}}
    failed = recorded(ask("Hi"), done(status="failed", status_details=broken))
    assert LLMCall.of(failed).error == "out of order"
    cut = {"type": "cancelled", "reason": "turn_detected"}
    cancelled = recorded(ask("Hi"), *events, done(status="cancelled", status_details=cut, usage=counts(1, 2)))
    [last] = LLMCall.of(cancelled).answers
    assert (last.text, last.finish_reason) == ("Half ", "turn_detected")
    assert last.usage == {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}


def test_the_servers_reason_for_closing_is_the_error() -> None:
    closed = {"code": 1008, "reason": "API key not valid", "by": "server"}
    for session in (recorded(ask("Hi"), closed=closed), live(closed=closed)):
        assert view(session)[-1] == "  -> failed: API key not valid"


def test_a_refused_connection_is_a_failed_call() -> None:
    refused = recorded()
    refused.response.clear()
    refused.response.update({"status": 401, "headers": {}, "text": "who are you?"})
    assert LLMCall.of(refused).error == "who are you?"
    assert view(refused) == ["llm openai.realtime gpt-realtime", "  -> failed: who are you?"]


def test_tokens_are_estimated_from_what_was_said() -> None:
    counted = count_tokens(recorded(ask("12345678"), *answer("1", "1234")))
    assert (counted.input, counted.output, counted.estimated) == (2, 1, True)


def test_audio_has_a_price_of_its_own() -> None:
    details = {
        "input_token_details": {"audio_tokens": 80, "cached_tokens": 20, "cached_tokens_details": {"audio_tokens": 10}},
        "output_token_details": {"audio_tokens": 40},
    }
    turns = [answer(run, "Hi", spoken=True, usage=counts(100, 50) | details) for run in "12"]
    openai = recorded(*turns[0], *turns[1])
    modalities = [{"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 160}]
    usage = {"promptTokenCount": 200, "responseTokenCount": 100, "promptTokensDetails": modalities}
    gemini = live(*said_aloud("Hi"), from_gemini(usageMetadata=usage))
    assert openai.usage == {
        "input_tokens": 200,
        "output_tokens": 100,
        "total_tokens": 300,
        "cached_tokens": 40,
        "input_audio_tokens": 160,
        "output_audio_tokens": 80,
        "cached_audio_tokens": 20,
    }
    assert gemini.usage == {"input_tokens": 200, "output_tokens": 100, "total_tokens": 300, "input_audio_tokens": 160}
    pytest.importorskip("genai_prices")
    for counted, model in ((openai.usage, "gpt-realtime"), (gemini.usage, "gemini-live-2.5-flash-preview")):
        text = {name: counted[name] for name in ("input_tokens", "output_tokens", "total_tokens")}
        dear, cheap = (price(None, [model], each) for each in (counted, text))
        assert dear is not None
        assert cheap is not None
        assert dear > cheap
    assert price(None, ["gpt-realtime"], {"input_tokens": 1, "total_tokens": 1, "input_audio_tokens": 9}) is None


# Gemini -----------------------------------------------------------------------------------------------------------


def to_gemini(**fields: Any) -> dict[str, Any]:
    return {"sent": fields}


def from_gemini(**fields: Any) -> dict[str, Any]:
    return {"received": fields}


def content(**fields: Any) -> dict[str, Any]:
    return from_gemini(serverContent=fields)


def model_turn(*texts: str) -> list[dict[str, Any]]:
    return [content(modelTurn={"role": "model", "parts": [{"text": each}]}) for each in texts]


SETUP = {
    "model": "models/gemini-live",
    "generationConfig": {"responseModalities": ["TEXT"]},
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "weather"}]}],
}


def done(given: int, taken: int) -> list[dict[str, Any]]:
    usage = {"promptTokenCount": given, "responseTokenCount": taken, "totalTokenCount": given + taken}
    return [
        content(generationComplete=True),
        {"received": {"serverContent": {"turnComplete": True}, "usageMetadata": usage}},
    ]


def gemini_conversation(run: str = "1", pieces: tuple[str, ...] = ("It is ", "sunny."), **setup: Any) -> Interaction:
    result = {"id": f"fc{run}", "name": "weather", "response": {"output": "sunny"}}
    return live(
        to_gemini(setup={**SETUP, **setup}),
        from_gemini(setupComplete={"sessionId": run}),
        to_gemini(client_content={"turns": [{"role": "user", "parts": [{"text": "Rome?"}]}], "turn_complete": True}),
        content(modelTurn={"parts": [{"text": "Let me think", "thought": True}]}),
        from_gemini(toolCall={"functionCalls": [{"id": f"fc{run}", "name": "weather", "args": {"city": "Rome"}}]}),
        from_gemini(usageMetadata={"promptTokenCount": 10, "responseTokenCount": 2, "totalTokenCount": 12}),
        to_gemini(tool_response={"functionResponses": [result]}),
        from_gemini(sessionResumptionUpdate={"newHandle": run, "resumable": True}),
        *model_turn(*pieces),
        *done(20, 5),
        to_gemini(realtime_input={"text": "Thanks."}),
        *model_turn("Welcome."),
        *done(30, 3),
    )


def test_a_gemini_session_is_read() -> None:
    session = gemini_conversation()
    assert view(session) == [
        "llm gemini.live gemini-live",
        "  system: Be brief.",
        "  user: Rome?",
        "  assistant asks weather(city='Rome')",
        "  tool: {'output': 'sunny'}",
        "  assistant: It is sunny.",
        "  user: Thanks.",
        "  -> Welcome.",
    ]
    call = LLMCall.of(session)
    assert call.usage == {"input_tokens": 60, "output_tokens": 10, "total_tokens": 70}
    assert [(each.id, each.name) for each in call.tool_calls] == [("fc1", "weather")]
    assert call.text == "Welcome."
    assert [each.finish_reason for each in call.answers] == [None, "completed", "completed"]


def test_two_recordings_of_one_gemini_session_are_identical_and_changes_are_named() -> None:
    old = gemini_conversation()
    assert diff(old, gemini_conversation("2", pieces=("It", " is sunny."), sessionResumption={"handle": "h"})).identical
    tools = [{"functionDeclarations": [{"name": "rain"}]}]
    assert "the list of tools changed" in diff(old, gemini_conversation(tools=tools)).render()
    assert "the model changed" in diff(old, gemini_conversation(model="models/other")).render()


def speech(*chunks: bytes) -> list[dict[str, Any]]:
    blobs = [{"data": base64.b64encode(each).decode(), "mimeType": "audio/pcm"} for each in chunks]
    return [to_gemini(realtime_input={"audio": each}) for each in blobs]


def said_aloud(*texts: str) -> list[dict[str, Any]]:
    sound = {"inlineData": {"mimeType": "audio/pcm", "data": "AAEC"}}
    return [content(modelTurn={"parts": [sound]}), *(content(outputTranscription={"text": each}) for each in texts)]


def test_speech_to_gemini_and_back_is_shown_as_its_transcripts() -> None:
    session = live(
        to_gemini(setup={"model": "models/gemini-live"}),
        *speech(b"ab", b"c"),
        content(inputTranscription={"text": " What"}),
        *said_aloud("A "),
        content(inputTranscription={"text": " is it?"}),
        *said_aloud("cat."),
        *done(5, 6),
        *speech(b"d"),
        *said_aloud("Yes"),
        content(interrupted=True),
        content(inputTranscription={"text": "No"}),
        content(turnComplete=True),
        content(inputTranscription={"text": "!"}),
        *said_aloud("Fine."),
        *done(7, 8),
        to_gemini(realtimeInput={"audioStreamEnd": True}),
    )
    assert view(session) == [
        "llm gemini.live gemini-live",
        "  user: What is it?",
        "  assistant: A cat.",
        "  user: (audio)",
        "  assistant: Yes",
        "  user: No!",
        "  -> Fine.",
    ]
    assert [each.finish_reason for each in LLMCall.of(session).answers] == ["completed", "interrupted", "completed"]


def test_media_in_a_turn_is_named_and_compared() -> None:
    def session(data: str) -> Interaction:
        parts = [{"inline_data": {"mime_type": "image/png", "data": data}}, {"text": "What is it?"}]
        return live(to_gemini(client_content={"turns": [{"role": "user", "parts": parts}]}), *model_turn("A cat."))

    assert LLMCall.of(session("AAEC")).messages == [{"role": "user", "content": "(image)\nWhat is it?"}]
    assert diff(session("AAEC"), session("AAEC")).identical
    assert not diff(session("AAEC"), session("AAED")).identical


# Anything at all --------------------------------------------------------------------------------------------------

KEYS = (
    *("type", "item", "session", "response", "delta", "transcript", "item_id", "response_id", "output", "content"),
    *("output_index", "usage", "error", "status_details", "instructions", "input", "audio", "image_url", "arguments"),
    *("setup", "client_content", "realtimeInput", "toolResponse", "turns", "parts", "functionResponses", "audio"),
    *("serverContent", "modelTurn", "toolCall", "functionCalls", "usageMetadata", "inputTranscription", "text"),
)
EVENTS = (
    *("session.update", "conversation.item.create", "input_audio_buffer.append", "input_audio_buffer.commit"),
    *("response.create", "session.created", "input_audio_buffer.committed", "error", "response.created"),
    *("conversation.item.input_audio_transcription.completed", "response.output_text.delta", "response.text.done"),
    *("response.output_item.done", "response.function_call_arguments.done", "response.done", "message"),
    *("function_call", "function_call_output"),
)
odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(EVENTS) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
events = st.builds(
    lambda kind, rest: {**rest, "type": kind}, st.sampled_from(EVENTS), st.dictionaries(st.sampled_from(KEYS), odd)
)


@given(
    boundary=st.sampled_from(["openai.realtime", "gemini.live"]),
    messages=st.lists(
        odd | st.builds(lambda way, event: {way: event}, st.sampled_from(["sent", "received"]), odd | events)
    ),
    closed=odd,
)
def test_an_odd_session_never_raises(boundary: str, messages: list[Any], closed: Any) -> None:
    session = recorded(*messages, boundary=boundary, closed=closed)
    LLMCall.of(session)
    summary_line(session)
    view(session)
    assert diff(session, session).identical


# The SDKs' own clients --------------------------------------------------------------------------------------------


@tool
def weather(city: str) -> str:
    return f"sunny in {city}"


def realtime_server(connection: Any) -> None:
    """Ask for the weather, then say it; greet before."""
    connection.send(json.dumps({"type": "session.created", "session": {"model": "gpt-realtime-2025"}}))
    turns = iter(
        (answer("a", "Hel", "lo.", spoken=True, usage=counts(3, 4)), calling("b", '{"city": "Rome"}', counts(5, 6)))
    )
    for message in connection:
        if json.loads(message)["type"] == "response.create":
            for event in next(turns, None) or answer("c", "It is ", "sunny.", usage=counts(7, 8, cached=1)):
                connection.send(json.dumps(event["received"]))


def openai_agent(openai: Any) -> Any:
    async def agent(url: str) -> Any:
        async def until_done(connection: Any) -> Any:
            while (event := await connection.recv()).type != "response.done":
                pass
            return event.response.output[0]

        base = url.replace("ws://", "http://").replace("/desk", "/v1")
        client = openai.AsyncOpenAI(api_key="sk-test-1234567890", base_url=base)
        async with client, client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(
                session={"type": "realtime", "instructions": "Be brief.", "tools": [SCHEMA]}
            )
            await connection.response.create()
            await until_done(connection)
            await connection.conversation.item.create(item=ask("Weather in Rome?")["sent"]["item"])
            await connection.response.create()
            call = await until_done(connection)
            result = {
                "type": "function_call_output",
                "call_id": call.call_id,
                "output": weather(**json.loads(call.arguments)),
            }
            await connection.conversation.item.create(item=result)
            await connection.response.create()
            return (await until_done(connection)).content[0].text

    return agent


def handle_of(desk: Desk) -> CassetteHandle:
    def no_snapshot() -> Any:
        raise AssertionError

    return CassetteHandle(desk.session, no_snapshot)


@pytest.mark.parametrize("mode", ["all", "none"])
def test_openais_client_is_read_in_recording_and_in_replay(tmp_path: Path, mode: str) -> None:
    desk = Desk(tmp_path / "cassette.yaml", realtime_server)
    said = desk.record(openai_agent(pytest.importorskip("openai")))
    if mode == "none":
        assert desk.replay(openai_agent(pytest.importorskip("openai"))) == said
    desk.stop()
    handle = handle_of(desk)
    assert handle.final_output == said == "It is sunny."
    assert handle.tool_calls == ["weather"]
    [call] = handle.llm_calls
    assert (call.provider, call.operation, call.model, call.answered_by) == (
        *("openai", "chat", "gpt-realtime", "gpt-realtime-2025"),
    )
    assert [(each.name, each.arguments) for each in call.tool_calls] == [("weather", {"city": "Rome"})]
    assert handle.usage == {"input_tokens": 15, "output_tokens": 18, "total_tokens": 33}
    handle.assert_tools_match_requests()
    assert repr(handle).splitlines() == [
        "llm openai.realtime gpt-realtime",
        "  system: Be brief.",
        "  assistant: Hello.",
        "  user: Weather in Rome?",
        "  assistant asks weather(city='Rome')",
        "  tool: sunny in Rome",
        "  -> It is sunny.",
        "tool weather(city='Rome')",
        "  -> 'sunny in Rome'",
    ]


def live_server(connection: Any) -> None:
    def say(*messages: dict[str, Any]) -> None:
        for each in messages:
            connection.send(json.dumps(each["received"]).encode())

    connection.recv()
    say(from_gemini(setupComplete={}))
    for message in connection:
        if "client_content" in json.loads(message):
            say(from_gemini(toolCall={"functionCalls": [{"id": "fc1", "name": "weather", "args": {"city": "Rome"}}]}))
        else:
            say(*model_turn("It is ", "sunny."), *done(9, 3))


def test_googles_client_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genai = pytest.importorskip("google.genai")
    monkeypatch.setattr("google.genai.live.ws_connect", without_tls)

    async def agent(url: str) -> Any:
        options = {"base_url": url.replace("ws://", "http://").replace("/desk", "")}
        client = genai.Client(api_key="test-key-0123456789", http_options=options)
        config = {
            "response_modalities": ["TEXT"],
            "system_instruction": "Be brief.",
            "tools": [{"function_declarations": [{"name": "weather"}]}],
        }
        async with client.aio.live.connect(model="gemini-live", config=config) as session:
            await session.send_client_content(turns={"role": "user", "parts": [{"text": "Weather in Rome?"}]})
            [call] = (await anext(session.receive())).tool_call.function_calls
            result = {"output": weather(**call.args)}
            await session.send_tool_response(
                function_responses=[{"id": call.id, "name": call.name, "response": result}]
            )
            return "".join([message.text or "" async for message in session.receive()])

    desk = Desk(tmp_path / "cassette.yaml", live_server)
    said = desk.record(agent)
    assert desk.replay(agent) == said
    handle = handle_of(desk)
    assert handle.final_output == said == "It is sunny."
    assert handle.usage == {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    handle.assert_llm_calls(1, model="gemini-live", provider="gcp.gemini")
    handle.assert_tools_match_requests()
    assert repr(handle).splitlines() == [
        "llm gemini.live gemini-live",
        "  system: Be brief.",
        "  user: Weather in Rome?",
        "  assistant asks weather(city='Rome')",
        "  tool: {'output': 'sunny in Rome'}",
        "  -> It is sunny.",
        "tool weather(city='Rome')",
        "  -> 'sunny in Rome'",
    ]
