"""Faults from the tape under pytest: the marker, the handle, and that a fault left out fails its test."""

from __future__ import annotations

import json

from tests.plugin.project import Project

TESTS = """
    import pytest
    from agent import look_up
    from pytest_agenttape import fault, tool

    def agent(city):
        for _ in range(3):
            try:
                return look_up(city)["answer"]
            except TimeoutError:
                continue
        return "no answer"

    @pytest.mark.agenttape("rome")
    def test_plain():
        assert agent("Rome") == "old"
"""


def recorded(project: Project, tests: str) -> None:
    project.write(test_it=TESTS)
    assert project.record().ret == 0
    project.write(test_it=TESTS + tests)


def test_a_marked_test_is_given_its_faults(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", times=2, error="timeout")])
    def test_two_timeouts(agenttape_cassette):
        assert agent("Rome") == "old"
        assert agenttape_cassette.tool_calls == ["look_up", "look_up", "look_up"]
        agenttape_cassette.assert_snapshot()

    @pytest.mark.agenttape("rome", faults=fault("tool", times=3, error=TimeoutError))
    def test_three_timeouts():
        assert agent("Rome") == "no answer"

    @pytest.mark.agenttape("rome", faults=fault("tool", result={"answer": "fog"}))
    def test_fog():
        assert agent("Rome") == "fog"
    """,
    )
    before = project.files()
    project.run("--agenttape-mode=none", "--snapshot-update").assert_outcomes(passed=4)
    project.run().assert_outcomes(passed=4)
    assert project.live() == []
    assert project.files() == before


def test_a_further_cassette_is_left_for_the_retry_too(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("oslo", also="rome", faults=[fault("look_up", times=2, error="timeout")])
    def test_also():
        assert agent("Rome") == "old"
    """,
    )
    project.run().assert_outcomes(passed=2)


def test_a_fault_is_injected_in_the_middle_of_a_test(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome")
    def test_it(agenttape_cassette):
        if agenttape_cassette.mode == "none":
            agenttape_cassette.inject(fault("look_up", error="timeout"))
        assert agent("Rome") == "old"
    """,
    )
    project.run().assert_outcomes(passed=2)


def test_a_fault_that_never_happened_fails_the_test(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", nth=4, error="timeout")])
    def test_it():
        assert agent("Rome") == "old"
    """,
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*def test_it():",
            "E   pytest_agenttape.errors.AgentTapeError: fault('look_up', nth=4, error='timeout') never happened: it "
            "is for call 4 of 'look_up', and the run made 1",
        ]
    )


def test_a_test_that_fails_says_which_fault_never_happened(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("lookup", error="timeout")])
    def test_it():
        assert agent("Rome") == "no answer"
    """,
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *AssertionError: assert 'old' == 'no answer'",
            "E *agenttape: fault('lookup', error='timeout') never happened: the run made no call of 'lookup'; "
            "it called look_up",
            "E * did you mean 'look_up'?",
        ]
    )


def test_a_test_with_faults_is_not_recorded_and_those_beside_it_are(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", error="timeout")])
    def test_it():
        assert agent("Rome") == "old"
    """,
    )
    for flag, mode in (("--agenttape-record", "all"), ("--snapshot-update", "refresh")):
        result = project.run(flag)
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines(
            [
                "E   pytest_agenttape.errors.ConfigError: fault('look_up', error='timeout'): faults happen in a replay "
                f"alone, and the mode of test_it.py::test_it is '{mode}'; record without them (--deselect leaves a "
                "test out), and replay with --agenttape-mode=none"
            ]
        )
    project.run().assert_outcomes(passed=2)


def test_without_cassettes_a_test_with_faults_is_skipped(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", error="timeout")])
    def test_it():
        assert agent("Rome") == "old"
    """,
    )
    result = project.run("--agenttape-disable", "-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED [[]1] *: --agenttape-disable: without a cassette, no fault happens"])
    assert project.live() == ["look_up Rome"]


def test_what_is_no_fault_is_refused_at_collection(project: Project) -> None:
    recorded(project, "    @pytest.mark.agenttape('rome', faults=['look_up'])\n    def test_it(): ...\n")
    result = project.run()
    result.stderr.fnmatch_lines(
        [
            "ERROR: agenttape: test_it.py::test_it: faults takes what fault(...) returns, such as "
            "faults=[[]fault('llm', status=429)]; found 'look_up'"
        ]
    )


def test_a_fault_that_a_call_cannot_have_decides_the_test(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", status=429)])
    def test_it():
        try:
            agent("Rome")
        except Exception:
            pass
    """,
    )
    result = project.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E   *ConfigError: fault('look_up', status=429): look_up is no call over HTTP: give it an error or a result"]
    )


def test_the_report_shows_the_faults(project: Project) -> None:
    recorded(
        project,
        """
    @pytest.mark.agenttape("rome", faults=[fault("look_up", error="timeout"), fault("look_up", nth=2, delay=9)])
    def test_it():
        assert agent("Rome") == "old"
    """,
    )
    project.run("--agenttape-report=report.json").assert_outcomes(passed=2)
    report = json.loads((project.path / "report.json").read_text())
    (test,) = [each for each in report["tests"] if "test_it.py::test_it" in each.values()]
    assert [step["fault"] for step in test["steps"]] == [
        "fault('look_up', error='timeout')",
        "fault('look_up', nth=2, delay=9)",
    ]
    assert [step["failed"] for step in test["steps"]] == [True, False]
    project.run("--agenttape-report=report.html").assert_outcomes(passed=2)
    assert "fault('look_up', error='timeout')" in (project.path / "report.html").read_text()
