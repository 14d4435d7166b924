"""The guard of programs: what it is asked, what it takes a program for, what is only a question to the platform."""

from __future__ import annotations

import asyncio
import ctypes.util
import os
import platform
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.errors import AgentTapeError, ProgramBlockedError
from pytest_agenttape.ownership.guard import ask_owner_of_program
from pytest_agenttape.process import programs
from pytest_agenttape.process.programs import Program

TRUE = "/bin/true"
pytestmark = pytest.mark.skipif(os.name != "posix", reason="these programs are POSIX's")


@pytest.fixture
def asked() -> Iterator[list[Program]]:
    """Arm the guard so that it stops every program, and return what it was asked."""
    found: list[Program] = []

    def refuse(program: Program) -> None:
        found.append(program)
        error = programs.blocked(program, (), "tests/test_x.py::test_y")
        assert error is not None
        raise error

    programs.install(refuse)
    programs.arm()
    try:
        yield found
    finally:
        programs.disarm()
        programs.install(ask_owner_of_program)


async def by_asyncio() -> None:
    await asyncio.create_subprocess_exec(TRUE)


async def by_a_shell_of_asyncio() -> None:
    await asyncio.create_subprocess_shell(TRUE)


def in_a_thread() -> None:
    caught: list[BaseException] = []

    def run() -> None:
        try:
            subprocess.run([TRUE], check=True)
        except BaseException as error:  # noqa: BLE001  # raised again below
            caught.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise caught[0]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(lambda: subprocess.run([TRUE], check=True), id="subprocess"),
        pytest.param(lambda: subprocess.run([TRUE.encode()], check=True), id="bytes"),
        pytest.param(lambda: subprocess.Popen(TRUE, shell=True), id="a shell of subprocess"),
        pytest.param(lambda: os.system(TRUE), id="os.system"),
        pytest.param(lambda: os.popen(TRUE), id="os.popen"),
        pytest.param(lambda: os.posix_spawn(TRUE, [TRUE], {}), id="os.posix_spawn"),
        pytest.param(lambda: os.execv(TRUE, [TRUE]), id="os.exec"),
        pytest.param(lambda: asyncio.run(by_asyncio()), id="asyncio"),
        pytest.param(lambda: asyncio.run(by_a_shell_of_asyncio()), id="a shell of asyncio"),
        pytest.param(in_a_thread, id="a thread"),
    ],
)
def test_every_way_to_start_a_program_is_asked_about(asked: list[Program], start: Callable[[], object]) -> None:
    with pytest.raises(ProgramBlockedError, match="program true blocked") as caught:
        start()
    assert caught.value.program == "true"
    assert [program.name for program in asked] == ["true"]
    assert asked[0].caller == __name__


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda: subprocess.run(["uname", "-a"], check=True, stdout=subprocess.DEVNULL), id="uname"),
        pytest.param(lambda: ctypes.util.find_library("c"), id="ctypes.util"),
        pytest.param(lambda: platform.uname().processor, id="platform"),
    ],
)
def test_a_question_to_the_platform_is_none_to_the_guard(asked: list[Program], ask: Callable[[], object]) -> None:
    ask()
    assert asked == []


def test_what_a_library_asks_to_tell_where_it_runs_is_none_to_the_guard(asked: list[Program]) -> None:
    langsmith_env = pytest.importorskip("langsmith.env")
    assert langsmith_env.get_git_info.__wrapped__().keys() >= {"commit", "dirty"}
    pydantic_git = pytest.importorskip("pydantic._internal._git")
    assert pydantic_git.have_git() in (True, False)
    assert asked == []


_UNDER_SENTRY = """
import subprocess, sys
from pathlib import Path
import sentry_sdk
from pytest_agenttape import ProgramBlockedError, use_cassette
with use_cassette(Path(sys.argv[1]), mode="all"):
    for _ in range(2):  # from then on, Sentry wraps subprocess
        sentry_sdk.init()
    try:
        subprocess.run(["git", "rev-parse", "HEAD"])
    except ProgramBlockedError as error:
        print(error)
"""


