"""``--agenttape-review`` in a terminal: each change is shown, and written if the user says so."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from tests.plugin.project import Project

SUITE = """
    import os
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    @pytest.mark.parametrize("number", [1, 2, 3])
    def test_it(number, agenttape_cassette):
        look_up(f"{os.environ.get('CITY', 'Rome')} {number}")
        agenttape_cassette.assert_snapshot()
"""
QUESTION = "accept it? y(es), n(o), a(ll that follow), q(uit): "
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


def in_a_terminal(project: Project, *answers: str, options: Sequence[str] = (), **environment: str) -> tuple[int, str]:
    """Run a review in a terminal of its own, and answer each question; return the exit code and what was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "--agenttape-review", "-p", "no:randomly", *options],
        cwd=project.path,
        env={**os.environ, **environment, "TERM": "xterm", "COLUMNS": "160"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    )
    os.close(theirs)
    shown, waiting, end = "", [*answers], time.monotonic() + 60
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                read = os.read(ours, 65536).decode("utf-8", "replace")
            except OSError:  # the other end is closed
                break
            shown += read
            if waiting and shown.endswith(QUESTION):
                os.write(ours, f"{waiting.pop(0)}\n".encode())
        return process.wait(timeout=30), shown
    finally:
        process.kill()
        os.close(ours)


@pytest.fixture
def recorded(project: Project) -> Project:
    project.write(test_it=SUITE)
    project.record().assert_outcomes(passed=3)
    return project


def cities(project: Project) -> list[object]:
    return [project.calls(f"test_it/test_it[{number}].yaml")[0] for number in (1, 2, 3)]


def test_each_change_is_shown_with_its_cause_in_colour_and_written_if_wanted(recorded: Project) -> None:
    status, shown = in_a_terminal(recorded, "y", "n", "y", CITY="Oslo")
    assert "\x1b[" in shown
    plain = _CONTROL.sub("", shown)
    assert plain.count(QUESTION) == 3
    assert "1 of 3: test_it.py::test_it[1], cassettes/test_it/test_it[1].yaml" in plain
    assert "first divergence: the argument city changed in call 0 (look_up)" in plain
    assert "old  'Rome 1'" in plain
    assert "new  'Oslo 1'" in plain
    assert "1 recording kept as pending; --snapshot-update accepts them all" in plain
    assert cities(recorded) == ["Oslo 1", "Rome 2", "Oslo 3"]
    assert recorded.live() == ["look_up Oslo 1", "look_up Oslo 2", "look_up Oslo 3"]  # each was paid for once
    views = (recorded.path / "__snapshots__" / "test_it.ambr").read_text()
    assert [city in views for city in ("Oslo 1", "Rome 2", "Oslo 3")] == [True, True, True]
    assert status == 1  # a change is left


def test_all_that_follow_can_be_accepted_at_once(recorded: Project) -> None:
    status, shown = in_a_terminal(recorded, "what?", "n", "a", CITY="Oslo")
    assert shown.count(QUESTION) == 3  # one was not understood, and the last was not asked
    assert cities(recorded) == ["Rome 1", "Oslo 2", "Oslo 3"]
    assert status == 1


def test_whoever_quits_has_written_what_was_accepted_so_far(recorded: Project) -> None:
    status, _ = in_a_terminal(recorded, "y", "q", CITY="Oslo")
    assert cities(recorded) == ["Oslo 1", "Rome 2", "Rome 3"]
    assert status == 1


def test_all_accepted_is_a_success(recorded: Project) -> None:
    assert in_a_terminal(recorded, "a", CITY="Oslo")[0] == 0
    assert cities(recorded) == ["Oslo 1", "Oslo 2", "Oslo 3"]
    recorded.live()
    assert recorded.run_apart("-q").ret == 1  # without CITY
    assert recorded.live() == []


def test_workers_record_and_the_main_process_asks(recorded: Project) -> None:
    status, shown = in_a_terminal(
        recorded, "y", "n", "y", options=("-p", "xdist", "-n", "2", "test_it.py"), CITY="Oslo"
    )
    assert shown.count(QUESTION) == 3
    assert cities(recorded) == ["Oslo 1", "Rome 2", "Oslo 3"]
    assert status == 1


def test_nothing_is_asked_where_nothing_changed(recorded: Project) -> None:
    before = recorded.cassette("test_it/test_it[1].yaml").read_bytes()
    status, shown = in_a_terminal(recorded)
    assert status == 0
    assert QUESTION not in shown
    assert "pending" not in shown
    assert recorded.cassette("test_it/test_it[1].yaml").read_bytes() == before


def test_a_new_recording_is_shown_as_a_whole(project: Project) -> None:
    project.write(test_it=SUITE)
    status, shown = in_a_terminal(project, "a")
    assert "tool look_up(city='Rome 1')" in _CONTROL.sub("", shown)
    assert status == 0
    assert cities(project) == ["Rome 1", "Rome 2", "Rome 3"]


def test_a_call_that_is_gone_is_a_change(recorded: Project) -> None:
    path = recorded.path / "test_it.py"
    path.write_text(path.read_text().replace("look_up(f", "number == 2 and look_up(f"))
    status, shown = in_a_terminal(recorded, "n", "n")
    assert "look_up(city='Rome 1') is gone" in _CONTROL.sub("", shown)
    assert status == 1
    assert cities(recorded) == ["Rome 1", "Rome 2", "Rome 3"]


def test_the_recording_of_a_failed_test_is_shown_but_cannot_be_accepted(recorded: Project) -> None:
    path = recorded.path / "test_it.py"
    path.write_text(path.read_text() + "    assert number != 2\n")
    status, shown = in_a_terminal(recorded, "y", "y", CITY="Oslo")
    assert "its test failed: mend that first" in shown
    assert shown.count(QUESTION) == 2
    assert cities(recorded) == ["Oslo 1", "Rome 2", "Oslo 3"]
    assert status == 1


def test_without_a_terminal_nothing_runs(recorded: Project) -> None:
    result = recorded.run_apart("--agenttape-review")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --agenttape-review asks about each change, and this is no terminal; "
            "to accept all changes: pytest --snapshot-update"
        ]
    )
    assert recorded.live() == []


@pytest.mark.parametrize("flag", ["--agenttape-record", "--snapshot-update", "--agenttape-verify"])
def test_it_does_not_go_together_with_what_writes_unasked(recorded: Project, flag: str) -> None:
    result = recorded.run_apart("--agenttape-review", flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
