"""A fixture wider than a test has no cassette: its calls in replay are refused, and the error says what to do."""

from __future__ import annotations

import pytest

from tests.plugin.project import Origin, Project

WIDE = """
    import os, threading, urllib.request, httpx, pytest, requests
    from agent import look_up
    from pytest_agenttape import use_cassette

    @pytest.fixture(scope="{scope}")
    def wide():
        {body}

    @pytest.mark.agenttape
    def test_it(wide):
        look_up("Rome")

    @pytest.mark.agenttape
    def test_other(wide):
        look_up("Oslo")
"""
HI = '{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'
LLM = f'httpx.post(os.environ["ORIGIN"] + "/v1/chat/completions", json={HI})'


@pytest.mark.parametrize("scope", ["session", "package", "module", "class"])
def test_a_tool_is_refused_by_the_fixtures_name(project: Project, scope: str) -> None:
    project.write(test_it=WIDE.format(scope=scope, body='look_up("early")'))
    result = project.run("--agenttape-record")
    result.assert_outcomes(passed=2, warnings=2 if scope == "class" else 1)
    result.stdout.fnmatch_lines(
        [
            f"*AgentTapeWarning: the {scope}-scoped fixture 'wide' made calls that no cassette has; a replay refuses *",
            "*make the fixture function-scoped, or open a cassette in it: with use_cassette('name'): ...",
        ]
    )
    assert sorted(set(project.live())) == ["look_up Oslo", "look_up Rome", "look_up early"]
    assert project.calls("test_it/test_it.yaml") == ["Rome"]
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            f"E *AgentTapeError: a call to the tool look_up was made by the {scope}-scoped fixture 'wide', which is "
            "set up before any test's cassette is open; nothing ran for real",
            "E *make the fixture function-scoped, or open a cassette in it: with use_cassette('name'): ...",
        ]
    )
    assert project.live() == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("setup_module", "def setup_module(): look_up('early')\nclass TestIt:"),
        ("setup_class", "class TestIt:\n    @classmethod\n    def setup_class(cls): look_up('early')"),
        ("setUpClass", "class TestIt(unittest.TestCase):\n    @classmethod\n    def setUpClass(cls): look_up('early')"),
    ],
)
def test_set_up_in_the_style_of_unittest_is_refused_by_its_own_name(project: Project, name: str, source: str) -> None:
    head = "import unittest, pytest\nfrom agent import look_up\npytestmark = pytest.mark.agenttape\n"
    (project.path / "test_it.py").write_text(f"{head}{source}\n    def test_it(self): look_up('Rome')\n")
    project.record().assert_outcomes(passed=1)
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"E *a call to the tool look_up was made by {name}, which is set up before *"])
    assert project.live() == []


SWALLOWS = {
    "goes on": "except Exception: pass",
    "skips": "except Exception: pytest.skip('no service')",
    "is expected to fail": "except Exception: pytest.xfail('no service')",
    "goes on and is torn down": "except Exception: yield",
}


@pytest.mark.parametrize("swallow", SWALLOWS.values(), ids=SWALLOWS)
def test_also_when_the_fixture_swallows_it_and(project: Project, swallow: str) -> None:
    body = f'try: look_up("early")\n        {swallow}'
    project.write(test_it=WIDE.format(scope="session", body='look_up("early")'))
    project.record().assert_outcomes(passed=2)
    project.write(test_it=WIDE.format(scope="session", body=body))
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["E *a call to the tool look_up was made by the session-scoped fixture 'wide', *"] * 2)
    assert project.live() == []


def test_an_llm_call_is_refused(project: Project, origin: Origin) -> None:
    project.write(test_it=WIDE.format(scope="session", body=LLM))
    project.run("--agenttape-record").assert_outcomes(passed=2)
    asked = len(origin.asked)
    result = project.run()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["E *a call to the llm openai.chat was made by the session-scoped fixture 'wide', *"])
    assert len(origin.asked) == asked


@pytest.mark.parametrize(
    "ask",
    [
        "httpx.get(os.environ['ORIGIN'] + '/health')",
        "requests.get(os.environ['ORIGIN'] + '/health')",
        "urllib.request.urlopen(os.environ['ORIGIN'] + '/health').read()",
    ],
    ids=["httpx", "requests", "urllib"],
)
def test_it_may_ask_a_server_on_this_machine_whether_it_is_up(project: Project, origin: Origin, ask: str) -> None:
    project.write(test_it=WIDE.format(scope="session", body=ask))
    project.record().assert_outcomes(passed=2, warnings=0)
    project.run().assert_outcomes(passed=2)
    assert origin.asked == ["/health"] * 2
    assert project.live() == []


def test_a_cassette_that_it_opens_itself_is_its_own(project: Project) -> None:
    body = 'with use_cassette("warm", mode="once"): look_up("early")'
    project.write(test_it=WIDE.format(scope="session", body=body))
    project.record().assert_outcomes(passed=2, warnings=0)
    project.run("--agenttape-strict").assert_outcomes(passed=2)
    assert project.live() == []
    assert project.calls("warm.yaml") == ["early"]
    assert project.calls("test_it/test_it.yaml") == ["Rome"]


def test_a_cassette_that_stays_open_is_for_what_is_called_in_it_alone(project: Project) -> None:
    body = 'with use_cassette("warm", mode="once"):\n            look_up("early")\n            yield'
    project.write(test_it=WIDE.format(scope="session", body=body))
    project.record().assert_outcomes(passed=2)
    project.run().assert_outcomes(passed=2)
    assert project.live() == []
    assert project.calls("warm.yaml") == ["early"]
    assert project.calls("test_it/test_other.yaml") == ["Oslo"]


