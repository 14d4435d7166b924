"""`CassetteHandle`: what a test sees of its cassette, and the assertions on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_agenttape.model import Interaction, Mode
from pytest_agenttape.session import Session


class CassetteHandle:
    """The cassette of the running test."""

    def __init__(self, session: Session, snapshot: Callable[[], Any]) -> None:
        self._session = session
        self._snapshot = snapshot

    @property
    def path(self) -> Path:
        return self._session.path

    @property
    def mode(self) -> Mode:
        return self._session.mode

    @property
    def interactions(self) -> list[Interaction]:
        return self._session.interactions

    @property
    def tool_calls(self) -> list[str]:
        return [str(each.boundary) for each in self.interactions if each.kind in ("tool", "retrieval")]

    def assert_tool_calls(self, expected: Sequence[str]) -> None:
        assert self.tool_calls == list(expected)
