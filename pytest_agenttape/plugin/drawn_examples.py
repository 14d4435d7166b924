"""Tests of hypothesis: one that draws other examples in each run cannot be replayed from the cassette of one run.

Third-party private used: `_hypothesis_internal_use_settings` of a test, seen in hypothesis 6.100 and 6.170.
"""

from __future__ import annotations

import sys

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.plugin.report.wording import page

_SETTINGS = "_hypothesis_internal_use_settings"


def problem_of_drawn_examples(item: pytest.Item) -> ConfigError | None:
    """Return why a test must not make calls: it would record examples that no later run draws again."""
    test = getattr(item, "obj", None)
    hypothesis = sys.modules.get("hypothesis")
    if hypothesis is None or not getattr(test, "is_hypothesis_test", False):
        return None
    settings = getattr(test, _SETTINGS, None) or hypothesis.settings.default
    if settings.derandomize:
        return None
    return ConfigError(
        "hypothesis draws other examples in each run, and a cassette holds the calls of one run\n"
        "  let it draw the same ones: @settings(derandomize=True), or name them with @pytest.mark.parametrize: "
        + page("pytest", "hypothesis")
    )
