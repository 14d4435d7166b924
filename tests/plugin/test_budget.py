"""``--agenttape-budget``: once the money is spent, no further live call begins; what was recorded stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.plugin.project import Project

pytest.importorskip("genai_prices")

# A million tokens of gpt-4o cost 2.50 dollars when asked, so one call costs 0.25.
AGENT = """
    import pytest
    from pytest_agenttape import record_call, tool
    from agent import look_up, note

    def ask(question, model="gpt-4o", tokens=100_000):
        def answer():
            note(f"ask {question}")
            return question.upper()
        usage = {"input_tokens": tokens, "output_tokens": 0}
        return record_call("llm", {"model": model, "prompt": question}, answer, boundary="ask", usage=usage)
"""
SUITE = f"""{AGENT}
    @pytest.mark.agenttape
    def test_one():
        ask("one")

    @pytest.mark.agenttape
    def test_two():
        ask("two")
        ask("three")
        look_up("Rome")

    @pytest.mark.agenttape
    def test_three():
        look_up("Oslo")
        ask("four")
"""


@pytest.fixture
def suite(project: Project) -> Project:
    project.write(test_it=SUITE)
    return project


def test_once_the_money_is_spent_no_further_live_call_begins(suite: Project) -> None:
    result = suite.run("--agenttape-record", "--agenttape-budget=0.40")
    result.assert_outcomes(passed=1, failed=2)
    assert suite.live() == ["ask one", "ask two"]
    result.stdout.fnmatch_lines(
        [
            "agenttape: live calls are made and cassettes rewritten (--agenttape-record); none begins after $0.40 "
            "(--agenttape-budget)",
            "E  *RecordingRefusedError: the budget of $0.40 is spent (--agenttape-budget); no further live call begins",
            "E  *  spent: about $0.50 by all live LLM calls of this run",
            "E  *  what was recorded is kept: run again with --snapshot-update and a budget, and only the rest is*",
            "failed: 2 tests for one cause: the budget of $0.40 is spent (--agenttape-budget); no further live call*",
            "budget: about $0.50 of $0.40 spent, $0.00 left",
        ]
    )


def test_the_next_run_pays_only_for_the_rest(suite: Project) -> None:
    suite.run("--agenttape-record", "--agenttape-budget=0.40")
    suite.live()
    result = suite.run("--snapshot-update", "--agenttape-budget=$1")
    result.assert_outcomes(passed=3)
    assert suite.live() == ["ask three", "look_up Rome", "look_up Oslo", "ask four"]
    result.stdout.fnmatch_lines(["budget: about $0.50 of $1.00 spent, $0.50 left"])
    suite.run().assert_outcomes(passed=3)


def test_a_replay_spends_nothing_whatever_the_budget(suite: Project) -> None:
    suite.record()
    result = suite.run("--agenttape-budget=0")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["budget: about $0.00 of $0.00 spent, $0.00 left"])


def test_without_any_money_nothing_runs(suite: Project) -> None:
    suite.run("--agenttape-record", "--agenttape-budget=0").assert_outcomes(failed=3)
    assert suite.live() == []


def test_an_agent_that_goes_on_fails_its_test(project: Project) -> None:
    project.write(
        test_it=f"""{AGENT}
    @pytest.mark.agenttape
    def test_it():
        for question in ("one", "two", "three"):
            try:
                ask(question)
            except Exception:
                pass
"""
    )
    project.run("--agenttape-record", "--agenttape-budget=0.1").assert_outcomes(failed=1)
    assert project.live() == ["ask one"]
    assert not project.cassette().exists()


def test_blocks_are_paid_from_the_same_budget(project: Project) -> None:
    project.write(
        test_it=f"""{AGENT}
    from pytest_agenttape import use_cassette

    def test_first():
        with use_cassette("first", mode="once"):
            ask("one")

    def test_second():
        with use_cassette("second", mode="once"):
            ask("two")
