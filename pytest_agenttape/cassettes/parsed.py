"""What cassette files say, kept from run to run: a file that has not changed is not parsed again.

An entry is named by the digest of the file's bytes and of the code that reads them, so whatever changes, another entry
is looked for; it holds the plain values of that file and nothing else. It can be removed at any time, and one that is
damaged, or that somebody else wrote, counts as missing. Files of other tools have none: they may hold secrets.
"""

from __future__ import annotations

import hashlib
import importlib.util
import marshal  # plain values come back as they are, shared ones shared, in a tenth of the time that JSON takes
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

from pytest_agenttape import clocks, serializer
from pytest_agenttape.cassettes import imported
from pytest_agenttape.serializer import Document

_DIGEST = hashlib.sha256
_SIZE = _DIGEST().digest_size
_MOST_BYTES = 128 * 1024 * 1024  # of all entries together
_LARGEST = 16 * 1024 * 1024
_DAY = 86_400 * 10**9
_UNUSED = 14 * _DAY  # nanoseconds after which an entry is removed


class ParsedFiles:
    """The entries in one folder; several processes may use it at the same time.

    Args:
        folder: Returns where they are, when they are needed; None for nowhere.
    """

    def __init__(self, folder: Callable[[], Path | None]) -> None:
        self._folder = cache(folder)
        self._has_grown = False

    def document(self, content: bytes, *, format: str, path: Path) -> Document:  # noqa: A002  # as `serializer.load`
        """Return *content*, the bytes of the cassette at *path*, as plain values.

        Raises:
            CassetteCorruptError: The bytes are not a cassette.
        """
        place = self._place(content, format)
        known = None if place is None else _read(place)
        if known is not None:
            return known
        document = serializer.load(content, format=format, path=path, tags=True)
        if place is not None and document.tagged is None and not imported.is_other_tools(document.root):
            self._has_grown |= _write(place, document)
        return document

    def prune(self) -> None:
        """Remove entries that no run has used for long, and the oldest if there are too many."""
        folder = self._folder() if self._has_grown else None
        if folder is None:
            return
        self._has_grown = False
        try:
            entries = [*folder.iterdir()]
        except OSError:  # somebody has removed it
            return
        found = sorted(filter(None, map(_use_and_size, entries)), reverse=True)
        total = 0
        for used, size, place in found:
            total += size
            if found[0][0] - used > _UNUSED or total > _MOST_BYTES:  # the newest was just written
                with suppress(OSError):
                    os.unlink(place)

    def _place(self, content: bytes, form: str) -> str | None:
        folder = self._folder()
        reader = None if folder is None else _reader()
        if folder is None or reader is None:
            return None
        digest = _DIGEST(reader + form.encode())
        digest.update(content)
        return os.path.join(folder, digest.hexdigest())


_files = ParsedFiles(lambda: None)  # of the run that this process is part of; nothing is kept outside of pytest


def document(content: bytes, *, format: str, path: Path) -> Document:  # noqa: A002  # as `serializer.load`
    """Return *content*, the bytes of the cassette at *path*, as plain values.

    Raises:
        CassetteCorruptError: The bytes are not a cassette.
    """
    return _files.document(content, format=format, path=path)


def keep_in(folder: Callable[[], Path | None]) -> Callable[[], None]:
    """Keep what is read in *folder* until what is returned is called; a run can start another one in its process."""
    global _files
    before, _files = _files, ParsedFiles(folder)

    def end() -> None:
        global _files
        _files.prune()
        _files = before

    return end


def _read(place: str) -> Document | None:
    """Return the document in the entry at *place*; None if there is none that can be trusted."""
    try:
        with open(place, "rb", opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not _is_own(status):
                return None
            digest, packed = stream.read(_SIZE), stream.read()
        if _seal(place, packed) != digest:
            return None
        root, lines = marshal.loads(packed)
        document = Document(dict(root), tuple(lines))
    except (OSError, ValueError, EOFError, TypeError):
        return None
    if clocks.time_ns() - status.st_mtime_ns > _DAY:
        with suppress(OSError):
            os.utime(place)  # it is in use
    return document


def _without_waiting(place: str, flags: int) -> int:
    """Open what may be a pipe that nobody writes to."""
    return os.open(place, flags | getattr(os, "O_NONBLOCK", 0))  # not on Windows, where a pipe is no file


def _write(place: str, document: Document) -> bool:
    """Write an entry in one step, for nobody else to read; return whether that was possible."""
    try:
        packed = marshal.dumps((document.root, document.lines))
        if len(packed) > _LARGEST:
            return False
        temporary = f"{place}.{os.urandom(8).hex()}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(descriptor, "wb") as stream:
                stream.write(_seal(place, packed) + packed)
            os.replace(temporary, place)
        except BaseException:
            os.unlink(temporary)
            raise
    except (OSError, ValueError):  # a full or read-only disk; a value that cannot be packed
        return False
    return True


def _seal(place: str, packed: bytes) -> bytes:
    """Return what the entry at *place* begins with: it says what the entry is of, too, should it be moved."""
    digest = _DIGEST(os.path.basename(place).encode())
    digest.update(packed)
    return digest.digest()


def _is_own(status: os.stat_result) -> bool:
    if not hasattr(os, "getuid"):  # Windows: who may write to the folder is the user's affair
        return True
    is_mine = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
    return is_mine and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _use_and_size(entry: Path) -> tuple[int, int, Path] | None:
    with suppress(OSError):
        status = entry.stat()
        return status.st_mtime_ns, status.st_size, entry
    return None


@cache
def _reader() -> bytes | None:
    """Return the digest of the Python and of the modules that read files; None if they cannot be known."""
    found = importlib.util.find_spec("yaml")
    try:
        own = sorted(Path(serializer.__file__).parent.glob("*.py"))
        texts = [each.read_bytes() for each in (*own, Path(found.origin or "") if found else Path())]
    except OSError:  # such as in a zip file
        return None
    return _DIGEST(b"\0".join((sys.version.encode(), *texts))).digest()
