"""A run does not parse again the cassettes that a run before it has read."""

from __future__ import annotations

import pytest

from pytest_agenttape import serializer
from tests.plugin.project import Project

TEST = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        assert look_up("Rome")["answer"] == "old"
"""


def test_runs_after_the_first_parse_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=TEST)
    project.record()
    kept = project.path / ".pytest_cache" / "d" / "agenttape-parsed"
    project.run("-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert not kept.exists()
    project.run().assert_outcomes(passed=1)
    assert len(list(kept.iterdir())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(serializer, "load", None)
        project.run().assert_outcomes(passed=1)
    project.cassette().write_text(project.cassette().read_text().replace("answer: old", "answer: new"))
    project.run().assert_outcomes(failed=1)
    assert not project.live()
