"""``--agenttape-diff``: how two cassettes differ, in the terminal, without running tests."""

from __future__ import annotations

import pytest

from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.plugin.asked_cassettes import AskedCassettes
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.diff import diff_recordings
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

EQUAL, DIFFERENT, UNUSABLE = 0, 1, 4


def compare(config: pytest.Config, old: str, new: str) -> int:
    """Print how the cassette *new* differs from *old*, given as paths or bare names.

    Returns:
        0 if they are equal, 1 if they differ, 4 if one of them cannot be used.
    """
    screen = Screen(config)
    asked = AskedCassettes(config, screen)
    before, after = asked.only(old), asked.only(new)
    if before is None or after is None:
        return UNUSABLE
    try:
        rules = key_rules(Config.load(config.invocation_params.dir))
    except AgentTapeError as error:
        asked.refuse(error)
        return UNUSABLE
    diff = diff_recordings(before, after, rules=rules)
    screen.write(diff.lines(note=_took))
    took = Facts.of(*before.interactions).to(Facts.of(*after.interactions))
    screen.write([Line(""), Line(f"total: {took}", "aside")] if took else [])
    return EQUAL if diff.identical else DIFFERENT


def _took(divergence: Divergence) -> str:
    """Return what a call took, before and after if both runs have it."""
    after = Facts.of(divergence.call)
    return str(after) if divergence.before is None else Facts.of(divergence.before).to(after)
