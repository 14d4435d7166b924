"""Tokens of a session that name none of its calls."""

from __future__ import annotations

from pytest_agenttape.errors import AgentTapeWarning
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.process.user_stack import warn
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.run import Run
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.settings import selectors


def warn_of_unknown_tokens(settings: Settings, loaded: Loaded, run: Run) -> None:
    """Warn of what `live`, `frozen` and `repeats` name that is no call of *run*, and no other known one."""
    named = {"live": settings.live, "frozen": settings.frozen, "repeats": settings.repeats}
    if not any(named.values()):
        return
    asked = [each.call for each in run]
    known = loaded.known_tokens(each.boundary for each in asked)
    for what, given in named.items():
        unused = frozenset(each for each in given or () if not any(map(Selection.of([each]).covers, asked)))
        for problem in selectors.problems(unused, known, what):
            warn(AgentTapeWarning(f"{settings.name}: {problem}"))
