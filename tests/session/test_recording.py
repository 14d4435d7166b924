"""From a run to its cassette: each call is cleaned once, and the file is proved once if nothing is added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import Cassette, Config, Interaction, record_call, serializer, use_cassette
from pytest_agenttape.redaction import Redactor
from pytest_agenttape.session.session import Session


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return use_cassette(tmp_path / "cassette.yaml", mode="all")


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[object]:
    calls: list[object] = []
    real: Callable[..., Any] = getattr(owner, name)

    def count(*args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, count)
    return calls


def call(answer: object = 1) -> None:
    record_call("tool", {"args": {"n": 1}}, lambda: answer, boundary="t")


def test_what_was_proved_after_the_call_phase_is_written_without_another_proof(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs = [counted(monkeypatch, serializer, "dump"), counted(monkeypatch, Redactor, "scan")]
    session.open()
    call()
    session.recording.verify()
    session.close()
    assert session.recording.commit()
    assert [len(each) for each in proofs] == [1, 1]
    assert len(Cassette.load(session.path).interactions) == 1


def test_a_call_after_the_proof_is_written_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    proofs = counted(monkeypatch, serializer, "dump")
    session.open()
    call()
    session.recording.verify()
    call(2)
    session.close()
    session.recording.commit()
    assert len(proofs) == 2
    assert [each.response for each in Cassette.load(session.path).interactions] == [1, 2]


def test_a_secret_that_becomes_known_after_the_proof_is_taken_out(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.open()
    call("the word is open-sesame-4711-xyz")
    session.recording.verify()
    monkeypatch.setenv("STORE_PASSWORD", "open-sesame-4711-xyz")
    session.close()
    session.recording.commit()
    assert "open-sesame" not in session.path.read_text()


def test_each_call_is_cleaned_once_however_often_it_is_looked_at(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned = counted(monkeypatch, Redactor, "interaction")
    session.open()
    for n in range(3):
        call(n)
    for _ in range(4):
        assert len(session.interactions) == 3
        assert session.usage.total == 0
    session.close()
    session.recording.commit()
    assert len(cleaned) == 3


def test_what_is_kept_of_an_old_recording_is_redacted_by_todays_rules(tmp_path: Path) -> None:
    path = tmp_path / "cassette.yaml"
    with use_cassette(path, mode="all"):
        record_call("tool", {"args": {"nick": "joe-the-first"}}, lambda: 1)
    config = Config.from_mapping({"redact": {"denylist": ["nick"]}})
    with use_cassette(path, mode="new_episodes", config=config):
        record_call("tool", {"args": {"n": 2}}, lambda: 2)
    assert "joe-the-first" not in path.read_text()


@pytest.mark.parametrize("mode", ["new_episodes", "refresh"])
def test_what_a_call_of_today_gives_away_is_taken_out_of_the_calls_that_are_kept(tmp_path: Path, mode: str) -> None:
    path, secret = tmp_path / "cassette.yaml", "open-sesame-4711-xyz"
    with use_cassette(path, mode="all"):
        record_call("tool", {"args": {"n": 1}}, lambda: f"the word is {secret}")
    with use_cassette(path, mode=mode):
        record_call("tool", {"args": {"n": 1}}, lambda: pytest.fail("is recorded"))
        record_call("tool", {"args": {"n": 2}}, lambda: {"api_key": secret})
    assert secret not in path.read_text()
    assert len(Cassette.load(path).interactions) == 2


class Unavailable(Exception):
    status_code = 503


@pytest.mark.parametrize("kind", ["http", "tool", "retrieval"])
def test_only_a_models_failure_behind_record_call_is_poison(session: Session, kind: str) -> None:
    def fail() -> None:
        raise Unavailable("busy")

    session.open()
    with pytest.raises(Unavailable):
        record_call(kind, {"n": 1}, fail)
    session.close()
    assert session.recording.problem is None


def test_a_copy_of_an_interaction_shares_nothing() -> None:
    made = Interaction(
        index=0, kind="tool", request={"a": [{"b": 1}]}, response=[[1]], usage={"x": 1}, metadata={"m": {}}
    )
    copy = made.copy()
    assert copy == made
    for part, other in ((copy.request["a"], made.request["a"]), (copy.response[0], made.response[0])):
        assert part is not other
    assert copy.metadata["m"] is not made.metadata["m"]
    assert copy.request["a"][0] is not made.request["a"][0]
