"""``--agenttape-diff REVISION``: all cassettes compared with those of a revision, without running tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_agenttape import Cassette, Interaction
from pytest_agenttape.plugin.report.changes_markdown import as_markdown
from pytest_agenttape.reading.suite_diff import RecordingChange, SuiteDiff
from tests.reading.recorded import chat, tool

MODULE = """
    def test_never_runs():
        raise AssertionError
"""


def conversation(
    question: str, system: str = "Be kind.", tools: tuple[str, ...] = ("find_flights",)
) -> list[Interaction]:
    """Return a call of a model, a tool, and the model again."""
    listed = [{"type": "function", "function": {"name": name}} for name in tools]
    first = chat(0, system, question, tools=listed)
    return [first, tool(1, "find_flights", city=question), chat(2, system, question, "found", tools=listed)]


class Repo:
    """A git repository with cassettes, in which pytest is run."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path = pytester.path
        pytester.makepyfile(MODULE)
        pytester.makeini("[pytest]")
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> None:
        names = ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL")
        identity = dict.fromkeys(names, "me")
        environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull}
        subprocess.run(["git", *arguments], cwd=self.path, check=True, env=environment, capture_output=True, timeout=30)

    def commit(self, message: str = "a change") -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def write(self, name: str, *interactions: Interaction) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Cassette(interactions=list(interactions)).save(path)
        return path

    def diff(self, *arguments: str) -> pytest.RunResult:
        return self.pytester.runpytest("--agenttape-diff", *arguments)


@pytest.fixture
def repo(pytester: pytest.Pytester) -> Repo:
    made = Repo(pytester)
    made.write("tests/cassettes/test_a/test_lisbon.yaml", *conversation("Lisbon"))
    made.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome"))
    made.write("tests/cassettes/test_b/test_still.json", tool(0, "still"))
    made.commit()
    return made


def test_a_revision_with_the_same_cassettes_exits_0(repo: Repo) -> None:
    for revision in ("main", "HEAD", "HEAD..", "main...HEAD"):
        result = repo.diff(revision)
        assert result.ret == 0
        assert result.outlines == ["cassettes: 3 equal"]


def test_a_changed_prompt_is_told_once_for_all_cassettes_that_have_it(repo: Repo) -> None:
    for city in ("Lisbon", "Rome"):
        repo.write(f"tests/cassettes/test_a/test_{city.lower()}.yaml", *conversation(city, "Be brief."))
    result = repo.diff("main")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "cassettes: 2 changed, 1 equal",
            "",
            "the system prompt changed at messages?0? in call 0 (openai.chat), and so in 1 more cassette",
            "~ tests/cassettes/test_a/test_lisbon.yaml  (*",
            '  ~ #0 llm openai.chat gpt-4o: "Lisbon"*',
            "      request.json.messages?0?.content",
            "        old  'Be kind.'",
            "        new  'Be brief.'",
            "  ~ #2 llm openai.chat gpt-4o: *  (follows)*",
            "      request.json.messages?0?.content  (as above)",
            "~ tests/cassettes/test_a/test_rome.yaml  (*",
            "  as above, in 2 calls",
        ],
        consecutive=True,
    )
    result.stdout.no_fnmatch_line("*test_never_runs*")


def test_what_a_further_cassette_has_of_its_own_is_told_below_it(repo: Repo) -> None:
    repo.write("tests/cassettes/test_a/test_lisbon.yaml", *conversation("Lisbon", "Be brief."))
    first, asked, last = conversation("Rome", "Be brief.")
    answered = replace(asked, response="nothing")
    repo.write("tests/cassettes/test_a/test_rome.yaml", first, answered, last)
    repo.diff("main").stdout.fnmatch_lines(
        [
            "~ tests/cassettes/test_a/test_rome.yaml  (*",
            "  as above, in 3 calls",
            "  ~ #1 tool find_flights(city='Rome')*",
            "        old  'sunny'",
            "        new  'nothing'",
        ]
    )


