"""A recording is kept whole when its test passed, and never in part."""

from __future__ import annotations

from tests.plugin.project import Project

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        assert look_up("Rome")["city"] == "Rome"
"""


def test_a_passing_test_writes_its_cassette(project: Project) -> None:
    project.write(test_it=ONE)
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["created: cassettes/test_it/test_it.yaml (1 live call)"])
    assert project.calls() == ["Rome"]
    assert project.live() == ["look_up Rome"]


def test_replay_runs_nothing(project: Project) -> None:
    project.write(test_it=ONE)
    project.record()
    project.run().assert_outcomes(passed=1)
    assert project.live() == []
