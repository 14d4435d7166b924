"""Flags, ini keys and the marker. Every run imports this module, so it loads nothing."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.settings.ci import updates_snapshots
from pytest_agenttape.settings.words import INI_KEYS, MARKER_OPTIONS, MODES

if TYPE_CHECKING:
    from pytest_agenttape.redaction import RedactionRules
    from pytest_agenttape.settings.config import Config
    from pytest_agenttape.settings.flags import Flags, Purse

MARKER = "agenttape"
CASSETTES = "cassettes"  # also in cassettes.paths; repeated because a run without a marked test must not load that
BROKEN_CONFTEST = pytest.StashKey[str]()  # why a conftest was not imported, where that stops nothing
PURSE: pytest.StashKey[Purse] = pytest.StashKey()  # of a run with a budget


def add_options(parser: pytest.Parser) -> None:
    """Register the flags and the ini keys."""
    group = parser.getgroup("agenttape", "recording and replaying agents")
    group.addoption(
        "--agenttape-record",
        action="store_true",
        help="Call the real services and rewrite the cassettes (the same as --agenttape-mode=all).",
    )
    group.addoption(
        "--agenttape-mode",
        choices=MODES,
        metavar="MODE",
        help=f"Record mode of every marked test; overrides its marker: {', '.join(MODES)}.",
    )
    group.addoption(
        "--agenttape-disable",
        action="store_true",
        help="Run marked tests as if they had no marker: nothing is recorded or replayed, every call is real.",
    )
    group.addoption(
        "--agenttape-block-network",
        action="store_true",
        help="Stop connections that leave the machine in tests without a marker, too.",
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
        help="Write a report of the run, of --agenttape-show or of --agenttape-diff to PATH: .html or .json; of a run "
        "also .otlp.json for OpenTelemetry, of --agenttape-diff and --agenttape-live also .md.",
    )
    group.addoption(
        "--agenttape-diff",
        nargs="+",
        metavar=("REVISION", "FOLDER"),
        help="Compare all cassettes with those of a git revision (or of A..B), or two cassettes or folders of them "
        "(OLD NEW); run no test; exit code 0: equal, 1: different, 4: unusable.",
    )
    group.addoption(
        "--agenttape-show",
        nargs="+",
        action="extend",
        metavar="CASSETTE",
        help="Print the timelines of cassettes (paths, names, or folders of them), run no test.",
    )
    group.addoption(
        "--agenttape-review",
        action="store_true",
        help="Refresh, but show each changed recording and ask before it is written; needs a terminal.",
    )
    group.addoption(
        "--agenttape-verify",
        action="store_true",
        help="Replay, and also send each LLM call and each HTTP request that only reads; fail if the shape of an "
        "answer has changed. Tools run if --agenttape-live names them.",
    )
    group.addoption(
        "--agenttape-live",
        action="append",
        metavar="TOKENS",
        help="Replay every marked test, but run these calls for real, such as llm, and compare with the recordings. "
        "With --agenttape-verify: tools that also run for real after each test that passed.",
    )
    group.addoption(
        "--agenttape-model",
        metavar="MODEL",
        help="With --agenttape-live: send the live LLM calls to this model.",
    )
    group.addoption(
        "--agenttape-times",
        type=_times,
        metavar="NUMBER",
        help="With --agenttape-live: run each marked test so often.",
    )
    group.addoption(
        "--agenttape-budget",
        metavar="MONEY",
        help="US dollars after which no further live call begins, such as 0.50, over all workers; needs "
        "pytest-agenttape[prices].",
    )
    group.addoption(
        "--agenttape-audit",
        action="store_true",
        help="Check every cassette instead of running tests: readable, lossless, free of secrets, not too old.",
    )
    group.addoption(
        "--agenttape-max-age",
        type=_days,
        metavar="AGE",
        help="With --agenttape-audit: fail cassettes older than this, such as 30d.",
    )
    parser.addini("agenttape_budget", "US dollars after which no further live call begins.", type="string", default="")
    for name, (kind, text) in INI_KEYS.items():
        parser.addini(f"agenttape_{name}", text, type=_known_type(kind), default=None)


def marker_help() -> str:
    """Return the text that ``pytest --markers`` shows."""
    name, *others = MARKER_OPTIONS
    return f"{MARKER}({name}=None, *, {', '.join(others)}): replay this test from a cassette, or record it."


def runs_no_test(option: argparse.Namespace) -> bool:
    """Return whether a cassette is to be shown or compared instead of a run."""
    # An early look at the command line finds no option of a plugin that is loaded later.
    return any(getattr(option, name, None) is not None for name in ("agenttape_show", "agenttape_diff"))


def is_trace(report: Path) -> bool:
    """Return whether the file *report* is to hold the run as a trace of OpenTelemetry."""
    return report.name.endswith(".otlp.json")


def compares_live(option: argparse.Namespace) -> bool:
    """Return whether tests run with live calls, to be compared with their recordings; none does to verify these."""
    return bool(option.agenttape_live) and not option.agenttape_verify


def title(option: argparse.Namespace) -> str:
    """Return what runs for real by ``--agenttape-live``: ``llm live, sent to gpt-5.5``."""
    sent = f", sent to {option.agenttape_model}" if option.agenttape_model else ""
    times = f", each test {option.agenttape_times} times" if (option.agenttape_times or 1) > 1 else ""
    return f"{','.join(option.agenttape_live)} live{sent}{times}"


def check_report(option: argparse.Namespace) -> None:
    """Refuse a report in a form that there is not for what is asked for.

    Raises:
        UsageError: Its message names the forms.
    """
    path: Path | None = option.agenttape_report
    if path is None:
        return
    if path.suffix == ".md" and option.agenttape_diff is None and not compares_live(option):
        raise pytest.UsageError(
            f"--agenttape-report={path.name}: Markdown is for --agenttape-diff and --agenttape-live; a run is reported "
            "as .json, .html or .otlp.json"
        )
    if option.agenttape_audit:
        raise pytest.UsageError(
            f"--agenttape-report={path.name}: --agenttape-audit runs no test that could be reported; give one of them"
        )
    if is_trace(path) and runs_no_test(option):
        raise pytest.UsageError(
            f"--agenttape-report={path.name}: a trace is of a run; --agenttape-diff is reported as .md, .html or "
            ".json, --agenttape-show as .html or .json"
        )


def check_age(option: argparse.Namespace) -> None:
    """Refuse an age that nothing is compared with.

    Raises:
        UsageError: Its message says what takes one.
    """
    if option.agenttape_max_age is not None and not option.agenttape_audit:
        raise pytest.UsageError(
            "--agenttape-max-age needs --agenttape-audit; for what tests replay, set max_age in the configuration or "
            "the marker"
        )


def is_of_tests(name: str) -> bool:
    """Return whether *name*, given beside cassettes, is a file of tests or a test."""
    path, mark, _ = name.partition("::")
    return bool(mark) or path.endswith(".py")


def is_marked(item: pytest.Item) -> bool:
    """Return whether *item* has our marker."""
    # `get_closest_marker` takes three times as long, for each of all tests, four times. `item.keywords` would miss
    # marks appended to `own_markers`.
    for node in item.iter_parents():
        for mark in node.own_markers:
            if getattr(mark, "name", None) == MARKER:
                return True
    return False


def given(config: pytest.Config) -> argparse.Namespace:
    """Return the options of the run; while its first conftests are imported, `config.option` does not have them yet."""
    return config.option if config.args else config.known_args_namespace


def has_snapshot_update(config: pytest.Config) -> bool:
    """Return whether syrupy's ``--snapshot-update`` is given."""
    return bool(getattr(given(config), "update_snapshots", False))


