"""A whole recording, redacted as if it was recorded now: for what was recorded elsewhere, or by older rules."""

from __future__ import annotations

from dataclasses import replace

from pytest_agenttape.bodies.messages import grouped, header
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction.redactor import Redactor

_FORMS = ("json", "json_layout", "form", "events", "events_layout", "text", "body_b64")


def redacted_recording(recording: Interaction, redactor: Redactor) -> Interaction:
    """Return *recording* without secrets; an equal one if it has none."""
    request, response = recording.request, recording.response
    if "url" in request:
        request = _message({**request, "url": redactor.url(str(request["url"]))}, redactor)
        response = _message(response, redactor) if isinstance(response, dict) else response
    clean = redactor.value(replace(recording, request=request, response=response).to_dict())
    return Interaction.from_dict(clean)


def _message(stored: dict[str, JSON], redactor: Redactor) -> dict[str, JSON]:
    named = stored.get("headers")
    listed = tuple(
        (name, str(value))
        for name, values in (named.items() if isinstance(named, dict) else ())
        for value in (values if isinstance(values, list) else [values])
    )
    body = {form: stored[form] for form in _FORMS if form in stored}
    clean = {**stored, **redactor.body(body, header(listed, "content-type"))}
    return {**clean, "headers": grouped(redactor.headers(listed))} if listed else clean
