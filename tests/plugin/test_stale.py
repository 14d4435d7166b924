"""``max_age`` and ``on_stale``: recordings that have grown old."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.plugin.project import Project


@pytest.fixture
def old(project: Project) -> Project:
    """Return a project whose cassette is 45 days old."""
    project.write(test_it=marked(""))
    project.record()
    age(project, days=45)
    return project


def marked(options: str) -> str:
    return f"""
        import pytest
        from agent import look_up

        @pytest.mark.agenttape({options})
        def test_it():
            look_up("Rome")
    """


def age(project: Project, **since: float) -> None:
    path, then = project.cassette(), datetime.now(UTC) - timedelta(**since)
    path.write_text(re.sub('created_at: ".*"', f'created_at: "{then.isoformat()}"', path.read_text()))


@pytest.mark.parametrize("source", ["marker", "ini", "file"])
def test_a_stale_recording_is_named_at_the_end_and_the_test_passes(old: Project, source: str) -> None:
    if source == "marker":
        old.write(test_it=marked("max_age='30d'"))
    elif source == "ini":
        old.ini("agenttape_max_age = 30d")
    else:
        (old.path / "agenttape.toml").write_text('max_age = "30d"\n')
    result = old.run()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "stale: cassettes/test_it/test_it.yaml was recorded 45 days ago; max_age is 30 days",
            "         record them again with --agenttape-record",
        ]
    )


@pytest.mark.parametrize(
    ("hours", "most", "said"),
    [
        (13, "12h", "recorded less than a day ago; max_age is 12 hours"),
        (30, "1d", "recorded 1 day ago; max_age is 1 day"),
    ],
)
def test_short_ages_are_told_in_their_own_unit(old: Project, hours: int, most: str, said: str) -> None:
    age(old, hours=hours)
    old.write(test_it=marked(f"max_age={most!r}"))
    old.run().stdout.fnmatch_lines([f"stale: cassettes/test_it/test_it.yaml was {said}"])


def test_on_stale_fail_fails_the_test(old: Project) -> None:
    old.write(test_it=marked("max_age='30d', on_stale='fail'"))
    result = old.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E   *StaleCassetteError: cassettes/test_it/test_it.yaml was recorded 45 days ago; max_age is 30 days",
            "E     record it again: pytest test_it.py::test_it --agenttape-record",
        ]
    )


@pytest.mark.parametrize("allowed", ["7w", "1200h", "45.5", "46d"])
def test_a_recording_that_is_not_that_old_is_not_named(old: Project, allowed: str) -> None:
    old.write(test_it=marked(f"max_age={allowed!r}, on_stale='fail'"))
    result = old.run()
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("stale:*")


def test_recorded_again_it_is_young_even_where_nothing_changed(old: Project) -> None:
    old.write(test_it=marked("max_age='30d', on_stale='fail'"))
    result = old.record()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["recorded: cassettes/test_it/test_it.yaml (1 live call)"])
    old.run().assert_outcomes(passed=1)


def test_without_max_age_a_recording_in_which_nothing_changed_stays_as_it_is(old: Project) -> None:
    before = old.cassette().read_bytes()
    old.record().assert_outcomes(passed=1)
    assert old.cassette().read_bytes() == before


def test_a_refresh_that_replays_does_not_make_it_young(old: Project) -> None:
    old.write(test_it=marked("max_age='30d', on_stale='fail'"))
    old.run("--snapshot-update").assert_outcomes(passed=1)
    old.run().assert_outcomes(failed=1)


@pytest.mark.parametrize("option", ["max_age='soon'", "max_age=-1", "max_age=True", "on_stale='shout'"])
def test_a_wrong_value_is_told_before_anything_runs(project: Project, option: str) -> None:
    project.write(test_it=marked(option))
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{option.partition('=')[0]} = *must be *"])
