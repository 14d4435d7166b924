"""Saves that are killed, interrupted or simultaneous: what was there stays until what is new is whole."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.cassettes import atomic, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import RecordingRefusedError
from tests.cassettes.builders import BIG, age, cassette, exchange, failing_open, names, snapshot


class Crossings:
    """Runs *at* when the number *wanted* of the calls that touch the disk is reached, before or after it is made."""

    def __init__(self, wanted: int, at: Callable[[], None]) -> None:
        self.count = 0
        self.wanted = wanted
        self.at = at

    def tick(self) -> None:
        self.count += 1
        if self.count == self.wanted:
            self.at()

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            self.tick()
            result = function(*args, **options)
            self.tick()
            return result

        return call

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("replace", "fsync", "chmod", "unlink", "rmdir", "mkdir", "open", "close"):
            monkeypatch.setattr(os, name, self.around(getattr(os, name)))
        monkeypatch.setattr(atomic, "open", self.around(failing_open(self.tick)), raising=False)


SCENES = [
    pytest.param(None, cassette("new"), id="new-file"),
    pytest.param(cassette("old"), cassette("new"), id="old-file"),
    pytest.param(None, exchange(text="new" + BIG), id="new-file-with-asset"),
    pytest.param(exchange(text="old" + BIG), exchange(text="new" + BIG), id="old-file-with-asset"),
    pytest.param(exchange(text="old" + BIG), exchange(text="small"), id="asset-that-goes"),
]


def lay_out(folder: Path, old: Cassette | None) -> Path:
    path = folder / "cassettes" / "a.yaml"
    if old is not None:
        writing.save(old, path)
    return path


def steps(tmp_path: Path) -> Iterator[tuple[int, Path]]:
    for wanted in range(1, 200):
        folder = tmp_path / str(wanted)
        folder.mkdir()
        yield wanted, folder
    pytest.fail("a save of more than 200 steps")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the process to kill is a fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of fork beside threads
@pytest.mark.parametrize(("old", "new"), SCENES)
def test_a_kill_at_any_step_leaves_the_old_bytes_or_the_new(
    tmp_path: Path, old: Cassette | None, new: Cassette
) -> None:
    for wanted, folder in steps(tmp_path):
        path = lay_out(folder, old)
        bytes_before = path.read_bytes() if old else None
        child = os.fork()
        if child == 0:
            Crossings(wanted, lambda: os.kill(os.getpid(), signal.SIGKILL)).install(pytest.MonkeyPatch())
            writing.save(new, path)
            os._exit(0)
        _, status = os.waitpid(child, 0)

        if not path.exists():
            assert old is None
        elif path.read_bytes() != bytes_before:
            assert Cassette.load(path) == new
        else:
            assert Cassette.load(path) == old

        for each in [each for each in folder.rglob("*") if each.is_file() and each != path]:
            age(each, hours=2)
        writing.save(replace(new, meta={"env": {"next": "save"}}), path)
        has_asset = "text" in (new.interactions[0].response or {}) and BIG in str(new.interactions[0].response)
        assert len(names(path.parent)) == (3 if has_asset else 1), names(path.parent)
        if not os.WIFSIGNALED(status):
            assert wanted > 8
            return


@pytest.mark.parametrize(("old", "new"), SCENES)
def test_an_interrupt_at_any_step_leaves_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: Cassette | None, new: Cassette
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for wanted, folder in steps(tmp_path):
        path = lay_out(folder, old)
        before = snapshot(folder)
        crossings = Crossings(wanted, interrupt)
        with monkeypatch.context() as patched:
            crossings.install(patched)
            try:
                writing.save(new, path)
            except KeyboardInterrupt:
                pass
            else:
                assert wanted > 8
                return
        if snapshot(folder) != before:
            assert Cassette.load(path) == new
            assert not [each for each in names(folder) if each.endswith(".tmp")]


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, running = tmp_path / f".a.yaml.{'0' * 16}.tmp", tmp_path / f".b.yaml.{'1' * 16}.tmp"
    of_user = tmp_path / ".notes.tmp"
    for each in (left, running, of_user):
        each.touch()
        age(each, hours=0.01)
    with running.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        writing.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == sorted([running.name, of_user.name, "a.yaml"])


def test_a_save_that_has_just_begun_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = tmp_path / f".a.yaml.{'0' * 16}.tmp"
    monkeypatch.setattr("time.time", lambda: 4e9)
    begun.touch()
    writing.save(cassette(1), tmp_path / "b.yaml")
    assert begun.exists()


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.cassettes.atomic.fcntl", None)
    old, new = tmp_path / f".a.yaml.{'0' * 16}.tmp", tmp_path / f".a.yaml.{'1' * 16}.tmp"
    for each in (old, new):
        each.touch()
    age(old, hours=2)
    writing.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == sorted([new.name, "a.yaml"])


def test_saves_at_the_same_time_leave_one_whole_cassette(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "a.yaml"
    recorded = [exchange(text=f"{i} {BIG}") for i in range(8)]
    failures: list[BaseException] = []

    def save(each: Cassette) -> None:
        try:
            writing.save(each, path)
        except BaseException as error:  # noqa: BLE001  # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=save, args=(each,)) for each in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert Cassette.load(path) in recorded
    assert not [each for each in names(tmp_path) if each.endswith(".tmp")]


def test_a_name_as_long_as_a_file_system_takes_is_saved(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".yaml")
    writing.save(cassette(1), path)
    assert Cassette.load(path) == cassette(1)


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text there")
def test_a_temporary_name_of_long_characters_fits(tmp_path: Path) -> None:
    path = tmp_path / ("東" * 66 + ".derived.yaml")
    writing.save(cassette(1), path)
    assert names(tmp_path) == [path.name]


def test_a_failed_save_leaves_an_asset_that_it_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_text("altered")
    rename = os.replace

    def refuse_the_cassette(source: Path, target: Path) -> None:
        if target == path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_cassette)
    with pytest.raises(RecordingRefusedError):
        writing.save(exchange(text=BIG), path)
    assert Cassette.load(path) == exchange(text=BIG)
