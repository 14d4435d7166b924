"""``--agenttape-live``: the calls that it names run for real in every marked test, all others are replayed."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.loopback import serving
from tests.plugin.project import Project

SUITE = """
    import pytest
    import requests
    from agent import look_up

    def ask(question):
        asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": question}]}
        answer = requests.post(f"{ORIGIN}/v1/chat/completions", json=asked).json()
        return answer["choices"][0]["message"]["content"]

    @pytest.mark.agenttape
    def test_easy():
        assert look_up(ask("easy"))["city"] == "Rome"

    @pytest.mark.agenttape
    def test_tricky():
        assert look_up(ask("tricky"))["city"] == "Rome"

    def test_unmarked():
        pass
"""


class Provider:
    """Answers Rome; another model than the recorded one answers Oslo to what is tricky, and every other time to
    what is moody."""

    def __init__(self) -> None:
        self.models: list[str] = []
        self.moods = 0

    def answer(self, asked: dict[str, object]) -> bytes:
        model, question = str(asked["model"]), json.dumps(asked["messages"])
        self.models.append(model)
        self.moods += "moody" in question
        is_odd = model != "gpt-4o" and ("tricky" in question or ("moody" in question and self.moods % 2 == 0))
        message = {"role": "assistant", "content": "Oslo" if is_odd else "Rome"}
        tokens = 30 if model == "gpt-4o" else 50
        usage = {"prompt_tokens": tokens, "completion_tokens": 1, "total_tokens": tokens + 1}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return json.dumps({"object": "chat.completion", "model": model, "choices": [choice], "usage": usage}).encode()


@pytest.fixture
def provider(project: Project) -> Iterator[Provider]:
    """Return a provider that has answered the recorded tests of the project."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = made.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler) as origin:
        project.write(test_it=f"    ORIGIN = {origin!r}\n{SUITE}")
        project.record().assert_outcomes(passed=3)
        made.models.clear()
        yield made


def test_calls_of_models_are_live_and_all_else_is_replayed(project: Project, provider: Provider) -> None:
    before = {name: (project.path / name).read_bytes() for name in project.files()}
    result = project.run("--agenttape-live=llm", "--agenttape-model=gpt-5.5")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.re_match_lines(
        [
            r"agenttape: llm live, sent to gpt-5\.5; all else is replayed$",
            r"live beside recorded: llm live, sent to gpt-5\.5; 1 of 2 tests passed \(50%\)$",
            r"  passed: test_it\.py::test_easy \(2 calls \(1 llm, 1 tool\), 31 tokens -> 51 tokens, .*ms.*\)$",
            r"  failed: test_it\.py::test_tricky \(2 calls \(1 llm, 1 tool\) -> 1 call \(1 llm\), 31 tokens -> 51.*",
            r"    first divergence: look_up: city: 'Rome' -> 'Oslo'$",
            r"  total: 4 calls \(2 llm, 2 tool\) -> 3 calls \(2 llm, 1 tool\), 62 tokens -> 102 tokens, .*",
        ]
    )
    result.stdout.fnmatch_lines(["E *a live call led to it; if it may be live as well: --agenttape-live=llm,look_up"])
    result.stdout.no_re_match_line("E .*(--snapshot-update|--agenttape-record)")  # nothing is wrong with the recording
    assert provider.models == ["gpt-5.5", "gpt-5.5"]
    assert project.live() == []  # the tool did not run
    assert {name: (project.path / name).read_bytes() for name in before} == before
    assert [name for name in project.files() if name not in before] == ["cassettes/test_it/test_easy.derived.yaml"]


def test_what_a_live_call_left_unplayed_is_no_reason_to_record_again(project: Project, provider: Provider) -> None:
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace('look_up(ask("easy"))["city"]', 'ask("easy")'))
    for args, kind in (([], "Warning"), (["--agenttape-strict"], "Error")):
        result = project.run("--agenttape-live=llm", "-k", "easy", *args)
        result.stdout.fnmatch_lines([f"*UnplayedInteractions{kind}: 1 recorded interaction of *"])
        result.stdout.no_re_match_line(".*(--snapshot-update|--agenttape-record)")
    assert provider.models == ["gpt-4o", "gpt-4o"]


def test_what_a_test_says_about_the_model_is_about_the_one_that_the_agent_names(
    project: Project, provider: Provider
) -> None:
    test = """
    @pytest.mark.agenttape
    def test_seen(agenttape_cassette):
        ask("seen")
        agenttape_cassette.assert_llm_calls(model="gpt-4o")
        agenttape_cassette.assert_snapshot()
"""
    path = project.path / "test_it.py"
    path.write_text(path.read_text() + textwrap.dedent(test))
    project.run("-k", "seen", "--agenttape-record", "--snapshot-update").assert_outcomes(passed=1)
    provider.models.clear()
    project.run("-k", "seen", "--agenttape-live=llm", "--agenttape-model=gpt-5.5").assert_outcomes(passed=1)
    assert provider.models == ["gpt-5.5"]


