"""Reads bodies of unknown form: a part that is missing, or of another type, reads as nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pytest_agenttape.bodies import read_event, stored_json
from pytest_agenttape.model import JSON
from pytest_agenttape.providers.view import RequestedTool

MAX_DEPTH = 50  # no provider nests its own fields deeper; what is below is left as it is


def payloads(response: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    """Return the JSON objects of a stored response: of each event, of each element, or the one body."""
    if isinstance(response.get("events"), list):
        return mappings([_payload(entry) for entry in response["events"]])
    body = stored_json(response)
    if body is None and isinstance(response.get("text"), str):
        return mappings([stored_json({"text": line}) for line in response["text"].splitlines()])
    return mappings(body if isinstance(body, list) else [body])


def _payload(entry: JSON) -> JSON:
    name, data = read_event(entry)
    failed = at(entry, "exception")  # Amazon's name of an error in the middle of a stream
    if failed is not None:
        return {"error": {"type": failed, **(data if isinstance(data, Mapping) else {})}}
    says_so = isinstance(data, Mapping) and ("error" in data or data.get("type") == "error")
    return {"error": data} if name == "error" and not says_so else data


def at(value: JSON, *path: str | int) -> JSON:
    """Return the value at *path*, or None if there is none."""
    for step in path:
        if isinstance(step, int):
            if not isinstance(value, list) or len(value) <= step:
                return None
            value = value[step]
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            return None
    return value


def mappings(value: JSON) -> list[Mapping[str, JSON]]:
    """Return the objects in a list; empty for anything else."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def text(value: JSON) -> str:
    """Return *value* if it is text, else an empty text."""
    return value if isinstance(value, str) else ""


def text_or_none(value: JSON) -> str | None:
    """Return *value* if it is text and not empty, else None."""
    return value if isinstance(value, str) and value else None


def number(value: JSON) -> int | None:
    """Return *value* if it is a whole number, else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def arguments(value: JSON) -> JSON:
    """Decode the arguments of a tool call when they are JSON text."""
    if not isinstance(value, str):
        return value
    decoded = stored_json({"text": value})
    return value if decoded is None and value.strip() != "null" else decoded


USAGE_DETAILS = (
    "cached_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "cached_audio_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
)


def usage(
    consumed: JSON,
    produced: JSON,
    total: JSON = None,
    *,
    cached: JSON = None,
    reasoning: JSON = None,
    audio: tuple[JSON, JSON, JSON] = (None, None, None),
    written: tuple[JSON, JSON] = (None, None),
) -> dict[str, int] | None:
    """Return token counts under their common names; None if there are none.

    *audio* is how many of the consumed, the produced and the cached tokens are audio, which has a price of its own;
    *written* is how many of the consumed ones a cache is to keep, and how many of these for an hour, which is dearer.
    """
    first, second = number(consumed), number(produced)
    if first is None and second is None:
        return None
    first, second, whole = first or 0, second or 0, number(total)
    counts = {
        "input_tokens": first,
        "output_tokens": second,
        "total_tokens": first + second if whole is None else whole,
    }
    extra = zip(USAGE_DETAILS, (cached, reasoning, *audio, *written), strict=True)
    return counts | {name: count for name, value in extra if (count := number(value))}


def message(role: JSON, content: JSON, calls: Iterable[RequestedTool] = ()) -> dict[str, JSON]:
    """Return a normalised message: text parts are joined, tool calls are listed separately."""
    out: dict[str, JSON] = {"role": text(role) or "unknown", "content": plain(content)}
    listed = [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]
    return out | {"tool_calls": listed} if listed else out


def tool_message(call_id: JSON, content: JSON) -> dict[str, JSON]:
    """Return a normalised message that hands a tool's result to the model."""
    out = message("tool", content)
    return out | {"tool_call_id": call_id} if isinstance(call_id, str) else out


def plain(content: JSON) -> JSON:
    """Return the text of *content* if it is nothing but text, else *content* itself."""
    if content is None:
        return ""
    if not isinstance(content, list):
        return content
    parts = list(_texts(content))
    return "\n".join(parts) if len(parts) == len(content) else content


def _texts(parts: list[JSON]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield part
        elif isinstance(at(part, "text"), str) and part.get("type", "text") in _TEXT_TYPES:
            yield part["text"]
        elif isinstance(at(part, "refusal"), str) and part.get("type") == "refusal":  # OpenAI's
            yield part["refusal"]


def joined_text(content: JSON) -> str:
    """Return all text in *content*, a string or a list of parts."""
    return "".join(_texts(content)) if isinstance(content, list) else text(content)


_TEXT_TYPES = ("text", "input_text", "output_text")
