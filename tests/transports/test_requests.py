"""What an agent can do with a response of requests works in replay as it does live."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import pytest
import requests
import requests.adapters
import urllib3
from urllib3.util import Retry

from pytest_agenttape import UnmatchedInteractionError, use_cassette
from tests.loopback import Handler, serving
from tests.standin import error, raw
from tests.transports.conftest import Recorder

EVENTS = [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b'data: {"n":2}\n\n']


def read_all(raw_response: Any) -> bytes:
    taken = b""
    while chunk := raw_response.read(7):
        taken += chunk
    return taken


def read_into(raw_response: Any) -> bytes:
    buffer = bytearray(1000)
    count = 0
    while read := raw_response.readinto(memoryview(buffer)[count : count + 7]):
        count += read
    return bytes(buffer[:count])


READERS = {
    "content": lambda response: response.content,
    "text": lambda response: response.text,
    "iter_content": lambda response: b"".join(response.iter_content(5)),
    "iter_content of one byte": lambda response: b"".join(response.iter_content(1)),
    "iter_content as it comes": lambda response: b"".join(response.iter_content(None)),
    "iter_lines": lambda response: list(response.iter_lines()),
    "iter_lines in small chunks": lambda response: list(response.iter_lines(chunk_size=3, decode_unicode=True)),
    "iteration": lambda response: b"".join(response),
    "raw.read": lambda response: response.raw.read(),
    "raw.read decoded": lambda response: response.raw.read(decode_content=True),
    "raw.read in pieces": lambda response: read_all(response.raw),
    "raw.read1": lambda response: b"".join(iter(lambda: response.raw.read1(9), b"")),
    "raw.stream": lambda response: b"".join(response.raw.stream(6)),
    "raw.data": lambda response: response.raw.data,
    "raw.readinto": lambda response: read_into(response.raw),
    "raw iteration": lambda response: list(response.raw),
    "raw in a buffered reader": lambda response: io.BufferedReader(response.raw).read(),
}


@pytest.mark.parametrize("how", list(READERS))
@pytest.mark.parametrize("kind", ["chunked", "with a length", "of one piece", "empty"])
def test_a_body_is_recorded_and_replayed_however_it_is_read(recorder: Recorder, how: str, kind: str) -> None:
    body: Any = {"chunked": EVENTS, "of one piece": b'{"n":0}', "empty": b""}.get(kind, b"".join(EVENTS))
    type_ = "application/json" if kind == "of one piece" else "text/event-stream"
    recorder.provider.reply(raw(body, {"content-type": type_}), to="/body")
    if how == "raw.read1" and kind == "chunked" and urllib3.__version__.startswith("1."):
        pytest.skip("urllib3 1.x has no read1")

    def read() -> Any:
        with requests.get(f"{recorder.provider.url}/body", stream=True, headers={"accept-encoding": "identity"}) as it:
            return READERS[how](it)

    recorder.both(read)
    stored = recorder.interactions[0].response
    assert "complete" not in stored
    assert len(stored.get("events", [])) == (3 if type_ == "text/event-stream" and body else 0)


@pytest.mark.parametrize("decoded", [True, False])
def test_a_compressed_body_that_is_read_raw_is_stored_readably(recorder: Recorder, decoded: bool) -> None:
    def read() -> int:
        with requests.get(f"{recorder.provider.url}/encoded/gzip", stream=True) as response:
            return len(response.raw.read(decode_content=decoded))

    recorder.record(read)
    recorder.replay(read)
    assert recorder.interactions[0].response["json"]["encoding"] == "gzip"


class Packed(Handler):
    def do_GET(self) -> None:
        self.answer(gzip.compress(b"hello"), content_encoding="gzip")


def test_the_first_bytes_of_a_compressed_body_are_there(tmp_path: Path) -> None:
    def sniff() -> bytes:
        with requests.get(url, stream=True) as response:
            first: bytes = response.raw.read(3)
            return first

    with serving(Packed) as url:
        with use_cassette(tmp_path / "x.yaml", mode="all"):
            assert sniff() == b"\x1f\x8b\x08"
        with use_cassette(tmp_path / "x.yaml"):
            assert sniff() == b"\x1f\x8b\x08"


def test_the_parts_of_a_response_are_all_there(recorder: Recorder) -> None:
    def look() -> dict[str, Any]:
        with requests.Session() as session:
            response = session.get(f"{recorder.provider.url}/redirect?to=/cookies")
            return {
                "json": response.json(),
                "ok": response.ok,
                "encoding": response.encoding,
                "reason": response.reason,
                "history": [each.status_code for each in response.history],
                "url": response.url,
                "asked": response.request.url,
                "elapsed": response.elapsed.total_seconds() >= 0,
                "cookies": sorted(response.cookies.keys()),
                "kept": sorted(session.cookies.keys()),
                "raw": (response.raw.status, response.raw.reason, response.raw.version),
                "is_redirect": response.is_redirect,
                "adapter": type(response.connection).__name__,
                "closed": response.raw.closed,
                "kind": isinstance(response.raw, urllib3.HTTPResponse),
            }

    seen = recorder.both(look)
    assert seen["history"] == [302]
    assert seen["kept"] == ["first", "second"]


def test_hooks_and_adapters_of_the_users_own_are_called(recorder: Recorder) -> None:
    class Counting(requests.adapters.HTTPAdapter):
        def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
            calls.append(str(request.method))
            return super().send(request, *args, **kwargs)

    def run() -> list[str]:
        calls.clear()
        with requests.Session() as session:
            session.mount("http://", Counting())
            session.hooks["response"].append(lambda response, **_: calls.append(str(response.status_code)))
            session.get(f"{recorder.provider.url}/weather?city=London")
        return list(calls)

    calls: list[str] = []
    assert recorder.both(run) == ["GET", "200"]


def test_an_adapter_may_read_the_body_before_the_agent_does(recorder: Recorder) -> None:
    class Reading(requests.adapters.HTTPAdapter):
        def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
            response = super().build_response(req, resp)
            sizes.append(len(response.content))
            return response

    def run() -> tuple[str, list[int]]:
        sizes.clear()
        with requests.Session() as session:
            session.mount("http://", Reading())
            return session.get(f"{recorder.provider.url}/weather?city=London").text, list(sizes)

    sizes: list[int] = []
    assert recorder.both(run)[1][0] > 0
    assert recorder.interactions[0].response["json"]["city"] == "London"


def test_what_an_adapter_answers_from_its_cache_is_asked_as_it_was(recorder: Recorder) -> None:
    """As CacheControl does: the recording has the 304 that came, not the response that was made of it."""

    class Caching(requests.adapters.HTTPAdapter):
        cached: Any = None

        def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
            response = super().build_response(req, resp)
            if response.status_code == 304:
                return self.cached
            self.cached = response
            return response

    def run() -> list[tuple[int, str]]:
        with requests.Session() as session:
            session.mount("http://", Caching())
            answers = [session.get(f"{recorder.provider.url}/page") for _ in range(2)]
            return [(each.status_code, each.text) for each in answers]

    recorder.provider.script(raw(b"a page", {"etag": '"1"'}), raw(b"", {"etag": '"1"'}, status=304), to="/page")
    assert recorder.both(run) == [(200, "a page")] * 2
    assert [each.response["status"] for each in recorder.interactions] == [200, 304]


def test_a_failure_in_an_adapters_own_code_leaves_what_it_was_given(recorder: Recorder) -> None:
    class Picky(requests.adapters.HTTPAdapter):
        def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
            raise LookupError(f"no {resp.status} for {req.method}, please")

    def run() -> str:
        with requests.Session() as session:
            session.mount("http://", Picky())
            with pytest.raises(LookupError) as caught:
                session.get(f"{recorder.provider.url}/weather?city=London")
        return str(caught.value)

    assert recorder.both(run) == "no 200 for GET, please"


def test_retries_of_the_adapter_happen_below_the_recording(recorder: Recorder) -> None:
    """urllib3 repeats inside the adapter: the recording holds what requests was given in the end."""
    recorder.provider.script(error(503), error(503), to="/weather")

    def run() -> tuple[int, list[tuple[str, str, int]]]:
        with requests.Session() as session:
            retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
            response = session.get(f"{recorder.provider.url}/weather?city=London")
            return response.status_code, [(each.method, each.url, each.status) for each in response.raw.retries.history]

    assert recorder.both(run) == (200, [("GET", "/weather?city=London", 503)] * 2)
    assert recorder.provider.hits == 3
    assert len(recorder.interactions) == 1


def test_retries_that_run_out_are_raised_again(recorder: Recorder) -> None:
    recorder.provider.script(*[error(503)] * 3, to="/weather")

    def run() -> str:
        with requests.Session() as session:
            retry = Retry(total=2, status_forcelist=[503], backoff_factor=0)
            session.mount("http://", requests.adapters.HTTPAdapter(max_retries=retry))
            with pytest.raises(requests.exceptions.RetryError) as caught:
                session.get(f"{recorder.provider.url}/weather?city=London")
            assert caught.value.request is not None
            return type(caught.value).__name__

    recorder.both(run)


def test_a_request_keeps_the_body_it_was_given(recorder: Recorder) -> None:
    def run() -> bool:
        file = io.BytesIO(b"a file")
        response = requests.post(f"{recorder.provider.url}/echo", data=file)
        return response.request.body is file

    assert recorder.both(run)


def test_raise_for_status_works(recorder: Recorder) -> None:
    def run() -> str:
        with pytest.raises(requests.HTTPError) as caught:
            requests.get(f"{recorder.provider.url}/status/404").raise_for_status()
        return str(caught.value)

    assert "404" in recorder.both(run)


def test_a_multipart_body_matches_whose_boundary_only_the_body_tells(recorder: Recorder) -> None:
    def upload(boundary: str, value: str = "1") -> str:
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="a"\r\n\r\n{value}\r\n--{boundary}--\r\n'
        headers = {"Content-Type": "multipart/form-data"}
        return str(requests.post(f"{recorder.provider.url}/upload", data=body, headers=headers, timeout=5).status_code)

    recorded = recorder.record(lambda: upload("a8f1"))
    assert recorder.replay(lambda: upload("77c0")) == recorded
    with pytest.raises(UnmatchedInteractionError):
        recorder.replay(lambda: upload("77c0", "2"))


def test_the_version_of_the_protocol_is_told_below(recorder: Recorder) -> None:
    def version() -> object:
        response = requests.get(f"{recorder.provider.url}/x", stream=True, timeout=5)
        said = getattr(response.raw, "version_string", None)
        return said, response.raw.version, len(response.content) > 0

    assert recorder.record(version) == recorder.replay(version)
