"""What the benchmarks ask and what they are answered, the same bytes from a stub and from a loopback server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Body = dict[str, Any]
MODEL = "gpt-4o-mini"
_DATA = b"data: "
_HEADERS = (
    ("server", "cloudflare"),
    ("x-request-id", "req_123e4567e89b12d3a456426614174000"),
    ("openai-version", "2020-10-01"),
    ("x-ratelimit-remaining-requests", "9999"),
)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation of some turns; in each the model calls tools, one after the other, and then answers.

    Attributes:
        tools: What the model is offered in each call.
        results: How many tools it calls in a turn.
    """

    prompt: Body
    tools: Any  # what the SDK takes
    turns: int
    results: int

    def question(self, number: int, turn: int) -> Body:
        """Return what is asked in a turn of conversation *number*."""
        asked = f"What is the weather in London and Paris? (question {number}, part {turn})"
        return {"role": "user", "content": asked}


def _tool(name: str, about: str) -> Body:
    place = {"type": "string", "description": "A city by its English name, without the country"}
    day = {"type": "string", "format": "date", "description": "A day such as 2026-05-31, by the calendar of the place"}
    unit = {"type": "string", "enum": ["metric", "imperial"], "description": "Of all numbers in the result"}
    fields = {"city": place, "since": day, "until": day, "units": unit}
    parameters = {"type": "object", "properties": fields, "required": ["city"], "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": about, "parameters": parameters}}


_WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
SHORT = Talk(
    prompt={"role": "system", "content": "You are a weather assistant. Answer in one short sentence."},
    tools=[
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "Get the current weather in a city",
                "parameters": _WEATHER,
            },
        }
    ],
    turns=1,
    results=2,
)
_SUBJECTS = ("weather", "tides", "pollen", "snow", "traffic", "trains", "flights", "ferries")
LONG = Talk(
    prompt={
        "role": "system",
        "content": "\n".join(f"{at}. When somebody asks about a case of kind {at}, look it up." for at in range(1, 41)),
    },
    tools=[_tool(f"get_{each}", f"Get what is known about {each} in a city, the newest first") for each in _SUBJECTS],
    turns=12,
    results=1,
)


def search_body(number: int) -> Body:
    """Return the body of a plain JSON POST."""
    return {"query": f"Where does river {number} meet the sea?", "top_k": 5, "filters": {"lang": "en", "year": 2025}}


def messages(number: int) -> list[Any]:
    """Return the messages that start the short conversation *number*."""
    return [SHORT.prompt, SHORT.question(number, 0)]


def converse_messages(number: int) -> list[Any]:
    """Return the messages of a conversation with Bedrock."""
    return [{"role": "user", "content": [{"text": f"Where does river {number} meet the sea?"}]}]


def headers(content: bytes) -> tuple[tuple[str, str], ...]:
    """Return the headers of an answer."""
    kind = "text/event-stream" if content.startswith(_DATA) else "application/json"
    return (("content-type", kind), *_HEADERS)


def answer(method: str, path: str, body: bytes) -> bytes:
    """Return the JSON that the provider answers, or a stream of events where that is asked for."""
    if path.endswith("/chat/completions"):
        asked = json.loads(body)
        return _streamed() if asked.get("stream") else _compact(_completion(asked))
    if path.endswith("/converse"):
        return _compact(_conversed(json.loads(body)["messages"][0]["content"][0]["text"]))
    if method == "POST":
        asked = json.loads(body)["query"]
        hits = [{"id": f"doc-{at}", "score": 0.9 - at / 10, "text": f"Passage {at} on: {asked}"} for at in range(3)]
        return _compact({"hits": hits, "took_ms": 12})
    return _compact({"path": path, "city": "London", "temperature_c": 14, "conditions": "light rain"})


def _conversed(asked: str) -> Body:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": f"You asked: {asked}"}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 82, "outputTokens": 17, "totalTokens": 99},
        "metrics": {"latencyMs": 12},
    }


def _completion(asked: Body) -> Body:
    done = _results_since_the_question(asked["messages"])
    tools = asked.get("tools", ())
    wants_tool = tools and done < (LONG if len(tools) == len(LONG.tools) else SHORT).results
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1764547200,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": _tool_message(done) if wants_tool else _last_message(),
                "logprobs": None,
                "finish_reason": "tool_calls" if wants_tool else "stop",
            }
        ],
        "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
        "system_fingerprint": "fp_0aa8d3e20b",
    }


def _streamed() -> bytes:
    chunk: Body = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": 1764547200, "model": MODEL}
    deltas: list[Body] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": f"{word} "} for word in str(_last_message()["content"]).split()]
    choices = [{"index": 0, "delta": each, "finish_reason": None} for each in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    events = [_compact({**chunk, "choices": [each]}) for each in choices]
    return b"".join(_DATA + each + b"\n\n" for each in (*events, b"[DONE]"))


def _results_since_the_question(said: list[Body]) -> int:
    roles = [each["role"] for each in reversed(said)]
    return roles[: roles.index("user")].count("tool")


def _tool_message(done: int) -> Body:
    city = ("London", "Paris")[done]
    function = {"name": "get_weather", "arguments": json.dumps({"city": city})}
    calls = [{"id": f"call_{done}", "type": "function", "function": function}]
    return {"role": "assistant", "content": None, "tool_calls": calls, "refusal": None}


def _last_message() -> Body:
    return {
        "role": "assistant",
        "content": "It is 14 °C with light rain in London, and 17 °C in Paris.",
        "refusal": None,
    }


def _compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


class _Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together, or the client waits 40 ms for the second packet

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        content = answer(self.command, self.path, body)
        self.send_response_only(200)
        for name, value in (*headers(content), ("content-length", str(len(content)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer


@contextmanager
def serving() -> Iterator[str]:
    """Serve the answers on the loopback interface; the value is the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Requests)
    server.daemon_threads = True
    server.block_on_close = False
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
