"""Cassettes that no test claims any more: found, named, and deleted only when the user asks for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import paths, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import CASSETTES_FOLDER


def is_narrowed(config: pytest.Config) -> bool:
    """Say whether this run may not have collected every test of the folders it looked at."""
    option = config.option
    if option.collectonly or getattr(option, "lf", False) or getattr(option, "pyargs", False):
        return True
    if any(getattr(option, name, None) for name in ("ignore", "ignore_glob", "deselect")):
        return True
    if any(each.startswith("python_") for each in option.override_ini or ()):  # other files, classes or functions
        return True
    return any("::" in argument or not _folder(config, argument).is_dir() for argument in config.args)


def find(folders: Iterable[Path], claimed: Collection[Path], collected: Collection[str]) -> list[Path]:
    """Return the files below the cassette folders of *folders* that were recorded for a test and that none claims.

    *collected* holds the paths of this run's test files.
    """
    return [
        path
        for folder in sorted(set(folders))
        for path in _files(folder / CASSETTES_FOLDER)
        if not _belongs_to(path, claimed) and _was_recorded_for_a_test(path, collected)
    ]


def would_be_claimed(path: Path, test: str, collected: Collection[str]) -> bool:
    """Say whether this run would know it if *test*, which the cassette at *path* was recorded for, still existed.

    A test file that exists and was not collected this time is not judged. It is looked for beside the cassettes, for
    the node id is relative to a root directory that may have been another one.
    """
    name = test.partition("::")[0].rpartition("/")[2]
    files = [folder.parent / name for folder in path.parents if folder.name == CASSETTES_FOLDER]
    return any(str(each) in collected for each in files) or not any(each.exists() for each in files)


def delete(found: Iterable[Path]) -> None:
    """Delete cassettes with what belongs to them."""
    for path in found:
        writing.remove(path)


def _folder(config: pytest.Config, argument: str) -> Path:
    return Path(config.invocation_params.dir, argument)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        found = (path for path in folder.rglob("*") if path.suffix in paths.FORMAT_OF_EXTENSION)
        yield from sorted(path for path in found if path.is_file())


def _belongs_to(path: Path, claimed: Collection[Path]) -> bool:
    if path in claimed:
        return True
    return any(path == paths.derived_path(each) for each in claimed if each.parent == path.parent)


def _was_recorded_for_a_test(path: Path, collected: Collection[str]) -> bool:
    try:
        cassette = Cassette.load(path)
    except AgentTapeError:
        return False
    test = cassette.meta.get("test")
    return isinstance(test, str) and would_be_claimed(path, test, collected)
