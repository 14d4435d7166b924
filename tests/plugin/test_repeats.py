"""A marked test that polls: `repeats` in the marker, in the configuration and in an ini file."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TEST = """
    import pytest
    from agent import look_up, note

    @pytest.mark.agenttape({marker})
    def test_it(agenttape_cassette):
        for _ in range({rounds}):
            look_up("Rome")
        look_up("Oslo")
        assert len(agenttape_cassette.tool_calls) == {rounds} + 1
        {check}
"""
VIEW = "agenttape_cassette.assert_snapshot()"


def write(project: Project, rounds: int, *, marker: str = "repeats=['look_up']", check: str = VIEW) -> None:
    project.write(test_it=TEST.format(marker=marker, rounds=rounds, check=check))


@pytest.mark.parametrize("rounds", [1, 2, 3, 5])
def test_the_view_is_the_same_in_any_number_of_rounds(project: Project, rounds: int) -> None:
    write(project, 3)
    project.record().assert_outcomes(passed=1)
    write(project, rounds)

    project.run("--agenttape-strict").assert_outcomes(passed=1)


def test_another_order_of_the_calls_is_still_drift(project: Project) -> None:
    write(project, 2)
    project.record().assert_outcomes(passed=1)
    project.write(
        test_it="""
            import pytest
            from agent import look_up

            @pytest.mark.agenttape(repeats=["look_up"])
            def test_it(agenttape_cassette):
                look_up("Oslo")
                look_up("Rome")
                agenttape_cassette.assert_snapshot()
        """
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the calls were made in a different order than in test_it.yaml"])


@pytest.mark.parametrize("rounds", [1, 4])
def test_a_refresh_leaves_a_cassette_of_other_rounds_alone(project: Project, rounds: int) -> None:
    write(project, 3)
    project.record().assert_outcomes(passed=1)
    before = project.cassette().read_bytes()
    write(project, rounds)

    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.cassette().read_bytes() == before


@pytest.mark.parametrize("where", ["ini", "toml", "fixture"])
def test_a_project_names_them_once(project: Project, where: str) -> None:
    write(project, 1, marker="", check="")
    project.record().assert_outcomes(passed=1)
    write(project, 4, marker="", check="")
    project.run().assert_outcomes(failed=1)
    if where == "ini":
        project.ini("agenttape_repeats = look_up api.example.com")
    elif where == "toml":
        (project.path / "agenttape.toml").write_text('repeats = ["look_up", "api.example.com"]')
    else:
        project.write(
            conftest="""
                import pytest

                @pytest.fixture
                def agenttape_config():
                    return {"repeats": ["look_up"]}
            """
        )
    result = project.run()
    result.assert_outcomes(passed=1)
