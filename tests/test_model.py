"""The data classes: file form and back, totals, and what `redact` finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    Cassette,
    CassetteCorruptError,
    Config,
    ConfigError,
    Interaction,
    diff_cassettes,
    tool,
    use_cassette,
)


def interaction(**fields: Any) -> Interaction:
    return Interaction(**{"index": 0, "kind": "tool", "boundary": "look_up", **fields})


def http(**request: Any) -> Interaction:
    return interaction(kind="http", boundary=None, request={"method": "GET", **request}, response={"status": 204})


# -- redact


@pytest.mark.parametrize(
    ("stored", "clean"),
    [
        ({"args": {"note": "x", "city": "Oslo"}}, {"args": {"note": "****", "city": "Oslo"}}),
        ({"args": {"of": [{"note": {"deep": 1}}]}}, {"args": {"of": [{"note": "****"}]}}),
        ({"args": {"text": '{"note": "x", "a": 1}'}}, {"args": {"text": '{"note": "****", "a": 1}'}}),
        ({"args": {"text": "note: x"}}, {"args": {"text": "note: x"}}),
        ({"args": {"Note": "x"}}, {"args": {"Note": "x"}}),
        (
            {"args": {"by": {"$type": "dict", "items": [[1, {"note": "x"}], ["note", "x"], ["a", "note"]]}}},
            {"args": {"by": {"$type": "dict", "items": [[1, {"note": "****"}], ["note", "****"], ["a", "note"]]}}},
        ),
        ({"headers": {"Note": "x", "a": "b"}}, {"headers": {"Note": "****", "a": "b"}}),
        ({"headers": {"note": ["x", "y"]}}, {"headers": {"note": "****"}}),
        ({"url": "http://a/note?note=x&a=1&notes=2"}, {"url": "http://a/note?note=****&a=1&notes=2"}),
        ({"url": "http://a/?a=1&%6Eote=x%20y&note=z&note"}, {"url": "http://a/?a=1&%6Eote=****&note=****&note"}),
        ({"url": "http://a/note"}, {"url": "http://a/note"}),
        ({"form": {"note": ["x", "y"], "a": "1"}}, {"form": {"note": "****", "a": "1"}}),
        ({"events": [{"data": {"note": "x"}}]}, {"events": [{"data": {"note": "****"}}]}),
    ],
    ids=[
        "argument", "deep", "json_in_text", "plain_text", "other_case", "mapping_of_any_keys", "header_of_any_case",
        "repeated_header", "query", "spelled_query", "path", "form", "event",
    ],
)  # fmt: skip
def test_redact_replaces_what_stands_under_a_name(stored: dict[str, Any], clean: dict[str, Any]) -> None:
    given = Cassette(meta=dict(stored), interactions=[interaction(request=stored, response=stored, metadata=stored)])

    redacted = given.redact("note")

    assert redacted is given
    (found,) = redacted.interactions
    assert (redacted.meta, found.request, found.response, found.metadata) == (clean, clean, clean, clean)


def test_redact_takes_another_replacement() -> None:
    cassette = Cassette(interactions=[interaction(request={"args": {"note": 1}}), http(url="http://a/?note=1")])

    cassette.redact("note", replacement="left out")

    assert cassette.interactions[0].request == {"args": {"note": "left out"}}
    assert cassette.interactions[1].request["url"] == "http://a/?note=left%20out"


def test_a_redacted_cassette_still_replays(tmp_path: Path) -> None:
    @tool
    def look_up(person: dict[str, str]) -> dict[str, str]:
        return person

    path = tmp_path / "run.yaml"
    with use_cassette(path, mode="all"):
        look_up({"name": "Ada", "patient": "P-1"})
    Cassette.load(path).redact("patient").save(path)

    with use_cassette(path):
        assert look_up({"name": "Ada", "patient": "P-2"}) == {"name": "Ada", "patient": "****"}


# -- what cannot be used


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda _: Cassette.load(None), "read from a path, not None"),  # type: ignore[arg-type]  # the mistake
        (lambda path: Cassette().save(path, format="xml"), "unknown format 'xml'. Valid: yaml, json"),
        (lambda _: Cassette().redact(""), "a text that is not empty; found ''"),
        (lambda _: diff_cassettes(Cassette(), "b.yaml"), "not 'b.yaml'; read a file with Cassette.load"),  # type: ignore[arg-type]  # the mistake
        (lambda _: Config.from_mapping(["strict"]), "settings are a mapping, not ['strict']"),  # type: ignore[arg-type]  # the mistake
    ],
    ids=["load", "save", "redact", "diff", "config"],
)
def test_what_cannot_be_used_is_named_and_writes_nothing(use: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        use(tmp_path / "a.yaml")
    assert text in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "latency",
    [10**400, -(10**400), float("nan"), float("-inf"), "1", True],
    ids=["big", "low", "nan", "inf", "text", "bool"],
)
def test_a_latency_that_is_no_duration_is_refused(latency: object) -> None:
    raw = {"index": 0, "kind": "tool", "request": {}, "response": 1, "latency_ms": latency}
    with pytest.raises(CassetteCorruptError, match="latency_ms"):
        Interaction.from_dict(raw)
