"""The words of a cassette: `Mode`, `Interaction`, `Cassette`. Shapes only: no deciding, no formats."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import quote, unquote_plus

from pytest_agenttape.errors import CassetteCorruptError, ConfigError, SchemaVersionError

JSON: TypeAlias = Any  # a decoded JSON value; its shape is the user's, so no checker can follow it

SCHEMA_VERSION = "1"
BOUNDARY_KINDS = ("tool", "retrieval", "memory_read", "memory_write")
KINDS = ("llm", *BOUNDARY_KINDS, "http")
FORMATS = ("yaml", "json")
MATCHERS = ("ignore_volatile", "exact", "ordered", "sequential")
FREEZE_FEATURES = ("clock", "uuid", "random")
REDACTION_PLACEHOLDER = "****"  # what `Cassette.redact` writes
SECRET_PLACEHOLDER = "REDACTED"  # what a recording has in place of a secret, with a number


def unknown_name(what: str, given: object, valid: Iterable[str]) -> ConfigError:
    """Return the error for a name that is not one of *valid*, with the nearest valid one."""
    names = [str(each) for each in valid]
    near = difflib.get_close_matches(str(given), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"unknown {what} {given!r}.{hint} Valid: {', '.join(names)}")


class Mode(StrEnum):
    """What happens to a call that has a recording, and to one that has none."""

    NONE = "none"
    ONCE = "once"
    NEW_EPISODES = "new_episodes"
    REFRESH = "refresh"
    ALL = "all"

    @classmethod
    def parse(cls, value: object) -> Mode:
        """Return the mode named by *value*; ``record`` is another word for ``all``.

        Raises:
            ConfigError: *value* names no mode.
        """
        if value == "record":
            return cls.ALL
        try:
            return cls(value)  # type: ignore[arg-type]  # anything that is no mode raises ValueError
        except ValueError:
            raise unknown_name("mode", value, [*cls, "record"]) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interaction:
    """One recorded crossing of a boundary.

    Attributes:
        index: Position by the start of the call, from 0.
        kind: One of `KINDS`.
        request: ``{"args": {...}}`` for a boundary; ``{"method", "url", "headers"}`` and one body form for HTTP.
        response: What came back, in stored form; None when `error` is set.
        error: ``{"type", "module", "message", ...}`` of a raised exception.
        match_key: Digest of the canonical request, for the reader; matching computes it anew.
        latency_ms: Wall time of the live call in milliseconds.
        usage: ``{"input_tokens", "output_tokens", "total_tokens"}`` of an LLM call.
        tags: Free words of the session that recorded it.
        boundary: Name of the tool or provider operation, such as ``openai.chat``.
        metadata: Further facts: ``provider``, ``operation``, ``model``, ``parent``.
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

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON]) -> Self:
        """Build an interaction from its cassette form.

        Raises:
            CassetteCorruptError: A key is missing, of the wrong type, or the kind is unknown.
        """
        _require_mapping(raw, "an interaction")
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
            request=_require_mapping(raw["request"], f"{where}: 'request'"),
            response=None if error is not None else raw.get("response"),
            error=None if error is None else _require_mapping(error, f"{where}: 'error'"),
            match_key=str(raw.get("match_key") or ""),
            latency_ms=_optional_number(raw.get("latency_ms"), f"{where}: 'latency_ms'"),
            usage=None if raw.get("usage") is None else _require_mapping(raw["usage"], f"{where}: 'usage'"),
            tags=tuple(map(str, _require_list(raw.get("tags") or [], f"{where}: 'tags'"))),
            boundary=None if raw.get("boundary") is None else str(raw["boundary"]),
            metadata=_require_mapping(raw.get("metadata") or {}, f"{where}: 'metadata'"),
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


