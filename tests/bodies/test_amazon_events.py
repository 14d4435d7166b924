"""Amazon's event streams are stored readably and come back byte for byte."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_agenttape.bodies import decode_body, decode_chunks, encode_body
from pytest_agenttape.errors import CassetteCorruptError
from tests.transports import amazon
from tests.transports.amazon import chunk, event, message

TYPE = "application/vnd.amazon.eventstream"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from([":event-type", ":exception-type", ":message-type", ":content-type", "x", ""])
header_values = st.one_of(
    st.booleans().map(lambda value: b"\0" if value else b"\1"),
    st.integers(-128, 127).map(lambda value: b"\2" + struct.pack(">b", value)),
    st.integers(-(2**15), 2**15 - 1).map(lambda value: b"\3" + struct.pack(">h", value)),
    st.integers(-(2**31), 2**31 - 1).map(lambda value: b"\4" + struct.pack(">i", value)),
    st.tuples(st.sampled_from([b"\5", b"\x08"]), st.integers(-(2**63), 2**63 - 1)).map(
        lambda value: value[0] + struct.pack(">q", value[1])
    ),
    st.tuples(st.sampled_from([b"\6", b"\7"]), st.binary(max_size=20)).map(
        lambda value: value[0] + struct.pack(">H", len(value[1])) + value[1]
    ),
    st.text(max_size=8).map(lambda value: b"\7" + struct.pack(">H", len(value.encode())) + value.encode()),
    st.binary(min_size=16, max_size=16).map(lambda value: b"\x09" + value),
    st.binary(max_size=4),  # no header at all
)
payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=40).map(str.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
    json_values.map(
        lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    ),
    st.tuples(json_values, json_values).map(
        lambda pair: json.dumps(
            {"bytes": base64.b64encode(json.dumps(pair[0]).encode()).decode(), "p": pair[1]}, separators=(",", ":")
        ).encode()
    ),
    st.tuples(st.binary(max_size=20) | json_values.map(lambda value: json.dumps(value).encode()), json_values).map(
        lambda pair: json.dumps({"p": pair[1], "bytes": base64.b64encode(pair[0]).decode()}, indent=1).encode()
    ),
)


def framed(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return whole + struct.pack(">I", zlib.crc32(whole))


messages = st.builds(
    framed,
    st.lists(st.tuples(names, header_values), max_size=4).map(
        lambda pairs: b"".join(bytes([len(name)]) + name.encode() + value for name, value in pairs)
    ),
    payloads,
)


@given(
    pieces=st.lists(messages | st.sampled_from([*amazon.CONVERSED, *amazon.INVOKED]), max_size=4),
    tail=st.binary(max_size=30),
    cut=st.none() | st.integers(0, 400),
    flipped=st.none() | st.integers(0, 2000),
)
@example(pieces=[framed(b"", b"")], tail=b"", cut=None, flipped=None)
@example(pieces=[framed(b"\1x\1\1x\1", b"")], tail=b"", cut=None, flipped=None)
@example(
    pieces=[event("x", {})],
    tail=struct.pack(">III", 4, 0, zlib.crc32(struct.pack(">II", 4, 0))),
    cut=None,
    flipped=None,
)
def test_any_stream_comes_back_byte_for_byte(
    pieces: list[bytes], tail: bytes, cut: int | None, flipped: int | None
) -> None:
    raw = bytearray(b"".join(pieces) + tail)[:cut]
    if flipped is not None and raw:
        raw[flipped % len(raw)] ^= 0xFF
    stored = encode_body(bytes(raw), TYPE)
    assert decode_body(stored) == raw
    assert b"".join(decode_chunks(stored, TYPE)) == raw
    assert json.loads(json.dumps(stored)) == stored or "NaN" in json.dumps(stored)


def test_a_message_is_stored_as_what_it_says() -> None:
    raw = b"".join(
        [
            event("contentBlockDelta", {"delta": {"text": "Zoë"}}),
            event("throttlingException", {"message": "slow"}, "exception"),
            chunk({"type": "message_stop"}),
        ]
    )
    stored = encode_body(raw, TYPE)
    assert stored == {
        "events": [
            {"event": "contentBlockDelta", "data": {"delta": {"text": "Zoë"}}, "data_layout": "ascii"},
            {"exception": "throttlingException", "data": {"message": "slow"}},
            {"event": "chunk", "data": {"type": "message_stop"}, "beside": {"p": "abcdefg"}},
        ],
        "events_layout": "amazon",
    }
    assert len(decode_chunks(stored, TYPE)) == 3


WRAPPINGS = {
    "spaced": ('{"bytes": "%s", "p": "abc"}', {"beside": {"p": "abc"}, "beside_layout": "spaced"}),
    "indented": ('{\n  "bytes": "%s"\n}\n', {"beside": {}, "beside_layout": "indent=2 after=\\n"}),
    "not first": ('{"p":"abc","bytes":"%s"}', {"beside": {"p": "abc", "bytes": None}}),
    "escaped": ('{"bytes":"%s","p":"Zo\\u00eb"}', {"beside": {"p": "Zoë"}, "beside_layout": "ascii"}),
}


@pytest.mark.parametrize(("payload", "fields"), WRAPPINGS.values(), ids=WRAPPINGS)
@pytest.mark.parametrize(
    ("inner", "data"),
    [
        ('{"type":"message_stop"}', {"data": {"type": "message_stop"}}),
        ('{ "type":"message_stop"}', {"data": '{ "type":"message_stop"}'}),
        ("plain text", {"data": "plain text"}),
    ],
)
def test_what_an_invocation_answers_is_readable_whatever_is_around_it(
    payload: str, fields: dict[str, Any], inner: str, data: dict[str, Any]
) -> None:
    encoded = base64.b64encode(inner.encode()).decode()
    headers = ((":event-type", "chunk"), (":content-type", "application/json"), (":message-type", "event"))
    raw = message(headers, (payload % encoded).encode())
    stored = encode_body(raw, TYPE)
    assert stored["events"] == [{"event": "chunk", **data, **fields}]
    assert decode_body(stored) == raw


def test_other_headers_are_stored_beside_it() -> None:
    raw = message(
        ((":message-type", "event"), (":event-type", "Records"), (":content-type", "text/csv")), b"a,b\n1,2\n"
    )
    assert encode_body(raw, TYPE)["events"] == [
        {
            "event": "Records",
            "headers": {":message-type": "event", ":event-type": None, ":content-type": "text/csv"},
            "data": "a,b\n1,2\n",
        }
    ]


def test_what_cannot_be_read_is_kept_as_bytes() -> None:
    good, cut = event("messageStop", {"stopReason": "end_turn"}), event("metadata", {})[:20]
    assert encode_body(good + cut, TYPE)["events"][1] == {"raw_b64": base64.b64encode(cut).decode()}
    assert encode_body(cut, TYPE) == {"body_b64": base64.b64encode(cut).decode()}


def test_an_event_that_is_edited_by_hand_gets_its_checksums() -> None:
    stored = encode_body(amazon.CONVERSED[1], TYPE)
    stored["events"][0]["data"]["delta"]["text"] = "another"
    again = encode_body(decode_body(stored), TYPE)
    assert again == stored


MALFORMED = {
    "no mapping": ("x", "'events[0]' must be a mapping"),
    "unknown key": ({"evnt": "x"}, "unknown key 'evnt'"),
    "raw beside others": ({"raw_b64": "", "event": "x"}, "only key"),
    "base64": ({"raw_b64": "a"}, "not valid base64"),
    "headers": ({"headers": []}, "'headers' must be a mapping"),
    "a header": ({"headers": {"x": {"word": 1}}}, "is not a header"),
    "a number out of range": ({"headers": {"x": {"byte": 1000}}}, "is not a header"),
    "a header without a value": ({"headers": {"x": None}}, "is not a header"),
    "layout": ({"data": {}, "data_layout": "bogus"}, "data_layout"),
}


@pytest.mark.parametrize(("entry", "problem"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_event_is_named(entry: object, problem: str) -> None:
    with pytest.raises(CassetteCorruptError) as caught:
        decode_body({"events": [entry], "events_layout": "amazon"})
    assert problem in str(caught.value)
