"""Who owns what belongs to no test: threads, loops, finalizers and hooks, between the tests and after the last one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.ownership import Scope
from pytest_agenttape.plugin.outsiders import Outsider, WideFixture
from pytest_agenttape.process.user_stack import is_in_hook_of_pytest, place, user_traceback
from pytest_agenttape.providers import is_llm_path
from pytest_agenttape.settings.config import Config


class FailingTheRun(Outsider):
    """Owns calls whose refusal fails the run, whatever becomes of it.

    Args:
        title: The maker of the calls, as shown in the refusal.
        config: The configuration of the run.
        root: Where the paths that are shown start.
        fail: Makes the run fail for a reason, which is one line.
    """

    def __init__(self, title: str, config: Config, root: Path, fail: Callable[[str], None]) -> None:
        super().__init__(title, config)
        self._root = root
        self._fail = fail

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Return *error*; the run fails with it, and with the line that made the call."""
        self._fail(f"{str(error).splitlines()[0]} ({place(self._root)})")
        return super().refuse(error)


class RestOfTheRun(FailingTheRun):
    """Owns, in a run that only replays, every call that belongs to no test; an unmarked test's are its own.

    Args:
        config: The configuration of the run.
        root: Where the paths that are shown start.
        replays: Whether no test of the run may make a live call.
        fail: Makes the run fail for a reason, which is one line.

    Attributes:
        unmarked: The unmarked test that is running.
        set_up: The wide fixture that is being set up for tests that may go live, as a replay would judge it.
    """

    def __init__(self, config: Config, root: Path, *, replays: bool, fail: Callable[[str], None]) -> None:
        super().__init__("code that belongs to no test", config, root, fail)
        self._replays = replays
        self._scope = Scope(self)
        self.unmarked: pytest.Item | None = None
        self.set_up: WideFixture | None = None

    def owner_of(self, bound: Scope | None) -> Scope | None:
        """Return whom code belongs to that belongs to no session, and was started in *bound*, if in anything."""
        if not self._replays or (self.unmarked is not None and self._is_for(self.unmarked, bound)):
            return None
        return self._scope

    def let_pass(self, url: Callable[[], str], method: str) -> None:
        """Note a call of a wide fixture which goes on now, and which a replay would refuse."""
        fixture = self.set_up
        if fixture is not None and not ((address := url()) and fixture.admits(method, address)):
            fixture.goes_live = True

    def admits(self, method: str, url: str) -> bool:
        """Return whether HTTP passes: what plugins and hooks send of their own, such as reports, but no LLM call."""
        if super().admits(method, url):
            return True
        return not is_llm_path(method, url) and (user_traceback() is None or is_in_hook_of_pytest())

    def _error(self, what: str) -> AgentTapeError:
        return AgentTapeError(
            f"{what} was made by {self.title}, in a run that only replays; nothing ran for real\n"
            "  wait for threads and tasks before their test ends; for calls that are no test's, open a cassette: "
            "with use_cassette('name'): ..."
        )

    @staticmethod
    def _is_for(test: pytest.Item, bound: Scope | None) -> bool:
        """Return whether code may work for an unmarked *test*: not what a fixture started that it does not use."""
        owner = None if bound is None else bound.owner
        return not isinstance(owner, WideFixture) or owner.name in getattr(test, "fixturenames", ())
