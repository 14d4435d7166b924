"""The settings in pytest's own configuration."""

from __future__ import annotations

from functools import partial

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.precedence import ini_layer
from pytest_agenttape.settings.words import INI_KEYS

_WANTED = {"bool": "true or false", "int": "a whole number"}  # pytest says it in the words of its parser


def with_ini(config: pytest.Config, found: Config) -> Config:
    """Return the settings *found* in a file under those of the ini keys.

    Raises:
        ConfigError: An ini key cannot be used.
    """
    try:
        ini = ini_layer(partial(_value, config), config.inipath.parent if config.inipath else config.rootpath)
        return found.with_overrides(**ini) if ini else found
    except ConfigError as error:
        key = "" if str(error).startswith("agenttape_") else "agenttape_"
        raise ConfigError(f"{config.inipath or 'the command line'}: {key}{error}") from None


def _value(config: pytest.Config, key: str) -> object:
    try:
        return config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:  # pytest does not name the key
        wanted = _WANTED.get(INI_KEYS[key.removeprefix("agenttape_")][0])
        raise ConfigError(f"{key}: {f'must be {wanted} ({error})' if wanted else error}") from None
