"""The tape: each recording is served at most once, in order, at the same cost however long the cassette is."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import Interaction
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import parse_matchers
from pytest_agenttape.matching.tape import Replay, Tape
from pytest_agenttape.model import Call


def recording(
    index: int, x: Any = 0, *, kind: str = "tool", boundary: str | None = "t", **metadata: Any
) -> Interaction:
    return Interaction(index=index, kind=kind, boundary=boundary, request={"args": {"x": x}}, metadata=metadata)


def call(x: Any = 0, *, kind: str = "tool", boundary: str | None = "t", **flags: bool) -> Call:
    return Call(kind, boundary, {"args": {"x": x}}, **flags)


def tape(*recordings: Interaction, matchers: Any = "ignore_volatile") -> Tape:
    return Tape(recordings, parse_matchers(matchers, KeyRules()))


def served(decision: Any) -> int | str:
    return decision.recorded.index if isinstance(decision, Replay) else type(decision).__name__


CHAINS = ["ignore_volatile", "exact", "ordered", ["exact", "ordered"], [lambda asked, recorded: asked == recorded]]
values = st.lists(st.integers(0, 3), max_size=25)


@pytest.mark.parametrize("matchers", CHAINS, ids=["ignore_volatile", "exact", "ordered", "chain", "predicate"])
@given(recorded=values, asked=values)
def test_each_recording_is_served_at_most_once(matchers: Any, recorded: list[int], asked: list[int]) -> None:
    subject = tape(*(recording(index, x) for index, x in enumerate(recorded)), matchers=matchers)
    taken = [found.recorded.index for found in (subject.take(call(x)) for x in asked) if found]
    assert max(Counter(taken).values(), default=1) == 1
    assert sorted([*taken, *(each.index for each in subject.unplayed)]) == list(range(len(recorded)))
    assert all(subject.is_played(subject.recordings[index]) for index in taken)


@pytest.mark.parametrize(
    "matchers", ["ignore_volatile", "exact", CHAINS[-1]], ids=["ignore_volatile", "exact", "predicate"]
)
@given(recorded=values, asked=values)
def test_identical_requests_are_served_in_recorded_order_and_none_in_vain(
    matchers: Any, recorded: list[int], asked: list[int]
) -> None:
    subject = tape(*(recording(index, x) for index, x in enumerate(recorded)), matchers=matchers)
    positions = {x: [index for index, each in enumerate(recorded) if each == x] for x in range(4)}
    for x in asked:
        expected = positions[x].pop(0) if positions[x] else None
        found = subject.take(call(x))
        assert (found.recorded.index if found else None) == expected


@given(recorded=values, asked=values)
def test_ordered_serves_everything_in_recorded_order(recorded: list[int], asked: list[int]) -> None:
    subject = tape(*(recording(index, x) for index, x in enumerate(recorded)), matchers="ordered")
    taken = [found.recorded.index for found in (subject.take(call(x)) for x in asked) if found]
    assert taken == list(range(min(len(recorded), len(asked))))


@pytest.mark.parametrize("other", [{"kind": "retrieval"}, {"boundary": "u"}, {"boundary": None}], ids=str)
def test_a_recording_answers_only_its_own_kind_and_boundary(other: dict[str, Any]) -> None:
    for matchers in CHAINS:
        assert tape(recording(0), matchers=matchers).take(call(**other)) is None


class Counting(dict[str, Any]):
    """A request that counts how often a matcher looks at it."""

    looks = 0

    def __eq__(self, other: object) -> bool:
        Counting.looks += 1
        return dict.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]


def test_a_predicate_does_not_look_again_at_what_was_played_from_the_front() -> None:
    count = 300
    subject = Tape(
        [Interaction(index=index, kind="tool", boundary="t", request=Counting(x=index)) for index in range(count)],
        parse_matchers([lambda asked, recorded: recorded == asked], KeyRules()),
    )
    Counting.looks = 0
    for index in range(count):
        assert served(subject.take(Call("tool", "t", {"x": index}))) == index
    assert Counting.looks == count


def test_a_key_is_made_once_for_each_call_however_long_the_cassette_is() -> None:
    made = []

    def key(request: Any) -> Any:
        made.append(request)
        return request["args"]["x"]

    for count in (10, 1000):
        subject = tape(*(recording(index, 0) for index in range(count)), matchers=key)
        made.clear()
        for _ in range(count):
            assert subject.take(call(0)) is not None
        assert len(made) == count


# -- nested calls

FAMILY = (
    recording(0, boundary="outer"),
    recording(1, boundary="inner", parent=0),
    recording(2, boundary="deep", parent=1),
    recording(3, boundary="inner"),
)


def test_what_a_recorded_body_called_is_played_along_with_it() -> None:
    subject = tape(*FAMILY)
    found = subject.take(call(boundary="outer"))
    assert isinstance(found, Replay)
    assert [each.index for each in found.descendants] == [1, 2]
    assert [each.index for each in subject.unplayed] == [3]


def test_calls_are_answered_by_recordings_made_at_their_own_depth_first() -> None:
    subject = tape(*FAMILY)
    assert served(subject.take(call(boundary="inner"))) == 3
    subject = tape(*FAMILY)
    assert served(subject.take(call(boundary="inner", nested=True))) == 1
    assert served(subject.take(call(boundary="inner", nested=True))) == 3
    assert subject.take(call(boundary="inner", nested=True)) is None


def test_what_a_recorded_body_called_answers_no_call_of_the_agent() -> None:
    subject = tape(*FAMILY[:3])
    assert subject.take(call(boundary="inner")) is None
    assert subject.peek(call(boundary="deep")) is None
    assert served(subject.take(call(boundary="outer"))) == 0
    assert subject.unplayed == []


def test_a_chain_of_a_thousand_nested_calls_is_played_at_once() -> None:
    chain = [recording(0), *(recording(index, parent=index - 1) for index in range(1, 3000))]
    found = tape(*chain).take(call())
    assert isinstance(found, Replay)
    assert [each.index for each in found.descendants] == list(range(1, 3000))


@pytest.mark.parametrize("parent", [7, 1, "x", None, 99, True])
def test_a_parent_that_cannot_be_breaks_nothing(parent: Any) -> None:
    subject = tape(recording(0), recording(1, boundary="inner", parent=parent))
    assert served(subject.take(call(boundary="inner"))) == 1


def test_what_a_listener_saw_answers_only_listeners() -> None:
    subject = tape(recording(0, observed=True), recording(1))
    assert served(subject.take(call())) == 1
    assert subject.take(call()) is None
    assert served(subject.take(call(observed=True))) == 0
    assert tape(recording(0, observed=True)).unplayed == []


def test_the_same_request_is_found_played_or_not() -> None:
    subject = tape(recording(0, 1), recording(1, 2), recording(2, 1))
    subject.take(call(1))
    assert [each.index for each in subject.same_request(call(1))] == [0, 2]
    assert subject.same_request(call(9)) == []
    assert tape(recording(0, 1), matchers="ordered").same_request(call(1)) == []


def test_a_run_that_asks_word_for_word_what_was_recorded_makes_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = tape(recording(0, 1), recording(1, 2), recording(2, 1))
    with monkeypatch.context() as patched:
        patched.setattr("pytest_agenttape.matching.shelf.Shelf.key", None)
        assert [served(subject.take(call(x))) for x in (1, 2)] == [0, 1]
    assert [served(subject.take(call(x))) for x in (2, 1)] == ["NoneType", 2]


@pytest.mark.parametrize("asked", [True, 1.0, "1", {"1": 1}], ids=repr)
def test_word_for_word_means_equal_types_too(asked: Any) -> None:
    assert tape(recording(0, 1)).take(call(asked)) is None


@given(recorded=values, asked=values)
def test_keys_find_what_is_found_word_for_word(recorded: list[int], asked: list[int]) -> None:
    recordings = [recording(index, x) for index, x in enumerate(recorded)]
    by_words, by_keys = tape(*recordings), tape(*recordings)
    by_keys._leave_step()
    asked = [*recorded[:3], *asked]
    assert [served(by_words.take(call(x))) for x in asked] == [served(by_keys.take(call(x))) for x in asked]
