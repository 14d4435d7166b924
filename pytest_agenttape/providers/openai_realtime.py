"""OpenAI's Realtime API over a WebSocket, and Azure's: its events under their present names and those of the beta."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.openai import provider_of
from pytest_agenttape.providers.realtime import AUDIO, WORDS, Draft, Place, Talk, read_answer, read_messages
from pytest_agenttape.providers.tolerant import (
    arguments,
    at,
    mappings,
    message,
    number,
    text,
    text_or_none,
    tool_message,
    usage,
)
from pytest_agenttape.providers.view import Operation, RequestedTool, View, Words

_IMAGE = "(image)"


def identify(url: str, _body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a WebSocket by its path; the model, or Azure's deployment, is in the query."""
    parts = urlsplit(url)
    if not parts.path.rstrip("/").endswith("/realtime"):
        return None
    query = parse_qs(parts.query)
    named = query.get("model") or query.get("deployment")
    provider = provider_of(url.partition("?")[0])
    return Operation(provider, "chat", "openai.realtime", named[0] if named else None)


def read_session(messages: list[Mapping[str, JSON]], closed: JSON) -> tuple[dict[str, JSON], list[JSON]]:
    """Read a session, whole or cut."""
    reader = _Reader()
    for each in messages:
        if isinstance(each.get("sent"), Mapping):
            reader.sent(each["sent"])
        elif isinstance(each.get("received"), Mapping):
            reader.received(each["received"])
    return reader.talk.exchange(closed)


class _Reader:
    def __init__(self) -> None:
        self.talk = Talk()
        self._answers: dict[str | None, Draft] = {}  # by the id of the response
        self._spoken: dict[str, dict[str, JSON]] = {}  # messages of the user's, by the id of the item
        self._unnamed: list[dict[str, JSON]] = []  # those whose id has not come yet
        self._heard: dict[str, str] = {}  # their transcripts as far as they have come

    def sent(self, event: Mapping[str, JSON]) -> None:
        """Read an event of the client's."""
        match event.get("type"):
            case "session.update" | "transcription_session.update":
                self._set(event.get("session"))
            case "conversation.item.create":
                self._say(event.get("item"))
            case "input_audio_buffer.append":
                self.talk.send_media(event.get("audio"))
            case "input_audio_buffer.commit":
                self._unnamed.append(self.talk.say(message("user", AUDIO)))
            case "response.create":
                self._ask(event.get("response"))
            case _:
                self.talk.controls.append(dict(event))

    def _set(self, session: JSON) -> None:
        if isinstance(session, Mapping):
            self.talk.settings |= {name: each for name, each in session.items() if name != "instructions"}
            self.talk.instruct(session.get("instructions"))

    def _ask(self, response: JSON) -> None:
        if not isinstance(response, Mapping):
            return
        if response.get("instructions"):  # for this answer only
            self.talk.say(message("system", response["instructions"]))
        for item in mappings(response.get("input")):
            self._say(item)
        rest = {name: each for name, each in response.items() if name not in ("instructions", "input")}
        if rest:
            self.talk.controls.append({"type": "response.create", "response": rest})

    def _say(self, item: JSON) -> None:
        if not isinstance(item, Mapping):
            return
        match item.get("type", "message"):
            case "message":
                parts = [self._shown(part) for part in mappings(item.get("content"))]
                self.talk.say(message(item.get("role"), "\n".join(parts)))
            case "function_call_output":
                self.talk.say(tool_message(item.get("call_id"), item.get("output")))
            case "function_call":
                asked = RequestedTool(
                    text_or_none(item.get("call_id")), text(item.get("name")), arguments(item.get("arguments"))
                )
                self.talk.say(message("assistant", None, [asked]))
            case "item_reference":
                return
            case kind:
                self.talk.say(message(kind, dict(item)))

    def _shown(self, part: Mapping[str, JSON]) -> str:
        image = text(part.get("image_url"))
        if image and not image.startswith("data:"):
            return image
        content = part.get("audio") or image.partition(",")[2]
        if content:
            self.talk.send_media(content)
        return _text_of(part) or (_IMAGE if image else AUDIO)

    def received(self, event: Mapping[str, JSON]) -> None:
        """Read an event of the server's."""
        kind = text(event.get("type"))
        if kind in ("session.created", "session.updated"):
            self.talk.answered_by = text_or_none(at(event, "session", "model")) or self.talk.answered_by
        elif kind == "input_audio_buffer.committed":
            spoken = self._unnamed.pop(0) if self._unnamed else self.talk.say(message("user", AUDIO))
            self._spoken[text(event.get("item_id"))] = spoken
        elif kind.startswith("conversation.item.input_audio_transcription."):
            self._hear(event)
        elif kind == "error":
            draft = self._answers.get(None) or self.talk.begin_answer()
            draft.error = event.get("error") or {"message": "error"}
        elif kind.startswith("response."):
            self._answer(kind, event)

    def _hear(self, event: Mapping[str, JSON]) -> None:
        item = text(event.get("item_id"))
        whole = text(event.get("transcript")) or self._heard.get(item, "") + text(event.get("delta"))
        self._heard[item] = whole
        if item in self._spoken and whole.strip():
            self._spoken[item]["content"] = whole.strip()

    def _answer(self, kind: str, event: Mapping[str, JSON]) -> None:
        read = _EVENTS.get(kind.replace("response.output_", "response."))
        if read is None:
            return
        number_of = text_or_none(event.get("response_id")) or text_or_none(at(event, "response", "id"))
        draft = self._answers.get(number_of)
        if draft is None:
            draft = self._answers[number_of] = self.talk.begin_answer()
        self._answers[None] = draft  # the one that is under way
        read(draft, event)
        if kind == "response.done":
            self._answers.pop(None)


