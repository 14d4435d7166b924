"""A run does not parse again the cassettes that a run before it has read."""

from __future__ import annotations

import sys

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


@pytest.mark.usefixtures("_alone")
def test_a_replay_imports_only_what_it_uses(project: Project) -> None:
    project.write(
        test_it=TEST
        + """
    def test_imports():
        import sys
        assert not {"httpx", "httpx2", "httpcore", "respx", "yaml", "responses"} & sys.modules.keys()
    """
    )
    run = (sys.executable, "-m", "pytest", "-p", "pytest_agenttape.plugin")
    for flags in (("--agenttape-record", "test_it.py::test_it"), ("test_it.py::test_it",)):
        project.pytester.run(*run, *flags).assert_outcomes(passed=1)
    project.pytester.run(*run).assert_outcomes(passed=2)
    assert project.live() == ["look_up Rome"]


@pytest.fixture
def _alone(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  # which sets these first
    """Load no plugin but ours, which a run names."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)


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
