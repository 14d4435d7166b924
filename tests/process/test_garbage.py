"""The garbage collector, which is paused while a cassette is loaded."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, CassetteCorruptError, Interaction, use_cassette
from pytest_agenttape.session.loaded import load

CALLS = [Interaction(index=n, kind="tool", request={"args": {"n": [n]}}, response=[n]) for n in range(1_000)]


@pytest.fixture
def rounds() -> Iterator[list[int]]:
    """The generations that were looked at since the test began."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            found.append(info["generation"])

    gc.callbacks.append(note)
    yield found
    gc.callbacks.remove(note)


def test_loading_a_large_cassette_looks_for_no_garbage(tmp_path: Path, rounds: list[int]) -> None:
    path = tmp_path / "a.yaml"
    Cassette(interactions=CALLS).save(path)
    settings = use_cassette(path).settings
    rounds.clear()
    loaded, _ = load(settings)
    assert len(loaded.tape.recordings) == len(CALLS)
    assert len(rounds) <= 1  # what was put off
    assert gc.isenabled()


def test_the_collector_runs_again_after_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    with pytest.raises(CassetteCorruptError), use_cassette(tmp_path / "a.yaml"):
        pass
    assert gc.isenabled()


def test_a_collector_that_the_user_has_switched_off_stays_off(tmp_path: Path) -> None:
    Cassette(interactions=CALLS[:1]).save(tmp_path / "a.yaml")
    gc.disable()
    try:
        with use_cassette(tmp_path / "a.yaml"):
            assert not gc.isenabled()
    finally:
        gc.enable()
