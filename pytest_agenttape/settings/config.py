"""The contents of a configuration file, and how it is found."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Self, TypeVar

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.hosts import checked_hosts
from pytest_agenttape.model import (
    ASSETS_THRESHOLD,
    CASSETTES_FOLDER,
    DEFAULT_FORMAT,
    FORMATS,
    FREEZE_FEATURES,
    KNOWN_TELEMETRY,
    MATCHERS,
    SECRET_PLACEHOLDER,
    Mode,
    unknown_name,
)
from pytest_agenttape.settings.ages import parse_age, parse_on_stale
from pytest_agenttape.settings.config_file import nearest_table, place, short
from pytest_agenttape.settings.words import of_vcrpy

_Owner = TypeVar("_Owner", bound="Config | RedactConfig")
_Parser = Callable[[object], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactConfig:
    """What redaction does beyond its built-in rules: the `[redact]` table.

    Attributes:
        denylist: Additional names of headers, query parameters and body keys whose values are secrets.
        regexes: Additional patterns of secrets.
        allow: Patterns of values that are no secrets.
        redact_emails: Whether an e-mail address counts as a secret.
        placeholder: What replaces a secret.
        enabled: False switches redaction off.
    """

    denylist: tuple[str, ...] = ()
    regexes: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    redact_emails: bool = False
    placeholder: str = SECRET_PLACEHOLDER
    enabled: bool = True

    def __post_init__(self) -> None:
        _parse_fields(self, _REDACT_PARSERS, "redact.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a run; checked on creation, so every value can be trusted.

    Attributes:
        cassette_dir: The folder of the cassettes; if relative, those of tests are in it next to each test.
        default_mode: The mode if nothing else sets one.
        default_matchers: The fallback chain if nothing else sets one.
        before_record_request: Functions that see each request before it is compared and recorded, and may change or
            drop it; the path of one is ``module:function``.
        before_record_response: Functions that see each answer of a live call before it is recorded, as above.
        repeats: Kinds, boundary names and hosts whose last recording is served again to further equal requests.
        format: ``yaml`` or ``json``, for new cassettes.
        freeze: What is pinned while a session is open.
        env_snapshot: Environment variables whose values are stored with the recording, to warn about drift.
        ignore_volatile_fields: Names of headers and query parameters, and paths of body fields, that matching ignores.
        tools: Import paths of functions that are tools although nothing marks them; the last part may be a pattern.
        retrieval: Likewise, of retrievals.
        memory_read: Likewise, of what reads a memory.
        memory_write: Likewise, of what writes one.
        match_headers: Names of further request headers that matching compares.
        match_base_url: Whether matching compares scheme, host and port of LLM calls.
        drop_headers: Names of response headers that are not recorded; ``*`` stands for any part of one.
        assets_threshold_bytes: Bodies larger than this are stored next to the cassette.
        model_override: The model that live LLM calls are sent to instead of the requested one.
        allow_hosts: Hosts that may be reached during replay.
        ignore_hosts: Hosts that are never recorded: calls to them are real in every mode.
        telemetry_hosts: Hosts whose requests are answered, neither sent nor recorded; ``known`` is a built-in list.
        allow_programs: Programs that may be started outside of a recorded tool.
        max_age: The age in days from which a recording counts as stale; None for any.
        on_stale: What a stale recording leads to: ``warn`` or ``fail``.
        strict: Whether an unplayed recording is an error.
        block_network: Whether replay stops connections that leave the machine.
        redact: The `[redact]` table.
        source: The file that the settings were read from.
    """

    cassette_dir: Path = Path(CASSETTES_FOLDER)
    default_mode: Mode = Mode.NONE
    default_matchers: tuple[object, ...] = ("ignore_volatile",)
    before_record_request: tuple[object, ...] = ()
    before_record_response: tuple[object, ...] = ()
    repeats: tuple[str, ...] = ()
    format: str = DEFAULT_FORMAT
    freeze: tuple[str, ...] = FREEZE_FEATURES
    env_snapshot: tuple[str, ...] = ()
    ignore_volatile_fields: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    retrieval: tuple[str, ...] = ()
    memory_read: tuple[str, ...] = ()
    memory_write: tuple[str, ...] = ()
    match_headers: tuple[str, ...] = ()
    match_base_url: bool = True
    drop_headers: tuple[str, ...] = ()
    assets_threshold_bytes: int = ASSETS_THRESHOLD
    model_override: str | None = None
    allow_hosts: tuple[str, ...] = ()
    ignore_hosts: tuple[str, ...] = ()
    telemetry_hosts: tuple[str, ...] = (KNOWN_TELEMETRY,)
    allow_programs: tuple[str, ...] = ()
    max_age: float | None = None
    on_stale: str = "warn"
    strict: bool = False
    block_network: bool = True
    redact: RedactConfig = field(default_factory=RedactConfig)
    source: Path | None = None

    def __post_init__(self) -> None:
        _parse_fields(self, _PARSERS)

    @classmethod
    def load(cls, start: Path | None = None) -> Self:
        """Return the settings of the nearest configuration file in *start* (default: working directory) or above it.

        Raises:
            ConfigError: The file cannot be read, or a setting in it is invalid.
        """
        table, source = nearest_table(os.path.abspath(start or Path.cwd()))
        return cls() if table is None else cls.from_mapping(table, source=source)

    @classmethod
    def from_mapping(cls, raw: Mapping[str, object], *, source: Path | None = None, base: Path | None = None) -> Self:
        """Return the settings in *raw*; a relative `cassette_dir` starts at *base*, by default the folder of *source*.

        Raises:
            ConfigError: A key, type or value is invalid; the message names *source*.
        """
        if not isinstance(raw, Mapping):
            raise ConfigError(f"{place(source)}settings must be a mapping, found {short(raw)}")
        base = base or (source.parent if source else None)
        try:
            _check_keys(raw, _PARSERS)
            config = cls(**raw)  # type: ignore[arg-type]  # checked field by field in __post_init__
        except ConfigError as error:
            raise ConfigError(f"{place(source)}{error}") from None
        if base is not None and "cassette_dir" in raw:
            config = replace(config, cassette_dir=base / config.cassette_dir)
        return replace(config, source=source)

    @property
    def taken(self) -> dict[str, tuple[str, ...]]:
        """The functions that are boundaries although nothing marks them, by their keys."""
        keys = ("tools", "retrieval", "memory_read", "memory_write")
        return {key: getattr(self, key) for key in keys if getattr(self, key)}

    def with_overrides(self, **options: object) -> Self:
        """Return the settings with *options* replaced; None means not set.

        A `redact` mapping changes only the keys it contains. A single matcher or freeze feature counts as a list.

        Raises:
            ConfigError: An option is unknown or its value is invalid.
        """
        said = {key: _in_list(key, value) for key, value in options.items() if value is not None}
        if not said:
            return self
        _check_keys(said, _PARSERS)
        redact = said.get("redact")
        if isinstance(redact, Mapping):
            _check_keys(redact, _REDACT_PARSERS, "redact.")
            said["redact"] = replace(self.redact, **redact)
        return replace(self, **said)  # type: ignore[arg-type]  # checked field by field in __post_init__


