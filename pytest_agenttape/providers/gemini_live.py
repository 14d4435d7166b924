"""Google's Live API over a WebSocket: messages with one field each, named in camel case or with underscores."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from pytest_agenttape.model import JSON
from pytest_agenttape.providers import gemini
from pytest_agenttape.providers.realtime import AUDIO, WORDS, Draft, Talk, read_answer, read_messages
from pytest_agenttape.providers.tolerant import mappings, message, text, text_or_none, tool_message
from pytest_agenttape.providers.view import Operation, View

_TEXT, _TRANSCRIPT = (0, 0), (0, 1)
_NOT_SETTINGS = ("model", "systemInstruction", "sessionResumption")


def identify(url: str, _body: Mapping[str, JSON]) -> Operation | None:
    """Recognise a WebSocket by its path, also ``...Constrained``; the model is in the first message."""
    if "BidiGenerateContent" not in urlsplit(url).path:
        return None
    return Operation(gemini.google_provider(url.partition("?")[0]), "generate_content", "gemini.live")


def read_session(messages: list[Mapping[str, JSON]], closed: JSON) -> tuple[dict[str, JSON], list[JSON]]:
    """Read a session, whole or cut."""
    reader = _Reader()
    for each in messages:
        if isinstance(each.get("sent"), Mapping):
            reader.sent(_camel(each["sent"]))
        elif isinstance(each.get("received"), Mapping):
            reader.received(_camel(each["received"]))
    return reader.talk.exchange(closed)


class _Reader:
    def __init__(self) -> None:
        self.talk = Talk()
        self._answer: Draft | None = None  # the one that is under way
        self._spoken: dict[str, JSON] | None = None  # the user's message that is being transcribed
        self._has_audio = False  # since the user's last message
        self._is_interrupted = False

    def sent(self, event: Mapping[str, JSON]) -> None:
        """Read a message of the client's."""
        for name, content in event.items():
            fields = _camel(content)
            match name:
                case "setup":
                    self._set(fields)
                case "clientContent":
                    self._say(fields)
                case "realtimeInput":
                    self._stream(fields)
                case "toolResponse":
                    self._hand_over(fields)
                case _:
                    self.talk.controls.append({name: content})

    def _set(self, setup: Mapping[str, JSON]) -> None:
        self.talk.settings |= {name: each for name, each in setup.items() if name not in _NOT_SETTINGS}
        model = text(setup.get("model")).rpartition("/")[2]
        if model:
            self.talk.settings["model"] = model
        self.talk.instruct(gemini.read_content(setup.get("systemInstruction")))

    def _say(self, content: Mapping[str, JSON]) -> None:
        self._end_answer()
        for turn in mappings(content.get("turns")):
            parts = [self._shown(_camel(part)) for part in mappings(turn.get("parts"))]
            for each in gemini.read_messages({"contents": [{**turn, "parts": parts}]}):
                self.talk.say(each)

    def _shown(self, part: Mapping[str, JSON]) -> Mapping[str, JSON]:
        blob = _camel(part.get("inlineData"))
        if not blob:
            return part
        self.talk.send_media(blob.get("data"))
        kind = text(blob.get("mimeType")).partition("/")[0]
        return {"text": f"({kind or 'file'})"}

    def _stream(self, given: Mapping[str, JSON]) -> None:
        for name in ("audio", "video", "mediaChunks"):
            chunk = given.get(name)
            for blob in mappings(chunk if isinstance(chunk, list) else [chunk]):
                self.talk.send_media(blob.get("data"))
                self._has_audio = self._has_audio or _is_audio(blob)
        if text_or_none(given.get("text")):
            self._end_answer()
            self.talk.say(message("user", given["text"]))

    def _hand_over(self, given: Mapping[str, JSON]) -> None:
        self._end_answer()
        for each in mappings(given.get("functionResponses")):
            self.talk.say(tool_message(each.get("id"), each.get("response")))

    def received(self, event: Mapping[str, JSON]) -> None:
        """Read a message of the server's."""
        content = _camel(event.get("serverContent"))
        self._hear(text(_camel(content.get("inputTranscription")).get("text")))
        parts = mappings(_camel(content.get("modelTurn")).get("parts"))
        said = "".join(text(part.get("text")) for part in parts if not part.get("thought"))
        self._add(_TEXT, said)
        self._add(_TRANSCRIPT, text(_camel(content.get("outputTranscription")).get("text")))
        calls = mappings(_camel(event.get("toolCall")).get("functionCalls"))
        self._ask([*parts, *({"functionCall": call} for call in calls)])
        counts = gemini.read_usage(_camel(event.get("usageMetadata")))
        if counts:
            self._last_answer().usage = counts
        if content.get("interrupted") is True:
            self._is_interrupted = True
            self._last_answer().finish_reason = "interrupted"
            self._spoken = None
        if content.get("turnComplete") is True:
            self._complete(text_or_none(content.get("turnCompleteReason")))

    def _hear(self, piece: str) -> None:
        if not piece:
            return
        if self._spoken is None:
            self._spoken = self.talk.say(message("user", ""))
            self._has_audio = False
        heard = text(self._spoken["content"])
        self._spoken["content"] = piece.lstrip() if heard in ("", AUDIO) else heard + piece

    def _add(self, place: tuple[int, int], piece: str) -> None:
        if piece:
            self._begin_answer().add(place, piece)

    def _ask(self, parts: list[Mapping[str, JSON]]) -> None:
        for call in gemini.read_calls(parts):
            draft = self._begin_answer()
            draft.calls[len(draft.calls)] = {"id": call.id, "name": call.name, "arguments": call.arguments}

    def _begin_answer(self) -> Draft:
        if self._answer is None:
            if self._has_audio and self._spoken is None:
                self._spoken = self.talk.say(message("user", AUDIO))
            self._has_audio = False
            self._answer = self.talk.begin_answer()
        return self._answer

    def _last_answer(self) -> Draft:
        return self._answer or self.talk.last_answer or self._begin_answer()

    def _complete(self, reason: str | None) -> None:
        draft = self._last_answer()
        draft.finish_reason = draft.finish_reason or reason or "completed"
        if not self._is_interrupted:
            self._spoken = None
        self._is_interrupted = False
        self._end_answer()

    def _end_answer(self) -> None:
        self._answer = None


def _is_audio(blob: Mapping[str, JSON]) -> bool:
    return text(_camel(blob).get("mimeType")).partition("/")[0] == "audio"


def _camel(content: JSON) -> dict[str, JSON]:
    """Return the fields of an object under their names in camel case."""
    fields = content if isinstance(content, Mapping) else {}
    return {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): each for name, each in fields.items()}


VIEW = View(
    provider="gcp.gemini",
    operations={"gemini.live": "generate_content"},
    suffixes=(),
    identify=identify,
    read_messages=read_messages,
    read_answer=read_answer,
    read_session=read_session,
    words=WORDS,
)