def test_an_added_tool_is_named(repo: Repo) -> None:
    repo.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome", tools=("find_flights", "find_hotels")))
    repo.diff("main").stdout.fnmatch_lines(["the tool find_hotels is new in call 0 (openai.chat)"])


def test_more_and_fewer_calls_of_tools_stand_beside_the_cassette(repo: Repo) -> None:
    first, _, last = conversation("Rome")
    hotels = tool(1, "find_hotels", city="Rome"), tool(2, "find_hotels", city="Ostia")
    repo.write("tests/cassettes/test_a/test_rome.yaml", first, *hotels, replace(last, index=3))
    repo.diff("main").stdout.fnmatch_lines(
        ["~ tests/cassettes/test_a/test_rome.yaml  (find_hotels +2, find_flights -1*"]
    )


def test_new_gone_and_moved_cassettes_are_listed(repo: Repo) -> None:
    repo.git("mv", "tests/cassettes/test_a/test_rome.yaml", "tests/cassettes/test_a/test_to_rome.yaml")
    repo.git("rm", "-q", "tests/cassettes/test_b/test_still.json")
    repo.write("tests/cassettes/test_a/test_oslo.yaml", *conversation("Oslo"))
    result = repo.diff("main")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "cassettes: 1 new, 1 gone, 1 moved, 1 equal*",
            "",
            "+ tests/cassettes/test_a/test_oslo.yaml  (3 calls (2 llm, 1 tool), *",
            "> tests/cassettes/test_a/test_to_rome.yaml  (was tests/cassettes/test_a/test_rome.yaml)*",
            "- tests/cassettes/test_b/test_still.json  (1 call (1 tool)*",
        ],
        consecutive=True,
    )


def test_a_moved_cassette_may_have_changed_besides(repo: Repo) -> None:
    (repo.path / "tests/cassettes/test_a/test_rome.yaml").unlink()
    first, asked, last = conversation("Rome")
    repo.write("tests/cassettes/test_a/test_to_rome.yaml", first, replace(asked, response="nothing"), last)
    repo.diff("main").stdout.fnmatch_lines(
        [
            "cassettes: 1 moved, 2 equal",
            "the result of call 1 (find_flights) changed",
            "> tests/cassettes/test_a/test_to_rome.yaml  (was tests/cassettes/test_a/test_rome.yaml)*",
        ]
    )


def test_two_commits_are_compared_whatever_the_working_tree_has(repo: Repo) -> None:
    repo.git("checkout", "-q", "-b", "topic")
    repo.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome", "Be brief."))
    repo.commit()
    repo.git("checkout", "-q", "main")
    repo.write("tests/cassettes/test_a/test_lisbon.yaml", *conversation("Lisbon", "Be odd."))
    repo.commit()
    shutil.rmtree(repo.path / "tests")
    assert repo.diff("main", "tests").ret == 4
    repo.diff("main..topic").stdout.fnmatch_lines(["cassettes: 2 changed, 1 equal"])
    since_they_parted = repo.diff("main...topic")
    since_they_parted.stdout.fnmatch_lines(["cassettes: 1 changed, 2 equal", "~ *test_rome.yaml*"])
    repo.diff("main").stdout.fnmatch_lines(["cassettes: 3 gone*"])


def test_folders_after_the_revision_narrow_the_comparison(repo: Repo) -> None:
    repo.write("tests/cassettes/test_b/test_still.json", tool(0, "loud"))
    repo.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome", "Be brief."))
    result = repo.diff("main", "tests/cassettes/test_b")
    result.stdout.fnmatch_lines(["cassettes: 1 changed*"])
    result.stdout.no_fnmatch_line("*test_rome*")