def _check_keys(raw: Mapping[str, object], valid: Mapping[str, object], prefix: str = "") -> None:
    for key, value in raw.items():
        if key not in valid:
            problem = unknown_name("setting", key, valid, of_vcrpy(key))
            raise ConfigError(f"{prefix}{key} = {short(value)}: {problem}")


def _parse_fields(owner: _Owner, parsers: Mapping[str, _Parser], prefix: str = "") -> None:
    for each in fields(owner):
        parse = parsers.get(each.name)
        value = getattr(owner, each.name)
        if parse is None or value is each.default:
            continue
        try:
            object.__setattr__(owner, each.name, parse(value))
        except _NestedError as error:
            raise ConfigError(str(error)) from None
        except ConfigError as error:
            raise ConfigError(f"{prefix}{each.name} = {short(value)}: {error}") from None


class _NestedError(ConfigError):
    """An error whose message already names its key."""


def _in_list(key: str, value: object) -> object:
    one = key in ("default_matchers", "freeze") and (isinstance(value, str) or not isinstance(value, Iterable))
    return (value,) if one else value


def _path(value: object) -> Path:
    if not isinstance(value, str | os.PathLike) or value == "":
        raise ConfigError("must be the path of a directory")
    return Path(value)


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError("must be a non-empty string")
    return value


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ConfigError("must be true or false")
    return value


