"""A long live recording shows its progress."""

from __future__ import annotations

import pytest

from pytest_agenttape.plugin import progress
from tests.plugin.project import Project

SUITE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        for city in ("Paris", "Rome"):
            look_up(city)
"""


def test_a_long_recording_says_how_many_calls_it_made(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    project.write(test_it=SUITE)
    result = project.run("--agenttape-record")
    result.stdout.fnmatch_lines(
        ["agenttape: test_it.py::test_it: 1 live call, 0 s", "agenttape: test_it.py::test_it: 2 live calls, 0 s"]
    )


def test_a_short_one_and_a_replay_say_nothing(project: Project) -> None:
    project.write(test_it=SUITE)
    project.run("--agenttape-record").stdout.no_fnmatch_line("*live call*, *")
    project.run().stdout.no_fnmatch_line("*live call*, *")
