"""The garbage collector, which is paused while a cassette is loaded, and while our modules are imported."""

from __future__ import annotations

import gc
import uuid
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from pytest_agenttape import Cassette, CassetteCorruptError, Interaction, record_call, use_cassette
from pytest_agenttape.process.garbage import lasting
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


@pytest.fixture
def thawed() -> Iterator[None]:
    """Undo what the conftest of these tests has frozen, for as long as a test looks at it."""
    was_frozen = gc.get_freeze_count()
    gc.unfreeze()
    yield
    gc.unfreeze()
    if was_frozen:
        gc.freeze()


def test_loading_a_large_cassette_looks_for_no_garbage(tmp_path: Path, rounds: list[int]) -> None:
    path = tmp_path / "a.yaml"
    Cassette(interactions=CALLS).save(path)
    settings = use_cassette(path).settings
    rounds.clear()
    loaded, _ = load(settings)
    assert len(loaded.tape.recordings) == len(CALLS)
    assert len(rounds) <= 1  # what was put off
    assert gc.isenabled()


@contextmanager
def leaving_no_garbage() -> Iterator[None]:
    """Run a block, and see that the collector finds nothing of ours after it."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
        gc.collect()
        assert {type(each) for each in gc.garbage if type(each).__module__.startswith("pytest_agenttape")} == set()
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def test_a_closed_cassette_leaves_no_garbage(tmp_path: Path) -> None:
    Cassette(interactions=CALLS[:2], meta={"freeze": {"seed": 1}}).save(tmp_path / "a.yaml")
    with leaving_no_garbage(), use_cassette(tmp_path / "a.yaml"):
        uuid.uuid4()


def test_replayed_calls_leave_no_garbage(tmp_path: Path) -> None:
    page = {"method": "GET", "url": "http://wiki.test/page", "headers": {}}
    calls = [
        Interaction(index=0, kind="tool", boundary="ask", request={"n": 1}, response=1),
        Interaction(index=1, kind="http", request=page, response={"status": 200, "json": [1]}),
    ]
    Cassette(interactions=calls).save(tmp_path / "a.yaml")
    with httpx2.Client() as client, leaving_no_garbage():
        with use_cassette(tmp_path / "a.yaml") as cassette:
            assert record_call("tool", {"n": 1}, lambda: 2, boundary="ask") == 1
            assert client.get("http://wiki.test/page").json() == [1]
        assert [each.kind for each in cassette.interactions] == ["tool", "http"]
        del cassette


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


@pytest.mark.usefixtures("thawed")
def test_what_stays_is_not_looked_at_again(rounds: list[int]) -> None:
    with lasting():
        made = [[number] for number in range(20_000)]
    assert rounds == []
    assert gc.isenabled()
    assert any(each is made for each in gc.get_objects(generation=2))  # which rounds through the young leave out


@pytest.mark.usefixtures("thawed")
def test_what_stays_is_garbage_when_nobody_has_it() -> None:
    with lasting():
        made: list[object] = [type("Made", (), {})()]  # a class is garbage only for the collector
    left = weakref.ref(made.pop())
    gc.collect()
    assert left() is None


@pytest.mark.usefixtures("thawed")
def test_what_the_user_has_frozen_stays_frozen() -> None:
    frozen = [object]
    gc.freeze()
    with lasting():
        pass
    assert not any(each is frozen for each in gc.get_objects())


def test_the_collector_runs_again_after_an_import_that_fails() -> None:
    with pytest.raises(ImportError), lasting():
        raise ImportError
    assert gc.isenabled()
