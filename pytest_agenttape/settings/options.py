"""The options of one recording, parsed here for both the marker and `use_cassette`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import parse_matchers
from pytest_agenttape.model import FORMATS, FREEZE_FEATURES, Mode, unknown_name
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.faults import Fault, parse_faults
from pytest_agenttape.settings.selectors import parse_tokens
from pytest_agenttape.settings.words import MARKER_OPTIONS, of_vcrpy


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options given for one recording; None if not given.

    Attributes:
        also: Names of further cassettes, which are only replayed.
        shared: Whether all parameter sets of a test have one cassette.
        mode: The record mode.
        live: Tokens of calls that run for real.
        frozen: Tokens of calls that are replayed in every mode.
        repeats: Tokens of calls whose last recording is served again and again.
        matchers: A matcher or a fallback chain.
        freeze: Which of clock, uuid and random are pinned.
        format: ``yaml`` or ``json``.
        strict: Whether an unplayed recording is an error.
        redact: Additional names of headers, query parameters and body keys whose values are secrets.
        tags: Words kept with each recorded interaction.
        allow_errors: Which failures of live calls may be recorded: all, none or these.
        allow_hosts: Hosts that may be reached during replay.
        ignore_hosts: Hosts that are never recorded: calls to them are real in every mode.
        allow_programs: Programs that may be started outside of a recorded tool.
        match_headers: Names of further request headers that matching compares.
        max_age: The age in days from which the recording counts as stale.
        on_stale: What a stale recording leads to: ``warn`` or ``fail``.
        faults: What goes wrong in a replay.
    """

    also: tuple[str, ...] = ()
    shared: bool = False
    mode: Mode | None = None
    live: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    repeats: frozenset[str] | None = None
    matchers: object = None
    freeze: frozenset[str] | None = None
    format: str | None = None
    strict: bool | None = None
    redact: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    allow_errors: frozenset[object] | bool = False
    allow_hosts: tuple[str, ...] | None = None
    ignore_hosts: tuple[str, ...] | None = None
    allow_programs: tuple[str, ...] | None = None
    match_headers: tuple[str, ...] | None = None
    max_age: float | None = None
    on_stale: str | None = None
    faults: tuple[Fault, ...] = ()

    def __post_init__(self) -> None:
        if self.live and self.frozen:
            raise ConfigError("live and frozen exclude each other; give one of them")

    @property
    def settings(self) -> dict[str, object]:
        """The options that override a key of the configuration by the same name; None if not given."""
        names = ("allow_hosts", "ignore_hosts", "allow_programs", "match_headers", "strict", "max_age", "on_stale")
        return {name: getattr(self, name) for name in names}

    def redacting(self, config: Config) -> Config:
        """Return *config* with the names to redact added to its own."""
        if not self.redact:
            return config
        return config.with_overrides(redact={"denylist": [*config.redact.denylist, *self.redact]})

    def frozen_features(self, config: Config) -> frozenset[str]:
        """Return which of clock, uuid and random are pinned: by these options, else by *config*."""
        return frozenset(config.freeze) if self.freeze is None else self.freeze


def key_rules(config: Config) -> KeyRules:
    """Return what *config* says about how requests are compared.

    Raises:
        ConfigError: An ignored field is empty.
    """
    return KeyRules.of(
        config.ignore_volatile_fields,
        config.match_headers,
        base_url=config.match_base_url,
        placeholder=config.redact.placeholder,
    )


def parse(said: Mapping[str, object]) -> Options:
    """Parse the options *said*; a None counts as not given.

    Raises:
        ConfigError: An option is unknown or its value is invalid.
    """
    for name in said:
        if name not in MARKER_OPTIONS:
            raise unknown_name("marker option", name, MARKER_OPTIONS, of_vcrpy(name))
    values = {name: parse_value(said[name]) for name, parse_value in _PARSERS.items() if said.get(name) is not None}
    return Options(**values)  # type: ignore[arg-type]  # each parser returns the type of its field


def of_markers(markers: Iterable[tuple[Sequence[object], Mapping[str, object]]]) -> Options:
    """Return the combined options of the *markers* of one test, each as (args, kwargs), the closest first.

    For each option the closest marker that sets it wins; the names to redact add up.

    Raises:
        ConfigError: A marker names two cassettes, an option is unknown or its value is invalid.
    """
    said: dict[str, object] = {}
    redacted: list[str] = []
    for args, options in markers:
        _check_name(args, options)
        redacted += _names_to_redact(options.get("redact"))
        for name, value in options.items():
            said.setdefault(name, value)
    return parse({**said, "redact": redacted or None})


