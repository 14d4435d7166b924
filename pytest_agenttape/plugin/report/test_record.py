"""The record of one test and the tally of one process; xdist workers send both to the controller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Self, TypeAlias, TypedDict

from pytest_agenttape.errors import AgentTapeError

# Holds only what xdist can send: None, bool, int, float, str, list, tuple, dict.
Plain: TypeAlias = Mapping[str, Any]


class Usage(TypedDict):
    """The tokens of a call or of many; `estimated` where an answer had no usage block."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    estimated: bool


class ShownStep(TypedDict):
    """One call of a test as a report shows it; docs/pytest.md says what each key is."""

    index: int
    parent: int | None
    kind: str
    label: str | None
    name: str
    summary: str
    provider: str | None
    model: str | None
    live: bool
    start_ms: float
    latency_ms: float | None
    usage: Usage | None
    cost: str | None
    failed: bool
    fault: str | None
    parts: Plain
    source: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What became of the calls of a test that were also sent for real.

    Attributes:
        sent: How many were sent.
        moved: What differs, each with who was asked.
        left_out: Why others were not sent.
    """

    sent: int = 0
    moved: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_plain(self) -> Plain:
        """Return this in types that cross a process border."""
        return {"sent": self.sent, "moved": self.moved, "left_out": self.left_out}

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Return what `to_plain` was called on."""
        return cls(plain["sent"], tuple(plain["moved"]), tuple(plain["left_out"]))


class Span(TypedDict):
    """One call of a test as a trace has it; `leaves` says whether it leaves the process."""

    index: int
    parent: int | None
    name: str
    leaves: bool
    start_ms: float | None
    latency_ms: float | None
    attributes: Mapping[str, Any]  # texts, numbers, truths, and lists of texts
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The cost of LLM calls; *cost* is None if the price of one of them is unknown."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None  # US dollars

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens

    def to_plain(self) -> Plain:
        """Return this in types that cross a process border."""
        return {**_fields_of(self), "cost": None if self.cost is None else f"{self.cost:f}"}

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Return what `to_plain` was called on."""
        cost = plain["cost"]
        return cls(**{**plain, "cost": None if cost is None else Decimal(cost)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TestRecord:
    """What one test did to its cassette.

    Attributes:
        path: The cassette.
        target: The file that was written, if any, else the cassette.
        outcome: As in `Attempt`.
        action: ``created``, ``recorded``, ``refreshed``, ``unchanged``, ``replayed`` or ``refused``.
        wrote: Whether the file changed.
        calls: How many calls the test made.
        live: How many of them were live.
        unplayed: The indexes of recordings that a passing test left unplayed.
        is_shared: Whether other tests may use the cassette.
        users: How many tests of the run claim it.
        is_strict: Whether unplayed recordings are an error.
        cause: The failure in a few words, if the error is one of ours.
        former: The cassette under the test's former name, if it has one.
        forgotten: The tools of a recording, or of a replay that left calls out, that run for real in replay.
        from_pending: How many calls were answered from a pending recording.
        pending: The file that keeps the recording as pending, if there is one.
        load_ms: The time it took to load the cassette.
        error: The failure message, if the error is one of ours.
        spent: The cost of its live LLM calls, if it was counted.
        saved: The cost its replayed LLM calls would have had, if it was counted.
        steps: Its calls, for a report file.
        stale: How old the recording is, in words, if it is older than it may be.
        verified: What became of its calls that were also sent for real, if they were.
        began: When it began, as an ISO 8601 time: the recording, if nothing was live, else the test.
        spans: Its calls, for a trace.
        tried: Its runs with live calls so far, beside the recording, if the flag asked for them.
        change: How the run differs from its recording, for a report file.
        miss: The call that no recording answered, beside the nearest one, for a report file.
        not_reached: How many recordings a run that did not pass has left unplayed.
    """

    __test__: ClassVar[bool] = False  # its name makes pytest take it for a test class

    path: Path
    target: Path
    mode: str
    outcome: str
    action: str
    wrote: bool
    calls: int
    live: int
    unplayed: tuple[int, ...]
    is_shared: bool
    users: int
    is_strict: bool
    input_tokens: int
    output_tokens: int
    pending: Path | None
    load_ms: float
    error: str | None
    from_pending: int = 0
    cause: str | None = None
    former: Path | None = None
    forgotten: tuple[str, ...] = ()
    spent: Spending | None = None
    saved: Spending | None = None
    steps: tuple[ShownStep, ...] = ()
    change: Plain | None = None
    miss: Plain | None = None
    not_reached: int = 0
    stale: str | None = None
    verified: Verified | None = None
    began: str = ""
    spans: tuple[Span, ...] = ()
    tried: tuple[Plain, ...] = ()

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.input_tokens + self.output_tokens

    @property
    def unplayed_alone(self) -> int:
        """How many recordings were left unplayed, if no other test uses the cassette."""
        return 0 if self.is_shared else len(self.unplayed)

    def or_error(self, error: AgentTapeError | None) -> Self:
        """Return the record with *error*, unless it has one."""
        return self if self.error or error is None else replace(self, error=str(error), cause=error.headline)

    def to_plain(self) -> Plain:
        """Return this in types that cross a process border."""
        return {
            **_fields_of(self),
            "path": str(self.path),
            "target": str(self.target),
            "pending": None if self.pending is None else str(self.pending),
            "former": None if self.former is None else str(self.former),
            "verified": None if self.verified is None else self.verified.to_plain(),
            "spent": None if self.spent is None else self.spent.to_plain(),
            "saved": None if self.saved is None else self.saved.to_plain(),
        }

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Return what `to_plain` was called on."""
        pending, former, spent, saved = (plain[name] for name in ("pending", "former", "spent", "saved"))
        verified = plain["verified"]
        parsed = {
            "path": Path(plain["path"]),
            "target": Path(plain["target"]),
            "pending": None if pending is None else Path(pending),
            "former": None if former is None else Path(former),
            "verified": None if verified is None else Verified.from_plain(verified),
            "spent": None if spent is None else Spending.from_plain(spent),
            "saved": None if saved is None else Spending.from_plain(saved),
            "unplayed": tuple(plain["unplayed"]),
            "forgotten": tuple(plain["forgotten"]),
            "steps": tuple(plain["steps"]),
            "spans": tuple(plain["spans"]),
            "tried": tuple(plain["tried"]),
        }
        return cls(**{**plain, **parsed})


