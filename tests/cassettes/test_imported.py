"""Cassettes of other tools: read, translated, replayed where their content allows, and said where it does not."""

from __future__ import annotations

import base64
import gzip
import hashlib
import http.server
import json
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape import (
    Cassette,
    CassetteCorruptError,
    SchemaVersionError,
    UnmatchedInteractionError,
    bodies,
    record_call,
    serializer,
    tool,
    use_cassette,
)
from pytest_agenttape.boundaries.decorators import intercept
from pytest_agenttape.cassettes import imported
from tests.loopback import serving

JSON = Any
CHAT_URL = "https://api.openai.com/v1/chat/completions"
ASKED = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi é"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def vcr(*interactions: JSON) -> dict[str, JSON]:
    return {"interactions": list(interactions), "version": 1}


def exchange(
    *,
    method: str = "POST",
    uri: str = CHAT_URL,
    asked: JSON = None,
    headers: JSON = None,
    answer: JSON = None,
    answer_headers: JSON = None,
    **response: JSON,
) -> dict[str, JSON]:
    body = answer if isinstance(answer, dict) else {"string": json.dumps(ANSWER) if answer is None else answer}
    return {
        "request": {
            "method": method,
            "uri": uri,
            "headers": {"content-type": ["application/json"]} if headers is None else headers,
            "body": json.dumps(ASKED) if asked is None else asked,
        },
        "response": {
            "status": {"code": 200, "message": "OK"},
            "headers": {"content-type": ["application/json"]} if answer_headers is None else answer_headers,
            "body": body,
            **response,
        },
    }


def agenttape(*interactions: JSON, **meta: JSON) -> dict[str, JSON]:
    return {
        "version": "1",
        "created_at": "2026-01-02T03:04:05",
        "run_id": "r",
        "meta": {"agenttape_version": "0.1.8", **meta},
        "interactions": [{"index": i, **each} for i, each in enumerate(interactions)],
    }


def called(name: str, arguments: JSON, response: JSON, kind: str = "tool") -> dict[str, JSON]:
    return {"kind": kind, "boundary": name, "request": {"name": name, "args": arguments}, "response": response}


def agentcassette(*steps: JSON) -> dict[str, JSON]:
    listed = [{"index": i, "type": "tool", "arguments": {"args": [], "kwargs": {}}, **e} for i, e in enumerate(steps)]
    return {"version": 1, "recorded_at": "2026-06-30T12:00:00Z", "model": "m", "duration_ms": 1.5, "steps": listed}


def only(root: JSON, **options: Any) -> dict[str, JSON]:
    translated = imported.translate(root, **options)
    assert translated is not None
    Cassette.from_dict(translated)
    (interaction,) = translated["interactions"]
    found: dict[str, JSON] = interaction
    return found


def saved(tmp_path: Path, root: JSON, name: str = "c.yaml") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(root) if name.endswith(".json") else serializer.dump_yaml(root), encoding="utf-8")
    return path


# -- telling the tools apart


@pytest.mark.parametrize(
    "root",
    [
        {"version": "1", "interactions": []},
        {"version": 1, "interactions": []},
        {"version": "1", "interactions": [{"index": 0, "kind": "tool", "request": {}, "response": {}}]},
        {"steps": "none"},
        {"request": {}, "response": {}, "kind": "tool"},
        {},
        [],
        None,
    ],
    ids=repr,
)
def test_what_no_other_tool_wrote_is_left_alone(root: JSON) -> None:
    assert imported.translate(root) is None


@pytest.mark.parametrize(
    ("root", "name"),
    [
        (vcr(exchange()), "vcrpy"),
        (exchange(), "ddapm-test-agent"),
        (agenttape(), "AgentTape"),
        ({**agenttape({"kind": "tool", "match_key": "sha256:ab", "response": 1}), "meta": {}}, "AgentTape"),
        (agentcassette(), "agentcassette"),
    ],
    ids=["vcrpy", "ddapm", "agenttape", "agenttape-by-key", "agentcassette"],
)
def test_the_tool_that_wrote_a_cassette_is_named(root: JSON, name: str) -> None:
    translated = imported.translate(root)
    assert translated is not None
    assert translated["meta"]["imported"]["from"] == name


