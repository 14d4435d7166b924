"""Shows one cassette or compares two in the terminal, without running tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_agenttape.cassettes import paths
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError, ConfigError
from pytest_agenttape.model import CASSETTES_FOLDER
from pytest_agenttape.reading.diff import diff_cassettes
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

EQUAL, DIFFERENT, UNUSABLE = 0, 1, 4

Write = Callable[[str], object]


def print_diff(old: str, new: str, *, root: Path, write: Write) -> int:
    """Write how the cassette *new* differs from *old*, given as paths or bare names.

    Returns:
        0 if they are equal, 1 if they differ, 4 if one of them cannot be used.
    """
    try:
        found = [_cassette(each, root) for each in (old, new)]
        rules = key_rules(Config.load(root))
    except AgentTapeError as error:
        write(f"agenttape: {error}")
        return UNUSABLE
    diff = diff_cassettes(*found, rules=rules)
    write(diff.render())
    return EQUAL if diff.identical else DIFFERENT


def print_timeline(name: str, *, root: Path, write: Write) -> int:
    """Write the timeline of the cassette *name*, a path or a bare name; return 0, or 4 if it cannot be used."""
    try:
        cassette = _cassette(name, root)
    except AgentTapeError as error:
        write(f"agenttape: {error}")
        return UNUSABLE
    write(repr(timeline(cassette.interactions)))
    return EQUAL


def _cassette(name: str, root: Path) -> Cassette:
    return Cassette.load(_find(name, root))


def _find(name: str, root: Path) -> Path:
    """Return the file that *name* refers to: itself, or the only cassette with that name below *root*.

    Raises:
        CassetteNotFoundError: There is none.
        ConfigError: There are several.
    """
    if Path(name).exists():
        return Path(name)
    stem, extension = paths.split_extension(name)
    suffixes = [extension] if extension else paths.EXTENSIONS
    found = [path for suffix in suffixes for path in _below_cassettes(root, stem + suffix)]
    if len(found) > 1:
        raise ConfigError(f"{name!r} matches several cassettes; give a path: {', '.join(map(str, found))}")
    if not found:
        raise CassetteNotFoundError(f"there is no file {name!r} and no cassette with that name below {root}")
    return found[0]


def _below_cassettes(root: Path, name: str) -> Sequence[Path]:
    parts = Path(name).parts
    return sorted(
        path
        for path in root.rglob(parts[-1].replace("[", "[[]"))
        if path.parts[-len(parts) :] == parts and CASSETTES_FOLDER in path.parts
    )
