"""Recordings of other tools, redacted as if they had been recorded here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_agenttape.bodies.messages import grouped, header
from pytest_agenttape.cassettes.imported.body import header_list
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import Redactor

_FORMS = ("json", "json_layout", "form", "events", "events_layout", "text", "body_b64")


def redacted(recordings: Sequence[Interaction], redactor: Redactor) -> list[Interaction]:
    """Return *recordings* with those of other tools redacted as if they had been recorded here."""
    return [_redacted(each, redactor) if each.imported_from is not None else each for each in recordings]


def _redacted(interaction: Interaction, redactor: Redactor) -> Interaction:
    request, response = dict(interaction.request), interaction.response
    if "url" in request:
        request = _redacted_message({**request, "url": redactor.url(request["url"])}, redactor)
        response = _redacted_message(response, redactor) if isinstance(response, dict) else response
    else:
        request, response = redactor.value(request), redactor.value(response)
    return replace(interaction, request=request, response=response, error=redactor.value(interaction.error))


def _redacted_message(stored: dict[str, JSON], redactor: Redactor) -> dict[str, JSON]:
    listed = header_list(stored.get("headers"))
    body = {form: stored[form] for form in _FORMS if form in stored}
    clean = redactor.body(body, header(listed, "content-type"))
    return {**stored, "headers": grouped(redactor.headers(listed)), **clean}
