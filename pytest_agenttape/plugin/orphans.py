"""Finds cassettes that no test claims any more; they are deleted only if the user asks for it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import paths, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import CASSETTES_FOLDER


def is_narrowed(config: pytest.Config) -> bool:
    """Return whether this run may have missed tests in the folders it looked at."""
    if not sees_whole_files(config):
        return True
    if any(getattr(config.option, name, None) for name in ("ignore", "ignore_glob", "deselect")):
        return True
    return any("::" in argument or not _folder(config, argument).is_dir() for argument in config.args)


def sees_whole_files(config: pytest.Config) -> bool:
    """Return whether this run collects every test of the files that it looks at."""
    option = config.option
    if option.collectonly or getattr(option, "lf", False) or getattr(option, "pyargs", False):
        return False
    # Some ini keys change what counts as a test; a file that is named with -c may have any.
    return option.inifilename is None and not any(each.startswith("python_") for each in option.override_ini or ())


def find(homes: Mapping[Path, Path], claimed: Collection[Path], collected: Collection[str]) -> list[Path]:
    """Return the files that were recorded for a test but no test claims.

    Args:
        homes: The folders with cassettes, each with the folder of their tests.
        claimed: The cassettes that a test claims.
        collected: The paths of this run's test files.
    """
    return sorted(
        path
        for path in {each for folder in homes for each in _files(folder)}
        if not _belongs_to(path, claimed) and _was_recorded_for_a_test(path, collected, homes)
    )


def would_be_claimed(path: Path, test: str, collected: Collection[str], homes: Mapping[Path, Path]) -> bool:
    """Return whether this run would have seen *test*, for which the cassette at *path* was recorded, if it existed.

    A test file that exists but was not collected is not judged, nor is a cassette in a folder that this run does not
    know. The file is looked up where the cassettes' tests are, because the node id is relative to a root directory,
    which may have been a different one.
    """
    name = test.partition("::")[0].rpartition("/")[2]
    known = {**{each: each.parent for each in path.parents if each.name == CASSETTES_FOLDER}, **homes}
    files = [
        tests / below / name
        for folder, tests in known.items()
        if path.is_relative_to(folder)
        for below in path.relative_to(folder).parents
    ]
    return bool(files) and (any(str(each) in collected for each in files) or not any(each.exists() for each in files))


def delete(found: Iterable[Path]) -> None:
    """Delete cassettes together with the files that belong to them."""
    for path in found:
        writing.remove(path)


def _folder(config: pytest.Config, argument: str) -> Path:
    return Path(config.invocation_params.dir, argument)


def _files(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        found = (path for path in folder.rglob("*") if paths.format_by_name(path.name))
        yield from sorted(path for path in found if path.is_file())


def _belongs_to(path: Path, claimed: Collection[Path]) -> bool:
    if path in claimed:
        return True
    return any(path == paths.derived_path(each) for each in claimed if each.parent == path.parent)


def _was_recorded_for_a_test(path: Path, collected: Collection[str], homes: Mapping[Path, Path]) -> bool:
    try:
        cassette = Cassette.load(path)
    except AgentTapeError:
        return False
    test = cassette.meta.get("test")
    return isinstance(test, str) and would_be_claimed(path, test, collected, homes)
