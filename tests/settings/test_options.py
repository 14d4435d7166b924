"""An option means the same in the marker and in `use_cassette`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import pytest

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.matching.matchers import parse_matchers
from pytest_agenttape.model import FREEZE_FEATURES, MATCHERS, Mode
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import Options, asked_mode, of_markers, parse
from pytest_agenttape.settings.words import MARKER_OPTIONS, MODES


def test_nothing_said_is_nothing_asked() -> None:
    assert parse({}) == Options()
    assert parse(dict.fromkeys(MARKER_OPTIONS)) == Options()


def test_every_option_but_the_name_has_its_field() -> None:
    assert {"cassette", *(each.name for each in fields(Options))} == set(MARKER_OPTIONS)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"mode": "record"}, Options(mode=Mode.ALL)),
        ({"live": "llm"}, Options(live=frozenset({"llm"}))),
        ({"frozen": ["tool", "http"]}, Options(frozen=frozenset({"tool", "http"}))),
        ({"matchers": iter(["exact", "ordered"])}, Options(matchers=["exact", "ordered"])),
        ({"format": "json"}, Options(format="json")),
        ({"strict": False}, Options(strict=False)),
        ({"redact": "patient_id"}, Options(redact=("patient_id",))),
        ({"tags": "slow"}, Options(tags=("slow",))),
        ({"tags": ["a", "b"]}, Options(tags=("a", "b"))),
        ({"tags": ()}, Options()),
        ({"allow_errors": True}, Options(allow_errors=True)),
        ({"allow_errors": "timeout"}, Options(allow_errors=frozenset({"timeout"}))),
        ({"allow_errors": [500, "timeout"]}, Options(allow_errors=frozenset({500, "timeout"}))),
        ({"allow_hosts": ["db.example"]}, Options(allow_hosts=("db.example",))),
        ({"cassette": "name"}, Options()),
    ],
)
def test_what_an_option_says_is_parsed(said: Mapping[str, object], meant: Options) -> None:
    assert parse(said) == meant


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", []),
        ((), []),
        ("clock", ["clock"]),
        ("clock, uuid", ["clock", "uuid"]),
        (["random", "random"], ["random"]),
        (FREEZE_FEATURES, ["clock", "random", "uuid"]),
    ],
    ids=repr,
)
def test_features_are_parsed(given: object, expected: list[str]) -> None:
    assert sorted(parse({"freeze": given}).freeze or ()) == expected


@pytest.mark.parametrize("bad", ["clok", ["clock", "time"], True, 3, [1], "all"], ids=repr)
def test_an_unknown_feature_is_named_with_the_valid_ones(bad: Any) -> None:
    with pytest.raises(ConfigError, match=r"freeze feature .*Valid: clock, uuid, random"):
        parse({"freeze": bad})


def test_what_is_frozen_is_what_was_said_else_what_is_configured() -> None:
    config = Config(freeze=("clock",))
    assert parse({}).frozen_features(config) == {"clock"}
    assert parse({"freeze": None}).frozen_features(config) == {"clock"}
    assert parse({"freeze": ()}).frozen_features(config) == frozenset()
    assert parse({"freeze": "uuid"}).frozen_features(config) == {"uuid"}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"modes": "all"}, "unknown marker option 'modes'. Did you mean 'mode'? Valid: cassette, mode, live"),
        ({"mode": "al"}, "unknown mode 'al'. Did you mean 'all'?"),
        ({"live": 5}, "live takes kinds"),
        ({"live": "tool", "frozen": "llm"}, "live and frozen exclude each other; give one of them"),
        ({"format": "xml"}, "unknown format 'xml'. Valid: yaml, json"),
        ({"matchers": "exat"}, "unknown matcher 'exat'. Did you mean 'exact'?"),
        ({"matchers": []}, "matchers is empty"),
        ({"strict": "yes"}, "strict = 'yes': must be true or false"),
        ({"tags": 5}, "tags takes a list of strings, found 5"),
        ({"tags": [5]}, "tags takes a list of strings, found [5]"),
        (
            {"allow_errors": [200]},
            "allow_errors takes True, statuses from 400 to 599, 'timeout' and 'truncated'; found 200",
        ),
        ({"allow_errors": "late"}, "found 'late'"),
        ({"allow_hosts": "a b"}, "allow_hosts = 'a b': must be a list of strings"),
        ({"allow_hosts": ["a b"]}, "allow_hosts = ['a b']: 'a b' is not a host"),
        ({"redact": {"denylist": []}}, "redact takes names"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named_with_the_way_out(said: Mapping[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(said)
    assert message in str(caught.value)


def test_of_several_markers_the_closest_wins_and_names_to_redact_add_up() -> None:
    near = (("name",), {"mode": "once", "redact": "a"})
    far = ((), {"mode": "all", "tags": ["t"], "redact": ["b", "c"]})
    assert of_markers([near, far]) == Options(mode=Mode.ONCE, tags=("t",), redact=("a", "b", "c"))


def test_a_closer_none_hides_what_a_wider_marker_says() -> None:
    assert of_markers([((), {"mode": None}), ((), {"mode": "all"})]).mode is None


@pytest.mark.parametrize(
    ("marker", "found"),
    [((("a", "b"), {}), r"found \('a', 'b'\)"), ((("a",), {"cassette": "b"}), "found 'a' and 'b'")],
)
def test_a_marker_names_one_cassette(marker: Any, found: str) -> None:
    with pytest.raises(ConfigError, match=f"the marker takes one cassette name, {found}"):
        of_markers([marker])


@pytest.mark.parametrize(
    ("mode", "record", "asked"),
    [(None, False, None), ("once", False, Mode.ONCE), (None, True, Mode.ALL), ("record", True, Mode.ALL)],
)
def test_record_is_short_for_all(mode: object, record: bool, asked: Mode | None) -> None:
    assert asked_mode(mode, record=record) is asked


@pytest.mark.parametrize(
    ("mode", "record", "message"),
    [
        ("none", True, "record=True means mode 'all', but mode='none' was given too"),
        (None, "yes", "record must be True or False, found 'yes'"),
        ("refesh", False, "unknown mode 'refesh'"),
    ],
)
def test_a_mode_that_contradicts_is_refused(mode: object, record: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        asked_mode(mode, record=record)


def test_the_words_are_those_of_their_homes() -> None:
    assert (*Mode, "record") == MODES
    for name in MATCHERS:
        assert parse_matchers(name, KeyRules())[0].name == name


def test_the_words_and_the_rule_about_ci_load_nothing() -> None:
    code = (
        "import sys, pytest_agenttape.settings.words, pytest_agenttape.settings.ci;"
        "print(*sorted(m for m in sys.modules if m.startswith('pytest_agenttape.')))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.split() == [f"pytest_agenttape.settings{room}" for room in ("", ".ci", ".words")]
