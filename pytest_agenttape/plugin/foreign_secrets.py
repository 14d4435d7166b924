"""Cassettes of other tools, fit to be printed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.imported.redacting import redacted
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.plugin.imposed_settings import policy_of
from pytest_agenttape.plugin.options import BROKEN_CONFTEST
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.settings.config import Config


def without_secrets(cassette: Cassette, path: Path, config: pytest.Config) -> Cassette:
    """Return *cassette*, which is at *path*, without what the project, its policies or we call secrets.

    Raises:
        ConfigError: A rule cannot be used, or a conftest that may have further ones cannot be imported.
    """
    why = config.stash.get(BROKEN_CONFTEST, None)
    if why is not None:
        raise ConfigError(
            f"{path} is not shown: another tool recorded it, and what must be redacted is not known "
            f"without the conftest that cannot be imported: {why}"
        )
    # A copy may lie outside of its project.
    own, here = (RedactionRules.of(Config.load(each).redact) for each in (path.parent, config.invocation_params.dir))
    _, imposed = policy_of(config)
    # The built-in rules hold for what is printed even where they are switched off.
    rules = replace(own.merged(here).merged(imposed), enabled=True)
    redactor = Redactor(rules, os.environ)
    return redacted(redacted(cassette, redactor), redactor)  # again, for a later call may tell what is a secret
