"""Where a process leaves a page for its descendants. Imports next to nothing: production code asks before each call."""

from __future__ import annotations

import os

from pytest_agenttape import clocks

# The page, for processes whose ancestors cannot be known or have ended. Also in `model`, which must not be loaded here.
VARIABLE = "PYTEST_AGENTTAPE_PARENT"


def folder() -> str:
    """Return the folder of all pages of this user, wherever the environment says that temporary files are."""
    if hasattr(os, "getuid"):
        return f"{'/dev/shm' if os.path.isdir('/dev/shm') else '/tmp'}/agenttape-{os.getuid()}"
    import tempfile

    return os.path.join(tempfile.gettempdir(), "agenttape")


FOLDER = folder()


OFTEN = 0.001  # seconds between two looks of a process that has no such ancestor

_IS_TOLD = VARIABLE in os.environ  # a parent sets it before the start
_looked = 0.0  # the last look, by the clock of this process


def may_have_ancestors() -> bool:
    """Return whether a process of this user, perhaps an ancestor of this one, has left a page."""
    global _looked
    if _IS_TOLD:
        return True
    now = clocks.monotonic()
    if now - _looked < OFTEN:
        return False
    _looked = now
    try:
        return bool(os.listdir(FOLDER))
    except OSError:
        return False
