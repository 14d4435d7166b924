"""The comparison of two cassettes, given as they are or as files."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.reading.diff import CassetteDiff, Recording, diff_recordings


def diff_cassettes(
    a: Recording | str | os.PathLike[str], b: Recording | str | os.PathLike[str], *, rules: KeyRules | None = None
) -> CassetteDiff:
    """Return what changed from cassette *a* to cassette *b*; each is a `Cassette` or the path of one.

    Whatever differs in every recording of one run is ignored: run id, times, volatile headers, and the identifiers
    and timestamps that a provider puts into an LLM exchange.

    Raises:
        ConfigError: One of them is neither.
        CassetteNotFoundError: A file does not exist.
        CassetteCorruptError: A file cannot be read as a cassette.
    """
    return diff_recordings(_loaded(a), _loaded(b), rules=rules)


def _loaded(given: Recording | str | os.PathLike[str]) -> Recording:
    if isinstance(given, str | os.PathLike):
        return Cassette.load(Path(given))
    if isinstance(given, Recording):
        return given
    raise ConfigError(f"diff_cassettes compares two Cassettes or their paths, not {given!r}")
