"""Calls made while tests are collected, such as a tool that a test module calls when it is imported."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

MARKED = """
    import pytest
    from agent import look_up

    {call}

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""
PLAIN = 'from agent import look_up\n\nHERE = look_up("Oslo")\n\ndef test_plain():\n    assert HERE\n'
CALL = 'HERE = look_up("Oslo")'
SWALLOWED = """try:
        look_up("Oslo")
    except Exception:
        pass"""
REFUSED = "a call was made while test_it.py was collected, before any cassette is open; nothing ran for real"
REAL = "refused: a call ran for real while tests were collected, in a run that only replays (conftest.py:4)"


@pytest.fixture
def recorded(project: Project) -> Project:
    project.write(test_it=MARKED.format(call=""))
    project.record()
    return project


@pytest.mark.parametrize("call", [CALL, 'pytestmark = pytest.mark.parametrize("city", [look_up("Oslo")])'])
def test_a_file_with_marked_tests_runs_no_tool_when_it_is_imported(recorded: Project, call: str) -> None:
    recorded.write(test_it=MARKED.format(call=call))
    result = recorded.run()
    result.stdout.fnmatch_lines([f"E   *AgentTapeError: {REFUSED}", "*1 error*"])
    assert recorded.live() == []


def test_a_refusal_that_is_swallowed_fails_the_run(recorded: Project) -> None:
    recorded.write(test_it=MARKED.format(call=SWALLOWED))
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"refused: {REFUSED} (test_it.py:5)"])
    assert recorded.live() == []


def test_what_a_hook_runs_for_real_fails_a_run_that_only_replays(recorded: Project) -> None:
    recorded.write(conftest='from agent import look_up\n\ndef pytest_itemcollected():\n    look_up("Oslo")\n')
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([REAL])


def test_a_file_without_marked_tests_may_call_what_it_likes(recorded: Project) -> None:
    recorded.write(test_plain=PLAIN)
    recorded.run().assert_outcomes(passed=2)
    assert recorded.live() == ["look_up Oslo"]


def test_it_may_even_if_none_of_its_tests_is_selected(recorded: Project) -> None:
    recorded.write(test_plain=PLAIN)
    assert recorded.run("-k", "test_it").ret == pytest.ExitCode.OK
    assert recorded.live() == ["look_up Oslo"]


def test_a_run_that_may_make_live_calls_may_make_these(recorded: Project) -> None:
    recorded.write(test_it=MARKED.format(call=CALL))
    recorded.run("--agenttape-record").assert_outcomes(passed=1)
    assert recorded.live() == ["look_up Oslo", "look_up Rome"]