def test_a_translation_is_a_cassette_of_ours_and_not_translated_again() -> None:
    for root in (vcr(exchange()), agenttape(called("t", {"a": 1}, 2)), agentcassette({"name": "f", "result": 1})):
        translated = imported.translate(root)
        assert translated is not None
        assert Cassette.from_dict(translated).to_dict()["version"] == "1"
        assert imported.translate(translated) is None


_scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.binary(max_size=8)
_words = st.sampled_from(
    "interactions request response status code message headers body string base64_string parsed_body uri method steps "
    "arguments args kwargs result type name kind error meta agenttape_version version endpoint json raw_b64".split()
)
_trees = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=5))


@given(
    st.one_of(
        st.fixed_dictionaries({"interactions": st.lists(_trees, min_size=1, max_size=2)}),
        st.fixed_dictionaries(
            {"interactions": st.lists(st.fixed_dictionaries({"request": _trees, "response": _trees}), max_size=2)}
        ),
        st.fixed_dictionaries({"steps": st.lists(_trees, max_size=2)}),
        st.fixed_dictionaries(
            {
                "version": st.just("1"),
                "meta": st.just({"agenttape_version": "0.1.8"}),
                "interactions": st.lists(
                    st.fixed_dictionaries(
                        {"kind": st.sampled_from(["llm", "http", "tool"]), "request": _trees, "response": _trees}
                    ),
                    max_size=2,
                ),
            }
        ),
        st.dictionaries(_words, _trees, max_size=4),
    )
)
def test_anything_is_translated_left_alone_or_refused(root: JSON) -> None:
    try:
        translated = imported.translate(root)
    except CassetteCorruptError:
        return
    if translated is not None:
        Cassette.from_dict(translated)
        serializer.dump(translated)


