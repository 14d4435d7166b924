"""What HTTP libraries and SDKs return and raise comes back from a tool with its request, its response and its class."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.client
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

from pytest_agenttape import RecordingRefusedError, tool, use_cassette
from pytest_agenttape.values import decode, encode
from tests.loopback import serving

SECRET = "hT4vRm8KpXz2WnQ6YdLs9Gb3"
ANSWERS = {
    "/x": b'{"city": "Rome"}',
    "/chat/completions": b'{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}]}',
    "/embeddings": b'{"object":"list","model":"m","data":[{"object":"embedding","index":0,"embedding":[0.5]}],'
    b'"usage":{"prompt_tokens":2,"total_tokens":2}}',
    "/v1/messages": b'{"id":"m1","type":"message","role":"assistant","model":"m","content":[{"type":"text",'
    b'"text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}',
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = ANSWERS.get(self.path)
        body = found or b'{"error": {"message": "no such thing", "type": "invalid_request_error", "code": "gone"}}'
        self.send_response(200 if found else 404)
        for name in ("x-request-id", "request-id"):
            self.send_header(name, "req_9")
        self.send_header("Set-Cookie", f"sid={SECRET}; Path=/")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Handler) as found:
        yield found


def both(path: Path, call: Callable[[], Any]) -> tuple[Any, Any]:
    """Return what *call* returned or raised as a tool, when recorded and when replayed."""
    asked = tool(call, name="asked")

    def outcome() -> Any:
        try:
            return asked()
        except Exception as error:  # noqa: BLE001  # any of them
            return error

    with use_cassette(path, mode="all"):
        live = outcome()
    assert SECRET not in path.read_text()
    with use_cassette(path):
        return live, outcome()


def headers() -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRET}", "x-api-key": SECRET, "Cookie": f"sid={SECRET}"}


def seen(response: Any) -> list[Any]:
    request = response.request
    return [
        type(response), response.status_code, response.json(), response.text, response.headers["content-type"],
        response.encoding, str(response.url), type(request), request.method, str(request.url), response.history,
        response.elapsed > datetime.timedelta(0), list(response.cookies.keys()),
    ]  # fmt: skip


@pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
def test_a_response_comes_back(library: str, url: str, tmp_path: Path) -> None:
    get = pytest.importorskip(library).get
    live, again = both(tmp_path / "x.yaml", lambda: get(f"{url}/x", headers=headers()))
    assert seen(again) == seen(live)
    assert again.request.headers["accept"] == live.request.headers["accept"]


@pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
def test_an_error_of_a_status_comes_back_with_both(library: str, url: str, tmp_path: Path) -> None:
    get = pytest.importorskip(library).get
    live, again = both(tmp_path / "x.yaml", lambda: get(f"{url}/gone", headers=headers()).raise_for_status())
    assert type(again) is type(live)
    assert str(again) == str(live)
    assert seen(again.response) == seen(live.response)
    assert again.response.status_code == 404
    assert again.response.json()["error"]["code"] == "gone"
    assert str(again.request.url) == f"{url}/gone"


@pytest.mark.parametrize("library", ["httpx", "httpx2", "requests"])
def test_an_error_of_a_connection_comes_back_with_its_request(library: str, tmp_path: Path) -> None:
    post = pytest.importorskip(library).post
    live, again = both(tmp_path / "x.yaml", lambda: post("http://127.0.0.1:1/x", json={"a": 1}))
    assert type(again) is type(live)
    assert (again.request.method, str(again.request.url)) == ("POST", "http://127.0.0.1:1/x")
    body = again.request.body if library == "requests" else again.request.content
    assert body == (live.request.body if library == "requests" else live.request.content)


def ask_openai(url: str, **options: Any) -> Any:
    client = pytest.importorskip("openai").OpenAI(api_key=SECRET, base_url=url, max_retries=0)
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}], **options)


def ask_anthropic(url: str) -> Any:
    client = pytest.importorskip("anthropic").Anthropic(api_key=SECRET, base_url=url, max_retries=0)
    return client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_an_error_of_an_sdk_comes_back_whole(ask: Callable[..., Any], url: str, tmp_path: Path) -> None:
    live, again = both(tmp_path / "x.yaml", lambda: ask(f"{url}/nowhere"))
    assert type(again) is type(live)
    assert (again.status_code, again.body, str(again), again.request_id) == (404, live.body, str(live), "req_9")
    assert again.response.json() == live.response.json()
    assert again.response.headers["x-request-id"] == "req_9"
    assert str(again.request.url) == str(live.request.url)


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_an_error_of_the_connection_of_an_sdk_comes_back(ask: Callable[..., Any], tmp_path: Path) -> None:
    live, again = both(tmp_path / "x.yaml", lambda: ask("http://127.0.0.1:1"))
    assert type(again) is type(live)
    assert str(again.request.url) == str(live.request.url)


def ask_embedding(url: str) -> Any:
    client = pytest.importorskip("openai").OpenAI(api_key=SECRET, base_url=url, max_retries=0)
    return client.embeddings.create(model="m", input="hi", encoding_format="float")


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic, ask_embedding])
def test_an_answer_of_an_sdk_comes_back_with_the_id_of_its_request(
    ask: Callable[..., Any], url: str, tmp_path: Path
) -> None:
    live, again = both(tmp_path / "x.yaml", lambda: ask(url))
    assert again == live
    assert type(again) is type(live)
    assert again._request_id == live._request_id == "req_9"


def test_an_error_of_aiohttp_comes_back(url: str, tmp_path: Path) -> None:
    aiohttp, yarl, multidict = (pytest.importorskip(name) for name in ("aiohttp", "yarl", "multidict"))

    def ask() -> None:
        sent = multidict.CIMultiDictProxy(multidict.CIMultiDict(Accept="*/*", Authorization=f"Bearer {SECRET}"))
        about = aiohttp.RequestInfo(yarl.URL(f"{url}/gone"), "GET", sent, yarl.URL(f"{url}/gone"))
        raise aiohttp.ClientResponseError(about, (), status=404, message="Not Found", headers=sent)

    live, again = both(tmp_path / "x.yaml", ask)
    assert type(again) is type(live)
    assert (again.status, str(again), again.request_info.url) == (404, str(live), live.request_info.url)
    assert again.headers["accept"] == "*/*"


def test_a_body_that_nobody_has_read_is_refused_by_its_path(url: str, tmp_path: Path) -> None:
    @tool
    def ask() -> Any:
        return {"answer": requests.get(f"{url}/x", stream=True, timeout=5)}

    with (
        pytest.raises(
            RecordingRefusedError,
            match=r"result\.answer: <class 'requests\S+'> cannot be recorded \(its body has not been read\)",
        ),
        use_cassette(tmp_path / "x.yaml", mode="all"),
    ):
        ask()


def test_an_uploaded_stream_is_used_up_as_it_is_live(url: str, tmp_path: Path) -> None:
    live, again = both(tmp_path / "x.yaml", lambda: httpx.post(f"{url}/x", content=iter([b"a", b"b"])))
    for each in (live, again):
        with pytest.raises(httpx.RequestNotRead):
            _ = each.request.content


# --- exceptions that no `except` clause would know again


class Moody(Exception):
    def __str__(self) -> str:
        return f"at {id(self)}"


def raise_local() -> None:
    class Local(ValueError):
        pass

    raise Local("x")


def raise_moody() -> None:
    raise Moody


def raise_retry_error() -> None:
    tenacity = pytest.importorskip("tenacity")

    @tenacity.retry(stop=tenacity.stop_after_attempt(1))  # type: ignore[untyped-decorator]  # not installed for types
    def never() -> None:
        raise KeyError("a")

    never()


@pytest.mark.parametrize("fail", [raise_local, raise_moody, raise_retry_error])
def test_an_exception_that_cannot_be_raised_again_is_refused_when_recording(
    fail: Callable[[], None], tmp_path: Path
) -> None:
    def run() -> None:
        with use_cassette(tmp_path / "x.yaml", mode="all"), contextlib.suppress(Exception):  # an agent that goes on
            tool(fail, name="fail")()

    with pytest.raises(RecordingRefusedError, match=r"fail raised [\w.<>]+, which cannot be raised again in replay"):
        run()
    assert not (tmp_path / "x.yaml").exists()


# --- values that were refused


@dataclasses.dataclass
class Order:
    price: int
    total: int = dataclasses.field(init=False)
    note: str = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.total = self.price * 2


def test_a_field_that_was_never_set_stays_unset(tmp_path: Path) -> None:
    live, again = both(tmp_path / "x.yaml", lambda: Order(3))
    assert vars(again) == vars(live) == {"price": 3, "total": 6}


def test_dates_of_freezegun_come_back_as_dates(tmp_path: Path) -> None:
    freezegun = pytest.importorskip("freezegun")

    def now() -> dict[str, Any]:
        with freezegun.freeze_time("2024-02-03 04:05:06"):
            return {
                "at": datetime.datetime.now(),
                "on": datetime.date.today(),
                "of": [datetime.datetime.now(datetime.UTC)],
            }

    _, again = both(tmp_path / "x.yaml", now)
    assert again == {
        "at": datetime.datetime(2024, 2, 3, 4, 5, 6),
        "on": datetime.date(2024, 2, 3),
        "of": [datetime.datetime(2024, 2, 3, 4, 5, 6, tzinfo=datetime.UTC)],
    }


def test_headers_of_http_client_come_back() -> None:
    headers = http.client.HTTPMessage()
    headers["Set-Cookie"], headers["Set-Cookie"], headers["X-Odd"] = "a=1", "b=2", "é"
    again = decode(encode(headers))
    assert type(again) is http.client.HTTPMessage
    assert again.items() == headers.items()
