"""A tool must not run in a child process of a test: it would be neither recorded nor replayed."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

CALLS = """
    import concurrent.futures, multiprocessing, os, subprocess, sys
    import pytest
    from agent import look_up
    from work import swallow

    def in_pool(how):
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(how)) as pool:
            pool.submit(swallow, "Oslo").result()

    def in_script(*args, env=None):
        args = args or ("-c", "import work; work.swallow('Oslo')")
        subprocess.run([sys.executable, *args], check=True, env=env)

    def in_shell():
        script = f"cd .; {sys.executable} -c 'import work; work.swallow(\\"Oslo\\")'; true"
        subprocess.run(["sh", "-c", script], check=True, env={})
"""
WORK = """
    from agent import look_up

    def swallow(city):
        try:
            look_up(city)
        except Exception:
            pass
"""
WAYS = [
    "in_pool('fork')",
    "in_pool('spawn')",
    "in_pool('forkserver')",
    "in_script()",
    "in_script(env={})",
    "in_script('-E', '-c', 'import os, work; os.fork() and os.wait() or work.swallow(\"Oslo\")', env={'TMPDIR': '/'})",
    "in_shell()",
]


ALLOWED = "@pytest.mark.agenttape(allow_programs=['python', 'sh'])"


def write(project: Project, way: str, marker: str = ALLOWED) -> None:
    test = f"\n    {marker}\n    def test_it():\n        look_up('Rome')\n        {way}\n"
    project.write(work=WORK, test_it=CALLS + test)


@pytest.mark.variants(3)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_call_there_runs_nothing_and_fails_the_test_also_when_it_is_swallowed(project: Project, way: str) -> None:
    write(project, "pass")
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    write(project, way)
    for arguments, ran in ((), []), (("--agenttape-record",), ["look_up Rome"]):
        result = project.run_apart("-W", "ignore", *arguments)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E *Error: *Make it in the test's own process, or in a thread*"])
        assert project.live() == ran


WARM = {
    "at import": "POOL = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('{how}'))\n"
    "POOL.submit(os.getpid).result()\n",
    "in a session-scoped fixture": "@pytest.fixture(scope='session', autouse=True)\ndef pool():\n    global POOL\n"
    "    POOL = concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('{how}'))\n"
    "    POOL.submit(os.getpid).result()\n",
}


@pytest.mark.variants(3)
@pytest.mark.parametrize("how", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("where", WARM)
def test_a_worker_that_is_older_than_the_first_test_is_refused_too(project: Project, where: str, how: str) -> None:
    write(project, "pass")
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    write(project, "POOL.submit(swallow, 'Oslo').result()")
    path = project.path / "test_it.py"
    head, marker, test = path.read_text().partition(ALLOWED)
    warm = WARM[where].format(how=how)
    main = "multiprocessing.parent_process() is None"
    path.write_text(head + (f"if {main}:\n" + "".join(f"    {line}\n" for line in warm.splitlines())) + marker + test)
    for arguments, ran in ((), []), (("--agenttape-record",), ["look_up Rome"]):
        result = project.run_apart("-W", "ignore", *arguments)
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["E *Error: *Make it in the test's own process, or in a thread*"])
        assert project.live() == ran


def test_a_forked_child_is_served_nothing(project: Project) -> None:
    write(project, "look_up('Oslo')")
    project.record().assert_outcomes(passed=1)
    write(project, "in_pool('fork'); in_pool('fork'); look_up('Oslo')")
    result = project.run_apart("-W", "ignore")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *AgentTapeError: a call was made in a forked child of test_it.py::test_it, where *"]
    )


def test_a_program_of_a_wide_fixture_calls_what_it_likes(project: Project) -> None:
    project.write(
        server="""
        from http.server import BaseHTTPRequestHandler, HTTPServer
        from agent import look_up

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = look_up("served")["city"].encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            def log_message(self, *_): pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_port, flush=True)
        server.serve_forever()
        """,
        test_it="""
        import httpx, pytest, subprocess, sys

        @pytest.mark.agenttape
        def test_before(): pass

        @pytest.fixture(scope="module")
        def url():
            server = subprocess.Popen([sys.executable, "server.py"], stdout=subprocess.PIPE, text=True)
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
            server.kill()
            server.wait()

        @pytest.mark.agenttape
        def test_it(url):
            assert httpx.get(url).text == "served"
        """,
    )
    project.run_apart("--agenttape-record").assert_outcomes(passed=2)
    assert project.live() == ["look_up served"]
    project.run_apart().assert_outcomes(passed=2)
    assert project.live() == []


def test_an_mcp_server_calls_what_it_likes_while_it_is_recorded(project: Project) -> None:
    project.write(
        server="""
        import json, sys
        from agent import look_up

        for line in sys.stdin:
            asked = json.loads(line)
            if asked["method"] == "initialize":
                version = asked["params"]["protocolVersion"]
                info = {"name": "desk", "version": "1"}
                result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}
            elif asked["method"] == "tools/call":
                result = {"content": [{"type": "text", "text": look_up("Rome")["answer"]}]}
            else:
                result = {"tools": [{"name": "ask", "inputSchema": {"type": "object"}}]}
            if "id" in asked:
                print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
        """,
        test_it="""
        import sys, pytest
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client

        @pytest.mark.agenttape
        @pytest.mark.asyncio
        async def test_it():
            async with stdio_client(StdioServerParameters(command=sys.executable, args=["server.py"])) as pipes:
                async with ClientSession(*pipes) as client:
                    await client.initialize()
                    answer = await client.call_tool("ask", {"city": "Rome"})
                    assert answer.content[0].text == "old"
        """,
    )
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome"]
    project.run_apart().assert_outcomes(passed=1)
    assert project.live() == []


@pytest.mark.parametrize("swallow", ["work.swallow('Oslo')", "pass"])
def test_a_child_of_what_belongs_to_no_test_fails_the_run(project: Project, swallow: str) -> None:
    write(project, "pass")
    project.write(
        conftest=f"""
        import subprocess, sys
        def pytest_runtest_logfinish():
            subprocess.run([sys.executable, "-c", "import work; {swallow}"], check=True, env={{}})
        """
    )
    project.record()
    result = project.run_apart()
    result.assert_outcomes(passed=1)
    assert result.ret == (0 if swallow == "pass" else 1)
    if swallow != "pass":
        result.stdout.fnmatch_lines(["refused: a call was made in a child process of one that records or replays, *"])
    assert project.live() == []


@pytest.mark.variants(3)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_the_children_of_an_unmarked_test_run_as_they_did(project: Project, way: str) -> None:
    write(project, way, marker="")
    project.write(test_before="@__import__('pytest').mark.agenttape\ndef test_it(): pass")
    project.run_apart("-W", "ignore", "--agenttape-record").assert_outcomes(passed=2)
    assert project.live() == ["look_up Rome", "look_up Oslo"]


def test_a_child_with_a_session_of_its_own_is_no_concern_of_its_parents(project: Project) -> None:
    project.write(
        child="""
        import sys
        from pytest_agenttape import use_cassette
        from agent import look_up

        with use_cassette("child", mode=sys.argv[1]):
            look_up("Oslo")
        """,
        test_it="""
        import pytest, subprocess, sys

        @pytest.mark.agenttape(allow_programs=["python"])
        def test_it(request):
            mode = "all" if request.config.getoption("--agenttape-record") else "none"
            subprocess.run([sys.executable, "child.py", mode], check=True)
        """,
    )
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Oslo"]
    project.run_apart().assert_outcomes(passed=1)
    assert project.live() == []
