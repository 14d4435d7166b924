"""How code that never ends is stopped: by an exception that it does not catch, in the thread that waits for it."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pytest_agenttape.process.user_stack import user_traceback

_MOST_LINES = 8  # that code may run after it has caught everything, before it tries again
_SIGNAL = getattr(signal, "SIGURG", None)  # ignored unless asked for, and hardly ever asked for

# Module globals that change, because a signal is the process's.
_instead: type[BaseException] | None = None
_pending: BaseException | None = None


class Cut(BaseException):
    """Ends code that goes on and on; an agent's ``except Exception`` cannot catch it."""


def cut(kind: type[Cut], message: str) -> BaseException:
    """Return the exception that ends code here: of *kind*, unless another one is wanted now."""
    return (_instead or kind)(message)


def insisted(error: BaseException, times: int) -> BaseException:
    """Return *error*, which ends code here for the *times*-th time: code that catches it again gets it once more.

    The second one is raised a line or a few after the code has caught the first: outside of its ``try``.
    """
    if times > 1:
        _raise_when_caught(error, 1 + (times - 2) % _MOST_LINES)
    return error


@contextmanager
def raised_as(kind: type[BaseException]) -> Iterator[None]:
    """Return a block in which *kind* is raised: where others have to go on, who catch that alone."""
    global _instead
    before, _instead = _instead, kind
    try:
        yield
    finally:
        _instead = before


@contextmanager
def main_thread_can_be_cut() -> Iterator[None]:
    """Return a block of the main thread that `cut_main_thread` ends."""
    global _pending
    if _SIGNAL is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_SIGNAL, _raise_pending)
    try:
        yield
    finally:
        signal.signal(_SIGNAL, signal.SIG_DFL if before is None else before)
        _pending = None


def cut_main_thread(error: BaseException) -> None:
    """Raise *error* in the main thread, even if it waits for something; do nothing if it cannot be cut now."""
    global _pending
    main = threading.main_thread().ident
    if _SIGNAL is not None and main is not None and signal.getsignal(_SIGNAL) is _raise_pending:
        _pending = error
        signal.pthread_kill(main, _SIGNAL)


def _raise_pending(*_: object) -> None:
    global _pending
    error, _pending = _pending, None
    if error is not None:
        raise error


def _raise_when_caught(error: BaseException, lines: int) -> None:
    """Raise *error* in the user's code that catches what is raised now, so many *lines* after that."""
    passed: Counter[FrameType] = Counter()
    traceback, before = user_traceback(), sys.gettrace()
    if traceback is None:
        return
    outermost = traceback.tb_frame

    def trace(frame: FrameType, event: str, _: object) -> object:
        if event == "exception":
            passed[frame] = 1
        elif event == "line" and frame in passed:
            passed[frame] += 1
            if passed[frame] > lines:
                raise error  # which ends the tracing
        elif event == "return" and frame is outermost:
            sys.settrace(before)
        return trace

    while traceback is not None:
        traceback.tb_frame.f_trace = trace
        traceback = traceback.tb_next
    sys.settrace(lambda *_: None)
