"""Cassettes on disk: read with every doubt named, written whole or not at all, kept aside while pending."""

from __future__ import annotations

import hashlib
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import assets, atomic, imported, paths
from pytest_agenttape.errors import CassetteCorruptError, CassetteNotFoundError, RecordingRefusedError
from pytest_agenttape.model import JSON, Cassette, Interaction

ASSETS_THRESHOLD = 65536
PENDING_DAYS = 14

_Where: TypeAlias = tuple[()] | tuple["_Where", str]  # a path, innermost part first to reach
Scan: TypeAlias = Callable[
    [bytes], Sequence[object]
]  # describes, without the value, each secret that it finds; may have a `line`


def read(path: Path) -> tuple[Cassette, tuple[int, ...]]:
    """Return the cassette at *path* and the line on which each of its interactions starts.

    A cassette of another tool is translated; saving writes ours.

    Raises:
        CassetteNotFoundError: There is no such file.
        SchemaVersionError: It was written for another schema version.
        CassetteCorruptError: It cannot be read, is no cassette, or an asset is missing or altered.
    """
    place = atomic.real(path)
    content = _bytes_of(path, place)
    # AgentTape writes YAML by default, also into a file that is named .json.
    format_ = "yaml" if content.startswith(b"version:") else paths.format_of(place)
    document = serializer.load(content, format=format_, path=path, tags=True)
    translated = _translated(document, place, path)
    if translated is not None:
        return translated, document.lines
    root = document.root
    try:
        if isinstance(root, dict) and isinstance(root.get("interactions"), list):
            inlined = _inlined(root["interactions"], paths.assets_dir(place), document.lines, path)
            root = {**root, "interactions": inlined}
        return Cassette.from_dict(root), tuple(document.lines)
    except CassetteCorruptError as error:
        line = error.line or _line_of_offender(root, document.lines)
        raise type(error)(error.problem, path=path, line=line) from None


def save(
    cassette: Cassette,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002  # the word of every other entry point
    assets_threshold: int | None = ASSETS_THRESHOLD,
    scan: Scan | None = None,
) -> bool:
    """Write *cassette* to *path* whole or not at all; return whether the file changed.

    What is written has been read back and found equal. A file that differs only in when it was recorded stays.
    An extension of a cassette decides the format; *format* counts for any other path.

    Raises:
        RecordingRefusedError: It does not read back, holds a secret, or the disk refuses; the old file is intact.
    """
    place = atomic.real(path)
    encoded = _encode(cassette, place, format, assets_threshold)
    _refuse_secrets(encoded, path, scan)
    try:
        old = _old(place)
        if old is not None and _is_unchanged(old, encoded, place):
            return False
        _write(encoded, place, old)
    except OSError as error:
        reason = error.strerror or str(error)
        where = f" ({error.filename})" if error.filename and str(error.filename) != str(path) else ""
        raise RecordingRefusedError(
            f"the recording cannot be written to {path}: {reason}{where}; what was there is untouched"
        ) from error
    return True


def verify(
    cassette: Cassette,
    path: Path,
    *,
    format: str | None = None,  # noqa: A002  # the word of every other entry point
    scan: Scan | None = None,
) -> None:
    """Make sure that `save` will not refuse *cassette* for what is in it; nothing is written.

    Raises:
        RecordingRefusedError: It does not read back, or holds a secret.
    """
    _refuse_secrets(_encode(cassette, atomic.real(path), format, None), path, scan)


def remove(path: Path) -> None:
    """Remove the cassette at *path* and its assets; what is gone already is no error."""
    path.unlink(missing_ok=True)
    folder = paths.assets_dir(path)
    if not _siblings(path):
        for each in _assets_in(folder):
            each.unlink(missing_ok=True)
        _remove_empty(folder)


@dataclass(frozen=True, slots=True)
class PendingRecording:
    """A recording that was not kept, for a target that has not changed since."""

    path: Path
    target: Path
    nodeid: str
    base: str
    cassette: Cassette

    def is_stale(self) -> bool:
        """Whether the target has changed since, so that accepting would undo that."""
        return _digest_of(self.target) != self.base


