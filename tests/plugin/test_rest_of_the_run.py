"""In a run that replays, what belongs to no test runs nothing and fails the run; an unmarked test is free."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from tests.plugin.project import Origin, Project

MADE = "a call to the tool look_up was made by code that belongs to no test, in a run that only replays; nothing ran"
REFUSED = f"refused: {MADE} for real ({{}})"
TEST = """
        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
"""
AFTER = "import sys\ndef pytest_runtest_logfinish():\n    sys.modules['test_it'].go.set()\n"
AFTER += "    sys.modules['test_it'].done.wait(5)\n"
# By what makes the call: the tests, the place that the summary shows, and the conftest.
OUTSIDE = {
    "a worker of a session fixture, after the test that gave it a job": (
        """
        import queue, threading
        go, done = threading.Event(), threading.Event()

        def work(jobs):
            while (job := jobs.get()) is not None:
                go.wait(5)
                try:
                    look_up(job)
                except Exception:
                    pass
                done.set()

        @pytest.fixture(scope="session")
        def jobs():
            jobs = queue.Queue()
            thread = threading.Thread(target=work, args=(jobs,), name="worker")
            thread.start()
            yield jobs
            jobs.put(None)
            thread.join()

        @pytest.mark.agenttape
        def test_it(jobs):
            look_up("Rome")
            jobs.put("late")

        @pytest.mark.agenttape
        def test_last():
            assert done.is_set()
        """,
        "test_it.py:10, thread 'worker'",
        AFTER,
    ),
    "a thread without a Thread": (
        """
        import _thread, threading
        go, done = threading.Event(), threading.Event()

        def late():
            go.wait(5)
            try:
                look_up("late")
            except Exception:
                pass
            done.set()

        _thread.start_new_thread(late, ())

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")

        @pytest.mark.agenttape
        def test_last():
            assert done.is_set()
        """,
        "test_it.py:9, thread 'Dummy-*'",
        AFTER,
    ),
    "a finalizer": (
        """
        class Memory:
            def __del__(self):
                look_up("late")

        @pytest.mark.agenttape
        def test_it(request):
            look_up("Rome")
            request.session.memory = Memory()
        """,
        "test_it.py:5",
        "def pytest_sessionfinish(session):\n    del session.memory\n",
    ),
    "a hook before the test": (TEST, "conftest.py:4", "def pytest_runtest_setup():\n    {}\n"),
    "a hook after the test": (TEST, "conftest.py:4", "def pytest_runtest_logfinish():\n    {}\n"),
    "a hook at the end": (TEST, "conftest.py:4", "def pytest_sessionfinish():\n    {}\n"),
}
HEAD = "import pytest\nfrom agent import look_up\n"
SWALLOWED = "try: look_up('late')\n    except Exception: pass"


def write(project: Project, source: str, conftest: str = "") -> None:
    lines = [line[8:] for line in source.strip("\n").splitlines()]
    (project.path / "test_it.py").write_text(HEAD + "\n".join(lines) + "\n")
    (project.path / "conftest.py").write_text(f"from agent import look_up\n\n{conftest}")


@pytest.mark.parametrize(("source", "place", "conftest"), OUTSIDE.values(), ids=OUTSIDE)
def test_the_run_fails_by(project: Project, source: str, place: str, conftest: str) -> None:
    write(project, source, conftest.format(SWALLOWED))
    tests = source.count("def test_")
    project.record().assert_outcomes(passed=tests)
    result = project.run("-W", "ignore")
    assert result.parseoutcomes() == {"passed": tests}
    result.stdout.fnmatch_lines([REFUSED.format(place)])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.live() == []


def test_a_task_that_outlives_its_test_on_the_loop_of_the_session_fails_what_runs_by_then(project: Project) -> None:
    write(
        project,
        """
        import asyncio, contextlib, pytest_asyncio

        async def consume(jobs):
            while True:
                await jobs.get()
                await asyncio.sleep(0.02)
                with contextlib.suppress(Exception):
                    look_up("late")

        @pytest_asyncio.fixture(scope="session", loop_scope="session")
        async def jobs():
            jobs = asyncio.Queue()
            task = asyncio.create_task(consume(jobs))
            yield jobs
            await asyncio.sleep(0.1)
            task.cancel()

        @pytest.mark.agenttape
        @pytest.mark.asyncio(loop_scope="session")
        async def test_it(jobs):
            look_up("Rome")
            jobs.put_nowait(1)
        """,
    )
    project.record().assert_outcomes(passed=1)
    result = project.run()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["E *the tool look_up was made by the teardown of the session-scoped fixture 'jobs', *"]
    )
    assert project.live() == []


@pytest.mark.skipif(find_spec("greenlet") is None, reason="greenlet is not installed")
def test_the_run_fails_by_a_greenlet_that_outlives_its_test(project: Project) -> None:
    write(
        project,
        """
        import greenlet

        @pytest.mark.agenttape
        def test_it(request):
            look_up("Rome")
            request.session.late = greenlet.greenlet(lambda: look_up("late"))
        """,
        "def pytest_runtest_logfinish():\n    pass\ndef pytest_sessionfinish(session):\n    session.late.switch()\n",
    )
    project.record()
    result = project.run_apart()
    result.stderr.fnmatch_lines([f"*{MADE}*"])
    assert result.ret != 0
    assert project.live() == []


@pytest.mark.parametrize("when", ["pytest_unconfigure", "atexit", "a thread"])
def test_a_call_after_the_summary_fails_the_process(project: Project, when: str) -> None:
    late = "def late():\n    try: look_up('late')\n    except Exception: pass\n"
    at = {
        "pytest_unconfigure": "def pytest_unconfigure(): late()",
        "atexit": "import atexit\natexit.register(late)",
        "a thread": "import threading\n"
        "def wait():\n    threading.main_thread().join()\n    late()\nthreading.Thread(target=wait).start()",
    }
    write(project, TEST, late + at[when])
    project.run_apart("--agenttape-record").assert_outcomes(passed=1)
    assert project.live() == ["look_up Rome", "look_up late"]
    result = project.run_apart()
    result.assert_outcomes(passed=1)
    result.stderr.fnmatch_lines([f"agenttape: {MADE} for real (conftest.py:4*)"])
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if when == "pytest_unconfigure" else 120)
    assert project.live() == []


LATE = "a call for test_it.py::test_it was made after it had ended; nothing ran for real."


@pytest.mark.parametrize("arguments", [(), ("--agenttape-record",)], ids=["replay", "record"])
def test_a_late_call_of_the_last_test_fails_the_run(project: Project, arguments: tuple[str, ...]) -> None:
    write(
        project,
        """
        import contextlib, threading
        go, done = threading.Event(), threading.Event()

        def late():
            go.wait(5)
            with contextlib.suppress(Exception):
                look_up("late")
            done.set()

        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
            threading.Thread(target=late, name="mine").start()
        """,
        AFTER,
    )
    project.run("--agenttape-record")
    project.live()
    result = project.run(*arguments)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"refused: {LATE}* (test_it.py:9, thread 'mine')"])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.live() == (["look_up Rome"] if arguments else [])


def test_a_worker_of_xdist_tells_of_it_too(project: Project) -> None:
    write(project, TEST, OUTSIDE["a hook after the test"][2].format(SWALLOWED))
    project.record()
    result = project.run_apart("-p", "xdist.plugin", "-n1")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([REFUSED.format("conftest.py:4")])
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_called_pytest_as_a_function_goes_on_after_it(project: Project) -> None:
    write(project, TEST)
    project.record()
    project.write(main="import pytest, agent\npytest.main(['-q'])\nagent.look_up('mine')")
    project.pytester.runpython("main.py")
    assert project.live() == ["look_up mine"]


HI = "{'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}]}"


def test_hooks_and_plugins_may_report_over_http_but_not_ask_a_model(project: Project, origin: Origin) -> None:
    write(
        project,
        TEST,
        "import contextlib, httpx, os\ndef pytest_runtest_logfinish():\n"
        "    httpx.post(os.environ['ORIGIN'].replace('127.0.0.1', 'localhost') + '/report', json={})\n"
        "def pytest_sessionfinish():\n"
        "    with contextlib.suppress(Exception):\n"
        f"        httpx.post(os.environ['ORIGIN'] + '/v1/chat/completions', json={HI})\n",
    )
    project.record()
    origin.asked.clear()
    result = project.run()
    result.stdout.fnmatch_lines(
        ["refused: a call to the llm openai.chat was made by code that belongs to no test, * (conftest.py:8)"]
    )
    assert origin.asked == ["/report"]


def test_an_unmarked_test_may_call_anything_from_its_hooks_and_threads(project: Project) -> None:
    write(
        project,
        TEST
        + """
        def test_other():
            import threading
            thread = threading.Thread(target=look_up, args=("mine",))
            thread.start()
            thread.join()
        """,
        "def pytest_runtest_setup(item):\n    if item.name == 'test_other': look_up('hook')\n",
    )
    project.record().assert_outcomes(passed=2)
    result = project.run()
    result.assert_outcomes(passed=2)
    assert result.ret == 0
    assert project.live() == ["look_up hook", "look_up mine"]


READ_ON = {
    "a generator": ("def rows(n):", "def test_{}():", "next(kept[0])"),
    "an async generator": ("async def rows(n):", "async def test_{}():", "await anext(kept[0])"),
}


@pytest.mark.parametrize("flag", [(), ("--agenttape-record",)], ids=["replay", "record"])
@pytest.mark.parametrize(("rows", "test", "read"), READ_ON.values(), ids=READ_ON)
def test_a_generator_that_the_next_test_reads_on_fails_that_test(
    project: Project, rows: str, test: str, read: str, flag: tuple[str, ...]
) -> None:
    def source(second: str) -> str:
        return "\n".join(
            (
                "import contextlib, pytest\nfrom pytest_agenttape import tool\nkept = []\n@tool\n" + rows,
                "    for each in range(n): yield each",
                "@pytest.mark.agenttape\n" + test.format("first"),
                f"    kept[:] = [rows(3)]\n    assert {read} == 0",
                "@pytest.mark.agenttape\n" + test.format("second"),
                f"    with contextlib.suppress(Exception): {second}",
            )
        )

    project.ini("asyncio_mode = auto\nasyncio_default_test_loop_scope = module")
    project.write(test_it=source("pass"))
    project.record().assert_outcomes(passed=2)
    project.write(test_it=source(read))
    result = project.run(*flag)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*a generator of rows was read after test_it.py::test_first, which began it, had ended*"]
    )
