"""What a failed answer is, in the words of its provider: an error under any status, or a stream that stopped short."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from pytest_agenttape.bodies.events import looks_like_events
from pytest_agenttape.model import JSON
from pytest_agenttape.providers.registry import BY_BOUNDARY, WORDS
from pytest_agenttape.providers.streams import is_whole
from pytest_agenttape.providers.tolerant import at, mappings, number, payloads, text
from pytest_agenttape.providers.view import View

_ERROR_FIELDS = tuple(
    tuple(int(step) if step.isdigit() else step for step in path.split(".")) for path in WORDS.error_fields
)
_OTHER_FORMS = frozenset(("json", "events", "form", "body_b64", "messages"))
_NAMES = ("code", "status", "error_type", "type")  # the fields of an error that name it, the most exact first


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an answer.

    Attributes:
        status: The HTTP status that it means, under whatever status it came; None if its stream stopped short.
        said: What the provider says about it.
    """

    status: int | None
    said: str = ""


def error_of(response: Mapping[str, JSON], objects: Iterable[Mapping[str, JSON]]) -> str | None:
    """Return the message of the error that a response carries, wherever its provider puts it."""
    found = next(_errors(response, objects), None)
    if found is not None:
        return _error_text(found[0])
    return _text_of_status(response) if _failed_status(response) else None


def failure_of(boundary: str | None, response: JSON) -> Failure | None:
    """Return what is wrong with the stored answer to an LLM request; None if nothing is, or nobody can tell."""
    view = BY_BOUNDARY.get(boundary or "")
    if view is None or not isinstance(response, Mapping):
        return None
    objects = _objects(view, response)
    answer, status = view.read_answer(objects), _failed_status(response)
    reason = answer.finish_reason or ""
    said = error_of(response, objects) or answer.error
    if said or reason.lower() in WORDS.failed_reasons:
        names = _names(response, next(_errors(response, objects), ()))
        means = _meaning(status or WORDS.failed_reasons.get(reason.lower()), said or "", names)
        return Failure(means, said or f"finish reason {reason}")
    if _was_left(response):
        return None
    if _has_ended(response) and reason in ("", *WORDS.unfinished) and not is_whole(view, response):
        return Failure(None)
    return None if objects or status else _other_page(response)


def failure_said(status: int, said: str) -> Failure:
    """Return what a client library's error means that has this *status* and message."""
    return Failure(_meaning(status, said, ()), said)


def refusal_of(boundary: str | None, status: int, said: str) -> dict[str, JSON]:
    """Return the stored answer, with *status*, in which the provider of *boundary* would say *said*."""
    view = BY_BOUNDARY.get(boundary or "")
    if view is None:
        return {"status": status, "headers": {"content-type": "text/plain"}, "text": said}
    body, headers = view.refusal(status, said)
    return {"status": status, "headers": {"content-type": "application/json", **headers}, "json": body}


def _objects(view: View, response: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    if view.read_session is None:
        return payloads(response)
    return mappings(view.read_session(mappings(response.get("messages")), at(response, "closed"))[1])


def _errors(
    response: Mapping[str, JSON], objects: Iterable[Mapping[str, JSON]]
) -> Iterator[tuple[JSON, Mapping[str, JSON]]]:
    """Give each error of a response, and the object that it is in."""
    is_failed = _failed_status(response) is not None
    for each in objects:
        found = next(filter(None, (at(each, *path) for path in _ERROR_FIELDS)), None)
        if not found and (is_failed or text(each.get("type")).rpartition(".")[2] == "error"):
            found = each.get("message") or each.get("Message") or each.get("detail")
        if found:
            yield found, each


def _failed_status(response: Mapping[str, JSON]) -> int | None:
    status = number(response.get("status"))
    return status if status is not None and status >= 400 else None


def _text_of_status(response: Mapping[str, JSON]) -> str:
    return text(response.get("text")).strip() or f"HTTP status {response['status']}"


def _error_text(found: JSON) -> str:
    for key in ("message", "type", "code", "status"):
        if isinstance(at(found, key), str) and found[key]:
            behind = text(at(found, "metadata", "raw")).strip()  # what a gateway was told, as OpenRouter passes it on
            return f"{found[key]}: {behind}" if behind else str(found[key])
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False, default=str)


def _names(response: Mapping[str, JSON], found: Iterable[JSON]) -> Iterator[JSON]:
    """Give what names the error that was *found*, and its numbers, the most exact first."""
    for each in found:
        yield from (detail.get("reason") for detail in mappings(at(each, "details")))
        yield from (at(each, name) for name in _NAMES)
    for name, value in (response.get("headers") or {}).items():
        if name.lower() in WORDS.error_headers:
            yield text(value).partition(":")[0]


def _meaning(status: int | None, said: str, names: Iterable[JSON]) -> int:
    """Return the HTTP status that an error means: one for the key, the account or the provider if anything says so."""
    sayings = (means for saying, means in WORDS.failure_sayings.items() if saying in said)
    listed = list(names)
    named = (
        WORDS.failures[name.lower()] for name in listed if isinstance(name, str) and name.lower() in WORDS.failures
    )
    numbered = (code for code in map(_status_in, listed) if code is not None)
    means = next(chain(sayings, named, numbered), None) or 500
    return status if status is not None and means >= 500 else means  # a 404 called "server_error" is a 404


def _status_in(name: JSON) -> int | None:
    code = int(name) if isinstance(name, str) and name.isdecimal() else number(name)
    return code if code is not None and 400 <= code <= 599 else None


def _was_left(response: Mapping[str, JSON]) -> bool:
    """Return whether the body of a stored answer broke, or its reader did not read it to its end."""
    return "complete" in response or "stream_error" in response


def _has_ended(response: Mapping[str, JSON]) -> bool:
    """Return whether a stored answer is a stream that came to its end."""
    events = response.get("events")
    return isinstance(events, list) and not (events and at(events[-1], "ended"))  # the program that said them failed


def _other_page(response: Mapping[str, JSON]) -> Failure | None:
    """Return what is wrong with a success that has nothing of an answer: a proxy's page, half a JSON text, nothing."""
    if response.get("status") != 200 or not _OTHER_FORMS.isdisjoint(response):
        return None
    said = text(response.get("text"))
    if looks_like_events(said.encode("utf-8", "replace")):
        return None
    return Failure(502, said.strip() or "an empty answer")
