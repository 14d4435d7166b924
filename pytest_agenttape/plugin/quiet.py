"""Keeps what our dependencies say from projects that do not use them; registered as a plugin of its own."""

from __future__ import annotations

import warnings
from contextlib import suppress

import pytest


@pytest.hookimpl(tryfirst=True)  # before pytest-asyncio's
def pytest_configure(config: pytest.Config) -> None:
    """Keep pytest-asyncio, which comes with us, from warning a project that has not set it up about its settings."""
    with suppress(ValueError):  # it is not loaded
        if config.getini("asyncio_mode") == "strict":  # as it is by default
            # Until the configuration is done: pytest restores the filters then.
            warnings.filterwarnings(
                "ignore", message='The configuration option "asyncio_default_fixture_loop_scope" is unset'
            )
