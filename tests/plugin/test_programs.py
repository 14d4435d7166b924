"""No program starts in a marked test outside of a recorded tool, when it is recorded neither."""

from __future__ import annotations

import os

import pytest

from tests.plugin.project import Project

pytestmark = pytest.mark.skipif(os.name != "posix", reason="touch is POSIX's")

HEAD = """
    import asyncio, contextlib, os, subprocess, sys
    import pytest
    from agent import LIVE, look_up
    from pytest_agenttape import tool

    NOTE = ["/bin/sh", "-c", "echo started >> '" + str(LIVE) + "'"]

    def start():
        subprocess.run(NOTE, check=True)
"""
STARTED = "started"


def write(project: Project, body: str, marker: str = "", above: str = "", arguments: str = "") -> None:
    lines = "".join(f"\n        {line}" for line in body.splitlines())
    above = "".join(f"\n    {line}" for line in above.splitlines())
    test = f"{above}\n\n    @pytest.mark.agenttape({marker})\n    def test_it({arguments}):{lines}\n"
    project.write(test_it=HEAD + test)


@pytest.mark.parametrize("arguments", [(), ("--agenttape-record",)], ids=["replay", "record"])
@pytest.mark.parametrize(
    "body",
    [
        "start()",
        "with contextlib.suppress(Exception):\n    start()",
        "asyncio.run(asyncio.to_thread(start))",
        "with contextlib.suppress(Exception):\n    os.system(NOTE[-1])",
    ],
    ids=["plainly", "swallowed", "in a thread", "os.system"],
)
def test_it_is_refused_and_fails_the_test(project: Project, body: str, arguments: tuple[str, ...]) -> None:
    write(project, body)
    result = project.run(*arguments)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E *ProgramBlockedError: program sh blocked: no program is started outside a recorded tool, *",
            "E *in *test_it.py::test_it",
            "E *by *test_it",
            "E *record it @tool around the function that starts it; an MCP server: through MCP's stdio client",
            'E *allow it *allow_programs=[[]"sh"[]] on the marker or in agenttape.toml',
        ]
    )
    assert project.live() == []
    assert project.files() == []


def test_a_recorded_tool_starts_it_when_it_is_recorded_and_never_again(project: Project) -> None:
    write(project, "run()", above="@tool\ndef run():\n    start()")
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == [STARTED]
    project.run().assert_outcomes(passed=1)
    assert project.live() == []


@pytest.mark.parametrize("how", ["marker", "ini", "file", "fixture"])
def test_one_that_is_allowed_starts_in_replay_too(project: Project, how: str) -> None:
    above = ""
    if how == "ini":
        project.ini("agenttape_allow_programs = git sh")
    elif how == "file":
        (project.path / "agenttape.toml").write_text('allow_programs = ["sh"]')
    elif how == "fixture":
        above = "@pytest.fixture\ndef agenttape_config():\n    return {'allow_programs': ['sh']}"
    write(project, "look_up('Rome')\nstart()", 'allow_programs=["sh"]' if how == "marker" else "", above)
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome", STARTED]
    project.run().assert_outcomes(passed=1)
    assert project.live() == [STARTED]


@pytest.mark.parametrize("arguments", [(), ("--agenttape-record",)], ids=["replay", "record"])
@pytest.mark.parametrize(
    ("scope", "asked"),
    [
        ("session", "as an argument"),
        ("module", "as an argument"),
        ("class", "as an argument"),
        ("function", "as an argument"),
        ("session", "in mid-test"),
    ],
)
def test_what_a_wide_fixture_starts_is_the_suites(
    project: Project, scope: str, arguments: tuple[str, ...], asked: str
) -> None:
    above = f"@pytest.fixture(scope={scope!r})\ndef server():\n    start()\n    yield 1\n    start()"
    if asked == "as an argument":
        write(project, "assert server", above=above, arguments="server")
    else:
        write(project, "assert request.getfixturevalue('server')", above=above, arguments="request")
    result = project.run(*arguments)
    if scope == "function":
        outcomes = result.parseoutcomes()
        assert outcomes.get("passed", 0) == 0
        result.stdout.fnmatch_lines(["E *ProgramBlockedError: program sh blocked: *"])
        assert project.live() == []
    else:
        result.assert_outcomes(passed=1)
        assert project.live() == [STARTED, STARTED]


@pytest.mark.parametrize("arguments", [(), ("--agenttape-record",)], ids=["replay", "record"])
def test_a_forked_child_that_may_not_become_a_program_ends(project: Project, arguments: tuple[str, ...]) -> None:
    write(project, "import pty\npty.spawn(NOTE, lambda fd: os.read(fd, 1024))")
    project.write(test_next="from agent import note\ndef test_it(): note('next')")
    result = project.run_apart(*arguments, "-p", "no:cacheprovider")
    assert project.live() == ["next"]
    result.stdout.fnmatch_lines(["*AgentTapeError: program sh blocked: *", "*1 failed, 1 passed*"])
    assert result.stdout.str().count("test session starts") == 1


def test_an_unmarked_test_starts_what_it_likes(project: Project) -> None:
    project.write(test_it=HEAD + "\n    def test_it():\n        start()\n")
    project.write(test_before="@__import__('pytest').mark.agenttape\ndef test_it(): pass")
    project.run().assert_outcomes(passed=2)
    assert project.live() == [STARTED]


@pytest.mark.parametrize("given", ["5", "'sh'", "['']"])
def test_a_list_of_names_is_asked_for(project: Project, given: str) -> None:
    write(project, "pass", f"allow_programs={given}")
    result = project.run()
    assert result.ret != 0
    result.stderr.fnmatch_lines(["*allow_programs = *: must be a list of *strings*"])


def test_xdist_runs_its_workers_and_they_their_tests(project: Project) -> None:
    pytest.importorskip("xdist")
    write(project, "look_up('Rome')")
    project.record()
    project.run_apart("-p", "xdist", "-n2").assert_outcomes(passed=1)
