"""Cassettes on disk: what was there stays until what is new is whole."""

from __future__ import annotations

import base64
import errno
import fcntl
import math
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import atomic, store
from pytest_agenttape.errors import (
    CassetteCorruptError,
    CassetteNotFoundError,
    RecordingRefusedError,
    SchemaVersionError,
)
from pytest_agenttape.model import JSON, Cassette, Interaction

BIG = "word " * 30_000


def cassette(*responses: JSON, created_at: str = "2026-01-02T03:04:05Z", **meta: JSON) -> Cassette:
    interactions = [
        Interaction(index=i, kind="tool", boundary="t", request={"args": {"n": i}}, response=each)
        for i, each in enumerate(responses)
    ]
    return Cassette(created_at=created_at, run_id="r", meta=meta, interactions=interactions)


def exchange(*, content_type: str = "text/plain", **body: JSON) -> Cassette:
    request = {"method": "GET", "url": "http://x/", "headers": {}}
    response = {"status": 200, "headers": {"Content-Type": content_type}, **body}
    return Cassette(interactions=[Interaction(index=0, kind="http", request=request, response=response)])


def names(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))


def age(path: Path, hours: float) -> None:
    past = path.lstat().st_mtime - hours * 3600
    os.utime(path, (past, past))


# -- reading


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.yaml"
    recorded = cassette({"answer": "Paris"}, None, [1, 1.0, True], freeze={"clock": "x"})
    assert store.save(recorded, path) is True
    found, lines = store.read(path)
    assert found == recorded
    assert [path.read_text().splitlines()[line - 1].strip() for line in lines] == [f"- index: {i}" for i in range(3)]


def test_the_extension_decides_the_format(tmp_path: Path) -> None:
    store.save(cassette(1), tmp_path / "a.json", format="yaml")
    store.save(cassette(1), tmp_path / "a.yml", format="json")
    assert (tmp_path / "a.json").read_text().startswith("{")
    assert (tmp_path / "a.yml").read_text().startswith("version:")
    assert store.read(tmp_path / "a.json")[0] == store.read(tmp_path / "a.yml")[0]


def test_a_file_without_a_known_extension_takes_the_format_and_reads_back(tmp_path: Path) -> None:
    store.save(cassette({"a": "ü"}), tmp_path / "tape", format="json")
    assert (tmp_path / "tape").read_text().startswith("{")
    assert store.read(tmp_path / "tape")[0] == cassette({"a": "ü"})
    assert store.save(cassette({"a": "ü"}), tmp_path / "tape", format="json") is False


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_json, st.sampled_from(["a.yaml", "a.json"]))
@example({"b": 1, "a": 2}, "a.yaml")
@example([-0.0, "\u2028", "\ud800", "no", "1e3", "a\r\nb"], "a.yaml")
def test_any_value_comes_back_as_it_was(tmp_path: Path, value: JSON, name: str) -> None:
    (tmp_path / name).unlink(missing_ok=True)
    store.save(cassette(value), tmp_path / name)
    found = store.read(tmp_path / name)[0].interactions[0].response
    assert repr(found) == repr(value)


@pytest.mark.parametrize("parts", ["a.yaml", "none/a.yaml", "file/a.yaml"])
def test_a_missing_cassette_says_how_to_record_it(tmp_path: Path, parts: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CassetteNotFoundError, match="record it with: pytest --agenttape-record") as caught:
        store.read(tmp_path / parts)
    assert caught.value.path == tmp_path / parts
    assert str(tmp_path / parts) in str(caught.value)


HEAD = 'version: "1"\ncreated_at: ""\nrun_id: r\nmeta: {}\n'
GOOD = "- index: 0\n  kind: tool\n  request: {}\n  response: 1\n"


