"""Bodies are stored readably and come back byte for byte."""

from __future__ import annotations

import gzip
import json
import marshal
import zlib

import brotli
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_agenttape.bodies import (
    decode_body,
    decode_chunks,
    decode_content,
    decode_each,
    encode_body,
    encode_chunks,
    is_stream,
    normalise_multipart,
    read_event,
    split_events,
    stored_json,
)
from pytest_agenttape.errors import CassetteCorruptError

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
LINES_TYPE = "application/x-ndjson"
FORM_TYPE = "application/x-www-form-urlencoded"
CONTENT_TYPES = (
    None,
    "",
    JSON_TYPE,
    "application/problem+json",
    SSE_TYPE,
    FORM_TYPE,
    "application/x-ndjson",
    "text/html",
    "text/html; charset=latin-1",
)
VALUE = {"name": "Zoë", "list": [1, 2.5, None, True, {}, []], "deep": {"a": {"b": "c/d <&>"}}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
json_layouts = st.builds(
    dict,
    ensure_ascii=st.booleans(),
    indent=st.sampled_from([None, None, 0, 1, 2, 4, "\t"]),
    separators=st.sampled_from([(",", ":"), (", ", ": "), (",", ": ")]),
)
STREAM_PIECES = (
    b"data:", b"event:", b"id: 1", b": ping", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"[DONE]",
    b"retry: 10", b"x", b'{"a":1}', b'{"a": 1}', b'{"a":1  }', b'{"a":"\\u00e9"}', b'{"a":"\\u003c"}', b"\xef\xbb\xbf",
)  # fmt: skip
sse_bytes = st.lists(st.sampled_from(STREAM_PIECES), max_size=25).map(b"".join)


@pytest.mark.parametrize(
    ("charset", "stored"),
    [
        ("ISO-8859-1", {"text": "Zoë\n", "charset": "iso-8859-1"}),
        ('"windows-1252"', {"text": "Zoë\n", "charset": "windows-1252"}),
        ("utf-16", None),
        ("base64", None),
        ("no-such", None),
    ],
)
def test_a_text_in_an_encoding_that_is_declared_is_readable(charset: str, stored: object) -> None:
    raw, content_type = "Zoë\n".encode("latin-1"), f"text/html; charset={charset}"
    assert encode_body(raw, content_type) == (stored or encode_body(raw, None))
    assert b"".join(decode_chunks(encode_body(raw, content_type), content_type)) == raw


def test_a_charset_that_nobody_knows_is_a_corrupt_cassette() -> None:
    with pytest.raises(CassetteCorruptError, match="unknown encoding: no-such"):
        decode_body({"text": "x", "charset": "no-such"})


@given(raw=st.binary() | st.text().map(str.encode) | sse_bytes, content_type=st.sampled_from(CONTENT_TYPES))
@example(raw=b'{"a":1,"a":2}', content_type=JSON_TYPE)
@example(raw=b"-0", content_type=None)
@example(raw=b"1e400", content_type=JSON_TYPE)
@example(raw=b"\xef\xbb\xbf{}", content_type=JSON_TYPE)
@example(raw=b'["\\ud800"]', content_type=JSON_TYPE)
@example(raw=b'data: ["\\ud800"]\n\n', content_type=SSE_TYPE)
@example(raw=b"[" * 100_000, content_type=JSON_TYPE)
@example(raw=b"[" * 100 + b"]" * 100, content_type=JSON_TYPE)
@example(raw=b"1" * 5000, content_type=JSON_TYPE)
@example(raw=b"a=1&b=2&a=3", content_type=FORM_TYPE)
@example(raw=b"a=%ff&b", content_type=FORM_TYPE)
def test_any_body_comes_back_byte_for_byte(raw, content_type):
    stored = encode_body(raw, content_type)
    assert decode_body(stored) == raw
    assert b"".join(decode_chunks(stored, content_type)) == raw


@given(value=json_values, layout=json_layouts, data=st.data())
def test_any_json_in_any_layout_comes_back_byte_for_byte(value, layout, data):
    text = json.dumps(value, **layout)
    raw = data.draw(st.sampled_from([text, text + "\n", "\n  " + text, text.replace("\n", "\r\n")])).encode(
        "utf-8", "surrogatepass"
    )
    assert decode_body(encode_body(raw, JSON_TYPE)) == raw


@given(value=json_values, other=json_values, layout=json_layouts, is_expected=st.booleans())
@example(value={"a": 1.0, "b": True}, other={"a": 1, "b": 1}, layout={"separators": (",", ":")}, is_expected=False)
@example(value={"b": 1, "a": 2}, other={"a": 2, "b": 1}, layout={}, is_expected=False)
@example(value={"1": float("nan")}, other={}, layout={"separators": (",", ":")}, is_expected=True)
@example(value=["a, b"], other=[], layout={}, is_expected=True)
@example(value=["\ud83d\ude00"], other=["\U0001f600"], layout={"separators": (",", ":")}, is_expected=False)
@example(value=json.loads("[" * 65 + "]" * 65), other=[], layout={}, is_expected=True)
def test_a_body_that_was_expected_is_stored_as_any_other(value, other, layout, is_expected):
    raw = json.dumps(value, **layout).encode("utf-8", "surrogatepass")
    likely = value if is_expected else other
    stored, parsed = encode_body(raw, JSON_TYPE, likely), encode_body(raw, JSON_TYPE)
    assert marshal.dumps(stored, 0) == marshal.dumps(parsed, 0)  # to the last type, and in the same order


@pytest.mark.parametrize("layout", [{"separators": (",", ":"), "ensure_ascii": False}, {}], ids=["httpx", "requests"])
def test_a_body_that_is_what_was_expected_is_not_parsed(layout):
    likely = {"name": "Zoe", "list": [1, 2.5, None, True, {}, "two\nlines"]}
    assert encode_body(json.dumps(likely, **layout).encode(), JSON_TYPE, likely)["json"] is likely
    assert (
        encode_body(json.dumps({**likely, "name": "Zoë"}, **layout).encode(), JSON_TYPE, likely)["json"] is not likely
    )


@given(value=json_values, layout=json_layouts)
def test_what_is_stored_is_free_of_lone_surrogates(value, layout):
    stored = encode_body(json.dumps(value, **layout).encode("utf-8", "surrogatepass"), JSON_TYPE)
    json.dumps(stored, ensure_ascii=False).encode()


LAYOUTS = {
    "compact": (b'{"a":[1,"x"]}', None),
    "spaced": (b'{"a": [1, "x"]}', "spaced"),
    "spaced keys": (b'{"a": [1,"x"]}', "spaced-keys"),
    "trailing newline": (b'{"a":[1,"x"]}\n', r"after=\n"),
    "keep-alive whitespace before": (b'\n   {"a":[1,"x"]}', r"before=\n\s\s\s"),
    "padded": (b'{"a":[1,"x"]   }', "pad=3"),
    "indent 1": (b'{\n "a": [\n  1,\n  "x"\n ]\n}', "indent=1"),
    "indent 2, newline": (b'{\n  "a": [\n    1,\n    "x"\n  ]\n}\n', r"indent=2 after=\n"),
    "indent 4": (b'{\n    "a": [\n        1,\n        "x"\n    ]\n}', "indent=4"),
    "tab": (b'{\n\t"a": [\n\t\t1,\n\t\t"x"\n\t]\n}', "tab"),
    "crlf": (b'{\r\n  "a": [\r\n    1,\r\n    "x"\r\n  ]\r\n}', "indent=2 crlf"),
}


@pytest.mark.parametrize(("raw", "hint"), LAYOUTS.values(), ids=LAYOUTS)
def test_json_is_stored_decoded_with_its_layout_as_a_hint(raw, hint):
    expected = {"json": {"a": [1, "x"]}} | ({"json_layout": hint} if hint else {})
    assert encode_body(raw, JSON_TYPE) == expected
    assert decode_body(expected) == raw


SPELLINGS = {
    "ascii": (rb'{"a":"caf\u00e9 \ud83d\ude00"}', {"a": "café 😀"}, "ascii"),
    "upper-case hex": (rb'{"a":"caf\u00E9"}', {"a": "café"}, "ascii upper"),
    "html-safe": (rb'{"a":"\u003cb\u003e \u0026"}', {"a": "<b> &"}, "escape=0026,003c,003e"),
    "escaped quote and newline": (rb'{"a":"\u0022\u000a\\u0022"}', {"a": '"\n\\u0022'}, "escape=000a,0022"),
    "escaped slash": (rb'{"a":"x\/y"}', {"a": "x/y"}, "slash"),
    "long float": (b'{"a":-0.0059414530793825788}', {"a": -0.005941453079382579}, "numbers=-0.0059414530793825788"),
    "exponent": (b'{"a":1e5,"b":"1e5"}', {"a": 100000.0, "b": "1e5"}, "numbers=1e5"),
    "nan": (b'{"a":Infinity}', {"a": float("inf")}, None),
    "big int": (b'{"a":123456789012345678901234567890}', {"a": 123456789012345678901234567890}, None),
}


@pytest.mark.parametrize(("raw", "value", "hint"), SPELLINGS.values(), ids=SPELLINGS)
def test_unusual_spellings_of_json_stay_readable(raw, value, hint):
    stored = encode_body(raw, JSON_TYPE)
    assert stored == {"json": value} | ({"json_layout": hint} if hint else {})
    assert decode_body(stored) == raw


FORMS_OF_BODIES = {
    "empty": (b"", JSON_TYPE, {}),
    "json suffix": (b"[1]", "application/problem+json; charset=utf-8", {"json": [1]}),
    "json without a type": (b'{"a":1}', None, {"json": {"a": 1}}),
    "json null": (b"null", JSON_TYPE, {"json": None}),
    "json under a text type": (b'{"a":1}', "text/plain", {"text": '{"a":1}'}),
    "duplicate keys": (b'{"a":1,"a":2}', JSON_TYPE, {"text": '{"a":1,"a":2}'}),
    "minus zero": (b"[-0,0]", JSON_TYPE, {"text": "[-0,0]"}),
    "lone surrogate": (rb'["\ud800"]', JSON_TYPE, {"text": r'["\ud800"]'}),
    "no json": (b"<html>", JSON_TYPE, {"text": "<html>"}),
    "form": (b"a=1&b=x+y&a=&c=%C3%A9", FORM_TYPE, {"text": "a=1&b=x+y&a=&c=%C3%A9"}),
    "form in order": (b"a=1&a=&b=x+y&c=%C3%A9", FORM_TYPE, {"form": {"a": ["1", ""], "b": "x y", "c": "é"}}),
    "lines of prose": (b"Bad gateway\n", LINES_TYPE, {"text": "Bad gateway\n"}),
    "pretty json under a type of lines": (b'{\n"a": 1\n}\n', LINES_TYPE, {"text": '{\n"a": 1\n}\n'}),
    "terminal colours": (b"\x1b[1mhi\r\n\t", "text/plain", {"text": "\x1b[1mhi\r\n\t"}),
    "NUL in text": (b"a\0b", "text/plain", {"body_b64": "YQBi"}),
    "bytes": (b"\xff\xfe", "image/png", {"body_b64": "//4="}),
    "json error under a stream type": (b'{"error":1}', SSE_TYPE, {"json": {"error": 1}}),
    "prose under a stream type": (b"Bad gateway", SSE_TYPE, {"text": "Bad gateway"}),
}


@pytest.mark.parametrize(("raw", "content_type", "stored"), FORMS_OF_BODIES.values(), ids=FORMS_OF_BODIES)
def test_a_body_has_its_most_readable_form(raw, content_type, stored):
    assert encode_body(raw, content_type) == stored
    assert decode_body(stored) == raw


STREAMS = {
    "openai": (
        b'data: {"a":1}\n\ndata: [DONE]\n\n',
        {"events": [{"data": {"a": 1}}, {"data": "[DONE]"}]},
    ),
    "anthropic": (
        b'event: start\ndata: {"type":"start","n":1      }\n\n'
        + b'event: ping\ndata: {"type": "ping"}\n\nevent: stop\ndata: {"type":"stop","reason":"end"}\n\n',
        {
            "events": [
                {"event": "start", "data": {"type": "start", "n": 1}, "data_layout": "pad=6"},
                {"event": "ping", "data": {"type": "ping"}, "data_layout": "spaced"},
                {"event": "stop", "data": {"type": "stop", "reason": "end"}},
            ]
        },
    ),
    "gemini": (
        b'data: {"a": "\\u003c","b": 1}\r\n\r\ndata: {"c": 1}\r\n\r\n',
        {"events": [{"data": {"a": "<", "b": 1}}, {"data": {"c": 1}}], "events_layout": "crlf spaced-keys escape=003c"},
    ),
    "mcp": (
        b': ping - 1\r\n\r\nid: 7\r\nevent: message\r\nretry: 10\r\ndata: {"id":0}\r\n\r\n',
        {
            "events": [{"comment": "ping - 1"}, {"id": "7", "event": "message", "retry": 10, "data": {"id": 0}}],
            "events_layout": "crlf",
        },
    ),
    "tight": (b'data:{"a":1}\n\ndata:x\n\n', {"events": [{"data": {"a": 1}}, {"data": "x"}], "events_layout": "tight"}),
    "lone CR": (b"data: x\r\rdata: y\r\r", {"events": [{"data": "x"}, {"data": "y"}], "events_layout": "cr"}),
    "several data lines": (b"data: a\ndata: b\n\n", {"events": [{"data": "a\nb"}]}),
    "no blank line at the end": (b"data: a\n\ndata: b\n", {"events": [{"data": "a"}, {"raw": "data: b\n"}]}),
    "cut inside an event": (b'data: a\n\ndata: {"b', {"events": [{"data": "a"}, {"raw": 'data: {"b'}]}),
    "unknown field": (b"data: a\n\nx: y\n\n", {"events": [{"data": "a"}, {"raw": "x: y\n\n"}]}),
    "byte order mark": (
        b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        {"events": [{"raw": "\ufeffdata: a\n\n"}, {"data": "b"}]},
    ),
}


@pytest.mark.parametrize(("raw", "stored"), STREAMS.values(), ids=STREAMS)
def test_an_event_stream_has_one_entry_per_event(raw, stored):
    assert encode_body(raw, SSE_TYPE) == stored
    assert decode_body(stored) == raw
    assert len(decode_chunks(stored, SSE_TYPE)) == len(stored["events"])


def test_an_event_stream_is_seen_without_a_content_type():
    assert encode_body(b"data: x\n\n", None) == {"events": [{"data": "x"}]}


@given(raw=sse_bytes, cut=st.integers(min_value=0))
def test_splitting_does_not_depend_on_what_follows(raw, cut):
    head = raw[: cut % (len(raw) + 1)]
    events = split_events(head)
    # The last piece can still grow: a CR by its LF, a tail by the rest of its event.
    assert split_events(raw)[: max(len(events) - 1, 0)] == events[:-1]
    assert b"".join(split_events(raw)) == raw


def test_splitting_takes_linear_time():
    assert len(split_events(b"data: x\n" * 200_000)) == 1
    assert len(split_events(b"\n" * 200_000)) == 200_000


LINES = {
    "ollama": (
        b'{"model":"m","done":false}\n{"model":"m","done":true}\n',
        {
            "events": [{"data": {"model": "m", "done": False}}, {"data": {"model": "m", "done": True}}],
            "events_layout": "ndjson",
        },
    ),
    "escaped as Go does": (
        b'{"a":"\\u003cb\\u003e"}\n{"a":1}\n',
        {"events": [{"data": {"a": "<b>"}}, {"data": {"a": 1}}], "events_layout": "ndjson escape=003c,003e"},
    ),
    "spaced": (
        b'{"a": 1}\n{"b":2}\n',
        {
            "events": [{"data": {"a": 1}}, {"data": {"b": 2}, "data_layout": "compact"}],
            "events_layout": "ndjson spaced",
        },
    ),
    "crlf": (
        b'{"a":1}\r\n{"b":2}\r\n',
        {"events": [{"data": {"a": 1}}, {"data": {"b": 2}}], "events_layout": "ndjson crlf"},
    ),
    "no end": (
        b'{"a":1}\n{"b":2}',
        {"events": [{"data": {"a": 1}}, {"data": {"b": 2}}], "events_layout": "ndjson unended"},
    ),
    "cut": (b'{"a":1}\n{"b', {"events": [{"data": {"a": 1}}, {"data": '{"b'}], "events_layout": "ndjson unended"}),
    "blank lines": (
        b'\n{"a":1}\n\n',
        {"events": [{"data": ""}, {"data": {"a": 1}}, {"data": ""}], "events_layout": "ndjson"},
    ),
    "duplicate keys": (
        b'{"a":1,"a":2}\n[1]\n',
        {"events": [{"data": '{"a":1,"a":2}'}, {"data": [1]}], "events_layout": "ndjson"},
    ),
}


@pytest.mark.parametrize(("raw", "stored"), LINES.values(), ids=LINES)
def test_ndjson_has_one_entry_per_line(raw, stored):
    assert encode_body(raw, LINES_TYPE) == stored
    assert encode_body(raw, "application/vnd.elasticsearch+x-ndjson; compatible-with=8") == stored
    assert decode_body(stored) == raw
    assert decode_chunks(stored, LINES_TYPE) == tuple(raw.splitlines(keepends=True))


def test_documents_in_bulk_are_a_text_which_can_be_a_file_of_its_own():
    raw = b'{"a":1}\n' * 200_000
    assert encode_body(raw, LINES_TYPE) == {"text": raw.decode()}


LINE_PIECES = (
    *(b'{"a":1}', b'{"a": 1}', b'{"a":"\\u003c"}', b'{"a":"\\u00e9"}', b'["\\ud800"]', b"[1e5]", b"x", b'"x"', b" "),
    *(b"\n", b"\r\n", b"\n\n", b"\r", b"\xef\xbb\xbf", b'{"a', "\x85\u2028".encode()),
)


@given(raw=st.lists(st.sampled_from(LINE_PIECES), max_size=25).map(b"".join))
def test_any_ndjson_comes_back_byte_for_byte(raw):
    stored = encode_body(raw, LINES_TYPE)
    assert decode_body(stored) == raw
    if "events" in stored:
        assert all(each.count(b"\n") <= 1 for each in decode_chunks(stored, LINES_TYPE))


def test_ndjson_that_is_kept_as_text_is_replayed_line_by_line():
    stored = {"text": '{"a":1}\r\n{"b":2}\n{"c'}
    assert decode_chunks(stored, "application/x-ndjson; charset=utf-8") == (b'{"a":1}\r\n', b'{"b":2}\n', b'{"c')
    assert decode_chunks(stored, "text/plain") == (b'{"a":1}\r\n{"b":2}\n{"c',)


EVENTS_READ = {
    "json": ({"event": "x", "data": {"a": 1}}, ("x", {"a": 1})),
    "word": ({"data": "[DONE]"}, (None, "[DONE]")),
    "json kept as text": ({"data": '{"a": 1e5}'}, (None, {"a": 100000.0})),
    "raw": ({"raw": '\ufeffevent:x\r\nfoo: y\r\ndata: {"a":\r\ndata:1}\r\n'}, ("x", {"a": 1})),
    "comment": ({"comment": "ping"}, (None, None)),
    "no mapping": ("x", (None, None)),
}


@pytest.mark.parametrize(("entry", "expected"), EVENTS_READ.values(), ids=EVENTS_READ)
def test_the_data_of_an_event_can_be_read_in_any_form(entry, expected):
    assert read_event(entry) == expected


MALFORMED = {
    "two forms": ({"json": 1, "text": ""}, "one form, found 'json' and 'text'"),
    "base64": ({"body_b64": "a"}, "'body_b64' is not valid base64"),
    "base64 type": ({"body_b64": 3}, "'body_b64' must be base64 text, found int"),
    "text type": ({"text": 3}, "'text' must be text, found int"),
    "unknown layout": ({"json": 1, "json_layout": "wide"}, "'json_layout': unknown word 'wide'; valid: after"),
    "layout argument": ({"json": 1, "json_layout": "indent=x"}, "'json_layout': expected a whole number, found 'x'"),
    "layout escape": ({"json": 1, "json_layout": "escape=fffff"}, "expected four hexadecimal digits"),
    "layout edge": ({"json": 1, "json_layout": "after=x"}, r"expected \\s \\t \\n \\r only"),
    "layout number": ({"json": 1, "json_layout": "numbers=x"}, "'json_layout': could not convert"),
    "layout type": ({"json": 1, "json_layout": 2}, "'json_layout' must be text, found int"),
    "no json value": ({"json": {1, 2}}, "'json' holds a value that JSON does not have"),
    "lone surrogate": ({"json": "\ud800"}, "'json' holds a character that is not valid in text"),
    "form": ({"form": "a=1"}, "'form' must be a mapping, found str"),
    "form value": ({"form": {"a": 1}}, "'form': 'a' must be text or a list of texts"),
    "events": ({"events": {"data": 1}}, "'events' must be a list, found dict"),
    "event": ({"events": ["x"]}, r"'events\[0\]' must be a mapping, found str"),
    "event key": ({"events": [{"dta": "x"}]}, r"'events\[0\]': unknown key 'dta'; valid: comment"),
    "event name": ({"events": [{"event": [1]}]}, r"'events\[0\].event' must be text, found list"),
    "event layout": (
        {"events": [{"data": {}, "data_layout": "wide"}]},
        r"'events\[0\].data_layout': unknown word 'wide'",
    ),
    "raw and more": ({"events": [{"raw": "x", "data": "y"}]}, r"'events\[0\]': 'raw' must be text and the only key"),
    "line": ({"events": ["x"], "events_layout": "ndjson"}, r"'events\[0\]' must be a mapping with the keys data"),
    "event in lines": ({"events": [{"event": "x"}], "events_layout": "ndjson"}, r"'events\[0\]' must be a mapping"),
    "lines layout": ({"events": [], "events_layout": "ndjson wide"}, "'events_layout': unknown word 'wide'"),
    "stream layout": ({"events": [], "events_layout": "wide"}, "'events_layout': unknown word 'wide'"),
}


@pytest.mark.parametrize(("stored", "message"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_hand_edit_is_named(stored, message):
    with pytest.raises(CassetteCorruptError, match=message):
        decode_body(stored)


def test_a_value_that_contains_itself_is_named():
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(CassetteCorruptError, match="'json' holds a value that JSON does not have"):
        decode_body({"json": loop})


def test_other_keys_of_a_response_are_ignored():
    assert decode_body({"status": 200, "headers": {}, "text": "x", "complete": False}) == b"x"
    assert decode_body({"status": 204, "headers": {}}) == b""
    assert decode_chunks({"status": 204}) == ()


@pytest.mark.parametrize("stored", [{"json": {"a": 1.0}}, {"text": '{"a": 1.0}'}], ids=["json", "text"])
def test_json_can_be_read_from_a_stored_body(stored):
    assert stored_json(stored) == {"a": 1.0}


def test_a_body_that_is_no_json_reads_as_none():
    assert stored_json({"text": "x"}) is None
    assert stored_json({}) is None


RAW_DEFLATE = zlib.compressobj(wbits=-15)
ENCODINGS = {
    "identity": ("identity", b"hello"),
    "gzip": ("gzip", gzip.compress(b"hello")),
    "x-gzip": ("X-GZip", gzip.compress(b"hello")),
    "two gzip members": ("gzip", gzip.compress(b"hel") + gzip.compress(b"lo") + b"\0\0"),
    "deflate": ("deflate", zlib.compress(b"hello")),
    "deflate without its wrapper": ("deflate", RAW_DEFLATE.compress(b"hello") + RAW_DEFLATE.flush()),
    "br": ("br", brotli.compress(b"hello")),
    "several": ("gzip, br", brotli.compress(gzip.compress(b"hello"))),
}


@pytest.mark.parametrize(("encoding", "raw"), ENCODINGS.values(), ids=ENCODINGS)
def test_content_encodings_are_undone(encoding, raw):
    assert decode_content(raw, encoding) == b"hello"
    assert decode_content(b"", encoding) == b""


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "two gzip members", "several"])
def test_a_damaged_or_truncated_encoding_is_a_value_error(name):
    encoding, raw = ENCODINGS[name]
    with pytest.raises(ValueError, match="the body is not a complete"):
        decode_content(raw[:-5], encoding)
    with pytest.raises(ValueError, match="the body is not a complete"):
        decode_content(b"\x00plain", encoding)


def test_an_unknown_encoding_is_a_value_error():
    with pytest.raises(ValueError, match="unknown content encoding 'snappy'"):
        decode_content(b"x", "snappy")


def test_an_encoding_without_its_library_is_a_value_error(monkeypatch):
    for name in ("compression.zstd", "backports.zstd", "zstandard"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(ValueError, match="'zstd' needs an optional package: install zstandard"):
        decode_content(b"x", "zstd")


def multipart(boundary: str) -> bytes:
    head = 'Content-Disposition: form-data; name="a"'
    return f"--{boundary}\r\n{head}\r\n\r\nsays --{boundary} inside\r\n--{boundary}--\r\n".encode()


@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "quoted"])
def test_multipart_bodies_that_differ_in_their_boundary_are_equal(quote):
    one, two = (
        normalise_multipart(multipart(b), f"multipart/form-data; Boundary={quote}{b}{quote}; x=y")
        for b in ("a.b", "c+d")
    )
    assert one[1] == two[1] == "multipart/form-data; Boundary=boundary; x=y"
    assert one[0] == multipart("boundary").replace(b"says --boundary", b"says --a.b")
    assert two[0] == multipart("boundary").replace(b"says --boundary", b"says --c+d")


