"""Where the fixture that opens a test's session comes among the fixtures of the test."""

from __future__ import annotations

import pytest

from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.plugin.pytest_privates import scope_of

NAME = "_agenttape_session"  # defined in the plugin's own module, as pytest wants it


def leave_out(item: pytest.Item) -> None:
    """Take our fixture out of a test without the marker: to set up any fixture, even an empty one, costs too much."""
    names = getattr(item, "fixturenames", None)
    if names and NAME in names and not is_marked(item):
        # A list of its own: tests of one parametrized function share theirs, and another of them may be marked.
        item.fixturenames = [name for name in names if name != NAME]  # type: ignore[attr-defined]  # of functions


def move_first(item: pytest.Item) -> None:
    """Move our fixture before every other function-scoped one, also before one that another plugin made autouse."""
    names: list[str] = getattr(item, "fixturenames", [])
    if NAME not in names:
        return
    first = next(at for at, name in enumerate(names) if name == NAME or scope_of(item, name) == "function")
    if names[first] != NAME:
        names.remove(NAME)
        names.insert(first, NAME)
