"""Cassettes written: only a real change, only what comes back, whole or not at all."""

from __future__ import annotations

import base64
import errno
import math
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import atomic, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON, Interaction
from tests.cassettes.builders import BIG, cassette, exchange, failing_open, names, raising, snapshot


@pytest.mark.parametrize(
    ("change", "written"),
    [
        pytest.param(lambda c: c, False, id="same"),
        pytest.param(lambda c: replace(c, created_at="2027-01-01T00:00:00Z"), False, id="time"),
        pytest.param(lambda c: replace(c, run_id="other"), False, id="run"),
        pytest.param(lambda c: replace(c, meta={**c.meta, "freeze": {"clock": "y"}}), False, id="frozen-values"),
        pytest.param(
            lambda c: replace(c, interactions=[replace(each, latency_ms=5.0) for each in c.interactions]),
            False,
            id="latency",
        ),
        pytest.param(lambda c: replace(c, meta={**c.meta, "env": {"LANG": "de"}}), True, id="environment"),
        pytest.param(lambda c: replace(c, interactions=c.interactions[:1]), True, id="fewer"),
        pytest.param(
            lambda c: replace(c, interactions=[replace(each, response=1.0) for each in c.interactions]),
            True,
            id="only-the-type",
        ),
        pytest.param(
            lambda c: replace(c, interactions=[replace(each, usage={"total_tokens": 3}) for each in c.interactions]),
            True,
            id="usage",
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_only_a_real_change_is_written(
    tmp_path: Path, change: Callable[[Cassette], Cassette], written: bool, name: str
) -> None:
    path = tmp_path / name
    before = cassette(1, 1, freeze={"clock": "x"})
    writing.save(before, path)
    content, inode = path.read_bytes(), path.stat().st_ino
    assert writing.save(change(before), path) is written
    assert (path.read_bytes() == content and path.stat().st_ino == inode) is not written


def test_the_order_of_keys_is_a_change(tmp_path: Path) -> None:
    writing.save(cassette({"a": 1, "b": 2}), tmp_path / "a.yaml")
    assert writing.save(cassette({"b": 2, "a": 1}), tmp_path / "a.yaml") is True


def test_comments_of_an_unchanged_cassette_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(cassette(1), path)
    path.write_text("# why this exists\n" + path.read_text())
    assert writing.save(cassette(1, created_at="later"), path) is False
    assert path.read_text().startswith("# why")


def test_a_corrupt_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [\n<<<<<<< ours\n")
    assert writing.save(cassette(1), path) is True
    assert Cassette.load(path) == cassette(1)


# -- in two steps


def test_what_was_prepared_is_written_by_the_commit_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.yaml"
    prepared = writing.prepare(exchange(text=BIG), path)
    assert names(tmp_path) == []
    assert writing.commit(prepared) is True
    assert Cassette.load(path) == exchange(text=BIG)
    assert writing.commit(prepared) is False


def test_two_steps_write_the_same_bytes_as_one(tmp_path: Path) -> None:
    recording = cassette({"answer": "Paris"}, None, freeze={"clock": "x"})
    writing.save(recording, tmp_path / "one.json")
    writing.commit(writing.prepare(recording, tmp_path / "two.json"))
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_what_is_added_later_is_not_written(tmp_path: Path) -> None:
    recording = cassette([1])
    prepared = writing.prepare(recording, tmp_path / "a.yaml")
    recording.meta["env"] = {"LANG": "de"}
    recording.interactions[0].response.append(2)
    writing.commit(prepared)
    assert Cassette.load(tmp_path / "a.yaml") == cassette([1])


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        pytest.param(lambda c: c, True, id="itself"),
        pytest.param(lambda c: replace(c, run_id="other", created_at="later"), True, id="another-run-id"),
        pytest.param(lambda c: replace(c, interactions=list(c.interactions)), True, id="same-calls-in-another-list"),
        pytest.param(lambda c: replace(c, interactions=[*c.interactions, *cassette(3).interactions]), False, id="more"),
        pytest.param(lambda c: replace(c, interactions=c.interactions[:1]), False, id="fewer"),
        pytest.param(
            lambda c: replace(c, interactions=cassette(1, 2).interactions), False, id="equal-calls-made-again"
        ),
        pytest.param(lambda c: replace(c, meta={"env": {}}), False, id="other-facts"),
    ],
)
def test_a_recording_is_what_was_prepared_while_its_calls_are_the_same_objects(
    tmp_path: Path, change: Callable[[Cassette], Cassette], is_same: bool
) -> None:
    recording, path = cassette(1, 2, freeze={"clock": "x"}), tmp_path / "a.yaml"
    prepared = writing.prepare(recording, path)
    assert prepared.is_of(change(recording), path) is is_same
    assert not prepared.is_of(recording, tmp_path / "b.yaml")


def test_a_call_that_is_added_in_place_is_seen(tmp_path: Path) -> None:
    recording, path = cassette(1, 2), tmp_path / "a.yaml"
    prepared = writing.prepare(recording, path)
    recording.meta["env"] = {}
    assert not prepared.is_of(recording, path)
    del recording.meta["env"]
    recording.interactions.append(cassette(3).interactions[0])
    assert not prepared.is_of(recording, path)


# -- refusals


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"x": (1, 2)}, id="tuple"),
        pytest.param({"x": {1: 2}}, id="key-of-another-type"),
        pytest.param({"x": object()}, id="object"),
        pytest.param({"x": b"s3cr3t"}, id="bytes"),
        pytest.param({"x": {"s3cr3t"}}, id="set"),
    ],
)
def test_a_value_that_cannot_come_back_refuses_the_save(tmp_path: Path, value: JSON) -> None:
    path = tmp_path / "a.yaml"
    writing.save(cassette(0), path)
    before = snapshot(tmp_path)
    with pytest.raises(RecordingRefusedError) as caught:
        writing.save(cassette(value), path)
    assert "s3cr3t" not in str(caught.value)
    assert snapshot(tmp_path) == before