@pytest.mark.parametrize("content_type", ["text/plain; boundary=x", ""])
def test_other_bodies_keep_their_bytes(content_type):
    assert normalise_multipart(multipart("x"), content_type) == (multipart("x"), content_type)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/event-stream; charset=utf-8", True),
        ("Application/X-NDJSON", True),
        ("application/vnd.amazon.eventstream", True),
        ("application/json", False),
        (None, False),
    ],
)
def test_streams_are_told_by_their_type(content_type, expected):
    assert is_stream(content_type) is expected


CHUNKS = {
    "text": ("text/plain", [b"It ", b"\xc2", b"\xb0", b"C"]),
    "json": (JSON_TYPE, [b'{ "a":', b" 1}"]),
    "other lines in one chunk": (LINES_TYPE, [b"one\ntwo\n"]),
    "lines in one chunk": (LINES_TYPE, [b'{"n":0}\n{"n":1}\n']),
    "binary": ("audio/mpeg", [b"\xff", b"\0\xfe"]),
    "json in place of events": (SSE_TYPE, [b'{"err', b'or":1}']),
}


@pytest.mark.parametrize(("content_type", "chunks"), CHUNKS.values(), ids=CHUNKS)
def test_the_chunks_of_a_body_are_kept(content_type, chunks):
    stored = encode_chunks([chunks[0], b"", *chunks[1:]], content_type)
    assert stored["chunk_bytes"] == [len(each) for each in chunks]
    assert decode_chunks(stored, content_type) == tuple(chunks)
    assert decode_body(stored) == b"".join(chunks)


