"""Tools that the configuration names are recorded and replayed though production code knows nothing of it."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TOOLS = """
    from pathlib import Path

    def charge(cents):
        with Path(__file__).with_name("live.log").open("a") as log:
            log.write(f"charge {cents}\\n")
        return f"charged {cents}"
"""
TEST = """
    import pytest
    from shop.tools import charge

    {fixture}

    @pytest.mark.agenttape
    def test_it(agenttape_cassette{argument}):
        assert charge(450) == "charged 450"
        agenttape_cassette.assert_tool_calls(["charge"])
"""


@pytest.fixture
def shop(project: Project) -> Project:
    project.write(shop__tools=TOOLS, test_it=TEST.format(fixture="", argument=""))
    return project


def charged(project: Project) -> list[str]:
    log = project.path / "shop/live.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


@pytest.mark.parametrize("where", ["ini", "toml"])
def test_they_run_when_recording_and_not_in_replay(shop: Project, where: str) -> None:
    if where == "ini":
        shop.ini("agenttape_tools = shop.tools.*")
    else:
        (shop.path / "agenttape.toml").write_text('tools = ["shop.tools.*"]\n')
    shop.run("--agenttape-record").assert_outcomes(passed=1)
    assert charged(shop) == ["charge 450"]
    shop.run("--agenttape-strict").assert_outcomes(passed=1)
    assert charged(shop) == []


def test_a_wide_fixture_does_not_call_one_for_real_in_replay(shop: Project) -> None:
    shop.ini("agenttape_tools = shop.tools.charge")
    shop.run("--agenttape-record").assert_outcomes(passed=1)
    charged(shop)
    fixture = "@pytest.fixture(scope='module')\n    def paid():\n        charge(1)"
    shop.write(test_it=TEST.format(fixture=fixture, argument=", paid"))
    result = shop.run()
    result.assert_outcomes(errors=1)
    assert charged(shop) == []


def test_a_name_that_is_none_of_a_function_is_told(shop: Project) -> None:
    shop.ini("agenttape_tools = shop.tools.chage")
    result = shop.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *ConfigError: tools = [[]'shop.tools.chage']: shop.tools has no function 'chage'"])
    assert charged(shop) == []
