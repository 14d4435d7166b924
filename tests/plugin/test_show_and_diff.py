"""``--agenttape-diff`` and ``--agenttape-show``: cassettes in the terminal, without running tests."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, Interaction
from tests.reading.recorded import chat

MODULE = """
    def test_never_runs():
        raise AssertionError
"""


def cassette(path: Path, *cities: str) -> Path:
    interactions = [
        Interaction(index=number, kind="tool", boundary="get_weather", request={"args": {"city": city}}, response=21)
        for number, city in enumerate(cities)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    Cassette(interactions=interactions).save(path)
    return path


def test_equal_cassettes_exit_0(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE)
    old = cassette(pytester.path / "old.yaml", "Paris")
    new = cassette(pytester.path / "new.json", "Paris")
    assert pytester.runpytest("--agenttape-diff", str(old), str(new)).ret == 0


def test_a_changed_argument_is_named_and_exits_1(pytester: pytest.Pytester) -> None:
    old = cassette(pytester.path / "old.yaml", "Paris", "Rome")
    new = cassette(pytester.path / "new.yaml", "Paris", "Oslo")
    result = pytester.runpytest("--agenttape-diff", str(old), str(new))
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["*first divergence: the argument city changed in call 1 (get_weather)", "*'Rome'", "*'Oslo'"]
    )


def test_bare_names_are_found_below_cassettes(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_x[1].yaml", "Paris")
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_y.yaml", "Paris")
    assert pytester.runpytest("--agenttape-diff", "test_x[1]", "test_y").ret == 0


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        pytest.param(lambda _: None, "agenttape: there is no file 'new.yaml'*", id="missing"),
        pytest.param(lambda path: path.write_text("a: [1"), "agenttape: new.yaml:*", id="corrupt"),
        pytest.param(lambda path: path.write_text(""), "agenttape: new.yaml*is empty*", id="empty"),
        pytest.param(lambda path: path.mkdir(), "agenttape: new.yaml*directory*", id="directory"),
    ],
)
def test_an_unusable_cassette_exits_4(pytester: pytest.Pytester, prepare: object, line: str) -> None:
    cassette(pytester.path / "old.yaml", "Paris")
    prepare(pytester.path / "new.yaml")  # type: ignore[operator]  # a function of a path
    result = pytester.runpytest("--agenttape-diff", "old.yaml", "new.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines([line])


def test_an_ambiguous_name_exits_4(pytester: pytest.Pytester) -> None:
    for folder in ("test_a", "test_b"):
        cassette(pytester.path / "cassettes" / folder / "test_x.yaml", "Paris")
    result = pytester.runpytest("--agenttape-diff", "test_x", "test_x")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: 'test_x' matches several cassettes; give a path: *"])


def test_show_prints_the_timeline_and_runs_no_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE)
    path = cassette(pytester.path / "cassettes" / "paris.yaml", "Paris")
    result = pytester.runpytest("--agenttape-show", str(path))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["tool get_weather(city='Paris')", "*21*"])
    result.stdout.no_fnmatch_line("*test_never_runs*")


PRICED = {"provider": "openai", "operation": "chat", "model": "gpt-4o"}


def run(path: Path, *, said: str = "Hi", ms: float = 1500) -> Path:
    """Write the cassette of a run: a model, a tool with a request in its body, the model again."""
    first = replace(chat(0, said), latency_ms=ms, metadata=PRICED)
    tool = Interaction(
        index=1, kind="tool", boundary="look_up", request={"args": {}}, response=1, latency_ms=40.0, metadata={}
    )
    nested = Interaction(
        index=2,
        kind="http",
        request={"method": "GET", "url": "https://a.example/x", "headers": {}},
        response={"status": 200, "headers": {}},
        latency_ms=30.0,
        metadata={"parent": 1},
    )
    last = replace(chat(3, said, "S", "A", "T"), latency_ms=260.0, metadata=PRICED)
    path.parent.mkdir(parents=True, exist_ok=True)
    Cassette(interactions=[first, tool, nested, last]).save(path)
    return path


def test_show_tells_the_tokens_the_money_and_the_time_of_each_call_and_in_total(pytester: pytest.Pytester) -> None:
    run(pytester.path / "run.yaml")
    result = pytester.runpytest("--agenttape-show", "run.yaml")
    result.stdout.fnmatch_lines(
        [
            "llm openai.chat gpt-4o  (12 tokens, less than $0.0001, 1.5 s)",
            "tool look_up()  (40 ms)",
            "  http GET https://a.example/x  (30 ms)",
            "llm openai.chat gpt-4o  (12 tokens, less than $0.0001, 260 ms)",
            "",
            "total: 4 calls (2 llm, 1 tool, 1 http), 24 tokens, less than $0.0001, 1.8 s",
        ]
    )


def test_without_prices_no_money_is_told(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_agenttape.providers.pricing.are_known", lambda: False)
    run(pytester.path / "run.yaml")
    result = pytester.runpytest("--agenttape-show", "run.yaml")
    result.stdout.fnmatch_lines(["llm openai.chat gpt-4o  (12 tokens, 1.5 s)", "total: *, 24 tokens, 1.8 s"])


def test_counts_that_no_price_is_for_are_shown_without_one(pytester: pytest.Pytester) -> None:
    counts = {"input_tokens": 10, "output_tokens": -5, "total_tokens": 5}
    odd = replace(chat(0, "Hi"), usage=counts, metadata=PRICED)
    Cassette(interactions=[odd]).save(pytester.path / "odd.yaml")
    result = pytester.runpytest("--agenttape-show", "odd.yaml")
    result.stdout.fnmatch_lines(["llm openai.chat gpt-4o  (5 tokens, price unknown)"])


def test_diff_tells_tokens_money_and_time_before_and_after(pytester: pytest.Pytester) -> None:
    old, new = run(pytester.path / "old.yaml"), run(pytester.path / "new.yaml", said="Ho", ms=900)
    result = pytester.runpytest("--agenttape-diff", str(old), str(new))
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "first divergence: the system prompt changed *; call 3 follows from it",
            '~ #0 llm openai.chat gpt-4o: "Ho"  (12 tokens, less than $0.0001, 1.5 s -> 900 ms)',
            '~ #3 llm openai.chat gpt-4o: tool result "T"  (follows)  (12 tokens, less than $0.0001, 260 ms)',
            "    request.json.messages?0?.content  (as above)",
            "",
            "total: 24 tokens, less than $0.0001, 1.8 s -> 1.2 s",
        ]
    )


def titles(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.endswith((".yaml", ".json"))]


def test_several_cassettes_are_shown_each_below_its_path(pytester: pytest.Pytester) -> None:
    a, b = cassette(pytester.path / "a.yaml", "Paris"), cassette(pytester.path / "b.json", "Rome", "Oslo")
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_x.yaml", "Bern")
    for names in (("a.yaml", str(b), "test_x"), ("a.yaml", "--agenttape-show=b.json", "--agenttape-show", "test_x")):
        result = pytester.runpytest("--agenttape-show", *names)
        assert result.ret == 0
        assert titles(result) == ["a.yaml", "b.json", "tests/cassettes/test_a/test_x.yaml"]
        result.stdout.fnmatch_lines(["a.yaml", "tool get_weather(city='Paris')", "*21*", "b.json", "*'Rome'*"])
        result.stdout.fnmatch_lines(["total of 3 cassettes: 4 calls (4 tool)"])
    assert titles(pytester.runpytest("--agenttape-show", str(a), "a.yaml")) == ["a.yaml", "a.yaml"]


def test_a_folder_shows_its_cassettes_and_nothing_else(pytester: pytest.Pytester) -> None:
    cassette(pytester.path / "tests" / "cassettes" / "test_a" / "test_x.yaml", "Paris")
    cassette(pytester.path / "tests" / "recordings" / "mine.json", "Rome")
    foreign(pytester.path / "tests" / "vcr" / "login.yaml")
    cassette(pytester.path / "tests" / "node_modules" / "cassettes" / "theirs.yaml", "Oslo")
    cassette(pytester.path / "tests" / "env" / "cassettes" / "theirs.yaml", "Oslo")
    (pytester.path / "tests" / "env" / "pyvenv.cfg").touch()
    (pytester.path / "tests" / "compose.yaml").write_text("services: {}\n")
    result = pytester.runpytest("--agenttape-show", "tests")
    assert result.ret == 0
    assert titles(result) == [
        "tests/cassettes/test_a/test_x.yaml",
        "tests/recordings/mine.json",
        "tests/vcr/login.yaml",
    ]
    assert_keeps_secrets(result)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_paths_of_tests_beside_a_cassette_are_neither_run_nor_taken_for_one(
    pytester: pytest.Pytester, before: bool
) -> None:
    path = pytester.makepyfile(MODULE)
    cassette(pytester.path / "a.yaml", "Paris")
    tests = [str(path), f"{path}::test_never_runs"]
    shown = ["--agenttape-show", "a.yaml"]
    result = pytester.runpytest(*((*tests, *shown) if before else (*shown, *tests)))
    assert result.ret == 0
    assert result.outlines[0] == "tool get_weather(city='Paris')"


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        pytest.param(lambda _: None, "agenttape: there is no file 'it.yaml' and no cassette with *", id="missing"),
        pytest.param(lambda path: path.mkdir(), "agenttape: there is no cassette below it.yaml", id="folder"),
        pytest.param(
            lambda path: path.write_text("a: [1"),
            "agenttape: it.yaml:*is not valid YAML*; correct it there, restore it from*",
            id="corrupt",
        ),
        pytest.param(
            lambda path: path.write_text("services: {}"),
            "agenttape: it.yaml: 'version' is missing; is this a cassette?",
            id="other YAML",
        ),
        pytest.param(lambda path: path.write_bytes(b"\x00\xff"), "agenttape: it.yaml:1: is not UTF-8*", id="binary"),
        pytest.param(lambda path: path.symlink_to(path), "agenttape: there is no file 'it.yaml' and *", id="loop"),
    ],
)
def test_what_cannot_be_shown_is_said_on_one_line_and_the_rest_is_shown(
    pytester: pytest.Pytester, prepare: Callable[[Path], object], line: str
) -> None:
    cassette(pytester.path / "a.yaml", "Paris")
    prepare(pytester.path / "it.yaml")
    result = pytester.runpytest("--agenttape-show", "it.yaml", "a.yaml")
    assert result.ret == 4
    problem, *shown = result.outlines
    assert len([each for each in result.outlines if "agenttape" in each]) == 1
    result.stdout.fnmatch_lines([line])
    assert problem.startswith("agenttape: ")
    assert "tool get_weather(city='Paris')" in shown


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b", "", "."], ids=["long", "NUL", "empty", "here"])
def test_a_name_that_no_file_can_have_is_said_on_one_line(pytester: pytest.Pytester, name: str) -> None:
    result = pytester.runpytest(f"--agenttape-show={name}")
    assert result.ret == 4
    [line] = result.outlines
    assert line.startswith("agenttape: there is no ")


def test_a_diff_names_both_cassettes_that_cannot_be_used(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--agenttape-diff", "old", "new")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: there is no file 'old' *", "agenttape: there is no file 'new' *"])


def test_show_and_diff_together_are_refused(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--agenttape-show", "a", "--agenttape-diff", "a", "b")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: --agenttape-show and --agenttape-diff do not go together; give one of them"])


@pytest.mark.parametrize("plugins", ["-p xdist -n 2", "-p no:terminal", "-p no:capture"])
def test_other_plugins_change_nothing_of_what_is_shown(pytester: pytest.Pytester, plugins: str) -> None:
    cassette(pytester.path / "a.yaml", "Paris")
    result = pytester.runpytest(*plugins.split(), "--agenttape-show", "a.yaml")
    assert (result.ret, result.outlines[0]) == (0, "tool get_weather(city='Paris')")


def test_a_broken_conftest_stops_tests_but_not_what_runs_none(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("import no_such_module")
    cassette(pytester.path / "a.yaml", "Paris")
    assert pytester.runpytest().ret == 4
    assert pytester.runpytest("--agenttape-diff", "a.yaml", "a.yaml").ret == 0
    foreign(pytester.path / "login.yaml")
    result = pytester.runpytest("--agenttape-show", "a.yaml", "login.yaml")  # its rules of redaction are not known
    assert result.ret == 4
    result.stdout.fnmatch_lines(
        ["tool get_weather(city='Paris')", "agenttape: login.yaml is not shown: another tool recorded it, *conftest*"]
    )
    assert KEY not in result.stdout.str()


def test_showing_a_cassette_loads_no_library_that_it_does_not_need(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    cassette(pytester.path / "a.yaml", "Paris")
    heavy = "httpx httpx2 requests respx responses time_machine aiohttp genai_prices".split()
    ours = [f"pytest_agenttape.{name}" for name in ("session", "transports", "process.freeze", "reading.diff")]
    code = (
        "import pytest, sys\n"
        "pytest.main(['-p', 'pytest_agenttape.plugin', '--agenttape-show', 'a.yaml'])\n"
        f"print('loaded:', [name for name in {[*heavy, *ours]} if name in sys.modules])"
    )
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_PLUGINS", raising=False)
    result = pytester.run(sys.executable, "-c", code)
    assert result.outlines == ["tool get_weather(city='Paris')", "  -> 21", "loaded: []"]


@pytest.mark.usefixtures("_afresh")
def test_output_that_is_ascii_only_loses_nothing_and_does_not_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    cassette(pytester.path / "a.yaml", "Zürich")
    result = pytester.runpytest_subprocess("--agenttape-show", "a.yaml")
    assert (result.ret, result.outlines[0]) == (0, "tool get_weather(city='Z\\xfcrich')")


@pytest.mark.parametrize(
    ("arguments", "variables", "is_coloured"),
    [
        pytest.param([], {"PY_COLORS": ""}, False, id="no terminal"),
        pytest.param(["--color=yes"], {"NO_COLOR": "1"}, True, id="color=yes"),
        pytest.param([], {"PY_COLORS": "", "FORCE_COLOR": "1"}, True, id="FORCE_COLOR"),
        pytest.param([], {"PY_COLORS": "", "FORCE_COLOR": "1", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param([], {"PY_COLORS": "1"}, True, id="PY_COLORS"),
        pytest.param(["--color=no"], {"PY_COLORS": "1"}, False, id="color=no"),
    ],
)
def test_colours_are_what_the_options_and_the_environment_ask_for(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    variables: dict[str, str],
    is_coloured: bool,
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    old, new = cassette(pytester.path / "a.yaml", "Paris"), cassette(pytester.path / "b.yaml", "Rome")
    shown = pytester.runpytest("--agenttape-show", str(old), *arguments).outlines[0]
    assert shown == (
        "\x1b[1mtool get_weather(city='Paris')\x1b[0m" if is_coloured else "tool get_weather(city='Paris')"
    )
    lines = pytester.runpytest("--agenttape-diff", str(old), str(new), *arguments).outlines
    assert ("\x1b[32m      new  'Rome'\x1b[0m" if is_coloured else "      new  'Rome'") in lines


KEY, PASSWORD, OWN = "sk-proj-Zq81LmNv0aTtY7pXcWqR55dE", "correct-horse-battery-91", "ACME-77120934"


def foreign(path: Path, *, token: str = "first") -> Path:
    """Write a cassette of vcrpy that holds secrets wherever one can stand."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"""\
