"""A passing test that leaves recordings unplayed gets a warning; in strict mode it fails."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

TEST = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape({marker})
    def test_it():
        {body}
"""
BOTH, FIRST = 'look_up("Rome"); look_up("Oslo")', 'look_up("Rome")'
NAME = "cassettes/test_it/test_it.yaml"
ACCEPT = "accept the change, without a live call: pytest test_it.py::test_it --snapshot-update"


@pytest.fixture
def shortened(project: Project) -> Project:
    """Return a project whose test makes one call fewer than its recording."""
    project.write(test_it=TEST.format(marker="", body=BOTH))
    project.record().assert_outcomes(passed=1)
    project.write(test_it=TEST.format(marker="", body=FIRST))
    return project


def test_it_warns_and_says_so_in_the_summary(shortened: Project) -> None:
    result = shortened.run()
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        [
            "*UnplayedInteractionsWarning: 1 recorded interaction of test_it.yaml not played:",
            "*#1 tool look_up(city='Oslo')",
            f"*{ACCEPT}",
            f"unplayed: 1 in {NAME} (test_it.py::test_it)",
        ]
    )


FAILING = ["E *UnplayedInteractionsError: 1 recorded interaction of test_it.yaml not played:", "E *#1 tool look_up(*"]


def test_strict_by_flag(shortened: Project) -> None:
    result = shortened.run("--agenttape-strict")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">   def test_it():",
            *FAILING,
            f"E *{ACCEPT}",
            "E *re-record: pytest test_it.py::test_it --agenttape-record",
            "test_it.py:5:*",
        ]
    )
    result.stdout.no_fnmatch_line("*hidden*")


def test_strict_by_marker(shortened: Project) -> None:
    shortened.write(test_it=TEST.format(marker="strict=True", body=FIRST))
    shortened.run().assert_outcomes(failed=1)


def test_strict_by_ini(shortened: Project) -> None:
    shortened.ini("agenttape_strict = true")
    shortened.run().stdout.fnmatch_lines(FAILING)
    shortened.write(test_it=TEST.format(marker="strict=False", body=FIRST))
    shortened.run().assert_outcomes(passed=1, warnings=1)


def test_strict_by_configuration_file_and_fixture(shortened: Project) -> None:
    (shortened.path / "agenttape.toml").write_text("strict = true\n")
    shortened.run().assert_outcomes(failed=1)
    shortened.write(conftest="import pytest\n@pytest.fixture\ndef agenttape_config(): return {'strict': False}")
    shortened.run().assert_outcomes(passed=1, warnings=1)


def test_a_failing_test_is_not_told(shortened: Project) -> None:
    shortened.write(test_it=TEST.format(marker="", body=f"{FIRST}; assert 0"))
    shortened.run("--agenttape-strict").stdout.no_fnmatch_line("*nplayed*")


@pytest.mark.parametrize("mode", ["refresh", "all"])
def test_a_mode_that_rewrites_the_file_leaves_none(shortened: Project, mode: str) -> None:
    result = shortened.run(f"--agenttape-mode={mode}", "--agenttape-strict")
    result.assert_outcomes(passed=1)
    assert shortened.calls() == ["Rome"]


def test_what_a_fixtures_teardown_plays_counts(project: Project) -> None:
    source = """
        import pytest
        from agent import look_up

        @pytest.fixture
        def session():
            yield
            look_up("closing")

        @pytest.mark.agenttape
        def test_it(session):
            look_up("Rome")
    """
    project.write(test_it=source)
    project.record().assert_outcomes(passed=1)
    project.run("--agenttape-strict").assert_outcomes(passed=1)
    project.write(test_it=source.replace('look_up("closing")', "pass"))
    result = project.run("--agenttape-strict")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it*", "E *#1 tool look_up(city='closing')"])


SHARED = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape("shared")
    def test_all():
        for city in "{all}": look_up(city)

    @pytest.mark.agenttape("shared")
    def test_some():
        for city in "{some}": look_up(city)
"""


@pytest.fixture
def shared(project: Project) -> Project:
    project.write(test_it=SHARED.format(all="abcd", some=""))
    project.record("test_it.py::test_all").assert_outcomes(passed=1)
    return project


@pytest.mark.parametrize("args", [[], ["-p", "xdist", "-n2"]], ids=["one process", "xdist"])
def test_a_shared_cassette_is_judged_over_all_its_tests(shared: Project, args: list[str]) -> None:
    run = shared.run_apart if args else shared.run
    shared.write(test_it=SHARED.format(all="ab", some="cd"))
    result = run("--agenttape-strict", *args)
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("unplayed:*")
    assert result.ret == 0
    shared.write(test_it=SHARED.format(all="ab", some="b"))
    result = run("--agenttape-strict", *args)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        ["unplayed: 2 in cassettes/shared.yaml, shared by 2 tests; the run fails because strict is set"]
    )
    assert run(*args).ret == 0


@pytest.mark.parametrize("args", [["test_it.py::test_some"], ["-k", "some"]], ids=["a node id", "an expression"])
def test_a_shared_cassette_is_not_judged_when_not_all_its_tests_run(shared: Project, args: list[str]) -> None:
    shared.write(test_it=SHARED.format(all="ab", some="cd"))
    result = shared.run("--agenttape-strict", *args)
    result.assert_outcomes(passed=1, deselected=1 if "-k" in args else 0)
    result.stdout.no_fnmatch_line("*nplayed*")
    assert result.ret == 0


def test_a_named_cassette_is_judged_from_another_root_directory_in_a_narrowed_run(project: Project) -> None:
    source = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape("named")
        def test_it():
            for city in "{}": look_up(city)
    """
    project.write(test_it=source.format("ab"))
    project.record().assert_outcomes(passed=1)
    project.write(test_it=source.format("a"))
    for root in (".", "..", "/"):
        project.run("--agenttape-strict", f"--rootdir={root}", "test_it.py::test_it").assert_outcomes(failed=1)