def test_sentry_asks_for_the_release_and_nobody_else_may(tmp_path: Path) -> None:
    pytest.importorskip("sentry_sdk")
    command = [sys.executable, "-c", _UNDER_SENTRY, str(tmp_path / "x.yaml")]
    run = subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)
    assert run.stdout.startswith("program git blocked")
    assert "    by        __main__\n" in run.stdout


@pytest.mark.parametrize(
    ("caller", "command", "expected"),
    [
        ("sentry_sdk.utils", "git rev-parse HEAD", True),
        ("sentry_sdk.utils", "git push", False),
        ("langsmith.env._git", "git remote get-url origin", True),
        ("langsmith.env._git", "git remote add origin https://h.example", False),
        ("langsmith.env._runtime_env", "docker --version", True),
        ("langsmith.env._runtime_env", "docker ps", False),
        ("git.cmd", "git version", True),
        ("git.cmd", "git status", False),
        ("agent", "git rev-parse HEAD", False),
        ("sentry_sdk.utils", "./git rev-parse HEAD", False),
    ],
)
def test_a_library_asks_its_own_questions_only(caller: str, command: str, expected: bool) -> None:
    path, *arguments = command.split()
    assert Program("git" if "git" in path else path, path, tuple(arguments), caller).is_query is expected


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("gcc", ("-print-multiarch",), True),
        ("gcc", ("-dumpmachine",), True),
        ("gcc", (), False),
        ("gcc", ("-print-multiarch", "x.c"), False),
        ("lscpu", (), True),
        ("git", ("--version",), False),
    ],
)
def test_what_is_a_question(name: str, arguments: tuple[str, ...], expected: bool) -> None:
    assert Program(name, name, arguments).is_query is expected


@pytest.mark.parametrize(
    ("args", "executable", "name"),
    [
        (["git", "status"], "git", "git"),
        (["/usr/bin/git", "status"], None, "git"),
        ("git status", "git status", "git status"),  # the name of one file
        (["/bin/sh", "-c", "git status"], "/bin/sh", "git"),
        (["/bin/sh", "-c", "git status && rm -rf ."], "/bin/sh", "sh"),
        (["/bin/sh", "-c", "git $(rm -rf .)"], "/bin/sh", "sh"),
        (["/bin/sh", "-c", "git status\nrm -rf ."], "/bin/sh", "sh"),
        (["/bin/sh", "-c", "PATH=/evil git status"], "/bin/sh", "sh"),
        (["/bin/sh", "-c", "it's"], "/bin/sh", "sh"),
        (["/bin/sh", "script.sh"], "/bin/sh", "sh"),
        ([sys.executable, "-V"], sys.executable, "python"),
        ([], "", ""),
    ],
)
def test_what_a_program_is_called(args: Any, executable: str | None, name: str) -> None:
    assert programs._program(executable, args).name == name


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [(("git",), True), (("gi*",), True), (("/usr/bin/*",), True), (("*",), True), (("hg", "gitk"), False), ((), False)],
)
def test_which_programs_are_allowed(allowed: tuple[str, ...], expected: bool) -> None:
    program = Program("git", "/usr/bin/git", ("push", "--token=hunter2"))
    assert program.is_named(allowed) is expected
    assert (programs.blocked(program, allowed, "test_y") is None) is expected


def test_the_message_says_who_and_what_to_do_and_no_argument() -> None:
    error = programs.blocked(
        Program("git", "/usr/bin/git", ("--token=hunter2",), "shop.release"), (), "test_x.py::test_y"
    )
    assert isinstance(error, AgentTapeError)
    assert str(error).splitlines() == [
        "program git blocked: no program is started outside a recorded tool, in recording or in replay",
        "    in        test_x.py::test_y",
        "    by        shop.release",
        "    record it @tool around the function that starts it; an MCP server: through MCP's stdio client",
        '    allow it  allow_programs=["git"] on the marker or in agenttape.toml',
    ]


def test_nothing_is_asked_after_the_last_disarm(asked: list[Program]) -> None:
    programs.arm()
    programs.disarm()
    with pytest.raises(ProgramBlockedError):
        subprocess.run([TRUE], check=True)
    programs.disarm()
    try:
        subprocess.run([TRUE], check=True)
    finally:
        programs.arm()
    assert len(asked) == 1
