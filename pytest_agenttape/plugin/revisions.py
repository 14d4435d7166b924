"""The cassettes of two revisions, or of a revision and the working tree: found through git, and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from itertools import islice
from pathlib import Path, PurePath

import pytest

from pytest_agenttape.cassettes import paths
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.plugin.asked_cassettes import AskedCassettes
from pytest_agenttape.plugin.cassette_files import would_be_read
from pytest_agenttape.plugin.git import Repository
from pytest_agenttape.reading.suite_diff import SuiteDiff, diff_suites

_AT_ONCE = 200  # contents that are held in memory
_HERE = "the working tree"


@dataclass(frozen=True, slots=True)
class _Side:
    """Cassettes in a *folder*, at *files* relative to it; *label* stands before a path in messages."""

    name: str
    label: str
    folder: Path
    files: Sequence[Path]


def diff_revisions(
    config: pytest.Config, asked: AskedCassettes, revision: str, below: Sequence[Path], rules: KeyRules
) -> SuiteDiff:
    """Return what changed in all cassettes *below* some folders: since *revision*, or from A to B of ``A..B``.

    Raises:
        ConfigError: There is no such revision, or no git repository.
    """
    repository = Repository(config.rootpath)
    start, end = _ends(repository, revision)
    wanted = _Wanted(config.rootpath, below, config.getini("norecursedirs"))
    with tempfile.TemporaryDirectory(prefix="agenttape-") as scratch:
        old = _unpacked(repository, *start, wanted, Path(scratch, "old"))
        if end is None:
            new = _Side(_HERE, "", config.rootpath, _cassettes(config.rootpath, wanted.of(repository.files_here())))
        else:
            new = _unpacked(repository, *end, wanted, Path(scratch, "new"))
        equal = {each for each in new.files if each in set(old.files) and _is_equal(old, new, each)}
        sides = [dict(_read(asked, _without(side, equal), config.rootpath)) for side in (old, new)]
        changes, same = diff_suites(sides[0], sides[1], rules)
    return SuiteDiff(old.name, new.name, tuple(changes), same + len(equal))


def _ends(repository: Repository, revision: str) -> tuple[tuple[str, str], tuple[str, str] | None]:
    """Return the name and the commit that a comparison starts from, and those that it leads to, if that is a commit."""
    first, dots, last = revision.partition("...")
    if not dots:
        first, dots, last = revision.partition("..")
    if not dots:
        return (revision, repository.commit(revision)), None
    first, last = first or "HEAD", last or "HEAD"
    end = last, repository.commit(last)
    if dots == "..":
        return (first, repository.commit(first)), end
    return (f"the common ancestor of {first} and {last}", repository.common_ancestor(first, last)), end


class _Wanted:
    """Which files may be cassettes, or belong to one."""

    def __init__(self, root: Path, below: Sequence[Path], pruned: Sequence[str]) -> None:
        self._root, self._below, self._pruned = root, below, pruned
        self._is_left_out = cache(self._judge_folder)

    def of(self, files: Iterable[Path]) -> list[Path]:
        """Return those of *files* that may be."""
        return sorted(each for each in files if self._may_be_one(each) and not self._is_left_out(each.parent))

    def _may_be_one(self, path: Path) -> bool:
        if self._below and not any((self._root / path).is_relative_to(each) for each in self._below):
            return False
        if path.parent.name.endswith(paths.ASSETS_SUFFIX):
            return True
        stem, extension = paths.split_extension(path.name)
        return bool(extension) and not stem.endswith(paths.DERIVED_SUFFIX)

    def _judge_folder(self, folder: Path) -> bool:
        """Return whether *folder* is one that pytest does not collect, or in one."""
        if folder == Path():
            return False
        if any(fnmatch(folder.name, each) for each in self._pruned) or (self._root / folder / "pyvenv.cfg").is_file():
            return True
        return self._is_left_out(folder.parent)


def _unpacked(repository: Repository, name: str, commit: str, wanted: _Wanted, folder: Path) -> _Side:
    """Write what may be cassettes in a commit to *folder*."""
    ids = repository.files_of(commit)
    listed = iter(wanted.of(ids))
    while files := list(islice(listed, _AT_ONCE)):
        for path, content in zip(files, repository.contents([ids[each] for each in files]), strict=True):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return _Side(name, f"{name}:", folder, _cassettes(folder, wanted.of(ids)))


def _cassettes(folder: Path, files: Iterable[Path]) -> list[Path]:
    return [each for each in files if would_be_read(folder / each)]


def _is_equal(old: _Side, new: _Side, path: Path) -> bool:
    return (old.folder / path).read_bytes() == (new.folder / path).read_bytes()


def _without(side: _Side, equal: set[Path]) -> _Side:
    return _Side(side.name, side.label, side.folder, [each for each in side.files if each not in equal])


def _read(asked: AskedCassettes, side: _Side, root: Path) -> Iterator[tuple[PurePath, Cassette | None]]:
    for path in side.files:
        name = f"{side.label}{path.as_posix()}"
        yield path, asked.cassette(side.folder / path, name=name, place=root / path)
