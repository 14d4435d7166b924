"""Where in the user's code something happened: a traceback of the current stack without libraries and this plugin."""

from __future__ import annotations

import os
import sys
import sysconfig
import threading
import warnings
from functools import lru_cache
from pathlib import Path
from types import FrameType, FunctionType, TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PLACES = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib", "scripts")]
_LIBRARIES = tuple({path + os.sep for place in _PLACES for path in (place, os.path.realpath(place))})
_INSTALLED = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))  # other environments' too
_RUNNERS = ("_pytest.python", "_pytest.fixtures", "_pytest.unittest", "_pytest.runner")


def user_traceback(frame: FrameType | None = None) -> TracebackType | None:
    """Return the stack that ends in *frame* (the caller's) as a traceback of the user's frames, outermost first.

    None if no frame is the user's. It serves errors that are swallowed: their own traceback ends where they were
    caught, and in a thread it never reaches the test.
    """
    at: FrameType | None = frame or sys._getframe(1)
    found: TracebackType | None = None
    while at is not None and at.f_globals.get("__name__") not in _RUNNERS:
        if is_users(at.f_code.co_filename):
            found = TracebackType(found, at, at.f_lasti, at.f_lineno)
        at = at.f_back
    return found


def place(root: Path) -> str:
    """Return the line of the user's code that runs here, below *root*, and the thread if it is not the main one."""
    found = _innermost()
    thread = threading.current_thread()
    named = "" if thread is threading.main_thread() else f"thread {thread.name!r}"
    if found is None:
        return named or "no code of the project"
    path = Path(found.tb_frame.f_code.co_filename)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return ", ".join(filter(None, (f"{shown}:{found.tb_lineno}", named)))


def warn(message: Warning) -> None:
    """Warn at the line of the user's code that runs here; if none does, at the caller's."""
    found = _innermost()
    if found is None:
        warnings.warn(message, stacklevel=2)
        return
    names, path = found.tb_frame.f_globals, found.tb_frame.f_code.co_filename
    seen = names.setdefault("__warningregistry__", {})
    warnings.warn_explicit(message, type(message), path, found.tb_lineno, names.get("__name__"), seen)


def traceback_at(path: str, line: int, name: str) -> TracebackType | None:
    """Return a traceback that ends at *line* of the file at *path*, for an error that no line of code raised."""
    code = _fail.__code__.replace(co_filename=path, co_firstlineno=line - 1, co_name=name, co_qualname=name)
    try:
        FunctionType(code, {"Exception": Exception})()
    except Exception as error:  # noqa: BLE001  # the one raised there
        return error.__traceback__.tb_next if error.__traceback__ else None
    return None


def is_typed_in_debugger() -> bool:
    """Return whether the running code was typed at the debugger's prompt, not just stepped through."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "onecmd" and frame.f_globals.get("__name__") == "cmd":
            return True
        frame = frame.f_back
    return False


def is_in_hook_of_pytest() -> bool:
    """Return whether the running code is a hook of the user's, in a conftest or a plugin of the project."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name.startswith("pytest_") and is_users(frame.f_code.co_filename):
            return True
        frame = frame.f_back
    return False


@lru_cache(maxsize=1024)  # of a few files, again and again
def is_users(filename: str) -> bool:
    """Return whether code in the file is the user's: neither a library's nor this plugin's."""
    return not filename.startswith(("<", _OURS, *_LIBRARIES)) and not any(name in filename for name in _INSTALLED)


def _innermost() -> TracebackType | None:
    found = user_traceback()
    while found is not None and found.tb_next is not None:
        found = found.tb_next
    return found


def _fail() -> None:
    raise Exception  # on the line after the first
