"""Hugging Face text generation, as served by TGI and by its endpoints; their chat is OpenAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.tolerant import at, mappings, message, text, text_or_none, usage
from pytest_agenttape.providers.view import Answer, Operation, View, Words

# Only this task has these parameters; other tasks share its path.
_OWN_PARAMETERS = frozenset(("max_new_tokens", "do_sample", "return_full_text", "details", "best_of", "watermark"))
_MODEL = r"/models/[^/:]+/[^/:]+"
_MODEL_AT_END = re.compile(rf"{_MODEL}$")


def identify(url: str, body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a request by its inputs and, on a path shared with other tasks, by its parameters."""
    if not isinstance(body.get("inputs"), str) or not (url.endswith(VIEW.suffixes) or _is_to_generate(body)):
        return None
    found = _MODEL_AT_END.search(url)
    model = unquote(found[0].removeprefix("/models/")) if found else None
    return Operation("huggingface", "text_completion", "huggingface.generate", model)


def _is_to_generate(body: Mapping[str, JSON]) -> bool:
    parameters = body.get("parameters")
    is_named = isinstance(parameters, Mapping) and not _OWN_PARAMETERS.isdisjoint(parameters)
    return is_named or isinstance(body.get("stream"), bool)


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the inputs as one message."""
    return [message("user", body["inputs"])] if "inputs" in body else []


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Read a generated text, whole or from its tokens."""
    last = objects[-1] if objects else {}
    details = last.get("details")
    tokens = [each["token"] for each in objects if isinstance(each.get("token"), Mapping)]
    pieces = "".join(text(token.get("text")) for token in tokens if not token.get("special"))
    prefill = mappings(at(details, "prefill"))
    return Answer(
        text=text(last.get("generated_text")) or pieces,
        usage=usage(
            at(details, "input_length") or (len(prefill) if prefill else None), at(details, "generated_tokens")
        ),
        finish_reason=text_or_none(at(details, "finish_reason")),
    )


def is_finished(objects: list[Mapping[str, JSON]]) -> bool:
    """Return whether the last event has the whole text, or is an error."""
    last = objects[-1] if objects else {}
    return isinstance(last.get("generated_text"), str) or "error" in last


VIEW = View(
    provider="huggingface",
    operations={"huggingface.generate": "text_completion"},
    suffixes=("/generate", "/generate_stream"),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    words=Words(
        serving_headers=(
            *("x-compute-", "x-total-time", "x-validation-time", "x-queue-time", "x-inference-time"),
            *("x-time-per-token", "x-prompt-tokens", "x-generated-tokens", "x-sha", "x-inference-id"),
        ),
        conversations=("inputs",),
        texts=("inputs", "generated_text"),
        failures={"validation": 422, "overloaded": 429, "generation": 500, "incomplete_generation": 500},
    ),
    below=_MODEL,
    is_at_root=True,
    is_finished=is_finished,
)
