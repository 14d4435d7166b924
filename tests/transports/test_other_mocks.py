"""A user's own mocks in the same test go on answering, whichever was there first."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import requests
import responses
import respx

from pytest_agenttape import UnmatchedInteractionError, use_cassette
from tests.transports.conftest import Recorder

MOCKED = "http://mocked.test/thing"


def ask(library: Any, url: str) -> str:
    text: str = library.get(url).text
    return text


def async_ask(url: str) -> str:
    async def run() -> str:
        async with httpx.AsyncClient() as client:
            return (await client.get(url)).text

    return asyncio.run(run())


class TestRespx:
    @pytest.mark.parametrize("get", [lambda url: ask(httpx, url), async_ask], ids=["sync", "async"])
    @pytest.mark.parametrize("first", ["mock", "session"])
    def test_answers_beside_the_cassette(self, recorder: Recorder, get: Callable[[str], str], first: str) -> None:
        url = f"{recorder.provider.url}/weather?city=London"

        def run() -> tuple[str, str]:
            with respx.mock(assert_all_mocked=False) as router:
                router.get(MOCKED).respond(text="mocked")
                router.route(host="127.0.0.1").pass_through()
                return get(MOCKED), get(url)

        def mock_first(mode: str) -> tuple[str, str]:
            with respx.mock(assert_all_mocked=False) as router:
                router.get(MOCKED).respond(text="mocked")
                router.route(host="127.0.0.1").pass_through()
                with use_cassette(recorder.path, mode=mode):
                    return get(MOCKED), get(url)

        if first == "mock":
            live, again = mock_first("all"), mock_first("none")
        else:
            live, again = recorder.record(run), recorder.replay(run)
        assert live == again
        assert live[0] == "mocked"
        assert recorder.provider.hits == len(recorder.interactions) == 1

    def test_as_a_decorator(self, recorder: Recorder) -> None:
        @respx.mock
        def run() -> str:
            respx.get(MOCKED).respond(text="mocked")
            return ask(httpx, MOCKED)

        assert recorder.record(run) == "mocked"
        assert recorder.interactions == []

    def test_passes_nothing_through_to_the_network_in_replay(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/weather?city=London"
        recorder.record(lambda: ask(httpx, url))
        with use_cassette(recorder.path), respx.mock:
            respx.get(url).pass_through()
            assert "London" in ask(httpx, url)
            with pytest.raises(UnmatchedInteractionError):
                ask(httpx, url)
        assert recorder.provider.hits == 1

    def test_leaves_the_session_in_place_when_it_ends(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/weather?city=London"
        recorder.record(lambda: ask(httpx, url))
        with use_cassette(recorder.path):
            with respx.mock:
                respx.get(MOCKED).respond(text="mocked")
                assert ask(httpx, MOCKED) == "mocked"
            assert "London" in ask(httpx, url)
        assert recorder.provider.hits == 1


class TestResponses:
    @pytest.mark.parametrize("first", ["mock", "session"])
    def test_answers_beside_the_cassette(self, recorder: Recorder, first: str) -> None:
        url = f"{recorder.provider.url}/weather?city=London"

        def run(mode: str) -> tuple[str, str]:
            with use_cassette(recorder.path, mode=mode), mocked():
                return ask(requests, MOCKED), ask(requests, url)

        def mock_first(mode: str) -> tuple[str, str]:
            with mocked(), use_cassette(recorder.path, mode=mode):
                return ask(requests, MOCKED), ask(requests, url)

        def mocked() -> Any:
            mock = responses.RequestsMock(assert_all_requests_are_fired=False)
            mock.get(MOCKED, body="mocked")
            mock.add_passthru("http://127.0.0.1")
            return mock

        chosen = mock_first if first == "mock" else run
        live, again = chosen("all"), chosen("none")
        assert live == again
        assert live[0] == "mocked"
        assert recorder.provider.hits == len(recorder.interactions) == 1

    def test_as_a_decorator(self, recorder: Recorder) -> None:
        @responses.activate
        def run() -> str:
            responses.get(MOCKED, body="mocked")
            return ask(requests, MOCKED)

        assert recorder.record(run) == "mocked"
        assert recorder.interactions == []

    def test_passes_nothing_through_to_the_network_in_replay(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/weather?city=London"
        recorder.record(lambda: ask(requests, url))
        with use_cassette(recorder.path), responses.RequestsMock() as mock:
            mock.add(responses.PassthroughResponse("GET", url))
            assert "London" in ask(requests, url)
            with pytest.raises(UnmatchedInteractionError):
                ask(requests, url)
        assert recorder.provider.hits == 1

    def test_leaves_the_session_in_place_when_it_ends(self, recorder: Recorder) -> None:
        url = f"{recorder.provider.url}/weather?city=London"
        recorder.record(lambda: ask(requests, url))
        with use_cassette(recorder.path):
            with responses.RequestsMock() as mock:
                mock.get(MOCKED, body="mocked")
                assert ask(requests, MOCKED) == "mocked"
            assert "London" in ask(requests, url)
        assert recorder.provider.hits == 1


# A mock that is there before the first session of the process is in the way of our own patching.
BEFORE_ANYTHING = {
    "respx": """
        import httpx, respx
        mock = respx.mock(assert_all_mocked=False)
        mock.start()
        mock.get("http://mocked.test/").respond(text="mocked")
        mock.route(host="127.0.0.1").pass_through()
        library = httpx
    """,
    "responses": """
        import requests, responses
        mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        mock.start()
        mock.get("http://mocked.test/", body="mocked")
        mock.add_passthru("http://127.0.0.1")
        library = requests
    """,
    "nested responses": """
        import requests, responses
        outer = responses.RequestsMock(assert_all_requests_are_fired=False)
        outer.start()
        mock = responses.RequestsMock(assert_all_requests_are_fired=False)
        mock.start()
        mock.get("http://mocked.test/", body="mocked")
        mock.add_passthru("http://127.0.0.1")
        library = requests
    """,
}
THEN = """
    from pathlib import Path
    from pytest_agenttape import UnmatchedInteractionError, use_cassette

    url = URL + "/weather?city=London"
    with use_cassette(Path("c.yaml").absolute(), mode="all") as session:
        assert library.get("http://mocked.test/").text == "mocked"
        library.get(url)
        assert len(session.interactions) == 1, session.interactions
    try:
        with use_cassette(Path("c.yaml").absolute()):
            library.get(url)
            library.get(url)
    except UnmatchedInteractionError:
        pass
    else:
        raise SystemExit("a request went out in replay")
    try:
        with use_cassette(Path("c.yaml").absolute()):
            mock.stop()
            if "outer" in globals():
                outer.stop()
            library.get(url)
            library.get(url)
    except UnmatchedInteractionError:
        print("fine")
