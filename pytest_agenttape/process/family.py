"""Where a process leaves a page for its descendants. Imports next to nothing: production code asks before each call."""

from __future__ import annotations

import os

# The page, for processes whose ancestors cannot be known or have ended. Also in `model`, which must not be loaded here.
VARIABLE = "PYTEST_AGENTTAPE_PARENT"


def folder() -> str:
    """Return the folder of all pages of this user, wherever the environment says that temporary files are."""
    if hasattr(os, "getuid"):
        return f"{'/dev/shm' if os.path.isdir('/dev/shm') else '/tmp'}/agenttape-{os.getuid()}"
    import tempfile

    return os.path.join(tempfile.gettempdir(), "agenttape")


FOLDER = folder()


def may_have_ancestors() -> bool:
    """Return whether a process of this user, perhaps an ancestor of this one, has left a page."""
    try:
        return bool(os.listdir(FOLDER)) or VARIABLE in os.environ
    except OSError:
        return VARIABLE in os.environ
