"""What a cassette says once: anchors and aliases, what they are called, and that nothing else changes by them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.serializer import dump, load
from tests.serializer.test_serializer import fingerprint, law, values

SYSTEM = {"role": "system", "content": "You are a travel assistant.\nAnswer in one short sentence.\nNever guess."}
USER = {"role": "user", "content": "Which flights go to Lisbon tomorrow, and which of them is the cheapest?"}
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": f"Find {name} to a city", "parameters": {"type": "object"}},
    }
    for name in ("flights", "trains")
]


def said(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": f"{text} This is long enough to be worth an anchor, as answers are."}


def cassette(*conversations: list[Any], tools: list[Any] | None = TOOLS) -> dict[str, Any]:
    """Return a cassette of LLM calls, none of whose trees is an object that another call has."""
    interactions = [
        {
            "index": index,
            "kind": "llm",
            "request": {"method": "POST", "url": "http://x/", "json": {"messages": messages, "tools": tools}},
            "response": {"status": 200},
        }
        for index, messages in enumerate(conversations)
    ]
    whole: dict[str, Any] = json.loads(json.dumps({"version": "1", "interactions": interactions}))
    return whole


def lines(text: str, part: str) -> list[str]:
    return [line.strip(" -") for line in text.splitlines() if part in line]


def changed(before: str, after: str) -> list[str]:
    """Return the lines of *after* that *before* does not have."""
    return [line.strip() for line in after.splitlines() if line not in before.splitlines()]


def test_what_the_next_request_sends_again_is_not_written_again() -> None:
    talk = [SYSTEM, USER, said("LH 1170."), USER]
    whole = cassette(talk[:2], talk[:3], talk)
    text = dump(whole)
    assert text.count("You are a travel assistant.") == text.count("Find flights to a city") == 1
    assert text.count("Which flights go") == text.count("LH 1170.") == 1
    assert yaml.safe_load(text) == load(text.encode(), format="yaml").root == whole


def test_an_anchor_says_what_it_is() -> None:
    whole = cassette([SYSTEM, USER], [SYSTEM, USER, said("Yes.")], [SYSTEM, USER, said("Yes.")])
    whole["interactions"].append({"index": 3, "request": {}, "response": [TOOLS[0], {"headers": {"x": "y" * 70}}] * 2})
    names = [line.partition("&")[2].split()[0].rpartition("-")[0] for line in lines(dump(whole), "&")]
    assert names == ["system", "user", "tools", "flights", "json", "response"]


def test_the_role_that_every_other_message_has_is_said_shortly() -> None:
    before = cassette([USER, said("Yes.")], [USER, said("Yes."), said("No.")], tools=None)
    text = dump(before)
    (name,) = (line[1:] for line in lines(text, "&ai-"))
    assert text.count(f"*{name}") == 1
    older = text.replace(name, "assistant-1c9e")  # as it was called in earlier releases
    after = json.loads(json.dumps(before).replace("Yes.", "Maybe."))
    anchors = load(older.encode(), format="yaml").anchors
    assert changed(older, dump(after, "yaml", anchors)) == [
        line for line in changed(text, dump(after)) if "Maybe" in line
    ]


def test_what_is_short_is_written_out_each_time() -> None:
    short = {"role": "user", "content": "Hello."}
    assert "&" not in dump(cassette([short], [short, short], tools=None))


def test_a_long_text_is_said_once() -> None:
    answer = "It leaves at 09:40.\n" * 8
    whole = cassette([{"role": "assistant", "content": answer}], tools=None)
    whole["interactions"][0]["response"] = answer
    text = dump(whole)
    assert text.count("09:40") == 8
    assert "response: *content-" in text
    assert load(text.encode(), format="yaml").root == whole


def test_a_request_and_a_response_are_always_written_out() -> None:
    whole = cassette([USER], [USER])
    assert dump(whole).count("method: POST") == 2


def test_a_call_that_is_inserted_renames_nothing() -> None:
    before = cassette([SYSTEM, USER], [SYSTEM, USER, said("One.")], [SYSTEM, USER, said("One."), said("Two.")])
    after = copy.deepcopy(before)
    other = {"role": "system", "content": "You are someone else altogether, and you answer questions about trains."}
    after["interactions"][1:1] = cassette([other, said("Three.")], [other, said("Three.")])["interactions"]
    names = {line.partition("&")[2] for line in lines(dump(before), "&")}
    for text in (dump(after), dump(after, "yaml", load(dump(before).encode(), format="yaml").anchors)):
        assert names < {line.partition("&")[2] for line in lines(text, "&")}


def test_a_changed_prompt_is_one_changed_line() -> None:
    before = dump(cassette(*([SYSTEM, USER, said(f"{number}.")] for number in range(9))))
    prompt = {**SYSTEM, "content": SYSTEM["content"].replace("short", "brief")}
    whole = cassette(*([prompt, USER, said(f"{number}.")] for number in range(9)))
    after = dump(whole, "yaml", load(before.encode(), format="yaml").anchors)
    assert changed(before, after) == ["Answer in one brief sentence."]
    assert len(changed(before, dump(whole))) == 10  # a file that is new names the prompt by what it says
    assert load(after.encode(), format="yaml").root == whole


def test_what_stays_keeps_its_name_where_others_change() -> None:
    first, second = said("One."), said("Two.")
    before = dump(cassette(*([first, second, {"n": at}] for at in range(2)), tools=None))
    after = cassette(*([said("New."), first, {"n": at}] for at in range(2)), tools=None)
    text = dump(after, "yaml", load(before.encode(), format="yaml").anchors)
    name_of_first, name_of_second = (line[1:] for line in lines(before, "&"))
    assert lines(text, "&") == [f"&{name_of_second}", f"&{name_of_first}"]


def test_a_name_of_the_users_is_kept_and_a_number_of_a_library_is_not() -> None:
    whole = cassette([SYSTEM, USER], [SYSTEM, USER, said("One.")], tools=None)
    anchors = {"our-prompt": SYSTEM, "id001": USER}
    names = [line[1:].rpartition("-")[0] for line in lines(dump(whole, "yaml", anchors), "&")]
    assert names == ["our", "user"]


def test_the_same_content_has_the_same_text() -> None:
    whole = cassette([SYSTEM, USER], [SYSTEM, USER, said("One.")])
    text = dump(whole)
    assert dump(copy.deepcopy(whole)) == text
    assert dump(whole, "yaml", load(text.encode(), format="yaml").anchors) == text


def test_a_json_cassette_has_no_aliases() -> None:
    whole = cassette([SYSTEM, USER], [SYSTEM, USER])
    assert dump(whole, "json").count("You are a travel assistant.") == 2


def test_anchors_of_the_same_content_are_one_object_in_memory() -> None:
    root = load(dump(cassette([SYSTEM, USER], [SYSTEM, USER, USER])).encode(), format="yaml").root
    first, second = (each["request"]["json"] for each in root["interactions"])
    assert first["tools"] is second["tools"]
    assert first["messages"][0] is second["messages"][0]


def test_an_edited_anchor_changes_each_use() -> None:
    text = dump(cassette([SYSTEM, USER], [SYSTEM, USER, USER])).replace("Never guess.", "Guess.")
    root = load(text.encode(), format="yaml").root
    assert all("Guess." in each["request"]["json"]["messages"][0]["content"] for each in root["interactions"])


@pytest.mark.parametrize(
    ("data", "expected"),
    {
        "of a number": (b"a: &x 1\nb: *x\n", {"a": 1, "b": 1}),
        "of a key": (b"a: {&x k: 1}\n*x : 2\n", {"a": {"k": 1}, "k": 2}),
        "given twice": (b"a: &x 1\nb: *x\nc: &x 2\nd: *x\n", {"a": 1, "b": 1, "c": 2, "d": 2}),
        "in flow": (b"a: [&x {b: [1]}, *x]\n", {"a": [{"b": [1]}, {"b": [1]}]}),
        "of a nested one": (b"a: &x {b: &y [1]}\nc: *y\nd: *x\n", {"a": {"b": [1]}, "c": [1], "d": {"b": [1]}}),
    }.values(),
)
def test_anchors_of_any_hand_are_read(data: bytes, expected: Any) -> None:
    assert load(data, format="yaml").root == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    {
        "of an alias": (b"a: &x {b: 1, c: 2}\nd: {<<: *x, b: 3}\n", {"a": {"b": 1, "c": 2}, "d": {"b": 3, "c": 2}}),
        "of several": (
            b"a: &x {b: 1}\nc: &y {d: 2, b: 3}\ne:\n  f: 4\n  <<: [*x, *y]\n",
            {"a": {"b": 1}, "c": {"d": 2, "b": 3}, "e": {"b": 1, "d": 2, "f": 4}},
        ),
        "written out": (b"a: {<<: {b: [1]}, c: 2}\n", {"a": {"b": [1], "c": 2}}),
        "of a merged one": (
            b"a: &x {b: {c: 1}}\nd: &y {<<: *x, e: 2}\nf: {<<: *y, e: {<<: *x}}\n",
            {"a": {"b": {"c": 1}}, "d": {"b": {"c": 1}, "e": 2}, "f": {"b": {"c": 1}, "e": {"b": {"c": 1}}}},
        ),
        "in the root": (b"a: &x {b: 1}\n<<: *x\n", {"b": 1, "a": {"b": 1}}),
        "that is text": (b'"<<": 1\n', {"<<": 1}),
    }.values(),
)
def test_merge_keys_of_any_hand_are_read(data: bytes, expected: Any) -> None:
    root = load(data, format="yaml").root
    assert (root, str(root)) == (expected, str(expected)) == (stock := yaml.safe_load(data), str(stock))  # in order


def test_an_alias_among_the_calls_has_a_line() -> None:
    assert load(b"interactions:\n- &x {index: 0}\n- *x\n", format="yaml").lines == (2, 3)


def test_a_tree_that_holds_many_times_itself_is_written_in_linear_time() -> None:
    tree: Any = ["a text that is long enough to be worth an anchor, and then some more of it"]
    for _ in range(12):
        tree = [tree, tree]
    text = dump({"interactions": [{"index": 0, "response": [tree]}]})
    assert len(text) < 2_000


@law
@given(st.lists(values, min_size=1, max_size=3), st.integers(0, 2))
def test_sharing_changes_no_value(found: list[Any], again: int) -> None:
    long = "a text of more than a hundred and twenty characters, which is what it takes for one to have an anchor " * 2
    items = [*found, {"long": long, "all": found}, long, *found[:again], {"long": long, "all": found}]
    whole = {"version": "1", "interactions": [{"index": 0, "request": {"args": items}, "response": items}]}
    text = dump(whole)
    document = load(text.encode(), format="yaml")
    assert fingerprint(document.root) == fingerprint(whole)
    assert fingerprint(load(dump(whole, "yaml", document.anchors).encode(), format="yaml").root) == fingerprint(whole)
