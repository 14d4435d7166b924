"""What the realtime APIs share: a session over a WebSocket, read as the request and the answers of another LLM call.

The request has the settings of the session and the messages that the agent sent, the response one object for each
answer. How audio was cut into pieces, and when which event came, is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.tolerant import (
    USAGE_DETAILS,
    arguments,
    at,
    mappings,
    message,
    number,
    text,
    text_or_none,
)
from pytest_agenttape.providers.view import Answer, RequestedTool, Words

AUDIO = "(audio)"  # what is shown of speech without a transcript
WORDS = Words(made_up=("tool_call_id",))

Place: TypeAlias = tuple[int, int]

_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
_PROPER_CLOSES = (1000, 1001, 1005)
_CLOSES_FOR_WHAT_WAS_SENT = (1002, 1003, 1007, 1008, 1009)


@dataclass(slots=True)
class Draft:
    """One answer of the model, while its events are read.

    Attributes:
        after: How many messages of the session came before it.
        texts: What it says, by the place in the answer.
        calls: The tools that it asks for, by the place in the answer: `id`, `name`, `arguments`.
    """

    after: int
    texts: dict[Place, str] = field(default_factory=dict)
    calls: dict[int, dict[str, JSON]] = field(default_factory=dict)
    usage: dict[str, int] | None = None
    finish_reason: str | None = None
    error: JSON = None

    def add(self, place: Place, piece: str) -> None:
        """Continue the text at *place*."""
        self.texts[place] = self.texts.get(place, "") + piece

    @property
    def is_silent(self) -> bool:
        """Whether it says nothing, asks for nothing and has not failed."""
        return not (any(self.texts.values()) or self.calls or self.error)

    def stored(self, *, is_last: bool) -> dict[str, JSON]:
        """Return it as the object of a response; only the error of the last one is that of the call."""
        named = [call for _, call in sorted(self.calls.items()) if call.get("name")]
        has_failed = is_last and self.finish_reason != "completed"
        parts: dict[str, JSON] = {
            "text": "".join(said for _, said in sorted(self.texts.items())),
            "tool_calls": [{**call, "arguments": arguments(call.get("arguments"))} for call in named],
            "usage": self.usage,
            "finish_reason": self.finish_reason,
            "error" if has_failed else "failed": self.error,
        }
        return {"after": self.after, **{name: part for name, part in parts.items() if part or name == "text"}}


class Talk:
    """A session while its messages are read, by the view of its provider.

    Attributes:
        settings: What the agent set for all answers, in the provider's words.
        controls: What else the agent sent that is neither a message nor audio.
        answered_by: The model that the server names.
    """

    def __init__(self) -> None:
        self.settings: dict[str, JSON] = {}
        self.controls: list[JSON] = []
        self.answered_by: str | None = None
        self._messages: list[dict[str, JSON]] = []
        self._drafts: list[Draft] = []
        self._instructions: JSON = None
        self._media = hashlib.sha256()
        self._has_media = False

    def instruct(self, instructions: JSON) -> None:
        """The agent sets the system prompt, or sends it again."""
        if not instructions or instructions == self._instructions:
            return
        if self._instructions is not None and not self._drafts and len(self._messages) == 1:
            self._messages.clear()  # nothing has been said under the earlier ones
        self._instructions = instructions
        self.say(message("system", instructions))

    def say(self, said: dict[str, JSON]) -> dict[str, JSON]:
        """The agent sends a message; return it: what was said may become known later."""
        self._messages.append(said)
        return said

    def send_media(self, content: JSON) -> None:
        """The agent sends *content*, base64, which is not shown; that it changed can be told."""
        self._has_media = True
        try:
            self._media.update(base64.b64decode(text(content), validate=True))
        except (binascii.Error, ValueError):
            self._media.update(text(content).encode("utf-8", "surrogatepass"))

    def begin_answer(self) -> Draft:
        """The model begins to answer."""
        self._drafts.append(Draft(len(self._messages)))
        return self._drafts[-1]

    @property
    def last_answer(self) -> Draft | None:
        """The answer that began last."""
        return self._drafts[-1] if self._drafts else None

    def exchange(self, closed: JSON) -> tuple[dict[str, JSON], list[JSON]]:
        """Return the body of the request, and the objects of the response; *closed* is how the connection ended."""
        drafts = [*self._drafts]
        if not drafts or drafts[-1].after < len(self._messages):
            drafts.append(Draft(len(self._messages)))
        if drafts[-1].is_silent:
            drafts[-1].error = _close_error(closed)
        answers: list[JSON] = [each.stored(is_last=each is drafts[-1]) for each in drafts]
        if self.answered_by:
            answers[-1]["model"] = self.answered_by
        body: dict[str, JSON] = {**self.settings, "messages": self._messages}
        if self.controls:
            body["controls"] = self.controls
        if self._has_media:
            body["media"] = f"sha256 {self._media.hexdigest()[:12]}"
        return body, answers


def _close_error(closed: JSON) -> JSON:
    """Return the server's reason for not answering, if it closed the connection with one."""
    code = number(at(closed, "code"))
    if at(closed, "by") != "server" or code is None or code in _PROPER_CLOSES:
        return None
    error: dict[str, JSON] = {"message": text(at(closed, "reason")) or f"the server closed the connection with {code}"}
    return {**error, "code": 400} if code in _CLOSES_FOR_WHAT_WAS_SENT else error


def read_messages(body: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    """Return the messages that the agent sent."""
    return [dict(each) for each in mappings(body.get("messages"))]


def read_answer(objects: list[Mapping[str, JSON]]) -> Answer:
    """Return the last answer with the earlier ones, and the usage of all."""
    answers = [_answer(each) for each in objects]
    if not answers:
        return Answer()
    return replace(answers[-1], usage=_total(answers), earlier=tuple(answers[:-1]))


def _answer(stored: Mapping[str, JSON]) -> Answer:
    calls = mappings(stored.get("tool_calls"))
    return Answer(
        text=text(stored.get("text")),
        tool_calls=tuple(
            RequestedTool(text_or_none(call.get("id")), text(call.get("name")), call.get("arguments")) for call in calls
        ),
        usage=_counted(stored.get("usage")),
        model=text_or_none(stored.get("model")),
        finish_reason=text_or_none(stored.get("finish_reason")),
        error=text_or_none(at(stored, "failed", "message")),
        after=number(stored.get("after")),
    )


def _counted(counts: JSON) -> dict[str, int] | None:
    known = {name: number(at(counts, name)) for name in (*_COUNTS, *USAGE_DETAILS)}
    return {name: count for name, count in known.items() if count is not None} or None


def _total(answers: Iterable[Answer]) -> dict[str, int] | None:
    counted = [each.usage for each in answers if each.usage]
    sums = {name: sum(each.get(name, 0) for each in counted) for name in (*_COUNTS, *USAGE_DETAILS)}
    return {name: count for name, count in sums.items() if count or name in _COUNTS} if counted else None
