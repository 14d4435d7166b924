"""A failed answer is told from a good one by what its provider says, under whatever status it comes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from pytest_agenttape import RecordingRefusedError, use_cassette
from pytest_agenttape.providers import BOUNDARIES, Failure, failure_of
from tests.providers.laws import EVENTS, JSON, LINES, Api, stored

CHAT: dict[str, Any] = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE = {**CHAT, "model": "claude-sonnet-4-5", "max_tokens": 9}
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
CREDIT = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to purchase credits."


def sse(*objects: object, names: bool = False) -> bytes:
    """Return *objects* as the events of a stream; text stands as it is."""
    lines = []
    for each in objects:
        named = f"event: {each['type']}\n" if names and isinstance(each, dict) else ""
        lines.append(f"{named}data: {each if isinstance(each, str) else json.dumps(each)}\n\n")
    return "".join(lines).encode()


def chunk(content: str | None = None, reason: str | None = None, **more: object) -> dict[str, object]:
    delta = {} if content is None else {"content": content}
    return {"id": "c", "model": "gpt-5", "choices": [{"index": 0, "delta": delta, "finish_reason": reason, **more}]}


START = {"type": "message_start", "message": {"id": "m", "model": "claude", "content": [], "usage": {}}}
SAID = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}
STOPPED = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


def of_anthropic(kind: str, message: str = "no") -> dict[str, object]:
    return {"type": "error", "error": {"type": kind, "message": message}}


def of_gemini(code: int, status: str, message: str = "no", reason: str | None = None) -> dict[str, object]:
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}] if reason else []
    return {"error": {"code": code, "message": message, "status": status, "details": details}}


FAILED: dict[str, tuple[str, int, str, object, Failure]] = {
    "no credit": (
        *("anthropic.messages", 400, JSON, of_anthropic("invalid_request_error", CREDIT)),
        Failure(402, CREDIT),
    ),
    "what the provider behind a gateway said": (
        *("openai.chat", 429, JSON),
        {"error": {"code": 429, "message": "Provider returned error", "metadata": {"raw": "busy, try again\n"}}},
        Failure(429, "Provider returned error: busy, try again"),
    ),
    "a wrong request": ("anthropic.messages", 400, JSON, of_anthropic("invalid_request_error"), Failure(400, "no")),
    "a 422 under another name": (
        "openai.chat",
        422,
        JSON,
        {"error": {"type": "server_error", "message": "no"}},
        Failure(422, "no"),
    ),
    "an unknown error": ("anthropic.messages", 400, JSON, of_anthropic("new_error"), Failure(400, "no")),
    "an error event": (
        *("anthropic.messages", 200, EVENTS, sse(START, SAID, OVERLOADED, names=True)),
        Failure(529, "Overloaded"),
    ),
    "an unknown error event": (
        *("anthropic.messages", 200, EVENTS, sse(START, of_anthropic("new_error"), names=True)),
        Failure(500, "no"),
    ),
    "an invalid key": (
        *("gemini.generate_content", 400, JSON, of_gemini(400, "INVALID_ARGUMENT", "bad key", "API_KEY_INVALID")),
        Failure(401, "bad key"),
    ),
    "an invalid key, said only": (
        *("openai.chat", 400, JSON, [of_gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid one")]),
        Failure(401, "API key not valid. Please pass a valid one"),
    ),
    "a wrong argument": (
        *("gemini.generate_content", 400, JSON, of_gemini(400, "INVALID_ARGUMENT")),
        Failure(400, "no"),
    ),
    "overload in a stream": (
        *("gemini.generate_content", 200, EVENTS, sse(of_gemini(503, "UNAVAILABLE", "overloaded"))),
        Failure(503, "overloaded"),
    ),
    "a gateway's 429": (
        *("openai.chat", 200, JSON, {"error": {"code": 429, "message": "Rate limit exceeded"}}),
        Failure(429, "Rate limit exceeded"),
    ),
    "a gateway's 400": ("openai.chat", 200, JSON, {"error": {"code": 400, "message": "no"}}, Failure(400, "no")),
    "a choice that failed": (
        *("openai.chat", 200, JSON, {"choices": [{"error": {"code": 502, "message": "gone"}}]}),
        Failure(502, "gone"),
    ),
    "a choice that ends as an error": (
        *("openai.chat", 200, EVENTS, sse(chunk("Hel"), chunk(reason="error"), "[DONE]")),
        Failure(500, "finish reason error"),
    ),
    "a provider without resources": (
        *("openai.chat", 200, EVENTS, sse(chunk("Hel"), chunk(reason="insufficient_system_resource"), "[DONE]")),
        Failure(503, "finish reason insufficient_system_resource"),
    ),
    "a stream that ends with an error": (
        *(
            "openai.chat",
            200,
            EVENTS,
            sse(chunk("H"), {"error": {"code": "server_error", "message": "oops"}}, "[DONE]"),
        ),
        Failure(500, "oops"),
    ),
    "no money": (
        *("openai.chat", 400, JSON, {"error": {"code": "billing_hard_limit_reached", "message": "limit"}}),
        Failure(402, "limit"),
    ),
    "a key that x.AI does not know": (
        *("openai.chat", 400, JSON, {"code": "invalid argument", "error": "Incorrect API key provided: x."}),
        Failure(401, "Incorrect API key provided: x."),
    ),
    "a response that failed": (
        "openai.responses",
        200,
        EVENTS,
        sse(
            {"type": "response.created", "response": {"status": "in_progress", "error": None}},
            {"type": "response.failed", "response": {"status": "failed", "error": {"code": "rate_limit_exceeded"}}},
            names=True,
        ),
        Failure(429, "rate_limit_exceeded"),
    ),
    "a response to a prompt that is refused": (
        *("openai.responses", 200, JSON, {"status": "failed", "error": {"code": "invalid_prompt", "message": "no"}}),
        Failure(400, "no"),
    ),
    "an error of Cohere": (
        *("cohere.chat", 200, EVENTS, sse({"type": "message-end", "delta": {"finish_reason": "ERROR", "error": "x"}})),
        Failure(500, "x"),
    ),
    "an error of Ollama": (
        "ollama.chat",
        200,
        LINES,
        b'{"message":{"content":"H"}}\n{"error":"gone"}\n',
        Failure(500, "gone"),
    ),
    "overload of Hugging Face": (
        *("huggingface.generate", 200, EVENTS, sse({"error": "Model is overloaded", "error_type": "overloaded"})),
        Failure(429, "Model is overloaded"),
    ),
    "HTML of a proxy": ("openai.chat", 400, "text/html", b"<p>no</p>", Failure(400, "<p>no</p>")),
    "a page of a proxy": ("openai.chat", 200, "text/html", b"<p>Log in</p>", Failure(502, "<p>Log in</p>")),
    "HTML under the type of JSON": ("anthropic.messages", 200, JSON, b"<p>no</p>", Failure(502, "<p>no</p>")),
    "no answer at all": ("openai.embeddings", 200, JSON, b"", Failure(502, "an empty answer")),
    "blanks only": ("openai.chat", 200, JSON, b" \n ", Failure(502, "an empty answer")),
    "half an answer": ("openai.chat", 200, JSON, b'{"choices": [', Failure(502, '{"choices": [')),
    "an event that is an error by its name": (
        *("openai.chat", 200, EVENTS, b'event: error\ndata: {"message": "busy"}\n\n' + sse("[DONE]")),
        Failure(500, "busy"),
    ),
    "a chat that stops short": ("openai.chat", 200, EVENTS, sse(chunk("Hel"), chunk("lo")), Failure(None)),
    "a message that stops short": ("anthropic.messages", 200, EVENTS, sse(START, SAID, names=True), Failure(None)),
    "a response that stops short": (
        *("openai.responses", 200, EVENTS, sse({"type": "response.created", "response": {"status": "in_progress"}})),
        Failure(None),
    ),
    "a Gemini that stops short": (
        *("gemini.generate_content", 200, EVENTS, sse({"candidates": [{"content": {"parts": [{"text": "Hel"}]}}]})),
        Failure(None),
    ),
    "lines that stop short": ("ollama.chat", 200, LINES, b'{"message":{"content":"H"},"done":false}\n', Failure(None)),
    "an empty stream": ("openai.chat", 200, EVENTS, b": ping\n\n", Failure(None)),
}
GOOD: dict[str, tuple[str, int, str, object]] = {
    "no [DONE] after a finish reason": ("openai.chat", 200, EVENTS, sse(chunk("Hello", "stop"))),
    "[DONE] without a finish reason": ("openai.chat", 200, EVENTS, sse(chunk("Hello"), "[DONE]")),
    "no end after a stop reason": ("anthropic.messages", 200, EVENTS, sse(START, SAID, STOPPED, names=True)),
    "events under another type": ("openai.chat", 200, "text/plain", sse(chunk("Hello", "stop"), "[DONE]")),
    "bytes that nobody here can read": ("bedrock.invoke", 200, "application/octet-stream", b"\xff\x00"),
    "a null error": ("openai.responses", 200, JSON, {"status": "completed", "error": None, "output": []}),
    "an answer cut by its limit": (
        *(
            "openai.responses",
            200,
            JSON,
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        ),
    ),
    "a text about errors": (
        *("openai.chat", 200, JSON, {"choices": [{"message": {"content": CREDIT}, "finish_reason": "stop"}]}),
    ),
    "a blocked prompt": ("gemini.generate_content", 200, EVENTS, sse({"promptFeedback": {"blockReason": "SAFETY"}})),
}


def answer(status: int, kind: str, body: object) -> dict[str, Any]:
    return stored(body if isinstance(body, bytes) else json.dumps(body).encode(), kind, status)


@pytest.mark.parametrize(("boundary", "status", "kind", "body", "expected"), FAILED.values(), ids=list(FAILED))
def test_it_says_which_status_it_means(boundary: str, status: int, kind: str, body: object, expected: Failure) -> None:
    assert failure_of(boundary, answer(status, kind, body)) == expected


@pytest.mark.parametrize(("boundary", "status", "kind", "body"), GOOD.values(), ids=list(GOOD))
def test_a_good_answer_is_none(boundary: str, status: int, kind: str, body: object) -> None:
    assert failure_of(boundary, answer(status, kind, body)) is None


@pytest.mark.parametrize("end", [{"complete": False}, {"stream_error": {"type": "ReadError"}}], ids=["left", "broken"])
@pytest.mark.parametrize("kind", [EVENTS, JSON])
def test_an_answer_that_its_reader_left_or_that_broke_is_not_cut_short(end: dict[str, Any], kind: str) -> None:
    assert failure_of("openai.chat", {**answer(200, kind, sse(chunk("Hel"))), **end}) is None


@pytest.mark.parametrize("boundary", sorted(BOUNDARIES))
@pytest.mark.parametrize("odd", [None, "x", 1, [], {}, {"status": None}, {"events": [None, 1, {}], "complete": False}])
def test_odd_answers_of_no_form_are_no_failures(boundary: str, odd: object) -> None:
    failure_of(boundary, odd)


def test_of_an_error_of_bedrock_the_name_is_in_a_header() -> None:
    response = answer(400, JSON, {"message": "too many tokens today"})
    response["headers"] = {"x-amzn-ErrorType": "ServiceQuotaExceededException:http://internal.amazon.com/"}
    assert failure_of("bedrock.converse", response) == Failure(429, "too many tokens today")


def test_an_exception_in_a_stream_of_bedrock_has_its_own_name() -> None:
    response = {"status": 200, "events": [{"exception": "throttlingException", "data": {"message": "slow down"}}]}
    assert failure_of("bedrock.converse", response) == Failure(429, "slow down")


# -- recorded

REFUSED = {
    "no credit": ("/v1/messages", CLAUDE, "a live call got status 400, which means 402", CREDIT, 402),
    "an error event": ("/v1/messages", CLAUDE, "a live call got status 200 with error 529 inside", "Overloaded", 529),
    "an invalid key": (GENERATE, GEMINI, "a live call got status 400, which means 401", "bad key", 401),
    "a gateway's 429": (
        *("/chat/completions", CHAT, "a live call got status 200 with error 429 inside"),
        *("Rate limit exceeded", 429),
    ),
    "a chat that stops short": (
        *("/chat/completions", CHAT, "the stream of a live call ended before its last event"),
        *("", "truncated"),
    ),
}


@pytest.fixture
def recorded(api: Api) -> bytes:
    api.answers("/answer", b"{}")
    with use_cassette(api.path, mode="all"):
        httpx.get(api.provider.url + "/answer")
    return api.path.read_bytes()


@pytest.fixture(params=list(REFUSED))
def failing(api: Api, request: pytest.FixtureRequest) -> Any:
    _, status, kind, body, _ = FAILED[request.param]
    api.answers(
        REFUSED[request.param][0],
        body if isinstance(body, bytes) else json.dumps(body).encode(),
        kind=kind,
        status=status,
    )
    return REFUSED[request.param]


def test_a_bad_run_leaves_the_good_cassette(api: Api, recorded: bytes, failing: Any) -> None:
    path, body, text, said, code = failing
    with pytest.raises(RecordingRefusedError) as caught, use_cassette(api.path, mode="all"):
        api.ask(path, body)
    first, call, *rest = str(caught.value).splitlines()
    assert first == f"{text}, and the run went on as if nothing had happened; the recording is not kept"
    assert call.startswith("  call: #0 llm ")
    way_out = f"if the failure is what the test is about, allow it: allow_errors=[{code!r}], or True for all failures"
    assert rest == [*([f"  answer: {said}"] if said else []), f"  {way_out}"]
    assert api.path.read_bytes() == recorded


@pytest.mark.parametrize("allowed", ["what it means", True])
def test_it_is_allowed_by_what_it_means(api: Api, failing: Any, allowed: object) -> None:
    path, body, *_, code = failing
    allow = [code] if allowed != True else True  # noqa: E712  # not any true value
    with use_cassette(api.path, mode="all", allow_errors=allow):
        live = api.ask(path, body)
    assert api.replay(lambda: api.ask(path, body)) == live


def test_it_is_allowed_by_the_status_under_which_it_came(api: Api) -> None:
    api.answers("/v1/messages", json.dumps(FAILED["no credit"][3]).encode(), status=400)
    with use_cassette(api.path, mode="all", allow_errors=[400]):
        api.ask("/v1/messages", CLAUDE)


@pytest.mark.parametrize("name", ["a wrong request", "a wrong argument", "a gateway's 400"])
def test_a_bad_request_of_the_agent_is_recorded(api: Api, name: str) -> None:
    _, status, _, body, _ = FAILED[name]
    path, asked = {"a wrong request": ("/v1/messages", CLAUDE), "a wrong argument": (GENERATE, GEMINI)}.get(
        name, ("/chat/completions", CHAT)
    )
    api.answers(path, json.dumps(body).encode(), status=status)
    with use_cassette(api.path, mode="all"):
        api.ask(path, asked)
    assert api.recorded.response["status"] == status


def test_a_failure_that_the_same_request_repairs_is_recorded(api: Api) -> None:
    cut, whole = sse(chunk("Hel")), sse(chunk("Hello", "stop"), "[DONE]")
    api.answers("/chat/completions", cut, whole, kind=EVENTS)
    with use_cassette(api.path, mode="all"):
        live = [api.ask("/chat/completions", CHAT) for _ in range(2)]
    assert live == [cut, whole]
    assert len(api.interactions) == 2


def test_a_stream_that_its_reader_leaves_is_recorded(api: Api) -> None:
    first = sse(chunk("Hel"))
    api.answers("/chat/completions", [first, sse(chunk("lo")), sse(chunk(reason="stop"), "[DONE]")], kind=EVENTS)
    with use_cassette(api.path, mode="all"):
        api.ask("/chat/completions", CHAT, take=len(first))
    assert api.recorded.response["complete"] is False


def test_no_secret_is_in_what_the_provider_says(api: Api, tmp_path: Path) -> None:
    key = "sk-proj-Zx81kQp0vLm3nB7tYw2cRe5u"
    api.answers(
        "/chat/completions", json.dumps({"error": {"message": f"{key} is over its quota", "code": 429}}).encode()
    )
    with pytest.raises(RecordingRefusedError) as caught, use_cassette(tmp_path / "a.yaml", mode="all"):
        httpx.post(api.provider.url + "/chat/completions", json=CHAT, headers={"authorization": f"Bearer {key}"})
    assert "over its quota" in str(caught.value)
    assert key not in str(caught.value)


class BadRequestError(Exception):
    status_code = 400


def test_a_client_library_s_error_is_read_likewise(tmp_path: Path) -> None:
    from pytest_agenttape import record_call

    def fail() -> None:
        raise BadRequestError(CREDIT)

    with (
        pytest.raises(RecordingRefusedError, match="a live call got status 400, which means 402"),
        use_cassette(tmp_path / "a.yaml", mode="all"),
        contextlib.suppress(BadRequestError),
    ):
        record_call("llm", {"prompt": "hi"}, fail, boundary="ask")
