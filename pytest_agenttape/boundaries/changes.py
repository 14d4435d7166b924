"""What calls do to their arguments, as the cassette has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Recorder
from pytest_agenttape.values import Watch

Change: TypeAlias = dict[str, JSON]

_ADDRESS = ("at", "also")
_NAME = re.compile(r"[^\W\d]\w*")


def changes_of(watch: Watch | None, recorder: Recorder) -> list[Change]:
    """Return what was done to the arguments since *watch* looked at them, without secrets.

    Raises:
        RecordingRefusedError: It cannot be done again in replay.
    """
    return [_without_secrets(each, recorder) for each in watch.changes()] if watch is not None else []


def has_changes(recorded: Interaction) -> bool:
    """Return whether a recorded call changed its arguments, at its end or between the items of its stream."""
    if "changed" in recorded.metadata and recorded.changes:
        return True
    stream = recorded.error or (recorded.response.get("$stream") if isinstance(recorded.response, dict) else None)
    return isinstance(stream, dict) and "changed" in stream


def _without_secrets(change: Change, recorder: Recorder) -> Change:
    """Return *change* without secrets; the names on the path to the object tell of some."""
    names = _NAME.findall(str(change["at"]))
    clean: JSON = {key: each for key, each in change.items() if key not in _ADDRESS}
    for name in reversed(names):
        clean = {name: clean}
    clean = recorder.redacted(clean)
    for name in names:
        clean = clean[name] if isinstance(clean, Mapping) and name in clean else {}
    return {**{key: change[key] for key in _ADDRESS if key in change}, **clean}
