"""A loop that goes on after its verdict is stopped, and whatever has to be done after it is done."""

from __future__ import annotations

import pytest

from tests.plugin.project import Project

HEAD = "import queue, threading, time, pytest\nfrom agent import look_up, note\n"
FOREVER = """
def forever():
    while True:
        try:
            return look_up("Oslo")
        except Exception:
            pass
"""
RECORDED = "@pytest.mark.agenttape\ndef test_it(): look_up('Rome')\n"
STOPPED = "E *Failed: run stopped after 10 more calls; it had already failed: look_up(city='Oslo') matches *"


@pytest.fixture
def recorded(project: Project) -> Project:
    (project.path / "test_it.py").write_text(HEAD + RECORDED + RECORDED.replace("test_it", "test_next"))
    project.record().assert_outcomes(passed=2)
    return project


def replay(project: Project, source: str) -> pytest.RunResult:
    (project.path / "test_it.py").write_text(HEAD + FOREVER + source)
    return project.run("-W", "ignore")


IN_TEARDOWN = {
    "a fixture": "@pytest.fixture\ndef agent(database):\n    yield\n    forever()\n",
    "a finalizer": "@pytest.fixture\ndef agent(database, request):\n    request.addfinalizer(forever)\n",
    "a loop that reads the clock": "@pytest.fixture\ndef agent(database):\n    yield\n    end = time.time() + 60\n"
    "    while True:\n        try:\n            if time.time() > end: break\n        except Exception: pass\n",
}


@pytest.mark.parametrize("agent", IN_TEARDOWN.values(), ids=IN_TEARDOWN)
def test_in_a_teardown_the_other_finalizers_run_and_the_next_test_has_its_session(
    recorded: Project, agent: str
) -> None:
    result = replay(
        recorded,
        f"""
@pytest.fixture
def database():
    yield
    note("rolled back")

{agent}
@pytest.mark.agenttape
def test_it(agent): look_up("Rome")

@pytest.mark.agenttape
def test_next(): look_up("Rome")
""",
    )
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines([STOPPED if "forever" in agent else "E *Failed: the clock was read *"])
    assert recorded.live() == ["rolled back"]


@pytest.mark.parametrize("caught", ["Exception", "BaseException"])
@pytest.mark.parametrize("when", ["setup", "teardown"])
def test_in_a_wide_fixture_it_is_stopped_too(recorded: Project, when: str, caught: str) -> None:
    body = "forever()\n    yield" if when == "setup" else "yield\n    forever()"
    fixture = f"@pytest.fixture(scope='module', autouse=True)\ndef agent():\n    {body}\n{RECORDED}"
    result = replay(recorded, FOREVER.replace("Exception", caught) + fixture)
    assert result.parseoutcomes()["errors"] == 1
    result.stdout.fnmatch_lines(["stopped after 100 refused calls: a call to the tool look_up was made by *"])


WORKER = """
def work(asked, answered):
    while True:
        city = asked.get()
        try:
            answered.put(look_up(city))
        except Exception as error:
            answered.put(error)

@pytest.mark.agenttape
def test_it():
    asked, answered = queue.Queue(), queue.Queue()
    threading.Thread(target=work, args=(asked, answered), daemon=True).start()
    while True:
        asked.put("Oslo")
        if isinstance(answered.get(), dict):
            break

@pytest.mark.agenttape
def test_next(): look_up("Rome")
"""
JOINED = """
@pytest.mark.agenttape
def test_it():
    thread = threading.Thread(target=forever)
    thread.start()
    thread.join()

@pytest.mark.agenttape
def test_next(): look_up("Rome")
"""


@pytest.mark.parametrize("source", [WORKER, JOINED], ids=["its answers", "its end"])
def test_whoever_waits_for_a_worker_that_is_refused_goes_on(recorded: Project, source: str) -> None:
    result = replay(recorded, source)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError: look_up(city='Oslo') matches no unplayed *"])
    assert recorded.live() == []


CATCHES_ALL = {
    "a bare except": "while True:\n        try: return look_up('Oslo')\n        except: time.sleep(0)",
    "in one line": "while True:\n        try: return look_up('Oslo')\n        except BaseException: continue",
    "suppress": "while True:\n        with contextlib.suppress(BaseException): return look_up('Oslo')",
    "below another": "while not (lambda: caught())(): pass",
}
CAUGHT = """
import contextlib
def caught():
    try: return look_up("Oslo")
    except BaseException: return None
def forever():
    {body}
"""


@pytest.mark.parametrize("body", CATCHES_ALL.values(), ids=CATCHES_ALL)
def test_a_loop_that_catches_everything_is_stopped_too(recorded: Project, body: str) -> None:
    test = RECORDED.replace("look_up('Rome')", "forever()")
    result = replay(recorded, CAUGHT.format(body=body) + test + RECORDED.replace("test_it", "test_next"))
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["E *UnmatchedInteractionError: look_up(city='Oslo') matches no unplayed *"])
    assert recorded.live() == []
