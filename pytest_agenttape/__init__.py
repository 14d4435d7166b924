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
    from pytest_agenttape.cassettes.differences import diff_cassettes
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
        StaleCassetteError,
        StreamingNotRecordedWarning,
        StreamingReplayError,
        UnmatchedInteractionError,
        UnplayedInteractionsError,
        UnplayedInteractionsWarning,
    )
    from pytest_agenttape.model import Interaction, Mode
    from pytest_agenttape.plugin.handle import CassetteHandle
    from pytest_agenttape.plugin.syrupy import AgentTapeYAMLExtension
    from pytest_agenttape.reading.calls import LLMCall, ToolCall
    from pytest_agenttape.reading.diff import CassetteDiff
    from pytest_agenttape.reading.usage import TokenTotals
    from pytest_agenttape.session.session import Session
    from pytest_agenttape.session.use_cassette import active_session, record, replay, use_cassette
    from pytest_agenttape.settings.config import Config
    from pytest_agenttape.settings.faults import fault
    from pytest_agenttape.values import register_codec

    __version__: str

_HOMES = {
    "boundaries.decorators": ("intercept", "memory_read", "memory_write", "record_call", "retrieval", "tool"),
    "boundaries.callbacks": ("AgentTape",),
    "settings.config": ("Config",),
    "settings.faults": ("fault",),
    "cassettes.cassette": ("Cassette",),
    "cassettes.differences": ("diff_cassettes",),
    "reading.calls": ("LLMCall", "ToolCall"),
    "reading.diff": ("CassetteDiff",),
    "reading.usage": ("TokenTotals",),
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
        "StaleCassetteError",
        "StreamingNotRecordedWarning",
        "StreamingReplayError",
        "UnmatchedInteractionError",
        "UnplayedInteractionsError",
        "UnplayedInteractionsWarning",
    ),
    "plugin.handle": ("CassetteHandle",),
    "plugin.syrupy": ("AgentTapeYAMLExtension",),
    "model": ("Interaction", "Mode"),
    "session.use_cassette": ("active_session", "record", "replay", "use_cassette"),
    "session.session": ("Session",),
    "values": ("register_codec",),
}
_HOME_OF = {name: room for room, names in _HOMES.items() for name in names}

__all__ = [
    "AgentTape",
    "AgentTapeError",
    "AgentTapeWarning",
    "AgentTapeYAMLExtension",
    "Cassette",
    "CassetteCorruptError",
    "CassetteDiff",
    "CassetteHandle",
    "CassetteNotFoundError",
    "Config",
    "ConfigError",
    "DeterminismDriftWarning",
    "Interaction",
    "LLMCall",
    "Mode",
    "NetworkBlockedError",
    "ProgramBlockedError",
    "RecordingRefusedError",
    "SchemaVersionError",
    "Session",
    "StaleCassetteError",
    "StreamingNotRecordedWarning",
    "StreamingReplayError",
    "TokenTotals",
    "ToolCall",
    "UnmatchedInteractionError",
    "UnplayedInteractionsError",
    "UnplayedInteractionsWarning",
    "__version__",
    "active_session",
    "diff_cassettes",
    "fault",
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
    if name == "__version__":
        from importlib.metadata import version  # costs more than all that is imported here

        value: Any = version("pytest-agenttape")
    elif name in _HOME_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
