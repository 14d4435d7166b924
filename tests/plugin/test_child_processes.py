"""A tool must not run in a child process of a test: it would be neither recorded nor replayed."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

CALLS = """
    import concurrent.futures, multiprocessing, os, subprocess, sys
    import pytest
    from agent import look_up
    from work import swallow

    def in_pool(how):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(how)) as pool:
            pool.submit(swallow, "Oslo").result()

    def in_script():
        subprocess.run([sys.executable, "-c", "import work; work.swallow('Oslo')"], check=True)
"""
WORK = """
    from agent import look_up

    def swallow(city):
        try:
            look_up(city)
        except Exception:
            pass
"""
WAYS = ["in_pool('fork')", "in_pool('spawn')", "in_pool('forkserver')", "in_script()"]


ALLOWED = "@pytest.mark.agenttape(allow_programs=['python'])"


def write(project: Project, way: str, marker: str = ALLOWED) -> None:
    test = f"\n    {marker}\n    def test_it():\n        look_up('Rome')\n        {way}\n"
    project.write(work=WORK, test_it=CALLS + test)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_call_there_runs_nothing_and_fails_the_test_also_when_it_is_swallowed(project: Project, way: str) -> None:
    write(project, "pass")
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    write(project, way)
    for arguments, ran in ((), []), (("--agenttape-record",), ["look_up Rome"]):
        result = project.run_apart("-W", "ignore", *arguments)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E *Error: *Make it in the test's own process, or in a thread*"])
        assert project.live() == ran


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_children_of_an_unmarked_test_run_as_they_did(project: Project, way: str) -> None:
    write(project, way, marker="")
    project.write(test_before="@__import__('pytest').mark.agenttape\ndef test_it(): pass")
    project.run_apart("-W", "ignore", "--agenttape-record").assert_outcomes(passed=2)
    assert project.live() == ["look_up Rome", "look_up Oslo"]


def test_a_child_with_a_session_of_its_own_is_no_concern_of_its_parents(project: Project) -> None:
    project.write(
        child="""
        import sys
        from pytest_agenttape import use_cassette
        from agent import look_up

        with use_cassette("child", mode=sys.argv[1]):
            look_up("Oslo")
        """,
        test_it="""
        import pytest, subprocess, sys

        @pytest.mark.agenttape(allow_programs=["python"])
        def test_it(request):
            mode = "all" if request.config.getoption("--agenttape-record") else "none"
            subprocess.run([sys.executable, "child.py", mode], check=True)
        """,
    )
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Oslo"]
    project.run_apart().assert_outcomes(passed=1)
    assert project.live() == []