NOT_RUN = TestRecord(
    path=Path(),
    target=Path(),
    mode="",
    outcome="failed",
    action="not run",
    wrote=False,
    calls=0,
    live=0,
    unplayed=(),
    is_shared=False,
    users=0,
    is_strict=False,
    input_tokens=0,
    output_tokens=0,
    pending=None,
    load_ms=0.0,
    error=None,
)
"""Of a test that failed before its session could open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The contribution of one process to the verdict on the whole run.

    Attributes:
        is_whole: Whether it collected everything.
        claimed: The cassettes claimed by its tests.
        homes: Folders in which to look for cassettes, each with the folder of the tests that they belong to.
        modules: The paths of its test files.
        interrupted: The records of tests that were never reported.
        telemetry: How many requests were answered as telemetry, by sender.
    """

    is_whole: bool
    claimed: frozenset[Path]
    homes: Mapping[Path, Path]
    modules: frozenset[str]
    interrupted: Mapping[str, TestRecord]
    telemetry: Mapping[str, int]

    def to_plain(self) -> Plain:
        """Return this in types that cross a process border."""
        return {
            "is_whole": self.is_whole,
            "claimed": sorted(map(str, self.claimed)),
            "homes": {str(folder): str(tests) for folder, tests in self.homes.items()},
            "modules": sorted(self.modules),
            "interrupted": {nodeid: record.to_plain() for nodeid, record in self.interrupted.items()},
            "telemetry": dict(self.telemetry),
        }

    @classmethod
    def from_plain(cls, plain: Plain) -> Self:
        """Return what `to_plain` was called on."""
        return cls(
            is_whole=plain["is_whole"],
            claimed=frozenset(map(Path, plain["claimed"])),
            homes={Path(folder): Path(tests) for folder, tests in plain["homes"].items()},
            modules=frozenset(plain["modules"]),
            interrupted={nodeid: TestRecord.from_plain(each) for nodeid, each in plain["interrupted"].items()},
            telemetry=plain["telemetry"],
        )


def _fields_of(record: Spending | TestRecord) -> dict[str, Any]:
    return {each.name: getattr(record, each.name) for each in fields(record)}
