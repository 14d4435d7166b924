"""How answers stand in a file: what describes one delivery on one line, deltas on a line each; and all comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_agenttape.bodies import decode_body, encode_body
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.file_form import filed, unfiled
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.serializer import dump_yaml
from tests.serializer.test_serializer import fingerprint, law, values

REQUEST = {"method": "POST", "url": "http://x/", "headers": {}}


def answered(kind: str = "http", **response: JSON) -> Cassette:
    whole = {"status": 200, "headers": {}, **response}
    return Cassette(interactions=[Interaction(index=0, kind=kind, request=dict(REQUEST), response=whole)])


def written(cassette: Cassette, path: Path) -> str:
    """Return the text of the response of a cassette of one call, without its indentation."""
    cassette.save(path)
    text = path.read_text().partition("  response:\n")[2]
    return "".join(line.removeprefix("    ") for line in text.splitlines(keepends=True))


def read(path: Path) -> Any:
    return Cassette.load(path).interactions[0].response


# Delivery


HEADERS = {
    "Date": "Mon, 24 Nov 2025 16:00:00 GMT",
    "Content-Type": "application/json",
    "x-ratelimit-remaining-requests": "9999",
    "retry-after": "2",
    "openai-organization": "acme",
    "openai-processing-ms": "449",
    "CF-Ray": "bbb0ff5300057e39-LHR",
    "set-cookie": ["__cf_bm=x; path=/", "_cfuvid=y; path=/"],
}


def test_headers_of_one_delivery_stand_last_on_one_line(tmp_path: Path) -> None:
    text = written(answered(headers=HEADERS, json={"a": 1}), tmp_path / "a.yaml")
    assert text == (
        "status: 200\n"
        "headers:\n"
        "  Content-Type: application/json\n"
        '  retry-after: "2"\n'
        "  openai-organization: acme\n"
        "json:\n"
        "  a: 1\n"
        "delivery: {Date: 'Mon, 24 Nov 2025 16:00:00 GMT', x-ratelimit-remaining-requests: \"9999\", "
        'openai-processing-ms: "449", CF-Ray: bbb0ff5300057e39-LHR, '
        "set-cookie: [__cf_bm=x; path=/, _cfuvid=y; path=/]}\n"
    )


def test_the_length_of_an_encoded_answer_is_of_one_delivery(tmp_path: Path) -> None:
    answer = answered(headers={"content-length": "31"}, encoded="gzip", text="It is raining.")
    text = written(answer, tmp_path / "a.yaml")
    assert text.endswith('headers: {}\nencoded: gzip\ntext: It is raining.\ndelivery: {content-length: "31"}\n')
    assert read(tmp_path / "a.yaml")["headers"] == {"content-length": "31"}


def test_the_sizes_of_chunks_stand_on_one_line(tmp_path: Path) -> None:
    text = written(answered(headers={}, text="It is raining.", chunk_bytes=[3, 3, 8]), tmp_path / "a.yaml")
    assert text == "status: 200\nheaders: {}\ntext: It is raining.\nchunk_bytes: [3, 3, 8]\n"


def test_the_delivery_of_the_next_answer_says_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    same = {"x-ratelimit-remaining-requests": "9999", "x-ratelimit-reset-requests": "8.64s"}
    cassette = answered(headers={**same, "CF-Ray": "a"})
    cassette.interactions.append(replace(answered(headers={**same, "CF-Ray": "b"}).interactions[0], index=1))
    second = written(cassette, path).partition("delivery: &")[2].partition("delivery: ")[2]
    assert second == "{<<: *delivery-3fe8, CF-Ray: b}\n"
    assert Cassette.load(path) == cassette
    older = dump_yaml(yaml.safe_load(path.read_text()))
    path.write_text(older)
    assert not cassette.save(path)
    assert path.read_text() == older
    assert Cassette.load(path) == cassette


def test_all_headers_come_back(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        answered(headers=HEADERS).save(tmp_path / name)
        assert read(tmp_path / name) == {"status": 200, "headers": HEADERS}


@pytest.mark.parametrize("cookie", ["session=REDACTED0001; path=/", ["__cf_bm=x", "session=REDACTED0001"]])
def test_a_cookie_of_the_service_is_no_header_of_one_delivery(cookie: JSON, tmp_path: Path) -> None:
    assert "delivery" not in written(answered(headers={"set-cookie": cookie}), tmp_path / "a.yaml")


def test_a_tool_may_return_what_looks_like_a_delivery(tmp_path: Path) -> None:
    result = {
        "status": 1,
        "headers": {"date": "today"},
        "delivery": {"carrier": "DHL"},
        "events": [{"a": 1, "b": 1}] * 9,
    }
    cassette = Cassette(interactions=[Interaction(index=0, kind="tool", request={"args": {}}, response=result)])
    cassette.save(tmp_path / "a.yaml")
    assert read(tmp_path / "a.yaml") == result
    assert yaml.safe_load((tmp_path / "a.yaml").read_text())["interactions"][0]["response"] == result


# Deltas


def chunk(**choice: JSON) -> str:
    return json.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, **choice, "logprobs": None}],
        },
        separators=(",", ":"),
        ensure_ascii=False,
    )


WORDS = ("It is", " 14 °C,", "\nwith rain: ", "yes", "")
CHAT = "".join(
    f"data: {each}\n\n"
    for each in (
        chunk(delta={"role": "assistant", "content": ""}, finish_reason=None),
        *(
            chunk(delta={"content": word}, finish_reason=None)
            for word in ("It is", " 14 °C,", "\nwith rain: ", "yes", "")
        ),
        chunk(delta={}, finish_reason="stop"),
        "[DONE]",
    )
)


def streamed(text: str, content_type: str = "text/event-stream") -> Cassette:
    return answered(headers={"content-type": content_type}, **encode_body(text.encode(), content_type))


def test_deltas_of_one_kind_take_a_line_each(tmp_path: Path) -> None:
    text = written(streamed(CHAT), tmp_path / "a.yaml")
    assert (
        "- each:\n"
        "    data:\n"
        "      id: chatcmpl-1\n"
        "      object: chat.completion.chunk\n"
        "      model: gpt-4o-mini\n"
        "      choices:\n"
        "      - index: 0\n"
        "        delta:\n"
        "          content: <content>\n"
        "        finish_reason: null\n"
        "        logprobs: null\n"
        "  deltas:\n"
        "  - It is\n"
        '  - " 14 °C,"\n'
        '  - "\\nwith rain: "\n'
        '  - "yes"\n'
        '  - ""\n'
    ) in text


def test_deltas_that_differ_in_several_values_name_them(tmp_path: Path) -> None:
    event = 'event: {0}\ndata: {{"type":"{0}","sequence_number":{1},"delta":"{2}","item_id":"msg_1","index":0}}\n\n'
    kind = "response.output_text.delta"
    stream = "".join(event.format(kind, at, word) for at, word in enumerate(("It", "is", "raining"), start=4))
    text = written(streamed(stream), tmp_path / "a.yaml")
    assert (
        "- each:\n"
        "    event: response.output_text.delta\n"
        "    data:\n"
        "      type: response.output_text.delta\n"
        "      sequence_number: <sequence_number>\n"
        "      delta: <delta>\n"
        "      item_id: msg_1\n"
        "      index: 0\n"
        "  deltas:\n"
        "  - {sequence_number: 4, delta: It}\n"
        "  - {sequence_number: 5, delta: is}\n"
        "  - {sequence_number: 6, delta: raining}\n"
    ) in text


@pytest.mark.parametrize(
    ("stream", "content_type"),
    [
        pytest.param(CHAT, "text/event-stream", id="events"),
        pytest.param(CHAT.replace("\n\n", "\r\n\r\n"), "text/event-stream", id="crlf"),
        pytest.param(CHAT.replace("It is", "<content>"), "text/event-stream", id="a mark"),
        pytest.param(CHAT.replace("gpt-4o-mini", "<model>"), "text/event-stream", id="a mark in common"),
        pytest.param(CHAT.replace('"logprobs":null', '"logprobs":[]'), "text/event-stream", id="empty"),
        pytest.param(": hello\n\n" * 3 + CHAT * 2 + "event: ping\n\n" * 4, "text/event-stream", id="keep-alives"),
        pytest.param('{"a":1,"b":"x"}\n{"a":2,"b":"x"}\n{"a":2.0,"b":"x"}\n', "application/x-ndjson", id="lines"),
        pytest.param('{"a":[[1,2],3],"b":"x"}\n{"a":[[1,5],4],"b":"x"}\n' * 3, "application/x-ndjson", id="lists"),
        pytest.param('data: {"a":{"a":1},"b":2}\n\ndata: {"a":{"a":2},"b":1}\n\n' * 3, "text/event-stream", id="names"),
        pytest.param(
            'data: {"a":1, "b":2}\n\ndata: {"a":2,"b":2}\n\ndata: {"a":3,"b":2} \n\n', "text/event-stream", id="pad"
        ),
        pytest.param('data: {"":1,"<":2}\n\ndata: {"":2,"<":1}\n\n' * 3, "text/event-stream", id="odd names"),
    ],
)
def test_a_stream_comes_back_byte_for_byte(stream: str, content_type: str, tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        streamed(stream, content_type).save(tmp_path / name)
        assert decode_body(read(tmp_path / name)) == stream.encode()


def test_a_stream_of_an_older_cassette_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    recorded = streamed(CHAT)
    older = {"version": "1", "interactions": [recorded.interactions[0].to_dict()]}
    path.write_text(yaml.safe_dump(older, allow_unicode=True, sort_keys=False))
    assert decode_body(read(path)) == CHAT.encode()
    assert not recorded.save(path)  # it is not rewritten for its layout
    assert "deltas" not in path.read_text()


def test_deltas_are_edited_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = written(streamed(CHAT), path)
    assert '      - " 14 °C,"\n' in path.read_text()
    path.write_text(path.read_text().replace('      - " 14 °C,"\n', "      - is not\n      - an answer\n"))
    assert (
        decode_body(read(path))
        == CHAT.replace(
            f"data: {chunk(delta={'content': ' 14 °C,'}, finish_reason=None)}\n\n",
            "".join(
                f"data: {chunk(delta={'content': word}, finish_reason=None)}\n\n" for word in ("is not", "an answer")
            ),
        ).encode()
    )
    assert text


@pytest.mark.parametrize(
    ("deltas", "problem"),
    [
        (["x"], "response.events[0].deltas[0] must have a value for <a>, <b>"),
        ([{"a": 1, "b": 2}, {"a": 1}], "response.events[0].deltas[1] must have a value for <a>, <b>"),
        ([{"a": 1, "b": 2, "c": 3}], "response.events[0].deltas[0] must have a value for <a>, <b>"),
        ("x", "response.events[0].deltas must be a list, found str"),
    ],
)
def test_deltas_that_do_not_fit_are_refused(deltas: JSON, problem: str) -> None:
    entry = {"each": {"data": {"a": "<a>", "b": "<b>"}}, "deltas": deltas}
    with pytest.raises(CassetteCorruptError) as caught:
        unfiled({"request": REQUEST, "response": {"events": [entry]}})
    assert problem in str(caught.value)


@law
@given(st.lists(values, max_size=4), st.lists(st.sampled_from(["a", "<a>", "", 1, True, None, 1.0]), max_size=6))
def test_any_stream_comes_back(found: list[Any], pieces: list[Any]) -> None:
    shapes = [{"data": {"type": "x", "a": piece, "b": [piece, "same"], "c": "same"}} for piece in pieces]
    call = {"request": REQUEST, "response": {"events": [*found, *shapes, *found], "headers": {"date": "x"}}}
    assert fingerprint(unfiled(filed(call))) == fingerprint(call)
