"""Connections that no transport records: which are blocked in replay, and which a recording has to report."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_agenttape.errors import NetworkBlockedError
from pytest_agenttape.hosts import host_rules, is_allowed
from pytest_agenttape.process import network
from pytest_agenttape.settings.config import Config


class Connections:
    """Judges the connections made during one session."""

    def __init__(self, config: Config, title: str, *, records: bool) -> None:
        self._config = config
        self._title = title
        self._records = records
        self._unrecorded: dict[str, str | None] = {}  # host -> the library that connected

    def blocks(self, host: str, port: int | None) -> NetworkBlockedError | None:
        """Return the error for a connection to *host* that is not allowed; None if it may be made."""
        if not self._config.block_network or is_allowed(host, port, host_rules(self._config.allow_hosts)):
            return None
        if self._records:
            self._unrecorded.setdefault(host, network.calling_library())
            return None
        return network.blocked(host, port, self._title)

    def problems(self) -> Iterator[str]:
        """Yield a message for each host that was connected to while recording and that replay will block."""
        for host, library in self._unrecorded.items():
            yield f"{self._title}: {network.unrecorded(host, library)}"
