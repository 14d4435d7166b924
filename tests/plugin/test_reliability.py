"""Failures in replay, one per row; and the docs page about them agrees with these tests and those of recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.plugin.project import Origin, Project
from tests.plugin.test_transaction import FAULTS, Fault

PAGE = Path(__file__).parent.parent.parent / "docs" / "reliability.md"
RECORDED = """
    import httpx, os, pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
        look_up("Bonn")
        httpx.get(os.environ["ORIGIN"])
"""
HEAD = "import asyncio, contextlib, httpx, os, pytest, socket, subprocess, threading\nfrom agent import look_up\n"
CALLS = "look_up('Rome')\nlook_up('Bonn')\nhttpx.get(os.environ['ORIGIN'])\n"
OSLO = "look_up(city='Oslo') matches no unplayed interaction in cassettes/test_it/test_it.yaml"
UNMATCHED = f"E *UnmatchedInteractionError: {OSLO}"


@dataclass(frozen=True, slots=True)
class Drift:
    """One row of the second table of the page: what differs from when the cassette was recorded.

    Attributes:
        title: The fault in words.
        body: The test.
        sees: The lines that the user reads, in order.
        outcome: What pytest counts.
        edit: What has become of the cassette.
        above: The module above the test.
        conftest: The conftest beside it.
        fails_run: Whether the run fails though its tests do not.
    """

    title: str
    body: str
    sees: tuple[str, ...]
    outcome: dict[str, int]
    edit: Callable[[str], str | None] | None = None
    above: str = ""
    arguments: str = ""
    args: tuple[str, ...] = ()
    conftest: str = ""
    fails_run: bool = False

    def source(self) -> str:
        body = "".join(f"    {line}\n" for line in self.body.splitlines())
        return f"{HEAD}{self.above}\n@pytest.mark.agenttape\ndef test_it({self.arguments}):\n{body}"


BLOCKED = (
    "E *ProgramBlockedError: program git blocked: "
    "no program is started outside a recorded tool, in recording or in replay"
)
FAILED, ERROR = {"failed": 1}, {"passed": 1, "errors": 1}
LATE = """
go, done = threading.Event(), threading.Event()

def late():
    go.wait(5)
    with contextlib.suppress(Exception):
        look_up("Rome")
    done.set()

@pytest.mark.agenttape(mode="once")
def test_before():
    threading.Thread(target=late).start()
