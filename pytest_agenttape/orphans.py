"""Cassettes that no test claims any more: found, named, and deleted only when the user asks for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from pytest_agenttape import naming, store
from pytest_agenttape.errors import AgentTapeError

_SUFFIXES = (".yaml", ".yml", ".json")


def is_narrowed(config: pytest.Config) -> bool:
    """Say whether this run may not have collected every test of the folders it looked at."""
    option = config.option
    if option.collectonly or getattr(option, "lf", False) or getattr(option, "pyargs", False):
        return True
    if any(getattr(option, name, None) for name in ("ignore", "ignore_glob", "deselect")):
        return True
    return any("::" in argument or not _folder(config, argument).is_dir() for argument in config.args)


def find(folders: Iterable[Path], claimed: Collection[Path], collected: Collection[str], root: Path) -> list[Path]:
    """Return the files below the cassette folders of *folders* that were recorded for a test and that none claims.

    A cassette of a test file that exists and was not collected this time is not judged. *collected* holds the test
    files of this run relative to *root*.
    """
    return [
        path
        for folder in sorted(set(folders))
        for path in _files(folder / naming.CASSETTES)
        if not _belongs_to(path, claimed) and _was_recorded_for_a_test(path, collected, root)
    ]


def delete(paths: Iterable[Path]) -> None:
    """Delete cassettes with what belongs to them."""
    for path in paths:
        store.remove(path)


def _folder(config: pytest.Config, argument: str) -> Path:
    return Path(config.invocation_params.dir, argument)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())


def _belongs_to(path: Path, claimed: Collection[Path]) -> bool:
    if path in claimed:
        return True
    return any(path == naming.derived_path(each) for each in claimed if each.parent == path.parent)


def _was_recorded_for_a_test(path: Path, collected: Collection[str], root: Path) -> bool:
    """Say whether *path* is a cassette of a test that this run would have collected if it still existed."""
    try:
        cassette, _ = store.read(path)
    except AgentTapeError:
        return False
    test = cassette.meta.get("test")
    if not isinstance(test, str):
        return False
    module = test.partition("::")[0]
    return module in collected or not (root / module).exists()
