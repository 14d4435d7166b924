"""What changed in all cassettes: which are one that moved, and which share a cause."""

from __future__ import annotations

from pathlib import PurePath

from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import Cassette
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.reading.suite_diff import SuiteDiff, diff_suites
from pytest_agenttape.reading.suite_diff_text import suite_lines
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


def test_of_many_cassettes_with_one_cause_few_are_listed_and_those_with_changes_of_their_own_always() -> None:
    def suite(prompt: str, answer: str) -> dict[str, Cassette]:
        alike = {f"{number:02}.yaml": cassette(chat(0, prompt, "x")) for number in range(40)}
        return {**alike, "zz.yaml": cassette(chat(0, prompt, "x"), tool(result=answer))}

    found = diff(suite("Be kind.", "sunny"), suite("Be brief.", "rain"))
    lines = [str(each) for each in suite_lines(found, lambda _: "", lambda _: "")]
    assert "the system prompt changed at messages[0] in call 0 (openai.chat), and so in 40 more cassettes" in lines
    assert sum(line.startswith("~ ") for line in lines) == 22
    assert lines[-1] == "… and 19 more, as above"
    assert "~ zz.yaml" in lines
    assert any("'rain'" in line for line in lines)


@given(st.lists(st.sampled_from(("Rome", "Oslo", "Bern")), max_size=4), st.lists(st.sampled_from("abc"), max_size=3))
def test_every_cassette_of_either_side_is_told_once(cities: list[str], names: list[str]) -> None:
    old = {f"old/{number}.yaml": cassette(tool(city=city)) for number, city in enumerate(cities)}
    new = {f"{name}.yaml": cassette(tool(city=city)) for name, city in zip(names, reversed(cities), strict=False)}
    found = diff(old, new)
    assert sorted(str(each.path) for each in found.changes if each.sign != "-") == sorted(new)
    assert sorted(str(each.was or each.path) for each in found.changes if each.sign != "+") == sorted(old)
