"""The first call that drifts fails the test, whatever the agent does with the exception."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

RECORDED = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""
HEAD = """\
import asyncio, concurrent.futures, contextlib, threading, pytest
from agent import look_up

def lost():
    look_up("Oslo")

async def lost_later():
    look_up("Oslo")

"""
UNMATCHED = (
    "E *UnmatchedInteractionError: *look_up(city='Oslo')* matches no unplayed interaction in cassettes/*test_it.yaml"
)

SWALLOWERS = {
    "except Exception": """
        try:
            look_up("Oslo")
        except Exception:
            pass
    """,
    "bare except": """
        try:
            look_up("Oslo")
        except:
            pass
    """,
    "contextlib.suppress": """
        with contextlib.suppress(Exception):
            look_up("Oslo")
    """,
    "a return in finally": """
        def agent():
            try:
                look_up("Oslo")
            finally:
                return None
        agent()
    """,
    "a thread": """
        thread = threading.Thread(target=lost)
        thread.start()
        thread.join()
    """,
    "an executor whose result nobody asks for": """
        with concurrent.futures.ThreadPoolExecutor() as pool:
            pool.submit(lost)
    """,
    "gather(return_exceptions=True)": """
        async def main():
            return await asyncio.gather(lost_later(), lost_later(), return_exceptions=True)
        asyncio.run(main())
    """,
    "a task that is never awaited": """
        async def main():
            task = asyncio.create_task(lost_later())
            await asyncio.sleep(0.01)
        asyncio.run(main())
    """,
    "asyncio.to_thread": """
        async def main():
            with contextlib.suppress(Exception):
                await asyncio.to_thread(lost)
        asyncio.run(main())
    """,
    "an agent that skips": """
        try:
            look_up("Oslo")
        except Exception as error:
            pytest.skip(f"no service: {error}")
    """,
    "an agent that gives up with xfail": """
        try:
            look_up("Oslo")
        except Exception as error:
            pytest.xfail("no service")
    """,
    "a loop that retries for ever": """
        while True:
            try:
                look_up("Oslo")
                break
            except Exception:
                continue
    """,
    "an async loop that retries for ever": """
        async def main():
            while True:
                try:
                    await lost_later()
                    break
                except Exception:
                    await asyncio.sleep(0)
        asyncio.run(main())
    """,
    "a pytest.raises of the wrong place": """
        with pytest.raises(Exception):
            look_up("Oslo")
    """,
}


def replay(project: Project, body: str, *, head: str = HEAD, signature: str = "def test_it()") -> pytest.RunResult:
    project.write(test_it=RECORDED)
    project.record().assert_outcomes(passed=1)
    lines = [line[4:] for line in body.strip("\n").splitlines()]
    source = head + f"@pytest.mark.agenttape\n{signature}:\n" + "\n".join(lines) + "\n"
    (project.path / "test_it.py").write_text(source)
    result = project.run("-W", "ignore")
    assert project.live() == []
    return result


@pytest.mark.parametrize("body", SWALLOWERS.values(), ids=SWALLOWERS)
def test_it_fails_a_test_that_swallowed_it_in(project: Project, body: str) -> None:
    result = replay(project, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["____* test_it *____", UNMATCHED])


@pytest.mark.parametrize("name", ["except Exception", "a thread", "gather(return_exceptions=True)"])
def test_its_traceback_ends_at_the_line_that_called(project: Project, name: str) -> None:
    result = replay(project, SWALLOWERS[name])
    result.stdout.fnmatch_lines(['>*look_up("Oslo")', "E *UnmatchedInteractionError*", "test_it.py:*Error"])
    for internal in ("pytest_agenttape/", "asyncio/", "threading.py", "concurrent/"):
        result.stdout.no_fnmatch_line(f"*{internal}*.py:*")


def test_it_is_added_to_another_exception_that_surfaced(project: Project) -> None:
    result = replay(
        project,
        """
        try:
            look_up("Oslo")
        except Exception as error:
            raise RuntimeError("the agent gave up") from error
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *RuntimeError: the agent gave up", "E *agenttape: *look_up(city='Oslo')* matches no unplayed*"]
    )


def test_it_is_added_to_a_failed_assertion(project: Project) -> None:
    result = replay(
        project,
        """
        answer = None
        with contextlib.suppress(Exception):
            answer = look_up("Oslo")
        assert answer is not None
        """,
    )
    result.stdout.fnmatch_lines(
        ["E *assert None is not None", "E *agenttape: *look_up(city='Oslo')* matches no unplayed*"]
    )


def test_pytest_fail_gets_it_too(project: Project) -> None:
    result = replay(
        project,
        """
        with contextlib.suppress(Exception):
            look_up("Oslo")
        pytest.fail("no answer")
        """,
    )
    result.stdout.fnmatch_lines(["E *Failed: no answer", "E *agenttape: *look_up(city='Oslo')* matches no unplayed*"])