@pytest.mark.parametrize(
    ("root", "problem"),
    [
        (vcr(exchange(), {"request": 1, "response": {}}), "interaction #1 of this vcrpy cassette: its request must be"),
        (vcr(exchange(), 3), "interaction #1 of this vcrpy cassette: it must be a mapping"),
        (vcr(exchange(status=None)), "has no status"),
        (vcr(exchange(uri=None)), "no method and URL"),  # type: ignore[arg-type]  # what a damaged file holds
        (vcr(exchange(answer={"base64_string": "!"})), "is not valid base64"),
        (agenttape({"kind": "tool", "request": {}}), "neither 'response' nor 'error'"),
        (agenttape({"kind": "song", "request": {}, "response": 1}), "unknown kind 'song'"),
        (agenttape(called("t", {}, {"__agenttape_asset__": "../x"})), "is not a digest"),
        (agentcassette({"name": "f", "arguments": {"args": 1}, "result": 1}), "'args' must be a list"),
        (vcr(exchange(answer={"string": None, "odd": b"x"})), "!!binary where text is expected"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_interaction_is_named(root: JSON, problem: str) -> None:
    with pytest.raises(CassetteCorruptError, match=problem):
        imported.translate(root)


@pytest.mark.parametrize("root", [{**agenttape(), "version": "2"}, {**agentcassette(), "version": 2}], ids=["at", "ac"])
def test_another_version_of_a_tools_format_is_refused(root: JSON) -> None:
    with pytest.raises(SchemaVersionError, match=r"'?2'? is not supported"):
        imported.translate(root)


# -- vcrpy


BODIES = {
    "text": ({"string": '{"a":1}'}, {}, b'{"a":1}'),
    "bytes": ({"string": b"\xff\x00a"}, {}, b"\xff\x00a"),
    "base64": ({"base64_string": base64.b64encode(b"\x00\xfe").decode()}, {}, b"\x00\xfe"),
    "decoded by the recorder": (
        {"string": "plain"},
        {"content-encoding": ["gzip"], "content-length": ["99"]},
        b"plain",
    ),
    "binary that the recorder decoded": ({"string": b"\xff\x00a"}, {"content-encoding": ["gzip"]}, b"\xff\x00a"),
    "nothing": ({"string": ""}, {}, b""),
    "no body": ({}, {}, b""),
}


@pytest.mark.parametrize(("body", "headers", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_comes_back_in_any_spelling(body: JSON, headers: JSON, expected: bytes) -> None:
    response = only(vcr(exchange(answer=body, answer_headers=headers)))["response"]
    assert bodies.decode_body(response) == expected
    assert not {"content-encoding", "content-length"} & response["headers"].keys()


@pytest.mark.parametrize(
    ("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)], ids=["gzip", "deflate"]
)
def test_a_compressed_body_is_readable_and_compressed_again_in_replay(
    tmp_path: Path, encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    answer_headers = {"content-encoding": [encoding], "content-length": ["99"]}
    answer = {"base64_string": base64.b64encode(compress(b'{"a":1}')).decode()}
    root = vcr(exchange(method="GET", asked="", answer=answer, answer_headers=answer_headers))
    assert only(root)["response"]["json"] == {"a": 1}
    with use_cassette(saved(tmp_path, root)):
        replayed = urllib.request.urlopen(CHAT_URL)  # which leaves a content encoding to its user
        assert zlib.decompress(replayed.read(), wbits=47) == b'{"a":1}'
    assert replayed.headers["content-encoding"] == encoding


@pytest.mark.parametrize(
    ("encoding", "package"), [("br", "brotli"), ("zstd", "zstandard")], ids=["brotli", "zstandard"]
)
def test_a_body_in_a_newer_encoding_comes_back(encoding: str, package: str) -> None:
    library = pytest.importorskip(package)
    packed = library.compress(b"hello " * 99)
    response = only(vcr(exchange(answer={"string": packed}, answer_headers={"content-encoding": [encoding]})))[
        "response"
    ]
    assert bodies.decode_body(response) == b"hello " * 99


def test_a_body_that_cannot_be_decoded_is_kept_as_it_came() -> None:
    packed = gzip.compress(b"x" * 99)[:-9]
    response = only(vcr(exchange(answer={"string": packed}, answer_headers={"Content-Encoding": "gzip"})))["response"]
    assert bodies.decode_body(response) == packed
    assert response["headers"] == {"Content-Encoding": "gzip"}


@given(st.binary(max_size=200), st.sampled_from(["", "gzip", "deflate"]))
def test_the_bytes_of_any_body_are_kept(raw: bytes, encoding: str) -> None:
    packed = {"": raw, "gzip": gzip.compress(raw), "deflate": zlib.compress(raw)}[encoding]
    headers = {"content-encoding": [encoding]} if encoding else {}
    response = only(vcr(exchange(answer={"string": packed}, answer_headers=headers)))["response"]
    assert bodies.decode_body(response) == raw


def test_decoded_json_bodies_are_read() -> None:
    raw = {
        "request": {"method": "POST", "uri": CHAT_URL, "headers": {}, "parsed_body": ASKED},
        "response": {"status": {"code": 200, "message": "OK"}, "headers": {}, "parsed_body": ANSWER},
    }
    found = only(vcr(raw))
    assert found["request"]["json"] == ASKED
    assert found["response"]["json"] == ANSWER


def test_the_older_shape_of_an_httpx_response_is_read() -> None:
    raw = exchange()
    raw["response"] = {"status_code": 404, "http_version": "HTTP/2", "headers": [["a", "b"]], "content": "gone"}
    assert only(vcr(raw))["response"] == {
        "status": 404,
        "headers": {"a": "b"},
        "http_version": "HTTP/2",
        "text": "gone",
    }


def test_headers_of_the_connection_go_and_repeated_ones_stay_apart() -> None:
    headers = {"Set-Cookie": ["a=1", "b=2"], "X-Bytes": [b"v\xe9"], "Transfer-Encoding": ["chunked"]}
    asked = {"Host": ["h"], "User-Agent": ["u"], "Anthropic-Version": ["2023"], "x-stainless-os": ["L"]}
    found = only(vcr(exchange(headers=asked, answer_headers=headers)))
    assert found["request"]["headers"] == {"Anthropic-Version": "2023"}
    assert found["response"]["headers"] == {"Set-Cookie": ["a=1", "b=2"], "X-Bytes": "vé"}


def test_an_llm_call_is_seen_as_one() -> None:
    found = only(vcr(exchange()))
    assert (found["kind"], found["boundary"]) == ("llm", "openai.chat")
    assert found["usage"] == {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    assert found["metadata"] == {"provider": "openai", "operation": "chat", "model": "gpt-4o", "imported": "vcrpy"}


def test_other_http_stays_http() -> None:
    found = only(vcr(exchange(uri="https://example.com/x")))
    assert (found["kind"], found.get("boundary")) == ("http", None)


# -- files


def test_a_file_with_binary_values_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    packed = base64.b64encode(gzip.compress(json.dumps(ANSWER).encode())).decode()
    path.write_text(
        "interactions:\n- request:\n    method: GET\n    uri: http://x/\n    body: null\n"
        "    headers:\n      accept: [!!binary YQ==]\n      x-name: [!!python/unicode 'n']\n"
        "  response:\n    status: {code: 200, message: OK}\n"
        "    headers: {content-encoding: [gzip]}\n    body:\n"
        f"      string: !!binary |\n        {packed}\nversion: 1\n"
    )
    (found,) = Cassette.load(path).interactions
    assert found.request["headers"] == {"accept": "a", "x-name": "n"}
    assert json.loads(bodies.decode_body(found.response)) == ANSWER


@pytest.mark.parametrize(
    "value", ["!!binary YQ==", "!!python/unicode a", "!!python/tuple [1]", "!!python/name:os.system"]
)
def test_a_cassette_of_ours_has_no_tags(tmp_path: Path, value: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"version: '1'\nmeta: {{}}\nrun_id: {value}\ninteractions: []\n")
    with pytest.raises(CassetteCorruptError, match=r"c\.yaml:3: tags are not supported"):
        Cassette.load(path)


@pytest.mark.parametrize("value", ["!!binary '*'", "!!python/object/apply:os.system [ls]", "!!python/name:os.system x"])
def test_a_tag_that_runs_code_or_is_damaged_is_refused(tmp_path: Path, value: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"version: 1\ninteractions:\n- request:\n    body: {value}\n")
    with pytest.raises(CassetteCorruptError, match=r"c\.yaml:4: "):
        Cassette.load(path)


def test_a_damaged_foreign_file_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path, vcr(exchange(status=None)), "c.json")
    with pytest.raises(CassetteCorruptError, match=r"c\.json: interaction #0 of this vcrpy cassette") as caught:
        Cassette.load(path)
    assert caught.value.path == path


def test_assets_of_agenttape_are_found_beside_the_cassette(tmp_path: Path) -> None:
    text, binary = "word " * 2000, b"\xff" * 9000
    folder = tmp_path / "c.assets"
    folder.mkdir()
    refs = []
    for content, encoding in ((text.encode(), "utf-8"), (binary, "base64")):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        (folder / digest.replace(":", "-")).write_bytes(content)
        refs.append({"__agenttape_asset__": digest, "encoding": encoding, "size": len(content), "preview": "w"})
    inline = {"__agenttape_bytes__": base64.b64encode(b"\x00").decode()}
    path = saved(tmp_path, agenttape(called("read", {"n": 1}, {"text": refs[0], "raw": refs[1], "small": inline})))

    @tool
    def read(n: int) -> Any:
        raise AssertionError(n)

    with use_cassette(path):
        assert read(1) == {"text": text, "raw": binary, "small": b"\x00"}
    for each in folder.iterdir():
        each.unlink()
    with pytest.raises(CassetteCorruptError, match="cannot be read"):
        Cassette.load(path)


# -- replay


def post(url: str = CHAT_URL, body: JSON = None, **headers: str) -> httpx.Response:
    with httpx.Client() as client:
        return client.post(url, json=ASKED if body is None else body, headers=headers)


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ["XXX"]}, {"authorization": ["Bearer sk-old-1234567890abcdef"], "x-sdk": ["1"]}],
    ids=["filtered", "blanked", "another key"],
)
def test_credentials_and_other_headers_do_not_keep_a_recording_from_matching(tmp_path: Path, headers: JSON) -> None:
    path = saved(tmp_path, vcr(exchange(headers=headers)))
    before = path.read_bytes()
    with use_cassette(path) as session:
        answer = post(authorization="Bearer sk-mine-1234567890abcdef", x_other="y")
    assert (answer.status_code, answer.json()) == (200, ANSWER)
    assert (session.remaining, session.divergences) == (0, [])
    assert path.read_bytes() == before


@pytest.mark.parametrize("recorded", ["", "?key=XXX", "?key=AIzaSyOld"], ids=["filtered", "blanked", "another key"])
def test_a_credential_in_the_query_is_not_compared(tmp_path: Path, recorded: str) -> None:
    path = saved(tmp_path, vcr(exchange(uri=f"https://example.com/v1{recorded}")))
    with use_cassette(path):
        assert post("https://example.com/v1?key=AIzaSyabcdefghijklmnopqrstuvwxyz0123456").status_code == 200


@pytest.mark.parametrize(
    ("url", "body"),
    [(CHAT_URL, {**ASKED, "model": "other"}), (CHAT_URL + "?page=2", ASKED), ("https://api.openai.com/v1/x", ASKED)],
    ids=["body", "query", "path"],
)
def test_what_identifies_the_call_is_compared(tmp_path: Path, url: str, body: JSON) -> None:
    with use_cassette(saved(tmp_path, vcr(exchange()))) as session:
        with pytest.raises(UnmatchedInteractionError) as caught:
            post(url, body, authorization="Bearer sk-mine-1234567890abcdef")
        assert session.remaining == 1
    assert "headers" not in str(caught.value)


def test_each_recording_is_served_once_and_in_order(tmp_path: Path) -> None:
    root = vcr(exchange(answer='{"n":1}'), exchange(answer='{"n":2}'))
    with use_cassette(saved(tmp_path, root)):
        assert [post().json()["n"] for _ in range(2)] == [1, 2]
        with pytest.raises(UnmatchedInteractionError):
            post()


def test_a_stream_is_replayed_event_by_event(tmp_path: Path) -> None:
    events = ["data: {}\n\n", "data: [DONE]\n\n"]
    body = {**ASKED, "stream": True}
    recorded = exchange(
        asked=json.dumps(body), answer="".join(events), answer_headers={"content-type": ["text/event-stream"]}
    )
    with (
        use_cassette(saved(tmp_path, vcr(recorded))),
        httpx.Client() as client,
        client.stream("POST", CHAT_URL, json=body) as response,
    ):
        assert list(response.iter_raw()) == [each.encode() for each in events]


def test_a_secret_in_a_foreign_request_matches_and_is_not_written_again(tmp_path: Path) -> None:
    secret = "sk-proj-" + "a1B2c3D4e5F6g7H8i9J0" * 2
    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": f"use {secret}"}]}
    path = saved(tmp_path, vcr(exchange(asked=json.dumps(asked))))

    @tool
    def fresh() -> int:
        return 1

    with use_cassette(path, mode="new_episodes"):
        assert post(body=asked).json() == ANSWER
        fresh()
    assert secret not in path.read_text()


def test_adding_to_a_foreign_cassette_writes_ours_and_it_still_replays(tmp_path: Path) -> None:
    path = saved(tmp_path, vcr(exchange()))

    @tool
    def fresh(n: int) -> int:
        return n + 1

    with use_cassette(path, mode="new_episodes"):
        assert (post().json(), fresh(1)) == (ANSWER, 2)
    assert Cassette.load(path).meta["imported"] == {"from": "vcrpy"}
    assert imported.translate(serializer.load(path.read_bytes(), format="yaml").root) is None
    with use_cassette(path) as session:
        assert (post(authorization="Bearer sk-mine-1234567890abcdef").json(), fresh(1)) == (ANSWER, 2)
        assert session.remaining == 0


def test_our_own_recordings_beside_foreign_ones_are_compared_in_full(tmp_path: Path) -> None:
    theirs = imported.translate(vcr(exchange(uri="https://example.com/old")))
    assert theirs is not None
    own = {**theirs["interactions"][0], "index": 1, "metadata": {}}
    own["request"] = {**own["request"], "url": "https://example.com/own", "headers": {"x-team": "a"}}
    path = saved(tmp_path, {**theirs, "interactions": [*theirs["interactions"], own]})
    with use_cassette(path):
        post("https://example.com/old", **{"x-team": "b"})
        with pytest.raises(UnmatchedInteractionError):
            post("https://example.com/own", **{"x-team": "b"})


# -- AgentTape


def test_calls_of_agenttape_are_replayed(tmp_path: Path) -> None:
    error = {"type": "ValueError", "module": "builtins", "message": "no", "repr": "ValueError('no')"}
    root = agenttape(
        called("weather", {"city": "Rome", "unit": "c"}, {"t": 1, "$type": "odd"}),
        {"kind": "tool", "boundary": "boom", "request": {"name": "boom", "args": {"a": 1}}, "error": error},
        called("search", {"q": "x"}, ["a", "b"], kind="retrieval"),
        {"kind": "memory_write", "boundary": "save", "request": {"key": "k"}, "response": None},
    )

    @tool
    def weather(city: str, unit: str = "c") -> Any:
        raise AssertionError(city, unit)

    boom: Any = tool(name="boom")(lambda a: pytest.fail(f"ran with {a}"))
    search: Any = intercept(lambda q: pytest.fail(f"ran with {q}"), name="search", kind="retrieval")
    with use_cassette(saved(tmp_path, root)) as session:
        assert weather("Rome") == {"t": 1, "$type": "odd"}
        with pytest.raises(ValueError, match="no"):
            boom(1)
        assert search(q="x") == ["a", "b"]
        assert record_call("memory_write", {"key": "k"}, lambda: pytest.fail("ran"), boundary="save") is None
        assert session.remaining == 0


def test_yaml_of_agenttape_in_a_file_named_json_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(serializer.dump_yaml(agenttape(called("weather", {"city": "Rome"}, 5))), encoding="utf-8")

    assert Cassette.load(path).interactions[0].response == 5


@pytest.mark.parametrize(
    ("recorded", "args", "kwargs", "matches"),
    [
        ({"a": 1, "rest": [2, 3], "z": 4}, (1, 2, 3), {"z": 4}, True),
        ({"a": 1, "rest": []}, (1,), {}, True),
        ({"a": 1, "rest": []}, (1,), {"z": 4}, False),
        ({"a": 1, "rest": [], "z": 4}, (1,), {}, False),
        ({"a": 1, "rest": [], "z": 4}, (1,), {"z": True}, False),
        ({"a": 1, "rest": [2]}, (1,), {}, False),
    ],
    ids=["all", "none", "one more", "one less", "another", "less by position"],
)
def test_variable_arguments_of_agenttape_are_compared(
    tmp_path: Path, recorded: JSON, args: JSON, kwargs: JSON, matches: bool
) -> None:
    @tool
    def work(a: int, *rest: int, **named: int) -> int:
        raise AssertionError(a, rest, named)

    with use_cassette(saved(tmp_path, agenttape(called("work", recorded, 5)))):
        if matches:
            assert work(*args, **kwargs) == 5
        else:
            with pytest.raises(UnmatchedInteractionError):
                work(*args, **kwargs)


def test_an_openai_call_recorded_above_http_answers_the_request(tmp_path: Path) -> None:
    root = agenttape(
        {
            "kind": "llm",
            "boundary": "llm",
            "request": {"endpoint": "chat.completions", **ASKED},
            "response": ANSWER,
            "usage": {"prompt_tokens": 3},
            "latency_ms": 21.5,
            "tags": ["a"],
        }
    )
    found = only(root)
    assert (found["boundary"], found["latency_ms"], found["tags"]) == ("openai.chat", 21.5, ["a"])
    assert found["usage"]["input_tokens"] == 3
    with use_cassette(saved(tmp_path, root)):
        assert post(authorization="Bearer sk-mine-1234567890abcdef").json() == ANSWER


@pytest.mark.parametrize(
    "body",
    [{"json": ASKED}, {"json": ASKED, "raw_b64": base64.b64encode(json.dumps(ASKED).encode()).decode()}],
    ids=["json", "raw"],
)
def test_http_of_agenttape_is_replayed(tmp_path: Path, body: JSON) -> None:
    request = {"method": "POST", "url": "https://example.com/x", "headers": {"accept": "*/*"}, **body}
    response = {
        "status_code": 201,
        "headers": {"x": ["1", "2"]},
        "reason_phrase": "Made",
        "http_version": "HTTP/1.0",
        "body_b64": "/wBh",
    }
    root = agenttape({"kind": "http", "boundary": "https://example.com", "request": request, "response": response})
    with use_cassette(saved(tmp_path, root)):
        answer = post("https://example.com/x")
    assert (answer.status_code, answer.reason_phrase, answer.content) == (201, "Made", b"\xff\x00a")
    assert answer.headers.get_list("x") == ["1", "2"]


def test_what_agenttape_redacted_equals_what_is_redacted_here(tmp_path: Path) -> None:
    root = agenttape(called("login", {"password": "***REDACTED***"}, "ok"))
    login: Any = tool(name="login")(lambda password: pytest.fail(f"ran with {password}"))
    with use_cassette(saved(tmp_path, root)):
        assert login("Tr0ub4dor&3-horse-staple") == "ok"


def test_the_clock_of_an_agenttape_recording_is_kept() -> None:
    translated = imported.translate(agenttape(freeze={"base_iso": "2026-01-02T03:04:05+00:00", "random_seed": 7}))
    assert translated is not None
    assert translated["meta"]["freeze"] == {"clock": "2026-01-02T03:04:05+00:00", "seed": 7}


@pytest.mark.parametrize(
    ("kind", "request_"),
    [("llm", {"prompts": ["p"]}), ("tool", {"name": "t", "input": "x"}), ("retrieval", {"query": "q"})],
    ids=["llm", "tool", "retrieval"],
)
def test_what_a_callback_recorded_is_never_missed(tmp_path: Path, kind: str, request_: JSON) -> None:
    root = agenttape({"kind": kind, "boundary": kind, "request": request_, "response": "r"})
    with use_cassette(saved(tmp_path, root)) as session:
        pass
    assert (session.remaining, session.unplayed) == (0, [])
    assert "recorded by a callback" in str(Cassette.load(session.path).meta["imported"]["problems"])


LOSSY = {
    "object": (agenttape(called("t", {}, {"x": ["<object object at 0x7f316ba6ea00>"]})), "response.x[0]"),
    "generator": (agenttape(called("t", {}, "<generator object f.<locals>.g at 0x7f31695a3700>")), "response"),
    "argument": (agenttape(called("t", {"db": "<app.Db object at 0x7f31695a3700>"}, 1)), "request.args.db"),
    "agentcassette": (agentcassette({"name": "t", "result": [{"__repr__": "<X>"}]}), "result[0]"),
}


@pytest.mark.parametrize(("root", "where"), LOSSY.values(), ids=LOSSY)
def test_the_text_of_an_object_is_never_served_for_the_object(tmp_path: Path, root: JSON, where: str) -> None:
    run: Any = tool(name="t")(lambda: pytest.fail("ran"))
    with use_cassette(saved(tmp_path, root)) as session:
        with pytest.raises(UnmatchedInteractionError) as caught:
            run()
        assert session.unplayed == []
    assert "#0" in str(caught.value)
    assert f"cannot be replayed: {where} is only the repr of an object" in str(caught.value)
    problems = Cassette.load(session.path).meta["imported"]["problems"]
    assert any(f"#0: {where} is only the repr" in each for each in problems)


SECRETS = {"KEY_OF_THE_APP": "sk-proj-" + "aB3dE5fG7hJ9kL1m", "APP_PASSWORD": "Tr0ub4dor&3-horse"}


@pytest.fixture(params=["", "named " * 5], ids=["short", "long"])
def object_with_secrets(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cassette whose recorded result is the text of an object that holds secrets."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    shown = f"<app.Client {request.param}{' '.join(SECRETS.values())} at 0x7f316ba6ea00>"
    return saved(tmp_path, agenttape(called("t", {}, {"client": shown})))


def leaked(text: str) -> list[str]:
    return [secret for secret in SECRETS.values() if secret[:12] in text]


def test_the_text_of_an_object_is_named_without_its_secrets(object_with_secrets: Path) -> None:
    run: Any = tool(name="t")(lambda: pytest.fail("ran"))
    with use_cassette(object_with_secrets), pytest.raises(UnmatchedInteractionError) as caught:
        run()
    assert "cannot be replayed: response.client is only the repr of an object" in str(caught.value)
    assert leaked(str(caught.value)) == []


def test_the_text_of_an_object_is_written_again_without_its_secrets(object_with_secrets: Path) -> None:
    fresh: Any = tool(name="fresh")(lambda: 1)
    with use_cassette(object_with_secrets, mode="new_episodes"):
        fresh()
    written = object_with_secrets.read_text()
    assert "#0: response.client is only the repr" in written
    assert leaked(written) == []


# -- agentcassette


POSITIONAL = {
    "by position": ({"args": ["Rome"], "kwargs": {}}, ("Rome",), {}, True),
    "by name": ({"args": [], "kwargs": {"city": "Rome"}}, ("Rome",), {}, True),
    "mixed": ({"args": ["Rome"], "kwargs": {"unit": "f"}}, ("Rome", "f"), {}, True),
    "asked by name": ({"args": ["Rome", "f"], "kwargs": {}}, (), {"unit": "f", "city": "Rome"}, True),
    "another city": ({"args": ["Rome"], "kwargs": {}}, ("Oslo",), {}, False),
    "another unit": ({"args": ["Rome"], "kwargs": {"unit": "f"}}, ("Rome", "k"), {}, False),
    "more than there are": ({"args": ["Rome", "f", 1], "kwargs": {}}, ("Rome", "f"), {}, False),
    "left to its default": ({"args": ["Rome"], "kwargs": {}}, ("Rome", "c"), {}, True),
    "no longer the default": ({"args": ["Rome"], "kwargs": {}}, ("Rome", "f"), {}, False),
    "another type": ({"args": [1], "kwargs": {}}, (True,), {}, False),
    "another type by name": ({"args": [], "kwargs": {"city": 1}}, (1.0,), {}, False),
    "unknown name": ({"args": ["Rome"], "kwargs": {"lang": "it"}}, ("Rome",), {}, False),
}


@pytest.mark.parametrize(("arguments", "args", "kwargs", "matches"), POSITIONAL.values(), ids=POSITIONAL)
def test_positional_arguments_are_compared_by_position(
    tmp_path: Path, arguments: JSON, args: JSON, kwargs: JSON, matches: bool
) -> None:
    @tool
    def weather(city: str, unit: str = "c") -> int:
        raise AssertionError(city, unit)

    path = saved(tmp_path, agentcassette({"name": "weather", "arguments": arguments, "result": 5}), "c.json")
    with use_cassette(path):
        if matches:
            assert weather(*args, **kwargs) == 5
        else:
            with pytest.raises(UnmatchedInteractionError):
                weather(*args, **kwargs)


@pytest.mark.parametrize(("given_type", "kind"), [("llm", "llm"), ("tool", "tool"), ("call", "tool")])
def test_the_kinds_of_agentcassette_are_ours(given_type: str, kind: str) -> None:
    step = {"name": "f", "type": given_type, "result": 1, "input_tokens": 3, "output_tokens": 2, "duration_ms": 0.5}
    found = only(agentcassette(step))
    assert (found["kind"], found["boundary"], found["latency_ms"]) == (kind, "f", 0.5)
    assert found.get("usage") == (
        {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5} if given_type == "llm" else None
    )


# -- recorded by the tool itself


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            body = gzip.compress(json.dumps(ANSWER).encode())
            self.send_response(200)
            for name, value in (
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
                ("x", "1"),
                ("x", "2"),
            ):
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        yield url


def test_what_vcrpy_records_is_replayed(tmp_path: Path, server: str) -> None:
    recorder = pytest.importorskip("vcr", reason="vcrpy is not installed")
    requests = pytest.importorskip("requests")
    path = tmp_path / "c.yaml"

    def ask() -> tuple[int, JSON]:
        url = f"{server}/v1/chat/completions"
        answer = requests.post(url, json=ASKED, headers={"authorization": "Bearer sk-mine-1234567890abcdef"}, timeout=5)
        return answer.status_code, answer.json()

    with recorder.use_cassette(str(path), filter_headers=["authorization"]):
        live = ask()
    (found,) = Cassette.load(path).interactions
    assert (found.boundary, found.response["headers"]["x"]) == ("openai.chat", ["1", "2"])
    with use_cassette(path) as session:
        assert ask() == live
        assert session.remaining == 0
