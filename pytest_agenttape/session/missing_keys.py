"""A recording that lost its LLM calls because a key was missing: the agent swallowed what its client raised."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_agenttape.cassettes import writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import Interaction
from pytest_agenttape.providers.keys import key_names


def refuse_lost_for_a_key(cassette: Cassette, target: Path) -> None:
    """Refuse *cassette* if it is what the one at *target* has beside its LLM calls, and the key for one is not set.

    Raises:
        RecordingRefusedError: It is so.
    """
    if any(each.kind == "llm" for each in cassette.interactions):
        return
    before = writing.calls_before(target)
    if not {_what(each) for each in cassette.interactions} <= {_what(each) for each in before}:
        return  # the test is about something else now
    for each in before:
        names = key_names(each.boundary, str(each.request.get("url", ""))) if each.kind == "llm" else ()
        if names and not any(map(os.environ.get, names)):
            raise RecordingRefusedError(
                f"the run made no LLM call, {target} has some, and {' or '.join(names)} is not set; "
                "the recording is not kept\n"
                "  set the key; if the test asks no model any more, delete the cassette"
            )


def _what(call: Interaction) -> tuple[str, str | None, str | None]:
    return call.kind, call.boundary, call.match_key