def test_paths_are_relative_to_the_root_from_wherever_pytest_is_started(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome", "Be brief."))
    monkeypatch.chdir(repo.path / "tests")
    repo.diff("main").stdout.fnmatch_lines(
        ["cassettes: 1 changed, 2 equal", "~ tests/cassettes/test_a/test_rome.yaml*"]
    )


def test_files_that_git_ignores_and_those_that_are_no_cassettes_are_not_compared(repo: Repo) -> None:
    (repo.path / ".gitignore").write_text("scratch/\n")
    repo.write("scratch/cassettes/test_x.yaml", tool(0, "x"))
    repo.write("node_modules/cassettes/test_x.yaml", tool(0, "x"))
    repo.write("tests/cassettes/test_a/test_rome.derived.yaml", tool(0, "x"))
    (repo.path / "discord.yaml").write_text("interactions: 3\n")
    (repo.path / "link.yaml").symlink_to("tests/cassettes/test_a/test_rome.yaml")
    assert repo.diff("main").ret == 0


def test_compressed_cassettes_are_compared_too(repo: Repo) -> None:
    repo.write("tests/cassettes/test_a/test_small.yaml.gz", tool(0, "small"))
    repo.commit()
    repo.write("tests/cassettes/test_a/test_small.yaml.gz", tool(0, "large"))
    result = repo.diff("HEAD")
    result.stdout.fnmatch_lines(["~ tests/cassettes/test_a/test_small.yaml.gz*", "  - #0 tool small()*"])


def test_what_differs_in_layout_alone_is_equal(repo: Repo) -> None:
    path = repo.path / "tests/cassettes/test_a/test_rome.yaml"
    path.write_bytes(b"# kept by hand\n" + path.read_bytes().replace(b"\n", b"\r\n"))
    result = repo.diff("main")
    assert result.ret == 0
    assert result.outlines == ["cassettes: 3 equal"]


def test_large_bodies_are_read_from_the_revision_too(repo: Repo) -> None:
    exchange = Interaction(
        index=0,
        kind="http",
        request={"method": "GET", "url": "https://a.example/x", "headers": {}},
        response={"status": 200, "headers": {}, "text": "a" * 200_000},
    )
    path = repo.write("tests/cassettes/test_a/test_large.yaml", exchange)
    assert (path.parent / "test_large.assets").is_dir()
    repo.commit()
    repo.write(
        "tests/cassettes/test_a/test_large.yaml", replace(exchange, response={**exchange.response, "status": 201})
    )
    result = repo.diff("HEAD")
    result.stdout.fnmatch_lines(["~ tests/cassettes/test_a/test_large.yaml*", "*old  200", "*new  201"])
    assert result.ret == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        pytest.param(
            ("nowhere",),
            "agenttape: --agenttape-diff nowhere: there is no such cassette, and git knows no revision 'nowhere' in *; "
            "if this is a shallow clone, fetch it first",
            id="unknown",
        ),
        pytest.param(("main..nowhere",), "agenttape: *git knows no revision 'nowhere'*", id="unknown end"),
        pytest.param(
            ("main...orphan",),
            "agenttape: *main and orphan have no commit in common; if this is a shallow clone, fetch its history *",
            id="unrelated",
        ),
        pytest.param(
            ("tests/cassettes/test_a/test_rome.yaml",),
            "agenttape: --agenttape-diff takes two cassettes, two folders or a revision; given is one cassette: "
            "tests/cassettes/*",
            id="one file",
        ),
        pytest.param(
            ("test_rome",),
            "agenttape: --agenttape-diff takes two cassettes, two folders or a revision; given is one cassette: "
            "test_rome",
            id="one name",
        ),
        pytest.param(
            ("tests/cassettes",),
            "agenttape: --agenttape-diff takes two cassettes, two folders or a revision; given is one folder: "
            "tests/cassettes",
            id="one folder",
        ),
    ],
)
def test_what_cannot_be_compared_exits_4(repo: Repo, arguments: tuple[str, ...], line: str) -> None:
    repo.git("branch", "topic")
    repo.git("checkout", "-q", "--orphan", "orphan")
    repo.commit("another beginning")
    result = repo.diff(*arguments)
    assert result.ret == 4
    result.stdout.fnmatch_lines([line])