def test_without_a_model_the_one_that_the_agent_names_is_asked(project: Project, provider: Provider) -> None:
    project.run("--agenttape-live=openai.chat").assert_outcomes(passed=3)
    assert provider.models == ["gpt-4o", "gpt-4o"]


def test_it_wins_over_the_marker_but_never_over_frozen(project: Project, provider: Provider) -> None:
    path = project.path / "test_it.py"
    text = path.read_text().replace("agenttape\ndef test_easy", "agenttape(live='look_up')\ndef test_easy")
    path.write_text(text.replace("agenttape\ndef test_tricky", "agenttape(frozen='llm')\ndef test_tricky"))
    project.run("--agenttape-live=llm", "--agenttape-model=gpt-5.5").assert_outcomes(passed=3)
    assert provider.models == ["gpt-5.5"]
    assert project.live() == []


def test_it_counts_as_explicit_in_ci(project: Project, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    path = project.path / "test_it.py"
    path.write_text(path.read_text().replace("agenttape\n", "agenttape(mode='once')\n"))
    project.run("--agenttape-live=llm").assert_outcomes(passed=3)
    assert provider.models == ["gpt-4o", "gpt-4o"]


def test_it_works_on_a_pytest_that_hashes_plugins(project: Project, provider: Provider) -> None:
    """As those before 9.1 do, to look for fixtures only once."""
    project.write(conftest="def pytest_plugin_registered(plugin):\n    hash(plugin)\n")
    project.run("--agenttape-live=llm", "--agenttape-budget=1").assert_outcomes(passed=3)
    assert provider.models == ["gpt-4o", "gpt-4o"]


@pytest.mark.parametrize("token", ["lllm", "look-up", "tool,look_upp", "look_*"])
def test_a_token_that_names_nothing_is_refused_before_the_first_call(
    project: Project, provider: Provider, token: str
) -> None:
    result = project.run(f"--agenttape-live={token}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *--agenttape-live token*"])
    assert provider.models == []
    assert project.live() == []


def test_a_boundary_that_only_a_recording_names_is_known(project: Project, provider: Provider) -> None:
    project.run("--agenttape-live=llm,look_up").assert_outcomes(passed=3)
    assert project.live() == ["look_up Rome", "look_up Rome"]
    assert len(provider.models) == 2


def moody(project: Project, marker: str = "@pytest.mark.agenttape") -> None:
    path = project.path / "test_it.py"
    test = f"\n{marker}\ndef test_moody():\n    assert look_up(ask('moody'))['city'] == 'Rome'\n"
    path.write_text(path.read_text() + test)
    project.record("-k", "moody").assert_outcomes(passed=1)


@pytest.mark.parametrize("workers", [(), ("-p", "xdist", "-n2")], ids=["one process", "two workers"])
def test_a_test_that_runs_several_times_has_a_pass_rate(
    project: Project, provider: Provider, workers: tuple[str, ...]
) -> None:
    moody(project)
    provider.moods = 0
    result = project.run_apart("--agenttape-live=llm", "--agenttape-model=gpt-5.5", "--agenttape-times=4", *workers)
    result.assert_outcomes(passed=4 + 2 + 1, failed=4 + 2)
    result.stdout.fnmatch_lines(
        [
            "live beside recorded: llm live, sent to gpt-5.5, each test 4 times; 6 of 12 runs passed (50%)",
            "  passed 4 of 4: test_it.py::test_easy (*",
            "  passed 2 of 4: test_it.py::test_moody (*",
            "    first divergence: look_up: city: 'Rome' -> 'Oslo'",
            "  passed 0 of 4: test_it.py::test_tricky (*",
        ]
    )


@pytest.mark.usefixtures("provider")
def test_fixtures_are_set_up_for_each_run(project: Project) -> None:
    path = project.path / "test_it.py"
    fixture = "\n@pytest.fixture(autouse=True)\ndef around():\n    print('up')\n    yield\n    print('down')\n"
    path.write_text(path.read_text() + fixture)
    result = project.run("-s", "-k", "easy", "--agenttape-live=llm", "--agenttape-times=3")
    result.assert_outcomes(passed=3)
    said = "".join(result.outlines)
    assert re.findall("up|down", said.partition("test_it.py")[2])[:6] == ["up", "down"] * 3


def test_the_first_failure_ends_the_run_if_that_is_asked_for(project: Project, provider: Provider) -> None:
    flags = ("--agenttape-live=llm", "--agenttape-model=gpt-5.5", "--agenttape-times=4")
    result = project.run("-x", "-k", "tricky", *flags)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*each test 4 times; 0 of 1 test passed (0%)"])
    assert provider.models == ["gpt-5.5"]