def test_every_further_call_fails_at_once_also_one_that_would_match(project: Project) -> None:
    result = replay(
        project,
        """
        for city in ("Oslo", "Rome"):
            try:
                print(look_up(city))
            except Exception as error:
                print(city, "->", type(error).__name__)
        """,
    )
    result.stdout.fnmatch_lines(["Oslo -> UnmatchedInteractionError", "Rome -> UnmatchedInteractionError"])


def test_a_loop_is_cut_after_a_few_calls(project: Project) -> None:
    result = replay(
        project,
        """
        calls = 0
        while calls < 1000:
            try:
                calls += 1
                print("attempt", calls)
                look_up("Oslo")
            except Exception:
                pass
        """,
    )
    result.stdout.fnmatch_lines(["attempt 11"])
    result.stdout.no_fnmatch_line("attempt 13")


def test_a_recording_asked_for_once_too_often_is_one(project: Project) -> None:
    result = replay(
        project,
        """
        look_up("Rome")
        with contextlib.suppress(Exception):
            look_up("Rome")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError*", "E *already played*"])


def test_something_frozen_without_a_recording_is_one_also_while_recording(project: Project) -> None:
    project.write(test_it=RECORDED.replace("look_up(", "[look_up(").replace('")', '")]'))
    project.record().assert_outcomes(passed=1)
    project.write(
        test_it="""
        import contextlib, pytest
        from agent import look_up

        @pytest.mark.agenttape(frozen="look_up")
        def test_it():
            with contextlib.suppress(Exception):
                look_up("Oslo")
        """
    )
    result = project.run("--agenttape-record")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([UNMATCHED])
    assert project.live() == []


def test_in_a_fixtures_set_up(project: Project) -> None:
    head = HEAD + "@pytest.fixture\ndef warm():\n    with contextlib.suppress(Exception):\n        lost()\n\n"
    result = replay(project, "        look_up('Rome')", head=head, signature="def test_it(warm)")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([UNMATCHED])


def test_in_a_fixtures_set_up_that_fails_with_it(project: Project) -> None:
    head = HEAD + "@pytest.fixture\ndef warm():\n    lost()\n\n"
    result = replay(project, "        look_up('Rome')", head=head, signature="def test_it(warm)")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*ERROR at setup of test_it*", UNMATCHED])


def test_in_a_fixtures_teardown(project: Project) -> None:
    head = (
        HEAD + "@pytest.fixture\ndef warm():\n    yield\n    with contextlib.suppress(Exception):\n        lost()\n\n"
    )
    result = replay(project, "        look_up('Rome')", head=head, signature="def test_it(warm)")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it*", UNMATCHED])


@pytest.mark.parametrize("body", ["self.fail('no')", "pass"], ids=["another failure", "nothing else"])
def test_in_a_unittest_test_case(project: Project, body: str) -> None:
    project.write(
        test_it="""
        import contextlib, pytest, unittest
        from agent import look_up

        @pytest.mark.agenttape
        class TestIt(unittest.TestCase):
            def test_it(self):
                look_up("Rome")
        """
    )
    project.record().assert_outcomes(passed=1)
    text = (project.path / "test_it.py").read_text()
    bad = f'with contextlib.suppress(Exception):\n            look_up("Oslo")\n        {body}'
    (project.path / "test_it.py").write_text(text.replace('look_up("Rome")', bad))
    result = project.run()
    result.assert_outcomes(failed=1)
    line = UNMATCHED if body == "pass" else "E *agenttape: *look_up(city='Oslo')* matches no unplayed*"
    result.stdout.fnmatch_lines([line])


SDK = """
    import os, pytest

    @pytest.mark.agenttape
    def test_it():
        {ask}
        try:
            {call}
        except Exception as error:
            print("the agent saw", type(error).__name__)
"""
SDKS = {
    "anthropic": (
        'import anthropic; client = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1:9")',
        'client.messages.create(model="m", max_tokens=5, messages=[{"role": "user", "content": "hi"}])',
    ),
    "openai": (
        'import openai; client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1")',
        'client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])',
    ),
}


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_that_retries_and_wraps_does_not_hide_it(project: Project, name: str) -> None:
    pytest.importorskip(name)
    ask, call = SDKS[name]
    project.write(test_it=RECORDED)
    project.record()
    project.write(test_it=SDK.format(ask=ask, call=call))
    result = project.run_apart()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [">*client.*create(*", "E *UnmatchedInteractionError: POST * matches no unplayed interaction in *test_it.yaml"]
    )
    result.stdout.no_fnmatch_line("*site-packages*")
