"""The end of a block that the user has opened: what it swallowed, what it left unplayed, and what it keeps."""

from __future__ import annotations

from abc import abstractmethod

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.session.faults import Faults
from pytest_agenttape.session.history import History
from pytest_agenttape.session.unplayed import left_unplayed, unplayed_error
from pytest_agenttape.session.verdict import Verdict, noted
from pytest_agenttape.settings.faults import Fault


class Leaving(History):
    """A block in which things may go wrong, and that says so at its end.

    Attributes:
        verdict: The first error that decides the run.
        faults: What goes wrong in this run, and how much of it has.
    """

    verdict: Verdict
    faults: Faults

    @abstractmethod
    def close(self) -> None:
        """End the session: calls no longer belong to it."""

    @abstractmethod
    def hear_children(self) -> None:
        """Treat a refusal in a child process as one in this run."""

    def inject(self, *faults: Fault) -> None:
        """Let *faults* happen, each made by `fault`, to calls that are made from now on.

        Raises:
            ConfigError: The session may run calls for real, or a fault cannot happen in it.
        """
        self.faults.plan(faults)

    def leave(self, error: BaseException | None) -> None:
        """Close the cassette, and write what the block recorded unless it ends with *error*.

        Raises:
            AgentTapeError: The block has swallowed the error of a call; or it is strict and left recordings unplayed.
            RecordingRefusedError: What it recorded must not be kept, or cannot be written.
        """
        __tracebackhide__ = True
        if self.settings.is_disabled:
            return
        self.close()
        if error is not None:
            self._leave_with(error)
            return
        self.hear_children()
        self._refuse_swallowed()
        left = left_unplayed(self) if self.settings.config.strict else []
        if left:
            raise unplayed_error(self, left)
        self.recording.commit()

    def _leave_with(self, error: BaseException) -> None:
        """Note on *error*, which leaves the block, that a call was refused before it, or a fault never happened."""
        __tracebackhide__ = True
        if isinstance(error, GeneratorExit):  # nobody sees that one
            self._refuse_swallowed()
            return
        problem = self.verdict.swallowed(error)
        if problem is None and not isinstance(error, AgentTapeError):
            problem = self.faults.missed
        if problem is not None:
            noted(error, problem)

    def _refuse_swallowed(self) -> None:
        """Raise the error of a call that the block has swallowed; a recording says what it lacks when it is written."""
        __tracebackhide__ = True
        swallowed = self.verdict.swallowed()
        if swallowed is not None and not self.loaded.policy.records:
            raise swallowed
        self.faults.refuse_missed()
