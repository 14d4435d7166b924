"""Sends a request that a recording has answered, for real, and compares the shape of the two answers."""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Mapping
from dataclasses import replace

from pytest_agenttape import bodies
from pytest_agenttape.bodies.messages import header, listed
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.plugin.outsiders import Outsider
from pytest_agenttape.providers import operation_of, read_answer
from pytest_agenttape.reading.shape import moved
from pytest_agenttape.session import money
from pytest_agenttape.session.session import Session

_SECONDS = 120


def ask_again(session: Session, request: Mapping[str, JSON], recorded: Interaction) -> list[str]:
    """Return how the shape of today's answer to *request*, in stored form, differs from that of *recorded*."""
    with _Sender(session):
        try:
            live = _send(request, recorded)
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error  # urllib wraps what happened
            return [f"cannot be asked: {why or type(error).__name__}"]
    if (limit := money.purse()) is not None and live.kind == "llm":
        limit.pay(live)
    return moved(recorded, live)


def _send(request: Mapping[str, JSON], recorded: Interaction) -> Interaction:
    body = bodies.decode_body(request)
    asked = urllib.request.Request(str(request["url"]), data=body or None, method=str(request["method"]))
    asked.add_header("User-agent", "pytest-agenttape")  # some refuse that of urllib
    for name, value in listed(request.get("headers") or {}):
        asked.add_header(name, value)
    opener = urllib.request.OpenerDirector()  # one that neither follows redirects nor raises for a status
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
        opener.add_handler(handler())
    with opener.open(asked, timeout=_SECONDS) as answer:
        headers = tuple(answer.headers.items())
        stored = bodies.encode_body(answer.read(), header(headers, "content-type"))
        live = replace(recorded, response={"status": answer.status, "headers": {}, **stored}, usage=None)
        operation = operation_of(live)
        read = read_answer(operation, live.response) if operation and isinstance(live.response, dict) else None
        return replace(live, usage=dict(read.usage) if read and read.usage else None)


class _Sender(Outsider):
    """Owns what is sent here: it passes."""

    def __init__(self, session: Session) -> None:
        super().__init__("--agenttape-verify", session.settings.config)

    def admits(self, method: str, url: str) -> bool:  # noqa: ARG002  # as Session's
        return True

    def blocks(self, host: str, port: int | None, running: object, **_: object) -> AgentTapeError | None:  # noqa: ARG002  # as Session's
        return None

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(f"{what} was made by {self.title}")
