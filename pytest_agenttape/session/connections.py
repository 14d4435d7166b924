"""Connections that no transport records: blocked in replay, and a gap in a recording."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from pytest_agenttape.errors import NetworkBlockedError, RecordingRefusedError
from pytest_agenttape.hosts import host_rules, is_allowed, is_local, is_url_allowed
from pytest_agenttape.model import JSON
from pytest_agenttape.ownership.calls import Live
from pytest_agenttape.process import network
from pytest_agenttape.process.user_stack import user_traceback
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.settings.config import Config


class Connections:
    """Judges the connections made during one session.

    Attributes:
        ignored: The hosts to which requests are real in every mode.
    """

    def __init__(self, config: Config, title: str, *, records: bool) -> None:
        self._is_guarded = config.block_network
        self.ignored = host_rules(config.ignore_hosts)
        self._allowed = (*host_rules(config.allow_hosts), *self.ignored)
        self._title = title
        self._records = records
        self._unrecorded: dict[str, str | None] = {}  # by host, the library that asked for it
        self._traceback: TracebackType | None = None  # the user's code that made the first of them

    def ignores(self, url: str) -> bool:
        """Return whether a request to *url* is never recorded, but real in every mode."""
        return is_url_allowed(url, self.ignored)

    def blocks(self, host: str, port: int | None, unrecordable: str = "") -> NetworkBlockedError | None:
        """Return the error for a connection to *host* that is not allowed; None if it may be made.

        A recording makes it, and is refused in the end; unless it is *unrecordable*: then that is the error at once.
        """
        if not self._is_guarded or is_allowed(host, port, self._allowed):
            return None
        if unrecordable:
            return NetworkBlockedError(unrecordable, host=host, port=port)
        if not self._records:
            why = "in replay no HTTP is sent that nothing replays" if is_local(host) else network.NOTHING_LEAVES
            return network.blocked(host, port, self._title, why=why)
        if not self._unrecorded:
            self._traceback = user_traceback()
        self._unrecorded.setdefault(host, network.calling_library())
        return None

    @property
    def gap(self) -> RecordingRefusedError | None:
        """The error for a recording that lacks a connection, which replay would block; None if it lacks none."""
        if not self._unrecorded:
            return None
        made = ", ".join(f"{host} by {library}" if library else host for host, library in self._unrecorded.items())
        hosts = ", ".join(f'"{host}"' for host in self._unrecorded)
        error = RecordingRefusedError(
            f"a connection was made that nothing records, and that replay would block: {made}; "
            "the recording is not kept\n"
            "  wrap the caller in @tool, or allow the connection in replay as well: "
            f"allow_hosts=[{hosts}] on the marker or in agenttape.toml"
        )
        return error.with_traceback(self._traceback)


class Gatekeeper:
    """A session as those ask it who see a request or a connection before a call is made of it.

    Attributes:
        loaded: The cassette as it was when the session opened.
        is_closed: Whether the session has ended.
    """

    loaded: Loaded
    is_closed: bool
    _connections: Connections

    @property
    def match_headers(self) -> frozenset[str]:
        """The further request headers that are compared, lower-case."""
        return self.loaded.rules.headers

    @property
    def expected(self) -> Mapping[str, JSON]:
        """The stored request that most likely comes next; empty if there is none."""
        return self.loaded.tape.expected

    def admits(self, method: str, url: str) -> bool:  # noqa: ARG002  # other owners look at it
        """Return whether an HTTP request may pass without belonging to a session: to an ignored host."""
        return bool(self._connections.ignored) and self._connections.ignores(url)

    def answers(self, method: str, url: str, content_type: str | None = None) -> bool:
        """Return whether an HTTP request is telemetry, which is answered and neither sent nor recorded."""
        return self.loaded.answers(method, url, content_type, is_late=self.is_closed)

    def blocks(
        self, host: str, port: int | None, running: Live | None, *, unrecordable: str = ""
    ) -> NetworkBlockedError | None:
        """Return the error for a connection that is not allowed; a live call may connect to anything."""
        return None if running is not None else self._connections.blocks(host, port, unrecordable)
