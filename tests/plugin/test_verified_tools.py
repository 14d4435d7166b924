"""``--agenttape-verify --agenttape-live=TOKENS``: the tools that are named run for real after a test that passed."""

from __future__ import annotations

import json
import textwrap

import pytest

from tests.plugin.project import Origin, Project

VERIFY = ("--agenttape-verify", "--agenttape-live=look_up")

TEST = """
    import pytest
    from agent import look_up

    @pytest.mark.agenttape
    def test_it():
        look_up("Rome")
"""


def _agent(project: Project, body: str, *, test: str = TEST) -> None:
    """Write the agent, each call of which is noted, and its test."""
    base = """
        from pathlib import Path

        def note(text):
            with Path(__file__).with_name("live.log").open("a") as log:
                log.write(text + "\\n")
    """
    head = "import os\nfrom agent_base import note\nfrom pytest_agenttape import tool\n"
    project.write(agent_base=base, test_it=test)
    (project.path / "agent.py").write_text(head + textwrap.dedent(body), encoding="utf-8")


def _recorded(project: Project, body: str, now: str, *, test: str = TEST) -> None:
    """Record the test with an agent with *body*, which is *now* another one."""
    _agent(project, body, test=test)
    project.record().assert_outcomes(passed=1)
    _agent(project, now, test=test)


def _look_up(*lines: str) -> str:
    return "\n".join(("@tool", "def look_up(city):", "    note(f'look_up {city}')", *(f"    {each}" for each in lines)))


OLD = _look_up("return {'city': city, 'hits': [{'price': 3}], 'as_of': None}")


def test_a_named_tool_runs_for_real_after_its_test_and_nothing_is_written(project: Project) -> None:
    _recorded(project, OLD, _look_up("return {'city': 'x', 'hits': [{'price': 4.5}] * 3, 'as_of': 'now', 'new': 1}"))
    before = project.cassette().read_bytes()
    result = project.run(*VERIFY)
    assert result.ret == 0
    assert project.live() == ["look_up Rome"]
    assert project.cassette().read_bytes() == before
    result.stdout.fnmatch_lines(
        [
            "agenttape: recordings are replayed, and what they answer is also sent live; for real, too: look_up "
            "(--agenttape-verify --agenttape-live)",
            "verified: 1 call of 1 test sent live",
        ]
    )
    result.stdout.no_fnmatch_line("*live beside recorded*")
    assert project.run("--agenttape-verify", "--agenttape-live=llm").ret == 0
    assert project.live() == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("return {'city': city, 'hits': [{'cost': 3}]}", "the result.hits[[][]].price is gone (cost is new)"),
        ("return [city]", "the result is a list, was an object"),
        ("return None", "the result is null, was an object"),
        (
            "raise ValueError('no such city: sk-live-' + 'a1B2c3D4e5F6g7H8i9J0')",
            "raises ValueError in place of a result: no such city: *",
        ),
        ("raise SystemExit(3)", "raises SystemExit in place of a result: 3"),
        ("return open", "returns what cannot be recorded: result: *"),
        ("return (each for each in city)", "the result is a stream, was an object"),
    ],
    ids=["field", "list", "null", "raised", "exit", "unrecordable", "stream"],
)
def test_a_result_of_another_shape_fails_the_run(project: Project, now: str, said: str) -> None:
    _recorded(project, OLD, _look_up(now))
    result = project.run(*VERIFY)
    assert result.ret == 1
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"moved: look_up: {said}  (test_it.py::test_it)"])
    result.stdout.no_fnmatch_line("*a1B2c3D4*")


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("raise KeyError('other')", None),
        ("raise ValueError('none')", "raises ValueError in place of KeyError: none"),
        ("return 1", "returns a result in place of KeyError"),
    ],
)
def test_an_exception_is_compared_by_its_class(project: Project, now: str, said: str | None) -> None:
    test = TEST.replace('look_up("Rome")', 'pytest.raises(KeyError, look_up, "Rome")')
    _recorded(project, _look_up("raise KeyError(city)"), _look_up(now), test=test)
    result = project.run(*VERIFY)
    if said is None:
        assert result.ret == 0
    else:
        result.stdout.fnmatch_lines([f"moved: look_up: {said}  (test_it.py::test_it)"])


NATURES = """
    import asyncio
    from dataclasses import dataclass
    from pytest_agenttape import intercept, retrieval

    @dataclass
    class Hit:
        price: int

    @tool
    async def wait(seconds):
        note("wait")
        await asyncio.sleep(0)
        return Hit(3)

    @tool
    async def rest(seconds):
        import trio
        note("rest")
        await trio.sleep(seconds)

    @retrieval
    def search(query):
        note("search")
        yield Hit(1)
        yield Hit(2)

    @tool
    async def stream(query, *more, **others):
        note(f"stream {query} {more} {others}")
        while True:
            yield {"text": "a"}

    class Shop:
        def __init__(self, name):
            self.name = name

        @tool
        def sell(self, items):
            note(f"{self.name} sells {items}")
            items.append("sold")
            return {"items": items}
"""

