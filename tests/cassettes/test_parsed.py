"""Files that were parsed before: what is kept of them says nothing else than the file, and is never relied upon."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_agenttape import serializer
from pytest_agenttape.cassettes import parsed
from pytest_agenttape.cassettes.cassette import Cassette, load_with_lines
from pytest_agenttape.errors import CassetteCorruptError
from tests.cassettes.builders import BIG, GOOD, HEAD, age, names

TEXT = HEAD + "interactions:\n" + GOOD
OTHER = """\
version: 1
interactions:
- request: {method: GET, uri: "http://a.example/", body: null, headers: {Authorization: ["Bearer secret"]}}
  response: {status: {code: 200, message: OK}, headers: {}, body: {string: hello}}
"""
SHARED = TEXT.replace("request: {}", "request: &a {x: [1, 2]}").replace("response: 1", "response: *a")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "kept"
    found.mkdir()
    end = parsed.keep_in(lambda: found)
    yield found
    end()


@pytest.fixture
def path(tmp_path: Path, folder: Path) -> Path:  # noqa: ARG001  # what is read is kept there
    found = tmp_path / "a.yaml"
    found.write_text(TEXT)
    Cassette.load(found)
    return found


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The formats of the files that were parsed."""
    formats: list[str] = []
    real = serializer.load

    def load(data: bytes, *, format: str, path: Path | None = None, tags: bool = False) -> serializer.Document:  # noqa: A002  # its name
        formats.append(format)
        return real(data, format=format, path=path, tags=tags)

    monkeypatch.setattr(serializer, "load", load)
    return formats


def test_a_file_is_parsed_once(path: Path, counted: list[str]) -> None:
    first, second = load_with_lines(path), load_with_lines(path)
    assert not counted
    assert first == second == (Cassette.load(path), (6,))
    assert first[0].interactions[0].request is not second[0].interactions[0].request


def test_what_stands_once_is_one_object(path: Path, counted: list[str]) -> None:
    path.write_text(SHARED)
    for _ in range(2):
        call = load_with_lines(path)[0].interactions[0]
        assert call.request == {"x": [1, 2]}
        assert call.request is call.response
    assert counted == ["yaml"]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_text(TEXT.replace("response: 1", "response: 2")),
        lambda path: path.write_text(TEXT + "\n"),
        lambda _: parsed._reader.cache_clear(),
    ],
    ids=["a value", "a blank line", "the reader"],
)
def test_what_has_changed_is_parsed_again(
    path: Path, counted: list[str], monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    change(path)
    if not parsed._reader.cache_info().currsize:
        monkeypatch.setattr(parsed.sys, "version", "3.99")
    Cassette.load(path)
    parsed._reader.cache_clear()
    assert counted == ["yaml"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda entry: entry.write_bytes(b""),
        lambda entry: entry.write_bytes(entry.read_bytes()[:-1]),
        lambda entry: entry.write_bytes(entry.read_bytes().replace(b"tool", b"http")),
        lambda entry: entry.write_bytes(parsed._seal(str(entry), b"i\0\0\0\0") + b"i\0\0\0\0"),
        lambda entry: entry.chmod(0o666),
        lambda entry: (entry.unlink(), entry.mkdir()),
        pytest.param(
            lambda entry: (entry.unlink(), os.mkfifo(entry, 0o600)),
            marks=pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are no files here"),
        ),
    ],
    ids=["empty", "cut short", "altered", "no document", "writable for others", "a folder", "a pipe"],
)
def test_an_entry_that_cannot_be_trusted_counts_as_missing(
    path: Path, folder: Path, counted: list[str], damage: Callable[[Path], object]
) -> None:
    (entry,) = folder.iterdir()
    damage(entry)
    assert Cassette.load(path).interactions[0].kind == "tool"
    assert counted == ["yaml"]
    assert names(folder) == [entry.name]  # nothing half-written is left


def test_an_entry_under_another_name_counts_as_missing(path: Path, folder: Path, counted: list[str]) -> None:
    (entry,) = folder.iterdir()
    path.write_bytes(path.read_bytes().replace(b"response: 1", b"response: 2"))
    Cassette.load(path)
    (other,) = {*folder.iterdir()} - {entry}
    other.write_bytes(entry.read_bytes())
    assert Cassette.load(path).interactions[0].response == 2
    assert counted == ["yaml", "yaml"]


def test_an_entry_is_for_its_owner_alone(path: Path, folder: Path) -> None:
    assert path.exists()
    assert [each.stat().st_mode & 0o777 for each in folder.iterdir()] == [0o600]


def test_a_file_that_cannot_be_read_is_not_kept(path: Path, folder: Path) -> None:
    path.write_text("a: [1")
    for _ in range(2):
        with pytest.raises(CassetteCorruptError, match=r"a\.yaml.*is not valid YAML"):
            Cassette.load(path)
    assert len(names(folder)) == 1


def test_nothing_is_kept_of_a_file_of_another_tool_which_may_hold_secrets(path: Path, folder: Path) -> None:
    before = names(folder)
    path.write_text(OTHER)
    assert Cassette.load(path).interactions[0].kind == "http"
    assert names(folder) == before


def test_a_run_ends_well_after_its_cache_was_removed(path: Path, folder: Path) -> None:
    assert path.exists()
    shutil.rmtree(folder)
    parsed._files.prune()


@pytest.mark.parametrize("keeps", [lambda: None, lambda: Path("/proc/none")], ids=["no cache", "a refusing disk"])
def test_without_a_place_files_are_read_as_ever(path: Path, counted: list[str], keeps: Callable[[], Path]) -> None:
    end = parsed.keep_in(keeps)
    assert Cassette.load(path) == Cassette.load(path)
    end()
    assert counted == ["yaml", "yaml"]


def test_what_no_run_uses_is_removed(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unused, used = (folder / name for name in ("unused", "used"))
    for entry, days in ((unused, 15), (used, 13)):
        entry.write_bytes(b"x")
        age(entry, 24 * days)
    path.write_text(TEXT.replace("response: 1", f"response: {BIG}"))
    Cassette.load(path)
    parsed._files.prune()
    assert "unused" not in names(folder)
    assert len(names(folder)) == 3
    monkeypatch.setattr(parsed, "_MOST_BYTES", len(BIG) * 2)
    parsed._files._has_grown = True
    parsed._files.prune()
    assert "used" in names(folder)
    monkeypatch.setattr(parsed, "_MOST_BYTES", len(BIG))
    parsed._files._has_grown = True
    parsed._files.prune()
    assert not names(folder)


def test_an_entry_in_use_stays_young(path: Path, folder: Path, counted: list[str]) -> None:
    (entry,) = folder.iterdir()
    age(entry, 24 * 5)
    before = entry.stat().st_mtime
    Cassette.load(path)
    assert entry.stat().st_mtime > before
    assert not counted
    assert os.stat(entry).st_size
