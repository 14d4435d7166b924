"""From a run to its cassette: each call is cleaned once, and the file is proved once if nothing is added."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import Cassette, record_call, serializer, use_cassette
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
