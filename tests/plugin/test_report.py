"""The ledger: summary lines, JSON, HTML, JUnit properties and annotations."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.plugin.project import Origin, Project
from tests.standin import StandInProvider

AGENT = """
    import os

    import pytest
    from pytest_agenttape import record_call, tool

    @tool
    def get_weather(city):
        return {"city": city, "t": 21}

    @pytest.mark.agenttape
    @pytest.mark.parametrize("city", ["Paris", "Rome"])
    def test_weather(city):
        get_weather(city)
        get_weather(os.environ.get("CITY", city))
"""
HOSTILE = """
    import pytest
    from pytest_agenttape import tool

    @tool
    def search(query):
        return ["</pre></details><script>document.title = 'owned'</script>", "<img src=x onerror=alert(1)>"]

    @pytest.mark.agenttape
    def test_search():
        search("<script>document.title = 'owned'</script>\\u202e\\x00\\x1b[31m")
        search("x" * 5_000_000)

    @pytest.mark.agenttape
    def test_many():
        for number in range(1000):
            search(f"query {number}")
"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def recorded(pytester: pytest.Pytester, module: str) -> None:
    pytester.makepyfile(test_suite=module)
    assert pytester.runpytest("--agenttape-record").ret == 0


def report(pytester: pytest.Pytester, *args: str) -> dict[str, object]:
    pytester.runpytest("--agenttape-report=out/report.json", *args)
    return dict(json.loads((pytester.path / "out" / "report.json").read_text()))


def test_a_replayed_run_says_nothing(pytester: pytest.Pytester) -> None:
    recorded(pytester, AGENT)
    pytester.runpytest().stdout.no_fnmatch_line("*agenttape -*")


def test_a_recording_says_what_was_created(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_suite=AGENT)
    result = pytester.runpytest("--agenttape-record")
    result.stdout.fnmatch_lines(
        [
            "*- agenttape -*",
            "created: cassettes/test_suite/test_weather[[]Paris].yaml (2 live calls)",
            "created: cassettes/test_suite/test_weather[[]Rome].yaml (2 live calls)",
        ]
    )


def test_the_json_report_holds_every_test_and_call(pytester: pytest.Pytester) -> None:
    recorded(pytester, AGENT)
    data = report(pytester)
    nothing = {"calls": 0, "input_tokens": 0, "output_tokens": 0, "cost": "0"}
    totals = data["totals"]
    assert isinstance(totals, dict)
    assert {name: totals[name] for name in ("tests", "failed", "calls", "live", "unplayed", "spent", "saved")} == {
        "tests": 2, "failed": 0, "calls": 4, "live": 0, "unplayed": 0, "spent": nothing, "saved": nothing,
    }  # fmt: skip
    [paris, rome] = data["tests"]  # type: ignore[misc]  # a list, as the report documents
    assert (paris["outcome"], paris["action"], paris["mode"]) == ("passed", "replayed", "none")
    assert paris["place"] == "test_suite.py:10"
    assert [step["summary"] for step in rome["steps"]] == [
        "#0 tool get_weather(city='Rome')",
        "#1 tool get_weather(city='Rome')",
    ]


@pytest.mark.parametrize("extra", [[], ["-p", "xdist", "-n2"]], ids=["one process", "two workers"])
def test_a_failed_test_is_reported_with_its_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, extra: list[str]
) -> None:
    recorded(pytester, AGENT)
    monkeypatch.setenv("CITY", "Oslo")
    data = report(pytester, *extra)
    assert data["totals"]["failed"] == 2  # type: ignore[index]  # a mapping, as the report documents
    [paris, _] = data["tests"]  # type: ignore[misc]  # as above
    assert "get_weather(city='Oslo') matches no unplayed interaction" in paris["failure"]


def test_the_money_is_counted(pytester: pytest.Pytester, standin_provider: StandInProvider) -> None:
    pytest.importorskip("genai_prices")
    recorded_agent = f"""
        import openai, pytest

        @pytest.mark.agenttape
        def test_chat():
            client = openai.OpenAI(base_url={standin_provider.openai_url!r}, api_key="none")
            client.chat.completions.create(model="gpt-4o", messages=[{{"role": "user", "content": "hello " * 500}}])
    """
    pytester.makepyfile(test_suite=recorded_agent)
    result = pytester.runpytest("--agenttape-record")
    result.stdout.re_match_lines([r"spent: \d[\d,]* tokens, \$0\.00\d+ on 1 live LLM call"])
    data = report(pytester)
    [test] = data["tests"]  # type: ignore[misc]  # a list, as the report documents
    [step] = test["steps"]
    assert re.fullmatch(r"0\.00\d+", step["cost"])
    assert step["cost"] == test["cost"] == data["totals"]["saved"]["cost"]  # type: ignore[index]  # a mapping, as above
    assert step["usage"] == test["usage"] == data["models"][0]["usage"]  # type: ignore[index]  # a list, as above


