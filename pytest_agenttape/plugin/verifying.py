"""``--agenttape-verify``: replayed calls are sent for real as well, and the shape of the answers compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from pytest_agenttape.bodies.messages import header, listed
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.plugin.asking_again import ask_again
from pytest_agenttape.plugin.options import flag_given
from pytest_agenttape.plugin.report.test_record import Verified
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.process import stand_in_keys
from pytest_agenttape.session import money
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.settings import Settings

_READING = ("GET", "HEAD", "OPTIONS")
_OTHERS = ("agenttape_record", "agenttape_mode", "agenttape_audit", "agenttape_disable", "update_snapshots")


class VerifyingSession(Session):
    """Replays as any session does, and remembers what was asked for, keys included, to send it afterwards."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._asked: dict[int, tuple[Mapping[str, JSON], Interaction]] = {}

    def begin(
        self,
        kind: str,
        boundary: str | None,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        metadata: Mapping[str, JSON] | None = None,
        instance: object = None,
    ) -> Served | Live:
        """Decide as `Session.begin` does."""
        __tracebackhide__ = True
        call = super().begin(kind, boundary, request, parent=parent, metadata=metadata, instance=instance)
        if isinstance(call, Served) and kind in ("llm", "http") and not call.recorded.is_made_up:
            self._asked.setdefault(id(call.outcome), (request, call.outcome))
        return call

    def verify(self) -> Verified:
        """Send what was asked for, once the session is closed, and compare the answers."""
        verified = Verified()
        for request, recorded in self._asked.values():
            if not str(request.get("url", "")).startswith(("http://", "https://")):
                continue  # a WebSocket, a program, gRPC: no request that could be sent again
            why = self._why_not(request, recorded)
            name = (
                f"{recorded.boundary or request['method']} ({urlsplit(str(request['url'])).netloc.rpartition('@')[2]})"
            )
            if why is not None:
                verified = replace(verified, left_out=(*verified.left_out, f"{name}: {why}"))
                continue
            found = tuple(f"{name}: {self.secrets.redactor.text(each)}" for each in ask_again(self, request, recorded))
            verified = replace(verified, sent=verified.sent + 1, moved=(*verified.moved, *found))
        self._asked.clear()
        return verified

    def _why_not(self, request: Mapping[str, JSON], recorded: Interaction) -> str | None:
        """Return why a call must not or cannot be sent again; None if it can."""
        if (limit := money.purse()) is not None and limit.refusal() is not None:
            return "the budget is spent"
        if recorded.error is not None:
            return "its recording is of a failed connection"
        if Selection.of(self.settings.frozen).covers(recorded):
            return "it is frozen"
        if recorded.kind == "http" and str(request.get("method")).upper() not in _READING:
            return "it may change something"
        headers = header(listed(request.get("headers") or {}), "authorization") or ""
        if headers.startswith("AWS4-"):
            return "it is signed for the time of the recording"
        said = json.dumps(request, default=str)
        if stand_in_keys.VALUE in said:
            return "no key is set"
        if any(each in said for each in self.loaded.rules.placeholders or ()) or self.sends_stand_in(request):
            return "it carries what stands for a secret in the recording"
        return None


def prepare(config: pytest.Config) -> None:
    """Make the run one that replays.

    Raises:
        UsageError: It is told to do something else.
    """
    other = flag_given(config, _OTHERS)
    if other is not None and not is_worker(config):  # what a worker is told, we have told it
        raise pytest.UsageError(f"--agenttape-verify replays; it does not go together with {other}")
    config.option.agenttape_mode = "none"
