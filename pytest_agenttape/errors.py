"""Every error and warning that users can see. Errors carry their data as attributes; ``str()`` returns the message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path  # production code imports this module, and need not load that one


class AgentTapeError(Exception):
    """The base of every error raised by pytest-agenttape.

    Attributes:
        is_expected: Whether a test has asserted that it is raised.
        cause: What it is about, in a few words; empty where the first line of the message says it.
    """

    is_expected = False
    cause = ""

    @property
    def headline(self) -> str:
        """What it is about, in one line."""
        return self.cause or str(self).partition("\n")[0]


class ConfigError(AgentTapeError):
    """A name, option, marker or configuration value that cannot be used; the message names the valid ones."""


class CassetteCorruptError(AgentTapeError):
    """A file that cannot be read as a cassette; `path` and `line` (1-based) locate the problem."""

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
    """A cassette with a schema version that this release cannot read."""


class RecordingRefusedError(AgentTapeError):
    """A recording that must not be kept: a poisoned call, a value that cannot be restored, a secret in the output."""


class NetworkBlockedError(AgentTapeError):
    """A connection that would have left the machine during replay."""

    def __init__(self, message: str, *, host: str = "", port: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.port = port


class ProgramBlockedError(AgentTapeError):
    """A program that would have been started outside of a recorded tool."""

    def __init__(self, message: str, *, program: str = "") -> None:
        super().__init__(message)
        self.program = program


class StreamingReplayError(AgentTapeError):
    """A stream that is read past the end of its recording."""


class StaleCassetteError(AgentTapeError):
    """A recording that is older than `max_age`, where `on_stale` is ``fail``."""


class UnplayedInteractionsError(AgentTapeError):
    """Recorded interactions that a passing test did not use, in strict mode."""


class FieldDiff(NamedTuple):
    """One path at which a recorded request and the current one differ, both values shortened for display."""

    path: str
    recorded: str
    asked: str


class UnmatchedInteractionError(AgentTapeError):
    """A call that matches no unplayed recording; nothing ran for real."""

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
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.cause = cause
        self.kind = kind
        self.boundary = boundary
        self.request = dict(request or {})
        self.closest = closest
        self.field_diffs = field_diffs
        self.cassette_path = cassette_path
        self.mode = mode


class CassetteNotFoundError(UnmatchedInteractionError):
    """A cassette that replay needs does not exist."""

    def __init__(
        self,
        message: str,
        *,
        path: Path | None = None,
        kind: str = "",
        boundary: str | None = None,
        request: Mapping[str, object] | None = None,
        mode: str = "none",
        cause: str = "no cassette",
    ) -> None:
        super().__init__(
            message, kind=kind, boundary=boundary, request=request, cassette_path=path, mode=mode, cause=cause
        )
        self.path = path


class AgentTapeWarning(UserWarning):
    """The base of every warning issued by pytest-agenttape."""


class DeterminismDriftWarning(AgentTapeWarning):
    """The environment differs from that of the recording."""


class StreamingNotRecordedWarning(AgentTapeWarning):
    """A stream was abandoned, so its recording is marked incomplete."""


class UnplayedInteractionsWarning(AgentTapeWarning):
    """Recorded interactions that a passing test did not use."""


def add_note(error: BaseException, note: str) -> None:
    """Add *note* to *error*, which may let nobody set its attributes, as a frozen dataclass does."""
    vars(error).setdefault("__notes__", []).append(note)
