"""What other tools write in forms of their own: typed arguments, exceptions, uploads, filtered fields, SDK calls."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import datetime
import decimal
import enum
import gzip
import io
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import requests
import urllib3
from urllib3.util import Retry

from pytest_agenttape import AgentTapeError, Cassette, UnmatchedInteractionError, intercept, tool, use_cassette
from tests.cassettes.test_imported import ANSWER, ASKED, agentcassette, agenttape, called, exchange, saved, vcr

JSON = Any


class Color(enum.Enum):
    RED = "red"


# -- AgentTape


@tool
def work(given: Any) -> str:
    raise AssertionError(given)


@tool
def fail() -> None:
    raise AssertionError


TYPED: dict[str, tuple[object, JSON]] = {
    "date": (datetime.date(2026, 1, 2), "2026-01-02"),
    "datetime": (datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC), "2026-01-02T03:00:00+00:00"),
    "time": (datetime.time(1, 2), "01:02:00"),
    "decimal": (decimal.Decimal("1.50"), "1.50"),
    "uuid": (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    "enum": (Color.RED, "red"),
    "tuple": ((1, (2,)), [1, [2]]),
    "set": ({"b", "a"}, ["a", "b"]),
    "keys": ({1: datetime.date(2026, 1, 2)}, {"1": "2026-01-02"}),
    "nested": ({"days": [datetime.date(2026, 1, 2)]}, {"days": ["2026-01-02"]}),
}


@pytest.mark.parametrize(("given", "written"), TYPED.values(), ids=TYPED)
def test_a_typed_argument_equals_what_agenttape_wrote(tmp_path: Path, given: object, written: JSON) -> None:
    path = saved(tmp_path, agenttape(called("work", {"given": written}, "done")))
    with use_cassette(path, strict=True):
        assert work(given=given) == "done"
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        work(given="another")


ERRORS: dict[str, tuple[JSON, BaseException]] = {
    "key": ({"type": "KeyError", "message": "'x'", "repr": "KeyError('x')"}, KeyError("x")),
    "two arguments": (
        {"type": "ValueError", "message": "('a', 1)", "repr": "ValueError('a', 1)"},
        ValueError("a", 1),
    ),
    "none": ({"type": "TimeoutError", "message": "", "repr": "TimeoutError()"}, TimeoutError()),
    "a file": (
        {"type": "FileNotFoundError", "message": "[Errno 2] gone", "repr": "FileNotFoundError(2, 'gone')"},
        FileNotFoundError(2, "gone"),
    ),
    "plain": ({"type": "ValueError", "message": "no", "repr": "ValueError('no')"}, ValueError("no")),
}


@pytest.mark.parametrize(("stored", "expected"), ERRORS.values(), ids=ERRORS)
def test_an_exception_of_agenttape_comes_back_as_its_class(
    tmp_path: Path, stored: JSON, expected: BaseException
) -> None:
    failed = {**called("fail", {}, None), "error": {"module": "builtins", **stored}}
    del failed["response"]
    with use_cassette(saved(tmp_path, agenttape(failed))), pytest.raises(type(expected)) as caught:
        fail()
    assert str(caught.value) == str(expected)
    assert caught.value.args == expected.args or not expected.args


def test_an_exception_of_an_sdk_that_lost_its_response_is_not_replayed(tmp_path: Path) -> None:
    error = {"type": "APIError", "module": "openai", "message": "no", "repr": "?", "response": {"status_code": 429}}
    failed = {**called("fail", {}, None), "error": error}
    del failed["response"]
    with (
        pytest.raises(UnmatchedInteractionError, match="an SDK's exception was recorded without its response"),
        use_cassette(saved(tmp_path, agenttape(failed))),
    ):
        fail()


EMBEDDED = {"object": "list", "model": "e", "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
SDK_CALLS: dict[str, dict[str, Any]] = {
    "as recorded": {},
    "stream=False": {"stream": False},
    "stop=None": {"stop": None},
    "extra_body": {"extra_body": {"top_k": 3}},
    "in a message": {"messages": [{"role": "user", "content": "hi", "name": None}]},
}


@pytest.mark.parametrize("said", SDK_CALLS.values(), ids=SDK_CALLS)
def test_an_openai_call_of_agenttape_answers_however_the_sdk_spells_it(tmp_path: Path, said: dict[str, Any]) -> None:
    path = saved(
        tmp_path,
        agenttape(
            {"kind": "llm", "boundary": "llm", "request": {"endpoint": "chat.completions", **ASKED}, "response": ANSWER}
        ),
    )
    with use_cassette(path), openai.OpenAI(api_key="x") as client:
        answer: Any = client.chat.completions.create(**{**ASKED, **said})
        assert answer.choices[0].message.content == "Hi é"


def test_a_parameter_that_agenttape_did_not_record_is_a_difference(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        agenttape(
            {"kind": "llm", "boundary": "llm", "request": {"endpoint": "chat.completions", **ASKED}, "response": ANSWER}
        ),
    )
    with pytest.raises(UnmatchedInteractionError), use_cassette(path), openai.OpenAI(api_key="x") as client:
        client.chat.completions.create(**ASKED, temperature=0.5)


@pytest.mark.parametrize("said", [{}, {"encoding_format": "float"}], ids=["default", "float"])
def test_embeddings_of_agenttape_are_replayed(tmp_path: Path, said: dict[str, Any]) -> None:
    request = {"endpoint": "embeddings", "model": "e", "input": "x", **said}
    path = saved(tmp_path, agenttape({"kind": "llm", "boundary": "llm", "request": request, "response": EMBEDDED}))
    with use_cassette(path), openai.OpenAI(api_key="x") as client:
        assert client.embeddings.create(model="e", input="x", **said).data[0].embedding == [0.5]


# -- agentcassette


@intercept
def many(a: int, *rest: int, flag: bool = False, how: tuple[str, ...] = ("x",), **named: Any) -> str:
    raise AssertionError(a, rest, flag, how, named)


CALLS: dict[str, tuple[JSON, JSON]] = {
    "positional": ([1, 2, 3], {}),
    "none": ([1], {}),
    "named": ([1], {"z": 4}),
    "all": ([1, 2], {"flag": True, "z": {"a": [1]}}),
    "by name": ([], {"a": 1}),
    "a tuple": ([1], {"how": ["x", "y"]}),
}


@pytest.mark.parametrize(("args", "kwargs"), CALLS.values(), ids=CALLS)
def test_variable_arguments_of_agentcassette_are_compared(tmp_path: Path, args: JSON, kwargs: JSON) -> None:
    step = {"name": "many", "arguments": {"args": args, "kwargs": kwargs}, "result": "done"}
    path = saved(tmp_path, agentcassette(step), "c.json")
    typed = {name: tuple(each) if name == "how" else each for name, each in kwargs.items()}
    with use_cassette(path, strict=True):
        assert many(*args, **typed) == "done"
    fewer = [(args[:-1], typed)] if len(args) > 1 else []
    for other_args, other_kwargs in (((*args, 9), typed), (args, {**typed, "other": 9}), *fewer):
        with pytest.raises((UnmatchedInteractionError, TypeError)), use_cassette(path):
            many(*other_args, **{"a": 1, **other_kwargs} if not other_args else other_kwargs)


def test_a_secret_that_agentcassette_recorded_without_its_name_is_not_compared(tmp_path: Path) -> None:
    @intercept
    def ask(api_key: str, question: str) -> str:
        raise AssertionError(api_key, question)

    step = {"name": "ask", "type": "tool", "arguments": {"args": ["test", "why"], "kwargs": {}}, "result": "so"}
    path = saved(tmp_path, agentcassette(step), "c.json")
    with use_cassette(path):
        assert ask("sk-0123456789abcdef0123", "why") == "so"
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        ask("sk-0123456789abcdef0123", "how")


@dataclasses.dataclass
class Order:
    item: str
    parts: list[Any]


def test_an_object_as_an_argument_of_agentcassette_is_compared_by_its_fields(tmp_path: Path) -> None:
    written = {"__type__": "Order", "item": "tea", "parts": [{"__type__": "Order", "item": "cup", "parts": []}]}
    step = {"name": "work", "type": "tool", "arguments": {"args": [written], "kwargs": {}}, "result": "done"}
    path = saved(tmp_path, agentcassette(step), "c.json")
    with use_cassette(path):
        assert work(Order("tea", [Order("cup", [])])) == "done"
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        work(Order("tea", [Order("pot", [])]))


def test_a_kind_of_agentcassette_that_is_not_ours_is_a_label(tmp_path: Path) -> None:
    path = saved(tmp_path, agentcassette({"name": "plan", "type": "planner", "result": 1}), "c.json")
    assert Cassette.load(path).interactions[0].label == "planner"
    plan: Any = intercept(lambda: 2, name="plan", kind="planner")
    with use_cassette(path, mode="all", frozen={"planner"}):
        assert plan() == 1


# -- vcrpy


UPLOADS = """
interactions:
- request:
    body: !!python/object/new:_io.BytesIO
      state: !!python/tuple
      - !!binary |
        AP9oZWxsbw==
      - 0
      - null
    headers: {}
    method: POST
    uri: http://example.com/file
  response: &answer
    body: {string: done}
    headers: {content-type: [text/plain]}
    status: {code: 200, message: OK}