def test_a_revision_is_never_taken_for_an_option_of_git(repo: Repo) -> None:
    result = repo.pytester.runpytest("--agenttape-diff=--output=stolen")
    assert result.ret == 4
    result.stdout.fnmatch_lines(["agenttape: *git knows no revision '--output=stolen'*"])
    assert not (repo.path / "stolen").exists()


def test_outside_of_a_repository_the_message_is_gits(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--agenttape-diff", "main")
    assert result.ret == 4
    result.stdout.fnmatch_lines(
        ["agenttape: --agenttape-diff main: there is no such cassette, and *not a git repository*"]
    )


def test_a_cassette_that_cannot_be_read_is_named_with_its_revision_and_the_others_are_compared(repo: Repo) -> None:
    path = repo.path / "tests/cassettes/test_a/test_rome.yaml"
    whole = path.read_bytes()
    path.write_text("interactions: [\n")
    repo.commit()
    path.write_bytes(whole)
    repo.write("tests/cassettes/test_b/test_still.json", tool(0, "loud"))
    result = repo.diff("HEAD")
    assert result.ret == 4
    result.stdout.fnmatch_lines(
        ["agenttape: HEAD:tests/cassettes/test_a/test_rome.yaml:*", "cassettes: 1 changed, 1 equal*"]
    )
    result.stdout.fnmatch_lines(["*tests/cassettes/test_b/test_still.json*"])


def test_git_starts_no_program_of_the_repository(repo: Repo) -> None:
    hook = repo.path / "hook"
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    repo.git("config", "core.fsmonitor", str(hook))
    repo.diff("main")
    assert not (repo.path / "ran").exists()


REPORTS: dict[str, Callable[[str], object]] = {
    "diff.md": lambda text: text.startswith("### What the agents do: `the working tree` against `main`\n"),
    "diff.html": lambda text: "the system prompt changed" in text and "Be brief." in text and "Be kind." in text,
    "diff.json": lambda text: json.loads(text)["changes"][0]["cause"].startswith("the system prompt changed"),
}


@pytest.mark.parametrize("name", REPORTS)
def test_the_report_says_what_the_terminal_does(repo: Repo, name: str) -> None:
    repo.write("tests/cassettes/test_a/test_rome.yaml", *conversation("Rome", "Be brief."))
    result = repo.diff("main", f"--agenttape-report=out/{name}")
    assert result.ret == 1
    assert REPORTS[name]((repo.path / "out" / name).read_text())


def test_two_files_can_be_reported_too(repo: Repo) -> None:
    repo.write("new.yaml", *conversation("Rome", "Be brief."))
    result = repo.diff("tests/cassettes/test_a/test_rome.yaml", "new.yaml", "--agenttape-report=diff.md")
    assert result.ret == 1
    assert "| `new.yaml` | `the system prompt changed" in (repo.path / "diff.md").read_text()


def test_a_run_cannot_be_reported_in_markdown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MODULE)
    result = pytester.runpytest("--agenttape-report=run.md")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: --agenttape-report=run.md: Markdown is for --agenttape-diff and --agenttape-live; a run is*"]
    )


def suite(*calls: Interaction) -> SuiteDiff:
    return SuiteDiff("a", "b", (RecordingChange("+", Path("cassettes/test.yaml"), None, (), calls),), 0)


def test_markdown_shows_what_a_cassette_says_as_text() -> None:
    hostile = "</details> ```` @everyone <img src=x> | [a](b)"
    text = as_markdown(suite(tool(0, "say", words=hostile)))
    fence = text[text.index("`````") :].partition("\n")[0]
    assert text.count(f"\n{fence}\n") == 2
    assert hostile in text.split(f"\n{fence}\n")[1]


def test_markdown_fits_in_a_comment() -> None:
    long = tuple(tool(number, "say", words="word " * 30) for number in range(1_000))
    text = as_markdown(suite(*long))
    assert len(text) < 65_536
    assert text.endswith("… and 1 more section, too long for a comment.\n")
