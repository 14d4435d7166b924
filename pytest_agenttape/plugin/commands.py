"""Shows one cassette or compares two in the terminal, without running tests."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import imported, paths
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.imported.redacting import redacted
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError, ConfigError
from pytest_agenttape.model import CASSETTES_FOLDER
from pytest_agenttape.plugin.imposed_settings import policy_of
from pytest_agenttape.reading.diff import diff_cassettes
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

EQUAL, DIFFERENT, UNUSABLE = 0, 1, 4


def print_diff(config: pytest.Config, old: str, new: str) -> int:
    """Print how the cassette *new* differs from *old*, given as paths or bare names.

    Returns:
        0 if they are equal, 1 if they differ, 4 if one of them cannot be used.
    """
    try:
        found = [_cassette(config, each) for each in (old, new)]
        rules = key_rules(Config.load(config.invocation_params.dir))
    except AgentTapeError as error:
        return _print_problem(error)
    diff = diff_cassettes(*found, rules=rules)
    print(diff.render())
    return EQUAL if diff.identical else DIFFERENT


def print_timeline(config: pytest.Config, name: str) -> int:
    """Print the timeline of the cassette *name*, a path or a bare name; return 0, or 4 if it cannot be used."""
    try:
        cassette = _cassette(config, name)
    except AgentTapeError as error:
        return _print_problem(error)
    print(timeline(cassette.interactions))
    return EQUAL


def _print_problem(error: AgentTapeError) -> int:
    # A message about a damaged file may quote it.
    print(f"agenttape: {Redactor(RedactionRules(), os.environ).text(str(error))}")
    return UNUSABLE


def _cassette(config: pytest.Config, name: str) -> Cassette:
    path = _find(name, config.invocation_params.dir)
    cassette = Cassette.load(path)
    if not imported.is_imported(cassette.interactions):
        return cassette  # what we record is redacted
    _, imposed = policy_of(config)
    # The built-in rules last: where they are switched off, they still hold for what is printed.
    rules = RedactionRules.of(Config.load(path.parent).redact).merged(imposed).merged(RedactionRules())
    redactor = Redactor(rules, os.environ)
    return redacted(redacted(cassette, redactor), redactor)  # again, for a later call may tell what is a secret


def _find(name: str, root: Path) -> Path:
    """Return the file that *name* refers to: itself, or the only cassette with that name below *root*.

    Raises:
        CassetteNotFoundError: There is none.
        ConfigError: There are several.
    """
    if Path(name).exists():
        return Path(name)
    stem, extension = paths.split_extension(name)
    suffixes = [extension] if extension else paths.EXTENSIONS
    found = [path for suffix in suffixes for path in _below_cassettes(root, stem + suffix)]
    if len(found) > 1:
        raise ConfigError(f"{name!r} matches several cassettes; give a path: {', '.join(map(str, found))}")
    if not found:
        raise CassetteNotFoundError(f"there is no file {name!r} and no cassette with that name below {root}")
    return found[0]


def _below_cassettes(root: Path, name: str) -> Sequence[Path]:
    parts = Path(name).parts
    return sorted(
        path
        for path in root.rglob(parts[-1].replace("[", "[[]"))
        if path.parts[-len(parts) :] == parts and CASSETTES_FOLDER in path.parts
    )