class Pending:
    """Recordings of failed and refused runs, kept aside until they are accepted or stale.

    Args:
        root: The directory that holds them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, cassette: Cassette, target: Path, nodeid: str, *, scan: Scan | None = None) -> Path:
        """Keep *cassette* for *target* in place of what was kept before; return where.

        Raises:
            RecordingRefusedError: It cannot be written, or holds a secret.
        """
        place = self._place(target)
        about = {
            "target": _printable(os.path.abspath(target)),
            "nodeid": _printable(nodeid),
            "base": _digest_of(target),
        }
        noted = replace(cassette, meta={**cassette.meta, "pending": about})
        save(noted, place, assets_threshold=None, scan=scan)
        os.utime(place)  # kept again is kept anew, also when nothing changed
        return place

    def find(self, target: Path) -> PendingRecording | None:
        """Return what is kept for *target*, or None when there is nothing or the target has changed since."""
        found = _kept(self._place(target))
        return None if found is None or found.is_stale() else found

    def accept(
        self,
        target: Path,
        *,
        format: str | None = None,  # noqa: A002  # the word of every other entry point
        assets_threshold: int | None = ASSETS_THRESHOLD,
        scan: Scan | None = None,
    ) -> bool:
        """Make what is kept for *target* its cassette; return whether there was anything to accept.

        Raises:
            RecordingRefusedError: It cannot be written; it stays pending.
        """
        found = self.find(target)
        if found is None:
            return False
        save(found.cassette, target, format=format, assets_threshold=assets_threshold, scan=scan)
        found.path.unlink(missing_ok=True)
        return True

    def discard(self, target: Path) -> None:
        """Forget what is kept for *target*."""
        self._place(target).unlink(missing_ok=True)

    def entries(self) -> list[PendingRecording]:
        """Return everything that is kept, stale or not, in the order of the targets."""
        kept = filter(None, map(_kept, sorted(self.root.glob("*.yaml"))))
        return sorted(kept, key=lambda each: str(each.target))

    def prune(self, max_age_days: float = PENDING_DAYS, *, now: float | None = None) -> int:
        """Remove what is stale, unreadable or older than *max_age_days*; return how many."""
        oldest = (time.time() if now is None else now) - max_age_days * 86400
        removed = 0
        for path in self.root.glob("*.yaml"):
            with suppress(FileNotFoundError):  # another worker prunes too
                found = _kept(path)
                if found is None or found.is_stale() or path.stat().st_mtime < oldest:
                    path.unlink()
                    removed += 1
        return removed

    def _place(self, target: Path) -> Path:
        digest = hashlib.sha256(os.path.abspath(target).encode("utf-8", "surrogatepass")).hexdigest()
        return self.root / f"{digest[:16]}.yaml"


@dataclass(frozen=True, slots=True)
class _Encoded:
    """What a save is about to write, with the line on which each interaction starts."""

    root: dict[str, JSON]
    content: bytes
    lines: Sequence[int]
    assets: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class _Old:
    """What a save finds in place; the root is None where it cannot be read."""

    content: bytes
    root: JSON


# -- reading


def _bytes_of(path: Path, place: Path) -> bytes:
    try:
        content = atomic.content_of(place)
    except (FileNotFoundError, NotADirectoryError):
        raise CassetteNotFoundError(
            f"there is no cassette at {path}; record it with: pytest --agenttape-record", path=path
        ) from None
    except IsADirectoryError:
        raise CassetteCorruptError("is a directory, not a cassette", path=path) from None
    except OSError as error:
        raise CassetteCorruptError(f"cannot be read: {error.strerror or error}", path=path) from None
    if not content.strip():
        raise CassetteCorruptError(
            "is empty; restore it from version control, or record again with --agenttape-record", path=path
        )
    return content


def _translated(document: serializer.Document, place: Path, path: Path) -> Cassette | None:
    """Return the cassette in a document that another tool wrote; None when it is ours."""
    folder = paths.assets_dir(place)
    try:
        root = imported.translate(document.root, lambda name: _asset(folder / name))
        if root is not None:
            return Cassette.from_dict(root)
    except CassetteCorruptError as error:
        raise type(error)(error.problem, path=path, line=error.line) from None
    if document.tagged is not None:
        raise CassetteCorruptError("tags are not read; remove it", path=path, line=document.tagged)
    return None


def _inlined(listed: Iterable[JSON], folder: Path, lines: Sequence[int], path: Path) -> list[JSON]:
    inlined = []
    for position, interaction in enumerate(listed):
        try:
            inlined.append(assets.move_in(interaction, lambda name: _asset(folder / name)))
        except CassetteCorruptError as error:
            raise CassetteCorruptError(error.problem, path=path, line=_line(lines, position)) from None
    return inlined


def _asset(path: Path) -> bytes:
    try:
        return atomic.content_of(path)
    except OSError as error:
        raise CassetteCorruptError(
            f"asset {path.parent.name}/{path.name} cannot be read ({error.strerror or error}); "
            "restore it from version control or record again with --agenttape-record"
        ) from None


def _line_of_offender(root: JSON, lines: Sequence[int]) -> int | None:
    """Return the line of the first interaction that is none."""
    listed = root.get("interactions") if isinstance(root, dict) else None
    for position, interaction in enumerate(listed if isinstance(listed, list) else ()):
        try:
            Interaction.from_dict(interaction)
        except CassetteCorruptError:
            return _line(lines, position)
    return None


def _line(lines: Sequence[int], position: int) -> int | None:
    return (lines[position] or None) if position < len(lines) else None


# -- writing


def _encode(cassette: Cassette, path: Path, format: str | None, threshold: int | None) -> _Encoded:  # noqa: A002
    """Return the file form of *cassette* after reading it back."""
    form = paths.FORMAT_OF_EXTENSION.get(path.suffix.lower()) or format or "yaml"
    whole = cassette.to_dict()
    root, moved = (whole, {}) if threshold is None else assets.move_out(whole, threshold)
    try:
        content = serializer.dump(root, form).encode("utf-8")
        document = serializer.load(content, format=form, path=path)
        back = document.root
        listed = [assets.move_in(each, moved.__getitem__) for each in back["interactions"]]
        again = Cassette.from_dict({**back, "interactions": listed}).to_dict()
    except CassetteCorruptError as error:
        raise RecordingRefusedError(f"the recording for {path} does not read back: {error.problem}") from error
    except TypeError as error:
        raise RecordingRefusedError(f"the recording for {path} cannot be written: {error}") from error
    different = _first_difference(whole, again)
    if different:
        raise RecordingRefusedError(f"the recording for {path} does not read back as it was: {different}")
    return _Encoded(root, content, document.lines, moved)


def _first_difference(wrote: JSON, got: JSON) -> str | None:
    """Return where two values are not the same in type, content and order of keys; values are not shown."""
    waiting: list[tuple[_Where, JSON, JSON]] = [((), wrote, got)]
    while waiting:
        where, a, b = waiting.pop()
        problem = _own_difference(a, b)
        if problem:
            return f"{_path(where)} {problem}"
        if isinstance(a, dict):
            waiting += [((where, f".{key}"), a[key], b[key]) for key in a]
        elif isinstance(a, list):
            waiting += [((where, f"[{i}]"), *pair) for i, pair in enumerate(zip(a, b, strict=True))]
    return None


def _own_difference(a: JSON, b: JSON) -> str | None:
    """Return how two values differ, their parts left aside."""
    if type(a) is not type(b):
        return f"is a {type(a).__name__} and comes back as a {type(b).__name__}"
    if isinstance(a, dict):
        return None if list(a) == list(b) else "comes back with other keys"
    if isinstance(a, list):
        return None if len(a) == len(b) else f"comes back with {len(b)} items instead of {len(a)}"
    if isinstance(a, float):  # its text tells -0.0 from 0.0, and finds nan equal to itself
        return None if repr(a) == repr(b) else "comes back as another number"
    return None if a == b else "comes back changed"


def _path(where: _Where) -> str:
    parts: list[str] = []
    while where:
        where, part = where
        parts.append(part)
    return "".join(reversed(parts)).lstrip(".") or "the root"


def _refuse_secrets(encoded: _Encoded, path: Path, scan: Scan | None) -> None:
    if scan is None:
        return
    for name, content in ((path.name, encoded.content), *encoded.assets.items()):
        findings = scan(content)
        if findings:
            lines = encoded.lines if content is encoded.content else ()
            listed = "".join(f"\n  {_located(each, encoded.root, lines)}" for each in findings)
            raise RecordingRefusedError(
                f"the recording for {path} still holds what looks like a secret, in {name}:{listed}\n"
                "  name its field in [redact] denylist, or its pattern in [redact] regexes"
            )


def _located(finding: object, root: dict[str, JSON], lines: Sequence[int]) -> str:
    """Return *finding* with the interaction that its line is in: the file with that line is never written."""
    position = bisect_right(lines, getattr(finding, "line", 0)) - 1
    if position < 0:
        return str(finding)
    found = root["interactions"][position]
    return f"interaction #{found['index']} ({found.get('boundary') or found['kind']}), {finding}"


def _old(path: Path) -> _Old | None:
    try:
        content = atomic.content_of(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return _Old(content, serializer.load(content, format=paths.format_of(path), path=path).root)
    except CassetteCorruptError:
        return _Old(content, None)


def _is_unchanged(old: _Old, new: _Encoded, path: Path) -> bool:
    if old.content != new.content and _first_difference(_lasting(old.root), _lasting(new.root)):
        return False
    folder = paths.assets_dir(path)
    return all(atomic.holds(folder / name, content) for name, content in new.assets.items())


def _lasting(root: JSON) -> JSON:
    """Return *root* without what differs in every run."""
    if not isinstance(root, dict):
        return root
    kept = {key: value for key, value in root.items() if key not in ("created_at", "run_id")}
    if isinstance(kept.get("meta"), dict):
        kept["meta"] = {key: value for key, value in kept["meta"].items() if key != "freeze"}
    if isinstance(kept.get("interactions"), list):
        kept["interactions"] = [_without_times(each) for each in kept["interactions"]]
    return kept


def _without_times(interaction: JSON) -> JSON:
    if not isinstance(interaction, dict):
        return interaction
    kept = {key: value for key, value in interaction.items() if key != "latency_ms"}
    if isinstance(kept.get("metadata"), dict):
        kept["metadata"] = {key: value for key, value in kept["metadata"].items() if key != "start_ms"}
    return kept


def _write(encoded: _Encoded, path: Path, old: _Old | None) -> None:
    """Write the assets, then the cassette, then remove the assets that nothing refers to any more."""
    folder = paths.assets_dir(path)
    parent = folder if encoded.assets else path.parent
    new_folders = atomic.missing_folders(parent)
    new_assets: list[Path] = []
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for name, content in encoded.assets.items():
            asset = folder / name
            if not atomic.holds(asset, content):
                if not asset.exists():
                    new_assets.append(asset)
                atomic.write_whole(asset, content)
        atomic.write_whole(path, encoded.content)
    except BaseException:
        if not atomic.holds(path, encoded.content):  # else the interrupt came when all was done
            _undo(new_assets, new_folders)
        raise
    _drop_unreferenced(path, folder, encoded, old)


def _undo(new_assets: Iterable[Path], new_folders: Iterable[Path]) -> None:
    for asset in new_assets:
        with suppress(OSError):
            asset.unlink()
    for folder in new_folders:
        _remove_empty(folder)


def _drop_unreferenced(path: Path, folder: Path, encoded: _Encoded, old: _Old | None) -> None:
    """Remove what only the old cassette referred to, and strange assets once no running save can be their owner."""
    present = {each for each in _assets_in(folder) if each.name not in encoded.assets}
    if present and not _siblings(path):
        before = assets.referenced(old.root) if old else frozenset()
        for each in present:
            if each.name in before:
                with suppress(OSError):
                    each.unlink()
        atomic.remove_old(present, path.stat().st_mtime)
    _remove_empty(folder)


def _assets_in(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        yield from [folder / name for name in os.listdir(folder) if assets.is_asset_name(name)]


def _siblings(path: Path) -> list[Path]:
    """Return the cassettes of another extension that share the folder of assets."""
    stem, own = paths.split_extension(path.name)
    others = (path.with_name(f"{stem}{each}") for each in paths.FORMAT_OF_EXTENSION if each != own)
    return [each for each in others if each.exists()]


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


# -- pending


def _kept(path: Path) -> PendingRecording | None:
    """Return the pending recording in the file at *path*, or None where there is none that can be read."""
    try:
        cassette, _ = read(path)
    except (CassetteNotFoundError, CassetteCorruptError):
        return None
    about = cassette.meta.get("pending")
    if not isinstance(about, dict) or not {"target", "nodeid", "base"} <= about.keys():
        return None
    meta = {key: value for key, value in cassette.meta.items() if key != "pending"}
    return PendingRecording(
        path=path,
        target=Path(about["target"]),
        nodeid=str(about["nodeid"]),
        base=str(about["base"]),
        cassette=replace(cassette, meta=meta),
    )


def _digest_of(target: Path) -> str:
    """Return the digest of the bytes of *target*, or an empty word where there are none."""
    try:
        return hashlib.sha256(atomic.content_of(target)).hexdigest()
    except OSError:
        return ""


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
