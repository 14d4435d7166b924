"""What a record mode means, as one table: who may run for real, what is reported, and whether a file is written."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_agenttape import Mode
from pytest_agenttape.matching.policy import Execute, Policy, Refuse, replays_only
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.matching.tape import Replay
from pytest_agenttape.model import Call
from tests.matching.test_tape import call, recording, served, tape

RECORDED, NEW = call(1), call(2)


@pytest.mark.parametrize(
    ("mode", "fresh", "on_recorded", "on_new"),
    [
        (Mode.NONE, False, 0, "Refuse"),
        (Mode.NONE, True, 0, "Refuse"),
        (Mode.ONCE, False, 0, "Refuse"),
        (Mode.ONCE, True, 0, "Execute"),
        (Mode.NEW_EPISODES, False, 0, "Execute"),
        (Mode.REFRESH, False, 0, "Execute"),
        (Mode.ALL, False, "Execute", "Execute"),
    ],
)
@pytest.mark.parametrize(
    "tokens", ["neither", "live kind", "live name", "live all", "frozen kind", "frozen name", "frozen all", "others"]
)
def test_the_decision_table(mode: Mode, fresh: bool, on_recorded: Any, on_new: Any, tokens: str) -> None:
    what, _, which = tokens.partition(" ")
    named = Selection.of({{"kind": "tool", "name": "t", "all": "*"}.get(which, "unrelated")})
    policy = Policy(mode, fresh, **({what: named} if what in ("live", "frozen") else {}))
    expected = {"live": ("Execute", "Execute"), "frozen": (0, "Refuse")}.get(what, (on_recorded, on_new))
    for subject, decision in ((RECORDED, expected[0]), (NEW, expected[1])):
        assert served(policy.decide(subject, tape(recording(0, 1)))) == decision
    assert isinstance(policy.decide(NEW, tape(recording(0, 1))), Execute | Refuse)


@pytest.mark.parametrize(
    ("policy", "may"),
    [
        (Policy(Mode.ALL, False), True),
        (Policy(Mode.NONE, False), False),
        (Policy(Mode.NONE, False, live=Selection.of({"http"})), True),
        (Policy(Mode.NONE, False, live=Selection.of({"t"})), False),
        (Policy(Mode.ALL, False, frozen=Selection.of({"http"})), False),
        (Policy(Mode.ALL, False, frozen=Selection.of({"t"})), True),
    ],
)
def test_http_inside_a_live_tool_is_judged_by_its_own_token(policy: Policy, may: bool) -> None:
    asked = Call("http", None, {}, nested=True)
    decision = policy.decide(asked, tape())
    assert served(decision) == ("Execute" if may else "Refuse")
    assert not may or not decision.is_kept  # type: ignore[union-attr]  # the tool's own recording stands for it


def test_http_inside_a_live_tool_that_may_not_run_is_served_and_not_kept() -> None:
    recorded = recording(0, kind="http", boundary=None, parent=0)
    decision = Policy(Mode.ALL, False, frozen=Selection.of({"http"})).decide(
        call(kind="http", boundary=None, nested=True), tape(recorded)
    )
    assert decision == Replay(recorded, is_kept=False)


NONE, ONCE, EPISODES, REFRESH, ALL = Mode.NONE, Mode.ONCE, Mode.NEW_EPISODES, Mode.REFRESH, Mode.ALL
EVERY = {(mode, fresh) for mode in Mode for fresh in (True, False)}
OLD = {(mode, False) for mode in Mode}

# Each question, and the pairs (mode, whether there was no cassette) in which the answer is yes.
QUESTIONS = {
    "reads_cassette": EVERY - {(ALL, True), (ALL, False)},
    "records": {(mode, fresh) for mode in (EPISODES, REFRESH, ALL) for fresh in (True, False)} | {(ONCE, True)},
    "replays_only": {(NONE, True), (NONE, False), (ONCE, False)},
    "keeps_frozen_world": EVERY - {(ALL, True), (ALL, False)},
    "judges_unplayed": OLD - {(REFRESH, False)},
    "order_matters": {(NONE, False), (ONCE, False), (REFRESH, False)},
    "refreshes": {(REFRESH, True), (REFRESH, False)},
    "starts_over": {(ALL, True), (ALL, False), (ONCE, True), (EPISODES, True), (REFRESH, True)},
    "keeps_old": {(EPISODES, False)},
    "writes_derived": {(NONE, True), (NONE, False), (ONCE, False)},
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("fresh", [True, False], ids=["no cassette", "a cassette"])
@pytest.mark.parametrize("mode", list(Mode))
def test_every_question_about_a_mode(question: str, mode: Mode, fresh: bool) -> None:
    assert getattr(Policy(mode, fresh), question) is ((mode, fresh) in QUESTIONS[question])


def test_before_a_session_is_open_the_mode_and_the_file_tell_whether_it_replays() -> None:
    for mode, fresh in EVERY:
        assert replays_only(mode, has_cassette=not fresh) is Policy(mode, fresh).replays_only


@pytest.mark.parametrize(
    ("mode", "fresh", "run", "untouched"),
    [
        (NONE, False, {"live_calls": 0}, True),
        (NONE, False, {"live_calls": 1}, True),  # nothing may run, so nothing did
        (ONCE, True, {"live_calls": 1}, False),
        (ONCE, False, {"live_calls": 0}, True),
        (EPISODES, False, {"live_calls": 0}, True),
        (EPISODES, False, {"live_calls": 1}, False),
        (REFRESH, False, {"live_calls": 0}, True),
        (REFRESH, False, {"live_calls": 1}, False),
        (REFRESH, False, {"live_calls": 0, "is_all_played": False}, False),
        (REFRESH, False, {"live_calls": 0, "has_news": True}, False),
        (ALL, False, {"live_calls": 0}, False),
    ],
)
def test_when_the_file_is_left_as_it_is(mode: Mode, fresh: bool, run: dict[str, Any], untouched: bool) -> None:
    told = {"is_all_played": True, "has_news": False, **run}
    assert Policy(mode, fresh).leaves_untouched(**told) is untouched


def test_a_live_token_writes_in_mode_none() -> None:
    policy = Policy(NONE, False, live=Selection.of({"t"}))
    assert not policy.leaves_untouched(live_calls=1, is_all_played=True, has_news=False)
    assert policy.writes_derived


@pytest.mark.parametrize(
    ("recorded", "missed"),
    [
        (recording(0), True),
        (recording(0, kind="llm", boundary="openai.chat"), False),
        (recording(0, parent=0), False),
    ],
    ids=["a call", "one that is to run live", "one that another call made"],
)
def test_which_unplayed_recordings_are_missed(recorded: Any, missed: bool) -> None:
    assert Policy(NONE, False, live=Selection.of({"llm"})).is_missed(recorded) is missed
    assert not Policy(ALL, False).is_missed(recorded)