def test_runs_of_rerunfailures_count(project: Project, provider: Provider) -> None:
    pytest.importorskip("pytest_rerunfailures")
    moody(project)
    provider.moods = 1  # the first run goes wrong
    result = project.run_apart(
        *("-p", "pytest_rerunfailures", "--reruns=2", "-k", "moody"),
        *("--agenttape-live=llm", "--agenttape-model=gpt-5.5"),
    )
    result.stdout.fnmatch_lines(["  passed 1 of 2: test_it.py::test_moody (*"])


REPEAT = """
    import pytest

    @pytest.fixture
    def __pytest_repeat_step_number(request):
        return request.param

    @pytest.hookimpl(trylast=True)
    def pytest_generate_tests(metafunc):  # as pytest-repeat does
        metafunc.fixturenames.append("__pytest_repeat_step_number")
        ids = [f"{number + 1}-3" for number in range(3)]
        metafunc.parametrize("__pytest_repeat_step_number", range(3), indirect=True, ids=ids)
"""


def test_repetitions_of_pytest_repeat_replay_the_one_recording_and_count(project: Project, provider: Provider) -> None:
    path = project.path / "test_it.py"
    sets = "@pytest.mark.parametrize('how', ['3-4', 'easy'])\ndef test_sets(how):\n    ask(how)\n"
    path.write_text(f"{path.read_text()}\n@pytest.mark.agenttape\n{sets}")
    project.record().assert_outcomes(passed=5)
    provider.models.clear()
    project.write(conftest=REPEAT)
    result = project.run("--agenttape-live=llm", "--agenttape-model=gpt-5.5")
    result.assert_outcomes(passed=12, failed=3)
    result.stdout.fnmatch_lines(
        [
            "live beside recorded: llm live, sent to gpt-5.5; 9 of 12 runs passed (75%)",
            "  passed 3 of 3: test_it.py::test_easy (*",
            "  passed 3 of 3: test_it.py::test_sets[[]3-4[]] (*",
            "  passed 3 of 3: test_it.py::test_sets[[]easy[]] (*",
            "  passed 0 of 3: test_it.py::test_tricky (*",
        ]
    )
    result.stdout.no_fnmatch_line("orphan*")


@pytest.mark.usefixtures("provider")
def test_the_report_compares_as_data_page_and_markdown(project: Project) -> None:
    flags = ("--agenttape-live=llm", "--agenttape-model=gpt-5.5")

    def report(name: str) -> str:
        project.run(*flags, f"--agenttape-report={name}")
        return Path(project.path, name).read_text(encoding="utf-8")

    data = json.loads(report("run.json"))["comparison"]
    assert data["pass_rate"] == "1 of 2 tests passed (50%)"
    tricky = data["tests"][1]
    assert (tricky["nodeid"], tricky["verdict"], tricky["cells"][:2]) == (
        "test_it.py::test_tricky",
        "failed",
        ["2 → 1", "31 → 51"],
    )
    assert tricky["runs"][0]["before"]["kinds"] == {"llm": 1, "tool": 1}
    assert tricky["divergences"] == ["look_up: city: 'Rome' -> 'Oslo'"]
    page = report("run.html")
    assert "1 of 2 tests passed (50%)" in page
    assert '"cells":["2 → 1","31 → 51",' in page
    text = report("run.md")
    assert text.startswith("### `llm live, sent to gpt-5.5`\n\n1 of 2 tests passed (50%): ")
    assert "| `test_it.py::test_tricky` | failed | 2 → 1 | 31 → 51 | " in text


def test_the_budget_holds(project: Project, provider: Provider) -> None:
    pytest.importorskip("genai_prices")
    result = project.run("--agenttape-live=llm", "--agenttape-budget=0")
    result.assert_outcomes(passed=1, failed=2)
    assert provider.models == []
    result.stdout.fnmatch_lines(["    first divergence: the budget of $0.00 is spent *"])


def test_a_model_without_a_name_is_refused(project: Project, provider: Provider) -> None:
    result = project.run("--agenttape-live=llm", "--agenttape-model=")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --agenttape-model names nothing; name a model, such as *"])
    assert provider.models == []


@pytest.mark.parametrize("flag", ["--agenttape-record", "--snapshot-update"])
def test_it_does_not_go_together_with_what_records(project: Project, provider: Provider, flag: str) -> None:
    result = project.run("--agenttape-live=llm", flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: *does not go together with *{flag.removeprefix('--agenttape')}*"])
    assert provider.models == []


@pytest.mark.parametrize("flag", ["--agenttape-model=gpt-5.5", "--agenttape-times=3"])
def test_what_is_live_has_to_be_said(project: Project, flag: str) -> None:
    result = project.run(flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --agenttape-model and --agenttape-times need --agenttape-live=TOKENS*"])
    project.run(flag, "--agenttape-live=").stderr.fnmatch_lines(["ERROR: --agenttape-live names nothing; *"])
