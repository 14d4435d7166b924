"""The pytest plugin: options, marker, fixtures and the hooks that every run needs. Imports nothing heavy."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.plugin import hookspecs
from pytest_agenttape.plugin.report.ledger import CASSETTES, LEDGER, Ledger

if TYPE_CHECKING:
    from pytest_agenttape.plugin.handle import CassetteHandle
    from pytest_agenttape.plugin.lifecycle import Lifecycle

MARKER = "agenttape"
MODES = ("none", "once", "new_episodes", "refresh", "all", "record")
_LIFECYCLE = "agenttape-lifecycle"
_SESSION = "_agenttape_session"  # the fixture below


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("agenttape", "recording and replaying of agents")
    group.addoption(
        "--agenttape-record",
        action="store_true",
        help="Call the real services and write the cassettes anew (the same as --agenttape-mode=all).",
    )
    group.addoption(
        "--agenttape-mode",
        choices=MODES,
        metavar="MODE",
        help=f"Record mode of every marked test, over any marker: {', '.join(MODES)}.",
    )
    group.addoption(
        "--agenttape-strict",
        action="store_true",
        help="Fail a passing test that leaves recorded interactions unplayed, and a run that leaves orphans.",
    )
    group.addoption(
        "--agenttape-report",
        type=_report_path,
        metavar="PATH",
        help="Write a report of every cassette and call to PATH, a .json or an .html file.",
    )
    group.addoption(
        "--agenttape-diff",
        nargs=2,
        metavar=("OLD", "NEW"),
        help="Compare two cassettes, paths or names, and run no test; exit 0 equal, 1 different, 4 unusable.",
    )
    group.addoption(
        "--agenttape-show", metavar="CASSETTE", help="Print the timeline of a cassette, a path or a name; run no test."
    )
    group.addoption(
        "--agenttape-audit",
        action="store_true",
        help="Check every cassette in place of running tests: readable, lossless, free of secrets, not too old.",
    )
    group.addoption(
        "--agenttape-max-age",
        type=_days,
        metavar="DAYS",
        help="With --agenttape-audit: fail cassettes older than this.",
    )
    for name, kind, text in _INI:
        parser.addini(f"agenttape_{name}", text, type=kind, default=None)


_INI: tuple[tuple[str, Any, str], ...] = (
    ("cassette_dir", "string", "Folder of the cassettes that use_cassette names."),
    ("default_mode", "string", "Record mode where no flag and no marker names one."),
    ("default_matchers", "args", "Matchers, tried in turn."),
    ("format", "string", "Format of new cassettes: yaml or json."),
    ("freeze", "args", "What is pinned while a test runs: clock, uuid, random."),
    ("env_snapshot", "args", "Environment variables whose drift is warned about."),
    ("ignore_volatile_fields", "args", "Further headers, query parameters or body paths that matching leaves out."),
    # As a TOML number where pytest has a type for one.
    (
        "assets_threshold_bytes",
        "int" if pytest.version_tuple >= (8, 4) else "string",
        "Payloads larger than this go to NAME.assets/.",
    ),
    ("model_override", "string", "Model that live LLM calls are sent to."),
    ("allow_hosts", "args", "Hosts that may be connected to during replay."),
    ("strict", "bool", "Fail on unplayed interactions and orphans."),
    ("block_network", "bool", "Whether connections that leave the machine fail during replay."),
)


def _report_path(value: str) -> Path:
    """Return the report's path, or say at once what would only be found at the end of the run."""
    path = Path(value).absolute()
    if path.suffix not in (".json", ".html"):
        raise argparse.ArgumentTypeError(f"{value}: the name of a report ends in .json or .html")
    folder = next(each for each in path.parents if each.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{value}: cannot be written")
    return path


def _days(value: str) -> float:
    days = float(value)
    if not 0 <= days <= 1_000_000:  # also what is no number
        raise argparse.ArgumentTypeError(f"{value}: an age is a number of days, from 0 to 1000000")
    return days


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "agenttape(cassette=None, *, mode, live, frozen, matchers, freeze, format, strict, redact, tags, allow_errors, "
        "allow_hosts): replay this test from a cassette, or record it.",
    )

    config.pluginmanager.register(Ledger(config), LEDGER)
    if config.option.agenttape_audit:
        config.pluginmanager.register(
            importlib.import_module("pytest_agenttape.plugin.audit").Audit(config), "agenttape-audit"
        )


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Answer the options that run no test."""
    if config.option.agenttape_diff is None and config.option.agenttape_show is None:
        return None
    show = importlib.import_module("pytest_agenttape.plugin.commands")
    root = config.invocation_params.dir
    if config.option.agenttape_diff is not None:
        return int(show.print_diff(*config.option.agenttape_diff, root=root, write=print))
    return int(show.print_timeline(config.option.agenttape_show, root=root, write=print))


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.option.agenttape_audit:  # which runs no test
        return None
    if config.option.agenttape_mode not in (None, "none"):
        return f"agenttape: live calls are possible (--agenttape-mode={config.option.agenttape_mode})"
    if config.option.agenttape_record and config.option.agenttape_mode is None:
        return "agenttape: live calls are made and cassettes written anew (--agenttape-record)"
    if getattr(config.option, "update_snapshots", False) and config.option.agenttape_mode is None:
        if os.environ.get("CI"):
            return "agenttape: replay only; under CI --snapshot-update alone records nothing"
        return "agenttape: live calls are possible where a recording no longer matches (--snapshot-update)"
    return _header_of_the_configuration(config)


def _header_of_the_configuration(config: pytest.Config) -> str | None:
    if os.environ.get("CI") or config.option.agenttape_mode is not None:
        return None
    said = config.getini("agenttape_default_mode")
    if said:
        return None if said == "none" else f"agenttape: live calls are possible (agenttape_default_mode = {said})"
    for name in ("agenttape.toml", "pyproject.toml"):
        path = config.rootpath / name
        if path.is_file() and b"default_mode" in path.read_bytes():  # else nothing has to be imported
            settings = importlib.import_module("pytest_agenttape.settings.config")
            with contextlib.suppress(settings.ConfigError):  # told at collection
                mode = settings.Config.load(config.rootpath).default_mode
                return (
                    None if mode == "none" else f"agenttape: live calls are possible (default_mode = {mode} in {name})"
                )
    return None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, None, None]:
    """Let every marked test claim its cassette, whatever happens to the test later; also one that is marked late."""
    _claim(session, config, items)
    yield
    _claim(session, config, items)
    for item in items:
        _spare(item)


def _claim(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    lifecycle: Lifecycle | None = config.pluginmanager.get_plugin(_LIFECYCLE)
    if lifecycle is None:
        if not Ledger.of(config).folders and not any(map(_is_marked, items)) and not _holds_cassettes(items):
            return
        # What follows is imported only by a run that has a marked test, or cassettes of tests that are gone.
        from pytest_agenttape.plugin.lifecycle import Lifecycle

        lifecycle = Lifecycle(session)
        config.pluginmanager.register(lifecycle, _LIFECYCLE)
    lifecycle.claim(items)


def _is_marked(item: pytest.Item) -> bool:
    # Not by `item.keywords`, which is no quicker to speak of and does not know a mark appended to `own_markers`.
    return item.get_closest_marker(MARKER) is not None


def _spare(item: pytest.Item) -> None:
    """Take our fixture out of a test without the marker: to set up any fixture, even an empty one, costs too much."""
    names = getattr(item, "fixturenames", None)
    if names and _SESSION in names and not _is_marked(item):
        # A list of its own: tests of one parametrized function share theirs, and another of them may be marked.
        item.fixturenames = [name for name in names if name != _SESSION]  # type: ignore[attr-defined]  # of functions


def _holds_cassettes(items: list[pytest.Item]) -> bool:
    return any((folder / CASSETTES).is_dir() for folder in {item.path.parent for item in items})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Stop a marked test that has no session: nothing of it would be recorded, and in replay all of it would run."""
    if not _is_marked(item):
        return
    lifecycle: Lifecycle | None = item.config.pluginmanager.get_plugin(_LIFECYCLE)
    if lifecycle is None or not lifecycle.has_open(item):
        raise pytest.UsageError(
            f"{item.nodeid} is marked agenttape and has no session, so nothing of it was run: the marker was added "
            "after collection, or it is no Python test and has no fixtures"
        )


@pytest.fixture
def agenttape_config() -> Mapping[str, object]:
    """Configuration of this test or folder; override it to return a mapping of `Config` keys."""
    return {}


@pytest.fixture(autouse=True)
def _agenttape_session(request: pytest.FixtureRequest) -> object:
    """Open the session of a marked test before any other function-scoped fixture."""
    lifecycle: Lifecycle | None = request.config.pluginmanager.get_plugin(_LIFECYCLE)
    if lifecycle is None:
        return None
    return lifecycle.open(request)


@pytest.fixture
def agenttape_cassette(request: pytest.FixtureRequest, _agenttape_session: Any) -> CassetteHandle:
    """The cassette of this test: what was called, and assertions on it."""
    if _agenttape_session is None:
        raise pytest.UsageError(
            f"{request.node.nodeid} uses agenttape_cassette, but has no marker; add @pytest.mark.agenttape to the test"
        )
    from pytest_agenttape.plugin.handle import CassetteHandle

    return CassetteHandle(_agenttape_session, lambda: request.getfixturevalue("snapshot"))
