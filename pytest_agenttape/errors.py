"""Every error and warning a user can meet. Errors carry data as attributes; ``str()`` makes the prose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class AgentTapeError(Exception):
    """The base of every error raised by pytest-agenttape."""


class ConfigError(AgentTapeError):
    """A name, option, marker or configuration value that cannot be used; the message names the valid ones."""


class CassetteNotFoundError(AgentTapeError):
    """A cassette that replay needs does not exist."""

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class CassetteCorruptError(AgentTapeError):
    """A cassette file that cannot be read as one; `path` and `line` (1-based) say where."""

    def __init__(self, message: str, *, path: Path | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.problem = message
        self.path = path
        self.line = line

    def __str__(self) -> str:
        if self.path is None:
            return self.problem
        where = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{where}: {self.problem}"


class SchemaVersionError(CassetteCorruptError):
    """A cassette written for a schema version that this release does not read."""


class RecordingRefusedError(AgentTapeError):
    """A recording that must not be kept: a poisoned call, a value that cannot come back, a secret in the output."""


class NetworkBlockedError(AgentTapeError):
    """A connection that would have left the machine during replay."""

    def __init__(self, message: str, *, host: str = "", port: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class StreamingReplayError(AgentTapeError):
    """A stream that is read past the point where its recording ends."""


class UnplayedInteractionsError(AgentTapeError):
    """Recorded interactions that a passing test did not use, in strict mode."""


@dataclass(frozen=True, slots=True)
class FieldDiff:
    """One differing path between a recorded and an asked request, both sides shortened for display."""

    path: str
    recorded: str
    asked: str


class UnmatchedInteractionError(AgentTapeError):
    """A call that no unplayed recording answers; nothing real was run."""

    def __init__(
        self,
        message: str,
        *,
        kind: str = "",
        boundary: str | None = None,
        request: Mapping[str, object] | None = None,
        closest: object = None,
        field_diffs: tuple[FieldDiff, ...] = (),
        cassette_path: Path | None = None,
        mode: str = "none",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.boundary = boundary
        self.request = dict(request or {})
        self.closest = closest
        self.field_diffs = field_diffs
        self.cassette_path = cassette_path
        self.mode = mode


class AgentTapeWarning(UserWarning):
    """The base of every warning issued by pytest-agenttape."""


class DeterminismDriftWarning(AgentTapeWarning):
    """The environment differs from the one of the recording."""


class StreamingNotRecordedWarning(AgentTapeWarning):
    """A stream was abandoned, so its recording is marked incomplete."""


class UnplayedInteractionsWarning(AgentTapeWarning):
    """Recorded interactions that a passing test did not use."""
