"""The cassettes of tests, where they were compressed by gzip."""

from __future__ import annotations

import gzip

import pytest

from tests.plugin.project import Project

TEST = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it(): assert look_up("a")["answer"] == "old"

    @pytest.mark.agenttape("named.yaml.gz")
    def test_named(): look_up("b")
"""


@pytest.fixture
def packed(project: Project) -> Project:
    """A project whose cassettes were compressed."""
    project.write(test_it=TEST)
    project.record()
    path = project.cassette()
    path.with_name("test_it.yaml.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return project


def test_a_tests_cassette_is_found_where_it_was_compressed(packed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ["cassettes/named.yaml.gz", "cassettes/test_it/test_it.yaml.gz"]
    assert packed.files() == files
    packed.run("--agenttape-strict").assert_outcomes(passed=2)
    assert packed.live() == []
    monkeypatch.setenv("WORLD", "old")
    packed.write(test_it=TEST.replace('"a"', '"new"'))
    result = packed.run("--snapshot-update")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["refreshed: cassettes/test_it/test_it.yaml.gz*"])
    assert packed.files() == files
    packed.run("--agenttape-audit").assert_outcomes(passed=2)


def test_it_is_shown_and_an_orphan_like_any_other(packed: Project) -> None:
    packed.run("--agenttape-show", "test_it/test_it").stdout.fnmatch_lines(["*look_up(city='a')*"])
    packed.write(test_it=TEST.replace("def test_it", "def test_other"))
    packed.run().stdout.fnmatch_lines(["orphan: cassettes/test_it/test_it.yaml.gz (no test claims it; *"])
