"""The cassette formats: what is written reads back equal, anywhere; what is read is a cassette or a clear error."""

from __future__ import annotations

import copy
import json
import math
import os
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pytest_agenttape.errors import CassetteCorruptError, ConfigError, RecordingRefusedError
from pytest_agenttape.serializer import MAX_DEPTH, dump, dump_yaml, load, yaml_reader, yaml_writer
from pytest_agenttape.serializer.surrogates import escaped

SLOW = os.environ.get("AGENTTAPE_SLOW") == "1"
law = settings(
    max_examples=10_000 if SLOW else 150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
STOCK = [pytest.param(yaml.SafeLoader, id="pure"), pytest.param(yaml.CSafeLoader, id="libyaml")]

# Values


# Pieces of text that have bitten YAML writers; joined at random they meet in every position.
PIECES = [
    *(
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r",
        "\r\n",
        "\x85",
        "\u2028",
        "\u2029",
        "\ufeff",
        "\x00",
        "\x07",
        "\x1a",
        "\x1b[31m",
    ),
    *(
        "\x7f",
        "\x9f",
        "\ud800",
        "\udfff",
        "\ud83d\ude00",
        "😀",
        "\U0010ffff",
        "\ue000",
        "\ue400",
        "\ue800",
        "\ue801",
        "\uf800",
    ),
    *(
        "\ufffe",
        "\uffff",
        "é",
        "日本",
        "D800",
        "001A",
        "\x1aD800",
        "\x1a001A",
        "a",
        "b c",
        "yes",
        "null",
        "~",
        "12",
        "1e-07",
    ),
    *(
        ": ",
        ":",
        " #",
        "#",
        "- ",
        "-",
        "? ",
        "?",
        "---",
        "...",
        "&a ",
        "*a",
        "!!str ",
        "!",
        "|",
        ">",
        "%",
        "@",
        "`",
        "'",
        '"',
    ),
    *(
        "\\",
        "\\n",
        "{",
        "}",
        "[",
        "]",
        ",",
        "<<",
        "=",
        "<<<<<<< HEAD",
        "0x1F",
        "1:30",
        "2026-06-17",
        ".inf",
        "\u200b",
        "\u202e",
    ),
]
texts = st.text(st.characters()) | st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
leaves = st.none() | st.booleans() | st.integers() | st.integers(-(2**2100), 2**2100) | st.floats() | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
cassettes = st.dictionaries(texts, values, max_size=4)


def fingerprint(value: Any) -> Any:
    """Return what two values must share to be the same to a user: type, order of keys, the sign of zero, nan."""
    if isinstance(value, dict):
        return ("dict", [(key, fingerprint(each)) for key, each in value.items()])
    if isinstance(value, list):
        return ("list", [fingerprint(each) for each in value])
    if isinstance(value, float):
        return ("float", "nan" if math.isnan(value) else value.hex())
    return (type(value).__name__, value)


def read_back(value: dict[str, Any], format: str = "yaml") -> Any:  # noqa: A002
    return load(dump(value, format).encode(), format=format).root


def leaves_of(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from leaves_of(each)
    else:
        yield value


def is_universal(value: Any) -> bool:
    """Say whether every parser must agree: no lone surrogate, nothing that is written like one."""
    return all(escaped(each) == each for each in leaves_of(value) if isinstance(each, str))


@pytest.fixture
def without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_writer, "CEmitter", None)
    monkeypatch.setattr(yaml_reader, "CParser", None)


# Laws of the round trip


@law
@given(cassettes)
def test_yaml_brings_every_value_back(value: dict[str, Any]) -> None:
    assert fingerprint(read_back(value)) == fingerprint(value)


@law
@given(cassettes)
def test_json_brings_every_value_back(value: dict[str, Any]) -> None:
    assert fingerprint(read_back(value, "json")) == fingerprint(value)


@pytest.mark.usefixtures("without_libyaml")
@law
@given(cassettes)
def test_without_libyaml_every_value_comes_back(value: dict[str, Any]) -> None:
    assert fingerprint(read_back(value)) == fingerprint(value)


@pytest.mark.parametrize("loader", STOCK)
@law
@given(value=values)
@example(value="\n  a")
@example(value={"\nk\n\n": ["\n"]})
@example(value="a\n\n")
def test_stock_parsers_read_the_same_value(loader: Any, value: Any) -> None:
    if is_universal(value):
        assert fingerprint(yaml.load(dump_yaml(value), Loader=loader)) == fingerprint(value)


@law
@given(cassettes)
def test_any_json_reader_reads_the_same_value(value: dict[str, Any]) -> None:
    if is_universal(value):
        assert fingerprint(json.loads(dump(value, "json"))) == fingerprint(value)


@pytest.mark.parametrize("format", ["yaml", "json"])
@law
@given(value=cassettes)
def test_text_is_utf_8_deterministic_and_leaves_the_value_alone(format: str, value: dict[str, Any]) -> None:  # noqa: A002
    before = copy.deepcopy(value)
    text = dump(value, format)
    assert text.encode().decode() == text
    assert text.endswith("\n")
    assert text == dump(copy.deepcopy(value), format)
    assert fingerprint(value) == fingerprint(before)


@law
@given(texts)
def test_both_emitters_choose_the_same_style_for_text(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        ours = dump_yaml({"k": text})
        patch.setattr(yaml_writer, "CEmitter", None)
        pure = dump_yaml({"k": text})
    assert pure == ours


# Single values


HOSTILE_TEXT = {
    "empty": "",
    "space": " ",
    "tilde": "~",
    "merge": "<<",
    "value": "=",
    **{word: word for word in ["y", "N", "yes", "No", "ON", "off", "true", "False", "null", "NULL", "nan", "inf"]},
    **{
        word: word
        for word in ["012", "0o14", "0x1F", "0b11", "1_000", "1:30", "1:30.5", "-1", "+1", "1.", ".5", ".", "1e-07"]
    },
    **{
        word: word
        for word in ["1E5", "12e03", ".inf", "-.INF", ".nan", "2026-06-17", "2026-06-17T10:00:00Z", "1,000", "123-45"]
    },
    "timestamp with spaces": "2026-06-17 10:00:00 +02:00",
    "tag": "!!python/object:os.system",
    "anchor": "&a *a",
    "comment": "a # b",
    "mapping": "a: b",
    "flow": "{a: [b]}",
    "conflict": "<<<<<<< HEAD\na\n=======\nb\n>>>>>>> other\n",
    "NEL": "a\x85b",
    "NEL alone in lines": "a\n\x85\nb",
    "separators": "a\u2028b\u2029c",
    "BOM": "\ufeffa",
    "NUL": "a\x00b",
    "ANSI": "\x1b[31mred\x1b[0m",
    "CR": "a\rb",
    "CRLF": "a\r\nb\r\n",
    "tab": "a\tb",
    "tab first": "\ta\nb",
    "tab before a comment sign": "a\t#b",
    "leading space": "  a\nb",
    "leading newlines": "\n\n  a\n b",
    "only newlines": "\n\n",
    "trailing space": "a \nb",
    "trailing newlines": "a\n\n\n",
    "document markers": "a\n---\n...\nb",
    "high surrogate": "a\ud800b",
    "surrogates in a row": "\ud83d\ude00",
    "written like a surrogate": "\x1aD800",
    "written like an escape": "\x1a001AD800",
    "surrogate after substitute": "\x1a\ud800\x1a",
    "private use": "\ue000\ue400\ue800\ue801\uf800",
    "private use and emoji": "\ue000😀\n\t\ue800",
    "noncharacters": "\ufffe\uffff\U0001ffff",
    "no-break space": "\xa0a\xa0",
    "long": "word " * 2000 + "end",
    "long line in a block": "x" * 5000 + "\ny",
}


@pytest.mark.parametrize("format", ["yaml", "json"])
@pytest.mark.parametrize("text", HOSTILE_TEXT.values(), ids=HOSTILE_TEXT)
def test_hostile_text_comes_back_as_value_item_and_key(text: str, format: str) -> None:  # noqa: A002
    value = {"value": text, "items": [text, [text]], text + "k": 1, text: {text: text}}
    assert read_back(value, format) == value


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_half_an_emoji_behind_a_line_break_comes_back_in_a_piece_of_a_stream(format: str) -> None:  # noqa: A002
    value = {"interactions": [{"response": {"events": [{"deltas": ["a\n\ud83d", "b"]}]}}]}
    assert read_back(value, format) == value


@pytest.mark.parametrize("loader", STOCK)
@pytest.mark.parametrize("text", [text for text in HOSTILE_TEXT.values() if is_universal(text)])
def test_hostile_text_means_the_same_to_stock_parsers(text: str, loader: Any) -> None:
    value = {"value": text, "items": [text, [text]], text + "k": 1, text: {text: text}}
    assert yaml.load(dump(value), Loader=loader) == value


NUMBERS = [
    0,
    -1,
    10**30,
    2**14000,
    -(2**2001),
    0.0,
    -0.0,
    0.1,
    1e-07,
    1e16,
    1.5e300,
    -5e-324,
    1e22,
    math.inf,
    -math.inf,
]


@pytest.mark.parametrize("loader", STOCK)
def test_numbers_keep_value_and_type(loader: Any) -> None:
    text = dump_yaml(NUMBERS)
    assert fingerprint(yaml.load(text, Loader=loader)) == fingerprint(NUMBERS)
    assert fingerprint(read_back({"n": NUMBERS})) == fingerprint({"n": NUMBERS})


def test_json_refuses_a_whole_number_that_its_readers_refuse() -> None:
    with pytest.raises(RecordingRefusedError, match="JSON"):
        dump({"n": 10**5000}, "json")


@pytest.mark.parametrize("length", [1, 127, 128, 129, 1023, 1024, 1025, 70_000])
def test_long_keys_come_back(length: int) -> None:
    value = {"k" * length: {"é" * length: [1]}, "a b: " * length: 2}
    assert read_back(value) == value
    assert yaml.safe_load(dump(value)) == value


def nested(depth: int, *, in_lists: bool = False) -> dict[str, Any]:
    value: Any = "bottom"
    for _ in range(depth - 1):
        value = [value] if in_lists else {"k": value}
    return {"k": value}


@pytest.mark.parametrize("format", ["yaml", "json"])
@pytest.mark.parametrize("in_lists", [False, True], ids=["mappings", "lists"])
def test_the_deepest_value_comes_back(format: str, in_lists: bool) -> None:  # noqa: A002
    text = dump(nested(MAX_DEPTH, in_lists=in_lists), format)
    value: Any = load(text.encode(), format=format).root
    depth = 0
    while value != "bottom":
        value = value["k"] if isinstance(value, dict) else value[0]
        depth += 1
    assert depth == MAX_DEPTH


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_what_is_too_deep_to_read_is_not_written(format: str) -> None:  # noqa: A002
    cyclic: dict[str, Any] = {}
    cyclic["me"] = [cyclic]
    for value in (nested(MAX_DEPTH + 1), cyclic):
        with pytest.raises(RecordingRefusedError, match="nested deeper than 500 levels"):
            dump(value, format)


# Layout


def test_a_cassette_reads_like_a_page() -> None:
    prose = "Dear reader,\n\n\ttabbed 😀 line\n- 'quotes' \"stay\" # and so does this\n"
    cassette = {
        "version": "1",
        "meta": {},
        "interactions": [
            {
                "index": 0,
                "request": {"args": {"city": "London", "at": "2026-06-17", "raw": '{"a": 1}'}},
                "response": prose,
            },
            {"index": 1, "request": {"args": {}}, "response": [prose.rstrip(), [1.5, None, True], []]},
        ],
    }
    assert dump(cassette) == (
        'version: "1"\n'
        "meta: {}\n"
        "interactions:\n"
        "- index: 0\n"
        "  request:\n"
        '    args: {city: London, at: "2026-06-17", raw: \'{"a": 1}\'}\n'
        "  response: |\n"
        "    Dear reader,\n"
        "\n"
        "    \ttabbed 😀 line\n"
        "    - 'quotes' \"stay\" # and so does this\n"
        "- index: 1\n"
        "  request:\n"
        "    args: {}\n"
        "  response:\n"
        "  - |-\n"
        "    Dear reader,\n"
        "\n"
        "    \ttabbed 😀 line\n"
        "    - 'quotes' \"stay\" # and so does this\n"
        "  - [1.5, null, true]\n"
        "  - []\n"
    )


def test_json_is_indented_and_keeps_letters() -> None:
    text = dump({"k": ["é😀", "\u2028\x85", "\ud800"]}, "json")
    assert text == '{\n  "k": [\n    "é😀",\n    "\\u2028\\u0085",\n    "\\u001aD800"\n  ]\n}\n'


def test_a_lone_surrogate_has_a_documented_spelling() -> None:
    assert dump({"k": "\ud800"}) == 'k: "\\x1AD800"\n'


@pytest.mark.parametrize(
    "text", ["plain words", "a-b_c/d", "https://x.test/?a=b&c=d#e", "gpt-4o", "3 cats", "no way", "日本 😀", "C:\\x"]
)
def test_ordinary_text_stays_plain(text: str) -> None:
    assert dump({"k": text}) == f"k: {text}\n"


def test_a_repeated_container_is_written_out_each_time() -> None:
    shared = {"a": [1]}
    text = dump({"x": shared, "y": shared})
    assert "&" not in text
    assert "*" not in text
    assert yaml.safe_load(text) == {"x": shared, "y": shared}


# What dump refuses


class Colour(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_members_of_subclasses_are_written_as_the_plain_value(format: str) -> None:  # noqa: A002
    value: dict[str, Any] = {Colour.RED: [Colour.RED, Level.HIGH, OrderedDict(a=1)]}
    assert fingerprint(read_back(value, format)) == fingerprint({"red": ["red", 3, {"a": 1}]})


@pytest.mark.parametrize("format", ["yaml", "json"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [{"b": object()}]}, "a[0].b: a value of type object cannot be written"),
        ({"a": (1,)}, "a: a value of type tuple cannot be written"),
        ({"a": {1: 2}}, "a[1]: a key of type int cannot be written"),
        ({"a": [0, {None: 2}]}, "a[1].None: a key of type NoneType cannot be written"),
        ({"a": b"x"}, "a: a value of type bytes cannot be written"),
    ],
    ids=["object", "tuple", "whole number key", "None key", "bytes"],
)
def test_what_is_not_json_like_is_refused_by_path(value: dict[str, Any], message: str, format: str) -> None:  # noqa: A002
    with pytest.raises(TypeError) as caught:
        dump(value, format)
    assert str(caught.value) == message


def test_an_unknown_format_names_the_known_ones() -> None:
    for call in (lambda: dump({}, "yml"), lambda: load(b"", format="yml")):
        with pytest.raises(ConfigError, match=r"unknown format 'yml'.*Valid: yaml, json"):
            call()


# Reading: scalars


@pytest.mark.parametrize(
    "spelling",
    [
        *[
            "null",
            "~",
            "",
            "Null",
            "nuLL",
            "yes",
            "Off",
            "oN",
            "TRUE",
            "y",
            "0",
            "-0",
            "+12",
            "1_000",
            "012",
            "-012",
            "0b101",
        ],
        *[
            "0x_ff",
            "0X1",
            "1:30",
            "-1:30:00",
            "190:20:30.15",
            "1.",
            "1._5",
            ".5",
            "-.5",
            "1e5",
            "1.5e+3",
            "1.5e3",
            "-1.5E-3",
        ],
        *[
            ".inf",
            "-.Inf",
            "+.INF",
            ".nan",
            "-.nan",
            "0o14",
            "08",
            "0_",
            "12ab",
            "1,2",
            "nothing",
            "--1",
            "9" * 30,
            "=",
            "on_",
        ],
    ],
)
def test_plain_scalars_have_the_types_of_the_stock_loader(spelling: str) -> None:
    try:
        expected = yaml.load(f"k: {spelling}", Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        expected = {"k": spelling}  # the stock loader knows the tag of "=" but not what to make of it
    assert fingerprint(load(f"k: {spelling}\n".encode(), format="yaml").root) == fingerprint(expected)


def test_timestamps_and_keys_stay_text() -> None:
    data = b"2026-06-17: 2026-06-17T10:00:00Z\n1: 2026-06-17\nyes: a\n? \n: b\n"
    expected = {"2026-06-17": "2026-06-17T10:00:00Z", "1": "2026-06-17", "yes": "a", "": "b"}
    assert load(data, format="yaml").root == expected


def test_handwritten_styles_are_read() -> None:
    data = b'\xef\xbb\xbf%YAML 1.1\n---\na: {b: [1, "x"], c: !!x\n'
    with pytest.raises(CassetteCorruptError, match="tags are not supported"):
        load(data, format="yaml")
    data = b"\xef\xbb\xbf%YAML 1.1\n---\r\na: {b: [1, 'x'], c: >\n }\n".replace(b"c: >\n ", b"c: y ")
    assert load(data, format="yaml").root == {"a": {"b": [1, "x"], "c": "y"}}
    assert load(b"a: >\n  folded\n  text\nb: &anchor 1\n", format="yaml").root == {"a": "folded text\n", "b": 1}
    assert load(b'\xef\xbb\xbf{"a": "\\u001a001AD800"}', format="json").root == {"a": "\x1aD800"}


# Reading: lines


@pytest.mark.parametrize("format", ["yaml", "json"])
def test_each_interaction_knows_its_line(format: str) -> None:  # noqa: A002
    entries = [{"index": i, "response": {"text": "a\nb\n" * i, "list": [{"x": 1}, [{}]]}} for i in range(4)]
    text = dump({"version": "1", "meta": {"interactions": [{"no": 1}]}, "interactions": entries}, format)
    lines = load(text.encode(), format=format).lines
    shown = [text.splitlines()[line - 1] for line in lines]
    assert shown == ([f"- index: {i}" for i in range(4)] if format == "yaml" else ["    {"] * 4)


def test_the_line_is_zero_in_a_json_layout_of_another_hand() -> None:
    assert load(b'{"interactions": [{"index": 0}, {}]}', format="json").lines == (0, 0)
    assert load(b"{}", format="json").lines == ()


def test_lines_count_items_that_are_no_mappings() -> None:
    assert load(b"interactions:\n- 1\n-\n- [x]\n", format="yaml").lines == (2, 3, 4)


# Reading: refusals


def _laughs(times: int, levels: int) -> bytes:
    lines = ["a0: &a0 [" + ", ".join(["lol"] * times) + "]"]
    lines += [f"a{at}: &a{at} [" + ", ".join([f"*a{at - 1}"] * times) + "]" for at in range(1, levels)]
    return "\n".join(lines).encode()


BAD_YAML = [
    ("empty", b"", "is empty", 1),
    ("blank", b" \n\n", "is empty", 1),
    ("BOM only", b"\xef\xbb\xbf", "is empty", 1),
    ("only comments", b"# a\n# b\n", "holds nothing but comments", 1),
    ("null root", b"---\n", "must be a mapping, found nothing", 1),
    ("list root", b"- a\n", "must be a mapping, found list", 1),
    ("text root", b"hello\n", "must be a mapping, found str", 1),
    ("UTF-16", "a: 1".encode("utf-16"), "is UTF-16; save it as UTF-8", 1),
    ("Latin-1", b"a: 1\nb: \xe9\n", "is not UTF-8: byte 0xE9", 2),
    ("NUL", b"a: 1\nb: \x00\n", "U+0000", 2),
    ("control character", b"a: 1\n\nb: \x1b[0m\n", "U+001B", 3),
    ("syntax", b"a: 1\nb: c: d\n", "mapping values are not allowed", 2),
    ("unclosed", b"a: 1\nb: [1,\n", "is not valid YAML", 3),
    ("two documents", b"a: 1\n---\nb: 1\n", "holds more than one document", 2),
    ("duplicate key", b"a: 1\nb:\n  c: 1\n  'c': 2\n", "duplicate key 'c'", 4),
    ("unknown alias", b"a: 1\nb: *x\n", "*'x' stands for nothing: no &x comes before it", 2),
    ("alias before its anchor", b"a: *x\nb: &x 1\n", "*'x' stands for nothing", 1),
    ("alias in its own anchor", b"a: &x\n- 1\n- *x\n", "*'x' stands in what it stands for", 3),
    ("alias of a list as key", b"a: &x [1]\n*x : 2\n", "a key must be a string", 2),
    ("alias twice as key", b"a: &x k\n*x : 2\n*x : 3\n", "duplicate key 'k'", 3),
    ("a billion laughs", _laughs(10, 9), "the aliases stand for more than can be held", 7),
    ("quadratic laughs", b"a: &x '" + b"x" * 50_000 + b"'\nb: [" + b"*x," * 50_000 + b"]\n", "can be held", 2),
    (
        "too deep by aliases",
        b"a: &x " + b"[" * 300 + b"]" * 300 + b"\nb:\n  " + b"[" * 300 + b"*x" + b"]" * 300,
        "nested",
        3,
    ),
    ("merge key of a number", b"a: 1\n<<: 2\n", "a merge key (<<) takes a mapping or a list of mappings", 2),
    ("merge key of texts", b"a: &x {b: 1}\nc:\n  <<: [*x, text]\n", "a merge key (<<) takes a mapping", 3),
    ("merge key twice", b"a: &x {b: 1}\nc:\n  <<: *x\n  <<: *x\n", "duplicate key '<<'", 4),
    (
        "more merged than can be held",
        b"a: &x {" + b"".join(b"k%d: 1, " % at for at in range(1_000)) + b"}\nb: [" + b"{<<: *x}, " * 1_001 + b"]\n",
        "the merge keys stand for more than can be held",
        2,
    ),
    ("python tag", b"a: 1\nb: !!python/object:os.system {}\n", "'tag:yaml.org,2002:python/object:os.system'", 2),
    ("binary tag", b"a: 1\nb: !!binary aGk=\n", "tags are not supported ('tag:yaml.org,2002:binary')", 2),
    ("own tag on a list", b"a: 1\nb: !mine [1]\n", "tags are not supported ('!mine')", 2),
    ("tag on a key", b"a: 1\n!!str b: 1\n", "tags are not supported", 2),
    ("list as key", b"a: 1\n[1]: 2\n", "a key must be a string", 2),
    ("mapping as key", b"? {a: 1}\n: 2\n", "a key must be a string", 1),
    ("long number", b"a: 1\nb: " + b"9" * 5000 + b"\n", "is not a number that can be read", 2),
    ("no digits", b"a: 1\nb: 0x_\n", "'0x_' is not a number that can be read", 2),
    ("long sexagesimal", b"a: 1\nb: 1" + b":30" * 5000 + b"\n", "is not a number that can be read", 2),
    ("too deep", b"a:\n  " + b"[" * 600 + b"]" * 600, "nested deeper than 500 levels", 2),
    ("conflict", b"a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> x\n", "unresolved merge conflict", 2),
    ("end of a conflict", b"a: 1\n>>>>>>> x\n", "unresolved merge conflict", 2),
    ("future YAML", b"%YAML 3.0\n---\na: 1\n", "is not valid YAML", 1),
]
BAD_JSON = [
    ("empty", b"", "is empty", 1),
    ("syntax", b'{\n"a": 1,\n}', "is not valid JSON", None),
    ("control character", b'{\n"a": "\x01"}', "Invalid control character", 2),
    ("list root", b"[]", "must be a mapping, found list", 1),
    ("two values", b"{}\n{}", "is not valid JSON: Extra data", 2),
    ("duplicate key", b'{\n"a": 1,\n"b": {"c": 1,\n"c": 2}}', "duplicate key 'c'", 4),
    ("long number", b'{\n"a": ' + b"9" * 5000 + b"}", "more digits than Python reads", 2),
    ("too deep", b'{"k": "[[",\n"a":' + b"[" * 600 + b"]" * 600 + b"}", "nested deeper than 500 levels", 2),
    ("conflict", b'{\n<<<<<<< HEAD\n"b": 1\n=======\n"b": 2\n>>>>>>> x\n}', "unresolved merge conflict", 2),
    ("not UTF-8", b'{"a":\n"\xff"}', "is not UTF-8: byte 0xFF", 2),
]


@pytest.mark.parametrize("parser", ["libyaml", "pure"])
@pytest.mark.parametrize(
    ("data", "problem", "line"), [case[1:] for case in BAD_YAML], ids=[case[0] for case in BAD_YAML]
)
def test_bad_yaml_is_refused_with_reason_path_and_line(
    data: bytes, problem: str, line: int, parser: str, request: pytest.FixtureRequest
) -> None:
    if parser == "pure":
        request.getfixturevalue("without_libyaml")
    path = Path("tests/cassettes/weather.yaml")
    with pytest.raises(CassetteCorruptError) as caught:
        load(data, format="yaml", path=path)
    assert problem in caught.value.problem
    assert (caught.value.path, caught.value.line) == (path, line)


@pytest.mark.parametrize(
    ("data", "problem", "line"), [case[1:] for case in BAD_JSON], ids=[case[0] for case in BAD_JSON]
)
def test_bad_json_is_refused_with_reason_path_and_line(data: bytes, problem: str, line: int | None) -> None:
    with pytest.raises(CassetteCorruptError) as caught:
        load(data, format="json", path=Path("a.json"))
    assert problem in str(caught.value)
    assert caught.value.line == line or line is None


def test_libyaml_refuses_the_escape_of_a_surrogate_so_we_never_write_it() -> None:
    with pytest.raises(CassetteCorruptError, match="invalid Unicode character escape") as caught:
        load(b'a: 1\nb: "\\ud800"\n', format="yaml")
    assert caught.value.line == 2


def test_conflict_markers_inside_recorded_text_are_text() -> None:
    value = {"diff": "<<<<<<< HEAD\na\n>>>>>>> b\n"}
    assert read_back(value) == value


# Reading: anything


SAMPLE = {
    "version": "1",
    "interactions": [
        {"index": 0, "request": {"a": ["x\ny\n", 1.5, None]}, "response": {"é😀": "tab\t", "b": "\ud800"}}
    ],
}
SNIPPETS = [piece.encode("utf-8", "surrogatepass") for piece in PIECES] + [b"\xff", b"\xc3", b"\x80", b"{}", b"- " * 9]


@st.composite
def mutated(draw: st.DrawFn, format: str) -> bytes:  # noqa: A002
    data = dump(SAMPLE, format).encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 9)))
        data = data[:start] + draw(st.sampled_from(SNIPPETS) | st.binary(max_size=3)) + data[end:]
    return data


