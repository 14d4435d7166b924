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


KEY, PASSWORD, OWN = "sk-proj-Zq81LmNv0aTtY7pXcWqR55dE", "correct-horse-battery-91", "ACME-77120934"


def foreign(path: Path, *, token: str = "first") -> Path:
    """Write a cassette of vcrpy that holds secrets wherever one can stand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""\
interactions:
- request:
    method: POST
    uri: https://api.example.test/login?api_key={KEY}&page=1
    headers:
      Authorization: ['Bearer {KEY}']
      Content-Type: [application/json]
    body: '{{"user": "ann", "password": "{PASSWORD}", "turn": "{token}", "customer": "{OWN}"}}'
  response:
    status: {{code: 200, message: OK}}
    headers:
      Content-Type: [application/json]
      X-Api-Key: ['{token}-{KEY}']
    body: {{string: '{{"access_token": "{token}-{KEY}", "note": "key {KEY}", "customer": "{OWN}"}}'}}
version: 1
"""
    )
    return path


def assert_keeps_secrets(result: pytest.RunResult) -> None:
    printed = result.stdout.str() + result.stderr.str()
    assert "api.example.test/login" in printed
    assert [secret for secret in (KEY, PASSWORD, KEY[8:]) if secret in printed] == []


def test_the_secrets_of_another_tools_cassette_are_not_shown(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "login.yaml")
    result = pytester.runpytest("--agenttape-show", "login.yaml")
    assert result.ret == 0
    assert_keeps_secrets(result)


def test_the_secrets_of_other_tools_cassettes_are_not_in_their_difference(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "old.yaml")
    foreign(pytester.path / "new.yaml", token="second")
    result = pytester.runpytest("--agenttape-diff", "old.yaml", "new.yaml")
    assert result.ret == 1
    assert_keeps_secrets(result)


def test_the_rules_of_the_project_and_of_the_organisation_hold_for_what_is_shown(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "tests" / "login.yaml")
    (pytester.path / "tests" / "agenttape.toml").write_text("[redact]\nenabled = false\nregexes = ['ACME-[0-9]+']\n")
    pytester.makeconftest("def pytest_agenttape_policy(config): return {'redact': {'denylist': ['user']}}")
    result = pytester.runpytest("--agenttape-show", "tests/login.yaml")
    assert_keeps_secrets(result)
    result.stdout.no_fnmatch_line(f"*{OWN}*")
    result.stdout.no_fnmatch_line("*ann*")


def test_a_secret_that_only_a_later_call_reveals_is_not_shown(pytester: pytest.Pytester) -> None:
    path = foreign(pytester.path / "login.yaml")
    earlier = "- request: {method: GET, uri: 'https://api.example.test/login', body: null, headers: {}}\n"
    earlier += f"  response: {{status: {{code: 200, message: OK}}, headers: {{}}, body: {{string: 'is {PASSWORD} ok?'}}}}\n"
    path.write_text(path.read_text().replace("- request:", f"{earlier}- request:", 1))
    assert_keeps_secrets(pytester.runpytest("--agenttape-show", "login.yaml"))


def test_a_message_about_an_unreadable_cassette_keeps_its_secrets(pytester: pytest.Pytester) -> None:
    text = foreign(pytester.path / "login.yaml").read_text()
    (pytester.path / "login.yaml").write_text(f"{text}'{KEY}': 1\n'{KEY}': 2\n")
    result = pytester.runpytest("--agenttape-show", "login.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: login.yaml:*"])
    assert KEY not in result.stdout.str()
