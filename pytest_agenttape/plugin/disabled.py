"""What stands in place of a cassette under ``--agenttape-disable``, where nothing is recorded or replayed."""

from __future__ import annotations

from typing import NoReturn

import pytest

from pytest_agenttape.plugin.options import MARKER, flag_given

OTHERS = ("agenttape_record", "agenttape_mode", "agenttape_strict", "agenttape_audit")  # options that ask for cassettes


class NoCassette:
    """The fixture `agenttape_cassette` of a disabled run: whoever looks at it has the rest of the test skipped."""

    def __getattr__(self, name: str) -> NoReturn:
        __tracebackhide__ = True
        if name.startswith("__"):  # asked by Python and by libraries, not by the test
            raise AttributeError(name)
        _skip()

    def __eq__(self, other: object) -> bool:
        __tracebackhide__ = True
        _skip()

    __hash__ = None  # type: ignore[assignment]  # as of any class with an `__eq__` of its own

    def __repr__(self) -> str:
        return "<no cassette: --agenttape-disable>"


def skip_with_faults(item: pytest.Item) -> None:
    """Skip a test whose marker has faults: they happen in a replay alone."""
    if any(mark.kwargs.get("faults") for mark in item.iter_markers(MARKER)):
        pytest.skip("--agenttape-disable: without a cassette, no fault happens")


def refuse_contradiction(config: pytest.Config) -> None:
    """Stop a run that is told to use cassettes and not to.

    Raises:
        UsageError: Another option asks for them.
    """
    other = flag_given(config, OTHERS)
    if config.option.agenttape_disable and other is not None:
        raise pytest.UsageError(f"--agenttape-disable and {other} do not go together")


def _skip() -> NoReturn:
    """Skip the test at the line that looks at the cassette, which is where pytest says it was skipped."""
    __tracebackhide__ = True
    pytest.skip("--agenttape-disable: there is no cassette to look at")