"""
    )
    result = project.run("--agenttape-budget=0.1")
    result.assert_outcomes(passed=1, failed=1)
    assert project.live() == ["ask one"]
    assert (project.path / "cassettes" / "first.yaml").exists()
    result.stdout.fnmatch_lines(["budget: about $0.25 of $0.10 spent, $0.00 left"])


def test_a_live_tool_that_has_begun_is_not_cut_in_two_but_asks_no_model(project: Project) -> None:
    project.write(
        test_it=f"""{AGENT}
    @tool
    def pay(amount):
        ask("may I?")
        look_up("Rome")
        try:
            ask("sure?")
        finally:
            note("paid")

    @pytest.mark.agenttape
    def test_it():
        pay(3)
"""
    )
    project.run("--agenttape-record", "--agenttape-budget=0.1").assert_outcomes(failed=1)
    assert project.live() == ["ask may I?", "look_up Rome", "paid"]


def test_a_model_without_a_known_price_is_named_once(project: Project) -> None:
    calls = "".join(
        f"""
    @pytest.mark.agenttape
    def test_{number}():
        ask("{number}", model="house-llama")
"""
        for number in range(4)
    )
    project.write(test_it=AGENT + calls)
    for workers in ((), ("-p", "xdist", "-n2")):
        result = project.run_apart("--agenttape-record", "--agenttape-budget=0.1", *workers)
        result.assert_outcomes(passed=4)
        said = [line for line in result.outlines if "house-llama" in line and line.startswith("budget")]
        assert said == ["budget: the price of house-llama is unknown, so its calls are not counted"]


def test_all_workers_pay_from_one_budget(project: Project) -> None:
    tests = "".join(
        f"""
    @pytest.mark.agenttape
    def test_{number}():
        ask("{number}")
        time.sleep(0.3)
"""
        for number in range(12)
    )
    project.write(test_it=f"    import time\n{AGENT}{tests}")
    result = project.run_apart("--agenttape-record", "--agenttape-budget=1", "-p", "xdist", "-n2")
    made = len(project.live())
    assert 4 <= made <= 5  # the one over is under way when the other passes the budget
    result.assert_outcomes(passed=made, failed=12 - made)
    result.stdout.fnmatch_lines([f"budget: about ${made * 0.25:.2f} of $1.00 spent, $0.00 left"])


def test_the_ini_key_says_the_same_and_the_flag_wins(suite: Project) -> None:
    suite.ini("agenttape_budget = 0.10")
    result = suite.run("--agenttape-record")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["agenttape: live calls are made*; none begins after $0.10 (agenttape_budget)"])
    suite.run("--agenttape-record", "--agenttape-budget=5").assert_outcomes(passed=3)
    result = suite.run()
    result.assert_outcomes(passed=3)
    result.stdout.no_fnmatch_line("*budget*")  # it holds for each run, and this one spends nothing


@pytest.mark.parametrize("said", ["much", "-1", "nan", "inf", "1e25", ""])
def test_what_is_no_amount_is_refused(suite: Project, said: str) -> None:
    result = suite.run(f"--agenttape-budget={said}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --agenttape-budget takes US dollars, such as 0.50; found {said!r}"])


def test_without_prices_or_a_cassette_nothing_can_be_counted(suite: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    result = suite.run("--agenttape-disable", "--agenttape-budget=1")
    result.stderr.fnmatch_lines(["ERROR: --agenttape-budget: with --agenttape-disable no call is seen*"])
    monkeypatch.setattr("pytest_agenttape.providers.pricing.are_known", lambda: False)
    result = suite.run("--agenttape-budget=1")
    result.stderr.fnmatch_lines(["ERROR: --agenttape-budget needs prices: pip install 'pytest-agenttape[[]prices[]]'"])


def test_nothing_is_left_on_the_disk(suite: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    suite.run("--agenttape-record", "--agenttape-budget=1")
    assert os.listdir(tmp_path) == []
