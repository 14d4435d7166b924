"""The cassettes that a command line names: by a path, by a bare name, or by a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from pytest_agenttape.cassettes import atomic, paths, reading
from pytest_agenttape.errors import CassetteNotFoundError, ConfigError
from pytest_agenttape.model import CASSETTES_FOLDER

_HEAD = 4096
_OUR_BEGINNINGS = ('version: "1"', "version: '1'", '"version": "1"')


def would_be_read(path: Path) -> bool:
    """Return whether replay would read *path*, or would if it were whole, judged by its location and its content."""
    if paths.format_by_name(path.name) is None or not os.path.isfile(path):
        return False
    return _stands_among_cassettes(path) or reading.is_cassette(path)


def named_by(name: str, root: Path, pruned: Sequence[str]) -> list[Path]:
    """Return the cassettes that *name* refers to: all below a folder, else the one that `the_one` finds.

    Args:
        pruned: Patterns of the names of folders that are not searched.

    Raises:
        CassetteNotFoundError: There is none.
        ConfigError: A bare name is not unique.
    """
    if not os.path.isdir(name):
        return [the_one(name, root, pruned)]
    found = sorted(path for path in _files_below(Path(name), pruned) if _may_be_a_cassette(path))
    if not found:
        raise CassetteNotFoundError(f"there is no cassette below {name}")
    return found


def the_one(name: str, root: Path, pruned: Sequence[str]) -> Path:
    """Return the file *name*, or the only cassette with that name below *root*.

    Raises:
        CassetteNotFoundError: There is none.
        ConfigError: There are several.
    """
    if os.path.exists(name):  # unlike `Path.exists`, False where the system will not say
        return Path(name)
    stem, extension = paths.split_extension(name)
    wanted = [Path(stem + suffix).parts for suffix in ([extension] if extension else paths.EXTENSIONS)]
    found = sorted(
        path
        for path in _files_below(root, pruned)
        if any(path.parts[-len(parts) :] == parts for parts in wanted if parts) and _may_be_a_cassette(path)
    )
    if len(found) > 1:
        raise ConfigError(f"{name!r} matches several cassettes; give a path: {', '.join(map(str, found))}")
    if not found:
        raise CassetteNotFoundError(f"there is no file {name!r} and no cassette with that name below {root}")
    return found[0]


def _files_below(root: Path, pruned: Sequence[str]) -> Iterator[Path]:
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        subfolders[:] = [
            each
            for each in subfolders
            if not any(fnmatch(each, pattern) for pattern in pruned)
            and not each.endswith(paths.ASSETS_SUFFIX)
            and not os.path.isfile(here / each / "pyvenv.cfg")
        ]
        yield from (here / each for each in files)


def _may_be_a_cassette(path: Path) -> bool:
    """Return whether *path* looks like a cassette, of ours or of another tool."""
    head = _head_of(path)
    if head is None:
        return False
    return _begins_like_ours(head) or "interactions" in head or _stands_among_cassettes(path)


def _head_of(path: Path) -> str | None:
    """Return the first characters of *path*; None if a cassette has no such name, or it cannot be read."""
    if paths.format_by_name(path.name) is None or not os.path.isfile(path):
        return None
    try:
        return atomic.beginning_of(path, _HEAD).decode("utf-8", "replace")
    except OSError:
        return ""  # whoever reads it says why it cannot be read


def _begins_like_ours(head: str) -> bool:
    return head.lstrip("\ufeff{ \r\n").startswith(_OUR_BEGINNINGS)


def _stands_among_cassettes(path: Path) -> bool:
    return CASSETTES_FOLDER in path.absolute().parts and not path.parent.name.endswith(paths.ASSETS_SUFFIX)
