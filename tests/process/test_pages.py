"""The files by which child processes find the run that they belong to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_agenttape.process import child_processes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(child_processes, "FOLDER", str(tmp_path / "pages"))
    monkeypatch.setattr(child_processes, "_ours", None)
    monkeypatch.setattr(child_processes, "_our_path", "")
    monkeypatch.setenv(child_processes.VARIABLE, "")
    (tmp_path / "pages").mkdir()
    return tmp_path / "pages"


def page_of(pid: int, space: str | None = None) -> str:
    name = child_processes._name(pid, child_processes._parent_of(pid)[1])
    return name if space is None else f"{name.rpartition('-')[0]}-{space}"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="nothing tells when a process began")
def test_what_killed_processes_left_behind_is_removed(folder: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as ended:
        gone, elsewhere = page_of(ended.pid), page_of(ended.pid, "1")  # of another container's processes
        ended.kill()
    running, another = page_of(os.getppid()), f"{os.getppid()}-1-{page_of(1).rpartition('-')[2]}"
    for name in (gone, elsewhere, running, another, "notes.txt"):
        (folder / name).touch()
    child_processes.announce(True)
    assert {each.name for each in folder.iterdir()} == {elsewhere, running, "notes.txt", page_of(os.getpid())}
