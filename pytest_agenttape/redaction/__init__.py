"""Keeping secrets out of cassettes: by name, by pattern and by value, before anything is keyed or stored."""

from __future__ import annotations

from pytest_agenttape.redaction.known import environment_secrets
from pytest_agenttape.redaction.placeholders import (
    PLACEHOLDER,
    any_secret,
    canonical_base64,
    canonical_secrets,
    is_placeholder,
    placeholders_in,
)
from pytest_agenttape.redaction.redactor import Redactor
from pytest_agenttape.redaction.rules import RedactionRules
from pytest_agenttape.redaction.text import Finding

__all__ = [
    "PLACEHOLDER",
    "Finding",
    "RedactionRules",
    "Redactor",
    "any_secret",
    "canonical_base64",
    "canonical_secrets",
    "environment_secrets",
    "is_placeholder",
    "placeholders_in",
]
