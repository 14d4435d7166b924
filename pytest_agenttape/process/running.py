"""Which threads of this process could go on at once, if a busy machine let them."""

from __future__ import annotations

import os
import threading

_TASKS = "/proc/self/task"  # of Linux; elsewhere nothing is known


def others_run() -> bool:
    """Return whether a thread beside this one runs or would, if there were a processor for it; False if not known."""
    own = str(threading.get_native_id())
    try:
        return any(_runs(each) for each in os.listdir(_TASKS) if each != own)
    except OSError:
        return False


def _runs(thread: str) -> bool:
    try:
        file = os.open(f"{_TASKS}/{thread}/stat", os.O_RDONLY)
    except OSError:  # it has ended
        return False
    try:
        return os.read(file, 512).rpartition(b") ")[2][:1] == b"R"
    except OSError:
        return False
    finally:
        os.close(file)
