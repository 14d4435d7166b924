"""What a user can ask of the plugin: flags, ini keys and the marker. Every run imports this, so it loads nothing."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pytest

MARKER = "agenttape"
MARKER_OPTIONS = (
    "cassette", "mode", "live", "frozen", "matchers", "freeze", "format", "strict", "redact", "tags", "allow_errors",
    "allow_hosts",
)  # fmt: skip
# Repeated, so that a run without a marked test need not load their homes; a test compares.
MODES = ("none", "once", "new_episodes", "refresh", "all", "record")  # of model.Mode
CASSETTES = "cassettes"  # of cassettes.paths

# What an ini file may hold as `agenttape_<name>`: name, type, help.
INI_KEYS: tuple[tuple[str, Any, str], ...] = (
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


def add_options(parser: pytest.Parser) -> None:
    """Register the flags and the ini keys."""
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
    for name, kind, text in INI_KEYS:
        parser.addini(f"agenttape_{name}", text, type=kind, default=None)


def marker_help() -> str:
    """Return the line that ``pytest --markers`` shows."""
    name, *others = MARKER_OPTIONS
    return f"{MARKER}({name}=None, *, {', '.join(others)}): replay this test from a cassette, or record it."


def is_marked(item: pytest.Item) -> bool:
    """Say whether *item* has our marker."""
    # Not by `item.keywords`: hardly quicker, and without the marks that were appended to `own_markers`.
    return item.get_closest_marker(MARKER) is not None


def is_ci() -> bool:
    """Say whether this is a CI run, where only a flag of ours records."""
    return bool(os.environ.get("CI"))


def has_snapshot_update(config: pytest.Config) -> bool:
    """Say whether syrupy's ``--snapshot-update`` is given."""
    return bool(getattr(config.option, "update_snapshots", False))


def has_new_snapshots_only(config: pytest.Config) -> bool:
    """Say whether syrupy, from 5.5 on, was asked to write only the snapshots that do not exist yet."""
    return bool(getattr(config.option, "update_new_snapshots_only", False))


def deletes_orphans(config: pytest.Config) -> bool:
    """Say whether cassettes that no test claims are deleted; CI alone does not grant it."""
    return has_snapshot_update(config) and not is_ci() and not getattr(config.option, "no_cleanup", False)


def _report_path(value: str) -> Path:
    """Return the report's path; one that cannot be written is refused before the run, not at its end."""
    path = Path(value).absolute()
    if path.suffix not in (".json", ".html"):
        raise argparse.ArgumentTypeError(f"{value}: the name of a report ends in .json or .html")
    folder = next(each for each in path.parents if each.exists())
    if path.is_dir() or not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{value}: cannot be written")
    return path


def _days(value: str) -> float:
    days = float(value)
    if not 0 <= days <= 1_000_000:  # NaN neither
        raise argparse.ArgumentTypeError(f"{value}: an age is a number of days, from 0 to 1000000")
    return days
