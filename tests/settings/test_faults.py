"""Faults as a test spells them: what is taken, and what is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape import ConfigError, UnmatchedInteractionError, fault
from pytest_agenttape.settings.options import parse


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"status": 429}, "fault('llm', status=429)"),
        ({"status": 429, "nth": 2, "times": 3}, "fault('llm', nth=2, times=3, status=429)"),
        (
            {"status": 200, "body": {"secret": 1}, "headers": {"a": "b"}},
            "fault('llm', status=200, headers=..., body=...)",
        ),
        ({"error": "timeout", "delay": 30}, "fault('llm', error='timeout', delay=30)"),
        ({"error": TimeoutError}, "fault('llm', error=TimeoutError)"),
        ({"error": ValueError("no")}, "fault('llm', error=ValueError('no'))"),
        ({"result": None}, "fault('llm', result=...)"),
        ({"error": "reset", "after_events": 3}, "fault('llm', error='reset', after_events=3)"),
    ],
)
def test_a_fault_is_shown_as_it_is_spelled(given: dict[str, Any], text: str) -> None:
    assert repr(fault("llm", **given)) == text


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "it does nothing; give it one of status, body, error, after_events, result and delay"),
        ({"status": 429, "error": "reset"}, "status and error exclude each other; give two faults"),
        ({"body": "x", "result": 1}, "body and result exclude each other; give two faults"),
        ({"headers": {"a": "b"}, "error": "reset"}, "headers are those of an answer; give its status or body, too"),
        ({"status": 99}, "status must be a whole number from 200 to 599; found 99"),
        ({"status": "429"}, "status must be a whole number from 200 to 599; found '429'"),
        ({"status": 429, "nth": 0}, "nth must be a whole number, 1 or more; found 0"),
        ({"status": 429, "times": True}, "times must be a whole number, 1 or more; found True"),
        ({"after_events": -1}, "after_events must be a whole number, 0 or more; found -1"),
        ({"delay": 0}, "delay must be a positive number of seconds; found 0"),
        ({"delay": float("nan")}, "delay must be a positive number of seconds; found nan"),
        ({"error": "timout"}, "unknown error 'timout'. Did you mean 'timeout'? Valid: timeout, connection, reset"),
        ({"error": KeyboardInterrupt}, "error must be one of 'timeout', 'connection', 'reset', or an exception; *"),
        ({"error": UnmatchedInteractionError("x")}, "error must be one of 'timeout', *"),
        ({"status": 429, "headers": 5}, "headers must be a mapping of names to values; found 5"),
    ],
)
def test_what_is_no_fault_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        fault("llm", **given)
    said = str(caught.value).partition(": ")[2]
    assert said == problem or (problem.endswith("*") and said.startswith(problem[:-1]))


def test_an_exception_that_cannot_be_made_again_is_refused() -> None:
    class Local(Exception):
        pass

    with pytest.raises(ConfigError, match="Local cannot be made a second time; define it at the top of its module"):
        fault("pay", error=Local("no"))


@pytest.mark.parametrize("target", ["", None, 5])
def test_a_target_is_a_token(target: Any) -> None:
    with pytest.raises(ConfigError, match="target takes kinds"):
        fault(target, status=429)


@pytest.mark.parametrize("body", [object(), {1, 2}, {"a": b"b"}])
def test_a_body_can_be_sent(body: object) -> None:
    with pytest.raises(ConfigError, match="body must be bytes, text or a value for JSON; found "):
        fault("llm", body=body)


def test_the_option_takes_one_fault_or_several() -> None:
    one = fault("llm", status=429)
    assert parse({"faults": one}).faults == (one,)
    assert parse({"faults": [one, one]}).faults == (one, one)
    with pytest.raises(ConfigError, match="faults takes what fault"):
        parse({"faults": "llm"})
