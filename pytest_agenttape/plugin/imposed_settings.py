"""The settings that an organisation's hooks impose on every marked test."""

from __future__ import annotations

import pytest

from pytest_agenttape.redaction import RedactionRules
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.precedence import resolve


def policy_of(config: pytest.Config) -> tuple[dict[str, object], RedactionRules]:
    """Return the settings that override a test's own, and the redaction rules to add to them."""
    policies = [dict(each) for each in config.hook.pytest_agenttape_policy(config=config) if each]
    rules = RedactionRules(enabled=False)
    for policy in policies:
        redact = Config.from_mapping({"redact": policy.pop("redact", {})}).redact
        rules = rules.merged(RedactionRules.of(redact))
    return dict(resolve(*policies)), rules
