"""Calls that no recording answers, or only a recording of another request."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_agenttape.cassettes import imported
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.reading.mismatch import explain
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.settings import Settings, working_directory


class Misses:
    """The calls of one run that its cassette does not hold; callers must hold the run's lock.

    Attributes:
        divergences: ``{"index", "expected", "actual"}`` for each call that was answered by a recording of another
            request, or by none at all (``index`` None).
    """

    def __init__(self, settings: Settings, loaded: Loaded) -> None:
        self._settings = settings
        self._loaded = loaded
        self.divergences: list[dict[str, JSON]] = []

    def note_divergence(self, call: Call, recorded: Interaction, *, agrees: bool) -> None:
        """Note that *recorded* answers *call* if their requests differ, or do not agree in what is not compared."""
        digest_of, now = self._loaded.digest_of, self._loaded.tape.as_asked_now(recorded)
        if not agrees or digest_of(call.request) != digest_of(now.request):
            self.divergences.append(
                {"index": recorded.index, "expected": dict(recorded.request), "actual": dict(call.request)}
            )

    def unmatched(self, call: Call, *, position: int, served: Sequence[Interaction]) -> AgentTapeError:
        """Return the error for a call that no recording answers, the *position*-th of its run."""
        settings, tape = self._settings, self._loaded.tape
        self.divergences.append({"index": None, "expected": None, "actual": dict(call.request)})
        if self._loaded.cassette is None:
            return self._not_found(call)
        return explain(
            Interaction(index=position, kind=call.kind, boundary=call.boundary, request=dict(call.request)),
            tape.as_asked,
            played=tape.is_played,
            cassette_path=settings.path,
            lines=self._loaded.lines,
            mode=str(settings.mode),
            command=settings.advice,
            same_key=tape.same_request(call),
            rules=imported.shown_rules(tape.recordings, self._loaded.rules),
            served=[tape.as_asked_now(each) for each in served],
            root=working_directory(),
        )

    def _not_found(self, call: Call) -> CassetteNotFoundError:
        mode = f"mode {str(self._settings.mode)!r} runs nothing for real"
        why = "frozen calls are only replayed" if self._loaded.policy.records else mode
        return CassetteNotFoundError(
            f"there is no cassette at {self._settings.path}, and {why}\n  record it: {self._settings.advice}",
            path=self._settings.path,
            kind=call.kind,
            boundary=call.boundary,
            request=call.request,
            mode=str(self._settings.mode),
        )
