"""What listeners observe: calls that they see and cannot answer, and whether a boundary has seen them as well."""

from __future__ import annotations

from contextvars import ContextVar

from pytest_agenttape.ownership.calls import Observed

# Innermost last. A new task or copied context observes along.
_observed: ContextVar[tuple[Observed, ...]] = ContextVar("agenttape_observed", default=())


def begin(call: Observed) -> None:
    """Observe *call* in this context, and in what it starts."""
    _observed.set((*_running(), call))


def end(call: Observed) -> None:
    """Observe *call* no longer."""
    call.is_concluded = True
    _observed.set(tuple(each for each in _running() if each is not call))


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
    """Return what is observed in this context and not over, though perhaps concluded in another."""
    observed = _observed.get()
    return tuple(each for each in observed if not each.is_concluded) if observed else observed
