"""Pending recordings: what a failed run captured can be accepted for as long as it fits."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.pending import Pending, PendingRecording
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import Interaction

NODE = "tests/test_a.py::test_x[東京]"


def cassette(text: str) -> Cassette:
    request = {"method": "GET", "url": "http://x/"}
    response = {"status": 200, "text": text}
    one = Interaction(index=0, kind="http", request=request, response=response)
    return Cassette(created_at="2026-01-02T03:04:05Z", meta={"freeze": {"clock": "x"}}, interactions=[one])


def found(pending: Pending, target: Path) -> PendingRecording:
    kept = pending.find(target)
    assert kept is not None
    return kept


@pytest.fixture
def pending(tmp_path: Path) -> Pending:
    return Pending(tmp_path / "cache" / "pending")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "a.yaml"


def test_nothing_is_pending_at_first(pending: Pending, target: Path) -> None:
    assert pending.find(target) is None
    assert pending.entries() == []
    assert pending.prune() == 0
    assert not target.parent.exists()


def test_a_kept_recording_is_found_as_it_was(pending: Pending, target: Path) -> None:
    path = pending.keep(cassette("new"), target, NODE)
    kept = found(pending, target)
    assert (kept.path, kept.target, kept.nodeid, kept.cassette) == (path, target, NODE, cassette("new"))
    assert path.parent == pending.root
    assert not target.exists()


@pytest.mark.parametrize("is_new", [True, False], ids=["new-target", "old-target"])
def test_what_was_kept_can_become_the_cassette_once(pending: Pending, target: Path, is_new: bool) -> None:
    if not is_new:
        writing.save(cassette("old"), target)
    pending.keep(cassette("new"), target, NODE)
    writing.save(found(pending, target).cassette, target)
    assert Cassette.load(target) == cassette("new")
    assert pending.find(target) is None
    assert pending.prune() == 1
    assert pending.entries() == []


def test_large_bodies_are_moved_to_the_assets_of_the_cassette_only(pending: Pending, target: Path) -> None:
    pending.keep(cassette("x" * 100_000), target, NODE)
    assert [each.name for each in pending.root.iterdir() if each.is_dir()] == []
    writing.save(found(pending, target).cassette, target)
    assert target.with_name("a.assets").is_dir()
    assert Cassette.load(target) == cassette("x" * 100_000)


def test_the_latest_recording_of_a_target_is_kept(pending: Pending, target: Path) -> None:
    pending.keep(cassette("first"), target, NODE)
    pending.keep(cassette("second"), target, NODE)
    assert [each.cassette for each in pending.entries()] == [cassette("second")]


def test_targets_are_told_apart(pending: Pending, target: Path) -> None:
    other = target.with_name("b.yaml")
    pending.keep(cassette("b"), other, "b")
    pending.keep(cassette("a"), target, "a")
    assert [each.nodeid for each in pending.entries()] == ["a", "b"]
    pending.discard(other)
    assert [each.nodeid for each in pending.entries()] == ["a"]


def test_a_target_may_be_named_relative_to_the_working_directory(
    pending: Pending, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending.keep(cassette("new"), target, NODE)
    monkeypatch.chdir(target.parent.parent)
    assert pending.find(Path("cassettes") / "a.yaml") is not None


@pytest.mark.parametrize("change", ["edited", "recorded-anew", "removed", "made"])
def test_a_recording_is_stale_once_its_target_changed(pending: Pending, target: Path, change: str) -> None:
    if change != "made":
        writing.save(cassette("old"), target)
    pending.keep(cassette("new"), target, NODE)
    if change == "removed":
        target.unlink()
    elif change == "edited":
        target.write_text(target.read_text() + "# a remark\n")
    else:
        writing.save(cassette("other"), target)
    assert pending.find(target) is None
    assert pending.prune() == 1
    assert pending.entries() == []


def test_keeping_again_for_a_changed_target_makes_it_fit(pending: Pending, target: Path) -> None:
    pending.keep(cassette("new"), target, NODE)
    writing.save(cassette("old"), target)
    pending.keep(cassette("new"), target, NODE)
    assert pending.find(target) is not None


def test_old_recordings_are_pruned(pending: Pending, target: Path) -> None:
    path = pending.keep(cassette("new"), target, NODE)
    kept = path.stat().st_mtime
    assert pending.prune(max_age_days=2, now=kept + 2 * 86400 - 1) == 0
    assert pending.prune(max_age_days=2, now=kept + 2 * 86400 + 1) == 1


@pytest.mark.parametrize("content", [b"", b"a: [", b"\xff", b'version: "1"\ninteractions: []\n', b"[]"])
def test_what_is_no_pending_recording_is_passed_over_and_pruned(pending: Pending, target: Path, content: bytes) -> None:
    path = pending.keep(cassette("new"), target, NODE)
    path.write_bytes(content)
    assert pending.find(target) is None
    assert pending.entries() == []
    assert pending.prune() == 1


def test_a_secret_is_not_kept(pending: Pending, target: Path) -> None:
    def scan(content: bytes) -> list[str]:
        return ["an API key"] if b"s3cr3t" in content else []

    with pytest.raises(RecordingRefusedError):
        pending.keep(cassette("s3cr3t"), target, NODE, scan=scan)
    assert pending.entries() == []


def test_what_cannot_be_written_stays_pending(pending: Pending, target: Path) -> None:
    pending.keep(cassette("new"), target, NODE)
    target.parent.write_text("a file in the place of the folder")
    with pytest.raises(RecordingRefusedError):
        writing.save(found(pending, target).cassette, target)
    assert pending.find(target) is not None


def test_an_undecodable_node_id_is_kept_readable(pending: Pending, target: Path) -> None:
    pending.keep(cassette("new"), target, "t[\udcff]")
    assert found(pending, target).nodeid == "t[?]"


def test_keeping_what_was_given_changes_nothing_of_it(pending: Pending, target: Path) -> None:
    given = cassette("new")
    pending.keep(given, target, NODE)
    assert given == cassette("new")
    assert replace(given, meta={}) != given


def test_the_same_recording_kept_again_is_not_old(pending: Pending, target: Path) -> None:
    os.utime(pending.keep(cassette("new"), target, NODE), (0, 0))
    pending.keep(cassette("new"), target, NODE)
    assert pending.prune() == 0
    os.utime(pending.keep(cassette("new"), target, NODE), (0, 0))
    assert pending.prune() == 1
