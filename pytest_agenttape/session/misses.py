"""Calls that no recording answers, or only a recording of another request."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pytest_agenttape.cassettes import imported
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.reading.mismatch import explain
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.settings import Settings, working_directory

WHERE_IT_DIFFERS = "live only where it differs"
_SEARCHED = 100  # cassettes of other tests


def say_how_to_record(error: AgentTapeError, settings: Settings) -> None:
    """Add the command to the message of an *error* that ends with the advice to record again."""
    text = str(error.args[0]) if error.args else ""
    if text.endswith("record it again") and not settings.is_tried:
        error.args = (f"{text}: {settings.advice}", *error.args[1:])


class Misses:
    """The calls of one run that its cassette does not hold; callers must hold the run's lock.

    Attributes:
        divergences: ``{"index", "expected", "actual"}`` for each call that was answered by a recording of another
            request, or by none at all (``index`` None).
        former: The cassette under the test's former name, if a missing cassette has been found there.
    """

    def __init__(self, settings: Settings, loaded: Loaded) -> None:
        self._settings = settings
        self._loaded = loaded
        self.divergences: list[dict[str, JSON]] = []
        self.former: Path | None = None

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
            command="" if settings.is_tried else settings.advice,
            cheaper=self._cheaper(call),
            same_key=tape.same_request(call),
            rules=imported.shown_rules(tape.recordings, self._loaded.rules),
            served=[tape.as_asked_now(each) for each in served],
            root=working_directory(),
        )

    def _not_found(self, call: Call) -> CassetteNotFoundError:
        mode = f"mode {str(self._settings.mode)!r} runs nothing for real"
        why = "frozen calls are only replayed" if self._loaded.policy.records else mode
        return CassetteNotFoundError(
            "\n  ".join(
                (
                    f"there is no cassette at {self._settings.path}, and {why}",
                    *(self._accepting_pending() or self._renamed(call)),
                    *self._frozen(call),
                    f"record it: {self._settings.advice}",
                )
            ),
            path=self._settings.path,
            kind=call.kind,
            boundary=call.boundary,
            request=call.request,
            mode=str(self._settings.mode),
        )

    def _cheaper(self, call: Call) -> tuple[str, ...]:
        """Return what to do about a call that does not match, other than to record everything again."""
        if self._settings.is_tried:
            tokens = ",".join(sorted({*self._settings.live, call.boundary or call.kind}))
            return (f"a live call led to it; if it may be live as well: --agenttape-live={tokens}",)
        command = self._settings.refreshing
        accept = (f"accept the change, {WHERE_IT_DIFFERS}: {command}",) if command else ()
        return (*self._once_per_process(call), *self._frozen(call), *(self._accepting_pending() or accept))

    def _frozen(self, call: Call) -> tuple[str, ...]:
        """Return what comes before every way out, because a frozen call is only replayed in any of them."""
        if not Selection.of(self._settings.frozen).covers(call):
            return ()
        return ("it is frozen, so that nothing runs it; first take it out of frozen, then",)

    def _accepting_pending(self) -> tuple[str, ...]:
        elsewhere = self._settings.elsewhere
        if elsewhere is None or not elsewhere.has_pending():
            return ()
        return (f"accept what a failed test has recorded, without paying again: {self._settings.refreshing}",)

    def _once_per_process(self, call: Call) -> tuple[str, ...]:
        """Return what to do if the call is made once per process and was recorded by the test that ran first."""
        elsewhere = self._settings.elsewhere
        if elsewhere is None or any(_family(each) == _family(call) for each in self._loaded.tape.as_asked):
            return ()
        found = (each for each in elsewhere.others()[:_SEARCHED] if self._answers(each, call))
        other = next(found, None)
        if other is None:
            return ()
        path = _relative(other, working_directory())
        return (
            f"{path} has it: is it made once per process (an import, a cache, a token)?",
            "then make it in a fixture with a use_cassette block of its own, or clear the cache for each test",
        )

    def _renamed(self, call: Call) -> tuple[str, ...]:
        """Return what to do if the cassette is there under the test's former name."""
        self.former, is_same = self._found_elsewhere(call)
        if self.former is None:
            return ()
        root = working_directory()
        old, new = (shlex.quote(_relative(each, root)) for each in (self.former, self._settings.path))
        holds = "holds this call" if is_same else "may be its cassette"
        return (
            f"was the test renamed or moved? {old} {holds}, and no test has it",
            f"move it, and its view: {self._settings.refreshing}",
            f"or the cassette alone: git mv {old} {new}",
        )

    def _found_elsewhere(self, call: Call) -> tuple[Path | None, bool]:
        """Return the cassette of a test that is gone which answers *call*, or may; and whether it does."""
        names = self._settings.elsewhere
        for path in names.candidates()[:_SEARCHED] if names else ():
            if self._answers(path, call):
                return path, True
        return (names.likely() if names else None), False

    def _answers(self, path: Path, call: Call) -> bool:
        with suppress(AgentTapeError):
            return Loaded.of(self._settings, Cassette.load(path)).tape.take(call) is not None
        return False


def _family(call: Call | Interaction) -> tuple[str, str | None, str | None]:
    return call.kind, call.boundary, urlsplit(str(call.request.get("url", ""))).hostname


def _relative(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
