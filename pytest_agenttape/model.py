"""The vocabulary of all packages: `Mode`, `Interaction` and shared names. No decisions, no file formats."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Self, TypeAlias, get_args

from pytest_agenttape.decoded import copied, mappings, optional, optional_number
from pytest_agenttape.errors import CassetteCorruptError, ConfigError

JSON: TypeAlias = Any  # a decoded JSON value; the user decides its shape, so no type checker can follow it

ModeName: TypeAlias = Literal["none", "once", "new_episodes", "refresh", "all", "record"]
Kind: TypeAlias = Literal["llm", "tool", "retrieval", "memory_read", "memory_write", "http"]
FormatName: TypeAlias = Literal["yaml", "json"]
MatcherName: TypeAlias = Literal["ignore_volatile", "exact", "ordered", "sequential"]
FreezeFeature: TypeAlias = Literal["clock", "uuid", "random"]

SCHEMA_VERSION = "1"
BOUNDARY_KINDS = ("tool", "retrieval", "memory_read", "memory_write")
KINDS: tuple[Kind, ...] = get_args(Kind)
OWN_VARIABLES = ("PYTEST_AGENTTAPE_PARENT", "PYTEST_AGENTTAPE_FREE")  # of the environment; another value in each run
TELEMETRY_KIND = "telemetry"  # of a call that is answered, and in no cassette
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
DEFAULT_FORMAT = "yaml"
CASSETTES_FOLDER = "cassettes"
ASSETS_THRESHOLD = 65536  # bytes; a larger body is kept in a file of its own
MATCHERS: tuple[MatcherName, ...] = get_args(MatcherName)
FREEZE_FEATURES: tuple[FreezeFeature, ...] = get_args(FreezeFeature)
KNOWN_TELEMETRY = "known"  # stands, among hosts, for the addresses that known frameworks send telemetry to
REDACTION_PLACEHOLDER = "****"  # written by `Cassette.redact`
SECRET_PLACEHOLDER = "REDACTED"  # replaces a secret in a recording, with a number added
_NEARLY = 0.8  # similarity above which a word counts as a misspelled name


def unknown_name(what: str, given: object, valid: Iterable[str], meant: str = "") -> ConfigError:
    """Return the error for a name that is not in *valid*; it says what is *meant*, or the nearest valid one."""
    names = [str(each) for each in valid]
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f" {meant}" if meant else f" Did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"unknown {what} {given!r}.{hint} Valid: {', '.join(names)}")


def is_nearly(given: object, valid: Iterable[str]) -> bool:
    """Return whether *given* looks like a misspelled name of *valid*."""
    return bool(difflib.get_close_matches(str(given), list(valid), n=1, cutoff=_NEARLY))


class Mode(StrEnum):
    """Decides what happens to a call with a recording and to a call without one."""

    NONE = "none"
    ONCE = "once"
    NEW_EPISODES = "new_episodes"
    REFRESH = "refresh"
    ALL = "all"

    @classmethod
    def parse(cls, value: object) -> Mode:
        """Return the mode named by *value*; ``record`` is an alias of ``all``.

        Raises:
            ConfigError: *value* does not name a mode.
        """
        if value == "record":
            return cls.ALL
        try:
            return cls(value)  # type: ignore[arg-type]  # anything that is not a mode raises ValueError
        except ValueError:
            raise unknown_name("mode", value, [*cls, "record"]) from None


_LONGEST_RUN = 1e12  # milliseconds


class Call(NamedTuple):  # created for every call: a named tuple costs a third of a frozen dataclass
    """A call as the agent made it; its request is in stored, redacted form."""

    kind: str
    boundary: str | None
    request: Mapping[str, JSON]
    nested: bool = False  # made by the body of a boundary that runs live
    observed: bool = False  # seen by a listener, which cannot answer it
    job: int | str | None = None  # the number of the task or the executor's job that made it
    label: str | None = None  # the user's own word for its kind
    function: str | None = None  # which of those that may have the boundary's name
    work: str | None = None  # the job with the name of its function, where others may have its number


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One recorded call across a boundary.

    Attributes:
        index: Position in the order in which calls started, from 0.
        kind: One of `KINDS`.
        request: ``{"args": {...}}`` for a boundary; ``{"method", "url", "headers"}`` and one body form for HTTP.
        response: The result, in stored form; None when `error` is set.
        error: ``{"type", "module", "message", ...}`` of a raised exception.
        match_key: Digest of the canonical request, for human readers; matching computes its own.
        latency_ms: Wall time of the live call in milliseconds.
        usage: ``{"input_tokens", "output_tokens", "total_tokens"}`` of an LLM call.
        tags: Arbitrary words set by the session that recorded it.
        boundary: Name of the tool or provider operation, such as ``openai.chat``.
        metadata: Further facts, each with a property below; files of other tools may have more.
    """

    index: int
    kind: str
    request: dict[str, JSON] = field(default_factory=dict)
    response: JSON = None
    error: dict[str, JSON] | None = None
    match_key: str = ""
    latency_ms: float | None = None
    usage: dict[str, JSON] | None = None
    tags: tuple[str, ...] = ()
    boundary: str | None = None
    metadata: dict[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS and self.kind != TELEMETRY_KIND:
            raise ValueError(str(unknown_name("kind", self.kind, KINDS)))

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON]) -> Self:
        """Build an interaction from its cassette form.

        Raises:
            CassetteCorruptError: A key is missing, of the wrong type, or the kind is unknown.
        """
        require_mapping(raw, "an interaction")
        index, kind = raw.get("index"), raw.get("kind")
        if not isinstance(index, int) or isinstance(index, bool):
            raise CassetteCorruptError(f"an interaction needs a whole number 'index', found {index!r}")
        where = f"interaction #{index}"
        if kind not in KINDS:
            raise CassetteCorruptError(f"{where}: unknown kind {kind!r}; valid: {', '.join(KINDS)}")
        if "request" not in raw:
            raise CassetteCorruptError(f"{where}: 'request' is missing")
        error = raw.get("error")
        if error is None and "response" not in raw:
            raise CassetteCorruptError(f"{where}: has neither 'response' nor 'error'")
        if error is not None and raw.get("response") is not None:
            raise CassetteCorruptError(f"{where}: has both 'response' and 'error'; keep the one that happened")
        return cls(
            index=index,
            kind=kind,
            request=require_mapping(raw["request"], f"{where}: 'request'"),
            response=None if error is not None else raw.get("response"),
            error=None if error is None else require_mapping(error, f"{where}: 'error'"),
            match_key=str(raw.get("match_key") or ""),
            latency_ms=optional_number(raw.get("latency_ms"), f"{where}: 'latency_ms'"),
            usage=None if raw.get("usage") is None else require_mapping(raw["usage"], f"{where}: 'usage'"),
            tags=tuple(map(str, require_list(raw.get("tags") or [], f"{where}: 'tags'"))),
            boundary=None if raw.get("boundary") is None else str(raw["boundary"]),
            metadata=require_mapping(raw.get("metadata") or {}, f"{where}: 'metadata'"),
        )

    def to_dict(self) -> dict[str, JSON]:
        """Return the cassette form, keys in the order of the file; empty optional keys are left out."""
        out: dict[str, JSON] = {"index": self.index, "kind": self.kind}
        if self.boundary is not None:
            out["boundary"] = self.boundary
        out["request"] = self.request
        if self.error is not None:
            out["error"] = self.error
        else:
            out["response"] = self.response
        if self.match_key:
            out["match_key"] = self.match_key
        if self.latency_ms is not None:
            out["latency_ms"] = self.latency_ms
        if self.usage is not None:
            out["usage"] = self.usage
        if self.tags:
            out["tags"] = list(self.tags)
        if self.metadata:
            out["metadata"] = self.metadata
        return out

    def copy(self) -> Self:
        """Return a copy that shares nothing that can be changed."""
        return replace(
            self,
            request=copied(self.request),
            response=copied(self.response),
            error=copied(self.error),
            usage=copied(self.usage),
            metadata=copied(self.metadata),
        )

    @property
    def status(self) -> int | None:
        """The status of an HTTP response; in a boundary's result, a key of that name may mean something else."""
        is_result = self.kind in BOUNDARY_KINDS and "headers" not in self.request  # a tool may be called over HTTP
        if is_result or not isinstance(self.response, dict):
            return None
        return optional(self.response.get("status"), int)

    @property
    def has_failed(self) -> bool:
        """Whether the call ended with an exception or an HTTP error status."""
        return self.error is not None or (self.status or 0) >= 400

    # What `metadata` says. A file edited by hand may hold anything, so a value of another type counts as absent.

    @property
    def parent(self) -> int | None:
        """The index of the call whose body made this one; None if the agent made it directly."""
        return optional(self.metadata.get("parent"), int)

    @property
    def start_ms(self) -> float | None:
        """When the call started, in milliseconds after the session; None if it is not known, or makes no sense."""
        start: JSON = self.metadata.get("start_ms")
        is_number = type(start) is float or type(start) is int  # asked at every call, of values that a file holds
        return start if is_number and 0 <= start < _LONGEST_RUN else None

    @property
    def job(self) -> int | str | None:
        """The number of the task or the executor's job that made the call, where others made the same call."""
        job = self.metadata.get("job")
        return optional(job, str) if isinstance(job, str) else optional(job, int)

    @property
    def label(self) -> str | None:
        """The user's own word for the kind of call, such as ``planner``."""
        return optional(self.metadata.get("label"), str)

    @property
    def provider(self) -> str | None:
        """The provider of an LLM call, such as ``openai``."""
        return optional(self.metadata.get("provider"), str)

    @property
    def operation(self) -> str | None:
        """The provider's operation, such as ``chat``."""
        return optional(self.metadata.get("operation"), str)

    @property
    def model(self) -> str | None:
        """The requested model; with `model_override`, the model that the call was sent to."""
        return optional(self.metadata.get("model"), str)

    @property
    def requested_model(self) -> str | None:
        """The model that the agent named."""
        return optional(self.metadata.get("requested_model"), str) or self.model

    @property
    def returns(self) -> str | None:
        """The kind of object that a plain function returned and that still has to be run: a generator, an awaitable."""
        returns = self.metadata.get("returns")  # asked at every call
        return returns if isinstance(returns, str) else None

    @property
    def changes(self) -> tuple[dict[str, JSON], ...]:
        """What the call did to its arguments (`values.Watch`)."""
        return mappings(self.metadata.get("changed"))

    @property
    def pace(self) -> tuple[int, ...]:
        """How many calls had started before each piece of a stream and before its end; empty if it arrived at once."""
        pace = self.metadata.get("pace")
        if not isinstance(pace, list):
            return ()
        return tuple(pace) if all(optional(each, int) is not None for each in pace) else ()

    @property
    def said(self) -> tuple[dict[str, JSON], ...]:
        """What an MCP server sent unasked before it answered: notifications, and questions with their answers."""
        return mappings(self.metadata.get("said"))

    @property
    def said_after(self) -> tuple[dict[str, JSON], ...]:
        """The same after its answer, before the next request."""
        return mappings(self.metadata.get("said_after"))

    @property
    def fault(self) -> str | None:
        """The fault from the tape that the call got in a replay; it is in no cassette."""
        return optional(self.metadata.get("fault"), str)

    @property
    def is_made_up(self) -> bool:
        """Whether a fault took the place of the recorded answer, which is left for the next attempt."""
        return self.fault is not None and not self.metadata.get("delayed")

    @property
    def is_observed(self) -> bool:
        """Whether only a listener saw the call; nothing requests it in replay."""
        return bool(self.metadata.get("observed"))

    @property
    def is_of_teardown(self) -> bool:
        """Whether the call was made after the test function ended."""
        return bool(self.metadata.get("phase") == "teardown")

    @property
    def imported_from(self) -> str | None:
        """The tool that recorded the call, if it was not this one."""
        return optional(self.metadata.get("imported"), str)

    @property
    def unplayable(self) -> str | None:
        """Why the call cannot be replayed; None if it can."""
        reason = self.metadata.get("unplayable")
        return None if reason is None else str(reason)  # of any type: if in doubt, do not replay it


def require_mapping(value: JSON, what: str) -> dict[str, JSON]:
    """Return *value* if it is a mapping.

    Raises:
        CassetteCorruptError: It is not; the message begins with *what*.
    """
    if not isinstance(value, dict):
        raise CassetteCorruptError(f"{what} must be a mapping, found {type(value).__name__}")
    return value


def require_list(value: JSON, what: str) -> list[JSON]:
    """Return *value* if it is a list.

    Raises:
        CassetteCorruptError: It is not; the message begins with *what*.
    """
    if not isinstance(value, list):
        raise CassetteCorruptError(f"{what} must be a list, found {type(value).__name__}")
    return value
