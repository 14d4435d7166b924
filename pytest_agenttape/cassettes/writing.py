"""Writes cassettes to disk, whole or not at all, once their text was read back and searched for secrets."""

from __future__ import annotations

import operator
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import assets, atomic, paths
from pytest_agenttape.cassettes.comparing import first_difference
from pytest_agenttape.cassettes.contents import Contents
from pytest_agenttape.cassettes.file_form import filed, with_delivery_last
from pytest_agenttape.cassettes.numbering import with_numbers_of
from pytest_agenttape.cassettes.unchanged import is_unchanged
from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from pytest_agenttape.model import ASSETS_THRESHOLD, DEFAULT_FORMAT, JSON, Interaction
from pytest_agenttape.settings.ages import stale_days

# Describes, without its value, each secret that it finds; a description may have a `line`.
Scan: TypeAlias = Callable[[bytes], Sequence[object]]

_ADVICE = "add its field to [redact] denylist, or its pattern to [redact] regexes"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A recording that was checked and can be written: it reads back unchanged and holds no known secret.

    Attributes:
        path: Where `commit` writes it; a relative path starts from the working directory at that moment.
        place: The file at the end of a symbolic link, if *path* is one; else *path*.
        interactions: The interactions that were checked; a later recording is compared with them.
        root: The file form as it was read back, large bodies taken out.
        content: The bytes of the file.
        assets: The large bodies by the names of their files.
    """

    path: Path
    place: Path
    interactions: tuple[Interaction, ...]
    root: dict[str, JSON]
    content: bytes
    assets: Mapping[str, bytes]

    def is_of(self, recording: Contents, path: Path) -> bool:
        """Return whether *recording* for *path* is what was checked; only its run id and time may differ.

        The interactions have to be the same objects, so comparing identities is enough.
        """
        return (
            path == self.path
            and len(recording.interactions) == len(self.interactions)
            and all(map(operator.is_, recording.interactions, self.interactions))
            and not first_difference(recording.meta, self.root["meta"])
        )


def prepare(
    recording: Contents,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002  # the word of every other entry point
    assets_threshold: int | None = ASSETS_THRESHOLD,
    scan: Scan | None = None,
    advice: str = _ADVICE,
    keeps_numbers: bool = False,
) -> Prepared:
    """Check that the content of *recording* can be written to *path*; nothing is written yet.

    The extension of a cassette decides the format; *format* is used for any other path. *keeps_numbers* says that
    secrets take over the numbers of those in the file that is rewritten.

    Raises:
        RecordingRefusedError: It does not read back, or holds a secret.
    """
    place = atomic.real(path)
    old = _readable_old(place)
    whole = _whole(recording)
    if keeps_numbers and old is not None:
        whole = with_numbers_of(old.root, whole)
    form = paths.format_by_name(place.name) or format or DEFAULT_FORMAT
    root, moved = (whole, {}) if assets_threshold is None else assets.move_out(whole, assets_threshold)
    content, document = _encoded(root, place, form, old.anchors if old else {})
    _refuse_difference(whole, document.root, place, moved)
    prepared = Prepared(path, place, tuple(recording.interactions), document.root, content, moved)
    lines = document.lines
    if scan is not None:
        _refuse_secrets(prepared, lines, scan, advice)
    return prepared


def commit(prepared: Prepared, *, max_age: float | None = None, is_of_its_world: bool = False) -> bool:
    """Write the prepared recording whole or not at all; return whether the file changed.

    A file that differs only in its layout, in when it was recorded and in what was made up anew stays as it is, unless
    it was more than *max_age* days old by then, or the run *is of its world*: what it did depends on its own seed.

    Raises:
        RecordingRefusedError: The disk refuses; the old file is intact.
    """
    try:
        old = _old(prepared.place)
        is_new = old is None or is_of_its_world or _is_stale(old, prepared, max_age)
        if not is_new and old is not None and _is_unchanged(old, prepared):
            return False
        _write(prepared, old)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(prepared.path) else ""
        raise RecordingRefusedError(
            f"the recording cannot be written to {prepared.path}: {reason}{where}; existing files are untouched"
        ) from error
    return True


def save(
    recording: Contents,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002  # the word of every other entry point
    assets_threshold: int | None = ASSETS_THRESHOLD,
    scan: Scan | None = None,
    advice: str = _ADVICE,
) -> bool:
    """Prepare and commit in one step; return whether the file changed.

    Raises:
        RecordingRefusedError: It does not read back, holds a secret, or the disk refuses; the old file is intact.
    """
    return commit(prepare(recording, path, format=format, assets_threshold=assets_threshold, scan=scan, advice=advice))


def calls_before(path: Path) -> list[Interaction]:
    """Return the calls in the cassette at *path*, which will be replaced; none if they cannot be read."""
    old = _readable_old(atomic.real(path))
    try:
        return list(Contents.from_dict(old.root).interactions) if old is not None and old.root is not None else []
    except CassetteCorruptError:
        return []


def remove(path: Path) -> None:
    """Remove the cassette at *path* and its assets; it is not an error if they are gone already."""
    path.unlink(missing_ok=True)
    folder = paths.assets_dir(path)
    if not _siblings(path):
        for each in _assets_in(folder):
            each.unlink(missing_ok=True)
        _remove_empty(folder)


def move(path: Path, target: Path) -> None:
    """Move the cassette at *path*, byte by byte, and its assets."""
    target.parent.mkdir(parents=True, exist_ok=True)
    folder, new = paths.assets_dir(path), paths.assets_dir(target)
    if folder.is_dir() and not _siblings(path):
        new.mkdir(exist_ok=True)
        for each in _assets_in(folder):
            each.replace(new / each.name)
        _remove_empty(folder)
    path.replace(target)
    _remove_empty(path.parent)


def _whole(recording: Contents) -> dict[str, JSON]:
    """Return *recording* as it comes back from a file, with one object for all equal trees in it."""
    plain = recording.to_dict()
    listed = [with_delivery_last(each) for each in plain["interactions"]]
    whole: dict[str, JSON] = serializer.said_once({**plain, "interactions": listed})
    return whole


def _encoded(
    root: dict[str, JSON], place: Path, form: str, anchors: Mapping[str, JSON]
) -> tuple[bytes, serializer.Document]:
    """Return the bytes of a file, and what is read back from them."""
    root = {**root, "interactions": [filed(each) for each in root["interactions"]]}
    try:
        content = serializer.dump(root, form, anchors).encode("utf-8")
        return content, serializer.load(content, format=form, path=place)
    except CassetteCorruptError as error:
        raise RecordingRefusedError(f"the recording for {place} does not read back: {error.problem}") from error
    except TypeError as error:
        raise RecordingRefusedError(f"the recording for {place} cannot be written: {error}") from error


def _refuse_difference(whole: dict[str, JSON], back: dict[str, JSON], place: Path, moved: Mapping[str, bytes]) -> None:
    try:
        listed = [assets.move_in(each, moved.__getitem__) for each in back["interactions"]]
        again = Contents.from_dict({**back, "interactions": listed}).to_dict()
    except CassetteCorruptError as error:
        raise RecordingRefusedError(f"the recording for {place} does not read back: {error.problem}") from error
    different = first_difference(whole, again)
    if different:
        raise RecordingRefusedError(f"the recording for {place} does not read back unchanged: {different}")


def _refuse_secrets(prepared: Prepared, lines: Sequence[int], scan: Scan, advice: str) -> None:
    for name, content in ((prepared.path.name, prepared.content), *prepared.assets.items()):
        findings = scan(content)
        if findings:
            own_lines = lines if content is prepared.content else ()
            listed = "".join(f"\n  {_located(each, prepared.root, own_lines)}" for each in findings)
            raise RecordingRefusedError(
                f"the recording for {prepared.path} still contains what looks like a secret, in {name}:{listed}\n"
                f"  {advice}"
            )


def _located(finding: object, root: dict[str, JSON], lines: Sequence[int]) -> str:
    """Return *finding* with the interaction on its line, because the file with that line is never written."""
    position = bisect_right(lines, getattr(finding, "line", 0)) - 1
    if position < 0:
        return str(finding)
    found = root["interactions"][position]
    return f"interaction #{found['index']} ({found.get('boundary') or found['kind']}), {finding}"


@dataclass(frozen=True, slots=True)
class _Old:
    """The cassette that a save replaces; the root is None if it cannot be read."""

    content: bytes
    root: JSON
    anchors: Mapping[str, JSON] = field(default_factory=dict)


def _readable_old(path: Path) -> _Old | None:
    """Return the cassette that will be replaced, for the names in it; the write itself says what is wrong with it."""
    with suppress(OSError):
        return _old(path)
    return None


def _old(path: Path) -> _Old | None:
    try:
        content = atomic.content_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document = serializer.load(content, format=paths.format_of(path), path=path)
        return _Old(content, document.root, document.anchors)
    except CassetteCorruptError:
        return _Old(content, None)


def _is_stale(old: _Old, new: Prepared, max_age: float | None) -> bool:
    if max_age is None or not isinstance(old.root, dict):
        return False
    created, now = str(old.root.get("created_at")), str(new.root["created_at"])
    return created != now and stale_days(created, now, max_age) is not None


def _is_unchanged(old: _Old, new: Prepared) -> bool:
    if old.content != new.content and not is_unchanged(old.root, new.root):
        return False
    folder = paths.assets_dir(new.place)
    return all(atomic.holds(folder / name, content) for name, content in new.assets.items())


def _write(prepared: Prepared, old: _Old | None) -> None:
    """Write the assets, then the cassette, then remove the assets that nothing refers to any more."""
    path, folder = prepared.place, paths.assets_dir(prepared.place)
    parent = folder if prepared.assets else path.parent
    new_folders = atomic.missing_folders(parent)
    new_assets: list[Path] = []
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for name, content in prepared.assets.items():
            asset = folder / name
            if not atomic.holds(asset, content):
                if not asset.exists():
                    new_assets.append(asset)
                atomic.write_whole(asset, content)
        atomic.write_whole(path, prepared.content)
    except BaseException:
        if not atomic.holds(path, prepared.content):  # else the interrupt came after the write
            _undo(new_assets, new_folders)
        raise
    _drop_unreferenced(prepared, folder, old)


def _undo(new_assets: Iterable[Path], new_folders: Iterable[Path]) -> None:
    for asset in new_assets:
        with suppress(OSError):
            asset.unlink()
    for folder in new_folders:
        _remove_empty(folder)


def _drop_unreferenced(prepared: Prepared, folder: Path, old: _Old | None) -> None:
    """Remove assets that only the old cassette referred to, and unknown ones once no running save can own them."""
    present = {each for each in _assets_in(folder) if each.name not in prepared.assets}
    if present and not _siblings(prepared.place):
        before = assets.referenced(old.root) if old else frozenset()
        for each in present:
            if each.name in before:
                with suppress(OSError):
                    each.unlink()
        atomic.remove_old(present, prepared.place.stat().st_mtime)
    _remove_empty(folder)


def _assets_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from [folder / name for name in os.listdir(folder) if assets.is_asset_name(name)]


def _siblings(path: Path) -> list[Path]:
    """Return the cassettes with another extension that share the assets folder."""
    stem, own = paths.split_extension(path.name)
    others = (path.with_name(f"{stem}{each}") for each in paths.FORMAT_OF_EXTENSION if each != own)
    return [each for each in others if each.exists()]


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
