"""Cassettes compressed by gzip: read, replayed, written and searched for secrets as any other."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, CassetteCorruptError, RecordingRefusedError, tool, use_cassette
from pytest_agenttape.cassettes import paths, writing
from tests.cassettes.builders import BIG, cassette, exchange, names


@pytest.mark.parametrize("name", ["a.yaml.gz", "a.json.gz", "a.yml.gz", "A.YAML.GZ"])
def test_the_content_is_that_of_the_format_inside(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert cassette("London", "Paris").save(path)

    plain = gzip.decompress(path.read_bytes())
    assert plain.startswith(b"{" if "json" in name else b"version:")
    assert [each.response for each in Cassette.load(path).interactions] == ["London", "Paris"]


def test_equal_content_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml.gz"
    cassette("London").save(path)
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1, mtime=7))  # packed by another program
    before = path.read_bytes()
    assert not cassette("London").save(path)
    assert path.read_bytes() == before
    assert cassette("Paris").save(path)


def test_large_bodies_stand_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml.gz"
    writing.save(exchange(text=BIG), path)
    folder, asset, own = names(tmp_path)
    assert (folder, asset.partition("/")[0], own) == ("a.assets", "a.assets", "a.yaml.gz")
    assert Cassette.load(path) == exchange(text=BIG)


def test_a_secret_in_it_refuses_the_save(tmp_path: Path) -> None:
    def find(content: bytes) -> list[str]:
        return ["found"] if b"hunter2" in content else []

    with pytest.raises(RecordingRefusedError, match="looks like a secret"):
        writing.save(cassette("hunter2"), tmp_path / "a.yaml.gz", scan=find)


@pytest.mark.parametrize("content", [b"version: '1'", gzip.compress(b"version: '1'")[:-9]], ids=["plain", "cut"])
def test_what_is_not_a_gzip_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.yaml.gz"
    path.write_bytes(content)
    with pytest.raises(CassetteCorruptError, match=r"a\.yaml\.gz: cannot be read: not a whole gzip file"):
        Cassette.load(path)


def test_a_block_finds_and_makes_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    look_up = tool(name="look_up")(lambda city: city)
    with use_cassette("cities.yaml.gz", mode="all"):
        look_up("Rome")
    with use_cassette("cities") as session:
        look_up("Rome")
    assert session.path == Path("cassettes/cities.yaml.gz")
    with use_cassette("cities", live={"look_up"}):
        look_up("Rome")
    assert names(tmp_path / "cassettes") == ["cities.derived.yaml.gz", "cities.yaml.gz"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.yaml.gz", ("a", ".yaml.gz")),
        ("a.b.JSON.gz", ("a.b", ".JSON.gz")),
        ("a.gz", ("a.gz", "")),
        ("a.txt.gz", ("a.txt.gz", "")),
        (".yaml.gz", (".yaml.gz", "")),
        ("a.yaml.gz.yaml", ("a.yaml.gz", ".yaml")),
    ],
)
def test_the_extension_of_a_name(name: str, parts: tuple[str, str]) -> None:
    assert paths.split_extension(name) == parts
