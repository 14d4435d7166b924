"""Stand-ins for keys: set while a session needs them, and never over what other code has set."""

from __future__ import annotations

import os

import pytest

from pytest_agenttape.process.stand_in_keys import VALUE, StandInKeys

KEYS = [("A_API_KEY", "B_API_KEY"), ("C_API_KEY",)]


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("A_API_KEY", "B_API_KEY", "C_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def found() -> dict[str, str]:
    return {name[0]: os.environ[name] for name in ("A_API_KEY", "B_API_KEY", "C_API_KEY") if name in os.environ}


def test_one_of_a_group_makes_the_others_needless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B_API_KEY", "real")
    keys = StandInKeys(KEYS)
    keys.enter()
    assert found() == {"B": "real", "C": VALUE}
    keys.leave()
    assert found() == {"B": "real"}


@pytest.mark.parametrize("first_leaves_first", [True, False])
def test_sessions_beside_each_other_keep_what_the_other_needs(first_leaves_first: bool) -> None:
    first, second = StandInKeys(KEYS), StandInKeys(KEYS[1:])
    first.enter()
    second.enter()
    leaving = (first, second) if first_leaves_first else (second, first)
    leaving[0].leave()
    assert found()["C"] == VALUE
    leaving[1].leave()
    assert found() == {}


def test_what_a_test_sets_meanwhile_stays() -> None:
    keys = StandInKeys(KEYS)
    keys.enter()
    os.environ["C_API_KEY"] = "the test's"
    keys.leave()
    assert found() == {"C": "the test's"}
    del os.environ["C_API_KEY"]
