"""``--agenttape-verify``: replayed calls are made for real as well, and the shape of the answers compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import pytest

from pytest_agenttape.bodies.messages import header, listed
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, KINDS, Interaction
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.plugin.another_model import LIVE, tokens_of
from pytest_agenttape.plugin.asking_again import ask_again
from pytest_agenttape.plugin.options import flag_given
from pytest_agenttape.plugin.report.test_record import Verified
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.plugin.running_again import CannotRunAgain, RealCall, run_again
from pytest_agenttape.process import stand_in_keys
from pytest_agenttape.process.cancellation import is_unanswered
from pytest_agenttape.reading.result_shape import stream_of
from pytest_agenttape.session import money
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.settings import Settings

_READING = ("GET", "HEAD", "OPTIONS")
_OTHERS = (
    *("agenttape_record", "agenttape_mode", "agenttape_audit", "agenttape_disable", "update_snapshots"),
    *("agenttape_review", "agenttape_model", "agenttape_times"),
)


@dataclass(slots=True)
class _Asked:
    """A call that was replayed: what was asked for, keys included, by a method of which instance, and its recording.

    Attributes:
        real: How a function that the flag names is run.
    """

    request: Mapping[str, JSON]
    recorded: Interaction
    instance: object
    real: RealCall | None = None

    @property
    def is_http(self) -> bool:
        """Whether it is a request that could be sent again; a WebSocket, a program, gRPC are none."""
        is_request = str(self.request.get("url", "")).startswith(("http://", "https://"))
        return is_request and self.recorded.kind in ("llm", "http")

    @property
    def name(self) -> str:
        """Who is asked."""
        boundary = self.recorded.boundary
        if not self.is_http:
            return boundary or self.recorded.kind
        return f"{boundary or self.request['method']} ({urlsplit(str(self.request['url'])).netloc.rpartition('@')[2]})"

    def note_real(self, make: Callable[[], object]) -> None:
        """Hear how it is made for real."""
        self.real = self.real or RealCall(make)

    @property
    def sent(self) -> JSON:
        """What would be sent, as far as can be seen: the request, and what the instance holds."""
        with suppress(Exception):  # a `repr` of the user's, or nothing that can be looked at
            return {"request": self.request, "self": repr(object.__getstate__(self.instance))}
        return self.request


class VerifyingSession(Session):
    """Replays as any session does, and remembers what was asked for, to ask for it again afterwards.

    Args:
        settings: What it is opened with.
        live: Tokens of the functions that are run again.
    """

    def __init__(self, settings: Settings, live: frozenset[str] = frozenset()) -> None:
        super().__init__(settings)
        self._asked: dict[int, _Asked] = {}
        self._named = Selection.of(live - {"llm", "http"})  # which are sent anyway

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
        if isinstance(call, Served) and kind in KINDS and not call.recorded.is_made_up:
            asked = self._asked.setdefault(id(call.outcome), _Asked(request, call.outcome, instance))
            if kind not in ("llm", "http") and self._named.covers(call.outcome):
                call.hear_real = asked.note_real
        return call

    def verify(self) -> Verified:
        """Ask again, once the session is closed, and compare the answers."""
        verified = Verified()
        for asked in self._asked.values():
            if not asked.is_http and not self._named.covers(asked.recorded):
                continue
            try:
                found = self._moved(asked)
            except CannotRunAgain as why:
                verified = replace(verified, left_out=(*verified.left_out, f"{asked.name}: {why}"))
                continue
            said = tuple(f"{asked.name}: {self.secrets.redactor.text(each)}" for each in found)
            verified = replace(verified, sent=verified.sent + 1, moved=(*verified.moved, *said))
        self._asked.clear()
        return verified

    def _moved(self, asked: _Asked) -> list[str]:
        """Return how today's answer differs.

        Raises:
            CannotRunAgain: The call must not or cannot be made again.
        """
        why = self._why_not(asked) or (_why_not_sent(asked) if asked.is_http else _why_not_run(asked))
        if why is not None:
            raise CannotRunAgain(why)
        if asked.real is not None:
            return run_again(asked.real, asked.recorded, self)
        return ask_again(self, asked.request, asked.recorded)

    def _why_not(self, asked: _Asked) -> str | None:
        """Return why nothing that is asked for so must be asked for again; None if it may."""
        if (limit := money.purse()) is not None and limit.refusal() is not None:
            return "the budget is spent"
        if Selection.of(self.settings.frozen).covers(asked.recorded):
            return "it is frozen"
        said = json.dumps(sent := asked.sent, default=str)
        if stand_in_keys.VALUE in said:
            return "no key is set"
        if any(each in said for each in self.loaded.rules.placeholders or ()) or self.sends_stand_in(sent):
            return "it carries what stands for a secret in the recording"
        return None


def _why_not_sent(asked: _Asked) -> str | None:
    """Return why a request cannot be sent again; None if it can."""
    if asked.recorded.error is not None:
        return "its recording is of a failed connection"
    if asked.recorded.kind == "http" and str(asked.request.get("method")).upper() not in _READING:
        return "it may change something"
    headers = header(listed(asked.request.get("headers") or {}), "authorization") or ""
    return "it is signed for the time of the recording" if headers.startswith("AWS4-") else None


def _why_not_run(asked: _Asked) -> str | None:
    """Return why a function cannot be run again; None if it can."""
    recorded = asked.recorded
    if recorded.kind in ("llm", "http"):
        return "it is neither a tool nor an HTTP request that could be sent again"
    if asked.real is None:
        return "only the test was connected to what answers it"
    if is_unanswered(recorded.error or {}):
        return "it has no answer in the recording"
    stream = stream_of(recorded) or {}
    return "its reader sent something into it" if stream.get("sent") or stream.get("thrown") else None


def prepare(config: pytest.Config) -> None:
    """Make the run one that replays.

    Raises:
        UsageError: It is told to do something else, or is to run what has no name.
    """
    other = flag_given(config, _OTHERS)
    if other is not None and not is_worker(config):  # what a worker is told, we have told it
        raise pytest.UsageError(f"--agenttape-verify replays; it does not go together with {other}")
    if config.option.agenttape_live is not None:
        config.stash[LIVE] = tokens_of(config.option)
    config.option.agenttape_mode = "none"
