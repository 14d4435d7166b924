"""Calls made while tests are collected, such as a tool that a test module calls when it is imported."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loopback import Handler, serving
from tests.plugin.project import Project

MARKED = """
    import pytest
    from agent import look_up

    {call}

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""
PLAIN = 'from agent import look_up\n\nHERE = look_up("Oslo")\n\ndef test_plain():\n    assert HERE\n'
CALL = 'HERE = look_up("Oslo")'
SWALLOWED = """try:
        look_up("Oslo")
    except Exception:
        pass"""
REFUSED = "a call to the {} was made while test_it.py was collected, before any cassette is open; nothing ran for real"
TOOL_REFUSED = REFUSED.format("tool look_up")
REAL = "refused: a call ran for real while tests were collected, in a run that only replays (conftest.py:4)"


@pytest.fixture
def recorded(project: Project) -> Project:
    project.write(test_it=MARKED.format(call=""))
    project.record()
    return project


@pytest.mark.parametrize("call", [CALL, 'pytestmark = pytest.mark.parametrize("city", [look_up("Oslo")])'])
def test_a_file_with_marked_tests_runs_no_tool_when_it_is_imported(recorded: Project, call: str) -> None:
    recorded.write(test_it=MARKED.format(call=call))
    result = recorded.run()
    result.stdout.fnmatch_lines([f"E   *AgentTapeError: {TOOL_REFUSED}", "*1 error*"])
    assert recorded.live() == []


def test_a_refusal_that_is_swallowed_fails_the_run(recorded: Project) -> None:
    recorded.write(test_it=MARKED.format(call=SWALLOWED))
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"refused: {TOOL_REFUSED} (test_it.py:5)"])
    assert recorded.live() == []


def test_what_a_hook_runs_for_real_fails_a_run_that_only_replays(recorded: Project) -> None:
    recorded.write(conftest='from agent import look_up\n\ndef pytest_itemcollected():\n    look_up("Oslo")\n')
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([REAL])


def test_a_file_without_marked_tests_may_call_what_it_likes(recorded: Project) -> None:
    recorded.write(test_plain=PLAIN)
    recorded.run().assert_outcomes(passed=2)
    assert recorded.live() == ["look_up Oslo"]


def test_it_may_even_if_none_of_its_tests_is_selected(recorded: Project) -> None:
    recorded.write(test_plain=PLAIN)
    assert recorded.run("-k", "test_it").ret == pytest.ExitCode.OK
    assert recorded.live() == ["look_up Oslo"]


@pytest.mark.parametrize("caller", ["test_it.py", "__init__.py"])
def test_it_may_not_run_what_marked_tests_come_with(project: Project, caller: str) -> None:
    files = {
        "__init__.py": "",
        "test_a.py": "from pack import test_it\n\ndef test_plain():\n    pass\n",
        "test_it.py": "import pytest\n\n@pytest.mark.agenttape\ndef test_it():\n    pass\n",
    }
    files[caller] += f"\nfrom agent import look_up\n{CALL}\n"
    project.pytester.mkpydir("pack")
    for name, text in files.items():
        (project.path / "pack" / name).write_text(text)
    result = project.run("-p", "no:randomly")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"refused: a call ran for real while tests were collected, *(pack/{caller}:*)"])


def test_a_run_that_may_make_live_calls_may_make_these(recorded: Project) -> None:
    recorded.write(test_it=MARKED.format(call=CALL))
    recorded.run("--agenttape-record").assert_outcomes(passed=1)
    assert recorded.live() == ["look_up Oslo", "look_up Rome"]
    recorded.run().assert_outcomes(errors=1)
    assert recorded.live() == []


# Over the network -------------------------------------------------------------------------------------------------

ASKED: list[str] = []


class Provider(Handler):
    def do_POST(self) -> None:
        self.read()
        ASKED.append(self.path)
        self.answer(b'{"choices": []}', Content_Type="application/json")

    def do_GET(self) -> None:
        ASKED.append(self.path)
        self.answer(b"ok")


@pytest.fixture
def provider() -> Iterator[str]:
    ASKED.clear()
    with serving(Provider) as url:
        yield url