@pytest.mark.parametrize(
    ("content_type", "chunks"),
    [
        (JSON_TYPE, [b'{"a":1}']),
        (SSE_TYPE, [b"data: 1\n", b"\ndata: 2\n\n"]),
        (LINES_TYPE, [b'{"n":0}\n', b'{"n":1}\n']),
    ],
    ids=["one", "events", "lines"],
)
def test_chunks_that_follow_from_the_body_are_not_stored(content_type, chunks):
    assert "chunk_bytes" not in encode_chunks(chunks, content_type)


def test_a_body_that_was_edited_comes_in_one_piece():
    assert decode_chunks({"text": "edited", "chunk_bytes": [2, 3]}, "text/plain") == (b"edited",)


@pytest.mark.parametrize("sizes", ["2 3", [2, "3"], [2, 0], [True]])
def test_sizes_of_chunks_that_are_none_are_refused(sizes):
    with pytest.raises(CassetteCorruptError, match="'chunk_bytes' must be a list of whole numbers above zero"):
        decode_chunks({"text": "edited", "chunk_bytes": sizes}, "text/plain")


@pytest.mark.parametrize("name", [name for name in ENCODINGS if name not in ("identity", "several")])
def test_a_content_encoding_is_undone_chunk_by_chunk(name):
    encoding, raw = ENCODINGS[name]
    pieces = decode_each([raw[at : at + 1] for at in range(len(raw))], encoding)
    assert len(pieces) == len(raw)
    assert b"".join(pieces) == b"hello"
    assert decode_each([raw[:-1]], encoding)[0] in (b"hello", b"hell", b"hel", b"")


@pytest.mark.parametrize("odd", [b'data: "\xff"\n\n', b"data: \0\n\n"], ids=["no text", "a control character"])
def test_an_event_that_nobody_can_read_leaves_the_others_readable(odd):
    raw = b'data: {"a":1}\n\n' + odd + b'event: end\ndata: {"a":2}\n\n'
    stored = encode_body(raw, SSE_TYPE)
    assert stored["events"][0] == {"data": {"a": 1}}
    assert stored["events"][1].keys() == {"raw_b64"}
    assert stored["events"][2] == {"event": "end", "data": {"a": 2}}
    assert decode_chunks(stored, SSE_TYPE) == split_events(raw)
    assert read_event(stored["events"][1])[1] in ('"\ufffd"', "\0")


def test_an_unreadable_event_is_the_only_key_of_its_entry():
    with pytest.raises(CassetteCorruptError, match=r"'events\[0\]': 'raw_b64' must be the only key"):
        decode_body({"events": [{"raw_b64": "AA==", "event": "x"}]})
    with pytest.raises(CassetteCorruptError, match=r"'events\[0\].raw_b64' is not valid base64"):
        decode_body({"events": [{"raw_b64": "%"}]})
