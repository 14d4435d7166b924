"""What an open cassette tells about its run, and what may pass it by."""

from __future__ import annotations

import uuid
from pathlib import Path

from pytest_agenttape import clocks, values
from pytest_agenttape.matching.tape import Tape
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Observed
from pytest_agenttape.providers.results import usage_in
from pytest_agenttape.reading.usage import TokenTotals, duration_of, total_tokens
from pytest_agenttape.session.block import Block
from pytest_agenttape.session.connections import Connections
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.misses import Misses
from pytest_agenttape.session.recording import Recording
from pytest_agenttape.session.run import Run
from pytest_agenttape.session.secrets import Secrets
from pytest_agenttape.session.stand_ins import StandIns


class History(Block):
    """A block with the calls made in it, and the recordings that they were answered from.

    Attributes:
        loaded: The cassette as it was when the session opened.
        run: The calls made since then.
        recording: The recording that they leave behind.
        secrets: The secrets to redact.
        is_closed: Whether it is not open, or no longer.
        can_execute: Whether any call of this session may run for real.
    """

    loaded: Loaded
    run: Run
    recording: Recording
    secrets: Secrets
    is_closed: bool
    can_execute: bool
    _misses: Misses
    _connections: Connections
    _stand_ins: StandIns

    def outcome(
        self,
        live: Live | Observed,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> Interaction:
        """Return a live call as the interaction that it would be recorded as now."""
        elapsed = clocks.perf_counter() - live.started
        redactor = self.secrets.redactor
        return Interaction(
            index=0,
            kind=live.call.kind,
            boundary=live.call.boundary,
            request=dict(live.call.request),
            response=redactor.response(response, live.call.request),
            error=values.redacted_error(error, redactor.value),
            usage=usage_in(response) if usage is None and live.call.kind == "llm" else usage,
            latency_ms=round(elapsed * 1000, 3),
            tags=(*self.settings.tags, *tags),
            metadata={**live.metadata, **self.run.facts_of(live)},
        )

    def redacted(self, value: JSON) -> JSON:
        """Return *value*, which is in stored form, without secrets."""
        return self.secrets.redactor.value(value)

    @property
    def engine(self) -> Tape:
        """The recordings, and which of them were played."""
        return self.loaded.tape

    @property
    def interactions(self) -> list[Interaction]:
        """The calls of this run, in the order they started, as a cassette would hold them if the run ended now.

        A stream that is still being read is included, a function that has not returned is not. They are copies.
        """
        return [each.copy() for each, _ in self.recording.timeline]

    @property
    def cursor(self) -> int:
        """How many recordings have been played."""
        return len(self.engine.recordings) - self.remaining

    @property
    def remaining(self) -> int:
        """How many recordings have not been played yet."""
        return len(self.engine.unplayed)

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings that this run should have used but did not."""
        return self.loaded.unplayed

    @property
    def divergences(self) -> list[dict[str, JSON]]:
        """``{"index", "expected", "actual"}`` for each call that was answered by a recording of another request, or by
        none at all (``index`` None)."""
        return self._misses.divergences

    @property
    def live_calls(self) -> int:
        """How many calls ran for real."""
        return self.run.live_calls

    @property
    def usage(self) -> TokenTotals:
        """The tokens used by this run's LLM calls, including replayed ones."""
        return total_tokens(each for each, _ in self.recording.timeline)

    @property
    def duration_ms(self) -> float:
        """The sum of the latencies of this run's calls that no other call contains; replayed ones as recorded."""
        return duration_of(each for each, _ in self.recording.timeline) or 0.0

    @property
    def calls_made(self) -> int:
        """How many calls the agent itself has begun; calls made by the body of a live tool do not count."""
        return self.run.by_agent

    @property
    def key_space(self) -> uuid.UUID | None:
        """What makes the idempotency keys of this run its own; None if its UUIDs are not those of an earlier run."""
        return None if self.loaded.frozen is None else uuid.UUID(self.recording.run_id)

    def is_same(self, recorded: JSON, given: JSON) -> bool:
        """Return whether two values in stored form are equal but for which secrets were in them."""
        return self.loaded.are_same(self.redacted(recorded), given)

    def sends_stand_in(self, request: JSON) -> bool:
        """Return whether *request*, as it was sent, holds what a replayed call handed out in place of a secret."""
        with self.run.lock:
            return self._stand_ins.found_in(request) is not None

    @property
    def former(self) -> Path | None:
        """The cassette under the test's former name, if there is one and it has not been moved."""
        found = self.settings.former or self._misses.former
        return found if found is not None and found.exists() else None
