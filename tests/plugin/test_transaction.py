"""A recording is kept whole when its test passed, and never in part: fault by fault."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.plugin.project import Project

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        assert look_up("Rome")["city"] == "Rome"
"""
NAME = "cassettes/test_it/test_it.yaml"
PENDING = f"pending: {NAME} is as it was; what test_it.py::test_it recorded is kept in .pytest_cache/d/agenttape/*.yaml"


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table in docs/reliability.md: what goes wrong while a test records, and what comes of it.

    Attributes:
        title: The fault in words.
        body: The test; it has made its live call when things go wrong.
        old: What is on disk afterwards where there was a cassette: old or new.
        fresh: What is on disk afterwards where there was none: none or new.
        sees: The lines that the user reads, in order.
        outcome: What pytest counts.
        apart: Whether the fault would take this process down.
        decorators: Between the marker and the test.
        before: The module above the test.
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
    marker: str = ""
    arguments: str = ""
    args: tuple[str, ...] = ()

    def source(self) -> str:
        return "\n".join(
            [
                "import os, pytest, signal, unittest",
                "from agent import look_up, note",
                self.before,
                self.decorators,
                f"@pytest.mark.agenttape({self.marker})",
                f"def test_it({self.arguments}):",
                "    look_up('Rome')",
                *(f"    {line}" for line in self.body.splitlines()),
            ]
        )


RECORDED = (f"recorded: {NAME} (1 live call)",)
FAULTS = (
    Fault("nothing: the test passes", "pass", "new", "new", RECORDED, {"passed": 1}),
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
        before="import pytest_agenttape\n@pytest_agenttape.tool\ndef ask():\n    os.kill(os.getpid(), signal.SIGINT)",
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
    Fault("the test skips itself", "pytest.skip('later')", "old", "new", (), {"skipped": 1}),
    Fault(
        "the test fails as expected (xfail)",
        "assert 0",
        "old",
        "new",
        (),
        {"xfailed": 1},
        decorators="@pytest.mark.xfail",
    ),
    Fault(
        "the test passes against expectation (xfail, strict)",
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
        "a tool gives a value that cannot be stored",
        "try:\n    odd()\nexcept Exception:\n    pass",
        "old",
        "none",
        (PENDING, "FAILED test_it.py::test_it - pytest_agenttape.errors.*"),
        {"failed": 1},
        before="from pytest_agenttape import tool\n@tool\ndef odd():\n    return lambda: 1",
    ),
)


def outcome_of(project: Project, fault: Fault) -> pytest.RunResult:
    run = project.run_apart if fault.apart else project.run
    result = run("--agenttape-record", *fault.args)
    if not fault.apart:
        result.assert_outcomes(**fault.outcome)
    result.stdout.fnmatch_lines([*fault.sees])
    return result


@pytest.fixture(params=FAULTS, ids=[fault.title for fault in FAULTS])
def fault(request: pytest.FixtureRequest) -> Fault:
    made: Fault = request.param
    return made


def test_where_there_was_a_cassette(project: Project, fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(test_it=ONE)
    project.record().assert_outcomes(passed=1)
    before = project.cassette().read_bytes()
    monkeypatch.setenv("WORLD", "new")
    (project.path / "test_it.py").write_text(fault.source())
    outcome_of(project, fault)
    if fault.old == "old":
        assert project.cassette().read_bytes() == before
    else:
        assert project.answers() == ["new"]
    assert project.files() == [NAME]


def test_where_there_was_none(project: Project, fault: Fault) -> None:
    (project.path / "test_it.py").write_text(fault.source())
    run = project.run_apart if fault.apart else project.run
    run("--agenttape-record", *fault.args)
    assert project.files() == ([NAME] if fault.fresh == "new" else [])