CLIENTS = {
    "httpx": "import httpx\nhttpx.post('{}/v1/chat/completions', json={{'model': 'm', 'messages': []}})",
    "requests": "import requests\nrequests.post('{}/v1/chat/completions', json={{'model': 'm', 'messages': []}})",
    "urllib": "from urllib.request import urlopen\nurlopen('{}/v1/chat/completions', data=b'{{}}')",
}


def written(call: str) -> str:
    return f"import pytest\nfrom agent import look_up\n{call}\n" + "\n".join(
        ("@pytest.mark.agenttape", "def test_it():", "    look_up('Rome')", "")
    )


@pytest.mark.parametrize("client", CLIENTS)
def test_it_asks_no_model_either(recorded: Project, provider: str, client: str) -> None:
    recorded.write(test_it=written(CLIENTS[client].format(provider)))
    result = recorded.run()
    result.stdout.fnmatch_lines(
        ["E *AgentTapeError: a call to http://127.0.0.1:*/v1/chat/completions was made while test_it.py was *"]
    )
    result.assert_outcomes(errors=1)
    assert ASKED == []


def test_it_leaves_the_machine_by_no_other_way(recorded: Project) -> None:
    attempt = "sys.audit('socket.connect', socket.socket(), ('192.0.2.1', 9))"  # which is as far as it gets
    call = f"import socket, sys\ntry:\n    {attempt}\nexcept Exception:\n    pass"
    recorded.write(test_it=written(call))
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["refused: a connection to 192.0.2.1 was made while test_it.py was collected, *"])


def test_it_may_look_whether_a_server_of_the_tests_is_there(recorded: Project, provider: str) -> None:
    recorded.write(test_it=written(f"import httpx\nassert httpx.get('{provider}/health').text == 'ok'"))
    recorded.run().assert_outcomes(passed=1)
    assert ASKED == ["/health"]


def test_it_may_ask_a_host_that_is_ignored(recorded: Project, provider: str) -> None:
    host = provider.removeprefix("http://")
    (recorded.path / "agenttape.toml").write_text(f'ignore_hosts = ["{host}"]')
    recorded.write(test_it=written(CLIENTS["httpx"].format(provider)))
    recorded.run().assert_outcomes(passed=1)
    assert ASKED == ["/v1/chat/completions"]


def test_a_recording_tells_of_what_a_replay_will_refuse(recorded: Project, provider: str) -> None:
    recorded.write(test_it=written(CLIENTS["httpx"].format(provider)))
    result = recorded.run("--agenttape-record", "-rw")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*AgentTapeWarning: calls were made while test_it.py was collected, which no cassette *"]
    )
    assert ASKED == ["/v1/chat/completions"]


LOOK_UP = "import socket\nsocket.getaddrinfo('{}', 443)\n"
WITH_A_HOOK = "import socket\ndef pytest_sessionstart():\n    socket.getaddrinfo('{}', 443)\n"


@pytest.mark.parametrize("conftest", [LOOK_UP, WITH_A_HOOK], ids=["imported", "a hook"])
def test_a_conftest_that_asks_a_provider_fails_a_run_that_only_replays(
    recorded: Project, conftest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_: [])
    recorded.write(conftest=conftest.format("api.openai.com"))
    result = recorded.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    made = "a call to api.openai.com ran for real while tests were collected, in a run that only replays"
    result.stdout.fnmatch_lines([f"refused: {made} (conftest.py:*)"])
    recorded.run("--agenttape-record").assert_outcomes(passed=1)
    recorded.write(test_it=PLAIN)
    recorded.run().assert_outcomes(passed=1)


def test_a_conftest_may_look_up_a_host_before_pytest_has_its_options(
    recorded: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of pytest before 9.1 were empty while a conftest was imported."""
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_: [])
    monkeypatch.syspath_prepend(recorded.path)
    recorded.write(
        early="""
        import argparse, pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_load_initial_conftests(early_config):
            option, early_config.option = early_config.option, argparse.Namespace()
            try:
                return (yield)
            finally:
                early_config.option = option
        """,
        conftest=LOOK_UP.format("localhost"),
    )
    recorded.run("-p", "early").assert_outcomes(passed=1)


@pytest.mark.parametrize("host", ["localhost", "db.example.com", "huggingface.co"])
def test_a_conftest_may_look_up_other_hosts(recorded: Project, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_socket.getaddrinfo", lambda *_: [])
    recorded.write(conftest=WITH_A_HOOK.format(host))
    recorded.run().assert_outcomes(passed=1)
