"""``--agenttape-diff`` and ``--agenttape-show``: cassettes in the terminal, without running tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_agenttape import Cassette, Interaction

MODULE = """
    def test_never_runs():
        raise AssertionError
"""


def cassette(path: Path, *cities: str) -> Path:
    interactions = [
        Interaction(index=number, kind="tool", boundary="get_weather", request={"args": {"city": city}}, response=21)
        for number, city in enumerate(cities)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    Cassette(interactions=interactions).save(path)
    return path


def test_equal_cassettes_exit_0(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE)
    old = cassette(pytester.path / "old.yaml", "Paris")
    new = cassette(pytester.path / "new.json", "Paris")
    assert pytester.runpytest("--agenttape-diff", str(old), str(new)).ret == 0


def test_a_changed_argument_is_named_and_exits_1(pytester: pytest.Pytester) -> None:
    old = cassette(pytester.path / "old.yaml", "Paris", "Rome")
    new = cassette(pytester.path / "new.yaml", "Paris", "Oslo")
    result = pytester.runpytest("--agenttape-diff", str(old), str(new))
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*first divergence: the argument city changed in call 1 (get_weather)", "*'Rome'", "*'Oslo'"]
    )


def test_bare_names_are_found_below_cassettes(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_x[1].yaml", "Paris")
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_y.yaml", "Paris")
    assert pytester.runpytest("--agenttape-diff", "test_x[1]", "test_y").ret == 0


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        pytest.param(lambda _: None, "agenttape: there is no file 'new.yaml'*", id="missing"),
        pytest.param(lambda path: path.write_text("a: [1"), "agenttape: new.yaml:*", id="corrupt"),
        pytest.param(lambda path: path.write_text(""), "agenttape: new.yaml*is empty*", id="empty"),
        pytest.param(lambda path: path.mkdir(), "agenttape: new.yaml*directory*", id="directory"),
    ],
)
def test_an_unusable_cassette_exits_4(pytester: pytest.Pytester, prepare: object, line: str) -> None:
    cassette(pytester.path / "old.yaml", "Paris")
    prepare(pytester.path / "new.yaml")  # type: ignore[operator]  # a function of a path
    result = pytester.runpytest("--agenttape-diff", "old.yaml", "new.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines([line])


def test_an_ambiguous_name_exits_4(pytester: pytest.Pytester) -> None:
    for folder in ("test_a", "test_b"):
        cassette(pytester.path / "cassettes" / folder / "test_x.yaml", "Paris")
    result = pytester.runpytest("--agenttape-diff", "test_x", "test_x")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: 'test_x' matches several cassettes; give a path: *"])


def test_show_prints_the_timeline_and_runs_no_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE)
    path = cassette(pytester.path / "cassettes" / "paris.yaml", "Paris")
    result = pytester.runpytest("--agenttape-show", str(path))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["tool get_weather(city='Paris')", "*21*"])
    result.stdout.no_fnmatch_line("*test_never_runs*")