def test_too_deep_a_value_refuses_the_save(tmp_path: Path) -> None:
    value: JSON = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(RecordingRefusedError):
        writing.save(cassette(value), tmp_path / "a.yaml")
    assert names(tmp_path) == []


def test_a_deep_value_is_saved(tmp_path: Path) -> None:
    value: JSON = 1
    for _ in range(450):
        value = [value]
    writing.save(cassette(value), tmp_path / "a.yaml")
    assert Cassette.load(tmp_path / "a.yaml") == cassette(value)


@pytest.mark.parametrize(
    ("written", "come_back", "problem"),
    [
        pytest.param({"s": 1}, {"s": True}, "response.s is a int and comes back as a bool", id="type"),
        pytest.param({"s": "a"}, {"s": "b"}, "response.s comes back changed", id="text"),
        pytest.param({"s": [1, 2]}, {"s": [1]}, "response.s comes back with 1 items instead of 2", id="length"),
        pytest.param({"s": 1}, {}, "response comes back with different keys", id="key"),
        pytest.param({"a": 1, "b": 1}, {"b": 1, "a": 1}, "response comes back with different keys", id="order"),
        pytest.param({"s": 0.0}, {"s": -0.0}, "response.s comes back as a different number", id="sign"),
    ],
)
def test_what_reads_back_otherwise_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: JSON, come_back: JSON, problem: str
) -> None:
    load = serializer.load

    def lossy(*args: Any, **options: Any) -> Any:
        document = load(*args, **options)
        document.root["interactions"][0]["response"] = come_back
        return document

    monkeypatch.setattr(serializer, "load", lossy)
    with pytest.raises(RecordingRefusedError) as caught:
        writing.save(cassette(written), tmp_path / "a.yaml")
    assert f"does not read back unchanged: interactions[0].{problem}" in str(caught.value)
    assert names(tmp_path) == []


def test_not_a_number_reads_back(tmp_path: Path) -> None:
    writing.save(cassette(math.nan), tmp_path / "a.yaml")
    assert writing.save(cassette(math.nan), tmp_path / "a.yaml") is False


def test_an_interaction_that_no_reader_would_take_is_refused(tmp_path: Path) -> None:
    wrong = Cassette(interactions=[Interaction(index=0, kind="tool", response=1, usage=5)])  # type: ignore[arg-type]  # the mistake
    with pytest.raises(RecordingRefusedError, match="'usage' must be a mapping"):
        writing.save(wrong, tmp_path / "a.yaml")
    assert names(tmp_path) == []


def find_secret(content: bytes) -> list[str]:
    return ["line 3: an API key"] if b"s3cr3t" in content else []


