"""`pytest_agenttape_policy`: no test can undo the settings of an organisation."""

from __future__ import annotations

import pytest

AGENT = """
    import pytest
    from pytest_agenttape import tool

    @tool
    def login(user):
        return {"user": user, "badge": "staff-0042-blue"}

    @pytest.mark.agenttape(MARKER)
    def test_login(agenttape_config):
        login("ann")
"""


def record(pytester: pytest.Pytester, policy: str, marker: str = "") -> str:
    pytester.makeconftest(f"def pytest_agenttape_policy(config): return {policy}")
    pytester.makepyfile(AGENT.replace("MARKER", marker))
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=1)
    [cassette] = pytester.path.rglob("cassettes/**/*.yaml")
    return cassette.read_text()


def test_a_policys_redaction_is_added_to_what_the_test_says(pytester: pytest.Pytester) -> None:
    text = record(pytester, "{'redact': {'denylist': ['badge']}}", "redact=['user']")
    assert "staff-0042-blue" not in text
    assert "ann" not in text


@pytest.mark.parametrize("marker", ["", "@pytest.mark.agenttape"])
def test_a_policys_redaction_holds_for_blocks(pytester: pytest.Pytester, marker: str) -> None:
    pytester.makeconftest("def pytest_agenttape_policy(config): return {'redact': {'denylist': ['badge']}}")
    pytester.makepyfile(f"""
        import pytest
        from pytest_agenttape import tool, use_cassette

        @tool
        def login(user):
            return {{"user": user, "badge": "staff-0042-blue"}}

        opened = use_cassette("block")  # before the run began

        {marker}
        def test_it():
            with opened:
                login("ann")
    """)
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=1)
    [cassette] = pytester.path.rglob("cassettes/block.yaml")
    assert "staff-0042-blue" not in cassette.read_text()
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_test_cannot_switch_a_policys_redaction_off(pytester: pytest.Pytester) -> None:
    pytester.makefile(".toml", agenttape="[redact]\nenabled = false\n")
    assert "staff-0042-blue" not in record(pytester, "{'redact': {'regexes': ['staff-[0-9]{4}-[a-z]+']}}")


def test_a_policys_setting_wins_over_the_marker(pytester: pytest.Pytester) -> None:
    record(pytester, "{'strict': True}", "strict=False")
    pytester.makepyfile(AGENT.replace("MARKER", "strict=False").replace('login("ann")', "pass"))
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*UnplayedInteractionsError*"])


@pytest.mark.parametrize(
    ("policy", "marker", "body", "passed"),
    [
        ("{'default_mode': 'none'}", "mode='all'", 'login("bob")', 0),
        ("{'default_matchers': ['ordered']}", "matchers='exact'", 'login("bob")', 1),
        ("{'repeats': ['login']}", "repeats='other'", 'login("ann"), login("ann")', 1),
        (
            "{'freeze': []}",
            "freeze='clock'",
            'import time; assert len({time.time_ns() for _ in range(99)}) > 1; login("ann")',
            1,
        ),
    ],
)
def test_a_policy_wins_over_a_marker_that_spells_it_otherwise(
    pytester: pytest.Pytester, policy: str, marker: str, body: str, passed: int
) -> None:
    record(pytester, "{}")
    pytester.makepyfile(AGENT.replace("MARKER", marker).replace('login("ann")', body))
    pytester.makeconftest(f"def pytest_agenttape_policy(config): return {policy}")
    pytester.runpytest().assert_outcomes(passed=passed, failed=1 - passed)


def test_a_policy_names_the_cassettes(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("def pytest_agenttape_policy(config): return {'format': 'json', 'cassette_dir': 'tapes'}")
    pytester.makepyfile(test_it=AGENT.replace("MARKER", "format='yaml'"))
    pytester.runpytest("--agenttape-record").assert_outcomes(passed=1)
    assert [str(each.relative_to(pytester.path)) for each in pytester.path.rglob("*.json")] == [
        "tapes/test_it/test_login.json"
    ]


@pytest.mark.parametrize(
    ("policy", "problem"),
    [
        ("5", "it must return a mapping of settings, or None; found 5"),
        ("['strict']", "it must return a mapping of settings, or None; found ['strict']"),
        ("{'strikt': True}", "strikt = True: unknown setting 'strikt'. Did you mean 'strict'[?] Valid: *"),
        ("{'strict': 'yes'}", "strict = 'yes': must be true or false"),
        ("{'redact': {'regexes': ['(']}}", "redact.regexes = ['(']: '(' is not a regular expression: *"),
    ],
)
def test_a_policy_that_cannot_be_used_ends_the_run(pytester: pytest.Pytester, policy: str, problem: str) -> None:
    pytester.makeconftest(f"def pytest_agenttape_policy(config): return {policy}")
    pytester.makepyfile(AGENT.replace("MARKER", ""))
    result = pytester.runpytest("--agenttape-record")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: the hook pytest_agenttape_policy: {problem}".replace("['", "[[]'")])
