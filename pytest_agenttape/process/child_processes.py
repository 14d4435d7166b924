"""Child processes of a run: nothing in them is recorded or replayed, so no boundary runs for real there.

The process that has a session open, or that replays a run, shares a page of memory with its children. It is a file
whose name says which process it belongs to, in a place that no variable of the environment decides, so that any
descendant finds it. The page says whether calls are refused now, and which call was refused in a child.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pytest_agenttape import clocks
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import OWN_VARIABLES
from pytest_agenttape.process.family import FOLDER, OFTEN, VARIABLE

_, _FREE = OWN_VARIABLES  # the second is set for programs of the suite's own
_SIZE = 8192
_PIDS = 4096  # from here on, the processes that a live call has started
_TEXT = 4  # where the text of a refusal begins; before it: are calls refused, was one refused, length of the text
_MOST_ANCESTORS = 64
_FRESH = 50_000_000  # nanoseconds in which a folder can change again without another time of change

# The page that this process shares with its children, the page that a fork has inherited, and those of its ancestors.
_ours: mmap.mmap | None = None
_our_path = ""
_inherited: mmap.mmap | None = None
_above: list[mmap.mmap] = []
_looked_at = -1  # when the folder had changed for the last time
_looked = 0.0  # the last look, by the clock of this process

is_fork = False
"""Whether this process is a copy of its parent, which would go on with the parent's tests."""


def announce(is_refused: bool) -> None:  # what is announced
    """Let the children of this process know whether their calls are refused."""
    global _ours, _our_path
    if _ours is None:
        if not is_refused:
            return
        _ours, _our_path = _new_page()
    _ours[0] = is_refused


def is_refused() -> bool:
    """Return whether this is a child of a process that has announced so."""
    return _refusing() is not None


def refusal(where: str) -> AgentTapeError:
    """Return the error for a call made in a place, *where*, in which nothing is recorded or replayed."""
    return AgentTapeError(
        f"a call was made in {where}, where calls are neither recorded nor replayed; nothing ran for real. "
        "Make it in the test's own process, or in a thread"
    )


def report(text: str) -> None:
    """Report to the parent that a call in this process was refused."""
    page = _refusing()
    if page is None:
        return
    encoded = text.encode("utf-8", "replace")[: _PIDS - _TEXT]
    page[_TEXT : _TEXT + len(encoded)] = encoded
    page[2:_TEXT] = len(encoded).to_bytes(2, "big")
    page[1] = True


def reported() -> str | None:
    """Return the refusal reported by a child process, once; None if there is none."""
    page = _ours
    if page is None or not page[1]:
        return None
    page[1] = False
    return page[_TEXT : _TEXT + int.from_bytes(page[2:_TEXT], "big")].decode("utf-8", "replace")


def leave_free(pid: int) -> None:
    """Let a process that a live call has started, and its children, call what they like: that is part of the call."""
    if _ours is None:
        return
    listed = _free_pids(_ours)
    if pid not in listed and (len(listed) + 1) * 8 <= _SIZE - _PIDS:
        at = _PIDS + len(listed) * 8
        _ours[at : at + 8] = pid.to_bytes(8, "big")


@contextmanager
def programs_are_free() -> Iterator[None]:
    """Return a block that starts programs of the suite's own: they may call what they like, but not its workers."""
    before = os.environ.get(_FREE)
    os.environ[_FREE] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_FREE, None)


# -- in a child


def _refusing() -> mmap.mmap | None:
    """Return the page of the process that refuses the calls of this one."""
    page = _inherited
    if page is not None and page[0]:
        return page
    if not _look():
        return None
    refusing = next((page for page in _above if page[0]), None)
    if refusing is None or (_FREE in os.environ and not _is_worker()):
        return None
    return None if {pid for pid, _ in _ancestors(os.getpid())} & set(_free_pids(refusing)) else refusing


def _look() -> bool:
    """Look for the pages of ancestors, unless nothing can have changed; return whether there are any."""
    global _looked_at, _looked
    now = clocks.monotonic()
    if not _above and now - _looked < OFTEN:
        return False
    _looked = now
    try:
        changed = os.stat(FOLDER).st_mtime_ns
    except OSError:
        return False
    if changed != _looked_at:
        parents = [_name(pid, began) for pid, began in _ancestors(os.getppid())]
        files = {os.environ.get(VARIABLE, ""): None, **dict.fromkeys(os.path.join(FOLDER, name) for name in parents)}
        files.pop(_our_path, None)  # which the variable names, too
        _above[:] = filter(None, map(_open_page, files))
        _looked_at = changed if clocks.time_ns() - changed > _FRESH else -1
    return bool(_above)


def _is_worker() -> bool:
    """Return whether this process is a worker of multiprocessing, which runs code of its parent's."""
    multiprocessing = sys.modules.get("multiprocessing.process")
    return multiprocessing is not None and multiprocessing.parent_process() is not None


def _ancestors(pid: int) -> Iterator[tuple[int, str]]:
    """Return the process *pid* and those above it, each with the time at which it began, as far as can be known."""
    for _ in range(_MOST_ANCESTORS):
        parent, began = _parent_of(pid)
        yield pid, began
        if parent <= 1:
            return
        pid = parent


def _parent_of(pid: int) -> tuple[int, str]:
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()  # the name before may hold anything
        return int(fields[1]), fields[19].decode()
    except OSError:  # not Linux: only the direct parent is known
        return (os.getppid() if pid == os.getpid() else 0), ""


def _free_pids(page: mmap.mmap) -> list[int]:
    listed = (int.from_bytes(page[at : at + 8], "big") for at in range(_PIDS, _SIZE, 8))
    return [pid for pid in listed if pid]


# -- the file


def _name(pid: int, began: str) -> str:
    return f"{pid}-{began}-{_space()}"


@cache
def _space() -> int:
    """Return the number of the space in which process ids mean something: containers may share the folder."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _remove_left_behind() -> None:
    """Remove the pages of processes that were killed."""
    for name in os.listdir(FOLDER):
        pid, began, space = (*name.split("-"), "", "")[:3]
        if pid.isdecimal() and began and space == str(_space()) and _parent_of(int(pid))[1] != began:
            Path(FOLDER, name).unlink(missing_ok=True)


def _new_page() -> tuple[mmap.mmap, str]:
    pid = os.getpid()
    try:
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        _remove_left_behind()
        path = os.path.join(FOLDER, _name(pid, _parent_of(pid)[1]))
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:  # then by the environment alone
        descriptor, path = tempfile.mkstemp(prefix="agenttape-")
    try:
        os.ftruncate(descriptor, _SIZE)
        page = mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
    os.environ[VARIABLE] = path
    atexit.register(_remove, path, pid)
    return page, path


def _open_page(path: str) -> mmap.mmap | None:
    with contextlib.suppress(OSError, ValueError), open(path, "r+b") as stream:
        is_mine = not hasattr(os, "getuid") or os.fstat(stream.fileno()).st_uid == os.getuid()
        return mmap.mmap(stream.fileno(), _SIZE) if is_mine else None
    return None


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:
        Path(path).unlink(missing_ok=True)


def _after_fork() -> None:
    """Treat the page that a forked child has inherited as its parent's; its own sessions will get a new page."""
    global _ours, _our_path, _inherited, _looked_at, _looked, is_fork
    if _ours is not None:
        _ours, _our_path, _inherited, is_fork = None, "", _ours, True
    _looked_at, _looked = -1, 0.0
    _above.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
