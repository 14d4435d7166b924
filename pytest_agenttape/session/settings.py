"""The settings that a session is opened with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_agenttape.cassettes.pending import PendingRecording
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import FREEZE_FEATURES, Mode
from pytest_agenttape.redaction import RedactionRules
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.faults import Fault

_RECORD = " --agenttape-record"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Where recordings of a test's calls may be besides its cassette; looked up only where it lacks one.

    Attributes:
        candidates: Returns the cassettes whose own tests are gone, the most likely first to be that of this test.
        likely: Returns the one that is most likely this test's.
        others: Returns the cassettes of the tests beside it.
        has_pending: Returns whether a recording of the test was set aside.
    """

    candidates: Callable[[], Sequence[Path]]
    likely: Callable[[], Path | None]
    others: Callable[[], Sequence[Path]]
    has_pending: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything needed to open a session, already validated.

    Attributes:
        path: The cassette file, as the user named it.
        mode: The record mode.
        named_mode: The mode that a block itself names, whatever the flags say.
        names_strict: Whether a block itself says how strict it is, whatever the flags say.
        also: Further cassettes, which are only replayed.
        config: The configuration in force.
        directory: The folder that a relative path starts from.
        live: Tokens of calls that run for real.
        frozen: Tokens of calls that are replayed in every mode.
        repeats: Tokens of calls whose last recording is served again and again; None for the configured ones.
        matchers: A matcher or a chain of fallbacks; None for the configured one.
        freeze: Which of clock, uuid and random are pinned.
        yields_random: Whether to leave random numbers alone if a session running beside this one pins them.
        format: ``yaml`` or ``json``; None to go by the name or the configuration.
        tags: Words kept with each recorded interaction.
        title: How messages name the session; if empty, they use the file name.
        command: The command that records the cassette again.
        is_sticky: Whether the first refusal decides the run, as it does for a test.
        allow_errors: Failures of live calls that may be recorded: all, none or these.
        test: The test that owns the file; its name is kept in the cassette.
        pending: A recording that was set aside, to be replayed instead of the file.
        former: The cassette under the test's former name, to be replayed and moved.
        elsewhere: Where else recordings of its calls may be.
        faults: What goes wrong in a replay.
        rules: What is redacted in addition to the built-in rules.
        refusal: Why a block must not be opened, or a test must not make a call, if it must not.
        is_disabled: Whether the block records and replays nothing.
        is_tried: Whether ``--agenttape-live`` says what is live: a call without a recording is no reason to record.
    """

    path: Path
    mode: Mode
    config: Config
    named_mode: Mode | None = None
    names_strict: bool = False
    directory: Path = Path()
    also: tuple[Path, ...] = ()
    live: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    repeats: frozenset[str] | None = None
    matchers: object = None
    freeze: frozenset[str] = frozenset(FREEZE_FEATURES)
    yields_random: bool = False
    format: str | None = None
    tags: tuple[str, ...] = ()
    title: str = ""
    command: str = ""
    is_sticky: bool = False
    allow_errors: frozenset[object] | bool = False
    test: str | None = None
    pending: PendingRecording | None = None
    former: Path | None = None
    elsewhere: Elsewhere | None = None
    faults: tuple[Fault, ...] = ()
    rules: RedactionRules = field(default_factory=RedactionRules)
    refusal: ConfigError | None = None
    is_disabled: bool = False
    is_tried: bool = False

    @property
    def repeated(self) -> Selection:
        """The calls whose last recording is served again and again."""
        return Selection.of(self.config.repeats if self.repeats is None else self.repeats)

    @property
    def name(self) -> str:
        """How messages name the session."""
        return self.title or f"cassette {self.path.name}"

    @property
    def file(self) -> Path:
        """The path, made absolute if the agent has left the directory that a relative path starts from."""
        is_here = self.directory == Path() or self.directory == working_directory()
        return self.path if is_here else self.directory / self.path

    @property
    def advice(self) -> str:
        """How to record the cassette."""
        return self.command or "open the cassette once with mode='all'"

    @property
    def refreshing(self) -> str:
        """The command that refreshes the cassette of a test; empty for a block."""
        return f"{self.command.removesuffix(_RECORD)} --snapshot-update" if self.elsewhere else ""


def working_directory() -> Path:
    """Return the current directory, or an empty path if it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:  # the agent has removed it
        return Path()
