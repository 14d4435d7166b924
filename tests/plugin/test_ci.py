"""In CI only our own flags record; the header says when live calls are possible."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape({marker})
    def test_it():
        look_up("Rome")
"""


@pytest.fixture
def ci(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("CI", "true")
    return project


@pytest.mark.parametrize("args", [["--agenttape-record"], ["--agenttape-mode=once"], ["--agenttape-mode=record"]])
def test_an_explicit_flag_records(ci: Project, args: list[str]) -> None:
    ci.write(test_it=ONE.format(marker=""))
    ci.run(*args).assert_outcomes(passed=1)
    assert ci.live() == ["look_up Rome"]


def test_snapshot_update_alone_stays_a_replay(ci: Project) -> None:
    ci.write(test_it=ONE.format(marker=""))
    result = ci.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "agenttape: replay only; in CI --snapshot-update alone records nothing",
            "E *CassetteNotFoundError: there is no cassette at *test_it.yaml, and mode 'none' runs nothing for real",
        ]
    )
    assert ci.live() == []


@pytest.mark.parametrize("name", ["JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID"])
def test_so_it_does_for_services_that_set_no_ci(project: Project, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    project.write(test_it=ONE.format(marker=""))
    result = project.run("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["agenttape: replay only; in CI --snapshot-update alone records nothing"])
    assert project.live() == []


def test_ci_set_to_false_is_no_ci(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    project.write(test_it=ONE.format(marker=""))
    project.run("--snapshot-update").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]


WAY_OUT = (
    "would record, but CI is set: in CI nothing is recorded unless a flag on the command line asks for it. "
    "Record on your machine and commit the cassette, or run pytest with --agenttape-mode="
)


@pytest.mark.parametrize("mode", ["once", "new_episodes", "refresh", "all"])
def test_a_marker_that_would_record_fails_with_the_way_out(ci: Project, mode: str) -> None:
    ci.write(test_it=ONE.format(marker=f"mode={mode!r}"))
    result = ci.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*def test_it():", f"E *ConfigError: the marker's mode = {mode!r} {WAY_OUT}{mode}"])
    assert ci.live() == []


def test_a_configuration_that_would_record_fails_with_the_way_out(ci: Project) -> None:
    ci.ini("agenttape_default_mode = new_episodes")
    ci.write(test_it=ONE.format(marker=""))
    result = ci.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E *ConfigError: default_mode = 'new_episodes' {WAY_OUT}new_episodes"])


def test_once_with_its_file_replays(ci: Project) -> None:
    ci.write(test_it=ONE.format(marker="mode='once'"))
    ci.record()
    ci.run().assert_outcomes(passed=1)
    assert ci.live() == []


HEADERS = {
    "--agenttape-record": "agenttape: live calls are made and cassettes rewritten (--agenttape-record)",
    "--agenttape-mode=once": "agenttape: live calls are possible (--agenttape-mode=once)",
    "--snapshot-update": "agenttape: live calls are possible where a recording no longer matches (--snapshot-update)",
}


@pytest.mark.parametrize("flag", HEADERS)
def test_the_header_says_when_live_calls_are_possible(project: Project, flag: str) -> None:
    project.write(test_it="def test_it(): pass")
    project.run(flag).stdout.fnmatch_lines([HEADERS[flag]])


@pytest.mark.parametrize(
    "args", [[], ["--agenttape-mode=none"], ["--agenttape-mode=none", "--snapshot-update"], ["--agenttape-strict"]]
)
def test_the_header_is_silent_when_they_are_not(project: Project, args: list[str]) -> None:
    project.write(test_it="def test_it(): pass")
    project.run(*args).stdout.no_fnmatch_line("agenttape:*")


def test_the_header_says_so_for_a_configured_mode(project: Project) -> None:
    project.ini("agenttape_default_mode = new_episodes")
    project.write(test_it="def test_it(): pass")
    project.run().stdout.fnmatch_lines(["agenttape: live calls are possible (agenttape_default_mode = new_episodes)"])
    (project.path / "pytest.ini").unlink()
    (project.path / "agenttape.toml").write_text("default_mode = 'once'\n")
    project.run().stdout.fnmatch_lines(["agenttape: live calls are possible (default_mode = once in agenttape.toml)"])


def test_what_markers_ask_for_is_said_after_the_collection(project: Project) -> None:
    once, live = ONE.format(marker="mode='once'"), ONE.format(marker="live={'look_up'}")
    project.write(test_it=once, test_live=live, test_replay=ONE.format(marker=""))
    said = "agenttape: live calls are possible in {}, by their markers or their folder's configuration"
    project.run().stdout.fnmatch_lines(["collected 3 items", said.format("2 tests")])
    project.run().stdout.fnmatch_lines([said.format("1 test")])  # there is a cassette for the other by now
    for args in (["-q"], ["--agenttape-mode=none", "test_it.py"], ["--agenttape-record"]):
        project.run(*args).stdout.no_fnmatch_line("*live calls are possible in*")


def test_the_precedence_of_modes(project: Project) -> None:
    source = ONE.format(marker="mode='{}'") + "        assert str(active_session().mode) == '{}'\n"
    source = source.replace("from agent", "from pytest_agenttape import active_session\n    from agent")
    for marker, args, expected in [
        ("once", ["--agenttape-mode=new_episodes", "--agenttape-record", "--snapshot-update"], "new_episodes"),
        ("once", ["--agenttape-record", "--snapshot-update"], "all"),
        ("once", ["--snapshot-update"], "refresh"),
        ("once", [], "once"),
        ("once", ["--agenttape-mode=none", "--snapshot-update"], "none"),
    ]:
        project.write(test_it=source.format(marker, expected))
        project.run(*args).assert_outcomes(passed=1)
