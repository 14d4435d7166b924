"""Child processes of a session: nothing in them is recorded or replayed, so no boundary runs for real there.

The parent shares a page of memory with its children, in a file that they find through the environment. It says whether
a session is open, and which call was refused in a child.
"""

from __future__ import annotations

import atexit
import contextlib
import mmap
import os
import tempfile
from pathlib import Path

from pytest_agenttape.errors import AgentTapeError

_VARIABLE = "PYTEST_AGENTTAPE_PARENT"  # the file, for processes that do not inherit the page
_SIZE = 4096
_TEXT = 4  # where the text of a refusal begins; before it: is a session open, was a call refused, length of the text

# The page that this process shares with its children, and the page that its parent shares with it.
_ours: mmap.mmap | None = None
_parents: mmap.mmap | None = None

is_child = _VARIABLE in os.environ
"""Whether this process has a parent to ask."""
is_fork = False
"""Whether it is a copy of its parent, which would go on with the parent's tests."""


def announce(is_open: bool) -> None:  # what is announced
    """Let the children of this process know whether it has an open session."""
    global _ours
    if _ours is None:
        _ours = _new_page()
    if is_open:
        _ours[1] = False  # a refusal reported during an earlier session does not count for this one
    _ours[0] = is_open


def is_open_in_parent() -> bool:
    """Return whether this is a child of a process with an open session."""
    global _parents
    if _parents is None:
        _parents = _open_page(os.environ.get(_VARIABLE, ""))
    return bool(_parents is not None and _parents[0])


def refusal(where: str) -> AgentTapeError:
    """Return the error for a call made in a place, *where*, in which nothing is recorded or replayed."""
    return AgentTapeError(
        f"a call was made in {where}, where calls are neither recorded nor replayed; nothing ran for real. "
        "Make it in the test's own process, or in a thread"
    )


def report(text: str) -> None:
    """Report to the parent that a call in this process was refused."""
    page = _parents
    if page is None:
        return
    encoded = text.encode("utf-8", "replace")[: _SIZE - _TEXT]
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


def _new_page() -> mmap.mmap:
    descriptor, path = tempfile.mkstemp(prefix="agenttape-")
    try:
        os.ftruncate(descriptor, _SIZE)
        page = mmap.mmap(descriptor, _SIZE)
    finally:
        os.close(descriptor)
    os.environ[_VARIABLE] = path
    atexit.register(_remove, path, os.getpid())
    return page


def _open_page(path: str) -> mmap.mmap | None:
    with contextlib.suppress(OSError, ValueError), open(path, "r+b") as stream:
        return mmap.mmap(stream.fileno(), _SIZE)
    return None


def _remove(path: str, owner: int) -> None:
    if os.getpid() == owner:
        Path(path).unlink(missing_ok=True)


def _after_fork() -> None:
    """Treat the page that a forked child has inherited as its parent's; its own sessions will get a new page."""
    global _ours, _parents, is_child, is_fork
    if _ours is not None:
        _ours, _parents, is_child, is_fork = None, _ours, True, True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