"""


@pytest.mark.parametrize("mock", list(BEFORE_ANYTHING))
def test_a_mock_that_was_there_before_the_first_session(
    pytester: pytest.Pytester, recorder: Recorder, mock: str
) -> None:
    script = pytester.makepyfile(
        script="\n".join([f"URL = {recorder.provider.url!r}", *map(_dedented, (BEFORE_ANYTHING[mock], THEN))])
    )
    pytester.run(sys.executable, script).stdout.fnmatch_lines(["fine"])
    assert recorder.provider.hits == 1


def _dedented(text: str) -> str:
    import textwrap

    return textwrap.dedent(text)


FIXTURES = {
    "httpx_mock": (
        "pytest_httpx",
        """
        import httpx, pytest

        @pytest.mark.agenttape
        @pytest.mark.httpx_mock(should_mock=lambda request: request.url.host == "mocked.test")
        def test_both(httpx_mock, agenttape_cassette):
            httpx_mock.add_response(url="http://mocked.test/", text="mocked")
            assert httpx.get("http://mocked.test/").text == "mocked"
            assert "London" in httpx.get(URL).text
            assert len(agenttape_cassette.interactions) == 1
        """,
    ),
    "respx_mock": (
        "respx",
        """
        import httpx, pytest

        @pytest.mark.agenttape
        def test_both(respx_mock, agenttape_cassette):
            respx_mock.get("http://mocked.test/").respond(text="mocked")
            respx_mock.route(host="127.0.0.1").pass_through()
            assert httpx.get("http://mocked.test/").text == "mocked"
            assert "London" in httpx.get(URL).text
            assert len(agenttape_cassette.interactions) == 1
        """,
    ),
    "httpx2_mock": (
        "pytest_httpx2",
        """
        import httpx2, pytest

        @pytest.mark.agenttape
        def test_both(httpx2_mock, agenttape_cassette):
            httpx2_mock.get("http://mocked.test/").respond(text="mocked")
            httpx2_mock.route(host="127.0.0.1").pass_through()
            assert httpx2.get("http://mocked.test/").text == "mocked"
            assert "London" in httpx2.get(URL).text
            assert len(agenttape_cassette.interactions) == 1
        """,
    ),
}


@pytest.mark.variants(3)
@pytest.mark.parametrize("order", ["mock first", "session first"])
@pytest.mark.parametrize("fixture", list(FIXTURES))
def test_the_fixture_of_a_mocking_plugin(
    pytester: pytest.Pytester, recorder: Recorder, fixture: str, order: str
) -> None:
    package, suite = FIXTURES[fixture]
    pytest.importorskip(package, reason=f"the plugin with {fixture} is not installed")
    suite = _dedented(suite)
    if order == "session first":
        suite = suite.replace(f"{fixture}, agenttape_cassette", f"agenttape_cassette, {fixture}")
    pytester.makepyfile(f"URL = '{recorder.provider.url}/weather?city=London'\n" + suite)
    pytester.runpytest_subprocess("-p", package, "--agenttape-record").assert_outcomes(passed=1)
    pytester.runpytest_subprocess("-p", package).assert_outcomes(passed=1)
    assert recorder.provider.hits == 1


@pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
class TestAClientWithATransportOfItsOwn:
    """What never reaches a connection pool is left alone."""

    def test_mock_transport(self, recorder: Recorder, library: Any) -> None:
        transport = library.MockTransport(lambda _: library.Response(200, text="mocked"))

        def run() -> str:
            with library.Client(transport=transport) as client:
                return str(client.get("http://mocked.test/").text)

        assert recorder.record(run) == "mocked"
        assert recorder.interactions == []
        assert recorder.replay(run) == "mocked"

    def test_asgi_transport(self, recorder: Recorder, library: Any) -> None:
        async def application(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"asgi"})

        async def ask() -> str:
            async with library.AsyncClient(transport=library.ASGITransport(application)) as client:
                return str((await client.get("http://app.test/")).text)

        assert recorder.record(lambda: asyncio.run(ask())) == "asgi"
        assert recorder.interactions == []

    def test_wsgi_transport(self, recorder: Recorder, library: Any) -> None:
        def application(_environ: Any, start_response: Any) -> list[bytes]:
            start_response("200 OK", [("content-type", "text/plain")])
            return [b"wsgi"]

        def run() -> str:
            with library.Client(transport=library.WSGITransport(application)) as client:
                return str(client.get("http://app.test/").text)

        assert recorder.record(run) == "wsgi"
        assert recorder.interactions == []


def test_an_adapter_of_the_users_own_is_left_alone(recorder: Recorder) -> None:
    class Local(requests.adapters.BaseAdapter):
        def send(self, request: Any, *_: Any, **__: Any) -> requests.Response:
            response = requests.Response()
            response.status_code, response._content, response.request = 200, b"local", request
            response.url = request.url
            return response

        def close(self) -> None:
            """Nothing is held."""

    def run() -> str:
        with requests.Session() as session:
            session.mount("local://", Local())
            return session.get("local://thing").text

    assert recorder.record(run) == "local"
    assert recorder.interactions == []