def _size(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigError("must be a whole number of bytes, 0 or more")
    return value


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        raise ConfigError(f"must be a list of strings, such as [{short(value)}]")
    if isinstance(value, bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigError("must be a list of strings")
    words = tuple(value)
    for word in words:
        if not isinstance(word, str) or not word:
            raise ConfigError(f"must be a list of non-empty strings, found {short(word)}")
    return words


def _format(value: object) -> str:
    if value not in FORMATS:
        raise unknown_name("format", value, FORMATS)
    return str(value)


def _features(value: object) -> tuple[str, ...]:
    words = _words(value)
    for word in words:
        if word not in FREEZE_FEATURES:
            raise unknown_name("freeze feature", word, FREEZE_FEATURES)
    return words


def _chain(value: object) -> tuple[object, ...]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigError("must be a list of matchers")
    chain = tuple(value)
    if not chain:
        raise ConfigError(f"is empty; valid: {', '.join(MATCHERS)}")
    for each in chain:
        if isinstance(each, str):
            if each not in MATCHERS:
                raise unknown_name("matcher", each, MATCHERS)
        elif each is None or isinstance(each, int | float | bytes | list | tuple | Mapping):
            raise ConfigError(f"{short(each)} is not a matcher; valid: {', '.join(MATCHERS)}, or a callable")
    return chain


def _hooks(value: object) -> tuple[object, ...]:
    listed = tuple(value) if isinstance(value, list | tuple) else (value,)
    for each in listed:
        if not callable(each) and not (isinstance(each, str) and re.fullmatch(r"[\w.]+:[\w.]+", each)):
            raise ConfigError(f"{short(each)} is not a function, nor the path of one, such as 'shop.recording:scrub'")
    return listed


def _patterns(value: object) -> tuple[str, ...]:
    patterns = _words(value)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{pattern!r} is not a regular expression: {error}") from None
    return patterns


def _redact(value: object) -> RedactConfig:
    if isinstance(value, RedactConfig):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError("must be a table")
    try:
        _check_keys(value, _REDACT_PARSERS, "redact.")
        return RedactConfig(**value)
    except ConfigError as error:
        raise _NestedError(str(error)) from None


_REDACT_PARSERS: Mapping[str, _Parser] = {
    "denylist": _words,
    "regexes": _patterns,
    "allow": _patterns,
    "redact_emails": _switch,
    "placeholder": _text,
    "enabled": _switch,
}

_PARSERS: Mapping[str, _Parser] = {
    "cassette_dir": _path,
    "default_mode": Mode.parse,
    "default_matchers": _chain,
    "before_record_request": _hooks,
    "before_record_response": _hooks,
    "repeats": _words,
    "format": _format,
    "freeze": _features,
    "env_snapshot": _words,
    "ignore_volatile_fields": _words,
    "tools": _words,
    "retrieval": _words,
    "memory_read": _words,
    "memory_write": _words,
    "match_headers": _words,
    "max_age": lambda value: None if value is None else parse_age(value),
    "on_stale": parse_on_stale,
    "match_base_url": _switch,
    "drop_headers": _words,
    "assets_threshold_bytes": _size,
    "model_override": lambda value: None if value is None else _text(value),
    "allow_hosts": lambda value: checked_hosts(_words(value)),
    "ignore_hosts": lambda value: checked_hosts(_words(value)),
    "telemetry_hosts": lambda value: checked_hosts(_words(value), KNOWN_TELEMETRY),
    "allow_programs": _words,
    "strict": _switch,
    "block_network": _switch,
    "redact": _redact,
}
