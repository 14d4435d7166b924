"""Stops a run if the other distribution that registers a pytest plugin ``agenttape`` is installed too.

Both use the same entry point name, and pytest silently loads only the first one that it finds. This module has an
entry point with a different name, so it is loaded in either case. It asserts nothing: PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

NAME = "agenttape"
OURS = "pytest_agenttape.plugin"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Raise before pytest rejects options that it does not know.

    Raises:
        UsageError: Both distributions are installed.
    """
    plugins = early_config.pluginmanager
    if plugins.is_blocked(NAME):
        return
    loaded = plugins.get_plugin(NAME)
    if (loaded is not None and getattr(loaded, "__name__", OURS) != OURS) or _is_installed():
        raise pytest.UsageError(
            "agenttape and pytest-agenttape are both installed; both register the pytest plugin 'agenttape', with the "
            "same options, marker and fixtures.\n"
            "  uninstall one of them:        pip uninstall agenttape\n"
            "  or use pytest-agenttape only: pytest -p no:agenttape -p pytest_agenttape.plugin\n"
            "  or neither in this run:       pytest -p no:agenttape"
        )


def _is_installed() -> bool:
    """Return whether the other distribution is installed; its metadata is not read if its module does not exist."""
    spec = importlib.util.find_spec(NAME)
    if spec is None or spec.origin is None:
        return False
    try:
        entries = importlib.metadata.distribution(NAME).entry_points
    except importlib.metadata.PackageNotFoundError:  # a module of the user's
        return False
    return any(entry.group == "pytest11" and entry.name == NAME for entry in entries)
