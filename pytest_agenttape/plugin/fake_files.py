"""pyfakefs, whose file system is the agent's: the stored views are on the disk.

Third-party names used: `Patcher.PATCHER` and its `is_patching`, `Pause`, seen in pyfakefs 5.3 and 6.3.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext


def real_files() -> AbstractContextManager[object]:
    """Return a block in which files are those of the disk, also in a test with a fake file system."""
    pyfakefs = sys.modules.get("pyfakefs.fake_filesystem_unittest")
    patcher = None if pyfakefs is None else getattr(pyfakefs.Patcher, "PATCHER", None)  # older ones have none
    if pyfakefs is None or patcher is None or not patcher.is_patching:
        return nullcontext()
    pause: AbstractContextManager[object] = pyfakefs.Pause(patcher)
    return pause
