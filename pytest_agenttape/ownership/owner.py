"""What a call can belong to, as seen by the packages below a session."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Live, Observer, Served


class Owner(Protocol):
    """What a call can belong to: an open session, or something that refuses calls when no session can be open."""

    @property
    def title(self) -> str:
        """How messages name it."""

    @property
    def is_closed(self) -> bool:
        """Whether calls can no longer belong to it."""

    @property
    def propagates(self) -> bool:
        """Whether threads and tasks started in it still belong to it when it is closed, and are refused then."""

    @property
    def can_execute(self) -> bool:
        """Whether any of its calls may run for real."""

    @property
    def observer(self) -> Observer | None:
        """Keeps the calls that listeners see; None if nothing is recorded."""

    @property
    def allow_programs(self) -> tuple[str, ...]:
        """The programs that may be started outside of a live call: names, with wildcards."""

    @property
    def match_headers(self) -> frozenset[str]:
        """The further request headers that are compared, lower-case."""

    @property
    def expected(self) -> Mapping[str, JSON]:
        """The stored request that most likely comes next; empty if there is none."""

    def admits(self, method: str, url: str) -> bool:
        """Return whether an HTTP request may pass without belonging to a session."""

    def answers(self, method: str, url: str, content_type: str | None = None) -> bool:
        """Return whether a request is telemetry, which is answered and neither sent nor recorded.

        Without *content_type*, as far as its address says.
        """

    def begin(
        self,
        kind: str,
        boundary: str | None,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        metadata: Mapping[str, JSON] | None = None,
        instance: object = None,
    ) -> Served | Live:
        """Decide whether a call, a method's of *instance*, is replayed or real; raise if neither is possible."""

    def blocks(
        self, host: str, port: int | None, running: Live | None, *, unrecordable: str = ""
    ) -> AgentTapeError | None:
        """Return the error for a connection to *host* that may not be made.

        Args:
            host: A name or an address.
            port: None where it is not known.
            running: The live call whose body connects.
            unrecordable: Why a recording is refused it as well; else it is let through and noted.
        """

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Return the error to raise for *error*; it becomes the verdict if this owner has verdicts."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The session that the running code belongs to, and the live call whose body is running, if any.

    Attributes:
        owner: The session.
        running: The call whose body is running.
        outer: What the code belonged to before, and will belong to again when the session is over.
        is_aside: Whether a library does something of its own here, such as looking up credentials: it is sent for
            real, and is not recorded.
        is_outside: Whether the code is none of the agent's, though its calls count: a thread from before started it,
            or it serves requests.
        is_free: Whether the code, of a session that has ended, belongs to nobody: its calls are real.
    """

    owner: Owner
    running: Live | None = None
    outer: Scope | None = None
    is_aside: bool = False
    is_outside: bool = False
    is_free: bool = False


class Rest(Protocol):
    """What is left of a run of tests beside their sessions."""

    def owner_of(self, bound: Scope | None) -> Scope | None:
        """Return whom code belongs to that belongs to no session; None if it may go on.

        Args:
            bound: What it was started in, if that is known; it is closed.
        """

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Hear of a call that belongs to nobody and goes on."""

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Return the error to raise for *error*; it fails the run."""
