"""Reads cassettes from disk: every problem is named, with its line; other tools' files are translated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import assets, atomic, imported, parsed, paths
from pytest_agenttape.cassettes.contents import Contents
from pytest_agenttape.errors import CassetteCorruptError, CassetteNotFoundError
from pytest_agenttape.model import JSON, Interaction

# A line, or a member of an object, that says the version of a cassette.
_VERSION = re.compile(rb"^[\s{,]*[\"']?version[\"']?\s*:", re.MULTILINE)


def is_cassette(path: Path) -> bool:
    """Return whether the file at *path* is a cassette by what is in it: ours or another tool's, intact or not."""
    try:
        content = atomic.content_of(path)
    except OSError:
        return False
    if b"interactions" not in content and not (b"steps" in content and b"duration_ms" in content):
        return False
    try:
        root = serializer.load(content, format=_format_of(content, path), path=path, tags=True).root
    except CassetteCorruptError:  # such as one with the marks of a conflict
        return b"interactions" in content and _VERSION.search(content) is not None
    if isinstance(root, dict) and isinstance(root.get("interactions"), list) and "version" in root:
        return True
    try:
        return imported.translate(root) is not None
    except CassetteCorruptError:
        return False


def read(path: Path) -> tuple[Contents, tuple[int, ...]]:
    """Return the cassette at *path* and the line on which each of its interactions starts.

    A cassette of another tool is translated; saving writes our format.

    Raises:
        CassetteNotFoundError: There is no such file.
        SchemaVersionError: It was written for another schema version.
        CassetteCorruptError: It cannot be read, is not a cassette, or an asset is missing or altered.
    """
    place = atomic.real(path)
    content = _bytes_of(path, place)
    document = parsed.document(content, format=_format_of(content, place), path=path)
    translated = _translated(document, place, path)
    if translated is not None:
        return translated, document.lines
    root = document.root
    try:
        if isinstance(root, dict) and isinstance(root.get("interactions"), list):
            inlined = _inlined(root["interactions"], paths.assets_dir(place), document.lines, path)
            root = {**root, "interactions": inlined}
        return Contents.from_dict(root), tuple(document.lines)
    except CassetteCorruptError as error:
        line = error.line or _line_of_offender(root, document.lines)
        raise type(error)(error.problem, path=path, line=line) from None


def _format_of(content: bytes, place: Path) -> str:
    # AgentTape writes YAML by default, also into a file that is named .json.
    return "yaml" if content.startswith(b"version:") else paths.format_of(place)


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


def _translated(document: serializer.Document, place: Path, path: Path) -> Contents | None:
    """Return the cassette in a document that another tool wrote; None if it is ours."""
    folder = paths.assets_dir(place)
    try:
        root = imported.translate(document.root, lambda name: _asset(folder / name))
        if root is not None:
            return Contents.from_dict(root)
    except CassetteCorruptError as error:
        raise type(error)(error.problem, path=path, line=error.line) from None
    if document.tagged is not None:
        raise CassetteCorruptError("tags are not supported; remove it", path=path, line=document.tagged)
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
    """Return the line of the first item that is not an interaction."""
    listed = root.get("interactions") if isinstance(root, dict) else None
    for position, interaction in enumerate(listed if isinstance(listed, list) else ()):
        try:
            Interaction.from_dict(interaction)
        except CassetteCorruptError:
            return _line(lines, position)
    return None


def _line(lines: Sequence[int], position: int) -> int | None:
    return (lines[position] or None) if position < len(lines) else None
