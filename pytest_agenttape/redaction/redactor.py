"""The redactor of one cassette: what the rest of the package asks."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Set
from dataclasses import replace
from types import MappingProxyType

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import text as flat
from pytest_agenttape.redaction.known import environment_secrets
from pytest_agenttape.redaction.look_alikes import dressed, is_dressed, shapes_in
from pytest_agenttape.redaction.memory import Memory
from pytest_agenttape.redaction.message import dress_message, redact_message
from pytest_agenttape.redaction.rules import RedactionRules
from pytest_agenttape.redaction.text import Finding
from pytest_agenttape.redaction.tree import redact_text, redact_value


class Redactor:
    """Replaces secrets by placeholders; one for a whole cassette, so there is one numbering.

    Args:
        rules: What is redacted in addition to the built-in rules.
        environ: Variables that may be secrets.
        taken: Texts; placeholders found in them are not reused.
        issued: Takes the placeholders that are given.
    """

    def __init__(
        self,
        rules: RedactionRules,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        taken: Iterable[str] = (),
        issued: set[str] | None = None,
    ) -> None:
        self._is_enabled = rules.enabled
        self._memory = Memory(rules, taken, issued)
        if environ:
            self.know_environment(environment_secrets(environ))

    def __repr__(self) -> str:
        return "<Redactor>"

    def know_environment(self, secrets: Iterable[str]) -> None:
        """Redact *secrets*, which the environment holds, wherever they appear from now on."""
        if self._is_enabled:
            self._memory.know_environment(secrets)

    def learn(self, secret: str) -> None:
        """Redact *secret*, a credential that was seen, wherever it appears from now on."""
        self._memory.learn(secret)

    @property
    def secrets_known(self) -> int:
        """How many values are redacted wherever they appear; the number only grows."""
        return len(self._memory.known)

    def interaction(self, recorded: Interaction) -> Interaction:
        """Return a whole recording without secrets, as if it were recorded now; the same object if it has none."""
        if not self._is_enabled:
            return recorded
        return self._memory.until_known(self._interaction, recorded)  # an answer may hold what later ones reveal

    def _interaction(self, recorded: Interaction) -> Interaction:
        """Return *recorded* without secrets, each part by its own rules: no rule is for the words of the format."""
        request = self.request(recorded.request)
        response = self.response(recorded.response, recorded.request)
        before = (recorded.error, recorded.usage, list(recorded.tags), recorded.metadata, recorded.boundary)
        error, usage, tags, metadata, boundary = after = [self.value(each) for each in before]
        is_same = request is recorded.request and response is recorded.response
        if is_same and all(new is old for new, old in zip(after, before, strict=True)):
            return recorded
        return replace(
            recorded,
            request=request,
            response=response,
            error=error,
            usage=usage,
            tags=tuple(tags),
            metadata=metadata,
            boundary=boundary,
        )

    def request(self, stored: dict[str, JSON]) -> dict[str, JSON]:
        """Return a stored request, of HTTP or of a boundary, without secrets; the same object if it has none."""
        if not self._is_enabled:
            return stored
        redact = redact_message if _is_message(stored) else redact_value
        clean: dict[str, JSON] = redact(stored, self._memory)
        return clean

    def response(self, stored: JSON, request: Mapping[str, JSON]) -> JSON:
        """Return the stored response to *request* without secrets; the same object if it has none."""
        if self._is_enabled and _is_message(request) and isinstance(stored, dict):
            return redact_message(stored, self._memory)
        return self.value(stored)

    def value(self, value: JSON) -> JSON:
        """Return a tree of plain data without secrets; the same object if it has none."""
        return redact_value(value, self._memory) if self._is_enabled else value

    def text(self, text: str) -> str:
        """Return *text* without secrets; the same object if it has none."""
        return redact_text(text, self._memory) if self._is_enabled else text

    def stand_ins_in(self, text: str, listed: Container[str] | None) -> set[str]:
        """Return what stands for a secret in *text*: only what is *listed*, if there is a list."""
        return self._memory.placeholders.found_in(text, listed)

    def shapes(self, is_told: Callable[[str], bool] = lambda _: False) -> dict[str, str]:
        """Return what the secrets that were taken out look like, by the numbers of their placeholders (`look_alikes`).

        *is_told* says whether the cassette has a text in plain: then a token may say it, too.
        """
        return shapes_in(self._memory, is_told)

    def dressed(self, recorded: Interaction, shapes: Mapping[str, str]) -> Interaction:
        """Return a recording as it is handed out in replay, with secrets made up in their *shapes*.

        From now on they are taken for the placeholders that they stand for. The request stays as it is stored.
        """
        if not (self._is_enabled and shapes and is_dressed(recorded.request)):
            return recorded
        is_message = _is_message(recorded.request) and isinstance(recorded.response, dict)
        dress = dress_message if is_message else dressed
        response = dress(recorded.response, shapes, self._memory)
        error, metadata = (dressed(each, shapes, self._memory) for each in (recorded.error, recorded.metadata))
        if response is recorded.response and error is recorded.error and metadata is recorded.metadata:
            return recorded
        return replace(recorded, response=response, error=error, metadata=metadata)

    def make_way(self, taken: Set[str]) -> Mapping[str, str]:
        """Give secrets whose placeholders are *taken* other numbers; return all new placeholders by the old ones."""
        return self._memory.placeholders.make_way(taken)

    def stands_for(self, look_alike: str) -> str:
        """Return the placeholder of a *look_alike*; itself, if it is none."""
        return self._memory.placeholders.looks.get(look_alike, look_alike)

    def scan(self, data: bytes | str) -> list[Finding]:
        """Return where *data*, about to be written, still holds a known secret in any form or a known format."""
        text = data.decode("utf-8", "replace") if isinstance(data, bytes | bytearray) else data
        return flat.scan(text, self._memory) if self._is_enabled else []


def _is_message(request: Mapping[str, JSON]) -> bool:
    """Return whether a stored *request* is a message with a body, of HTTP or another protocol, not arguments."""
    return "url" in request or "json" in request
