"""Pytest's own ways to hide a failure do not hide a drift, and a loop that ignores one is stopped."""

from __future__ import annotations

import textwrap

import pytest
import yaml

from tests.plugin.project import Origin, Project

UNMATCHED = "E *UnmatchedInteractionError: *look_up(city='Oslo')* matches no unplayed interaction in *test_it.yaml"
HEAD = "import pytest, socket\nfrom agent import look_up\n"
ROME = "@pytest.mark.agenttape\ndef test_it():\n    look_up('Rome')\n"


def replay(project: Project, source: str, *, head: str = HEAD) -> pytest.RunResult:
    (project.path / "test_it.py").write_text(head + ROME)
    project.record().assert_outcomes(passed=1)
    lines = [line[8:] for line in source.strip("\n").splitlines()]
    (project.path / "test_it.py").write_text(head + "\n".join(lines) + "\n")
    result = project.run_apart("-W", "ignore")
    assert project.live() == []
    return result


def test_a_fixture_that_skips_when_its_service_does_not_answer(project: Project) -> None:
    result = replay(
        project,
        """
        @pytest.fixture
        def service():
            try:
                look_up("Oslo")
            except Exception:
                pytest.skip("service is down")

        @pytest.mark.agenttape
        def test_it(service):
            look_up("Rome")
        """,
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([UNMATCHED])


SKIPPING = {
    "around the call": """
        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_call(item):
            try:
                return (yield)
            except Exception:
                pytest.skip("flaky network")
    """,
    "in the report": """
        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            if report.failed:
                report.outcome, report.longrepr = "skipped", (__file__, 1, "flaky network")
            return report
    """,
}


@pytest.mark.parametrize("hook", SKIPPING.values(), ids=SKIPPING)
def test_a_hook_that_skips_what_failed(project: Project, hook: str) -> None:
    project.write(conftest="import pytest\n" + textwrap.dedent(hook))
    result = replay(
        project,
        """
        @pytest.mark.agenttape
        def test_it():
            look_up("Oslo")
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([UNMATCHED, "test_it.py:*: UnmatchedInteractionError"])


@pytest.mark.parametrize(
    ("mark", "outcome"),
    [
        ("xfail", {"failed": 1}),
        ("xfail(strict=True)", {"failed": 1}),
        ("xfail(raises=AssertionError)", {"failed": 1}),
        ("xfail(raises=UnmatchedInteractionError)", {"xfailed": 1}),
    ],
)
def test_an_expected_failure(project: Project, mark: str, outcome: dict[str, int]) -> None:
    result = replay(
        project,
        f"""
        from pytest_agenttape import UnmatchedInteractionError

        @pytest.mark.agenttape
        @pytest.mark.{mark}
        def test_it():
            look_up("Oslo")
        """,
    )
    result.assert_outcomes(**outcome)


def test_an_expected_failure_of_another_kind_that_followed_it(project: Project) -> None:
    result = replay(
        project,
        """
        @pytest.mark.agenttape
        @pytest.mark.xfail(raises=AssertionError)
        def test_it():
            try:
                look_up("Oslo")
            except Exception:
                assert 0
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *agenttape: *look_up(city='Oslo')* matches no unplayed*"])


EDITS = {
    "no response": None,
    "a status that is none": {"status": "ok", "headers": {}},
    "headers that are none": {"status": 200, "headers": 5},
    "an event that is none": {"status": 200, "headers": {"content-type": "text/event-stream"}, "events": [5]},
    "bytes that are none": {"status": 200, "headers": {}, "body_b64": "*"},
}


@pytest.mark.parametrize("response", EDITS.values(), ids=EDITS)
def test_an_answer_that_was_edited_until_it_is_none(project: Project, origin: Origin, response: object) -> None:
    (project.path / "test_it.py").write_text(
        "import contextlib, httpx, os, pytest\n\n@pytest.mark.agenttape\ndef test_it():\n"
        "    with contextlib.suppress(Exception):\n        httpx.get(os.environ['ORIGIN'])\n"
    )
    project.record().assert_outcomes(passed=1)
    cassette = yaml.safe_load(project.cassette().read_text())
    cassette["interactions"][0]["response"] = response
    project.cassette().write_text(yaml.safe_dump(cassette, sort_keys=False))
    result = project.run_apart()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *pytest_agenttape.errors.*Error: *"])
    assert len(origin.asked) == 1


ENDLESS = {
    "a call whose argument cannot be recorded": "look_up(object())",
    "a blocked connection": "socket.create_connection(('192.0.2.1', 443))",
    "a blocked look-up": "socket.getaddrinfo('agenttape.invalid', 443)",
}


@pytest.mark.parametrize("call", ENDLESS.values(), ids=ENDLESS)
def test_a_loop_that_retries_for_ever(project: Project, call: str) -> None:
    result = replay(
        project,
        f"""
        @pytest.mark.agenttape
        def test_it():
            look_up("Rome")
            while True:
                try:
                    {call}
                    break
                except Exception:
                    pass
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *pytest_agenttape.errors.*Error: *"])


def test_such_a_loop_in_a_block_of_the_users_own(project: Project) -> None:
    result = replay(
        project,
        """
        from pytest_agenttape import use_cassette

        def test_it():
            with use_cassette("test_it/test_it", cassette_dir="cassettes"):
                while True:
                    try:
                        look_up("Oslo")
                        break
                    except Exception:
                        pass
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *RunCut: run stopped after *"])


def test_an_exception_thrown_into_a_generator_that_its_recording_never_saw(project: Project) -> None:
    talk = "@pytest.mark.agenttape\ndef test_it():\n    talk = ask()\n    next(talk)\n"
    head = (
        "import contextlib, pytest\nfrom pytest_agenttape import tool\n\n"
        "@tool\ndef ask():\n    try:\n        yield 1\n    except ValueError:\n        yield 2\n\n"
    )
    (project.path / "test_it.py").write_text(f"{head}{talk}    talk.throw(ValueError())\n")
    project.record().assert_outcomes(passed=1)
    (project.path / "test_it.py").write_text(
        f"{head}{talk}    with contextlib.suppress(KeyError):\n        talk.throw(KeyError())\n"
    )
    result = project.run_apart("-W", "ignore")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *StreamingReplayError: the recording of ask had no KeyError thrown into it after item 0*"]
    )
