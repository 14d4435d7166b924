"""The markers of a test: their combined options, and the one that names the cassette."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape.plugin.options import MARKER
from pytest_agenttape.settings.options import Options, of_markers


def options_of(item: pytest.Item) -> Options:
    """Return the combined options of the markers of *item*; the closest marker wins.

    Raises:
        ConfigError: A marker is invalid.
    """
    return of_markers((mark.args, mark.kwargs) for mark in item.iter_markers(MARKER))


def explicit_name(item: pytest.Item) -> tuple[Any, int | None]:
    """Return the cassette name from the closest marker with one, and its class depth (None: it is on the test)."""
    for node, mark in item.iter_markers_with_node(MARKER):
        name = mark.args[0] if mark.args else mark.kwargs.get("cassette")
        if name is None:
            continue
        if node is item:
            return name, None
        return name, sum(isinstance(each, pytest.Class) for each in node.listchain())
    return None, None