TEST_NATURES = """
    import asyncio, pytest, trio
    from agent import Shop, rest, search, stream, wait

    @pytest.mark.agenttape
    def test_it():
        async def main():
            await wait(0)
            async for each in stream("a", "b", c=1):
                break
        asyncio.run(main())
        trio.run(rest, 0)
        list(search("q"))
        items = ["book"]
        Shop("corner").sell(items)
        items.append("later")
        assert items == ["book", "sold", "later"]
"""


def test_coroutines_generators_and_methods_run_with_the_arguments_of_the_call(project: Project) -> None:
    _recorded(project, NATURES, NATURES, test=TEST_NATURES)
    result = project.run("--agenttape-verify", "--agenttape-live=tool", "--agenttape-live=retrieval")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["verified: 5 calls of 1 test sent live"])
    assert project.live() == ["wait", "stream a ('b',) {'c': 1}", "rest", "search", "corner sells ['book']"]
    _agent(
        project,
        NATURES.replace("yield Hit(1)", "yield 1")
        .replace("yield Hit(2)", "yield 2")
        .replace("return Hit(3)", "return 3"),
        test=TEST_NATURES,
    )
    project.run("--agenttape-verify", "--agenttape-live=*").stdout.fnmatch_lines(
        [
            "moved: wait: the result is a number, was Hit  (test_it.py::test_it)",
            "moved: search: the result[[][]] is a number, was Hit  (test_it.py::test_it)",
        ]
    )


def test_what_a_tool_calls_is_real_and_belongs_to_nobody(project: Project, origin: Origin) -> None:
    inner = """
        import threading, urllib.request, requests

        @tool
        def inner(city):
            note("inner")
            return open

        @tool
        def look_up(city):
            note(f"look_up {city}")
            if os.environ.get("NESTED"):
                inner(city)
            said = []
            ask = lambda: said.append(requests.get(os.environ["ORIGIN"] + "/inner").json()["said"])
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
            return said
    """
    _recorded(project, inner, inner.replace('os.environ.get("NESTED")', "True"))
    before, origin.asked[:] = project.cassette().read_bytes(), []
    assert project.run(*VERIFY, "--agenttape-block-network").ret == 0
    assert (project.live(), origin.asked) == (["look_up Rome", "inner"], ["/inner"])
    assert project.cassette().read_bytes() == before


