"""What listeners are watching: calls that they see and cannot answer, and whether a boundary saw them as well."""

from __future__ import annotations

from contextvars import ContextVar

from pytest_agenttape.session.run import Entry

# Innermost last. A new task or copied context watches along.
_watched: ContextVar[tuple[Entry, ...]] = ContextVar("agenttape_watched", default=())


def begin(entry: Entry) -> None:
    """Watch *entry* in this context, and in what it starts."""
    _watched.set((*_watching(), entry))


def end(entry: Entry) -> None:
    """Watch *entry* no longer."""
    entry.is_concluded = True
    _watched.set(tuple(each for each in _watching() if each is not entry))


def cover() -> None:
    """Note that the innermost watched call crosses a boundary itself; model calls can start as a batch."""
    if not _watched.get():
        return
    watching = _watching()
    for position, entry in enumerate(reversed(watching)):
        if position and not entry.call.kind == watching[-1].call.kind == "llm":
            break
        entry.is_covered = True


def _watching() -> tuple[Entry, ...]:
    """Return what is being watched in this context and not over, though perhaps concluded in another."""
    watched = _watched.get()
    return tuple(each for each in watched if not each.is_concluded) if watched else watched