def asked_mode(mode: object, *, record: object = False) -> Mode | None:
    """Return the mode that `use_cassette` was called with; *record* is short for ``all``. None if neither is given.

    Raises:
        ConfigError: *mode* is unknown, or contradicts *record*.
    """
    if not isinstance(record, bool):
        raise ConfigError(f"record must be True or False, found {record!r}")
    named = None if mode is None else Mode.parse(mode)
    if record and named not in (None, Mode.ALL):
        raise ConfigError(f"record=True means mode 'all', but mode={str(mode)!r} was given too")
    return Mode.ALL if record else named


def _check_name(args: Sequence[object], options: Mapping[str, object]) -> None:
    if len(args) > 1:
        raise ConfigError(f"the marker takes one cassette name, found {args!r}")
    if args and args[0] is not None and "cassette" in options:
        raise ConfigError(f"the marker takes one cassette name, found {args[0]!r} and {options['cassette']!r}")


def _names_to_redact(given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = (given,) if isinstance(given, str) else given
    if isinstance(listed, Mapping) or not isinstance(listed, Iterable):
        raise ConfigError(
            f"redact takes names, such as redact=['patient_id'], found {given!r}; "
            "all other redaction settings belong in the configuration"
        )
    return Config.from_mapping({"redact": {"denylist": tuple(listed)}}).redact.denylist


def _matchers(given: object) -> object:
    kept = list(given) if isinstance(given, Iterator) else given  # a session can be opened again
    parse_matchers(kept, KeyRules.of(()))
    return kept


def _features(given: object) -> frozenset[str]:
    names = [each.strip() for each in given.split(",")] if isinstance(given, str) else given
    if not isinstance(names, Iterable):
        raise unknown_name("freeze feature", given, FREEZE_FEATURES)
    found = [name for name in names if name != ""]
    for name in found:
        if name not in FREEZE_FEATURES:
            raise unknown_name("freeze feature", name, FREEZE_FEATURES)
    return frozenset(found)


def _format(given: object) -> object:
    if given not in FORMATS:
        raise unknown_name("format", given, FORMATS)
    return given


def _tags(given: object) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(each, str) for each in listed):
        raise ConfigError(f"tags takes a list of strings, found {given!r}")
    return listed


def _allowed_errors(given: object) -> frozenset[object] | bool:
    if isinstance(given, bool):
        return given
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for each in listed:
        if not (isinstance(each, int) and 400 <= each <= 599) and each not in ("timeout", "truncated"):
            raise ConfigError(
                f"allow_errors takes True, statuses from 400 to 599, 'timeout' and 'truncated'; found {each!r}"
            )
    return frozenset(listed)


def _hosts(name: str, given: object) -> tuple[str, ...]:
    hosts: tuple[str, ...] = getattr(Config().with_overrides(**{name: given}), name)
    return hosts


def _allowed_programs(given: object) -> tuple[str, ...]:
    return Config().with_overrides(allow_programs=given).allow_programs


def _match_headers(given: object) -> tuple[str, ...]:
    return Config().with_overrides(match_headers=given).match_headers


def _also(given: object) -> tuple[str, ...]:
    listed = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else ()
    if not listed or not all(isinstance(each, str) and each for each in listed):
        raise ConfigError(f"also takes names of cassettes, such as also=['login'], found {given!r}")
    return listed


def _shared(given: object) -> bool:
    if not isinstance(given, bool):
        raise ConfigError(f"shared must be True or False, found {given!r}")
    return given


def _strict(given: object) -> bool:
    return Config().with_overrides(strict=given).strict


_PARSERS: Mapping[str, Callable[[object], object]] = {
    "also": _also,
    "shared": _shared,
    "mode": Mode.parse,
    "live": lambda given: parse_tokens(given, "live"),  # type: ignore[arg-type]  # it checks
    "frozen": lambda given: parse_tokens(given, "frozen"),  # type: ignore[arg-type]  # it checks
    "repeats": lambda given: parse_tokens(given, "repeats"),  # type: ignore[arg-type]  # it checks
    "format": _format,
    "freeze": _features,
    "matchers": _matchers,
    "allow_errors": _allowed_errors,
    "allow_hosts": partial(_hosts, "allow_hosts"),
    "ignore_hosts": partial(_hosts, "ignore_hosts"),
    "allow_programs": _allowed_programs,
    "match_headers": _match_headers,
    "strict": _strict,
    "max_age": lambda given: Config().with_overrides(max_age=given).max_age,
    "on_stale": lambda given: Config().with_overrides(on_stale=given).on_stale,
    "tags": _tags,
    "redact": _names_to_redact,
    "faults": parse_faults,
}