"""
DRIFTS = (
    Drift("nothing", CALLS, (), {"passed": 1}),
    Drift(
        "a call is not as recorded", "look_up('Oslo')", (UNMATCHED, "test_it.py:*: UnmatchedInteractionError"), FAILED
    ),
    Drift(
        "the same, and the agent swallows the error",
        f"{CALLS}with contextlib.suppress(Exception):\n    look_up('Oslo')",
        (UNMATCHED, "test_it.py:*: UnmatchedInteractionError"),
        FAILED,
    ),
    Drift(
        "the same, and the agent raises its own error",
        "try:\n    look_up('Oslo')\nexcept Exception:\n    raise ValueError('no answer') from None",
        ("E *ValueError: no answer", f"E *agenttape: {OSLO}"),
        FAILED,
    ),
    Drift(
        "the same, lost in a thread below `gather(return_exceptions=True)`",
        "async def main():\n    await asyncio.gather(asyncio.to_thread(look_up, 'Oslo'), return_exceptions=True)\n"
        "asyncio.run(main())",
        (UNMATCHED,),
        FAILED,
    ),
    Drift(
        "the same, and the agent retries forever",
        "while True:\n    with contextlib.suppress(Exception):\n        look_up('Oslo')\n        break",
        (UNMATCHED,),
        FAILED,
    ),
    Drift(
        "the same, and the test skips itself",
        "try:\n    look_up('Oslo')\nexcept Exception:\n    pytest.skip('no service')",
        (UNMATCHED,),
        FAILED,
    ),
    Drift(
        "the same, in the teardown of a fixture",
        CALLS,
        ("*ERROR at teardown of test_it*", UNMATCHED),
        ERROR,
        above="@pytest.fixture\ndef clean():\n    yield\n    look_up('Oslo')\n",
        arguments="clean",
    ),
    Drift(
        "the same, and retries forever",
        CALLS,
        ("*ERROR at teardown of test_it*", "E *Failed: run stopped after 10 more calls; it had already failed: *"),
        ERROR,
        above="@pytest.fixture\ndef clean():\n    yield\n    while True:\n"
        "        with contextlib.suppress(Exception):\n            look_up('Oslo')\n            break\n",
        arguments="clean",
    ),
    Drift(
        "a worker of the agent is refused, and the agent waits for it",
        "import queue\nasked, done = queue.Queue(), queue.Queue()\n"
        "threading.Thread(target=work, args=(asked, done), daemon=True).start()\n"
        "while True:\n    asked.put('Oslo')\n    if done.get():\n        break",
        (UNMATCHED,),
        FAILED,
        above="def work(asked, done):\n    while True:\n        city = asked.get()\n        found = None\n"
        "        with contextlib.suppress(Exception):\n            found = look_up(city)\n        done.put(found)\n",
    ),
    Drift(
        "a call is made one more time than recorded",
        CALLS + "with contextlib.suppress(Exception):\n    look_up('Rome')",
        ("E *UnmatchedInteractionError: look_up(city='Rome')*", "E *already played*"),
        FAILED,
    ),
    Drift(
        "a recorded call is not made",
        "look_up('Rome')\nhttpx.get(os.environ['ORIGIN'])",
        ("*UnplayedInteractionsWarning: 1 recorded interaction of test_it.yaml not played:*", "unplayed: *"),
        {"passed": 1},
    ),
    Drift(
        "the same, with `--agenttape-strict`",
        "look_up('Rome')\nhttpx.get(os.environ['ORIGIN'])",
        ("E *UnplayedInteractionsError: 1 recorded interaction of test_it.yaml not played:*",),
        FAILED,
        args=("--agenttape-strict",),
    ),
    Drift(
        "a connection leaves the machine, and the agent goes on",
        CALLS + "with contextlib.suppress(OSError):\n    socket.create_connection(('api.invalid', 443), timeout=1)",
        ("E *NetworkBlockedError: connection to api.invalid* blocked: in replay nothing leaves the machine",),
        FAILED,
    ),
    Drift(
        "a program is started, and the agent goes on",
        CALLS + "with contextlib.suppress(Exception):\n    subprocess.run(['git', 'gc'], check=True)",
        (BLOCKED,),
        FAILED,
    ),
    Drift(
        "a session-scoped fixture makes a call",
        CALLS,
        (
            "E *AgentTapeError: a call to the tool look_up was made by the session-scoped fixture 'warm', *",
            "E *make the fixture function-scoped, or open a cassette in it*",
        ),
        {"errors": 1},
        above="@pytest.fixture(scope='session')\ndef warm():\n    return look_up('Rome')\n",
        arguments="warm",
    ),
    Drift(
        "the same, in its teardown, and swallows the refusal",
        CALLS,
        (
            "*ERROR at teardown of test_it*",
            "E *a call to the tool look_up was made by the teardown of the session-scoped fixture 'cold'*",
        ),
        ERROR,
        above="@pytest.fixture(scope='session')\ndef cold():\n    yield\n"
        "    with contextlib.suppress(Exception):\n        look_up('Rome')\n",
        arguments="cold",
    ),
    Drift(
        "the test file makes a call when it is imported",
        CALLS,
        (
            "E *AgentTapeError: a call to the tool look_up was made while test_it.py was collected, before any *",
            "E *make it in the test or in a function-scoped fixture, or open a cassette for it: *",
        ),
        {"errors": 1},
        above="look_up('Rome')",
    ),
    Drift(
        "a hook makes a call between tests, and goes on",
        CALLS,
        ("refused: a call to the tool look_up was made by code that belongs to no test, in a run that only replays*",),
        {"passed": 1},
        conftest="import contextlib\nfrom agent import look_up\n\ndef pytest_runtest_logfinish():\n"
        "    with contextlib.suppress(Exception):\n        look_up('Rome')\n",
        fails_run=True,
    ),
    Drift(
        "a thread of the previous test makes a call",
        CALLS + "go.set()\nassert done.wait(5)",
        ("E *AgentTapeError: a call for test_it.py::test_before was made after it had ended; nothing ran for real.*",),
        {"passed": 1, "failed": 1},
        above=LATE,
    ),
    Drift(
        "a forked child asks for what is recorded, and swallows the refusal",
        CALLS
        + "child = os.fork()\nif not child:\n    with contextlib.suppress(BaseException):\n        look_up('Rome')\n"
        "    os._exit(0)\nos.waitpid(child, 0)",
        ("E *AgentTapeError: a call was made in a forked child of test_it.py::test_it, where calls are neither *",),
        FAILED,
    ),
    Drift(
        "there is no cassette",
        CALLS,
        (
            "E *CassetteNotFoundError: there is no cassette at *",
            "E *record it: pytest test_it.py::test_it --agenttape-record",
        ),
        FAILED,
        edit=lambda _: None,
    ),
    Drift(
        "the cassette has git conflict markers",
        CALLS,
        ("E *CassetteCorruptError: *test_it.yaml:1: has an unresolved merge conflict; keep one side whole*",),
        FAILED,
        edit=lambda text: f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> theirs\n",
    ),
    Drift(
        "the cassette is truncated",
        CALLS,
        ("E *CassetteCorruptError: *test_it.yaml*",),
        FAILED,
        edit=lambda text: text[: text.rindex("request:")],
    ),
    Drift(
        "the cassette has another schema version",
        CALLS,
        ("E *SchemaVersionError: *test_it.yaml: schema version '99' is not supported*",),
        FAILED,
        edit=lambda text: text.replace('version: "1"', 'version: "99"', 1),
    ),
    Drift(
        "a recorded answer was edited and is no longer a response",
        CALLS.replace("httpx.get", "with contextlib.suppress(Exception):\n    httpx.get"),
        ("E *AgentTapeError: the recording of this request is not an HTTP response with a status; record it again: *",),
        FAILED,
        edit=lambda text: text.replace("status: 200", "status: fine", 1),
    ),
)


@pytest.mark.parametrize("drift", DRIFTS, ids=[drift.title for drift in DRIFTS])
def test_in_replay(project: Project, origin: Origin, drift: Drift) -> None:
    project.write(test_it=RECORDED)
    project.record().assert_outcomes(passed=1)
    asked = list(origin.asked)
    cassette = project.cassette()
    if drift.edit is not None:
        edited = drift.edit(cassette.read_text())
        if edited is None:
            cassette.unlink()
        else:
            assert edited != cassette.read_text()
            cassette.write_text(edited)
    before = {file: (project.path / file).read_bytes() for file in project.files()}
    (project.path / "test_it.py").write_text(drift.source())
    (project.path / "conftest.py").write_text(drift.conftest)

    result = project.run(*drift.args)

    assert {key: count for key, count in result.parseoutcomes().items() if key != "warnings"} == drift.outcome
    result.stdout.fnmatch_lines([*drift.sees])
    result.stdout.no_fnmatch_line("All traceback entries are hidden*")
    assert (result.ret != 0) == (drift.fails_run or drift.outcome != {"passed": 1})
    assert project.live() == []
    assert origin.asked == asked
    after = {file: (project.path / file).read_bytes() for file in project.files()}
    assert {file: after[file] for file in before} == before


# -- the page


DISK = {"old": "as it was", "new": "the new recording", "none": "none"}


def row_of_a_fault(fault: Fault) -> tuple[str, ...]:
    litter = "; a hidden `.tmp` file next to it" if fault.litter else ""
    there, fresh = DISK[fault.old] + litter, DISK[fault.fresh] + litter
    kept = any(line.startswith("pending: ") for line in fault.sees)
    lines = [line for line in fault.sees if not line.startswith("pending: ")]
    return fault.title, there, fresh, "yes" if kept else "", shown(lines)


def row_of_a_drift(drift: Drift) -> tuple[str, ...]:
    counts = ", ".join(f"{count} {what.removesuffix('s')}" for what, count in drift.outcome.items())
    counts += ", the run fails" if drift.fails_run else ""
    return drift.title, counts, shown(drift.sees)


def shown(patterns: Sequence[str]) -> str:
    """Return fnmatch patterns as a person would write the text."""
    plain = (line.removeprefix("E *").replace("[[]", "[").replace("[]]", "]").strip("*") for line in patterns)
    return "<br>".join(f"`{line.replace('*', '…')}`" for line in plain)


def tables(page: str) -> Iterator[list[str]]:
    """Return the rows of each table of *page*, without its head."""
    lines = page.splitlines()
    for at, line in enumerate(lines):
        if line.startswith("|---"):
            end = next((to for to in range(at, len(lines)) if not lines[to].startswith("|")), len(lines))
            yield lines[at + 1 : end]


def test_the_page_says_what_the_tests_show() -> None:
    rows = [row_of_a_fault(each) for each in FAULTS], [row_of_a_drift(each) for each in DRIFTS]
    expected = [[f"| {' | '.join(row)} |" for row in table] for table in rows]
    found = [*tables(PAGE.read_text(encoding="utf-8"))][: len(expected)]  # the others are made by other tests
    assert found == expected, "\n\n".join("\n".join(table) for table in expected)
