"""LLM calls are told from plain HTTP, and read the same whatever their provider and their form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.bodies import encode_body
from pytest_agenttape.model import Interaction
from pytest_agenttape.providers import (
    VIEWS,
    Answer,
    Operation,
    RequestedTool,
    identify,
    is_llm_path,
    operation_of,
    read_answer,
    read_messages,
    with_model,
)

CHAT = {"model": "gpt-x", "messages": [{"role": "user", "content": "hi"}]}
CLAUDE = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}

CHAT_OPERATION = Operation("openai", "chat", "openai.chat", "gpt-x")
RESPONSES_OPERATION = Operation("openai", "chat", "openai.responses", "gpt-x")
EMBEDDINGS_OPERATION = Operation("openai", "embeddings", "openai.embeddings", "emb-x")
CLAUDE_OPERATION = Operation("anthropic", "chat", "anthropic.messages", "claude-x")
GEMINI_OPERATION = Operation("gcp.gemini", "generate_content", "gemini.generate_content", "gemini-x")
CONVERSE_OPERATION = Operation("aws.bedrock", "chat", "bedrock.converse", "meta.llama:0")
INVOKE_OPERATION = Operation("aws.bedrock", "chat", "bedrock.invoke", "meta.llama:0")

GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
BEDROCK = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/meta.llama%3A0"


def chat(provider: str, model: str | None = "gpt-x") -> Operation:
    return Operation(provider, "chat", "openai.chat", model)


IDENTIFIED = {
    "chat": ("https://api.openai.com/v1/chat/completions", CHAT, CHAT_OPERATION),
    "chat anywhere": ("http://127.0.0.1:8000/some/prefix/chat/completions/", CHAT, CHAT_OPERATION),
    "azure deployment": (
        "https://me.openai.azure.com/openai/deployments/my%20gpt/chat/completions?api-version=2024-10-21",
        {"messages": CHAT["messages"]},
        chat("azure.ai.openai", "my gpt"),
    ),
    "azure behind a proxy": ("http://localhost/openai/deployments/d/chat/completions", CHAT, chat("azure.ai.openai")),
    "azure v1": ("https://me.openai.azure.com/openai/v1/chat/completions", CHAT, chat("azure.ai.openai")),
    "azure inference": ("https://m.services.ai.azure.com/models/chat/completions", CHAT, chat("azure.ai.inference")),
    "openrouter": ("https://openrouter.ai/api/v1/chat/completions", CHAT, chat("openrouter")),
    "groq": ("https://api.groq.com/openai/v1/chat/completions", CHAT, chat("groq")),
    "mistral": ("https://api.mistral.ai/v1/chat/completions", CHAT, chat("mistral_ai")),
    "deepseek": ("https://api.deepseek.com/chat/completions", CHAT, chat("deepseek")),
    "gemini as openai": (f"{GOOGLE}/openai/chat/completions", CHAT, chat("gcp.gemini")),
    "a host that only looks alike": ("https://notgroq.com:443/chat/completions", CHAT, CHAT_OPERATION),
    "vertex as openai": (
        "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/l/endpoints/openapi/chat/completions",
        CHAT,
        chat("gcp.vertex_ai"),
    ),
    "together": ("https://api.together.xyz/v1/chat/completions", CHAT, chat("together")),
    "one model behind a gateway": (
        "https://gateway.ai.cloudflare.com/v1/a/g/azure-openai/r/d/chat/completions",
        {"messages": CHAT["messages"]},
        chat("openai", None),
    ),
    "one model behind its own host": (
        "https://m.eastus2.models.ai.azure.com/chat/completions",
        {"messages": CHAT["messages"]},
        chat("azure.ai.inference", None),
    ),
    "responses to a stored prompt": (
        "https://h/v1/responses",
        {"prompt": {"id": "p"}},
        Operation("openai", "chat", "openai.responses"),
    ),
    "vertex in a continent": (
        "https://aiplatform.eu.rep.googleapis.com/v1/projects/p/locations/eu/endpoints/7:generateContent",
        CONTENTS,
        Operation("gcp.vertex_ai", "generate_content", "gemini.generate_content", "7"),
    ),
    "responses": ("https://api.openai.com/v1/responses", {"model": "gpt-x", "input": "hi"}, RESPONSES_OPERATION),
    "responses by prompt": ("https://h/v1/responses", {"model": "gpt-x", "prompt": {"id": "p"}}, RESPONSES_OPERATION),
    "embeddings": ("https://api.openai.com/v1/embeddings", {"model": "emb-x", "input": ["a"]}, EMBEDDINGS_OPERATION),
    "anthropic": ("https://api.anthropic.com/v1/messages?beta=true", CLAUDE, CLAUDE_OPERATION),
    "anthropic under a prefix": ("http://localhost:1/lla/v1/messages", CLAUDE, CLAUDE_OPERATION),
    "gemini": (f"{GOOGLE}/models/gemini-x:generateContent", CONTENTS, GEMINI_OPERATION),
    "gemini stream": (f"{GOOGLE}/models/gemini-x:streamGenerateContent?alt=sse", CONTENTS, GEMINI_OPERATION),
    "vertex": (
        "https://eu-aiplatform.googleapis.com/v1/projects/p/publishers/google/models/gemini-x:generateContent",
        CONTENTS,
        Operation("gcp.vertex_ai", "generate_content", "gemini.generate_content", "gemini-x"),
    ),
    "converse": (f"{BEDROCK}/converse", CONVERSE, CONVERSE_OPERATION),
    "converse stream": (f"{BEDROCK}/converse-stream", CONVERSE, CONVERSE_OPERATION),
    "invoke": (f"{BEDROCK}/invoke", {"prompt": "hi"}, INVOKE_OPERATION),
    "invoke stream": (f"{BEDROCK}/invoke-with-response-stream", CLAUDE, INVOKE_OPERATION),
}


@pytest.mark.parametrize(("url", "body", "operation"), IDENTIFIED.values(), ids=IDENTIFIED)
def test_an_llm_call_is_told_by_its_path_and_its_body(url, body, operation):
    assert is_llm_path("POST", url)
    assert identify("POST", url, body) == operation
    assert identify("GET", url, body) is None
    for other in (None, [], "text", {}, {"name": "x"}):
        assert identify("POST", url, other) is None


@pytest.mark.parametrize("body", [{"model": "d", "messages": []}, {"messages": []}], ids=["also in the body", "alone"])
def test_another_deployment_of_azure_is_asked_for_in_the_path(body):
    url = "https://me.openai.azure.com/openai/deployments/{}/chat/completions?api-version=1"
    changed = {**body, "model": "my gpt"} if "model" in body else body
    assert with_model(url.format("d"), body, "my gpt") == (url.format("my%20gpt"), changed)


PLAIN = {
    "another path": ("https://api.openai.com/v1/files", CHAT),
    "counting tokens": ("https://api.anthropic.com/v1/messages/count_tokens", CLAUDE),
    "batches": ("https://api.anthropic.com/v1/messages/batches", CLAUDE),
    "an assistant's thread": ("https://api.openai.com/v1/threads/t/messages", {"role": "user", "content": "hi"}),
    "a chat service": ("https://slack.example/messages", {"channel": "c", "messages": ["hi"], "model": "x"}),
    "a survey": ("https://forms.example/responses", {"answers": [1]}),
    "another invoke": ("https://chain.example/chain/invoke", {"prompt": "hi"}),
    "an input without a model": ("https://h/responses", {"input": "hi"}),
    "an input to embed without a model": ("https://h/embeddings", {"input": ["hi"]}),
    "the query looks like a path": ("https://h/search?q=/chat/completions", CHAT),
}


@pytest.mark.parametrize(("url", "body"), PLAIN.values(), ids=PLAIN)
def test_anything_else_is_plain_http(url, body):
    assert identify("POST", url, body) is None


WEATHER = RequestedTool("c1", "weather", {"city": "Paris"})
CALLED = [{"id": "c1", "name": "weather", "arguments": {"city": "Paris"}}]
CONVERSATION = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hi\nthere"},
    {"role": "assistant", "content": "", "tool_calls": CALLED},
    {"role": "tool", "content": "sunny", "tool_call_id": "c1"},
]
REQUESTS = {
    "chat": (
        CHAT_OPERATION,
        {
            "messages": [
                {"role": "system", "content": "be brief"},
                {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "text", "text": "there"}]},
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [
                        {
                            "id": "c1",
                            "type": "function",
                            "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
                        }
                    ],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
            ]
        },
    ),
    "responses": (
        RESPONSES_OPERATION,
        {
            "instructions": "be brief",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "hi\nthere"}]},
                {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Paris"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            ],
        },
    ),
    "anthropic": (
        CLAUDE_OPERATION,
        {
            "system": [{"type": "text", "text": "be brief"}],
            "messages": [
                {"role": "user", "content": "hi\nthere"},
                {
                    "role": "assistant",
                    "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}}],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "sunny"}]},
            ],
        },
    ),
    "gemini": (
        GEMINI_OPERATION,
        {
            "systemInstruction": {"parts": [{"text": "be brief"}]},
            "contents": [
                {"role": "user", "parts": [{"text": "hi"}, {"text": "there"}]},
                {
                    "role": "model",
                    "parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Paris"}}}],
                },
                {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "weather", "response": "sunny"}}]},
            ],
        },
    ),
    "converse": (
        CONVERSE_OPERATION,
        {
            "system": [{"text": "be brief"}],
            "messages": [
                {"role": "user", "content": [{"text": "hi\nthere"}]},
                {
                    "role": "assistant",
                    "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Paris"}}}],
                },
                {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny"}]}}]},
            ],
        },
    ),
}


@pytest.mark.parametrize(("operation", "body"), REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("form", ["json", "text"])
def test_messages_read_the_same_from_every_provider(operation, body, form):
    stored = {"json": body} if form == "json" else {"text": json.dumps(body)}
    assert read_messages(operation, stored) == CONVERSATION


OTHER_REQUESTS = {
    "built-in tools that the client ran": (
        RESPONSES_OPERATION,
        {
            "input": [
                {"type": "local_shell_call", "call_id": "c1", "action": {"command": ["ls"]}},
                {"type": "local_shell_call_output", "call_id": "c1", "output": "a.txt"},
            ]
        },
        [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "name": "local_shell", "arguments": {"command": ["ls"]}}],
            },
            {"role": "tool", "content": "a.txt", "tool_call_id": "c1"},
        ],
    ),
    "responses text": (RESPONSES_OPERATION, {"input": "hi"}, [{"role": "user", "content": "hi"}]),
    "embeddings": (EMBEDDINGS_OPERATION, {"input": ["a", "b"]}, [{"role": "user", "content": "a\nb"}]),
    "gemini text": (GEMINI_OPERATION, {"contents": ["hi"]}, [{"role": "user", "content": "hi"}]),
    "invoke prompt": (INVOKE_OPERATION, {"prompt": "hi"}, [{"role": "user", "content": "hi"}]),
    "invoke messages": (
        INVOKE_OPERATION,
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]},
        [{"role": "user", "content": "hi"}],
    ),
    "image": (
        CHAT_OPERATION,
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]},
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}],
    ),
    "reasoning item": (
        RESPONSES_OPERATION,
        {"input": [{"type": "reasoning", "id": "r"}]},
        [{"role": "reasoning", "content": {"type": "reasoning", "id": "r"}}],
    ),
}


@pytest.mark.parametrize(("operation", "body", "messages"), OTHER_REQUESTS.values(), ids=OTHER_REQUESTS)
def test_other_shapes_of_requests_are_read(operation, body, messages):
    assert read_messages(operation, {"json": body}) == messages


def usage(consumed: int, produced: int, **extra: int) -> dict[str, int]:
    return {"input_tokens": consumed, "output_tokens": produced, "total_tokens": consumed + produced, **extra}


CHAT_USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
RESPONSE = {
    "model": "gpt-x-1",
    "status": "completed",
    "error": None,
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": '{"city":"Paris"}'},
    ],
    "usage": {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 15,
    },
}
RESPONSE_EVENTS = [
    {"type": "response.created", "response": {"model": "gpt-x-1", "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"},
    {"type": "response.output_text.delta", "output_index": 0, "delta": "lo"},
    {
        "type": "response.output_item.added",
        "output_index": 1,
        "item": {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": ""},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '{"city":'},
    {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": '"Paris"}'},
]
GEMINI_CHUNKS = [
    {"candidates": [{"content": {"parts": [{"text": "hmm", "thought": True}, {"text": "Hel"}]}}]},
    {"candidates": [{"content": {"parts": [{"text": "lo"}]}}], "usageMetadata": {"promptTokenCount": 10}},
    {
        "candidates": [
            {
                "content": {"parts": [{"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Paris"}}}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 2,
            "cachedContentTokenCount": 4,
            "totalTokenCount": 15,
        },
        "modelVersion": "gemini-x-1",
    },
]
CHAT_CHUNKS = [
    {"model": "gpt-x-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"index": 1, "delta": {"content": "the other choice"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hel"}}]},
    {"choices": [{"index": 0, "delta": {"content": "lo"}}], "usage": None},
    {
        "choices": [
            {"delta": {"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": ""}}]}}
        ]
    },
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":'}}]}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {"choices": [], "usage": CHAT_USAGE},
]
CLAUDE_EVENTS = [
    {
        "type": "message_start",
        "message": {
            "model": "claude-x-1",
            "content": [],
            "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "c1", "name": "weather", "input": {}},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Paris"}'}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def stream(*events: object) -> bytes:
    """Write events as a server does that names them by their type."""
    out = ""
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else None
        out += f"event: {kind}\n" if kind else ""
        out += f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n"
    return out.encode()


FULL_USAGE = usage(10, 5, cached_tokens=4, reasoning_tokens=2)
HELLO = {
    "chat": (
        CHAT_OPERATION,
        json.dumps(
            {
                "model": "gpt-x-1",
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": "tool_calls",
                        "message": {
                            "content": "Hello",
                            "tool_calls": [
                                {"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
                            ],
                        },
                    }
                ],
                "usage": CHAT_USAGE,
            }
        ).encode(),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gpt-x-1", "tool_calls"),
    ),
    "chat stream": (
        CHAT_OPERATION,
        stream(*CHAT_CHUNKS, "[DONE]"),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gpt-x-1", "tool_calls"),
    ),
    "responses": (
        RESPONSES_OPERATION,
        json.dumps(RESPONSE).encode(),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gpt-x-1", "completed"),
    ),
    "responses stream": (
        RESPONSES_OPERATION,
        stream(*RESPONSE_EVENTS, {"type": "response.completed", "response": RESPONSE}),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gpt-x-1", "completed"),
    ),
    "responses stream without output at its end": (
        RESPONSES_OPERATION,
        stream(*RESPONSE_EVENTS, {"type": "response.completed", "response": {**RESPONSE, "output": []}}),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gpt-x-1", "completed"),
    ),
    "responses stream cut short": (
        RESPONSES_OPERATION,
        stream(*RESPONSE_EVENTS),
        Answer("Hello", (WEATHER,), None, "gpt-x-1", "in_progress"),
    ),
    "anthropic": (
        CLAUDE_OPERATION,
        json.dumps(
            {
                "type": "message",
                "model": "claude-x-1",
                "content": [
                    {"type": "thinking", "thinking": "hmm"},
                    {"type": "text", "text": "Hello"},
                    {"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Paris"}},
                ],
                "stop_reason": "tool_use",
                "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 5},
            }
        ).encode(),
        Answer("Hello", (WEATHER,), usage(10, 5, cached_tokens=4), "claude-x-1", "tool_use"),
    ),
    "anthropic stream": (
        CLAUDE_OPERATION,
        stream(*CLAUDE_EVENTS),
        Answer("Hello", (WEATHER,), usage(10, 5, cached_tokens=4), "claude-x-1", "tool_use"),
    ),
    "gemini stream": (
        GEMINI_OPERATION,
        stream(*GEMINI_CHUNKS),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gemini-x-1", "STOP"),
    ),
    "gemini array": (
        GEMINI_OPERATION,
        json.dumps(GEMINI_CHUNKS, indent=2).encode(),
        Answer("Hello", (WEATHER,), FULL_USAGE, "gemini-x-1", "STOP"),
    ),
    "converse": (
        CONVERSE_OPERATION,
        json.dumps(
            {
                "output": {
                    "message": {
                        "content": [
                            {"text": "Hello"},
                            {"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Paris"}}},
                        ]
                    }
                },
                "stopReason": "tool_use",
                "usage": {"inputTokens": 6, "outputTokens": 5, "totalTokens": 15, "cacheReadInputTokens": 4},
            }
        ).encode(),
        Answer("Hello", (WEATHER,), usage(10, 5, cached_tokens=4), None, "tool_use"),
    ),
}


def stored_response(raw: bytes, status: int = 200) -> dict[str, object]:
    return {"status": status, "headers": {}, **encode_body(raw, None)}


@pytest.mark.parametrize(("operation", "raw", "answer"), HELLO.values(), ids=HELLO)
def test_answers_read_the_same_from_every_provider(operation, raw, answer):
    assert read_answer(operation, stored_response(raw)) == answer


@pytest.mark.parametrize(("operation", "raw", "answer"), HELLO.values(), ids=HELLO)
def test_a_body_cut_anywhere_gives_what_was_there(operation, raw, answer):
    for end in range(0, len(raw), 7):
        read = read_answer(operation, stored_response(raw[:end]))
        assert answer.text.startswith(read.text)
        assert len(read.tool_calls) <= 1


OTHER_ANSWERS = {
    "embeddings": (
        EMBEDDINGS_OPERATION,
        {"model": "emb-x", "data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 7, "total_tokens": 7}},
        Answer(model="emb-x", usage=usage(7, 0)),
    ),
    "arguments that are no JSON": (
        CHAT_OPERATION,
        {"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a'}}]}}]},
        Answer(tool_calls=(RequestedTool("c", "f", '{"a'),)),
    ),
    "custom tool": (
        CHAT_OPERATION,
        {"choices": [{"message": {"tool_calls": [{"id": "c", "custom": {"name": "f", "input": "ls"}}]}}]},
        Answer(tool_calls=(RequestedTool("c", "f", "ls"),)),
    ),
    "function call of old": (
        CHAT_OPERATION,
        {"choices": [{"message": {"function_call": {"name": "f", "arguments": "{}"}}}]},
        Answer(tool_calls=(RequestedTool(None, "f", {}),)),
    ),
    "calls without ids": (
        CHAT_OPERATION,
        {"choices": [{"message": {"tool_calls": [{"function": {"name": n, "arguments": {}}} for n in "fg"]}}]},
        Answer(tool_calls=(RequestedTool(None, "f", {}), RequestedTool(None, "g", {}))),
    ),
    "refusal": (
        CHAT_OPERATION,
        {"choices": [{"message": {"content": None, "refusal": "I cannot."}}]},
        Answer("I cannot."),
    ),
    "speech, as its transcript": (
        CHAT_OPERATION,
        {
            "choices": [{"message": {"content": None, "audio": {"id": "a", "data": "UklG", "transcript": "Hello"}}}],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 90,
                "total_tokens": 110,
                "prompt_tokens_details": {"audio_tokens": 5},
                "completion_tokens_details": {"audio_tokens": 70},
            },
        },
        Answer("Hello", usage=usage(20, 90, input_audio_tokens=5, output_audio_tokens=70)),
    ),
    "a whole answer of Perplexity": (
        CHAT_OPERATION,
        {"choices": [{"message": {"content": "Hello"}, "delta": {"role": "assistant", "content": ""}}]},
        Answer("Hello"),
    ),
    "reasoning that x.AI counts separately": (
        CHAT_OPERATION,
        {
            "choices": [{"message": {"content": "Hello"}}],
            "usage": {
                "prompt_tokens": 20,
                "completion_tokens": 9,
                "total_tokens": 129,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
        },
        Answer("Hello", usage=usage(20, 109, reasoning_tokens=100)),
    ),
    "what DeepSeek had in its cache": (
        CHAT_OPERATION,
        {"usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29, "prompt_cache_hit_tokens": 4}},
        Answer(usage=usage(20, 9, cached_tokens=4)),
    ),
    "what Moonshot had in its cache": (
        CHAT_OPERATION,
        {"usage": {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 29, "cached_tokens": 4}},
        Answer(usage=usage(20, 9, cached_tokens=4)),
    ),
    "built-in tools that the client runs": (
        RESPONSES_OPERATION,
        {
            "output": [
                {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
                {"type": "apply_patch_call", "call_id": "c2", "operation": {"type": "delete_file", "path": "a"}},
                {"type": "computer_call", "call_id": "c3", "actions": [{"type": "click", "x": 1, "y": 2}]},
            ]
        },
        Answer(
            tool_calls=(
                RequestedTool("c1", "shell", {"commands": ["ls"]}),
                RequestedTool("c2", "apply_patch", {"type": "delete_file", "path": "a"}),
                RequestedTool("c3", "computer", [{"type": "click", "x": 1, "y": 2}]),
            )
        ),
    ),
    "a built-in tool that OpenAI runs": (
        RESPONSES_OPERATION,
        {
            "output": [
                {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
                {"type": "shell_call_output", "call_id": "c1", "output": [{"stdout": "a"}]},
            ]
        },
        Answer(),
    ),
    "refusal in a response": (
        RESPONSES_OPERATION,
        {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}]},
        Answer("I cannot."),
    ),
    "incomplete response": (
        RESPONSES_OPERATION,
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": []},
        Answer(finish_reason="max_output_tokens"),
    ),
    "blocked prompt": (
        GEMINI_OPERATION,
        {"promptFeedback": {"blockReason": "SAFETY"}},
        Answer(finish_reason="SAFETY"),
    ),
    "invoke of llama": (
        INVOKE_OPERATION,
        {"generation": "hi", "prompt_token_count": 1, "generation_token_count": 2, "stop_reason": "stop"},
        Answer("hi", usage=usage(1, 2), finish_reason="stop"),
    ),
    "invoke of titan": (INVOKE_OPERATION, {"results": [{"outputText": "hi"}]}, Answer("hi")),
    "invoke of claude": (INVOKE_OPERATION, {"content": [{"type": "text", "text": "hi"}]}, Answer("hi")),
}


@pytest.mark.parametrize(("operation", "body", "answer"), OTHER_ANSWERS.values(), ids=OTHER_ANSWERS)
def test_other_shapes_of_answers_are_read(operation, body, answer):
    assert read_answer(operation, {"json": body}) == answer


@pytest.mark.parametrize(
    "last",
    [
        {"choices": [{"delta": {}, "finish_reason": "stop"}], "x_groq": {"id": "r", "usage": CHAT_USAGE}},
        {"choices": [{"delta": {}, "finish_reason": "stop", "usage": CHAT_USAGE}]},
    ],
    ids=["Groq", "Moonshot"],
)
def test_the_tokens_of_a_stream_are_found_where_its_provider_puts_them(last):
    chunks = [{"choices": [{"delta": {"content": "Hello"}}], "x_groq": {"id": "r"}}, last]
    assert read_answer(CHAT_OPERATION, stored_response(stream(*chunks, "[DONE]"))).usage == FULL_USAGE


def test_a_stream_that_also_sends_the_text_so_far_is_read_once():
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": more}, "message": {"content": whole}}]}
        for more, whole in (("Hel", "Hel"), ("lo", "Hello"), ("", "Hello"))
    ]
    assert read_answer(CHAT_OPERATION, stored_response(stream(*chunks))).text == "Hello"


def test_speech_that_is_streamed_is_what_its_transcript_says():
    pieces = [{"id": "audio_1"}, {"transcript": "Hel"}, {"data": "AAAA"}, {"transcript": "lo"}, {"expires_at": 1}]
    chunks = [{"choices": [{"index": 0, "delta": {"audio": piece}}]} for piece in pieces]
    assert read_answer(CHAT_OPERATION, stored_response(stream(*chunks, "[DONE]"))).text == "Hello"


def test_a_refusal_that_is_streamed_is_what_the_model_said():
    chunks = [{"choices": [{"delta": {"refusal": part}}]} for part in ("I ", "cannot.")]
    events = [{"type": "response.refusal.delta", "output_index": 0, "delta": part} for part in ("I ", "cannot.")]
    for operation, streamed in ((CHAT_OPERATION, chunks), (RESPONSES_OPERATION, events)):
        assert read_answer(operation, stored_response(stream(*streamed))).text == "I cannot."
    [said] = read_messages(CHAT_OPERATION, {"json": {"messages": [{"role": "assistant", "refusal": "I cannot."}]}})
    assert said["content"] == "I cannot."


def test_whole_calls_streamed_under_one_index_stay_apart():
    chunks = [
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "id": i, "function": {"name": "f", "arguments": "{}"}}]}}]}
        for i in ("a", "b")
    ]
    answer = read_answer(CHAT_OPERATION, stored_response(stream(*chunks)))
    assert answer.tool_calls == (RequestedTool("a", "f", {}), RequestedTool("b", "f", {}))


def test_a_binary_event_stream_gives_an_empty_answer():
    assert read_answer(CONVERSE_OPERATION, stored_response(b"\x00\x00\x00\x84\xff")) == Answer()


ERRORS = {
    "openai": (401, b'{"error":{"message":"bad key","type":"invalid_request_error"}}', "bad key"),
    "anthropic": (404, b'{"type":"error","error":{"type":"not_found_error","message":"no model"}}', "no model"),
    "gemini array": (400, b'[{"error":{"code":400,"message":"bad","status":"INVALID_ARGUMENT"}}]', "bad"),
    "bedrock": (400, b'{"message":"malformed"}', "malformed"),
    "text of an error": (500, b'{"error":"overloaded"}', "overloaded"),
    "type only": (500, b'{"error":{"type":"server_error"}}', "server_error"),
    "an unknown shape": (422, b'{"detail":[{"loc":["body"]}]}', '[{"loc": ["body"]}]'),
    "prose": (502, b"Bad Gateway\n", "Bad Gateway"),
    "nothing": (503, b"", "HTTP status 503"),
    "inside a stream": (200, stream({"type": "error", "error": {"message": "overloaded"}}), "overloaded"),
    "a failed response": (
        200,
        stream({"type": "response.failed", "response": {"error": {"code": "x", "message": "broke"}}}),
        "broke",
    ),
    "an error event": (200, stream({"type": "error", "message": "slow down"}), "slow down"),
    "none": (200, b'{"error":null,"message":"fine"}', None),
}


@pytest.mark.parametrize(("status", "raw", "error"), ERRORS.values(), ids=ERRORS)
@pytest.mark.parametrize("boundary", [boundary for view in VIEWS for boundary in view.operations])
def test_an_error_is_found_wherever_the_provider_puts_it(status, raw, error, boundary):
    assert read_answer(Operation("p", "o", boundary), stored_response(raw, status)).error == error


WORDS = (
    "arguments", "args", "candidates", "choices", "content", "content_block", "contents", "delta", "error", "function",
    "functionCall", "function_call", "id", "index", "input", "item", "message", "messages", "model", "name", "output",
    "output_index", "parts", "partial_json", "prompt", "response", "role", "status", "system", "text", "toolUse",
    "tool_calls", "type", "usage", "usageMetadata", "prompt_tokens", "input_tokens",
)  # fmt: skip
TYPES = (
    "text", "message", "error", "tool_use", "tool_result", "function_call", "message_start", "content_block_delta",
    "response.completed", "response.output_item.added", "response.output_text.delta", "user", "tool",
)  # fmt: skip
odd_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TYPES) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)
operations = st.sampled_from([Operation("p", "o", boundary) for view in VIEWS for boundary in view.operations])


@given(operation=operations, body=odd_bodies, status=st.sampled_from([200, 400, None, "x"]))
def test_an_odd_body_never_raises(operation, body, status):
    identify("POST", "https://h/model/m/converse", body)
    for view in VIEWS:
        identify("POST", f"https://h/x{next(iter(view.suffixes), '')}", body)
    read_messages(operation, {"json": body})
    read_answer(operation, {"status": status, "json": body})
    read_answer(operation, {"status": status, "events": body})
    read_answer(operation, {"status": status, "events": [{"data": body}, {"raw": body}]})
    read_answer(operation, {"status": status, "text": body})


def test_an_unknown_boundary_gives_an_empty_answer():
    unknown = Operation("p", "o", "p.o")
    assert read_answer(unknown, {"json": {"choices": []}}) == Answer()
    assert read_messages(unknown, {"json": CHAT}) == []


def interaction(**changes: object) -> Interaction:
    told = {"index": 0, "kind": "llm", "boundary": "openai.chat", "response": {}}
    return Interaction(**{**told, **changes})


def test_the_operation_of_a_recording_is_in_its_metadata():
    metadata = {"provider": "groq", "operation": "chat", "model": "gpt-x"}
    assert operation_of(interaction(metadata=metadata)) == chat("groq")
    assert operation_of(interaction()) == Operation("openai", "chat", "openai.chat", None)


@pytest.mark.parametrize(
    "changes", [{"kind": "http"}, {"boundary": None}, {"boundary": "p.o"}], ids=["http", "none", "unknown"]
)
def test_a_recording_of_something_else_has_no_operation(changes):
    assert operation_of(interaction(**changes)) is None
