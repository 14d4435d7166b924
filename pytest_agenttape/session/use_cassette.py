"""The public ways to open a cassette, `use_cassette`, `replay` and `record`, and to find the one that is open."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from pytest_agenttape import ownership
from pytest_agenttape.cassettes import paths
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.matchers import Matchers
from pytest_agenttape.model import FormatName, FreezeFeature, Mode, ModeName
from pytest_agenttape.redaction import RedactionRules
from pytest_agenttape.session.entering import configuration_found, in_its_run
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.faults import Fault
from pytest_agenttape.settings.options import asked_mode, parse
from pytest_agenttape.settings.selectors import Tokens


def use_cassette(
    name: str | Path,
    *,
    mode: ModeName | Mode | None = None,
    live: Tokens = None,
    frozen: Tokens = None,
    repeats: Tokens = None,
    matchers: Matchers | None = None,
    freeze: FreezeFeature | Iterable[FreezeFeature] | None = None,
    record: bool = False,
    config: Config | None = None,
    cassette_dir: str | Path | None = None,
    format: FormatName | None = None,  # noqa: A002  # the documented name
    tags: Iterable[str] | None = None,
    strict: bool | None = None,
    redact: Iterable[str] | None = None,
    model: str | None = None,
    allow_errors: bool | int | str | Iterable[int | str] = False,
    allow_hosts: Iterable[str] | None = None,
    ignore_hosts: Iterable[str] | None = None,
    allow_programs: Iterable[str] | None = None,
    match_headers: Iterable[str] | None = None,
    faults: Iterable[Fault] | Fault | None = None,
) -> Session:
    """Open the cassette *name* for a block, sync or async, or decorate a function with it.

    Args:
        name: Name below *cassette_dir*; slashes are folders. With a folder and an extension (``fixtures/a.json``) it is
            a path from the working directory, unless *cassette_dir* is given. A `Path` may be absolute.
        mode: ``none``, ``once``, ``new_episodes``, ``refresh``, ``all`` or ``record``; default, in a pytest run, by its
            flags, else from the configuration.
        live: Kinds, boundary names, labels or hosts that run for real, ``"*"`` for all; all else is replayed.
        frozen: Kinds, boundary names, labels or hosts that are replayed in every mode.
        repeats: Kinds, boundary names, labels or hosts whose last recording is served again to further equal
            requests, and whose recordings need not all be played; default from the configuration.
        matchers: A matcher or a chain of fallbacks; default ``ignore_volatile``.
        freeze: Which of ``clock``, ``uuid``, ``random`` are pinned; default all, but ``random`` only
            if no session running beside this one pins it.
        record: Shorthand for ``mode="all"``.
        config: Configuration to use instead of the one found from the test's folder or, outside pytest, the working
            directory.
        cassette_dir: Folder of the cassettes; default from the configuration.
        format: ``yaml`` or ``json``; default by the name's extension, else from the configuration.
        tags: Words kept with each recorded interaction, and with the cassette.
        strict: Whether a recording that the block leaves unplayed is an error; default from the configuration.
        redact: Additional names of headers, query parameters, body keys and arguments whose values are secrets.
        model: The model that live LLM calls are sent to instead of the requested one.
        allow_errors: Failures of live calls that may be recorded even though the agent went on: True, or any of the
            statuses 400 to 599 and ``"timeout"``.
        allow_hosts: Hosts that may be reached during replay; default, as of the next three, from the configuration.
        ignore_hosts: Hosts that are never recorded: calls to them are real in every mode.
        allow_programs: Programs that may be started outside of a recorded tool.
        match_headers: Names of further request headers that matching compares.
        faults: What goes wrong in a replay, each made by `fault`; only in mode ``none``.

    Raises:
        ConfigError: An argument names something that does not exist, or *live* and *frozen* are both given.
    """
    if not isinstance(config, Config | None):
        raise ConfigError(f"config takes a Config, not {config!r}; make one with Config.from_mapping(...)")
    config = config or configuration_found()
    options = parse(
        {
            "mode": asked_mode(mode, record=record),
            "live": live,
            "frozen": frozen,
            "repeats": repeats,
            "matchers": matchers,
            "freeze": freeze,
            "format": format,
            "tags": tags,
            "strict": strict,
            "redact": redact,
            "allow_errors": allow_errors,
            "allow_hosts": allow_hosts,
            "ignore_hosts": ignore_hosts,
            "allow_programs": allow_programs,
            "match_headers": match_headers,
            "faults": faults,
        }
    )
    said = config.with_overrides(cassette_dir=cassette_dir, format=format)
    config = options.redacting(config.with_overrides(**options.settings, model_override=model))
    settings = Settings(
        path=paths.session_path(name, said.cassette_dir, said.format, is_below=cassette_dir is not None),
        mode=options.mode or config.default_mode,
        named_mode=options.mode,
        names_strict=options.strict is not None,
        config=config,
        directory=Path.cwd(),
        live=options.live,
        frozen=options.frozen,
        repeats=options.repeats,
        matchers=options.matchers,
        freeze=options.frozen_features(config),
        yields_random=options.freeze is None,
        format=options.format,
        tags=options.tags,
        title=f"the cassette block {str(name)!r}",
        allow_errors=options.allow_errors,
        faults=options.faults,
        rules=RedactionRules.of(config.redact),
    )
    return Session(in_its_run(settings)).empty()


P = ParamSpec("P")


def _with_its_options(
    _opening: Callable[Concatenate[str | Path, P], Session],
) -> Callable[[Callable[..., Session]], Callable[Concatenate[str | Path, P], Session]]:
    """Let type checkers know that a function takes what *opening* does."""
    return lambda function: function


@_with_its_options(use_cassette)
def replay(cassette: str | Path, **options: Any) -> Session:
    """Replay *cassette* offline, as a decorator or a block: `use_cassette` with ``mode="none"``, if none is given."""
    return use_cassette(cassette, **_with_mode(Mode.NONE, options))


@_with_its_options(use_cassette)
def record(cassette: str | Path, **options: Any) -> Session:
    """Record *cassette* again, as a decorator or a block: `use_cassette` with ``mode="all"``, if none is given."""
    return use_cassette(cassette, **_with_mode(Mode.ALL, options))


def active_session() -> Session | None:
    """Return the session that a call made here would belong to, or None."""
    found = ownership.peek()
    return found.owner if found is not None and isinstance(found.owner, Session) else None


def _with_mode(mode: Mode, options: dict[str, Any]) -> dict[str, Any]:
    is_said = options.get("mode") is not None or bool(options.get("record"))
    return options if is_said else {**options, "mode": mode}
