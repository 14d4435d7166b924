"""Recordings of other tools, redacted as if they had been recorded here."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from pytest_agenttape.cassettes.contents import Contents
from pytest_agenttape.redaction import Redactor

_Contents = TypeVar("_Contents", bound=Contents)


def redacted(cassette: _Contents, redactor: Redactor) -> _Contents:
    """Return *cassette* with the recordings of other tools, and the notes on them, redacted."""
    recordings = [each if each.imported_from is None else redactor.interaction(each) for each in cassette.interactions]
    return replace(cassette, meta=redactor.value(cassette.meta), interactions=recordings)