def _text_piece(draft: Draft, event: Mapping[str, JSON]) -> None:
    draft.add(_place(event), text(event.get("delta")))


def _whole_text(draft: Draft, event: Mapping[str, JSON]) -> None:
    whole = _text_of(event) or _text_of(event.get("part"))
    if whole:
        draft.texts[_place(event)] = whole


def _arguments_piece(draft: Draft, event: Mapping[str, JSON]) -> None:
    call = draft.calls.setdefault(_place(event)[0], {})
    call["arguments"] = text(call.get("arguments")) + text(event.get("delta"))


def _whole_arguments(draft: Draft, event: Mapping[str, JSON]) -> None:
    draft.calls.setdefault(_place(event)[0], {}).update(_call(event))


def _item(draft: Draft, event: Mapping[str, JSON]) -> None:
    _read_item(draft, _place(event)[0], event.get("item"))


def _read_item(draft: Draft, index: int, item: JSON) -> None:
    if at(item, "type") == "function_call":
        draft.calls.setdefault(index, {}).update(_call(item))
    elif at(item, "type") == "message":
        for place, part in enumerate(mappings(at(item, "content"))):
            if _text_of(part):
                draft.texts[index, place] = _text_of(part)


def _done(draft: Draft, event: Mapping[str, JSON]) -> None:
    response = event.get("response")
    for index, item in enumerate(mappings(at(response, "output"))):
        _read_item(draft, index, item)
    details, counts = at(response, "status_details"), at(response, "usage")
    draft.finish_reason = text_or_none(at(details, "reason")) or text_or_none(at(response, "status"))
    draft.error = at(details, "error") or draft.error
    draft.usage = usage(
        at(counts, "input_tokens"),
        at(counts, "output_tokens"),
        at(counts, "total_tokens"),
        cached=at(counts, "input_token_details", "cached_tokens"),
        audio=(
            at(counts, "input_token_details", "audio_tokens"),
            at(counts, "output_token_details", "audio_tokens"),
            at(counts, "input_token_details", "cached_tokens_details", "audio_tokens"),
        ),
    )


def _begun(_draft: Draft, _event: Mapping[str, JSON]) -> None:
    """Nothing has been said yet."""


# Without the "output_" that the names of the beta do not have.
_EVENTS: dict[str, Callable[[Draft, Mapping[str, JSON]], None]] = {
    "response.created": _begun,
    "response.text.delta": _text_piece,
    "response.text.done": _whole_text,
    "response.audio_transcript.delta": _text_piece,
    "response.audio_transcript.done": _whole_text,
    "response.content_part.done": _whole_text,
    "response.function_call_arguments.delta": _arguments_piece,
    "response.function_call_arguments.done": _whole_arguments,
    "response.item.added": _item,
    "response.item.done": _item,
    "response.done": _done,
}


def _place(event: Mapping[str, JSON]) -> Place:
    return number(event.get("output_index")) or 0, number(event.get("content_index")) or 0


def _text_of(part: JSON) -> str:
    return text(at(part, "text")) or text(at(part, "transcript"))


def _call(item: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return what *item* says of a tool call; of an event about one, what it knows."""
    found = {"id": item.get("call_id"), "name": item.get("name"), "arguments": item.get("arguments")}
    return {name: each for name, each in found.items() if isinstance(each, str) and each}


VIEW = View(
    provider="openai",
    operations={"openai.realtime": "chat"},
    suffixes=(),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    read_session=read_session,
    words=Words.union((WORDS, Words(made_up=("event_id", "previous_item_id", "audio_end_ms")))),
)
