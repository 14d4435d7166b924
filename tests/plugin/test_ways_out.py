"""A failing test's output is short and shows none of our code, and the command it suggests can be pasted."""

from __future__ import annotations

import shlex

import pytest

from tests.plugin.project import Project
from tests.plugin.test_audit import KEY, cassette

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""


@pytest.mark.parametrize(
    ("said", "instead", "problem"),
    [
        pytest.param('version: "1"\n', "", "*: 'version' is missing*", id="no version"),
        pytest.param('version: "1"', 'version: "2"', "*: schema version '2' is not supported*", id="another version"),
        pytest.param(
            "kind: tool", "kind: fool", "*test_it.yaml:*: interaction #0: unknown kind 'fool'*", id="unknown kind"
        ),
    ],
)
def test_a_cassette_that_is_none_is_told_without_our_code(
    project: Project, said: str, instead: str, problem: str
) -> None:
    project.write(test_it=ONE)
    project.record()
    project.cassette().write_text(project.cassette().read_text().replace(said, instead))
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"E *{problem}"])
    result.stdout.no_fnmatch_line("*pytest_agenttape/*.py:*")


@pytest.mark.parametrize("one", ["it's", 'say "it\'s"', "$HOME `ls` *", "a[b] c;d", "\\é", "-x", ""])
def test_the_command_names_a_test_of_any_name(project: Project, one: str) -> None:
    project.write(
        test_it=f"""
            import pytest
            from agent import look_up

            @pytest.mark.agenttape
            @pytest.mark.parametrize("city", ["Rome", "Oslo"], ids=[{one!r}, "other"])
            def test_it(city):
                look_up(city)
        """
    )
    _, *arguments = shlex.split(_command(project.run("-k", "not other"), "record it: "))
    project.run_apart(*arguments).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        pytest.param("inner", (), id="a folder below the root"),
        pytest.param("other", ("../inner",), id="a folder beside the tests"),
        pytest.param("other", ("--rootdir=.", "../inner"), id="tests out of the root"),
    ],
)
def test_the_command_is_for_the_folder_that_pytest_was_started_in(
    project: Project, monkeypatch: pytest.MonkeyPatch, folder: str, arguments: tuple[str, ...]
) -> None:
    project.ini("pythonpath = .")
    project.write(inner__test_it=ONE)
    (project.path / "other").mkdir()
    monkeypatch.chdir(project.path / folder)
    monkeypatch.setenv("PYTHONPATH", str(project.path))
    _, *pasted = shlex.split(_command(project.run_apart(*arguments), "record it: "))
    project.run_apart(*pasted).assert_outcomes(passed=1)
    assert (project.path / "inner/cassettes/test_it/test_it.yaml").exists()


@pytest.mark.parametrize("marker", ["'one'", "'one', mode='none'"])
def test_a_shared_cassette_is_recorded_by_one_of_its_tests(project: Project, marker: str) -> None:
    project.write(
        test_it=f"""
            import pytest
            from agent import look_up

            @pytest.mark.agenttape({marker})
            def test_a():
                look_up("Rome")

            @pytest.mark.agenttape({marker})
            def test_b():
                look_up("Rome")
        """
    )
    refused = project.run("--agenttape-record")
    command = next(line.split(" from one of them: ")[1] for line in refused.errlines if " from one of them: " in line)
    project.run_apart(*shlex.split(command)[1:]).assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize("name", ["it's.yaml", "test_it/test_it[Rome].yaml", "test_[it]/test_it.yaml"])
def test_the_audit_names_a_path_that_pytest_takes(project: Project, name: str) -> None:
    cassette(project.path / "cassettes" / name, response={"note": f"use {KEY}"})
    found = project.run_apart("--agenttape-audit")
    _, *arguments = shlex.split(_command(found, "remove it: "))
    project.run_apart(*arguments).assert_outcomes(passed=1)


def test_a_disk_that_refuses_is_told_without_our_code(project: Project) -> None:
    project.write(test_it=ONE)
    project.cassette().mkdir(parents=True)
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            ">   def test_it():",
            "E *RecordingRefusedError: the recording cannot be written to *test_it.yaml: Is a directory; *",
        ]
    )
    result.stdout.no_fnmatch_line("*pytest_agenttape/*.py:*")


def _command(result: pytest.RunResult, after: str) -> str:
    return next(line.split(after)[1] for line in result.outlines if after in line)
