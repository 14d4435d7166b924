"""What a run that only appends finds in the file when it ends."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress

from pytest_agenttape.cassettes import atomic, imported
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Mode
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.settings import Settings


def appended_to(settings: Settings, loaded: Loaded) -> Cassette | None:
    """Return the cassette that new calls are appended to, None if they replace it.

    It is as the file has it now: a session that was open at the same time may have added to it, or made it.
    """
    if not _appends(settings):
        return None
    with suppress(AgentTapeError):
        found = Cassette.load(settings.file)
        if not imported.is_imported(found.interactions):
            return found
    return loaded.cassette


def one_at_a_time(settings: Settings) -> AbstractContextManager[None]:
    """Return a block for what a session does from reading the file to writing it, if it appends."""
    return atomic.one_at_a_time(settings.file.parent) if _appends(settings) else nullcontext()


def _appends(settings: Settings) -> bool:
    return settings.mode is Mode.NEW_EPISODES