def test_a_recorded_call_that_names_a_known_model_has_a_price(pytester: pytest.Pytester) -> None:
    pytest.importorskip("genai_prices")
    usage = '{"input_tokens": 1000, "output_tokens": 4}'
    chat = f'record_call("llm", {{"model": "gpt-4o"}}, lambda: "hi", boundary="ask", usage={usage})'
    pytester.makepyfile(test_suite=AGENT.replace("get_weather(city)\n", f"{chat}\n", 1))
    result = pytester.runpytest("--agenttape-record", "-k", "Paris")
    result.stdout.re_match_lines([r"spent: 1,004 tokens, \$0\.00\d+ on 1 live LLM call"])


def test_a_test_that_drifts_in_its_teardown_is_a_failed_one(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_end = 'request.addfinalizer(lambda: get_weather(os.environ.get("CITY", city)))'
    module = AGENT.replace('get_weather(os.environ.get("CITY", city))', at_the_end).replace(
        "(city):\n        get_weather(city)", "(city, request):\n        get_weather(city)"
    )
    recorded(pytester, module)
    monkeypatch.setenv("CITY", "Oslo")
    data = report(pytester, "-k", "Paris")
    assert data["totals"]["failed"] == 1  # type: ignore[index]  # a mapping, as the report documents
    assert data["totals"]["unplayed"] == 0  # type: ignore[index]  # as above


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        pytest.param({"input_tokens": 1000, "output_tokens": 4}, "1,004", id="reported"),
        pytest.param({"prompt_tokens": 1000, "completion_tokens": 4}, "1,004", id="other words"),
        pytest.param(None, "6", id="estimated"),
    ],
)
def test_a_price_that_nobody_knows_is_not_nothing(
    pytester: pytest.Pytester, usage: dict[str, int] | None, tokens: str
) -> None:
    pytest.importorskip("genai_prices")
    chat = f'record_call("llm", {{"prompt": "x" * 20}}, lambda: "hi", boundary="ask", usage={usage})'
    pytester.makepyfile(test_suite=AGENT.replace("get_weather(city)\n", f"{chat}\n", 1))
    result = pytester.runpytest("--agenttape-record", "-k", "Paris")
    result.stdout.fnmatch_lines([f"spent: {tokens} tokens, price unknown on 1 live LLM call"])


