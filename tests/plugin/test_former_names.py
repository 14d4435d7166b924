"""A cassette that pytest-recording named is found where the names of both tools differ."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project

TEST = """
    import os

    import pytest
    import requests

    def ask(path):
        return requests.get(os.environ["ORIGIN"] + path, timeout=5).json()

    @pytest.mark.agenttape
    @pytest.mark.parametrize("path", ["/a?b=1"])
    def test_ask(path): assert ask(path) == {"said": "recorded"}

    class TestOuter:
        class TestInner:
            @pytest.mark.agenttape
            def test_it(self): assert ask("/inner") == {"said": "recorded"}
"""
FORMER = {"test_ask[-a-b=1].yaml": "/a?b=1", "TestInner.test_it.yaml": "/inner"}
CASSETTE = """
interactions:
- request:
    body: null
    headers: {{}}
    method: GET
    uri: {uri}
  response:
    body: {{string: '{{"said": "recorded"}}'}}
    headers: {{content-type: [application/json]}}
    status: {{code: 200, message: OK}}
version: 1
"""


@pytest.fixture
def migrated(project: Project, origin: Origin) -> Project:
    project.write(test_it=TEST)
    folder = project.path / "cassettes" / "test_it"
    folder.mkdir(parents=True)
    for name, path in FORMER.items():
        (folder / name).write_text(CASSETTE.format(uri=origin.url + path))
    return project


def test_it_is_replayed(migrated: Project, origin: Origin) -> None:
    migrated.run("--agenttape-strict").assert_outcomes(passed=2)
    assert origin.asked == []


def test_recording_again_keeps_the_name(migrated: Project) -> None:
    migrated.write(test_it=TEST.replace("recorded", "hello"))
    migrated.run("--agenttape-record").assert_outcomes(passed=2)
    assert migrated.files() == sorted(f"cassettes/test_it/{name}" for name in FORMER)
    migrated.run().assert_outcomes(passed=2)


def test_our_own_name_comes_first(migrated: Project, origin: Origin) -> None:
    for name in FORMER:
        migrated.cassette(f"test_it/{name}").rename(migrated.cassette(f"test_it/{name}.away"))
    migrated.write(test_it=TEST.replace("recorded", "hello"))
    migrated.run("--agenttape-record").assert_outcomes(passed=2)
    for name in FORMER:
        migrated.cassette(f"test_it/{name}.away").rename(migrated.cassette(f"test_it/{name}"))
    origin.asked.clear()
    migrated.run().assert_outcomes(passed=2)
    assert origin.asked == []