def test_the_environment_is_that_of_the_call(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    body = _look_up(
        "note(f\"{os.environ['SHOP']} {os.path.basename(os.getcwd())} {os.environ.get('OPENAI_API_KEY')}\")"
    )
    test = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        def test_it(monkeypatch, tmp_path):
            monkeypatch.setenv("SHOP", "staging")
            monkeypatch.chdir(tmp_path)
            look_up("Rome")
    """
    _recorded(project, body, body, test=test)
    assert project.run(*VERIFY).ret == 0
    assert project.live() == ["look_up Rome", "staging test_it0 None"]


def test_a_secret_that_only_the_test_had_is_not_said(project: Project) -> None:
    test = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        def test_it(monkeypatch):
            monkeypatch.setenv("DB_PASSWORD", "correct horse")
            look_up("Rome")
    """
    _recorded(project, OLD, _look_up("raise ValueError('with ' + os.environ['DB_PASSWORD'])"), test=test)
    result = project.run(*VERIFY, "--agenttape-report=report.json")
    result.stdout.fnmatch_lines(["moved: look_up: raises ValueError in place of a result: with REDACTED0001  (*"])
    assert "correct horse" not in result.stdout.str() + (project.path / "report.json").read_text()


def test_what_must_not_run_is_listed(project: Project) -> None:
    body = """
        import asyncio
        from pytest_agenttape import intercept, ownership, record_call

        @tool
        def log_in():
            note("log_in")
            return {"access_token": "sk_live_" + "hT4vRm8KpXz2WnQ6YdLs9Gb3"}

        class Shop:
            __slots__ = ("token",)

            def __init__(self, token):
                self.token = token

            @tool
            def sell(self):
                note("sell")

        class Client:
            def __init__(self):
                self.loop = asyncio.get_running_loop()

            @tool
            async def wait(self):
                future = self.loop.create_future()
                self.loop.call_soon(future.set_result, 1)
                await future

        async def waiting():
            await Client().wait()

        @tool
        def later(seconds):
            return asyncio.sleep(seconds)

        def forecast():  # as the transport of MCP servers begins a call, which nothing here could make
            begun = ownership.current().owner.begin("tool", "weather.forecast", {"args": {}})
            if begun.is_live:
                begun.recorder.finish(begun, response="sunny")

        @tool
        def pay(token):
            note("pay")

        @tool
        def frozen(city):
            note("frozen")

        @tool
        def echo(city):
            note("echo")
            return (yield city)

        @intercept(kind="llm")
        def ask(text):
            note("ask")

        def explicit(city):
            return record_call("tool", {"city": city}, lambda: note("explicit"), boundary="explicit")
    """
    test = """
        import asyncio, pytest
        from agent import Shop, ask, echo, explicit, forecast, frozen, later, log_in, pay, waiting

        @pytest.mark.agenttape
        def test_it():
            token = log_in()["access_token"]
            Shop(token).sell()
            pay(token)
            frozen("Rome")
            asked = echo("Rome")
            next(asked)
            pytest.raises(StopIteration, asked.send, 1)
            ask("Hello")
            explicit("Rome")
            forecast()
            asyncio.run(waiting())
            asking = later(0)
            async def asked():
                await asking
            asyncio.run(asked())
    """
    _recorded(project, body, body, test=test)
    _agent(project, body, test=test.replace("agenttape\n", "agenttape(frozen='frozen')\n"))
    result = project.run("--agenttape-verify", "--agenttape-live=*")
    assert result.ret == 0
    assert project.live() == ["log_in", "explicit"]
    result.stdout.fnmatch_lines(
        [
            "verified: 2 calls of 1 test sent live",
            "not sent: sell: it carries what stands for a secret in the recording  (test_it.py::test_it)",
            "not sent: pay: it carries what stands for a secret in the recording  (test_it.py::test_it)",
            "not sent: frozen: it is frozen  (test_it.py::test_it)",
            "not sent: echo: its reader sent something into it  (test_it.py::test_it)",
            "not sent: ask: it is neither a tool nor an HTTP request that could be sent again  (test_it.py::test_it)",
            "not sent: weather.forecast: only the test was connected to what answers it  (test_it.py::test_it)",
            "not sent: wait: it needs the event loop of its test, which is closed  (test_it.py::test_it)",
            "not sent: later: it was called outside of an event loop, and what it returned was awaited in one  (*",
        ]
    )


def test_a_tool_that_hangs_is_stopped(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.plugin.running_again.SECONDS", 0.1)
    _recorded(project, OLD, _look_up("import time", "print('noise')", "time.sleep(3)"))
    result = project.run(*VERIFY)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["moved: look_up: does not end: stopped after 0.1 seconds  (test_it.py::test_it)"])
    result.stdout.no_fnmatch_line("*noise*")


def test_a_folder_that_is_gone_keeps_a_tool_from_running(project: Project) -> None:
    test = """
        import pytest
        from agent import look_up

        @pytest.mark.agenttape
        def test_it(tmp_path, monkeypatch):
            monkeypatch.chdir(tmp_path)
            look_up("Rome")
            tmp_path.rmdir()
    """
    _recorded(project, OLD, OLD, test=test)
    project.run(*VERIFY).stdout.fnmatch_lines(["not sent: look_up: the folder that it was called in is gone  (*"])
    assert project.live() == []


def test_a_block_that_is_open_around_all_tests_neither_records_nor_replays_it(project: Project) -> None:
    (project.path / "conftest.py").write_text(
        "import pytest\n"
        "from pytest_agenttape import use_cassette\n"
        "@pytest.fixture(scope='session', autouse=True)\n"
        "def around():\n"
        "    with use_cassette('around'):\n"
        "        yield\n"
    )
    inner = "@tool\ndef inner(city):\n    note('inner')\n"
    calling = OLD.replace("    return", "    inner(city)\n    return")
    _recorded(project, OLD, inner + calling)
    assert project.run(*VERIFY).ret == 0
    assert project.live() == ["look_up Rome", "inner"]


def test_tools_run_within_the_budget_and_are_reported(project: Project) -> None:
    pytest.importorskip("genai_prices")
    _recorded(project, OLD, _look_up("return 1"))
    result = project.run(*VERIFY, "--agenttape-report=report.json")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["verified: 1 call of 1 test sent live", "moved: look_up: the result is a number, *"])
    [test] = json.loads((project.path / "report.json").read_text())["tests"]
    assert (test["verified"]["sent"], len(test["verified"]["moved"])) == (1, 1)
    project.live()
    result = project.run(*VERIFY, "--agenttape-budget=0")
    result.stdout.fnmatch_lines(["not sent: look_up: the budget is spent *"])
    assert project.live() == []


@pytest.mark.parametrize("flag", ["--agenttape-model=gpt-5.5", "--agenttape-times=2"])
def test_it_does_not_go_together_with_another_model(project: Project, flag: str) -> None:
    result = project.run(*VERIFY, flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = flag.partition("=")[0]
    result.stderr.fnmatch_lines([f"ERROR: --agenttape-verify replays; it does not go together with {name}"])


def test_a_token_that_names_nothing_is_refused_before_the_first_test(project: Project) -> None:
    _recorded(project, OLD, OLD)
    result = project.run("--agenttape-verify", "--agenttape-live=look_upp")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--agenttape-live*'look_upp'*look_up*"])
    project.run("--agenttape-verify", "--agenttape-live=").stderr.fnmatch_lines(
        ["ERROR: --agenttape-live names nothing; *"]
    )
    assert project.live() == []
