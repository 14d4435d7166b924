"""A placeholder is what the cassette lists; text that looks like one is text, and a card that changed is drift."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from pytest_agenttape import (
    Cassette,
    RecordingRefusedError,
    UnmatchedInteractionError,
    diff_cassettes,
    tool,
    use_cassette,
)
from pytest_agenttape.plugin.handle import CassetteHandle

KEY = "hT4vRm8KpXz2WnQ6Yd"


@tool
def charge(card: str, password: str = "") -> str:
    return f"charged {card}" if password != "wrong" else "refused"


def test_a_card_that_changed_is_drift(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        charge("****4242", password=KEY)
    assert yaml.safe_load(path.read_text())["meta"]["redacted"] == ["REDACTED0001"]
    with use_cassette(path):
        assert charge("****4242", password="another-Secret-9x7") == "charged ****4242"
    for card in ("****1881", "****", "REDACTED0001"):
        with pytest.raises(UnmatchedInteractionError), use_cassette(path):
            charge(card, password=KEY)


def test_a_list_is_kept_where_there_is_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        charge("REDACTED0001")
    assert yaml.safe_load(path.read_text())["meta"]["redacted"] == []
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        charge("REDACTED0002")


def test_a_cassette_without_a_list_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        charge("x", password=KEY)
    stored = yaml.safe_load(path.read_text())
    del stored["meta"]["redacted"]
    path.write_text(yaml.safe_dump(stored))
    with use_cassette(path):
        assert charge("x", password="another-Secret-9x7") == "charged x"
    with use_cassette(path, mode="new_episodes"):
        assert charge("x", password="another-Secret-9x7") == "charged x"
        charge("y", password="another-Secret-9x7")
    assert yaml.safe_load(path.read_text())["meta"]["redacted"] == ["REDACTED0001", "REDACTED0002"]


def test_what_a_replayed_call_gave_away_is_a_placeholder_in_the_next_request(tmp_path: Path) -> None:
    @tool
    def log_in() -> dict[str, str]:
        return {"access_token": KEY}

    def run() -> str:
        return charge("card", password=log_in()["access_token"])

    with use_cassette(tmp_path / "x.yaml", mode="all"):
        assert run() == "charged card"
    with use_cassette(tmp_path / "x.yaml"):
        assert run() == "charged card"


def test_redacting_by_hand_lists_what_it_writes(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with use_cassette(path, mode="all"):
        charge("4242")
    Cassette.load(path).redact("card").save(path)
    assert yaml.safe_load(path.read_text())["meta"]["redacted"] == ["****"]
    with use_cassette(path):
        assert charge("1881") == "charged 4242"


def test_a_diff_tells_a_card_from_another(tmp_path: Path) -> None:
    for name, card in (("a", "****4242"), ("b", "****1881")):
        with use_cassette(tmp_path / f"{name}.yaml", mode="all"):
            charge(card)
    a, b = (Cassette.load(tmp_path / f"{name}.yaml") for name in "ab")
    assert not diff_cassettes(a, b).identical


def test_the_place_of_what_cannot_be_recorded_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEY", KEY)
    with pytest.raises(RecordingRefusedError) as caught, use_cassette(tmp_path / "x.yaml", mode="all"):
        charge({KEY: object()})  # type: ignore[arg-type]  # as an agent may
    assert str(caught.value).startswith("args.card.REDACTED0001: ")


def test_an_expectation_that_is_not_met_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_KEY", KEY)
    with use_cassette(tmp_path / "x.yaml", mode="all") as session:
        charge("4242")
        handle = CassetteHandle(session, lambda: None)
        with pytest.raises(AssertionError, match=r"card=.REDACTED") as calls:
            handle.assert_tool_calls([("charge", {"card": KEY, "password": "tr0ub4dor&3"})])
        charge(KEY, "tr0ub4dor&3")
        handle.assert_tool_calls(["charge", ("charge", {"card": KEY, "password": "tr0ub4dor&3"})])
        with pytest.raises(AssertionError, match="expected  'for REDACTED") as output:
            handle.assert_final_output(f"for {KEY}")
    assert not any(secret in str(each.value) for each in (calls, output) for secret in (KEY, "tr0ub4dor&3"))


@pytest.mark.parametrize(
    "carried",
    [("api_key", "tr0ub4dor&3"), (base64.b64encode(b"key=" + KEY.encode()).decode(), "x"), (KEY, {"password": KEY})],
    ids=["a pair", "base64", "a mapping"],
)
def test_an_exception_that_carries_a_secret_is_its_own_class_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, carried: tuple[object, ...]
) -> None:
    monkeypatch.setenv("SHOP_API_KEY", KEY)

    @tool
    def log_in() -> None:
        try:
            raise ValueError(*carried)
        except ValueError as cause:
            raise ExceptionGroup("both", [LookupError(*carried)]) from cause

    for mode in ("all", "none"):
        with use_cassette(tmp_path / "x.yaml", mode=mode), pytest.raises(ExceptionGroup) as caught:
            log_in()
        assert type(caught.value.exceptions[0]) is LookupError
        assert type(caught.value.__cause__) is ValueError
    kept = (tmp_path / "x.yaml").read_text()
    assert not any(str(each) in kept for each in (KEY, "tr0ub4dor&3", carried[0]) if each != "api_key")