@dataclass(kw_only=True)
class Cassette:
    """One recorded run: what is in a cassette file.

    Attributes:
        version: Schema version, ``"1"``.
        created_at: ISO 8601 time of the recording's start, UTC.
        run_id: Identifies the recording run.
        meta: Facts about the run: ``freeze`` values, ``env`` snapshot.
        interactions: In order of the start of each call.
    """

    version: str = SCHEMA_VERSION
    created_at: str = ""
    run_id: str = ""
    meta: dict[str, JSON] = field(default_factory=dict)
    interactions: list[Interaction] = field(default_factory=list)

    @classmethod
    def from_dict(cls, raw: Mapping[str, JSON]) -> Self:
        """Build a cassette from its file form.

        Raises:
            SchemaVersionError: The version is not one that this release reads.
            CassetteCorruptError: A key is missing or of the wrong type.
        """
        _require_mapping(raw, "a cassette")
        if "version" not in raw:
            raise CassetteCorruptError("'version' is missing; is this a cassette?")
        version = str(raw["version"])
        if version != SCHEMA_VERSION:
            raise SchemaVersionError(
                f"schema version {version!r} is not supported (this release reads {SCHEMA_VERSION!r}); "
                "upgrade pytest-agenttape or record again with --agenttape-record"
            )
        if "interactions" not in raw:
            raise CassetteCorruptError("'interactions' is missing; is this a cassette?")
        listed = _require_list(raw["interactions"] or [], "'interactions'")
        interactions = [Interaction.from_dict(each) for each in listed]
        if len({each.index for each in interactions}) < len(interactions):
            raise CassetteCorruptError("two interactions have the same 'index'")
        return cls(
            version=version,
            created_at=str(raw.get("created_at") or ""),
            run_id=str(raw.get("run_id") or ""),
            meta=dict(_require_mapping(raw.get("meta") or {}, "'meta'")),
            interactions=interactions,
        )

    def to_dict(self) -> dict[str, JSON]:
        """Return the file form."""
        return {
            "version": self.version,
            "created_at": self.created_at,
            "run_id": self.run_id,
            "meta": self.meta,
            "interactions": [each.to_dict() for each in self.interactions],
        }

    @classmethod
    def load(cls, path: str | Path) -> Cassette:
        """Read the cassette at *path*; cassettes of other tools are translated.

        Raises:
            CassetteNotFoundError: There is no such file.
            CassetteCorruptError: The file cannot be read as a cassette; the message says where and why.
            ConfigError: *path* is no path.
        """
        if not isinstance(path, str | Path):
            raise ConfigError(f"a cassette is read from a path, not {path!r}")
        cassette: Cassette = _store().read(Path(path))[0]
        return cassette

    def save(self, path: str | Path, *, format: str | None = None) -> bool:  # noqa: A002  # the option's public name
        """Write to *path* whole or not at all; return whether the file changed.

        Raises:
            ConfigError: *format* is unknown.
            RecordingRefusedError: It does not read back equal, or the disk refuses; the old file is intact.
        """
        if format not in (None, *FORMATS):
            raise unknown_name("format", format, FORMATS)
        return bool(_store().save(self, Path(path), format=format))

    def redact(self, key: str, replacement: str = REDACTION_PLACEHOLDER) -> Self:
        """Replace every value stored under *key*, at any depth; return the cassette.

        Also in JSON within texts, and as a parameter of a URL; the name of a header may be spelled in any case.
        """
        if not isinstance(key, str) or not key:
            raise ConfigError(f"what is redacted stands under a name, a text that is not empty; found {key!r}")
        self.meta = _replaced(self.meta, key, replacement)
        self.interactions = [
            replace(
                each,
                request=_replaced(each.request, key, replacement),
                response=_replaced(each.response, key, replacement),
                error=_replaced(each.error, key, replacement),
                metadata=_replaced(each.metadata, key, replacement),
            )
            for each in self.interactions
        ]
        return self

    @property
    def num_steps(self) -> int:
        """The number of interactions."""
        return len(self.interactions)

    @property
    def total_input_tokens(self) -> int:
        """Tokens sent to models: from usage blocks, else estimated (see `reading.usage.count_tokens`)."""
        return int(_calls().total_tokens(self.interactions).input)

    @property
    def total_output_tokens(self) -> int:
        """Tokens that models answered with, counted like the input."""
        return int(_calls().total_tokens(self.interactions).output)

    @property
    def total_tokens(self) -> int:
        """All tokens."""
        return int(_calls().total_tokens(self.interactions).total)

    @property
    def duration_ms(self) -> float:
        """The sum of the latencies of calls that no other call contains, in milliseconds."""
        return round(sum(each.latency_ms or 0 for each in self.interactions if "parent" not in each.metadata), 3)


def _store() -> Any:
    # Reading and writing are the store's work; the documented place for them is the data class.
    from pytest_agenttape.cassettes import store

    return store


def _calls() -> Any:
    from pytest_agenttape.reading import usage

    return usage


def _replaced(node: JSON, key: str, replacement: str) -> JSON:
    if isinstance(node, dict):
        if node.get("$type") == "dict" and isinstance(node.get("items"), list):  # its keys are not all text
            pairs = [[key, replacement] if each[:1] == [key] else each for each in node["items"]]
            return {"$type": "dict", "items": [_replaced(each, key, replacement) for each in pairs]}
        return {name: _replaced_member(name, each, key, replacement) for name, each in node.items()}
    if isinstance(node, list):
        return [_replaced(each, key, replacement) for each in node]
    if isinstance(node, str) and key in node and node.lstrip()[:1] in ("{", "["):
        return _replaced_in_text(node, key, replacement)
    return node


def _replaced_member(name: str, value: JSON, key: str, replacement: str) -> JSON:
    if name == key:
        return replacement
    if name == "url" and isinstance(value, str):
        return _replaced_in_url(value, key, replacement)
    if name == "headers" and isinstance(value, dict):
        return {
            each: replacement if each.lower() == key.lower() else _replaced(content, key, replacement)
            for each, content in value.items()
        }
    return _replaced(value, key, replacement)


def _replaced_in_url(url: str, key: str, replacement: str) -> str:
    address, mark, query = url.partition("?")
    parameters = [
        f"{name}={quote(str(replacement), safe='*')}" if sign and unquote_plus(name) == key else f"{name}{sign}{value}"
        for name, sign, value in (each.partition("=") for each in query.split("&"))
    ]
    return f"{address}{mark}{'&'.join(parameters)}"


def _replaced_in_text(text: str, key: str, replacement: str) -> str:
    try:
        decoded = json.loads(text)
    except ValueError:
        return text
    changed = _replaced(decoded, key, replacement)
    return text if changed == decoded else json.dumps(changed, ensure_ascii=False)


def _require_mapping(value: JSON, what: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise CassetteCorruptError(f"{what} must be a mapping, found {type(value).__name__}")
    return value


def _require_list(value: JSON, what: str) -> list[JSON]:
    if not isinstance(value, list):
        raise CassetteCorruptError(f"{what} must be a list, found {type(value).__name__}")
    return value


def _optional_number(value: JSON, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CassetteCorruptError(f"{what} must be a number, found {value!r}")
    if not abs(value) < 1e15:  # what is not a number is not less, either
        raise CassetteCorruptError(f"{what} must be a duration, found a number out of all bounds")
    return value
