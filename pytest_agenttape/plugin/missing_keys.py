"""What is said where a client was built without its key and without a stand-in for it: at import, in a wide fixture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import pytest

from pytest_agenttape.errors import add_note
from pytest_agenttape.plugin.headlines import give_headline
from pytest_agenttape.plugin.report.wording import page
from pytest_agenttape.providers.keys import missing_key

_MARK = b"agenttape"  # stands in every test file that uses us


def note_missing_key(error: BaseException, cassette: str | None = None, command: str = "") -> None:
    """Add to *error*, which a replaying test failed with, what to do if it is about a key that is not set.

    Args:
        cassette: The missing cassette of a test whose session is open; None if it is not missing, or not open yet.
        command: The command that records it.
    """
    name = missing_key(str(error)) if isinstance(error, Exception) else None
    if name is None or os.environ.get(name):
        return
    if cassette is None:
        why = f"{name} is not set, and gets a stand-in only while a test's session is open\n  {_advice(name)}"
    else:
        give_headline(error, f"no cassette, and {name} is not set")
        why = f"{name} is not set, and there is no cassette at {cassette} yet\n  record it with the key set: {command}"
    add_note(error, f"agenttape: {why}")


def keyless_file(report: pytest.CollectReport) -> str | None:
    """Return the key that a test file of ours lacks to be imported; None if it failed for another reason."""
    name = missing_key(report.longreprtext)
    path = getattr(report, "fspath", None)
    if name is None or path is None:
        return None
    try:
        with open(path, "rb") as file:
            return name if _MARK in file.read() else None
    except OSError:
        return None


def keyless_lines(files: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Yield what to say about the *files* that could not be imported, by the key that they lack."""
    for name, listed in sorted(files.items()):
        more = f" (and {len(listed) - 1} more)" if len(listed) > 1 else ""
        yield f"no key: {listed[0]}{more} builds a client when it is imported, and {name} is not set"
        yield f"        {_advice(name)}"


def _advice(name: str) -> str:
    where = page("pytest", "keys-in-replay")
    return f"build the client on first use, or set {name} to any text before: {where}"
