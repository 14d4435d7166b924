"""The files that can hold settings: `agenttape.toml`, or a table of `pyproject.toml`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_agenttape.errors import ConfigError

OWN_FILE, SHARED_FILE = "agenttape.toml", "pyproject.toml"


def nearest_table(directory: str) -> tuple[Mapping[str, object] | None, Path | None]:
    """Return our table in the nearest file in *directory* or above it, and the file; None for both if there is none.

    Raises:
        ConfigError: As `read_table`.
    """
    while True:
        for name in (OWN_FILE, SHARED_FILE):
            path = os.path.join(directory, name)
            table = read_table(Path(path)) if os.path.exists(path) else None  # most directories have none
            if table is not None:
                return table, Path(path)
        above = os.path.dirname(directory)
        if above == directory:
            return None, None
        directory = above


def read_table(path: Path) -> Mapping[str, object] | None:
    """Return our table in the file at *path*; None if there is none.

    Raises:
        ConfigError: The file cannot be read, is not TOML, or holds something else in place of the table.
    """
    content = _read_bytes(path)
    # Most pyproject.toml files do not mention us; parsing them would be the main cost of a load.
    if content is None or (path.name == SHARED_FILE and b"agenttape" not in content):
        return None
    try:
        parsed = _parsed(content)
    except ValueError as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from None
    if path.name == OWN_FILE:
        for name, heading in (("tool", "[tool.agenttape]"), ("agenttape", "[agenttape]")):
            if isinstance(parsed.get(name), dict):
                raise ConfigError(f"{path}: settings stand here without the heading {heading}; take it out")
        return parsed
    tool = parsed.get("tool", {})
    table = tool.get("agenttape") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.agenttape = {short(table)}: must be a table")
    return table


@lru_cache(maxsize=8)  # each block reads the same files
def _parsed(content: bytes) -> Mapping[str, Any]:
    import tomllib  # most files need not be parsed

    return tomllib.loads(content.decode("utf-8-sig"))


def place(source: Path | None) -> str:
    """Return how a message begins that is about a setting in *source*."""
    if source is None:
        return ""
    return f"{source} [tool.agenttape]: " if source.name == SHARED_FILE else f"{source}: "


def short(value: object) -> str:
    """Return *value* as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if not os.path.exists(path):  # a parent directory that we may not search holds nothing for us
            return None
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
