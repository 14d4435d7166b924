"""Writes files whole: after any crash, either the old bytes are there or the new ones."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from pytest_agenttape.cassettes import paths

try:
    import fcntl
except ImportError:  # Windows: only its age shows that a file was left by a killed save
    fcntl = None  # type: ignore[assignment]

_STALE_SECONDS = 3600
_UNTIL_LOCKED = 0.1  # seconds within which a new temporary file is certain to be locked
_NAME_IN_TEMP = 40  # a temporary name must fit even if the cassette's own barely does
_TEMP = re.compile(r"\..{1,40}\.[0-9a-f]{16}\.tmp", re.DOTALL)
_of_threads = threading.RLock()


def real(path: Path) -> Path:
    """Return the target if *path* is a symbolic link, else *path*."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def content_of(path: Path) -> bytes:
    """Return the bytes of the file at *path*; those of a compressed cassette are unpacked.

    Raises:
        OSError: It cannot be read, or is a pipe or a device, where reading would wait for a writer.
    """
    mode = path.stat().st_mode  # asked once: another thread may be replacing the file
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return _unpacked(path) if paths.is_compressed(path) else path.read_bytes()


def beginning_of(path: Path, size: int) -> bytes:
    """Return the first *size* bytes of the file at *path*; those of a compressed cassette are unpacked.

    Raises:
        OSError: It cannot be read.
    """
    if paths.is_compressed(path):
        return _unpacked(path)[:size]
    with path.open("rb") as file:
        return file.read(size)


def holds(path: Path, content: bytes) -> bool:
    """Return whether the file at *path* has exactly this content."""
    content = _packed(path, content)
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError:
        return False


def write_whole(path: Path, content: bytes) -> None:
    """Put *content* at *path* in one step, packed if that is a compressed cassette; the file's mode stays.

    Raises:
        OSError: It cannot be written; the old file is untouched and no temporary file is left.
    """
    content = _packed(path, content)
    mode = _mode(path)
    if mode is not None and not os.access(path, os.W_OK):
        raise PermissionError(13, "the file is read-only", str(path))
    # Not `random`, `uuid` or the clock: they are frozen while a session is open.
    temp = path.with_name(f".{path.name[:_NAME_IN_TEMP]}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temp, "xb") as stream:
            _lock(stream)  # until it is renamed: an unlocked file counts as abandoned
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            now = os.fstat(stream.fileno()).st_mtime
            if mode is not None:
                os.chmod(temp, mode)
            if fcntl is not None:
                os.replace(temp, path)
        if fcntl is None:
            os.replace(temp, path)  # Windows cannot rename an open file
    except BaseException:
        with suppress(OSError):
            temp.unlink()
        raise
    _sync_folder(path.parent)
    _remove_abandoned(_temporaries(path.parent), now)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Return a block that waits for those of other threads and processes with the same *folder*."""
    with _of_threads, ExitStack() as undo:
        with suppress(OSError):  # the folder is not there yet, or its file system has no locks
            if fcntl is not None:
                descriptor = os.open(folder, os.O_RDONLY)
                undo.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                undo.callback(fcntl.flock, descriptor, fcntl.LOCK_UN)  # a forked child may have a copy of it
        yield


def missing_folders(folder: Path) -> list[Path]:
    """Return *folder* and its parents as far as they do not exist, innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]


def remove_old(paths: Iterable[Path], now: float) -> None:
    """Remove those of *paths* that are older than any save can last.

    *now* is the file system's time, taken from a file that was just written: Python's clock may be frozen.
    """
    for path in paths:
        with suppress(OSError):
            if now - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def _packed(path: Path, content: bytes) -> bytes:
    if not paths.is_compressed(path):
        return content
    import gzip  # few cassettes are compressed

    return gzip.compress(content, mtime=0)  # equal content, equal bytes


def _unpacked(path: Path) -> bytes:
    import gzip
    import zlib

    try:
        return gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OSError(errno.EINVAL, f"not a whole gzip file: {error}", str(path)) from error


def _remove_abandoned(temporaries: Iterable[Path], now: float) -> None:
    """Remove the files of killed saves, but none of a running save."""
    if fcntl is None:
        remove_old(temporaries, now)
        return
    for path in temporaries:
        with suppress(OSError), open(path, "rb") as stream:
            if now - os.fstat(stream.fileno()).st_mtime > _UNTIL_LOCKED and _lock(stream):
                path.unlink()


def _lock(stream: IO[bytes]) -> bool:
    """Lock an open file against other savers; the system unlocks it when the process ends, however it ends."""
    with suppress(OSError):  # also if the file system has no locks
        if fcntl is not None:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _mode(path: Path) -> int | None:
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(21, "there is a directory in its place", str(path))
    return stat.S_IMODE(status.st_mode)


def _temporaries(folder: Path) -> list[Path]:
    """Return the files in *folder* that killed saves left behind or running saves are writing."""
    with suppress(OSError):
        return [folder / name for name in os.listdir(folder) if _TEMP.fullmatch(name)]
    return []


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut, if the system supports that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
