"""The position of the session fixture among the fixtures of a test."""

from __future__ import annotations

import pytest

from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.plugin.pytest_privates import asks_for, scope_of

NAME = "_agenttape_session"  # defined in the plugin's module, where pytest looks for fixtures


def leave_out(item: pytest.Item) -> None:
    """Remove our fixture from an unmarked test: setting up any fixture, even an empty one, costs too much.

    So does pytest's `request`, which no test but asks for it needs, marked or not; our fixture is given it anyway.
    """
    names = getattr(item, "fixturenames", None)
    if names and NAME in names:
        ours = {NAME, "request"}
        if is_marked(item):
            ours.discard(NAME)
        if asks_for(item, "request", apart_from=NAME):
            ours.discard("request")
        # A new list: the tests of a parametrized function share one, and another of them may be marked.
        item.fixturenames = [name for name in names if name not in ours]  # type: ignore[attr-defined]  # of functions


def move_first(item: pytest.Item) -> None:
    """Move our fixture before every other function-scoped one, even another plugin's autouse fixture."""
    names: list[str] = getattr(item, "fixturenames", [])
    if NAME not in names:
        return
    first = next(at for at, name in enumerate(names) if name == NAME or scope_of(item, name) == "function")
    if names[first] != NAME:
        names.remove(NAME)
        names.insert(first, NAME)