def has_new_snapshots_only(config: pytest.Config) -> bool:
    """Return whether syrupy (5.5 or later) was asked to write only snapshots that do not exist yet."""
    return bool(getattr(config.option, "update_new_snapshots_only", False))


def flag_given(config: pytest.Config, names: Iterable[str]) -> str | None:
    """Return the first of the options *names* that is given, as it is spelled; None if none is."""
    given = next((each for each in names if getattr(config.option, each, None) not in (None, False)), None)
    if given is None:
        return None
    return "--snapshot-update" if given == "update_snapshots" else f"--{given.replace('_', '-')}"


def flags_of(config: pytest.Config) -> Flags:
    """Return what the command line says about the mode of tests and blocks."""
    from pytest_agenttape.settings.flags import Flags  # only for runs with a marked test or a block

    return Flags(
        mode=config.option.agenttape_mode,
        record=config.option.agenttape_record,
        snapshot_update=has_snapshot_update(config),
        new_snapshots_only=has_new_snapshots_only(config),
        strict=config.option.agenttape_strict,
        disable=config.option.agenttape_disable,
        imposed_rules=partial(_imposed_rules, config),
        with_ini=partial(_with_ini, config),
        purse=config.stash.get(PURSE, None),
    )


def _imposed_rules(config: pytest.Config) -> RedactionRules:
    from pytest_agenttape.plugin.imposed_settings import policy_of  # only for runs with a block

    return policy_of(config)[1]


def _with_ini(config: pytest.Config, found: Config) -> Config:
    from pytest_agenttape.plugin.ini_keys import with_ini  # only for runs with a block

    return with_ini(config, found)


def deletes_orphans(config: pytest.Config) -> bool:
    """Return whether to delete cassettes that no test claims; never in CI."""
    is_update = updates_snapshots(os.environ, snapshot_update=has_snapshot_update(config))
    return is_update and not getattr(config.option, "no_cleanup", False)


def _known_type(kind: str) -> Any:
    """Return the ini type to register for *kind*; pytest has number types since 8.4."""
    return "string" if kind == "int" and pytest.version_tuple < (8, 4) else kind


def _report_path(value: str) -> Path:
    """Return the report's path; an unwritable one is refused before the run, not at its end."""
    path = Path(value).absolute()
    if path.suffix not in (".json", ".html", ".md"):
        raise argparse.ArgumentTypeError(f"{value}: the name of a report must end in .json, .html or .md")
    folder = next(each for each in path.parents if each.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{value}: cannot be written")
    return path


def _times(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value}: must be a whole number, 1 or more")
    return int(value)


def _days(value: str) -> float:
    # Imported only here: most runs do not ask for it.
    from pytest_agenttape.errors import ConfigError
    from pytest_agenttape.settings.ages import parse_age

    try:
        return parse_age(value)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(f"{value}: {error}") from None
