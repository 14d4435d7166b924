"""Large bodies beside the cassette."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import CassetteCorruptError, RecordingRefusedError
from tests.cassettes.builders import BIG, HEAD, age, cassette, exchange, names


def test_a_large_text_is_kept_beside_the_cassette(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    assert asset.suffix == ".txt"
    assert asset.read_text() == BIG
    assert f"text_asset:\n      file: {asset.name}\n      bytes: {len(BIG)}\n" in path.read_text()
    assert Cassette.load(path) == exchange(text=BIG)


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
    writing.save(recorded, tmp_path / "a.yaml", assets_threshold=1023)
    (asset,) = (tmp_path / "a.assets").iterdir()
    assert asset.suffix == f".{extension}"
    assert asset.read_bytes() == raw
    assert Cassette.load(tmp_path / "a.yaml") == recorded


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
    writing.save(recorded, tmp_path / "a.yaml", assets_threshold=1024)
    assert names(tmp_path) == ["a.yaml"]
    assert Cassette.load(tmp_path / "a.yaml") == recorded


def test_line_ends_of_a_text_asset_are_kept(tmp_path: Path) -> None:
    recorded = exchange(text="a\r\nb\rc\n" * 100)
    writing.save(recorded, tmp_path / "a.yaml", assets_threshold=10)
    assert Cassette.load(tmp_path / "a.yaml") == recorded


def test_a_tools_own_key_of_that_name_is_its_own(tmp_path: Path) -> None:
    recorded = cassette({"text_asset": {"file": "../x", "bytes": 1}})
    writing.save(recorded, tmp_path / "a.yaml")
    assert Cassette.load(tmp_path / "a.yaml") == recorded


def test_a_response_that_looks_like_a_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingRefusedError, match="not the name of an asset"):
        writing.save(exchange(text_asset={"file": "../x", "bytes": 1}), tmp_path / "a.yaml")


def test_a_replaced_asset_is_removed_and_the_folder_with_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text="1" + BIG), path)
    first = names(tmp_path)
    writing.save(exchange(text="2" + BIG), path)
    assert len(names(tmp_path)) == 3
    assert names(tmp_path) != first
    writing.save(exchange(text="small"), path)
    assert names(tmp_path) == ["a.yaml"]


def test_a_file_of_the_users_among_the_assets_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    (tmp_path / "a.assets" / "README.md").write_text("mine")
    writing.save(exchange(text="small"), path)
    assert names(tmp_path) == ["a.assets", "a.assets/README.md", "a.yaml"]


def test_assets_shared_with_the_other_format_stay(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        writing.save(exchange(text=BIG), tmp_path / name)
    writing.save(exchange(text="small"), tmp_path / "a.yaml")
    assert Cassette.load(tmp_path / "a.json") == exchange(text=BIG)


def test_a_strange_asset_is_removed_once_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    stray = tmp_path / "a.assets" / f"{'0' * 32}.txt"
    stray.write_text("another save's, or a killed one's")
    writing.save(exchange(text="1" + BIG), path)
    assert stray.exists()
    age(stray, hours=2)
    writing.save(exchange(text="2" + BIG), path)
    assert not stray.exists()


def test_a_missing_asset_is_written_again_though_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_text("altered")
    assert writing.save(exchange(text=BIG), path) is True
    assert Cassette.load(path) == exchange(text=BIG)


def test_a_missing_or_altered_asset_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    writing.save(exchange(text=BIG), path)
    (asset,) = (tmp_path / "a.assets").iterdir()
    asset.write_bytes(asset.read_bytes() + b"\r")
    with pytest.raises(CassetteCorruptError, match=f"asset {asset.name} differs from what was recorded") as caught:
        Cassette.load(path)
    assert (caught.value.path, caught.value.line) == (path, 6)
    asset.unlink()
    with pytest.raises(
        CassetteCorruptError, match=f"asset a.assets/{asset.name} cannot be read .No such file"
    ) as caught:
        Cassette.load(path)
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
        Cassette.load(path)
    assert caught.value.line == 6


def test_removing_a_cassette_removes_its_assets(tmp_path: Path) -> None:
    writing.save(exchange(text=BIG), tmp_path / "a.yaml")
    writing.save(cassette(1), tmp_path / "b.yaml")
    writing.remove(tmp_path / "a.yaml")
    writing.remove(tmp_path / "a.yaml")
    assert names(tmp_path) == ["b.yaml"]


def test_equal_assets_are_said_once_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    first = exchange(text=BIG).interactions[0]
    whole = Cassette(interactions=[first, replace(first, index=1), replace(first, index=2)])
    whole.save(path)
    assert path.read_text().count("text_asset: *text_asset-") == 2
    assert len(list((tmp_path / "a.assets").iterdir())) == 1
    assert Cassette.load(path) == whole
    assert not whole.save(path)
