"""What a run that only appends finds in the file when it ends."""

from __future__ import annotations

from contextlib import suppress

from pytest_agenttape.cassettes import imported
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Mode
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.settings import Settings


def appended_to(settings: Settings, loaded: Loaded) -> Cassette | None:
    """Return the cassette that new calls are appended to, None if they replace it.

    It is as the file has it now: a session that was open at the same time may have added to it, or made it.
    """
    if settings.mode is not Mode.NEW_EPISODES:
        return None
    with suppress(AgentTapeError):
        found = Cassette.load(settings.file)
        if not imported.is_imported(found.interactions):
            return found
    return loaded.cassette