@pytest.mark.parametrize(
    ("content", "problem", "line"),
    [
        pytest.param("", "is empty", None, id="empty"),
        pytest.param(" \n\n", "is empty", None, id="blank"),
        pytest.param("- 1\n", "list", None, id="list"),
        pytest.param("just words\n", "", None, id="text"),
        pytest.param(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull", None, id="git-lfs"
        ),
        pytest.param("a: b\n", "'version' is missing", None, id="other-mapping"),
        pytest.param('version: "1"\n', "'interactions' is missing", None, id="no-interactions"),
        pytest.param("a: [\n", "", 2, id="broken-yaml"),
        pytest.param(HEAD + "interactions: 3\n", "must be a list", None, id="no-list"),
        pytest.param(HEAD + "interactions:\n" + GOOD + "- 3\n", "must be a mapping", 10, id="no-mapping"),
        pytest.param(
            HEAD + "interactions:\n" + GOOD + "- index: 1\n  kind: tol\n  request: {}\n  response: 1\n",
            "unknown kind 'tol'",
            10,
            id="kind",
        ),
        pytest.param(
            HEAD + "interactions:\n" + GOOD + "- index: 1\n  kind: tool\n  request: {}\n",
            "neither 'response' nor 'error'",
            10,
            id="no-outcome",
        ),
        pytest.param(
            HEAD + "interactions:\n" + GOOD + "- {index: 1, kind: tool, request: {}, response: 1, error: {type: A}}\n",
            "has both 'response' and 'error'",
            10,
            id="two-outcomes",
        ),
    ],
)
def test_a_corrupt_cassette_names_path_line_and_problem(
    tmp_path: Path, content: str, problem: str, line: int | None
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)
    with pytest.raises(CassetteCorruptError) as caught:
        store.read(path)
    assert caught.value.path == path
    assert caught.value.line == line or line is None
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_another_schema_version_keeps_its_class(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text('version: "7"\ninteractions: []\n')
    with pytest.raises(SchemaVersionError, match="schema version '7'") as caught:
        store.read(tmp_path / "a.yaml")
    assert caught.value.path == tmp_path / "a.yaml"


def test_a_directory_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(CassetteCorruptError, match="is a directory"):
        store.read(tmp_path / "a.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_pipe_is_refused_instead_of_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(CassetteCorruptError, match=r"c\.yaml: cannot be read: is no regular file"):
        store.read(tmp_path / "c.yaml")
    with pytest.raises(RecordingRefusedError, match="is no regular file; what was there is untouched"):
        store.save(cassette(1), tmp_path / "c.yaml")
    assert (tmp_path / "c.yaml").is_fifo()


def test_an_unreadable_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.save(cassette(1), tmp_path / "a.yaml")

    def denied(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(CassetteCorruptError, match="cannot be read: Permission denied"):
        store.read(tmp_path / "a.yaml")


# -- no churn


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
    store.save(before, path)
    content, inode = path.read_bytes(), path.stat().st_ino
    assert store.save(change(before), path) is written
    assert (path.read_bytes() == content and path.stat().st_ino == inode) is not written


def test_the_order_of_keys_is_a_change(tmp_path: Path) -> None:
    store.save(cassette({"a": 1, "b": 2}), tmp_path / "a.yaml")
    assert store.save(cassette({"b": 2, "a": 1}), tmp_path / "a.yaml") is True


def test_comments_of_an_unchanged_cassette_stay(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(cassette(1), path)
    path.write_text("# why this exists\n" + path.read_text())
    assert store.save(cassette(1, created_at="later"), path) is False
    assert path.read_text().startswith("# why")


def test_a_corrupt_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: [\n<<<<<<< ours\n")
    assert store.save(cassette(1), path) is True
    assert store.read(path)[0] == cassette(1)


# -- refusals


def snapshot(folder: Path) -> dict[str, bytes]:
    return {each: (folder / each).read_bytes() if (folder / each).is_file() else b"" for each in names(folder)}


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
    store.save(cassette(0), path)
    before = snapshot(tmp_path)
    with pytest.raises(RecordingRefusedError) as caught:
        store.save(cassette(value), path)
    assert "s3cr3t" not in str(caught.value)
    assert snapshot(tmp_path) == before


def test_too_deep_a_value_refuses_the_save(tmp_path: Path) -> None:
    value: JSON = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(RecordingRefusedError):
        store.save(cassette(value), tmp_path / "a.yaml")
    assert names(tmp_path) == []


def test_a_deep_value_is_saved(tmp_path: Path) -> None:
    value: JSON = 1
    for _ in range(450):
        value = [value]
    store.save(cassette(value), tmp_path / "a.yaml")
    assert store.read(tmp_path / "a.yaml")[0] == cassette(value)


@pytest.mark.parametrize(
    ("written", "come_back", "problem"),
    [
        pytest.param({"s": 1}, {"s": True}, "response.s is a int and comes back as a bool", id="type"),
        pytest.param({"s": "a"}, {"s": "b"}, "response.s comes back changed", id="text"),
        pytest.param({"s": [1, 2]}, {"s": [1]}, "response.s comes back with 1 items instead of 2", id="length"),
        pytest.param({"s": 1}, {}, "response comes back with other keys", id="key"),
        pytest.param({"a": 1, "b": 1}, {"b": 1, "a": 1}, "response comes back with other keys", id="order"),
        pytest.param({"s": 0.0}, {"s": -0.0}, "response.s comes back as another number", id="sign"),
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
        store.save(cassette(written), tmp_path / "a.yaml")
    assert f"does not read back as it was: interactions[0].{problem}" in str(caught.value)
    assert names(tmp_path) == []


def test_not_a_number_reads_back(tmp_path: Path) -> None:
    store.save(cassette(math.nan), tmp_path / "a.yaml")
    assert store.save(cassette(math.nan), tmp_path / "a.yaml") is False


def test_an_interaction_that_no_reader_would_take_is_refused(tmp_path: Path) -> None:
    wrong = Cassette(interactions=[Interaction(index=0, kind="tol", response=1)])
    with pytest.raises(RecordingRefusedError, match="unknown kind 'tol'"):
        store.save(wrong, tmp_path / "a.yaml")
    assert names(tmp_path) == []


def find_secret(content: bytes) -> list[str]:
    return ["line 3: an API key"] if b"s3cr3t" in content else []


def test_a_secret_in_the_bytes_refuses_the_save(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(cassette(0), path, scan=find_secret)
    before = snapshot(tmp_path)
    with pytest.raises(RecordingRefusedError, match=r"in a\.yaml:\n  line 3: an API key") as caught:
        store.save(cassette("s3cr3t"), path, scan=find_secret)
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
        store.save(cassette("a", {"b": {"c": "s3cr3t"}}, "d"), tmp_path / "a.yaml", scan=scan)
    with pytest.raises(RecordingRefusedError, match=r"\n  line 6: an API key\n"):
        store.save(cassette(1, env={"KEY": "s3cr3t"}), tmp_path / "a.yaml", scan=scan)


def test_a_secret_in_an_asset_refuses_the_save(tmp_path: Path) -> None:
    hidden = base64.b64encode(b"s3cr3t" + bytes(100)).decode()
    with pytest.raises(RecordingRefusedError, match=r"in [0-9a-f]{32}\.bin:"):
        store.save(exchange(body_b64=hidden), tmp_path / "a.yaml", assets_threshold=10, scan=find_secret)
    assert names(tmp_path) == []


# -- what stands in the way


def test_a_directory_in_the_place_of_the_cassette_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        store.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("mine")
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        store.save(cassette(1), tmp_path / "cassettes" / "m" / "a.yaml")
    assert (tmp_path / "cassettes").read_text() == "mine"


def test_a_file_in_the_place_of_the_assets_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.assets").write_text("mine")
    with pytest.raises(RecordingRefusedError, match="cannot be written"):
        store.save(exchange(text=BIG), tmp_path / "a.yaml")
    assert names(tmp_path) == ["a.assets"]


def test_a_write_protected_cassette_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    store.save(cassette(1), path)
    path.chmod(0o444)
    monkeypatch.setattr(os, "access", lambda *_: False)  # the superuser may write anything
    with pytest.raises(RecordingRefusedError, match="the file is read-only"):
        store.save(cassette(2), path)
    assert store.read(path)[0] == cassette(1)


class FailingStream:
    """A file that takes half of what it is given, then runs *fail*."""

    def __init__(self, stream: IO[bytes], fail: Callable[[], None]) -> None:
        self._stream, self._fail = stream, fail

    def __enter__(self) -> FailingStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, content: bytes) -> None:
        self._stream.write(content[: len(content) // 2])
        self._stream.flush()
        self._fail()
        self._stream.write(content[len(content) // 2 :])

    def __getattr__(self, name: str) -> Any:  # whatever else a file has
        return getattr(self._stream, name)


def failing_open(fail: Callable[[], None]) -> Callable[..., FailingStream]:
    def opened(path: Path, mode: str) -> FailingStream:
        return FailingStream(open(path, mode), fail)

    return opened


def raising(number: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


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
        store.save(exchange(text="old " + BIG), path)
    before = snapshot(tmp_path)
    changed = exchange(text="new " + BIG)
    if call == "mkdir" and not is_new:
        pytest.skip("nothing is made where the folders are there")
    with monkeypatch.context() as broken:
        break_disk(broken, call, number)
        with pytest.raises(RecordingRefusedError) as caught:
            store.save(changed, path)
    assert os.strerror(number) in str(caught.value)
    assert str(path) in str(caught.value)
    assert snapshot(tmp_path) == before
    assert store.save(changed, path) is True


# -- links, modes, folders


def test_the_mode_of_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(cassette(1), path)
    path.chmod(0o640)
    store.save(cassette(2), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_new_file_has_the_mode_of_any_new_file(tmp_path: Path) -> None:
    store.save(cassette(1), tmp_path / "a.yaml")
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.yaml").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_linked_cassette_is_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "far" / "real.yaml", tmp_path / "near" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(Path("..") / "far" / "real.yaml")
    for recorded in (exchange(text=BIG), exchange(text="other " + BIG)):
        store.save(recorded, link)
        assert link.is_symlink()
        assert store.read(link)[0] == store.read(target)[0] == recorded
    assert names(tmp_path / "near") == ["link.yaml"]
    assert len(names(tmp_path / "far")) == 3


# -- assets


def test_a_large_text_is_kept_beside_the_cassette(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    assert asset.suffix == ".txt"
    assert asset.read_text() == BIG
    assert f"text_asset:\n      file: {asset.name}\n      bytes: {len(BIG)}\n" in path.read_text()
    assert store.read(path)[0] == exchange(text=BIG)


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("image/png", "png"),
        ("Audio/MPEG; rate=1", "mp3"),
        ("application/x-unknown", "bin"),
        ("", "bin"),
    ],
)
def test_a_binary_asset_opens_in_a_viewer(tmp_path: Path, content_type: str, extension: str) -> None:
    raw = bytes(range(256)) * 4
    recorded = exchange(body_b64=base64.b64encode(raw).decode(), content_type=content_type)
    store.save(recorded, tmp_path / "a.yaml", assets_threshold=1023)
    (asset,) = (tmp_path / "a.assets").iterdir()
    assert asset.suffix == f".{extension}"
    assert asset.read_bytes() == raw
    assert store.read(tmp_path / "a.yaml")[0] == recorded


@pytest.mark.parametrize(
    "recorded",
    [
        pytest.param(exchange(text="x" * 1024), id="at-the-threshold"),
        pytest.param(exchange(json={"x": "y" * 5000}), id="json-stays-readable"),
        pytest.param(exchange(body_b64="A" * 5001), id="not-base64"),
        pytest.param(exchange(body_b64="A" * 5001 + "B=="), id="not-canonical-base64"),
        pytest.param(exchange(text="\ud800" * 5000), id="not-utf8"),
        pytest.param(cassette({"text": "x" * 5000}), id="a-tools-result"),
    ],
)
def test_what_would_not_come_back_exactly_stays_in_the_cassette(tmp_path: Path, recorded: Cassette) -> None:
    store.save(recorded, tmp_path / "a.yaml", assets_threshold=1024)
    assert names(tmp_path) == ["a.yaml"]
    assert store.read(tmp_path / "a.yaml")[0] == recorded


def test_line_ends_of_a_text_asset_are_kept(tmp_path: Path) -> None:
    recorded = exchange(text="a\r\nb\rc\n" * 100)
    store.save(recorded, tmp_path / "a.yaml", assets_threshold=10)
    assert store.read(tmp_path / "a.yaml")[0] == recorded


def test_a_tools_own_key_of_that_name_is_its_own(tmp_path: Path) -> None:
    recorded = cassette({"text_asset": {"file": "../x", "bytes": 1}})
    store.save(recorded, tmp_path / "a.yaml")
    assert store.read(tmp_path / "a.yaml")[0] == recorded


def test_a_response_that_looks_like_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingRefusedError, match="not the name of an asset"):
        store.save(exchange(text_asset={"file": "../x", "bytes": 1}), tmp_path / "a.yaml")


def test_a_replaced_asset_is_removed_and_the_folder_with_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text="1" + BIG), path)
    first = names(tmp_path)
    store.save(exchange(text="2" + BIG), path)
    assert len(names(tmp_path)) == 3
    assert names(tmp_path) != first
    store.save(exchange(text="small"), path)
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_of_the_users_among_the_assets_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    (tmp_path / "a.assets" / "README.md").write_text("mine")
    store.save(exchange(text="small"), path)
    assert names(tmp_path) == ["a.assets", "a.assets/README.md", "a.yaml"]


def test_assets_shared_with_the_other_format_stay(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        store.save(exchange(text=BIG), tmp_path / name)
    store.save(exchange(text="small"), tmp_path / "a.yaml")
    assert store.read(tmp_path / "a.json")[0] == exchange(text=BIG)


def test_a_strange_asset_is_removed_once_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    stray = tmp_path / "a.assets" / f"{'0' * 32}.txt"
    stray.write_text("another save's, or a killed one's")
    store.save(exchange(text="1" + BIG), path)
    assert stray.exists()
    age(stray, hours=2)
    store.save(exchange(text="2" + BIG), path)
    assert not stray.exists()


def test_a_missing_asset_is_written_again_though_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_text("altered")
    assert store.save(exchange(text=BIG), path) is True
    assert store.read(path)[0] == exchange(text=BIG)


def test_a_missing_or_altered_asset_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_bytes(asset.read_bytes() + b"\r")
    with pytest.raises(CassetteCorruptError, match=f"asset {asset.name} is not what was recorded") as caught:
        store.read(path)
    assert (caught.value.path, caught.value.line) == (path, 6)
    asset.unlink()
    with pytest.raises(
        CassetteCorruptError, match=f"asset a.assets/{asset.name} cannot be read .No such file"
    ) as caught:
        store.read(path)
    assert (caught.value.path, caught.value.line) == (path, 6)


@pytest.mark.parametrize(
    "reference",
    [
        "{file: ../secret.txt, bytes: 6}",
        "{file: /etc/passwd, bytes: 6}",
        "{file: ..\\secret.txt, bytes: 6}",
        "{bytes: 6}",
        "{file: 3, bytes: 6}",
        "secret.txt",
        "[]",
        "null",
    ],
)
def test_a_reference_out_of_the_folder_is_refused(tmp_path: Path, reference: str) -> None:
    (tmp_path / "secret.txt").write_text("s3cr3t")
    path = tmp_path / "a.yaml"
    text = f"- index: 0\n  kind: http\n  request: {{}}\n  response:\n    text_asset: {reference}\n"
    path.write_text(HEAD + "interactions:\n" + text)
    with pytest.raises(CassetteCorruptError, match=r"text_asset: .* is not the name of an asset") as caught:
        store.read(path)
    assert caught.value.line == 6


def test_removing_a_cassette_removes_its_assets(tmp_path: Path) -> None:
    store.save(exchange(text=BIG), tmp_path / "a.yaml")
    store.save(cassette(1), tmp_path / "b.yaml")
    store.remove(tmp_path / "a.yaml")
    store.remove(tmp_path / "a.yaml")
    assert names(tmp_path) == ["b.yaml"]


# -- crashes


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
        store.save(old, path)
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
            store.save(new, path)
            os._exit(0)
        _, status = os.waitpid(child, 0)

        if not path.exists():
            assert old is None
        elif path.read_bytes() != bytes_before:
            assert store.read(path)[0] == new
        else:
            assert store.read(path)[0] == old

        for each in [each for each in folder.rglob("*") if each.is_file() and each != path]:
            age(each, hours=2)
        store.save(replace(new, meta={"env": {"next": "save"}}), path)
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
                store.save(new, path)
            except KeyboardInterrupt:
                pass
            else:
                assert wanted > 8
                return
        if snapshot(folder) != before:
            assert store.read(path)[0] == new
            assert not [each for each in names(folder) if each.endswith(".tmp")]


def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, running = tmp_path / f".a.yaml.{'0' * 16}.tmp", tmp_path / f".b.yaml.{'1' * 16}.tmp"
    of_user = tmp_path / ".notes.tmp"
    for each in (left, running, of_user):
        each.touch()
        age(each, hours=0.01)
    with running.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        store.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == sorted([running.name, of_user.name, "a.yaml"])


def test_a_save_that_has_just_begun_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = tmp_path / f".a.yaml.{'0' * 16}.tmp"
    monkeypatch.setattr("time.time", lambda: 4e9)
    begun.touch()
    store.save(cassette(1), tmp_path / "b.yaml")
    assert begun.exists()


def test_without_locks_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.cassettes.atomic.fcntl", None)
    old, new = tmp_path / f".a.yaml.{'0' * 16}.tmp", tmp_path / f".a.yaml.{'1' * 16}.tmp"
    for each in (old, new):
        each.touch()
    age(old, hours=2)
    store.save(cassette(1), tmp_path / "a.yaml")
    assert names(tmp_path) == sorted([new.name, "a.yaml"])


def test_saves_at_the_same_time_leave_one_whole_cassette(tmp_path: Path) -> None:
    path = tmp_path / "cassettes" / "a.yaml"
    recorded = [exchange(text=f"{i} {BIG}") for i in range(8)]
    failures: list[BaseException] = []

    def save(each: Cassette) -> None:
        try:
            store.save(each, path)
        except BaseException as error:  # noqa: BLE001  # shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=save, args=(each,)) for each in recorded]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.read(path)[0] in recorded
    assert not [each for each in names(tmp_path) if each.endswith(".tmp")]


def test_a_name_as_long_as_a_file_system_takes_is_saved(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".yaml")
    store.save(cassette(1), path)
    assert store.read(path)[0] == cassette(1)


@pytest.mark.skipif(sys.platform == "win32", reason="file names are text there")
def test_a_temporary_name_of_long_characters_fits(tmp_path: Path) -> None:
    path = tmp_path / ("東" * 66 + ".derived.yaml")
    store.save(cassette(1), path)
    assert names(tmp_path) == [path.name]


def test_a_failed_save_leaves_an_asset_that_it_repaired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    store.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_text("altered")
    rename = os.replace

    def refuse_the_cassette(source: Path, target: Path) -> None:
        if target == path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_cassette)
    with pytest.raises(RecordingRefusedError):
        store.save(exchange(text=BIG), path)
    assert store.read(path)[0] == exchange(text=BIG)
