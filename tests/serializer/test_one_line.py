"""What is a few words stands on one line in a cassette; it reads back as it was, by any parser."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.serializer import MAX_DEPTH, dump, dump_yaml, load, yaml_writer
from tests.serializer.test_serializer import STOCK, fingerprint, is_universal, law, texts

SENTENCE = "Words that the orders contain, in any order"


def cassette(*, args: Any = None, result: Any = None, body: Any = None, **parts: Any) -> dict[str, Any]:
    called = {"index": 0, "request": {"args": args}, "response": result, **parts}
    asked = {"index": 1, "request": {"url": "http://x/", "json": body}, "response": {"status": 200}}
    return {"version": "1", "interactions": [called, asked]}


def written(value: Any) -> str:
    """Return how *value* is written as the body of a request, without its indentation."""
    first, _, rest = dump(cassette(body=value)).partition("    json:")[2].partition("  response:")[0].partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (["open", "paid", "a/b.c"], "[open, paid, a/b.c]"),
        ([1, -2.5, None, True], "[1, -2.5, null, true]"),
        (["1", "on"], '["1", "on"]'),
        ([], "[]"),
        (["open", "not yet"], "- open\n- not yet"),
        (["word"] * 20, "\n".join(["- word"] * 20)),
        ([[], []], "[[], []]"),
        ({"type": "string"}, "type: string"),
        ({"properties": {"text": {"type": "string", "description": SENTENCE}}},
         f"properties:\n  text: {{type: string, description: '{SENTENCE}'}}"),
        ({"items": {"type": "string", "enum": ["EUR", "USD"]}}, "items: {type: string, enum: [EUR, USD]}"),
        ({"properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}},
         "properties:\n  a:\n    type: object\n    properties:\n      b: {type: string}"),
        ({"properties": {"a": {"description": f"{SENTENCE}. {SENTENCE}"}}},
         f"properties:\n  a:\n    description: {SENTENCE}. {SENTENCE}"),
        ({"function": {"name": "pay", "arguments": '{"to": 1}'}}, "function: {name: pay, arguments: '{\"to\": 1}'}"),
        ({"function": {"name": "pay", "parameters": {}}}, "function: {name: pay, parameters: {}}"),
        ([{"id": "a", "size": 1}, {"id": "b", "size": 2}], "- {id: a, size: 1}\n- {id: b, size: 2}"),
        ([{"id": "a", "size": 1}, {"id": "b c", "size": 2}], "- id: a\n  size: 1\n- id: b c\n  size: 2"),
        ([{"id": "a", "size": 1}], "- id: a\n  size: 1"),
    ],
)  # fmt: skip
def test_a_few_words_are_one_line(value: Any, text: str) -> None:
    assert written(value) == text


def test_what_a_call_counts_and_is_about_is_one_line() -> None:
    usage, about = {"input_tokens": 7, "output_tokens": 2}, {"label": "planner", "start_ms": 1.5}
    text = dump(cassette(args={"city": "New York", "at": ["noon"]}, usage=usage, metadata=about))
    for line in (
        "    args: {city: New York, at: [noon]}",
        "  usage: {input_tokens: 7, output_tokens: 2}",
        "  metadata: {label: planner, start_ms: 1.5}",
    ):
        assert line in text.splitlines()
    assert "usage:\n    a:\n      b: 1\n" in dump(cassette(usage={"a": {"b": 1}}))


def test_a_call_has_lines_of_its_own() -> None:
    assert dump({"interactions": [{"index": at, "kind": "tool"} for at in range(3)]}).count("\n- index: ") == 3


def test_a_view_is_written_as_ever() -> None:
    assert dump_yaml(cassette(args={"a": 1}, result=["x"])).count("\n") > 12


def test_lists_in_lists_are_not_looked_through() -> None:
    deep: Any = "x"
    for _ in range(MAX_DEPTH - 10):
        deep = [deep]
    assert load(dump(cassette(args={"a": deep})).encode(), format="yaml").root == cassette(args={"a": deep})


@pytest.mark.parametrize("loader", STOCK)
@law
@given(found=st.lists(texts, min_size=1, max_size=4), key=st.sampled_from(["key", "a key", "off", "k:", "[k]", "é"]))
def test_any_text_comes_back_and_both_emitters_write_it_alike(loader: Any, found: list[str], key: str) -> None:
    value = cassette(
        args={key: found[0], f"{key}s": found},
        result=[{"a": each, "b": 1} for each in found],
        body={"properties": {f"a{at}": {"enum": found, key: each} for at, each in enumerate(found)}, "items": found},
        metadata={key: found[-1]},
    )
    text = dump(value)
    assert fingerprint(load(text.encode(), format="yaml").root) == fingerprint(value)
    if is_universal(value):
        assert fingerprint(yaml.load(text, Loader=loader)) == fingerprint(value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml_writer, "CEmitter", None)
        pure = dump(value)
    # Where a block before ends with a blank line, libyaml's says that the document ends.
    assert pure.removesuffix("...\n") == text.removesuffix("...\n")
