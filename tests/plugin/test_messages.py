"""What a user reads when tests fail: the cause on one line, once for many tests, and the cheapest way out first."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from pytest_agenttape.plugin.report.wording import page
from tests.plugin.project import Project

THREE = """
    import pytest
    from agent import look_up
    from pytest_agenttape import tool

    PLACE = {place!r}

    @tool
    def plan(system, city):
        return look_up(city)

    @pytest.mark.agenttape
    @pytest.mark.parametrize("city", ["Rome", "Oslo", "Bern"])
    def test_it(city):
        plan(PLACE, city)
"""
RE_RECORD = "E * re-record: pytest test_it.py::test_it --agenttape-record"
ACCEPT = "E * accept the change, live only where it differs: pytest test_it.py::test_it --snapshot-update"


def test_one_cause_over_many_tests_is_said_once_with_the_count(project: Project) -> None:
    project.write(test_it=THREE.format(place="You plan trips."))
    project.record().assert_outcomes(passed=3)
    project.write(test_it=THREE.format(place="You plan short trips, and you answer in one sentence."))
    result = project.run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "*- agenttape -*",
            "failed: 3 tests for one cause: system changed",
            "        accept it in all of them, live only where it differs: pytest --lf --snapshot-update",
            "help: https://pytest-agenttape.readthedocs.io/en/latest/workflow.html#when-tests-fail",
        ],
        consecutive=True,
    )


ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up({city!r})
"""


@pytest.mark.parametrize(
    ("code", "line"),
    [
        pytest.param(ONE.format(city="Oslo"), "city: 'Rome' -> 'Oslo'", id="changed"),
        pytest.param(ONE.format(city="Rome") + "        look_up('Rome')\n", "already played once: look_up", id="twice"),
        pytest.param(ONE.format(city="Rome").replace("test_it", "test_new"), "no cassette", id="no cassette"),
    ],
)
def test_the_short_summary_has_the_cause_within_80_columns(project: Project, code: str, line: str) -> None:
    project.write(test_it=ONE.format(city="Rome"))
    project.record()
    project.write(test_it=code)
    name = "test_new" if "test_new" in code else "test_it"
    project.run().stdout.fnmatch_lines([f"FAILED test_it.py::{name} - {line}"])


@pytest.mark.parametrize(
    ("assertion", "line"),
    [
        ("assert_tool_calls(['look_up', 'book'])", "book was not made after #0 look_up(city='Rome')"),
        ("assert_snapshot()", "the view is not the stored one"),
    ],
)
def test_it_has_that_of_our_assertions_too(project: Project, assertion: str, line: str) -> None:
    project.write(test_it=ONE.format(city="Rome"))
    project.record()
    test = ONE.format(city="Rome").replace("test_it()", "test_it(agenttape_cassette)")
    project.write(test_it=f"{test}        agenttape_cassette.{assertion}\n")
    project.run().stdout.fnmatch_lines([f"FAILED test_it.py::test_it - {line}"])


@pytest.mark.parametrize(("old", "new"), [("Rome", "Oslo"), ("180 cents", "200 cents")], ids=["text", "a number"])
def test_the_cheapest_way_out_comes_first(project: Project, old: str, new: str) -> None:
    project.write(test_it=ONE.format(city=old))
    project.record()
    project.write(test_it=ONE.format(city=new))
    result = project.run()
    result.stdout.fnmatch_lines([ACCEPT, RE_RECORD], consecutive=True)
    result.stdout.no_fnmatch_line("*ignore_volatile_fields*")  # an amount is no id and no date


def test_a_pending_recording_comes_before_a_live_run(project: Project) -> None:
    project.write(test_it=ONE.format(city="Rome"))
    project.record()
    project.write(test_it=ONE.format(city="Oslo") + "        assert False\n")
    project.record().assert_outcomes(failed=1)
    project.run().stdout.fnmatch_lines(
        [
            "E * accept what a failed test has recorded, without paying again: "
            "pytest test_it.py::test_it --snapshot-update",
            RE_RECORD,
        ],
        consecutive=True,
    )


def test_what_differs_on_each_run_can_be_left_out(project: Project) -> None:
    project.write(test_it=ONE.format(city="order 2025-11-03 of 8f3a"))
    project.record()
    project.write(test_it=ONE.format(city="order 2026-01-17 of 41bc"))
    project.run().stdout.fnmatch_lines(
        ["E * if it differs on each run: ignore_volatile_fields = [[]'args.city'] in agenttape.toml", ACCEPT],
        consecutive=True,
    )
    (project.path / "agenttape.toml").write_text("ignore_volatile_fields = ['args.city']\n")
    project.run().assert_outcomes(passed=1)


CACHED = """
    import functools
    import pytest
    from agent import look_up
    from pytest_agenttape import tool

    @functools.cache
    def token():
        return sign_in("me")

    @tool
    def sign_in(user):
        return "signed in"

    @pytest.mark.agenttape
    @pytest.mark.parametrize("city", ["Rome", "Oslo"])
    def test_it(city):
        token()
        look_up(city)
"""


def test_a_call_that_is_made_once_per_process_gets_a_hint(project: Project) -> None:
    project.write(test_it=CACHED)
    project.record().assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)
    for alone in (["-k", "Oslo"], ["test_it.py::test_it[Oslo]"]):
        result = project.run(*alone)
        assert result.parseoutcomes()["failed"] == 1
        result.stdout.fnmatch_lines(
            [
                "E * cassettes/test_it/test_it[[]Rome].yaml has it: is it made once per process (an import, *)?",
                "E * then make it in a fixture with a use_cassette block of its own, or clear the cache for each test",
            ]
        )
    project.write(
        test_it=CACHED.replace(
            "def test_it(city):",
            "def test_it(city, signed_in):",
        )
        + """
    @pytest.fixture(scope="module")
    def signed_in():
        from pytest_agenttape import use_cassette

        with use_cassette("token"):
            token()
    """
    )
    project.record().assert_outcomes(passed=2)
    project.run("-k", "Oslo").assert_outcomes(passed=1, deselected=1)
    project.run("-k", "Rome").assert_outcomes(passed=1, deselected=1)


def test_every_page_that_a_message_names_has_that_heading() -> None:
    root = Path(__file__).parents[2]
    source = "".join(path.read_text() for path in sorted((root / "pytest_agenttape").rglob("*.py")))
    links = set(re.findall(r"page\(['\"]([\w-]+)['\"], ['\"]([\w-]+)['\"]\)", source))
    assert links
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert page("workflow", "x") == project["urls"]["Documentation"] + "workflow.html#x"
    for name, anchor in links:
        headings = re.findall(r"^#+ (.+)$", (root / f"docs/{name}.md").read_text(), flags=re.MULTILINE)
        assert anchor in {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}, (name, anchor)
