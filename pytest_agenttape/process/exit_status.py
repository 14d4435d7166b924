"""The status of a process that is ending: how it can still become a failure when nobody listens to errors any more."""

from __future__ import annotations

import sys
from typing import Any


def fail() -> None:
    """Let this process end with a status other than 0, even from a function of `atexit` or a finalizer.

    Python itself ends with 120 if a standard stream cannot be flushed at the very end.
    """
    sys.stderr = _Unflushed(sys.stderr)


class _Unflushed:
    """A stream as it was, but for the last flush."""

    def __init__(self, stream: Any) -> None:  # a text stream, or what replaces it
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def flush(self) -> None:
        """Flush, and fail if it is the interpreter that asks, not code."""
        self._stream.flush()
        try:
            sys._getframe(1)
        except ValueError:
            raise OSError("the run has failed") from None
