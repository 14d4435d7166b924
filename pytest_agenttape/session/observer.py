"""What listeners observe: calls that they see but cannot answer, and whether a boundary has seen them too."""

from __future__ import annotations

from contextvars import ContextVar

from pytest_agenttape.model import JSON, Call
from pytest_agenttape.ownership.calls import Live, Observed, Recorder
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.run import Run

# Innermost last. A new task or a copied context inherits them.
_observed: ContextVar[tuple[Observed, ...]] = ContextVar("agenttape_observed", default=())


class SessionObserver:
    """Keeps what listeners see of the calls of one session.

    It is recorded when calls are recorded, never affects a decision, and replay never misses it.
    """

    def __init__(self, recorder: Recorder, loaded: Loaded, run: Run) -> None:
        self._recorder = recorder
        self._loaded = loaded
        self._run = run

    def begin(
        self,
        kind: str,
        boundary: str,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        is_detached: bool = False,
    ) -> Observed:
        """Note the start of a call that a listener sees but cannot answer.

        A detached listener runs in a different context than the call, so any call of the same kind made in the
        meantime counts as that call.
        """
        asked = self._recorder.redacted(request)
        call = Call(kind, boundary, asked, nested=parent is not None, observed=True)
        policy = self._loaded.policy
        with self._run.lock:
            found = policy.observed(call, self._loaded.tape)
            observed = Observed(
                self,
                self._recorder,
                call,
                is_live=found is None and policy.records,
                parent=parent,
                metadata={"observed": True},
                interaction=found.recorded if found else None,
                is_detached=is_detached,
            )
            self._run.start(observed)
        if not is_detached:
            _observed.set((*_running(), observed))
        return observed

    def end(
        self,
        observed: Observed,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Note the end of a call; keep it unless a transport or a decorator has recorded the call itself."""
        observed.is_concluded = True
        _observed.set(tuple(each for each in _running() if each is not observed))
        with self._run.lock:
            if observed.is_detached:
                observed.is_covered = self._run.has_made(observed)
            if observed.is_covered:
                observed.is_live = False
            if observed.interaction is None:
                observed.interaction = self._recorder.outcome(
                    observed, response=response, error=error, usage=usage, tags=tags
                )


def cover() -> None:
    """Note that the innermost observed call crosses a boundary itself; model calls can start as a batch."""
    if not _observed.get():
        return
    running = _running()
    for position, call in enumerate(reversed(running)):
        if position and not call.call.kind == running[-1].call.kind == "llm":
            break
        call.is_covered = True


def _running() -> tuple[Observed, ...]:
    """Return the calls observed in this context that are not over; another context may have concluded some."""
    observed = _observed.get()
    return tuple(each for each in observed if not each.is_concluded) if observed else observed
