"""What a cassette passes on to the next: texts found clean, and never what another secret makes unclean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_agenttape.redaction import RedactionRules, Redactor, memory

SECRET = "tulip-Harbor-41-Quartz"  # looks like no known format
OTHER = "maple-Canyon-77-Velvet"
TEXT = f"the word is {SECRET}"


def redactor(*secrets: str, rules: RedactionRules = RedactionRules()) -> Redactor:  # noqa: B008  # frozen
    made = Redactor(rules)
    made.know_environment(secrets)
    return made


def test_what_one_cassette_found_clean_is_not_searched_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    first = redactor(OTHER, rules=RedactionRules(denylist=("a",)))
    assert first.value({"said": [TEXT, TEXT]}) == {"said": [TEXT, TEXT]}
    monkeypatch.setattr("pytest_agenttape.redaction.tree._is_clean", None)
    assert redactor(OTHER, rules=RedactionRules(denylist=("a",))).text(TEXT) is TEXT


@pytest.mark.parametrize("when", ["before", "after", "while it is open", "from the environment later"])
def test_a_text_is_searched_again_for_a_secret_that_was_not_known(when: str) -> None:
    for _ in range(2):
        assert redactor(OTHER).text(TEXT) == TEXT
    if when == "before":
        changed = redactor(OTHER, SECRET)
    elif when == "after":
        changed = redactor(OTHER)
        changed.learn(SECRET)
    elif when == "while it is open":
        changed = redactor(OTHER)
        assert changed.text(TEXT) == TEXT
        changed.learn(SECRET)
    else:
        changed = redactor(OTHER)
        changed.know_environment([OTHER, SECRET])
    assert changed.text(TEXT) == "the word is REDACTED0001"
    assert changed.value({TEXT: [1]}) == {"the word is REDACTED0001": [1]}
    assert changed.text(f"and {OTHER}") == "and REDACTED0002"
    assert redactor(OTHER).text(TEXT) == TEXT


def test_what_is_clean_by_other_rules_is_searched() -> None:
    assert redactor().text("case 4711-a") == "case 4711-a"
    assert redactor(rules=RedactionRules(regexes=(r"\d{4}-a",))).text("case 4711-a") == "case REDACTED0001"


def test_a_cassette_that_learned_a_secret_passes_nothing_on() -> None:
    learned = redactor("one-Of-This-Test-66")
    learned.learn(SECRET)
    assert learned.text("a text of this cassette") == "a text of this cassette"
    assert memory._start(RedactionRules(), ("one-Of-This-Test-66",)).texts == set()


def test_what_is_passed_on_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_MOST_PASSED_ON", 50)
    first = redactor("another-Of-This-Test-67")
    for number in range(10):
        first.text(f"{number} is a text")
    assert len(memory._start(RedactionRules(), ("another-Of-This-Test-67",)).texts) == 4


def test_numbers_that_are_secrets_of_the_environment_are_found() -> None:
    assert redactor().value({"n": 4927315508}) == {"n": 4927315508}
    assert redactor("4927315508").value({"n": 4927315508}) == {"n": "REDACTED0001"}


@pytest.mark.parametrize(
    "how", [Redactor.learn, lambda made, secret: made.know_environment([secret])], ids=["seen", "of the environment"]
)
def test_a_text_that_is_searched_while_another_thread_learns_a_secret_is_searched_again(
    monkeypatch: pytest.MonkeyPatch, how: Callable[[Redactor, str], None]
) -> None:
    made = redactor(OTHER)
    with monkeypatch.context() as patch:
        patch.setattr("pytest_agenttape.redaction.tree._is_clean", lambda *_: how(made, SECRET) is None)
        assert made.text(TEXT) == TEXT
    assert SECRET not in made.text(TEXT)
    assert SECRET not in redactor(OTHER, SECRET).text(TEXT)
