"""The pytest plugin: fixtures and the hooks that every run needs. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.plugin import hookspecs, quiet, session_fixture
from pytest_agenttape.plugin.asserted import noting
from pytest_agenttape.plugin.collecting import COLLECTING, Collecting
from pytest_agenttape.plugin.header import header
from pytest_agenttape.plugin.options import (
    BROKEN_CONFTEST,
    CASSETTES,
    add_options,
    check_age,
    check_report,
    flags_of,
    is_marked,
    marker_help,
    runs_no_test,
)
from pytest_agenttape.plugin.pytest_privates import conftest_failure, leave_as_written
from pytest_agenttape.plugin.report.gathering import Gathering
from pytest_agenttape.plugin.report.ledger import LEDGER
from pytest_agenttape.plugin.report.workers import refusing_the_run
from pytest_agenttape.process import runs

if TYPE_CHECKING:
    from pytest_agenttape.plugin.disabled import NoCassette
    from pytest_agenttape.plugin.handle import CassetteHandle
    from pytest_agenttape.plugin.lifecycle import Lifecycle

_LIFECYCLE = "agenttape-lifecycle"


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    leave_as_written(pluginmanager, "pytest_agenttape")
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(quiet, "agenttape-quiet")


def pytest_configure(config: pytest.Config) -> None:
    if COLLECTING not in config.stash:  # a conftest has loaded this plugin
        _begin_to_collect(config)
    check_report(config.option)
    check_age(config.option)
    if config.option.agenttape_verify:
        from pytest_agenttape.plugin.verifying import prepare

        prepare(config)
    elif any((config.option.agenttape_live, config.option.agenttape_model, config.option.agenttape_times)):
        from pytest_agenttape.plugin.another_model import prepare as prepare_another_model

        prepare_another_model(config)
    if config.option.agenttape_review:
        from pytest_agenttape.plugin.reviewing import prepare as prepare_review

        prepare_review(config)
    if config.option.agenttape_budget is not None or config.getini("agenttape_budget"):
        from pytest_agenttape.plugin.budget import prepare as prepare_budget

        prepare_budget(config)
    config.add_cleanup(runs.begin(partial(flags_of, config)))
    config.addinivalue_line("markers", marker_help())
    config.pluginmanager.register(Gathering(config), "agenttape-ledger")
    for patch in noting():
        patch.install()
        config.add_cleanup(patch.uninstall)
    if config.option.agenttape_disable:
        from pytest_agenttape.plugin.disabled import refuse_contradiction

        refuse_contradiction(config)
    if config.option.agenttape_block_network:
        from pytest_agenttape.plugin.blocked_network import BlockedNetwork

        config.pluginmanager.register(BlockedNetwork(config), "agenttape-blocked-network")
    if config.option.agenttape_audit:
        from pytest_agenttape.plugin.audit import Audit

        config.pluginmanager.register(Audit(config), "agenttape-audit")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, None, None]:
    """Let a conftest that cannot be imported stop tests, but not the options that run none."""
    _begin_to_collect(early_config)
    try:
        yield
    except conftest_failure() as error:
        if not runs_no_test(early_config.known_args_namespace):
            raise
        early_config.stash[BROKEN_CONFTEST] = str(error)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Handle the options that run no test."""
    if not runs_no_test(config.option):
        return None
    from pytest_agenttape.plugin.commands import run_command

    return run_command(config)


def pytest_report_header(config: pytest.Config) -> str | None:
    return header(config)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> Generator[None, None, None]:
    """Let every marked test claim its cassette, even if it is deselected later or another plugin marks it."""
    with refusing_the_run(session):
        _claim(session, items)
    yield
    with refusing_the_run(session):
        _claim(session, items)
    for item in items:
        session_fixture.leave_out(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Stop a marked test without a session: recording would miss its calls, and replay would run them for real."""
    __tracebackhide__ = True
    was_marked = is_marked(item)
    if was_marked and item.config.option.agenttape_disable:
        from pytest_agenttape.plugin.disabled import skip_with_faults

        skip_with_faults(item)
    elif was_marked and not _has_session(item):
        raise pytest.UsageError(
            f"{item.nodeid} is marked agenttape but has no session; it was not run: the marker was added after "
            "collection, or it is not a Python test and has no fixtures"
        )
    result = yield
    if not was_marked and is_marked(item) and not item.config.option.agenttape_disable:
        raise pytest.UsageError(
            f"{item.nodeid} was marked agenttape while it ran, which is too late: its calls were not recorded, and "
            "none was replayed; mark it at collection"
        )
    return result


@pytest.fixture
def agenttape_config() -> Mapping[str, object]:
    """The configuration of this test or folder; override it to return a mapping of `Config` keys."""
    return {}


@pytest.fixture(name=session_fixture.NAME, autouse=True)
def _open_session(request: pytest.FixtureRequest) -> object:
    """Open the session of a marked test before any other function-scoped fixture."""
    lifecycle = _lifecycle(request.config)
    return None if lifecycle is None else lifecycle.open(request)


@pytest.fixture
def agenttape_cassette(request: pytest.FixtureRequest, _agenttape_session: Any) -> CassetteHandle | NoCassette:
    """The cassette of this test: what was called, and assertions on it."""
    __tracebackhide__ = True
    if request.config.option.agenttape_disable:
        from pytest_agenttape.plugin.disabled import NoCassette

        return NoCassette()
    if _agenttape_session is None:
        from pytest_agenttape.plugin.error_place import traceback_of

        error = pytest.UsageError(
            f"{request.node.nodeid} uses agenttape_cassette, but has no marker; add @pytest.mark.agenttape to the test"
        )
        raise error.with_traceback(traceback_of(request.node))
    from pytest_agenttape.plugin.handle import CassetteHandle
    from pytest_agenttape.plugin.syrupy import snapshot_of

    return CassetteHandle(_agenttape_session, partial(snapshot_of, request))


def _begin_to_collect(config: pytest.Config) -> None:
    config.pluginmanager.register(config.stash.setdefault(COLLECTING, Collecting(config)), "agenttape-collecting")


def _claim(session: pytest.Session, items: list[pytest.Item]) -> None:
    lifecycle = _lifecycle(session.config)
    if lifecycle is None:
        if session.config.option.agenttape_disable:
            return
        if not session.config.stash[LEDGER].folders and not any(map(is_marked, items)) and not _holds_cassettes(items):
            return
        # Imported only if the run has a marked test, or cassettes of deleted tests.
        from pytest_agenttape.process.garbage import lasting

        with lasting():
            from pytest_agenttape.plugin.lifecycle import Lifecycle

        lifecycle = Lifecycle(session)
        session.config.pluginmanager.register(lifecycle, _LIFECYCLE)
        session.config.pluginmanager.register(lifecycle.surroundings, f"{_LIFECYCLE}-surroundings")
    lifecycle.claim(items)


def _lifecycle(config: pytest.Config) -> Lifecycle | None:
    found: Lifecycle | None = config.pluginmanager.get_plugin(_LIFECYCLE)
    return found


def _has_session(item: pytest.Item) -> bool:
    lifecycle = _lifecycle(item.config)
    return lifecycle is not None and lifecycle.has_open(item)


def _holds_cassettes(items: list[pytest.Item]) -> bool:
    return any((folder / CASSETTES).is_dir() for folder in {item.path.parent for item in items})
