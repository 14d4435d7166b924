"""`--agenttape-disable`: marked tests run as if they had no marker; markers, fixtures and cassettes stay."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TEST = """
    import time

    import pytest
    from agent import look_up
    from pytest_agenttape import active_session

    @pytest.mark.agenttape
    def test_it(request):
        look_up("a")
        assert (active_session() is None) == request.config.option.agenttape_disable

    @pytest.mark.agenttape
    @pytest.mark.parametrize("how", ["calls", "view", "equal"])
    def test_looking(agenttape_cassette, snapshot, how):
        agenttape_cassette.final_output = look_up("b")["answer"]
        if how == "calls":
            agenttape_cassette.assert_tool_calls(["look_up"])
        elif how == "view":
            agenttape_cassette.assert_snapshot()
        else:
            assert agenttape_cassette == snapshot

    def test_unmarked(): look_up("c")
"""


@pytest.fixture
def recorded(project: Project) -> Project:
    project.write(test_it=TEST)
    project.run("--agenttape-record", "--snapshot-update").assert_outcomes(passed=5)
    project.live()
    return project


def test_every_call_is_real_and_nothing_is_written(recorded: Project) -> None:
    files = {each: (recorded.path / each).read_bytes() for each in recorded.files()}
    result = recorded.run("--agenttape-disable", "-rs")
    result.assert_outcomes(passed=2, skipped=3)
    assert recorded.live() == ["look_up a", "look_up b", "look_up b", "look_up b", "look_up c"]
    result.stdout.fnmatch_lines(
        [
            "agenttape: marked tests run for real, nothing is recorded or replayed (--agenttape-disable)",
            "SKIPPED [[]1] test_it.py:*: --agenttape-disable: there is no cassette to look at",
        ]
    )
    assert "orphan:" not in result.stdout.str()
    assert {each: (recorded.path / each).read_bytes() for each in recorded.files()} == files


def test_no_cassette_is_needed(project: Project) -> None:
    project.write(test_it=TEST)
    project.run("--agenttape-disable").assert_outcomes(passed=2, skipped=3)
    assert project.files() == []


@pytest.mark.parametrize("flag", ["--agenttape-record", "--agenttape-mode=none", "--agenttape-strict"])
def test_it_goes_with_no_option_that_asks_for_cassettes(recorded: Project, flag: str) -> None:
    result = recorded.run("--agenttape-disable", flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --agenttape-disable and {flag.partition('=')[0]} do not go together"])
    assert recorded.live() == []


def test_blocks_are_no_cassettes_either(project: Project) -> None:
    project.write(
        test_it="""
        from agent import look_up
        from pytest_agenttape import record, use_cassette

        def test_it():
            with use_cassette("a", mode="once"):
                look_up("a")
            record("b")(look_up)("b")
        """
    )
    project.run().assert_outcomes(passed=1)
    project.live()
    before = {each: (project.path / each).read_bytes() for each in project.files()}
    project.run("--agenttape-disable").assert_outcomes(passed=1)
    assert project.live() == ["look_up a", "look_up b"]
    assert {each: (project.path / each).read_bytes() for each in project.files()} == before
