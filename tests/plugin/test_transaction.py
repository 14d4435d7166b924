"""A recording is kept whole if its test passed, and never in part: one fault per row."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from unittest import mock

import pytest

from tests.plugin.project import Origin, Project

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        assert look_up("Rome")["city"] == "Rome"
"""
NAME = "cassettes/test_it/test_it.yaml"
PENDING = (
    f"pending: {NAME} is unchanged; the recording of test_it.py::test_it is kept in .pytest_cache/d/agenttape/*.yaml"
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table in docs/reliability.md: what goes wrong while a test records, and the result.

    Attributes:
        title: The fault in words.
        body: The test; it has made its live call when things go wrong.
        old: What is on disk afterwards where there was a cassette: old or new.
        fresh: What is on disk afterwards where there was none: none or new.
        sees: The lines that the user reads, in order.
        sees_fresh: The same where there was no cassette, if that differs.
        outcome: What pytest counts.
        apart: Whether the fault would take this process down.
        decorators: Between the marker and the test.
        before: The module above the test.
        conftest: What makes the disk or the process fail.
        statuses: What the service answers, in place of 200.
        litter: Whether a temporary file is left.
    """

    title: str
    body: str
    old: str
    fresh: str
    sees: tuple[str, ...]
    outcome: dict[str, int]
    apart: bool = False
    decorators: str = ""
    before: str = ""
    sees_fresh: tuple[str, ...] | None = None
    conftest: str = ""
    statuses: tuple[int, ...] = ()
    litter: bool = False
    marker: str = ""
    arguments: str = ""
    args: tuple[str, ...] = ()

    def source(self) -> str:
        return "\n".join(
            [
                "import contextlib, httpx, os, pytest, signal, subprocess, threading",
                "from agent import look_up, note",
                self.before,
                self.decorators,
                f"@pytest.mark.agenttape({self.marker})",
                f"def test_it({self.arguments}):",
                "    look_up('Rome')",
                *(f"    {line}" for line in self.body.splitlines()),
            ]
        )


FAILING_DISK = """
    import builtins, errno, os

    real = {call}

    def failing(first, *args):
        name = first if isinstance(first, (str, os.PathLike)) else os.readlink(f"/proc/self/fd/{{first}}")
        if "cassettes" in str(name) and str(name).endswith(".tmp"):
            raise OSError(errno.{code}, os.strerror(errno.{code}))
        return real(first, *args)

    def pytest_runtest_setup(item):
        {call} = failing

    def pytest_sessionfinish():
        {call} = real
"""
KILLED = """
    import os, signal

    real = os.replace

    def replace(source, target):
        if "cassettes" in str(target) and not {after}:
            os.kill(os.getpid(), signal.SIGKILL)
        real(source, target)
        if "cassettes" in str(target):
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace
"""
# A shell's background jobs and their children ignore Ctrl-C; the children started here must not.
INTERRUPTED = """
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest_agenttape

@pytest_agenttape.tool
def ask():
    os.kill(os.getpid(), signal.SIGINT)
"""
NOT_WRITTEN = (
    "E *RecordingRefusedError: the recording cannot be written to *test_it.yaml: {}; existing files are untouched"
)
ASKS = "with contextlib.suppress(httpx.HTTPError):\n    httpx.get(os.environ['ORIGIN']).raise_for_status()"

RECORDED = (f"recorded: {NAME} (1 live call)",)
CREATED = (f"created: {NAME} (1 live call)",)
BLOCKED = (
    "E *ProgramBlockedError: program git blocked: "
    "no program is started outside a recorded tool, in recording or in replay"
)
FAULTS = (
    Fault("nothing: the test passes", "pass", "new", "new", RECORDED, {"passed": 1}, sees_fresh=CREATED),
    Fault("an assertion fails", "assert 0", "old", "none", (PENDING, "FAILED test_it.py::test_it*"), {"failed": 1}),
    Fault("the test raises", "raise OSError('gone')", "old", "none", (PENDING, "FAILED *OSError: gone"), {"failed": 1}),
    Fault(
        "Ctrl-C during a live call",
        "ask()",
        "old",
        "none",
        (PENDING, "*KeyboardInterrupt*"),
        {},
        apart=True,
        before=INTERRUPTED,
    ),
    Fault("pytest.exit() in the test", "pytest.exit('enough')", "old", "none", (PENDING, "*enough*"), {}, apart=True),
    Fault("the process is killed (SIGKILL)", "os.kill(os.getpid(), signal.SIGKILL)", "old", "none", (), {}, apart=True),
    Fault(
        "a fixture's teardown fails",
        "pass",
        "old",
        "none",
        (PENDING, "ERROR test_it.py::test_it - OSError: teardown"),
        {"passed": 1, "errors": 1},
        before="@pytest.fixture\ndef db():\n    yield\n    raise OSError('teardown')",
        arguments="db",
    ),
    Fault("the test skips itself", "pytest.skip('later')", "old", "new", (), {"skipped": 1}, sees_fresh=CREATED),
    Fault(
        "the test fails as expected (xfail)",
        "assert 0",
        "old",
        "new",
        (),
        {"xfailed": 1},
        sees_fresh=CREATED,
        decorators="@pytest.mark.xfail",
    ),
    Fault(
        "the test passes unexpectedly (xfail, strict)",
        "pass",
        "old",
        "none",
        (PENDING, "FAILED test_it.py::test_it - [[]XPASS(strict)[]]*"),
        {"failed": 1},
        decorators="@pytest.mark.xfail(strict=True)",
    ),
    Fault(
        "a subtest fails",
        "with subtests.test('part'):\n    assert 0",
        "old",
        "none",
        (PENDING, "SUBFAILED*part*"),
        {"failed": 2},
        arguments="subtests",
    ),
    Fault(
        "a tool returns a value that cannot be stored",
        "try:\n    odd()\nexcept Exception:\n    pass",
        "old",
        "none",
        (PENDING, "FAILED test_it.py::test_it - result: <class 'builtins.function'> cannot be re*"),
        {"failed": 1},
        before="from pytest_agenttape import tool\n@tool\ndef odd():\n    return lambda: 1",
    ),
    Fault(
        "a tool raises what could not be raised again in replay, and the agent goes on",
        "with contextlib.suppress(Exception):\n    odd()",
        "old",
        "none",
        (
            "E *RecordingRefusedError: odd raised test_it.odd.<locals>.Odd, which cannot be raised again in replay*",
            PENDING,
        ),
        {"failed": 1},
        before="from pytest_agenttape import tool\n@tool\ndef odd():\n    class Odd(Exception): pass\n    raise Odd",
    ),
    Fault(
        "a tool exits, and the agent goes on",
        "with contextlib.suppress(BaseException):\n    leave()",
        "old",
        "none",
        ("E *RecordingRefusedError: leave raised SystemExit, which cannot be recorded, and the run went on", PENDING),
        {"failed": 1},
        before="from pytest_agenttape import tool\n@tool\ndef leave():\n    raise SystemExit(3)",
    ),
    Fault(
        "a live call is answered with 429, and the agent goes on",
        ASKS,
        "old",
        "none",
        (
            "E *RecordingRefusedError: a live call got status 429, and the run went on as if nothing had "
            "happened; the recording is not kept",
            PENDING,
        ),
        {"failed": 1},
        statuses=(429,),
    ),
    Fault(
        "the same, with `allow_errors=[429]`",
        ASKS,
        "new",
        "new",
        (f"recorded: {NAME} (2 live calls)",),
        {"passed": 1},
        sees_fresh=(f"created: {NAME} (2 live calls)",),
        statuses=(429,),
        marker="allow_errors=[429]",
    ),
    Fault(
        "a frozen call has no recording, and the agent goes on",
        "with contextlib.suppress(Exception):\n    frozen()",
        "old",
        "none",
        ("E *UnmatchedInteractionError: frozen() matches no unplayed interaction*", PENDING),
        {"failed": 1},
        sees_fresh=("E *CassetteNotFoundError: there is no cassette at *", PENDING),
        marker="frozen='frozen'",
        before="from pytest_agenttape import tool\n@tool\ndef frozen():\n    note('frozen')",
    ),
    Fault(
        "a program is started, and the agent goes on",
        "with contextlib.suppress(Exception):\n    subprocess.run(['git', 'gc'], check=True)",
        "old",
        "none",
        (
            BLOCKED,
            PENDING,
        ),
        {"failed": 1},
    ),
    Fault(
        "the disk is full",
        "pass",
        "old",
        "none",
        (NOT_WRITTEN.format("No space left on device"), PENDING, "ERROR test_it.py::test_it*"),
        {"passed": 1, "errors": 1},
        conftest=FAILING_DISK.format(call="os.fsync", code="ENOSPC"),
    ),
    Fault(
        "the folder is read-only",
        "pass",
        "old",
        "none",
        (NOT_WRITTEN.format("Permission denied"), PENDING, "ERROR test_it.py::test_it*"),
        {"passed": 1, "errors": 1},
        conftest=FAILING_DISK.format(call="builtins.open", code="EACCES"),
    ),
    Fault(
        "the process is killed just before the new file replaces the old one",
        "pass",
        "old",
        "none",
        (),
        {},
        apart=True,
        conftest=KILLED.format(after=False),
        litter=True,
    ),
    Fault(
        "the process is killed just after that",
        "pass",
        "new",
        "new",
        (),
        {},
        apart=True,
        conftest=KILLED.format(after=True),
    ),
    Fault(
        "an xdist worker is killed",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "old",
        "none",
        ("worker 'gw*' crashed while running 'test_it.py::test_it'",),
        {},
        apart=True,
        args=("-p", "xdist", "-n1"),
    ),
    Fault(
        "a rerun passes (pytest-rerunfailures)",
        "ATTEMPTS.append(1)\nassert len(ATTEMPTS) == 2",
        "new",
        "new",
        RECORDED,
        {"passed": 1, "rerun": 1},
        sees_fresh=CREATED,
        before="ATTEMPTS = []",
        args=("-p", "rerunfailures", "--reruns=1"),
    ),
)


def record(project: Project, fault: Fault, origin: Origin) -> None:
    (project.path / "test_it.py").write_text(fault.source())
    project.write(conftest=fault.conftest)
    origin.statuses.extend(fault.statuses)
    run = project.run_apart if fault.apart else project.run
    result = run("--agenttape-record", *fault.args)
    if not fault.apart:
        assert {key: count for key, count in result.parseoutcomes().items() if key != "warnings"} == fault.outcome
    result.stdout.fnmatch_lines([*fault.sees])


@pytest.fixture(params=FAULTS, ids=[fault.title for fault in FAULTS])
def fault(request: pytest.FixtureRequest) -> Fault:
    made: Fault = request.param
    return made


def whole_files(project: Project, fault: Fault) -> list[str]:
    """Return the cassettes; at most one temporary file may be next to them."""
    litter = [file for file in project.files() if file.endswith(".tmp")]
    assert len(litter) == fault.litter
    return [file for file in project.files() if file not in litter]


def test_where_there_was_a_cassette(
    project: Project, fault: Fault, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(test_it=ONE)
    project.record().assert_outcomes(passed=1)
    before = project.cassette().read_bytes()
    monkeypatch.setenv("WORLD", "new")
    record(project, fault, origin)
    if fault.old == "old":
        assert project.cassette().read_bytes() == before
    else:
        assert project.cassette().read_bytes() != before
        assert "answer: new" in project.cassette().read_text()
    assert whole_files(project, fault) == [NAME]


def test_where_there_was_none(project: Project, fault: Fault, origin: Origin) -> None:
    sees = fault.sees if fault.sees_fresh is None else fault.sees_fresh
    record(project, replace(fault, sees=sees), origin)
    assert whole_files(project, fault) == ([NAME] if fault.fresh == "new" else [])


def test_a_test_that_makes_no_call_any_more_empties_its_cassette(project: Project) -> None:
    project.write(
        test_it="""
        import os, pytest
        from agent import look_up

        @pytest.mark.agenttape
        def test_it():
            if "CALLS" in os.environ:
                look_up("Rome")
    """
    )
    with mock.patch.dict(os.environ, {"CALLS": "1"}):
        project.run("--agenttape-record").assert_outcomes(passed=1)
    assert "Rome" in project.cassette().read_text()
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert "Rome" not in project.cassette().read_text()
    project.run("--agenttape-strict").assert_outcomes(passed=1)
