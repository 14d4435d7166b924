"""What changed in all cassettes: which are one that moved, and which share a cause."""

from __future__ import annotations

from pathlib import PurePath

from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import Cassette
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.reading.suite_diff import SuiteDiff, diff_suites
from tests.reading.recorded import cassette, chat, tool


def diff(old: dict[str, Cassette], new: dict[str, Cassette]) -> SuiteDiff:
    sides = [{PurePath(path): each for path, each in side.items()} for side in (old, new)]
    changes, equal = diff_suites(sides[0], sides[1], KeyRules())
    return SuiteDiff("old", "new", tuple(changes), equal)


def told(found: SuiteDiff) -> list[str]:
    return [f"{each.sign} {each.path}" + (f" was {each.was}" if each.was else "") for each in found.changes]


def test_a_cassette_that_moved_may_have_another_prompt_model_and_answer() -> None:
    old = cassette(chat(0, "Be kind.", "Rome?", answer="sunny"), tool(city="Rome"))
    new = cassette(chat(0, "Be brief.", "Rome?", answer="rain", model="gpt-5"), tool(city="Rome"))
    assert told(diff({"a.yaml": old}, {"b.yaml": new})) == ["> b.yaml was a.yaml"]


def test_a_cassette_that_asks_for_something_else_is_new() -> None:
    old, new = cassette(chat(0, "S", "Rome?")), cassette(chat(0, "S", "Oslo?"))
    assert told(diff({"a.yaml": old}, {"b.yaml": new})) == ["- a.yaml", "+ b.yaml"]


def test_among_equal_cassettes_the_one_of_the_same_name_is_the_one_that_moved() -> None:
    same = cassette(tool(city="Rome"))
    found = diff({"x/a.yaml": same, "x/b.yaml": same}, {"y/b.yaml": same, "y/a.yaml": same})
    assert told(found) == ["> y/a.yaml was x/a.yaml", "> y/b.yaml was x/b.yaml"]


def test_the_cause_that_most_cassettes_have_comes_first() -> None:
    def suite(prompt: str, city: str) -> dict[str, Cassette]:
        return {
            "a.yaml": cassette(tool(city=city)),
            "b.yaml": cassette(chat(0, prompt, "b")),
            "c.yaml": cassette(chat(0, prompt, "c")),
        }

    causes = diff(suite("Be kind.", "Rome"), suite("Be brief.", "Oslo")).causes
    assert [[str(each.path) for each in cause.changes] for cause in causes] == [["b.yaml", "c.yaml"], ["a.yaml"]]


@given(st.lists(st.sampled_from(("Rome", "Oslo", "Bern")), max_size=4), st.lists(st.sampled_from("abc"), max_size=3))
def test_every_cassette_of_either_side_is_told_once(cities: list[str], names: list[str]) -> None:
    old = {f"old/{number}.yaml": cassette(tool(city=city)) for number, city in enumerate(cities)}
    new = {f"{name}.yaml": cassette(tool(city=city)) for name, city in zip(names, reversed(cities), strict=False)}
    found = diff(old, new)
    assert sorted(str(each.path) for each in found.changes if each.sign != "-") == sorted(new)
    assert sorted(str(each.was or each.path) for each in found.changes if each.sign != "+") == sorted(old)
