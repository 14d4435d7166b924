"""Cassettes read: what cannot be read is named, with its place."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_agenttape.cassettes import writing
from pytest_agenttape.cassettes.cassette import Cassette, load_with_lines
from pytest_agenttape.errors import (
    CassetteCorruptError,
    CassetteNotFoundError,
    RecordingRefusedError,
    SchemaVersionError,
)
from pytest_agenttape.model import JSON
from tests.cassettes.builders import GOOD, HEAD, cassette


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "a.yaml"
    recorded = cassette({"answer": "Paris"}, None, [1, 1.0, True], freeze={"clock": "x"})
    assert writing.save(recorded, path) is True
    found, lines = load_with_lines(path)
    assert found == recorded
    assert [path.read_text().splitlines()[line - 1].strip() for line in lines] == [f"- index: {i}" for i in range(3)]


def test_the_extension_decides_the_format(tmp_path: Path) -> None:
    writing.save(cassette(1), tmp_path / "a.json", format="yaml")
    writing.save(cassette(1), tmp_path / "a.yml", format="json")
    assert (tmp_path / "a.json").read_text().startswith("{")
    assert (tmp_path / "a.yml").read_text().startswith("version:")
    assert Cassette.load(tmp_path / "a.json") == Cassette.load(tmp_path / "a.yml")


def test_a_file_without_a_known_extension_takes_the_format_and_reads_back(tmp_path: Path) -> None:
    writing.save(cassette({"a": "ü"}), tmp_path / "tape", format="json")
    assert (tmp_path / "tape").read_text().startswith("{")
    assert Cassette.load(tmp_path / "tape") == cassette({"a": "ü"})
    assert writing.save(cassette({"a": "ü"}), tmp_path / "tape", format="json") is False


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
    writing.save(cassette(value), tmp_path / name)
    found = Cassette.load(tmp_path / name).interactions[0].response
    assert repr(found) == repr(value)


@pytest.mark.parametrize("parts", ["a.yaml", "none/a.yaml", "file/a.yaml"])
def test_a_missing_cassette_says_how_to_record_it(tmp_path: Path, parts: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CassetteNotFoundError, match="record it with: pytest --agenttape-record") as caught:
        Cassette.load(tmp_path / parts)
    assert caught.value.path == tmp_path / parts
    assert str(tmp_path / parts) in str(caught.value)


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
        Cassette.load(path)
    assert caught.value.path == path
    assert caught.value.line == line or line is None
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_another_schema_version_keeps_its_class(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text('version: "7"\ninteractions: []\n')
    with pytest.raises(SchemaVersionError, match="schema version '7'") as caught:
        Cassette.load(tmp_path / "a.yaml")
    assert caught.value.path == tmp_path / "a.yaml"


def test_a_directory_is_no_cassette(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    with pytest.raises(CassetteCorruptError, match="is a directory"):
        Cassette.load(tmp_path / "a.yaml")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_a_pipe_is_refused_instead_of_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(CassetteCorruptError, match=r"c\.yaml: cannot be read: not a regular file"):
        Cassette.load(tmp_path / "c.yaml")
    with pytest.raises(RecordingRefusedError, match="not a regular file; existing files are untouched"):
        writing.save(cassette(1), tmp_path / "c.yaml")
    assert (tmp_path / "c.yaml").is_fifo()


def test_an_unreadable_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.save(cassette(1), tmp_path / "a.yaml")

    def denied(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(CassetteCorruptError, match="cannot be read: Permission denied"):
        Cassette.load(tmp_path / "a.yaml")
