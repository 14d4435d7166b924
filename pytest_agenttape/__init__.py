"""Record what an AI agent does, replay it offline, assert on it like a snapshot. Names are imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_agenttape.boundaries.callbacks import AgentTape
    from pytest_agenttape.boundaries.decorators import (
        intercept,
        memory_read,
        memory_write,
        record_call,
        retrieval,
        tool,
    )
    from pytest_agenttape.cassettes.cassette import Cassette
    from pytest_agenttape.errors import (
        AgentTapeError,
        AgentTapeWarning,
        CassetteCorruptError,
        CassetteNotFoundError,
        ConfigError,
        DeterminismDriftWarning,
        NetworkBlockedError,
        ProgramBlockedError,
        RecordingRefusedError,
        SchemaVersionError,
        StreamingNotRecordedWarning,
        StreamingReplayError,
        UnmatchedInteractionError,
        UnplayedInteractionsError,
        UnplayedInteractionsWarning,
    )
    from pytest_agenttape.model import Interaction, Mode
    from pytest_agenttape.plugin.handle import CassetteHandle
    from pytest_agenttape.reading.diff import CassetteDiff, diff_cassettes
    from pytest_agenttape.session.session import Session, active_session
    from pytest_agenttape.session.use_cassette import record, replay, use_cassette
    from pytest_agenttape.settings.config import Config
    from pytest_agenttape.values import register_codec

_HOMES = {
    "boundaries.decorators": ("intercept", "memory_read", "memory_write", "record_call", "retrieval", "tool"),
    "boundaries.callbacks": ("AgentTape",),
    "settings.config": ("Config",),
    "cassettes.cassette": ("Cassette",),
    "reading.diff": ("CassetteDiff", "diff_cassettes"),
    "errors": (
        "AgentTapeError",
        "AgentTapeWarning",
        "CassetteCorruptError",
        "CassetteNotFoundError",
        "ConfigError",
        "DeterminismDriftWarning",
        "NetworkBlockedError",
        "ProgramBlockedError",
        "RecordingRefusedError",
        "SchemaVersionError",
        "StreamingNotRecordedWarning",
        "StreamingReplayError",
        "UnmatchedInteractionError",
        "UnplayedInteractionsError",
        "UnplayedInteractionsWarning",
    ),
    "plugin.handle": ("CassetteHandle",),
    "model": ("Interaction", "Mode"),
    "session.use_cassette": ("record", "replay", "use_cassette"),
    "session.session": ("Session", "active_session"),
    "values": ("register_codec",),
}
_HOME_OF = {name: room for room, names in _HOMES.items() for name in names}

__all__ = [
    "AgentTape",
    "AgentTapeError",
    "AgentTapeWarning",
    "Cassette",
    "CassetteCorruptError",
    "CassetteDiff",
    "CassetteHandle",
    "CassetteNotFoundError",
    "Config",
    "ConfigError",
    "DeterminismDriftWarning",
    "Interaction",
    "Mode",
    "NetworkBlockedError",
    "ProgramBlockedError",
    "RecordingRefusedError",
    "SchemaVersionError",
    "Session",
    "StreamingNotRecordedWarning",
    "StreamingReplayError",
    "UnmatchedInteractionError",
    "UnplayedInteractionsError",
    "UnplayedInteractionsWarning",
    "active_session",
    "diff_cassettes",
    "intercept",
    "memory_read",
    "memory_write",
    "record",
    "record_call",
    "register_codec",
    "replay",
    "retrieval",
    "tool",
    "use_cassette",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