interactions:
- request:
    method: POST
    uri: https://api.example.test/login?api_key={KEY}&page=1
    headers:
      Authorization: ['Bearer {KEY}']
      Content-Type: [application/json]
    body: '{{"user": "ann", "password": "{PASSWORD}", "turn": "{token}", "customer": "{OWN}"}}'
  response:
    status: {{code: 200, message: OK}}
    headers:
      Content-Type: [application/json]
      X-Api-Key: ['{token}-{KEY}']
    body: {{string: '{{"access_token": "{token}-{KEY}", "note": "key {KEY}", "customer": "{OWN}"}}'}}
version: 1
"""
    )
    return path


def assert_keeps_secrets(result: pytest.RunResult) -> None:
    printed = result.stdout.str() + result.stderr.str()
    assert "api.example.test/login" in printed
    assert [secret for secret in (KEY, PASSWORD, KEY[8:]) if secret in printed] == []


def test_the_secrets_of_another_tools_cassette_are_not_shown(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "login.yaml")
    result = pytester.runpytest("--agenttape-show", "login.yaml")
    assert result.ret == 0
    assert_keeps_secrets(result)


def test_the_secrets_of_other_tools_cassettes_are_not_in_their_difference(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "old.yaml")
    foreign(pytester.path / "new.yaml", token="second")
    result = pytester.runpytest("--agenttape-diff", "old.yaml", "new.yaml")
    assert result.ret == 1
    assert_keeps_secrets(result)


def test_the_rules_of_the_project_and_of_the_organisation_hold_for_what_is_shown(pytester: pytest.Pytester) -> None:
    foreign(pytester.path / "tests" / "login.yaml")
    (pytester.path / "tests" / "agenttape.toml").write_text("[redact]\nenabled = false\nregexes = ['ACME-[0-9]+']\n")
    pytester.makeconftest("def pytest_agenttape_policy(config): return {'redact': {'denylist': ['user']}}")
    result = pytester.runpytest("--agenttape-show", "tests/login.yaml")
    assert_keeps_secrets(result)
    result.stdout.no_fnmatch_line(f"*{OWN}*")
    result.stdout.no_fnmatch_line("*ann*")


def test_the_rules_of_the_project_hold_for_a_copy_outside_of_it(pytester: pytest.Pytester, tmp_path: Path) -> None:
    copy = foreign(tmp_path / "login.yaml")
    (pytester.path / "agenttape.toml").write_text("[redact]\nregexes = ['ACME-[0-9]+']\n")
    result = pytester.runpytest("--agenttape-show", str(copy))
    assert_keeps_secrets(result)
    result.stdout.no_fnmatch_line(f"*{OWN}*")


def test_a_secret_that_only_a_later_call_reveals_is_not_shown(pytester: pytest.Pytester) -> None:
    path = foreign(pytester.path / "login.yaml")
    earlier = "- request: {method: GET, uri: 'https://api.example.test/login', body: null, headers: {}}\n"
    earlier += f"  response: {{status: {{code: 200, message: OK}}, body: {{string: 'is {PASSWORD} ok?'}}}}\n"
    path.write_text(path.read_text().replace("- request:", f"{earlier}- request:", 1))
    assert_keeps_secrets(pytester.runpytest("--agenttape-show", "login.yaml"))


def test_a_message_about_an_unreadable_cassette_keeps_its_secrets(pytester: pytest.Pytester) -> None:
    text = foreign(pytester.path / "login.yaml").read_text()
    (pytester.path / "login.yaml").write_text(f"{text}'{KEY}': 1\n'{KEY}': 2\n")
    result = pytester.runpytest("--agenttape-show", "login.yaml")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: login.yaml:*"])
    assert KEY not in result.stdout.str()


def test_two_folders_of_cassettes_are_compared_by_their_paths_in_them(pytester: pytest.Pytester) -> None:
    for night in ("monday", "tuesday"):
        cassette(pytester.path / night / "test_a" / "test_same.yaml", "Paris")
        cassette(pytester.path / night / "test_a" / "test_rome.yaml", "Rome" if night == "monday" else "Oslo")
    result = pytester.runpytest("--agenttape-diff", "monday", "tuesday")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["cassettes: 1 changed, 1 equal", "~ test_a/test_rome.yaml*"])


def test_a_report_of_cassettes_has_what_is_shown_of_them(pytester: pytest.Pytester) -> None:
    path = cassette(pytester.path / "old.yaml", "Paris", "Rome")
    assert pytester.runpytest("--agenttape-show", str(path), "--agenttape-report=out/old.json").ret == 0
    report = json.loads((pytester.path / "out" / "old.json").read_text())
    assert (report["schema_version"], report["kind"], report["totals"]["calls"]) == ("1", "cassettes", 2)
    [shown] = report["cassettes"]
    assert shown["path"] == "old.yaml"
    assert [step["parts"] for step in shown["steps"]] == [
        {"args": {"city": city}, "result": 21} for city in ("Paris", "Rome")
    ]
    assert pytester.runpytest("--agenttape-show", str(path), "--agenttape-report=old.html").ret == 0
    assert '"kind":"cassettes"' in (pytester.path / "old.html").read_text()
