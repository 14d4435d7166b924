"""Which source wins: call, marker, fixture, ini keys or configuration file; and which mode results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.policy import replays_only
from pytest_agenttape.model import Mode
from pytest_agenttape.settings.flags import Flags
from pytest_agenttape.settings.words import INI_KEYS


def resolve(*layers: Mapping[str, object] | None) -> dict[str, object]:
    """Return for each key the value of the strongest layer that sets it; None means not set.

    This is the only place that implements precedence. The caller passes the layers strongest first: call, marker,
    `agenttape_config` fixture, ini. The result overrides a `Config`, which holds the file and the defaults.
    Mappings, such as `redact`, are resolved key by key.
    """
    said: dict[str, object] = {}
    for layer in layers:
        for key, value in (layer or {}).items():
            stronger = said.get(key)
            if stronger is None:
                said[key] = value
            elif isinstance(stronger, Mapping) and isinstance(value, Mapping):
                said[key] = resolve(stronger, value)
    return {key: value for key, value in said.items() if value is not None}


def ini_layer(read: Callable[[str], object], base: Path) -> dict[str, object]:
    """Return the values of the `agenttape_*` ini keys; *read* returns one, and relative paths start at *base*.

    Raises:
        ConfigError: A value that must be a number is not one.
    """
    layer: dict[str, object] = {}
    for name in INI_KEYS:
        value = read(f"agenttape_{name}")
        if value is None or value == "":
            continue
        layer[name] = value
    if "cassette_dir" in layer:
        layer["cassette_dir"] = base / str(layer["cassette_dir"])
    if "assets_threshold_bytes" in layer:
        layer["assets_threshold_bytes"] = _ini_number("assets_threshold_bytes", str(layer["assets_threshold_bytes"]))
    return layer


def effective_mode(
    flags: Flags,
    *,
    marker_mode: str | None = None,
    config_mode: str | None = None,
    ci: bool = False,
    file_exists: bool = False,
) -> Mode:
    """Return the mode of a test, considering every source that can set one.

    In CI only our own flags record: the snapshot flags are ignored, and a marker or configuration that would record
    is an error. ``once`` with an existing file only replays, so it is allowed.

    Raises:
        ConfigError: A mode is unknown, or would record in CI.
    """
    if flags.mode is not None:
        return _named_mode(flags.mode, "--agenttape-mode")
    if flags.record:
        return Mode.ALL
    if flags.snapshot_update and not ci:
        return Mode.REFRESH
    if flags.new_snapshots_only and not ci:
        return Mode.ONCE
    if marker_mode is not None:
        return _allowed(_named_mode(marker_mode, "the marker's mode"), "the marker's mode", ci, file_exists)
    if config_mode is not None:
        return _allowed(_named_mode(config_mode, "default_mode"), "default_mode", ci, file_exists)
    return Mode.NONE


def block_mode(named: Mode | None, default: Mode, flags: Flags | None, *, ci: bool, file_exists: bool) -> Mode:
    """Return the mode of a block that has *named* one or not; *flags* are None outside pytest.

    A run's flags set the mode of a block that names none; what may be recorded in CI holds for both.

    Raises:
        ConfigError: The mode would record in CI.
    """
    if flags is None:
        return named or default
    if named is None:
        return effective_mode(flags, config_mode=default, ci=ci, file_exists=file_exists)
    return _allowed(named, "the block's mode", ci and not flags.ask_to_record, file_exists)


def _named_mode(value: str, where: str) -> Mode:
    try:
        return Mode.parse(value)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _allowed(mode: Mode, where: str, ci: bool, file_exists: bool) -> Mode:
    if not ci:
        return mode
    if replays_only(mode, has_cassette=file_exists):
        return Mode.NONE
    raise ConfigError(
        f"{where} = {str(mode)!r} would record, but CI is set: in CI nothing is recorded unless a flag on the command "
        f"line asks for it. Record on your machine and commit the cassette, or run pytest with --agenttape-mode={mode}"
    )


def _ini_number(name: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise ConfigError(f"agenttape_{name} = {value!r}: must be a whole number") from None
