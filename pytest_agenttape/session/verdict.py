"""The first error that decides a run: kept, whatever the agent does with the exception."""

from __future__ import annotations

from types import TracebackType

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.process.user_stack import user_traceback

RETRIES_BEFORE_CUT = 10  # crossings after the verdict that only raise; the next one cuts the run
REFUSALS_BEFORE_CUT = 100  # the same for a block of the user's own, which has no verdict


class RunCut(BaseException):
    """Ends a run that goes on calling after its verdict; no agent's ``except Exception`` holds it."""


class Verdict:
    """What is decided about one run; who uses it locks.

    Attributes:
        first: The first error that was refused with, in a block of the user's own as well.
        error: The same where it decides the run: where the plugin opened the session.
        traceback: The user's code that met it.
    """

    def __init__(self, *, is_sticky: bool) -> None:
        self._is_sticky = is_sticky
        self._refusals = self._further = 0
        self.first: AgentTapeError | None = None
        self.error: AgentTapeError | None = None
        self.traceback: TracebackType | None = None

    def keep(self, error: AgentTapeError) -> AgentTapeError:
        """Note that a call was refused with *error*; return it.

        Raises:
            RunCut: The run goes on and on.
        """
        __tracebackhide__ = True
        if self.first is None:
            self.first = error
        elif self._is_sticky or self._refusals > REFUSALS_BEFORE_CUT:
            self._count_further()
        self._refusals += 1
        if self._is_sticky and self.error is None:
            self.error, self.traceback = error, user_traceback()
        return error

    def stop(self) -> None:
        """Raise the error that decided the run, if one has.

        Raises:
            RunCut: The run goes on and on.
        """
        __tracebackhide__ = True
        if self.error is None:
            return
        self._count_further()
        raise self.error.with_traceback(None)  # or the same error would collect the frames of every crossing

    def fail(self) -> None:
        """Raise the error that decided the run, if one has, where the user's code met it."""
        __tracebackhide__ = True
        if self.error is not None:
            raise self.error.with_traceback(self.traceback)

    def _count_further(self) -> None:
        __tracebackhide__ = True
        self._further += 1
        if self._further > RETRIES_BEFORE_CUT:
            raise RunCut(f"cut after {RETRIES_BEFORE_CUT} further calls; the verdict was: {self.first}")
