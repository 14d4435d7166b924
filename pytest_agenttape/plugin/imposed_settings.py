"""The settings that an organisation's hooks impose on every marked test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.redaction import RedactionRules
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import Options
from pytest_agenttape.settings.precedence import resolve


def policy_of(config: pytest.Config) -> tuple[dict[str, object], RedactionRules]:
    """Return the settings that override a test's own, and the redaction rules to add to them.

    Raises:
        UsageError: A hook returns no settings, or rules that cannot be used.
    """
    try:
        policies = [_settings(each) for each in config.hook.pytest_agenttape_policy(config=config) if each]
        rules = RedactionRules(enabled=False)
        for policy in policies:
            redact = Config.from_mapping({"redact": policy.pop("redact", {})}).redact
            rules = rules.merged(RedactionRules.of(redact))
        settings = resolve(*policies)
        Config.from_mapping(settings)
    except ConfigError as error:
        raise pytest.UsageError(f"the hook pytest_agenttape_policy: {error}") from None
    return settings, rules


def imposed(options: Options, policy: Mapping[str, object]) -> Options:
    """Return a marker's *options* without those that a *policy* sets under the configuration's names for them."""
    return replace(
        options,
        mode=None if "default_mode" in policy else options.mode,
        matchers=None if "default_matchers" in policy else options.matchers,
        repeats=None if "repeats" in policy else options.repeats,
        freeze=None if "freeze" in policy else options.freeze,
        format=None if "format" in policy else options.format,
    )


def _settings(returned: object) -> dict[str, object]:
    if not isinstance(returned, Mapping):
        raise ConfigError(f"it must return a mapping of settings, or None; found {returned!r}")
    return dict(returned)