def reads_or_refuses(data: bytes, format: str) -> None:  # noqa: A002
    try:
        document = load(data, format=format)
    except CassetteCorruptError:
        return
    assert fingerprint(read_back(document.root)) == fingerprint(document.root)
    listed = document.root.get("interactions")
    assert len(document.lines) == (len(listed) if isinstance(listed, list) else 0)


@pytest.mark.parametrize("format", ["yaml", "json"])
@law
@given(data=st.data())
def test_any_bytes_are_read_or_refused(format: str, data: st.DataObject) -> None:  # noqa: A002
    soup = st.lists(st.sampled_from(SNIPPETS), max_size=12).map(b"".join)
    reads_or_refuses(data.draw(st.binary(max_size=60) | soup | mutated(format)), format)


@pytest.mark.usefixtures("without_libyaml")
@law
@given(data=mutated("yaml") | st.binary(max_size=60) | st.lists(st.sampled_from(SNIPPETS), max_size=12).map(b"".join))
@example(data=b'"\\UFFFFFFFF": 1')
@example(data=b"%YAML " + b"1" * 5000 + b".1\n---\na: 1")
@example(data=b"a: |99999\n b")
def test_any_bytes_are_read_or_refused_without_libyaml(data: bytes) -> None:
    reads_or_refuses(data, "yaml")


