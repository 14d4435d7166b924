"""Which functions are replaced, and when: only for a run that needs it, and however late a library comes."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.transports.conftest import Recorder

LATE = {
    "requests": "import requests; requests.get(url)",
    "requests by its api": "from requests.api import get; get(url)",
    "requests in a submodule first": "import requests.adapters; import requests; requests.Session().get(url)",
    "httpx": "import httpx; httpx.get(url)",
    "httpx2": "import httpx2; httpx2.get(url)",
    "httpcore": "import httpcore; httpcore.request('GET', url)",
    "httpcore2": "import httpcore2; httpcore2.request('GET', url)",
    "httpcore before httpx": "import httpcore, httpx; httpx.get(url)",
    "responses before requests": "import responses, requests; requests.get(url)",
    "respx before httpx": "import respx, httpx; httpx.get(url)",
    "httpcore2 before httpx": "import httpcore2, httpx; httpx.get(url)",
    "everything": "import httpx2, requests, httpx; requests.get(url)",
    "importlib": "import importlib; importlib.import_module('requests').get(url)",
    "in a thread": (
        "import threading\n"
        "def run():\n"
        "    import requests; requests.get(url)\n"
        "thread = threading.Thread(target=run); thread.start(); thread.join()"
    ),
    "reloaded": "import requests, importlib; importlib.reload(requests.adapters); requests.get(url)",
    "a reloaded adapter": (
        "import requests, importlib; importlib.reload(requests.adapters)\n"
        "client = requests.Session(); client.mount('http://', requests.adapters.HTTPAdapter()); client.get(url)"
    ),
    "imported anew": (
        "import sys, httpx\n"
        "for name in list(sys.modules):\n"
        "    if name.split('.')[0] in ('httpx', 'httpcore'): del sys.modules[name]\n"
        "import httpx; httpx.get(url)"
    ),
}

SCRIPT = """
import sys
from pathlib import Path
from pytest_agenttape import use_cassette

url, path, mode = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
assert not {{"requests", "httpx", "httpx2", "httpcore", "httpcore2"}} & sys.modules.keys(), "imported too early"
with use_cassette(path, mode=mode) as session:
{body}
    assert len(session.interactions) == 1, session.interactions
"""


def run_script(source: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.variants(4)
@pytest.mark.parametrize("late", list(LATE))
def test_a_library_that_is_imported_in_the_session_is_intercepted(
    recorder: Recorder, tmp_path: Path, late: str
) -> None:
    source = SCRIPT.format(body=textwrap.indent(LATE[late], "    "))
    url = f"{recorder.provider.url}/weather?city=London"
    run_script(source, url, str(tmp_path / "c.yaml"), "all")
    run_script(source, url, str(tmp_path / "c.yaml"), "none")
    assert recorder.provider.hits == 1


@pytest.mark.usefixtures("_afresh")
def test_nothing_is_patched_in_a_run_without_a_marked_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_unmarked():
            import httpcore, httpcore2, httpx, requests
            for function in (
                httpcore.ConnectionPool.handle_request,
                httpcore.AsyncConnectionPool.handle_async_request,
                httpcore2.ConnectionPool.handle_request,
                httpcore2.AsyncConnectionPool.handle_async_request,
                requests.adapters.HTTPAdapter.send,
            ):
                assert not hasattr(function, "__wrapped__")
                assert function.__code__.co_filename == sys.modules[function.__module__].__file__
            assert not any("pytest_agenttape" in type(finder).__module__ for finder in sys.meta_path)
            assert "responses" not in sys.modules
            assert "pytest_agenttape.session.session" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-p", "no:respx", "-p", "no:pytest_httpx").assert_outcomes(passed=1)


def test_a_test_without_the_marker_reaches_its_server_beside_marked_ones(
    pytester: pytest.Pytester, recorder: Recorder
) -> None:
    pytester.makepyfile(
        f"""
        import httpx, httpx2, pytest, requests

        URL = "{recorder.provider.url}/weather?city=London"

        @pytest.mark.agenttape
        def test_marked():
            assert [library.get(URL).status_code for library in (httpx, httpx2, requests)] == [200] * 3

        def test_unmarked():
            assert [library.get(URL).status_code for library in (httpx, httpx2, requests)] == [200] * 3
        """
    )
    pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=2)
    assert recorder.provider.hits == 6
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
    assert recorder.provider.hits == 9


def test_a_client_of_the_module_is_intercepted(pytester: pytest.Pytester, recorder: Recorder) -> None:
    pytester.makepyfile(
        f"""
        import httpx, httpx2, pytest, requests

        URL = "{recorder.provider.url}/weather?city=London"
        CLIENTS = httpx.Client(), httpx2.Client(), requests.Session()

        @pytest.mark.agenttape
        def test_marked():
            assert [client.get(URL).status_code for client in CLIENTS] == [200] * 3
        """
    )
    pytester.runpytest_subprocess("--agenttape-record").assert_outcomes(passed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    assert recorder.provider.hits == 3


def test_a_stand_in_of_the_users_for_the_adapter_answers_while_it_is_there(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    import requests

    def fake(_: object, request: requests.PreparedRequest, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content, response.url = 200, b"fake", str(request.url)
        return response

    url = f"{recorder.provider.url}/weather?city=London"
    with monkeypatch.context() as patched:
        patched.setattr(requests.adapters.HTTPAdapter, "send", fake)
        assert recorder.record(lambda: requests.get(url).text) == "fake"
    assert "London" in recorder.record(lambda: requests.get(url).text)
    assert len(recorder.interactions) == 1
