"""What a call can belong to, as the rooms below a session see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Live, Observer, Served


class Owner(Protocol):
    """What a call can belong to: an open session, or whatever refuses calls where no session can be open."""

    @property
    def title(self) -> str:
        """How a message names it."""

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer belong to it."""

    @property
    def propagates(self) -> bool:
        """Whether the threads it starts belong to it."""

    @property
    def can_execute(self) -> bool:
        """Whether any of its calls may run for real."""

    @property
    def observer(self) -> Observer | None:
        """What keeps the calls that listeners see; None where nothing is recorded."""

    def admits(self, method: str, url: str) -> bool:
        """Return whether an HTTP request may pass without belonging to anybody."""

    def begin(
        self,
        kind: str,
        boundary: str | None,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        metadata: Mapping[str, JSON] | None = None,
    ) -> Served | Live:
        """Decide what a call gets; raise if nothing answers it and nothing may run for real."""

    def blocks(self, host: str, port: int | None, running: Live | None) -> AgentTapeError | None:
        """Return the error for a connection to *host* that may not be made."""

    def instance_number(self, instance: object) -> int:
        """Return which of its class *instance* is, in the order of first calls, from 0."""

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Keep *error* as the verdict where verdicts are kept, and return what to raise."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The session that the running code belongs to, and the live call whose body it is, if any.

    Attributes:
        owner: The session.
        running: The call whose body the code is.
        outer: What the code belonged to before, and will again when the session is over.
    """

    owner: Owner
    running: Live | None = None
    outer: Scope | None = None