# Time


def seconds(work: Callable[[], object]) -> float:
    """Return the least processor time of three runs, which other work on the machine hardly touches."""
    best = math.inf
    for _ in range(3):
        start = time.process_time()
        work()
        best = min(best, time.process_time() - start)
    return best


BIG = {
    "words": lambda n: "a few words \u2014 and a line\n" * (n // 25),
    "one letter": lambda n: "a" * n,
    "digits": lambda n: "1" * n,
    "base64": lambda n: "QUJD+/" * (n // 6),
    "spaces": lambda n: " " * n + "a",
    "newlines": lambda n: "\n" * n + "a",
    "emoji": lambda n: "😀" * (n // 4),
    "control characters": lambda n: "\x01" * (n // 4),
    "short strings": lambda n: [f"s{i}" for i in range(n // 50)],
}


@pytest.mark.parametrize("big", BIG.values(), ids=BIG)
def test_time_is_proportional_to_size(big: Callable[[int], Any]) -> None:
    size = 5_000_000 if SLOW else 400_000

    def trip(n: int) -> float:
        value = {"k": big(n)}
        return seconds(lambda: read_back(value))

    small, large = trip(size // 8), trip(size)
    assert math.log(max(large, 2e-3) / max(small, 2e-3), 8) < 1.6


@pytest.mark.parametrize(
    "unit", [b"[", b"{", b"- ", b"? ", b'"', b"&a ", b"*a ", b"!", b"1:", b"a,", b"%", b"'", b"[a,", b"{a: "]
)
@pytest.mark.parametrize("before", [b"", b"a: ", b"a: ["], ids=["at once", "as a value", "in a list"])
def test_hostile_repetition_is_refused_in_time(before: bytes, unit: bytes) -> None:
    def attempt() -> None:
        reads_or_refuses(before + unit * (200_000 // len(unit)), "yaml")

    assert seconds(attempt) < 2


def test_a_deep_call_stack_does_not_matter() -> None:
    def at(frames: int) -> Any:
        return at(frames - 1) if frames else read_back(nested(MAX_DEPTH))

    assert at(sys.getrecursionlimit() - 200)["k"]
