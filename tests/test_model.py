"""The data classes: file form and back, totals, and what `redact` finds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    Cassette,
    CassetteCorruptError,
    Config,
    ConfigError,
    Interaction,
    RecordingRefusedError,
    diff_cassettes,
    tool,
    use_cassette,
)


def interaction(**fields: Any) -> Interaction:
    return Interaction(**{"index": 0, "kind": "tool", "boundary": "look_up", **fields})


def http(**request: Any) -> Interaction:
    return interaction(kind="http", boundary=None, request={"method": "GET", **request}, response={"status": 204})


# -- the package


def test_every_public_name_is_there_and_none_loads_an_http_library_before_its_use() -> None:
    code = """if True:
        import sys
        import pytest_agenttape as it
        http = {"httpx", "httpx2", "requests", "aiohttp", "urllib3", "botocore", "respx", "responses", "yaml", "pytest"}
        assert not http & sys.modules.keys(), sys.modules.keys()
        assert it.__version__[0].isdigit()
        assert all(getattr(it, name) is not None for name in it.__all__)
        assert not [name for name in it.__all__ if name not in dir(it)]
        print(it.ToolCall("search"), it.LLMCall.__name__, it.TokenTotals().total, it.AgentTapeYAMLExtension.__name__)
    """
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("search LLMCall 0 AgentTapeYAMLExtension\n", "")


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


# -- save


KEY = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 2


def test_save_refuses_a_secret_and_names_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_PASS", "83749201")
    monkeypatch.chdir(tmp_path)
    for response in (KEY, "pin 83749201"):
        with pytest.raises(RecordingRefusedError) as refused:
            Cassette(interactions=[interaction(response={"note": response})]).save("run.yaml")
        kind = "known-value" if response != KEY else "sk-key"
        assert str(refused.value) == (
            "the recording for run.yaml still contains what looks like a secret, in run.yaml:\n"
            f"  interaction #0 (look_up), line 11: {kind}\n"
            "  take it out before: Cassette.redact(key), or record again"
        )
    assert not Path("run.yaml").exists()
    Path("agenttape.toml").write_text("[redact]\nenabled = false\n")
    assert Cassette(interactions=[interaction(response=KEY)]).save("run.yaml")


def test_save_redacts_what_another_tool_recorded(tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs.yaml", tmp_path / "ours.yaml"
    request = {"method": "GET", "uri": "https://h.example/", "headers": {"Authorization": [f"Bearer {KEY}"]}}
    answer = {"status": {"code": 200, "message": "OK"}, "headers": {}, "body": {"string": f"hello {KEY}"}}
    theirs.write_text(json.dumps({"version": 1, "interactions": [{"request": request, "response": answer}]}))
    Cassette.load(theirs).save(ours)
    assert KEY not in ours.read_text()
    assert Cassette.load(ours).interactions[0].request["headers"] == {"Authorization": "Bearer REDACTED0001"}
    assert Cassette.load(theirs).interactions[0].response["text"] == f"hello {KEY}"


# -- what the metadata says


METADATA = {
    "parent": (3, None),
    "start_ms": (12.5, None),
    "provider": ("openai", None),
    "operation": ("chat", None),
    "model": ("gpt-5.5", None),
    "returns": ("generator", None),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_is_read_by_name(name: str) -> None:
    value, nothing = METADATA[name]
    assert getattr(interaction(metadata={name: value}), name) == value
    assert getattr(interaction(), name) is nothing


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.parametrize("value", [None, True, [], {"a": 1}], ids=["null", "bool", "list", "mapping"])
def test_metadata_of_another_type_counts_as_absent(name: str, value: object) -> None:
    assert getattr(interaction(metadata={name: value}), name) is None


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, ()),
        ({"pace": [0, 2, 2]}, (0, 2, 2)),
        ({"pace": [0, "2"]}, ()),
        ({"pace": [True]}, ()),
        ({"pace": "12"}, ()),
        ({"pace": None}, ()),
    ],
    ids=["none", "whole_numbers", "text_among_them", "bool", "text", "null"],
)
def test_the_pace_is_whole_numbers_or_nothing(metadata: dict[str, Any], expected: tuple[int, ...]) -> None:
    assert interaction(metadata=metadata).pace == expected


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, (False, False, None, None)),
        ({"observed": True, "phase": "teardown"}, (True, True, None, None)),
        ({"observed": False, "phase": "call"}, (False, False, None, None)),
        ({"imported": "vcrpy", "unplayable": "text of an object"}, (False, False, "vcrpy", "text of an object")),
        ({"imported": "vcrpy", "unplayable": ""}, (False, False, "vcrpy", "")),
        ({"imported": 1, "unplayable": True}, (False, False, None, "True")),
        ({"phase": ["teardown"], "unplayable": None}, (False, False, None, None)),
    ],
    ids=["nothing", "set", "unset", "imported", "no_reason", "other_types", "other_types_too"],
)
def test_metadata_says_who_made_a_call_and_whether_it_replays(metadata: dict[str, Any], expected: object) -> None:
    found = interaction(metadata=metadata)
    assert (found.is_observed, found.is_of_teardown, found.imported_from, found.unplayable) == expected


def test_interaction_metadata_is_kept_as_it_stands_in_the_file() -> None:
    metadata = {"parent": "two", "of": {"the": ["user"]}, "pace": None}
    raw = {"index": 0, "kind": "tool", "request": {}, "response": 1, "metadata": metadata}
    assert Interaction.from_dict(raw).metadata == metadata
    assert Interaction.from_dict(raw).to_dict() == raw
    assert Interaction.from_dict({**raw, "metadata": None}).metadata == {}
    assert "metadata" not in Interaction.from_dict({**raw, "metadata": {}}).to_dict()


@pytest.mark.parametrize("metadata", [[], [1], "a", 1, True], ids=repr)
def test_metadata_that_is_not_a_mapping_is_refused(metadata: object) -> None:
    raw = {"index": 0, "kind": "tool", "request": {}, "response": 1, "metadata": metadata}
    if not metadata:
        assert Interaction.from_dict(raw).metadata == {}
        return
    with pytest.raises(CassetteCorruptError, match="'metadata' must be a mapping"):
        Interaction.from_dict(raw)


# -- totals


def llm(given: int, taken: int, total: int | None = None) -> Interaction:
    usage = {"input_tokens": given, "output_tokens": taken}
    return interaction(kind="llm", usage=usage if total is None else {**usage, "total_tokens": total})


def test_total_tokens_are_the_sums_of_what_the_providers_counted() -> None:
    cassette = Cassette(interactions=[llm(10, 3), interaction(), llm(5, 2, total=9), http(url="http://a/")])
    assert cassette.num_steps == 4
    assert cassette.total_input_tokens == 15
    assert cassette.total_output_tokens == 5
    assert cassette.total_tokens == 22


def test_total_tokens_are_estimated_where_the_provider_counted_none() -> None:
    request = {"json": {"messages": [{"role": "user", "content": "x" * 40}]}}
    cassette = Cassette(
        interactions=[interaction(kind="llm", request=request, response={"json": {"content": "y" * 8}})]
    )
    assert (cassette.total_input_tokens, cassette.total_output_tokens, cassette.total_tokens) == (10, 2, 12)


def test_an_empty_cassette_has_no_tokens_and_no_duration() -> None:
    cassette = Cassette()
    assert (cassette.total_input_tokens, cassette.total_output_tokens, cassette.total_tokens) == (0, 0, 0)
    assert (cassette.duration_ms, cassette.num_steps) == (0, 0)


def test_duration_ms_counts_a_nested_call_with_the_call_that_made_it() -> None:
    outer, inner = interaction(latency_ms=20.25), interaction(latency_ms=15.5, metadata={"parent": 0})
    unmeasured, later = interaction(), interaction(latency_ms=0.1254, metadata={"parent": "hand-edited"})
    assert Cassette(interactions=[outer, inner, unmeasured, later]).duration_ms == 20.375


# -- what cannot be used


@pytest.mark.parametrize("kind", ["bogus", "tol", "", None], ids=repr)
def test_an_interaction_is_of_a_known_kind(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"unknown kind {kind!r}.* Valid: llm, tool, retrieval, memory_read"):
        interaction(kind=kind)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda _: Cassette.load(None), "Cassette.load takes a path, not None"),  # type: ignore[arg-type]  # the mistake
        (lambda path: Cassette().save(path, format="xml"), "unknown format 'xml'. Valid: yaml, json"),
        (lambda _: Cassette().redact(""), "a non-empty string; found ''"),
        (lambda _: diff_cassettes(Cassette(), 5), "two Cassettes or their paths, not 5"),  # type: ignore[arg-type]  # the mistake
        (lambda _: Config.from_mapping(["strict"]), "settings must be a mapping, found ['strict']"),  # type: ignore[arg-type]  # the mistake
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


@pytest.mark.parametrize(
    ("call", "status", "failed"),
    [
        (Interaction(index=0, kind="http", response={"status": 200}), 200, False),
        (Interaction(index=0, kind="llm", response={"status": 404}), 404, True),
        (Interaction(index=0, kind="http", response={"status": "odd"}), None, False),
        (Interaction(index=0, kind="llm", response="text"), None, False),
        (Interaction(index=0, kind="tool", response={"status": 500}), None, False),
        (Interaction(index=0, kind="tool", error={"type": "KeyError"}), None, True),
    ],
    ids=["answered", "refused", "edited", "not HTTP", "a tool's own word", "raised"],
)
def test_whether_a_call_has_failed(call: Interaction, status: int | None, failed: bool) -> None:
    assert (call.status, call.has_failed) == (status, failed)