def test_a_server_that_it_starts_answers_during_the_tests(project: Project) -> None:
    project.write(
        test_it="""
        import http.server, threading, urllib.request, httpx, pytest
        from agent import look_up

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                look_up("inside the server")
                self.send_response(204)
                self.end_headers()
            def log_message(self, *_): pass

        @pytest.fixture(scope="session")
        def server():
            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown(); server.server_close(); thread.join()

        @pytest.mark.agenttape
        def test_it(server): look_up("Rome"); assert httpx.get(server).status_code == 204

        @pytest.mark.agenttape
        def test_other(server): look_up("Oslo"); assert httpx.get(server).status_code == 204
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=2)
    project.live()
    project.run().assert_outcomes(passed=2)
    assert project.live() == []


def test_asked_for_in_the_middle_of_a_test_its_calls_are_not_the_tests(project: Project) -> None:
    source = WIDE.format(scope="session", body='look_up("early")').replace("(wide)", "(request)")
    project.write(test_it=source.replace('look_up("Rome")', 'request.getfixturevalue("wide")'))
    for args in (["--agenttape-record"], []):
        result = project.run(*args, "-k", "test_it.py and not other")
        result.assert_outcomes(failed=1, deselected=1)
        result.stdout.fnmatch_lines(["E *was made by the session-scoped fixture 'wide'*"])
        assert project.live() == []


def test_in_a_test_without_a_marker_it_is_free(project: Project) -> None:
    project.write(
        test_it=WIDE.format(scope="session", body='look_up("early")').replace(
            "    @pytest.mark.agenttape\n    def test_it", "    def test_it"
        )
    )
    project.run("-k", "not other").assert_outcomes(passed=1, deselected=1)
    assert project.live() == ["look_up early", "look_up Rome"]


def test_async_wide_fixtures_too(project: Project) -> None:
    project.write(
        test_it="""
        import pytest, pytest_asyncio
        from agent import look_up

        @pytest_asyncio.fixture(scope="module", loop_scope="module")
        async def wide():
            look_up("early")
            yield

        @pytest.mark.agenttape
        @pytest.mark.asyncio(loop_scope="module")
        async def test_it(wide):
            look_up("Rome")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.calls() == ["Rome"]
    project.live()
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["E *was made by the module-scoped fixture 'wide'*"])
    assert project.live() == []


@pytest.mark.parametrize("swallow", ["finally: pass", *SWALLOWS.values()][:4], ids=["raises", *SWALLOWS][:4])
def test_what_the_configuration_asks_for_makes_no_call_either(project: Project, swallow: str) -> None:
    project.write(
        test_it=f"""
        import pytest
        from agent import look_up

        @pytest.fixture
        def helper():
            try: look_up("early")
            {swallow}

        @pytest.fixture
        def agenttape_config(helper):
            return {{"strict": True}}

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up early", "look_up Rome"]
    result = project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "E *AgentTapeError: a call to the tool look_up was made by the fixture 'agenttape_config' or "
            "*nothing ran for real*"
        ]
    )
    assert project.live() == []


def test_a_configuration_may_ask_for_any_fixture(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os, httpx, pytest
        from agent import look_up
        from pytest_agenttape import use_cassette

        @pytest.fixture(scope="session")
        def service():
            httpx.get(os.environ["ORIGIN"] + "/up")
            return {"strict": True}

        @pytest.fixture
        def known(service):
            with use_cassette("known", mode="once"):
                look_up("early")
            return service

        @pytest.fixture
        def agenttape_config(known):
            return known

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up early", "look_up Rome"]
    project.run().assert_outcomes(passed=1)
    assert project.live() == []
    assert origin.asked == ["/up", "/up"]


@pytest.mark.parametrize("where", ["setup", "teardown"])
def test_a_wide_fixture_may_ask_an_ignored_host(project: Project, origin: Origin, where: str) -> None:
    ask = "httpx2.post(os.environ['ORIGIN'] + '/v1/chat/completions', json={'model': 'm', 'messages': []})"
    project.write(
        test_it=f"""
        import os
        import httpx2, pytest
        from agent import look_up

        @pytest.fixture(scope="module")
        def warm():
            {ask if where == "setup" else "pass"}
            yield
            {ask if where == "teardown" else "pass"}

        @pytest.mark.agenttape(ignore_hosts=["127.0.0.1"])
        def test_it(warm):
            look_up("Rome")
        """
    )
    project.run("--agenttape-record").assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
    assert len(origin.asked) == 2


def test_what_its_thread_sleeps_moves_the_agents_clock_neither_in_recording_nor_in_replay(project: Project) -> None:
    project.write(
        test_it="""
            import queue, threading, time
            from datetime import datetime
            import pytest
            from agent import look_up

            @pytest.fixture(scope="module")
            def clerk():
                asked, done = queue.SimpleQueue(), queue.SimpleQueue()

                def work():
                    while (seconds := asked.get()) is not None:
                        done.put(time.sleep(seconds))

                threading.Thread(target=work).start()
                yield lambda: (asked.put(0.05), done.get())
                asked.put(None)

            @pytest.mark.agenttape
            def test_it(clerk):
                clerk()
                look_up(datetime.now().isoformat())
        """
    )
    project.record().assert_outcomes(passed=1)
    project.run().assert_outcomes(passed=1)
