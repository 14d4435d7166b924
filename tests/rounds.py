"""One agent run twice, recorded and then replayed, with the bodies of its tools counted."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_agenttape import AgentTapeError, Session, use_cassette


@dataclass
class Ran:
    """Bodies that ran for real, by name, in order."""

    names: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.names.append(name)

    def since(self) -> list[str]:
        """Return what ran since the last look."""
        seen, self.names = self.names, []
        return seen


@dataclass
class Round:
    """What an agent gave when it was recorded and when it was replayed."""

    recorded: Any
    replayed: Any
    session: Session

    @property
    def is_faithful(self) -> bool:
        return self.recorded == self.replayed and self.session.remaining == 0


def outcome(agent: Callable[[], Any]) -> Any:
    """Run *agent*, sync or async, and return its result, or the type and text of what it raised."""
    try:
        result = agent()
        return asyncio.run(result) if inspect.iscoroutine(result) else result
    except Exception as error:  # noqa: BLE001  # the outcome of a run may be an exception
        if isinstance(error, AgentTapeError):
            error.is_expected = True  # the test looks at it
        return type(error), str(error)


def around(path: Path, agent: Callable[[], Any], **options: Any) -> tuple[Any, Session]:
    """Run *agent* in a session; return its outcome and the session."""
    with use_cassette(path, **options) as session:
        return outcome(agent), session


def record_and_replay(path: Path, agent: Callable[[], Any], **options: Any) -> Round:
    """Run *agent* in a recording and in a replay."""
    recorded, _ = around(path, agent, mode="all")
    replayed, session = around(path, agent, **options)
    return Round(recorded, replayed, session)