def test_a_secret_in_the_bytes_refuses_the_save(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(cassette(0), path, scan=find_secret)
    before = snapshot(tmp_path)
    with pytest.raises(RecordingRefusedError, match=r"in a\.yaml:\n  line 3: an API key") as caught:
        writing.save(cassette("s3cr3t"), path, scan=find_secret)
    assert "s3cr3t" not in str(caught.value)
    assert snapshot(tmp_path) == before


@dataclass
class Finding:
    line: int

    def __str__(self) -> str:
        return f"line {self.line}: an API key"


def test_a_secret_is_placed_in_its_interaction(tmp_path: Path) -> None:
    def scan(content: bytes) -> list[Finding]:
        lines = content.decode().splitlines()
        return [Finding(i) for i, line in enumerate(lines, 1) if "s3cr3t" in line]

    with pytest.raises(RecordingRefusedError, match=r"\n  interaction #1 \(t\), line \d+: an API key\n"):
        writing.save(cassette("a", {"b": {"c": "s3cr3t"}}, "d"), tmp_path / "a.yaml", scan=scan)
    with pytest.raises(RecordingRefusedError, match=r"\n  line 6: an API key\n"):
        writing.save(cassette(1, env={"KEY": "s3cr3t"}), tmp_path / "a.yaml", scan=scan)


def test_a_secret_in_an_asset_refuses_the_save(tmp_path: Path) -> None:
    hidden = base64.b64encode(b"s3cr3t" + bytes(100)).decode()
    with pytest.raises(RecordingRefusedError, match=r"in [0-9a-f]{32}\.bin:"):
        writing.save(exchange(body_b64=hidden), tmp_path / "a.yaml", assets_threshold=10, scan=find_secret)
    assert names(tmp_path) == []


# -- what stands in the way


def test_a_directory_in_the_place_of_the_cassette_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        writing.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("mine")
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        writing.save(cassette(1), tmp_path / "cassettes" / "m" / "a.yaml")
    assert (tmp_path / "cassettes").read_text() == "mine"


def test_a_file_in_the_place_of_the_assets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.assets").write_text("mine")
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        writing.save(exchange(text=BIG), tmp_path / "a.yaml")
    assert names(tmp_path) == ["a.assets"]


def test_a_write_protected_cassette_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    writing.save(cassette(1), path)
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anything
    with pytest.raises(RecordingRefusedError, match="the file is read-only"):
        writing.save(cassette(2), path)
    assert Cassette.load(path) == cassette(1)


FAULTS = [
    pytest.param("open", errno.EACCES, id="read-only-directory"),
    pytest.param("open", errno.EROFS, id="read-only-file-system"),
    pytest.param("write", errno.ENOSPC, id="full-disk-in-a-write"),
    pytest.param("fsync", errno.ENOSPC, id="full-disk-in-fsync"),
    pytest.param("fsync", errno.EIO, id="broken-disk"),
    pytest.param("replace", errno.EACCES, id="replace-denied"),
    pytest.param("mkdir", errno.EACCES, id="folder-denied"),
]


def break_disk(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> None:
    if call == "open":
        monkeypatch.setattr(atomic, "open", raising(number), raising=False)
    elif call == "write":
        monkeypatch.setattr(atomic, "open", failing_open(raising(number)), raising=False)
    else:
        monkeypatch.setattr(os, call, raising(number))


@pytest.mark.parametrize(("call", "number"), FAULTS)
@pytest.mark.parametrize("is_new", [True, False], ids=["new-file", "old-file"])
def test_a_disk_that_refuses_leaves_the_old_bytes_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, is_new: bool
) -> None:
    path = tmp_path / "cassettes" / "a.yaml"
    if not is_new:
        writing.save(exchange(text="old " + BIG), path)
    before = snapshot(tmp_path)
    changed = exchange(text="new " + BIG)
    if call == "mkdir" and not is_new:
        pytest.skip("nothing is made where the folders are there")
    with monkeypatch.context() as broken:
        break_disk(broken, call, number)
        with pytest.raises(RecordingRefusedError) as caught:
            writing.save(changed, path)
    assert os.strerror(number) in str(caught.value)
    assert str(path) in str(caught.value)
    assert snapshot(tmp_path) == before
    assert writing.save(changed, path) is True


# -- links, modes, folders


def test_the_mode_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(cassette(1), path)
    path.chmod(0o640)
    writing.save(cassette(2), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    writing.save(cassette(1), tmp_path / "a.yaml")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.yaml").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_linked_cassette_is_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "far" / "real.yaml", tmp_path / "near" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(Path("..") / "far" / "real.yaml")
    for recorded in (exchange(text=BIG), exchange(text="other " + BIG)):
        writing.save(recorded, link)
        assert link.is_symlink()
        assert Cassette.load(link) == Cassette.load(target) == recorded
    assert names(tmp_path / "near") == ["link.yaml"]
    assert len(names(tmp_path / "far")) == 3
