"""If the disk refuses a write, the old cassette stays and the error says why."""

from __future__ import annotations

import os

import pytest

from tests.plugin.project import Project
from tests.plugin.test_transaction import FAILING_DISK

ONE = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""


@pytest.fixture
def recorded(project: Project, monkeypatch: pytest.MonkeyPatch) -> bytes:
    project.write(test_it=ONE)
    project.record().assert_outcomes(passed=1)
    monkeypatch.setenv("WORLD", "new")
    return project.cassette().read_bytes()


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk(project: Project, recorded: bytes, call: str) -> None:
    project.write(conftest=FAILING_DISK.format(call=f"os.{call}", code="ENOSPC"))
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it*",
            "E *RecordingRefusedError: the recording cannot be written to *test_it.yaml: No space left on device; "
            "existing files are untouched",
            "pending: cassettes/test_it/test_it.yaml is unchanged; *",
        ]
    )
    assert project.cassette().read_bytes() == recorded
    assert project.files() == ["cassettes/test_it/test_it.yaml"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_folder(project: Project, recorded: bytes) -> None:
    project.cassette().parent.chmod(0o555)
    result = project.run("--agenttape-record")
    project.cassette().parent.chmod(0o755)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *RecordingRefusedError: the recording cannot be written to *Permission denied*"])
    assert project.cassette().read_bytes() == recorded


def test_a_folder_that_cannot_be_made(project: Project) -> None:
    project.write(test_it=ONE)
    (project.path / "cassettes").write_text("a file in its place")
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["E *RecordingRefusedError: the recording cannot be written to *"])
    assert (project.path / "cassettes").read_text() == "a file in its place"


def test_a_cache_that_cannot_be_written_costs_only_the_pending_recording(project: Project) -> None:
    project.write(test_it=ONE + "        assert 0\n")
    (project.path / ".pytest_cache").write_text("a file in its place")
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("pending:*")
