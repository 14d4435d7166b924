"""What is no change: a recording that differs in what was made up anew leaves the file as it is."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.model import JSON, Interaction

PORT = 40001


def call(index: int, request: JSON, response: JSON, *, kind: str = "llm", url: str = "/v1/chat/completions") -> Any:
    asked = {
        "method": "POST",
        "url": f"http://127.0.0.1:{PORT}{url}",
        "headers": {"x-request-id": "a"},
        "json": request,
    }
    headers = {"date": "Monday", "content-type": "application/json", "x-ratelimit-remaining-tokens": "9"}
    return Interaction(
        index=index,
        kind=kind,
        boundary="openai.chat",
        request=asked,
        response={"status": 200, "headers": headers, "json": response},
        latency_ms=12.5,
        match_key="0123456789abcdef",
        metadata={"start_ms": 1.5 + 200 * index},
    )


def recording() -> Cassette:
    """Return a conversation in which the ids of the answers come back."""
    calls = [{"id": "call_12345678", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}]
    asked = [{"role": "user", "content": "What is it? Mind REDACTED0001."}]
    told = [*asked, {"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "call_12345678"}]
    answer = {
        "id": "chatcmpl-12345678",
        "created": 1,
        "choices": [{"message": {"role": "assistant", "content": "It."}}],
    }
    return Cassette(
        created_at="2026-01-01",
        meta={"redacted": ["REDACTED0001", "REDACTED0002", "REDACTED0009"]},
        interactions=[
            call(0, {"messages": asked}, {"id": "chatcmpl-abcdefgh", "choices": [{"message": {"tool_calls": calls}}]}),
            call(1, {"messages": told}, answer),
            call(2, {"key": "REDACTED0002"}, {"took": 5}, kind="http", url="/answers/chatcmpl-12345678"),
        ],
    )


def upload(boundary: str, content: str = "hello", *, is_binary: bool = False) -> Cassette:
    """Return the upload of a file, whose parts a client separates by a *boundary* that it draws."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = f"{head}{content}\r\n--{boundary}--\r\n"
    sent = {"body_b64": base64.b64encode(body.encode() + b"\xff").decode()} if is_binary else {"text": body}
    request = {
        "method": "POST",
        "url": "https://api.example.com/files",
        "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        **sent,
    }
    return Cassette(interactions=[Interaction(index=0, kind="http", request=request, response={"status": 200})])


def mapped(node: Any, change: Callable[[str], str]) -> Any:
    if isinstance(node, str):
        return change(node)
    if isinstance(node, dict):
        return {key: mapped(each, change) for key, each in node.items()}
    return [mapped(each, change) for each in node] if isinstance(node, list) else node


def edited(change: Callable[[list[dict[str, Any]]], object]) -> Cassette:
    whole = copy.deepcopy(recording().to_dict())
    change(whole["interactions"])
    return Cassette.from_dict(whole)


def replaced(old: str, new: str, *numbers: int) -> Cassette:
    whole = recording().to_dict()
    whole["interactions"] = [
        mapped(each, lambda text: text.replace(old, new)) if each["index"] in (numbers or (0, 1, 2)) else each
        for each in whole["interactions"]
    ]
    return Cassette.from_dict(whole)


NO_CHANGE = {
    "nothing": recording(),
    "an id and where it comes back": replaced("call_12345678", "call_abcdefgh"),
    "an id in an address": replaced("chatcmpl-12345678", "chatcmpl-98765432"),
    "a date": edited(lambda calls: calls[0]["response"]["headers"].update(date="Friday")),
    "a rate limit": edited(lambda calls: calls[0]["response"]["headers"].update({"x-ratelimit-remaining-tokens": "1"})),
    "the id of a request": edited(lambda calls: calls[0]["request"]["headers"].update({"x-request-id": "b"})),
    "a time that the provider gives": edited(lambda calls: calls[1]["response"]["json"].update(created=2)),
    "how long it took": edited(lambda calls: calls[0].update(latency_ms=99, metadata={"start_ms": 7.5})),
    "the chunks in which it came": edited(lambda calls: calls[2]["response"].update(chunk_bytes=[4, 6])),
    "how long it was while it was encoded": edited(
        lambda calls: (
            calls[2]["response"].update(encoded="gzip"),
            calls[2]["response"]["headers"].update({"content-length": "31", "content-encoding": "gzip"}),
        )
    ),
    "the port of a local server": replaced(str(PORT), "50002"),
    "the numbers of secrets": edited(
        lambda calls: calls.__setitem__(
            slice(None), mapped(calls, lambda text: text.replace("REDACTED0001", "REDACTED0009"))
        )
    ),
}
CHANGES = {
    "what the model says": replaced("It.", "That."),
    "what is asked": replaced("What is it?", "What is that?"),
    "an id that does not come back as it came": replaced("call_12345678", "call_abcdefgh", 1),
    "an id that the agent brings": edited(
        lambda calls: calls[0]["request"]["json"].update(prompt={"id": "pmpt_12345678"})
    ),
    "a status": edited(lambda calls: calls[0]["response"].update(status=201)),
    "a header": edited(lambda calls: calls[0]["response"]["headers"].update({"content-type": "text/plain"})),
    "a header that is no longer recorded": edited(lambda calls: calls[0]["response"]["headers"].pop("date")),
    "an id that no provider makes up": edited(lambda calls: calls[2]["response"]["json"].update(id="x")),
    "a number of a plain answer": edited(lambda calls: calls[2]["response"]["json"].update(took=6)),
    "a type": edited(lambda calls: calls[2]["response"]["json"].update(took=5.0)),
    "a call more": edited(lambda calls: calls.append({**calls[0], "index": 3})),
    "a call less": edited(lambda calls: calls.pop()),
    "the order of calls": edited(lambda calls: calls.insert(0, calls.pop(1))),
    "two secrets that were one": replaced("REDACTED0002", "REDACTED0001"),
    "a number that is text": replaced("REDACTED0001", "REDACTED0003"),
    "a host": replaced("127.0.0.1", "api.example.com"),
    "tokens": edited(lambda calls: calls[0].update(usage={"input_tokens": 1})),
}


