"""The hooks around the tests of a run that has marked ones: wide fixtures, and what belongs to no test at all."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Generator
from typing import Any

import pytest

from pytest_agenttape import ownership
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.plugin.claims import Claims
from pytest_agenttape.plugin.collecting import COLLECTING
from pytest_agenttape.plugin.header import may_be_live
from pytest_agenttape.plugin.outsiders import TearDown, WideFixture
from pytest_agenttape.plugin.pytest_privates import asking_item, fail_for_all, fixtures_reached_by, is_whole_process
from pytest_agenttape.plugin.report.ledger import LEDGER
from pytest_agenttape.plugin.report.wording import counted
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.plugin.rest_of_the_run import RestOfTheRun
from pytest_agenttape.process import child_processes, exit_status
from pytest_agenttape.settings.config import Config


class Surroundings:
    """Judges calls made outside of the marked tests.

    Args:
        session: The run.
        claims: The cassettes of its marked tests.
        has_open: Returns whether the session of a test is open.
    """

    def __init__(self, session: pytest.Session, claims: Claims, has_open: Callable[[pytest.Item], bool]) -> None:
        self._session = session
        self._config = session.config
        self._ledger = session.config.stash[LEDGER]
        self._claims = claims
        self._has_open = has_open
        self._rest: RestOfTheRun | None = None
        self._marked: dict[str, bool] = {}  # the marked tests of the run, and whether each only replays
        self._refused: AgentTapeError | None = None  # in the teardown of a wide fixture; no test has failed with it yet
        self._is_over = False
        self._reached = functools.cache(self._find_reached)  # no property: pytest before 8.3.5 asks plugins for theirs

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Own, from now on, what belongs to no test."""
        if session.config.option.collectonly or self._rest is not None:
            return
        marked = [item for item in session.items if item.nodeid in self._claims]
        self._marked = {item.nodeid: self._claims.would_replay(item) for item in marked}
        if self._marked:
            config, root = self._claims.config_at(session.config.rootpath), session.config.rootpath
            replays = all(self._marked.values())
            rest = functools.partial(RestOfTheRun, root=root, replays=replays, fail=self._fail)
            try:
                self._rest = rest(config)
            except ConfigError:  # each marked test fails with it
                self._rest = rest(Config())
            ownership.add_rest(self._rest)
            if replays:
                for line in session.config.stash[COLLECTING].wrong():
                    self._fail(line)

    def pytest_report_collectionfinish(self) -> str | None:
        """Tell of the tests that ask for live calls themselves, which the top of the run could not know."""
        asked = self._config.option.agenttape_live or may_be_live(self._config)
        if asked or self._config.get_verbosity() < 0:  # as for the header
            return None
        claims = {nodeid: self._claims.of(nodeid) for nodeid in self._marked}
        live = [each for each, claim in claims.items() if not self._marked[each] or (claim and claim.options.live)]
        where = f"in {counted(len(live), 'test')}, by their markers or their folder's configuration"
        return f"agenttape: live calls are possible {where}" if live else None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Leave an unmarked test to itself."""
        if self._rest is None or item.nodeid in self._marked:
            return (yield)
        self._leave_to(item)
        try:
            return (yield)
        finally:
            self._leave_to(None)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        if fixturedef.scope == "function":
            return (yield)
        with child_processes.programs_are_free():  # a server, a container: what it starts is the suite's
            return (yield from self._set_up(fixturedef, asking_item(request)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        return (yield from self._judged())  # a fixture whose parameter changes is torn down here

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        return (yield from self._judged())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, Any, Any]:
        ownership.hear_children()
        try:
            return (yield)
        finally:
            ownership.hear_children()
            self._is_over = True  # the summary is written
            for line in self._ledger.refused.keys() - self._ledger.reported:
                self._fail(line)

    def pytest_unconfigure(self) -> None:
        """Give the process back to whoever called pytest; a process that is pytest's own only ends now."""
        if self._rest is not None and not is_worker(self._config) and not is_whole_process():
            ownership.remove_rest(self._rest)

    # -- internals

    def _leave_to(self, unmarked: pytest.Item | None) -> None:
        assert self._rest is not None
        ownership.hear_children()
        self._rest.unmarked = unmarked
        ownership.tell_children()

    def _find_reached(self) -> dict[pytest.FixtureDef[Any], tuple[pytest.Item, bool]]:
        """Return the fixtures that marked tests can reach, with one of these, and whether all of them only replay."""
        found: dict[pytest.FixtureDef[Any], tuple[pytest.Item, bool]] = {}
        for item in self._session.items:
            if item.nodeid in self._marked:
                for each in fixtures_reached_by(item):
                    first, replay = found.get(each, (item, True))
                    found[each] = (first, replay and self._marked[item.nodeid])
        return found

    def _guards(self, fixture: pytest.FixtureDef[Any], item: pytest.Item) -> bool:
        """Return whether a wide *fixture* must not make calls: they would belong to no test, or to *item*."""
        if self._has_open(item):  # it is asked for in the middle of the test
            return True
        if fixture in self._reached():
            return self._reached()[fixture][1]
        return self._marked.get(item.nodeid, False)

    def _set_up(self, fixturedef: pytest.FixtureDef[Any], item: pytest.Item) -> Generator[None, Any, Any]:
        __tracebackhide__ = True
        if not self._guards(fixturedef, item):
            return (yield from self._watched(fixturedef, item))
        config = self._config_of(fixturedef, item)
        teardown = TearDown(fixturedef.argname, fixturedef.scope, config)
        fixturedef.addfinalizer(lambda: self._end(teardown))  # the first to be added is the last to be called
        try:
            with WideFixture(fixturedef.argname, fixturedef.scope, config) as owner:
                result = yield
        finally:
            fixturedef.addfinalizer(lambda: self._begin(teardown))
        if owner.refused is None:
            return result
        fail_for_all(fixturedef, owner.refused)
        raise owner.refused from None

    def _watched(self, fixturedef: pytest.FixtureDef[Any], item: pytest.Item) -> Generator[None, Any, Any]:
        """Warn of calls that a replay of the tests that can reach the fixture would refuse."""
        if self._rest is None or fixturedef not in self._reached():
            return (yield)
        fixture = WideFixture(fixturedef.argname, fixturedef.scope, self._config_of(fixturedef, item))
        before, self._rest.set_up = self._rest.set_up, fixture
        try:
            return (yield)
        finally:
            self._rest.set_up = before
            if fixture.goes_live:
                item.warn(fixture.warning)

    def _config_of(self, fixturedef: pytest.FixtureDef[Any], item: pytest.Item) -> Config:
        return self._claims.config_of(item if item.nodeid in self._marked else self._reached()[fixturedef][0])

    def _begin(self, teardown: TearDown) -> None:
        if not ownership.opened():  # an open owner is a wide fixture with its own cassette
            teardown.open()

    def _end(self, teardown: TearDown) -> None:
        if teardown.is_closed:
            return
        teardown.close()
        self._refused = self._refused or teardown.refused

    def _judged(self) -> Generator[None, Any, Any]:
        """Fail the test at hand with the refusal that the teardown of a fixture has swallowed."""
        __tracebackhide__ = True
        try:
            result = yield
        except BaseException:
            self._refused = None
            raise
        refused, self._refused = self._refused, None
        if refused is not None:
            raise refused
        return result

    def _fail(self, line: str) -> None:
        """Make the run fail; *line* is in its summary, or on standard error if that is written already."""
        if not self._is_over:
            self._ledger.refused[line] += 1
            return
        print(f"agenttape: {line}", file=sys.stderr)
        if self._session.exitstatus == pytest.ExitCode.OK:
            self._session.exitstatus = pytest.ExitCode.TESTS_FAILED
            exit_status.fail()
