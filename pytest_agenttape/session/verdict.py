"""The first error, which decides a run: it is kept, whatever the agent does with the exception."""

from __future__ import annotations

from types import TracebackType

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.process.user_stack import user_traceback

RETRIES_BEFORE_CUT = 10  # calls after the verdict that only raise; the next one cuts the run
REFUSALS_BEFORE_CUT = 100  # the same for a block opened by the user, which has no verdict


class RunCut(BaseException):
    """Ends a run that keeps calling after its verdict; an agent's ``except Exception`` cannot catch it."""


class Verdict:
    """What is decided about one run; callers must hold the run's lock.

    Attributes:
        first: The first error with which a call was refused, also in a block opened by the user.
        error: The same error if it decides the run: only in a session opened by the plugin.
        traceback: Where the user's code hit it.
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
            RunCut: The run keeps making calls.
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
        """Raise the error that decided the run, if there is one.

        Raises:
            RunCut: The run keeps making calls.
        """
        __tracebackhide__ = True
        if self.error is None:
            return
        self._count_further()
        raise self.error.with_traceback(None)  # or the same error would collect the frames of every call

    def fail(self) -> None:
        """Raise the error that decided the run, if there is one, at the place where the user's code hit it."""
        __tracebackhide__ = True
        if self.error is not None:
            raise self.error.with_traceback(self.traceback)

    def _count_further(self) -> None:
        __tracebackhide__ = True
        self._further += 1
        if self._further > RETRIES_BEFORE_CUT:
            raise RunCut(f"run stopped after {RETRIES_BEFORE_CUT} more calls; it had already failed: {self.first}")