@pytest.mark.parametrize("again", NO_CHANGE.values(), ids=NO_CHANGE)
def test_what_was_made_up_anew_is_no_change(again: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    recording().save(path)
    before = path.read_bytes()
    again.created_at, again.run_id = "2027-01-01", "another"
    assert not again.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("again", CHANGES.values(), ids=CHANGES)
def test_anything_else_is_a_change(again: Cassette, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    recording().save(path)
    assert again.save(path)
    assert Cassette.load(path) == again


def test_a_text_that_came_in_other_pieces_is_no_change(tmp_path: Path) -> None:
    def streamed(*words: str) -> Cassette:
        events = [
            {"data": {"id": "chatcmpl-12345678", "choices": [{"index": 0, "delta": {"content": word}}]}}
            for word in words
        ]
        whole = recording().to_dict()
        whole["interactions"][0]["response"] = {"status": 200, "headers": {}, "events": events}
        return Cassette.from_dict(whole)

    path = tmp_path / "a.yaml"
    streamed("It is", " raining", ".").save(path)
    assert not streamed("It", " is raini", "ng", ".").save(path)
    assert streamed("It is", " snowing", ".").save(path)


@pytest.mark.parametrize("is_binary", [False, True])
def test_the_boundary_of_an_uploaded_file_is_no_change_but_its_content_is(is_binary: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    upload("d41d8cd98f00b204", is_binary=is_binary).save(path)
    assert not upload("0cc175b9c0f1b6a8", is_binary=is_binary).save(path)
    assert upload("0cc175b9c0f1b6a8", "hellO", is_binary=is_binary).save(path)


def test_a_cassette_that_lists_no_placeholders_is_not_rewritten_for_the_list(tmp_path: Path) -> None:
    older = recording()
    older.meta = {}
    older.save(tmp_path / "a.yaml")
    assert not recording().save(tmp_path / "a.yaml")


def test_cookies_of_a_network_are_no_change_and_those_of_the_service_are(tmp_path: Path) -> None:
    def with_cookies(*cookies: tuple[int, int, str]) -> Cassette:
        made = recording()
        made.meta = {"redacted": [f"REDACTED000{number}" for number in range(1, 10)]}
        for each, (network, service, path) in zip(made.interactions, cookies, strict=False):
            each.response["headers"]["set-cookie"] = [f"__cf_bm=REDACTED000{network}", f"s=REDACTED000{service}{path}"]
        return made

    with_cookies((2, 3, ""), (4, 5, "")).save(tmp_path / "a.yaml")
    assert not with_cookies((2, 3, ""), (2, 4, "")).save(tmp_path / "a.yaml")
    assert with_cookies((2, 3, ""), (2, 4, "; path=/")).save(tmp_path / "a.yaml")


def _beside(*spans: tuple[float, float]) -> Cassette:
    """Return a recording of calls with these starts and durations."""
    made = recording()
    one = made.interactions[0]
    calls = [
        replace(one, index=index, latency_ms=took, metadata={"start_ms": start})
        for index, (start, took) in enumerate(spans)
    ]
    return replace(made, interactions=calls)


@pytest.mark.parametrize(
    ("before", "now", "is_same"),
    [
        (((0, 30), (1, 10)), ((0, 10), (1, 30)), False),
        (((0, 30), (1, 10)), ((0, 90), (5, 20)), True),
        (((0, 30), (50, 10)), ((0, 300), (400, 1)), True),
        (((0, 30), (50, 10)), ((0, 30), (10, 10)), False),
        (((0, 30), (50, 10)), ((0, 30), (10, 90)), True),
    ],
)
def test_the_order_in_which_calls_beside_each_other_ended_is_content(
    tmp_path: Path, before: Any, now: Any, is_same: bool
) -> None:
    _beside(*before).save(tmp_path / "x.yaml")
    old = (tmp_path / "x.yaml").read_bytes()
    _beside(*now).save(tmp_path / "x.yaml")
    assert ((tmp_path / "x.yaml").read_bytes() == old) is is_same
