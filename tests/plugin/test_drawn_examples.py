"""Tests under hypothesis' @given: replayed if they draw the same examples each time, refused if not."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.plugin.project import Project

TEST = """
    import pytest
    from agent import look_up
    from hypothesis import given, settings, strategies as st

    @pytest.mark.agenttape
    {settings}
    @given(st.integers(0, 1_000_000))
    def test_it(number):
        look_up(str(number))
"""


@pytest.mark.parametrize("settings", ["", "@settings(max_examples=3)"])
@pytest.mark.parametrize("flags", [["--agenttape-record"], []])
def test_examples_drawn_at_random_are_refused_with_the_way_out(
    project: Project, settings: str, flags: list[str]
) -> None:
    project.write(test_it=TEST.format(settings=settings))
    result = project.run_apart(*flags)  # hypothesis draws the same ones wherever it knows of CI
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ConfigError: hypothesis draws other examples in each run, and a cassette holds the calls of one run",
            "E * let it draw the same ones: @settings(derandomize=True), or name them with @pytest.mark.parametrize: "
            "https://pytest-agenttape.readthedocs.io/en/latest/pytest.html#hypothesis",
        ]
    )
    assert project.live() == []


def test_the_same_examples_are_replayed(project: Project) -> None:
    project.write(test_it=TEST.format(settings="@settings(derandomize=True, max_examples=5)"))
    project.record().assert_outcomes(passed=1)
    project.run("--agenttape-strict").assert_outcomes(passed=1)
    assert project.live() == []


def test_a_test_that_makes_no_call_draws_as_it_likes(project: Project) -> None:
    project.write(test_it=TEST.replace("look_up(str(number))", "pass").format(settings="@settings(max_examples=3)"))
    project.record().assert_outcomes(passed=1)


def test_an_unmarked_test_draws_as_it_likes(project: Project) -> None:
    project.write(test_it=TEST.replace("@pytest.mark.agenttape", "").format(settings="@settings(max_examples=3)"))
    project.run().assert_outcomes(passed=1)


def test_the_settings_of_a_test_are_where_we_look_for_them() -> None:
    @hypothesis.settings(derandomize=True)
    @hypothesis.given(st.integers())
    def drawn(number: int) -> None: ...

    assert hypothesis.is_hypothesis_test(drawn)
    assert drawn.is_hypothesis_test
    assert drawn._hypothesis_internal_use_settings.derandomize
