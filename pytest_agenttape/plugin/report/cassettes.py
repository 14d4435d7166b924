"""The report of ``--agenttape-show``: recorded runs, which no test was run for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.model import JSON
from pytest_agenttape.plugin.report import about, totals
from pytest_agenttape.plugin.report.file import write_document
from pytest_agenttape.plugin.report.shown_calls import recorded_steps
from pytest_agenttape.plugin.report.test_record import ShownStep
from pytest_agenttape.plugin.report.wording import shown


def write_cassettes(path: Path, cassettes: Mapping[Path, Cassette], config: pytest.Config) -> str | None:
    """Write a report of *cassettes* to *path*, by its extension; return an error message if that fails."""
    runs = {place: recorded_steps(each.interactions) for place, each in cassettes.items()}
    document = {
        **about.document("cassettes", config),
        "totals": {"calls": sum(map(len, runs.values())), **totals.taken_by_all([*runs.values()])},
        "kinds": totals.kinds(runs.values()),
        "models": totals.by_model(runs.values()),
        "cassettes": [_cassette(place, each, runs[place]) for place, each in cassettes.items()],
    }
    return write_document(path, document)


def _cassette(path: Path, cassette: Cassette, steps: tuple[ShownStep, ...]) -> dict[str, JSON]:
    test, tags = cassette.meta.get("test"), cassette.meta.get("tags")
    return {
        "path": shown(path),
        "test": test if isinstance(test, str) else None,
        "created_at": cassette.created_at,
        "tags": [str(each) for each in tags] if isinstance(tags, list) else [],
        "calls": len(steps),
        **totals.taken_by(steps),
        "steps": steps,
    }