- request:
    body: !!python/object/apply:builtins.iter
      args:
      - - !!binary |
          b25l
        - !!binary |
          dHdv
      state: 0
    headers: {}
    method: POST
    uri: http://example.com/pieces
  response: *answer
- request:
    body: !!python/object/apply:shop.Upload [a, b]
    headers: {}
    method: POST
    uri: http://example.com/own
  response: *answer
version: 1
"""


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    path = tmp_path / "uploads.yaml"
    path.write_text(UPLOADS)
    return path


def test_uploads_of_vcrpy_are_replayed(uploads: Path) -> None:
    with use_cassette(uploads, strict=True):
        for data in (io.BytesIO(b"\x00\xffhello"), b"\x00\xffhello"):
            with use_cassette(uploads):
                assert requests.post("http://example.com/file", data=data, timeout=5).text == "done"
        assert httpx.post("http://example.com/file", content=b"\x00\xffhello").text == "done"
        assert requests.post("http://example.com/pieces", data=iter([b"on", b"etwo"]), timeout=5).text == "done"


def test_an_object_that_cannot_be_read_spoils_its_own_call_alone(uploads: Path) -> None:
    (problem,) = Cassette.load(uploads).meta["imported"]["problems"]
    said = "request.body is an object of Python that cannot be read, !!python/object/apply:shop.Upload; record it again"
    assert problem == f"#2: {said}"
    with pytest.raises(UnmatchedInteractionError, match=r"request\.body is an object of Python"), use_cassette(uploads):
        httpx.post("http://example.com/own", content=b"a")


@pytest.mark.parametrize("recorded", ["user=ann", "user=ann&password=XXX&token=None"], ids=["removed", "replaced"])
def test_fields_that_vcrpy_filtered_from_a_form_are_not_compared(tmp_path: Path, recorded: str) -> None:
    headers = {"content-type": ["application/x-www-form-urlencoded"]}
    path = saved(tmp_path, vcr(exchange(uri="http://example.com/login", asked=recorded, headers=headers)))
    with use_cassette(path):
        sent = {"user": "ann", "password": "Tr0ub4dor-horse", "token": "t1"}
        assert httpx.post("http://example.com/login", data=sent).status_code == 200
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        httpx.post("http://example.com/login", data={"user": "bob", "password": "Tr0ub4dor-horse", "token": "t1"})


@pytest.mark.parametrize("recorded", ['{"user": "ann"}', '{"user": "ann", "password": "XXX"}', "{}"])
def test_fields_that_vcrpy_filtered_from_json_are_not_compared(tmp_path: Path, recorded: str) -> None:
    path = saved(tmp_path, vcr(exchange(uri="http://example.com/login", asked=recorded)))
    sent = {"password": "Tr0ub4dor-horse"} if recorded == "{}" else {"user": "ann", "password": "Tr0ub4dor-horse"}
    with use_cassette(path):
        assert httpx.post("http://example.com/login", json=sent).status_code == 200


@pytest.mark.parametrize("recorded", ['{"user": "ann"}', '{"user": "ann", "pin": "XXX"}'], ids=["removed", "replaced"])
def test_fields_that_the_denylist_names_are_not_compared(tmp_path: Path, recorded: str) -> None:
    path = saved(tmp_path, vcr(exchange(uri="http://example.com/login", asked=recorded)))
    with use_cassette(path, redact=["pin"]):
        assert httpx.post("http://example.com/login", json={"user": "ann", "pin": "1234"}).status_code == 200
    with pytest.raises(UnmatchedInteractionError), use_cassette(path, redact=["pin"]):
        httpx.post("http://example.com/login", json={"user": "bob", "pin": "1234"})


def test_a_field_that_only_sounds_like_a_secret_is_compared(tmp_path: Path) -> None:
    path = saved(tmp_path, vcr(exchange(uri="http://example.com/issues", asked='{"project_key": "AT-17"}')))
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        httpx.post("http://example.com/issues", json={"project_key": "AT-18"})


def base64_of(raw: bytes) -> JSON:
    return {"base64_string": base64.b64encode(raw).decode()}


def test_a_compressed_request_of_vcrpy_is_no_difference(tmp_path: Path) -> None:
    headers = {"content-type": ["application/json"], "content-encoding": ["gzip"]}
    raw = exchange(uri="http://example.com/logs", asked=base64_of(gzip.compress(b'{"a": 1}')), headers=headers)
    path = saved(tmp_path, vcr(raw))
    sent = {name: value for name, (value,) in headers.items()}
    with use_cassette(path):
        assert httpx.post("http://example.com/logs", content=gzip.compress(b'{"a":1}', 1), headers=sent).is_success
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        httpx.post("http://example.com/logs", content=gzip.compress(b'{"a":2}'), headers=sent)


FORMS = {  # what aiohttp was given, and what vcrpy has of it
    "mapping": ({"a": "1", "b": "x y&"}, {"a": "1", "b": "x y&"}),
    "numbers": ({"a": 1}, {"a": 1}),
    "pairs": ([("a", "1"), ("a", "2")], [["a", "1"], ["a", "2"]]),
    "text": ('{"b": 1,  "a": 2}', '{"b": 1,  "a": 2}'),
    "bytes": (b"\x00\xff", base64_of(b"\x00\xff")),
}


@pytest.mark.parametrize(("given", "recorded"), FORMS.values(), ids=FORMS)
def test_what_vcrpy_keeps_of_a_request_of_aiohttp_is_compared(tmp_path: Path, given: Any, recorded: JSON) -> None:
    raw = exchange(uri="http://example.com/form", headers={})
    raw["request"]["body"] = recorded
    path = saved(tmp_path, vcr(raw))

    async def post(data: Any) -> int:
        async with aiohttp.ClientSession() as client, client.post("http://example.com/form", data=data) as answer:
            return answer.status

    with use_cassette(path):
        assert asyncio.run(post(given)) == 200
    for other in ({"a": "3"}, "a", b"\x01"):
        with pytest.raises(UnmatchedInteractionError), use_cassette(path):
            asyncio.run(post(other))


def tries(*statuses: int) -> dict[str, JSON]:
    """Return what vcrpy recorded of a request that urllib3 tried again."""
    tried = exchange(method="GET", uri="http://example.com/a", asked="", headers={})
    return vcr(*({**tried, "response": {**tried["response"], "status": status}} for status in statuses))


def ask_by_requests(retries: Retry) -> int:
    with requests.Session() as client:
        client.mount("http://", requests.adapters.HTTPAdapter(max_retries=retries))
        return client.get("http://example.com/a", timeout=5).status_code


def ask_by_urllib3(retries: Retry) -> int:
    return urllib3.PoolManager(retries=retries).request("GET", "http://example.com/a").status


ASKERS = pytest.mark.parametrize("ask", [ask_by_requests, ask_by_urllib3], ids=["requests", "urllib3"])


@ASKERS
def test_each_try_of_urllib3_that_vcrpy_recorded_is_made_again(tmp_path: Path, ask: Callable[[Retry], int]) -> None:
    with use_cassette(saved(tmp_path, tries(503, 503, 200)), strict=True):
        assert ask(Retry(3, status_forcelist=[503], backoff_factor=0)) == 200


@ASKERS
def test_tries_of_urllib3_end_as_they_did_for_vcrpy(tmp_path: Path, ask: Callable[[Retry], int]) -> None:
    path = saved(tmp_path, tries(503, 503))
    with use_cassette(path, strict=True):
        assert ask(Retry(1, status_forcelist=[503], backoff_factor=0, raise_on_status=False)) == 503
    failures = (requests.exceptions.RetryError, urllib3.exceptions.MaxRetryError)
    with use_cassette(path, strict=True), pytest.raises(failures, match=r"^HTTPConnectionPool\(host='example\.com'"):
        ask(Retry(1, status_forcelist=[503], backoff_factor=0))


@pytest.mark.parametrize("asked", ["http://example.com/a?x=1#part", "http://example.com/a?x=1"])
def test_a_fragment_in_a_url_of_vcrpy_is_no_difference(tmp_path: Path, asked: str) -> None:
    path = saved(tmp_path, vcr(exchange(method="GET", uri="http://example.com/a?x=1#other", asked="")))
    with use_cassette(path):
        assert httpx.get(asked).status_code == 200


def test_an_async_function_is_replayed_too(tmp_path: Path) -> None:
    @intercept(kind="llm")
    async def ask(messages: list[JSON], *, model: str = "m") -> JSON:
        raise AgentTapeError(str((messages, model)))

    step = {"name": "ask", "type": "llm", "arguments": {"args": [[]], "kwargs": {"model": "z"}}, "result": "hi"}
    with use_cassette(saved(tmp_path, agentcassette(step), "c.json")):
        assert asyncio.run(ask([], model="z")) == "hi"
