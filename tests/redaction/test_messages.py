"""A whole HTTP message, or a whole recording, is redacted in one call, from its stored form alone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_agenttape.bodies import decode_chunks, encode_body, encode_chunks
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.redaction import RedactionRules, Redactor

KEY = "sk-proj-" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY"
OPAQUE = "q8Zr5tXw2LmN7vBc9dFg"  # a secret only by its name
URL = "https://api.example/v1"


def redactor(**rules: JSON) -> Redactor:
    return Redactor(RedactionRules(**rules))


def request(**parts: JSON) -> dict[str, JSON]:
    return {"method": "POST", "url": URL, "headers": {}, **parts}


PARTS: dict[str, Callable[[str], dict[str, JSON]]] = {
    "header": lambda secret: {"headers": {"Authorization": f"Bearer {secret}"}},
    "repeated header": lambda secret: {"headers": {"Set-Cookie": [f"a={secret}; Path=/", "b="]}},
    "url": lambda secret: {"url": f"{URL}?api_key={secret}"},
    "json": lambda secret: {"json": {"api_key": secret}},
    "form": lambda secret: {"form": {"client_secret": secret}},
    "events": lambda secret: {"events": [{"data": {"api_key": secret}}]},
    "text of a form": lambda secret: {
        "headers": {"content-type": "application/x-www-form-urlencoded"},
        "text": f"a=%7E&api_key={secret}",
    },
    "text in parts": lambda secret: {
        "headers": {"Content-Type": ["multipart/form-data; boundary=b"]},
        "text": f'--b\r\nContent-Disposition: form-data; name="password"\r\n\r\n{secret}\r\n--b--\r\n',
    },
    "error of a stream": lambda secret: {"stream_error": {"type": "E", "message": f"api_key={secret}"}},
    "reason": lambda secret: {"reason": f"no api_key={secret}"},
    "sent through a WebSocket": lambda secret: {"messages": [{"sent": {"api_key": secret}}]},
    "received through a WebSocket": lambda secret: {"messages": [{"received": {"api_key": secret}, "frame": "binary"}]},
}


@pytest.mark.parametrize("secret", [KEY, OPAQUE], ids=["by format", "by name"])
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_a_secret_in_any_part_of_a_message_goes(part: Callable[[str], dict[str, JSON]], secret: str) -> None:
    stored = request(**part(secret))
    asked = redactor().request(stored)
    answered = redactor().response(stored, {"url": URL})
    assert asked == answered == json.loads(json.dumps(stored).replace(secret, "REDACTED0001"))
    assert redactor().request(asked) is asked


def test_a_secret_that_comes_through_a_websocket_in_pieces_goes() -> None:
    def piece(text: str) -> dict[str, JSON]:
        return {"received": {"type": "response.output_text.delta", "item_id": "i", "delta": text}}

    messages = [piece("the key is sk-pro"), {"sent": {"type": "x"}}, piece(KEY[6:20]), piece(f"{KEY[20:]} now")]
    [first, between, *rest] = redactor().response({"messages": messages}, {"url": URL})["messages"]
    said = "".join(each["received"]["delta"] for each in (first, *rest))
    assert (said, between) == ("the key is REDACTED0001 now", {"sent": {"type": "x"}})


def test_a_credential_of_a_header_is_known_in_the_rest_of_the_message() -> None:
    subject = redactor()
    stored = request(url=f"{URL}/{OPAQUE}", headers={"x-api-key": OPAQUE}, json={"note": OPAQUE})
    assert OPAQUE not in str(subject.request(stored))
    assert subject.text(OPAQUE) == "REDACTED0001"


def test_the_same_headers_are_redacted_alike_each_time_and_never_shared() -> None:
    subject = redactor()
    stored = request(headers={"x-api-key": OPAQUE, "set-cookie": ["a=b", "c=d"]})
    first, second = subject.request(stored), subject.request(stored)
    assert first == second
    first["headers"]["x-api-key"] = first["headers"]["set-cookie"][0] = "changed"
    assert subject.request(stored) == second


BOT, BOT_AGAIN, USER = "Zq8hT4vRm8KpXz2Wn-1764", "Yt3Hn8Rw2Kc9Qz5LxV-1765", "n7Bm2vX9cL4kJ8hG5fD"


def test_the_cookies_of_a_network_have_one_placeholder_for_each_name() -> None:
    subject = redactor()
    for value in (BOT, BOT_AGAIN):
        answer = {"headers": {"set-cookie": [f"__cf_bm={value}; path=/", f"sid=of-{value}", f"_cfuvid={USER}"]}}
        stored = subject.response(answer, {"url": URL})["headers"]["set-cookie"]
        assert (stored[0], stored[2]) == ("__cf_bm=REDACTED0001; path=/", "_cfuvid=REDACTED0003")
    assert stored[1] == "sid=REDACTED0004"
    asked = subject.request(
        request(headers={"Cookie": f"a=b; __cf_bm={BOT_AGAIN}"}, json=f"sent {BOT_AGAIN} and {BOT}")
    )
    assert asked["headers"]["Cookie"].endswith("; __cf_bm=REDACTED0001")
    assert asked["json"] == "sent REDACTED0001 and REDACTED0001"
    assert len(subject.scan(f"{BOT}\n{BOT_AGAIN}")) == 2
    assert subject.shapes() == {"0002": "[A-Za-z0-9]{25}", "0004": "[A-Za-z0-9]{26}"}


@pytest.mark.parametrize(("listed", "number"), [({"REDACTED0007"}, "0007"), (set[str](), "0008")], ids=["yes", "text"])
def test_a_new_cookie_of_a_network_takes_the_placeholder_that_is_kept(listed: set[str], number: str) -> None:
    kept = repr({"headers": {"set-cookie": "__cf_bm=REDACTED0007; path=/"}})
    subject = Redactor(RedactionRules(), taken=[kept], issued=listed)
    answer = subject.response({"headers": {"set-cookie": f"__cf_bm={BOT}"}}, {"url": URL})
    assert answer["headers"]["set-cookie"] == f"__cf_bm=REDACTED{number}"


def test_a_number_in_a_header_stays_unless_it_is_a_credential() -> None:
    stored = request(headers={"x-count": 5, "x-api-key": 1234567890, 7: "seven"})
    assert redactor().request(stored)["headers"] == {"x-count": 5, "x-api-key": "REDACTED0001", 7: "seven"}


@pytest.mark.parametrize("headers", [None, 5, [["Authorization", f"Bearer {OPAQUE}"]]], ids=str)
def test_headers_that_someone_edited_are_redacted_as_plain_data(headers: JSON) -> None:
    clean = redactor().request(request(headers=headers, url=None))
    assert OPAQUE not in str(clean)
    assert type(clean["headers"]) is type(headers)


def test_the_answer_of_a_tool_is_no_message() -> None:
    answer = {"status": 200, "headers": {"x-signature": "abc"}}
    assert redactor().response(answer, {"args": {}}) is answer
    assert redactor().response(answer, {"url": URL})["headers"] == {"x-signature": "REDACTED0001"}


@settings(max_examples=100)
@given(raw=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_a_message_without_secrets_is_the_same_object(raw: bytes) -> None:
    stored = request(headers={"content-type": "application/json", "accept": ["a", "b"]}, **encode_body(raw, None))
    assert redactor().request(stored) is stored


def recording(**fields: JSON) -> Interaction:
    return Interaction(**{"index": 0, "kind": "tool", "request": {"args": {}}, **fields})


RECORDINGS = {
    "request": recording(request={"args": {"api_key": OPAQUE}}),
    "response": recording(response={"note": KEY}),
    "error": recording(error={"type": "E", "message": f"bad {KEY}"}),
    "metadata": recording(metadata={"unplayable": f"response is only the repr of an object, '<A {KEY}>'"}),
    "tags": recording(tags=(KEY,)),
    "boundary": recording(boundary=KEY),
    "http request": recording(kind="http", request=request(headers={"Authorization": f"Bearer {OPAQUE}"})),
    "http response": recording(
        kind="http", request=request(), response={"status": 200, "headers": {"set-cookie": f"a={OPAQUE}"}}
    ),
    "learned later": recording(kind="http", request=request(json=OPAQUE), response={"json": {"api_key": OPAQUE}}),
}


@pytest.mark.parametrize("recorded", RECORDINGS.values(), ids=RECORDINGS)
def test_a_secret_in_any_part_of_a_recording_goes(recorded: Interaction) -> None:
    subject = redactor()
    clean = subject.interaction(recorded)
    assert not {secret for secret in (KEY, OPAQUE) if secret in str(clean)}
    assert "REDACTED0001" in str(clean)
    assert subject.interaction(clean) is clean
    assert redactor(enabled=False).interaction(recorded) is recorded


def test_what_counts_tokens_stays() -> None:
    recorded = recording(usage={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}, latency_ms=1.5)
    assert redactor().interaction(recorded) is recorded


def test_a_message_that_is_nested_too_deeply_is_refused() -> None:
    deep: JSON = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RecordingRefusedError, match="nested too deeply"):
        redactor().request(request(json=deep))


def test_content_length_does_not_tell_how_long_a_secret_was() -> None:
    redactor = Redactor(RedactionRules())

    def sent(password: str) -> dict[str, JSON]:
        body = {"password": password}
        length = str(len(json.dumps(body, separators=(",", ":"))))
        return redactor.request({"url": "https://h.example/", "headers": {"Content-Length": length}, "json": body})

    assert sent("tr0ub4dor&3-and-more")["headers"] == sent("hunter22")["headers"] == {"Content-Length": "27"}
    assert sent("none")["headers"] == {"Content-Length": "19"}


def test_chunks_end_where_they_ended_when_a_secret_is_taken_out():
    chunks = [b"The ", b"key is " + KEY[:9].encode(), KEY[9:].encode() + b" for", b" now."]
    stored = {"status": 200, "headers": {}, **encode_chunks(chunks, "text/plain")}
    redacted = redactor().response(stored, request())
    assert redacted["text"] == "The key is REDACTED0001 for now."
    assert decode_chunks(redacted, "text/plain") == (b"The ", b"key is REDACTED0001", b" for", b" now.")