def test_without_prices_only_tokens_are_spent(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.providers.pricing.are_known", lambda: False)
    chat = 'record_call("llm", {"prompt": "x" * 20}, lambda: "hi", boundary="ask")\n'
    pytester.makepyfile(test_suite=AGENT.replace("get_weather(city)\n", chat, 1))
    result = pytester.runpytest("--agenttape-record", "-k", "Paris")
    result.stdout.fnmatch_lines(["spent: 6 tokens on 1 live LLM call"])


@pytest.mark.parametrize(
    ("path", "line"),
    [
        pytest.param("report.txt", "*report.txt: the name of a report must end in .json, .html or .md", id="extension"),
        pytest.param("taken.json/report.json", "*taken.json/report.json: cannot be written", id="file in the way"),
        pytest.param("folder.json", "*folder.json: cannot be written", id="folder"),
    ],
)
def test_a_path_that_cannot_be_written_is_told_before_anything_runs(
    pytester: pytest.Pytester, path: str, line: str
) -> None:
    (pytester.path / "taken.json").write_text("")
    (pytester.path / "folder.json").mkdir()
    result = pytester.runpytest(f"--agenttape-report={path}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([line])


def test_junit_has_the_cassette_of_each_test(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeini("[pytest]\n")
    chat = 'record_call("llm", {"q": 1}, lambda: "hi", boundary="ask", usage={"input_tokens": 10, "output_tokens": 4})'
    pytester.mkdir("sub").joinpath("test_suite.py").write_text(
        textwrap.dedent(AGENT.replace("get_weather(city)\n", f"{chat}\n", 1))
    )
    assert pytester.runpytest("--agenttape-record").ret == 0
    monkeypatch.chdir(pytester.path / "sub")
    pytester.runpytest("--junitxml=junit.xml", "--rootdir", "..", "-k", "Paris")
    tree = ElementTree.parse("junit.xml")
    assert {each.get("name"): each.get("value") for each in tree.iter("property")} == {
        "agenttape_path": "sub/cassettes/test_suite/test_weather[Paris].yaml",
        "agenttape_mode": "none",
        "agenttape_calls": "2",
        "agenttape_live": "0",
        "agenttape_input_tokens": "10",
        "agenttape_output_tokens": "4",
        "agenttape_tokens": "14",
    }


def test_github_gets_annotations(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(pytester, AGENT)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    pytester.makepyfile(test_suite=AGENT.replace('get_weather(os.environ.get("CITY", city))', "pass"))
    result = pytester.runpytest("-W", "ignore::pytest_agenttape.UnplayedInteractionsWarning")
    result.stdout.fnmatch_lines(["::warning file=test_suite.py,line=10,title=agenttape::1 unplayed in cassettes/*"])


def test_github_gets_what_drifted_at_its_place_in_the_repository(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pytester.mkdir("a,b")
    module = AGENT.replace('"Paris"', '"50%"').replace("get_weather(os", "if True:\n            get_weather(os")
    swallowed = module.replace("if True:", "with contextlib.suppress(Exception):", 1).replace(
        "import os", "import contextlib, os", 1
    )
    folder.joinpath("test_suite.py").write_text(textwrap.dedent(swallowed))
    assert pytester.runpytest("--rootdir=a,b", "a,b", "--agenttape-record").ret == 0
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(pytester.path))
    monkeypatch.setenv("CITY", "Oslo")
    result = pytester.runpytest("--rootdir=a,b", "a,b", "-k", "50")
    place = "::error file=a%2Cb/test_suite.py,line=16,title=agenttape::"  # where the call is made
    [line] = [each for each in result.outlines if each.startswith("::")]
    said = f"{place}test_suite.py::test_weather[50%25]: get_weather(city='Oslo') matches no unplayed interaction in "
    assert line.startswith(said)
    assert "%0A" in line


def page(pytester: pytest.Pytester) -> Path:
    recorded(pytester, HOSTILE)
    pytester.runpytest("--agenttape-report=report.html")
    return pytester.path / "report.html"


def test_nothing_of_a_cassette_is_markup_on_the_page(pytester: pytest.Pytester) -> None:
    text = page(pytester).read_text()
    assert text.count("<script>") == 1
    assert "<img" not in text
    assert "default-src 'none'" in text
    assert "http://" not in text
    assert "https://" not in text
    assert len(text) < 3_000_000  # the 5 MB are in the cassette


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_a_browser_runs_our_script_and_no_other(pytester: pytest.Pytester) -> None:
    path = page(pytester)
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --dump-dom"
    ).split()
    profile = f"--user-data-dir={pytester.path / 'profile'}"
    call = f"{path.as_uri()}#t=test_suite.py%3A%3Atest_search&c=0"
    command = [CHROMIUM, *flags, profile, call]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "<title>Agent tests: 2 tests</title>" in dom
    assert "2 of 2 tests" in dom  # our script counted them
    assert "&lt;/pre&gt;&lt;/details&gt;&lt;script&gt;document.title = 'owned'" in dom
    assert "\\u202e\\u0000\\u001b[31m" in dom
    assert "<img" not in dom


@pytest.mark.parametrize("flags", [(), ("-p", "xdist", "-n1")], ids=["alone", "xdist"])
def test_a_failure_is_reported_without_the_secret_that_only_its_test_knew(
    pytester: pytest.Pytester, flags: tuple[str, ...]
) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_agenttape import tool

        @tool
        def log_in():
            return "hT4vRm8KpXz2" + "WnQ6Yd"

        @pytest.mark.agenttape
        def test_it(monkeypatch):
            monkeypatch.setenv("BILLING_API_KEY", "hT4vRm8KpXz2" + "WnQ6Yd")
            assert log_in() == "another"
        """
    )
    pytester.runpytest_inprocess("--agenttape-record", "--agenttape-report=r.json", *flags).assert_outcomes(failed=1)
    written = (pytester.path / "r.json").read_text()
    assert "another" in written
    assert "hT4vRm8KpXz2WnQ6Yd" not in written


def test_the_live_calls_that_are_counted_are_those_in_the_file(project: Project, origin: Origin) -> None:
    project.write(
        test_it="""
        import os
        import urllib.request

        import pytest
        from pytest_agenttape import tool

        @tool
        def fetch(times):
            return [urllib.request.urlopen(os.environ["ORIGIN"]).status for _ in range(times)]

        @pytest.mark.agenttape
        def test_it():
            fetch(3)
    """
    )
    result = project.run("--agenttape-record")
    assert origin.asked == ["/"] * 3
    result.stdout.fnmatch_lines(["created: cassettes/test_it/test_it.yaml (1 live call)"])
