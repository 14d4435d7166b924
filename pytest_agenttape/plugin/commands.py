"""What the command line may ask for instead of a run; each command loads only what it needs."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pytest_agenttape.plugin.options import check_report


def run_command(config: pytest.Config) -> int:
    """Show or compare cassettes, as the options say, and return the exit code.

    Raises:
        UsageError: The options ask for both, or for a report that there is not.
    """
    names, compared = config.option.agenttape_show, config.option.agenttape_diff
    if names is not None and compared is not None:
        raise pytest.UsageError("--agenttape-show and --agenttape-diff do not go together; give one of them")
    check_report(config.option)
    with _without_garbage_collection():
        if names is not None:
            from pytest_agenttape.plugin.showing import show

            return show(config, names)
        from pytest_agenttape.plugin.comparing import compare

        return compare(config, compared)


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Save a quarter of the time of a command, which makes many objects, imports above all, and drops few."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
