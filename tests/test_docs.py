"""The documentation runs: every fenced block of README.md and docs/ is executed, loaded or compared.

What a block is, its language says; a comment on the line above it may say more.

    ```python              runs, in one namespace for the whole page
    ```text                right after a python block: what that block printed
    ```python              with a first line ``# name.py``: written to that file; ``test_*.py`` is then recorded and
                           replayed with pytest, unless a transcript comes next, which does so itself
    ```console             lines after ``$ `` run; what they print must be what is shown
    ```shell               every line runs and must succeed
    ```yaml, json          parsed; a whole cassette or a list of interactions is loaded as such
    ```toml, ini           parsed; settings are checked as such
    any file format        with a first line ``# name.ext``: written to that file besides
    <!-- not run: why -->  above a block: left alone
    <!-- main job -->, <!-- tests --> in README.md: run by .ci/run, in an environment of their own
    ```{toctree}           a directive of Sphinx, which .ci/run builds the site with

In what is shown, ``...`` stands for any text. Clients reach the stand-in provider unless a page says otherwise; when
tests are replayed, it must not hear from them.
"""

from __future__ import annotations

import configparser
import contextlib
import gc
import importlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
import unittest.mock
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from pytest_agenttape import Cassette, Config, Interaction
from pytest_agenttape.plugin.options import INI_KEYS as INI
from pytest_agenttape.process import runs
from tests.standin import StandInProvider

ROOT = Path(__file__).parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SITE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]["Documentation"]
RUN_BY_CI = ("main job", "tests")
NOT_RUN = "not run: "

# Imported once, for every run to have.
_KEPT = (
    *("openai", "anthropic", "requests"),
    *(
        f"pytest_agenttape.{room}"
        for room in (
            "plugin.lifecycle",
            "plugin.report.file",
            "plugin.report.shown_calls",
            "plugin.report.terminal",
            "plugin.handle",
            "plugin.syrupy",
            "boundaries.decorators",
            "boundaries.shells",
        )
    ),
    *(f"pytest_agenttape.transports.{room}" for room in ("httpcore", "requests")),
)

# What a reader has installed, rather than everything that the tests of this project need.
_PLUGINS = [word for name in ("syrupy", "pytest_asyncio.plugin", "pytest_agenttape.plugin") for word in ("-p", name)]

_FENCE = re.compile(r"^(?P<ticks>`{3,})([^`\n]*)\n(.*?)^(?P=ticks)$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"<!-- (.+?) -->\n\Z")
_FILE_NAME = re.compile(r"^# ([\w./\[\]-]+\.(?:py|yaml|json|toml|ini|txt))$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where it begins, what it is, what it says."""

    place: str
    language: str
    text: str
    comment: str
    file: str | None

    @property
    def is_left_alone(self) -> bool:
        return self.comment.startswith(NOT_RUN) or self.comment in RUN_BY_CI or self.language.startswith("{")


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*."""
    content = page.read_text(encoding="utf-8")
    found = []
    for fence in _FENCE.finditer(content):
        comment = _COMMENT.search(content[: fence.start()])
        first, _, _ = fence[3].partition("\n")
        named = _FILE_NAME.match(first)
        found.append(
            Block(
                place=f"{page.relative_to(ROOT)}:{content.count(chr(10), 0, fence.start()) + 1}",
                language=fence[2],
                text=fence[3],
                comment=comment[1] if comment else "",
                file=named[1] if named else None,
            )
        )
    return found


class Reader:
    """Does what a reader of one page does, in a scratch directory."""

    def __init__(self, folder: Path, provider: StandInProvider) -> None:
        self._folder = folder
        self._provider = provider
        self._module = types.ModuleType("docs_page")
        self._printed = ""

    def follow(self, blocks: list[Block]) -> None:
        """Go through *blocks* in order."""
        sys.modules["docs_page"] = self._module  # classes that a page defines are found again by their module
        try:
            for block, following in zip(blocks, [*blocks[1:], None], strict=False):
                if not block.is_left_alone:
                    self._do(block, following)
        finally:
            del sys.modules["docs_page"]

    def _do(self, block: Block, following: Block | None) -> None:
        if block.file is not None:
            self._write(block.file, block.text)
        if block.language == "python":
            self._python(block, following)
            return
        action = self._actions.get(block.language)
        if action is None:
            _fail(block, f"nothing is known about {block.language or 'plain'} blocks; see this module's docstring")
        action(self, block)

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def _python(self, block: Block, following: Block | None) -> None:
        if block.file is None:
            self._execute(block)
        elif Path(block.file).name.startswith("test_") and not (following and following.language == "console"):
            self._record_and_replay(block)

    def _execute(self, block: Block) -> None:
        if "def test_" in block.text:
            _fail(block, "a test needs a file, named by the block's first line")
        line = int(block.place.rpartition(":")[2])
        code = compile("\n" * line + block.text, block.place.rpartition(":")[0], "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.ExitStack() as stack:
            stack.enter_context(unittest.mock.patch.object(runs, "_running", []))  # as outside pytest
            exec(code, self._module.__dict__)  # noqa: S102  # running the documentation is what this is for
        self._printed = printed.getvalue()

    def _record_and_replay(self, block: Block) -> None:
        for flags in (("--agenttape-record",), ()):
            before = self._provider.hits
            status, output = self._pytest([block.file or "", *flags])
            if status != 0:
                _fail(block, f"pytest {' '.join(flags)}\n{output}")
            if not flags and self._provider.hits != before:
                _fail(block, "the replay reached the provider")

    def _console(self, block: Block) -> None:
        for command, shown in _transcript(block):
            _, output = self._run(command)
            if not _is_shown(shown, output):
                _fail(block, f"$ {command}\n--- shown\n{shown}--- found\n{output}---")

    def _shell(self, block: Block) -> None:
        for line in filter(None, block.text.splitlines()):
            status, output = self._run(line)
            if status != 0:
                _fail(block, f"{line}\n{output}")

    def _run(self, command: str) -> tuple[int, str]:
        words = shlex.split(command, comments=True)
        if words[:1] == ["pytest"]:
            return self._pytest(words[1:])
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=self._folder, check=False)
        return done.returncode, done.stdout + done.stderr

    def _pytest(self, arguments: list[str]) -> tuple[int, str]:
        return _in_a_process_of_its_own(self._folder, lambda: int(pytest.main([*_PLUGINS, *arguments])))

    def _text(self, block: Block) -> None:
        if not _is_shown(block.text, self._printed):
            _fail(block, f"the block above it prints\n{self._printed}")

    def _yaml(self, block: Block) -> None:
        self._check_cassette(yaml.safe_load(block.text), ".yaml", block)

    def _json(self, block: Block) -> None:
        self._check_cassette(json.loads(block.text), ".json", block)

    def _check_cassette(self, content: Any, suffix: str, block: Block) -> None:
        if isinstance(content, dict) and "interactions" in content and "version" in content:
            self._write(f"shown{suffix}", block.text)
            Cassette.load(self._folder / f"shown{suffix}")
            (self._folder / f"shown{suffix}").unlink()
        elif isinstance(content, list) and content and isinstance(content[0], dict) and "kind" in content[0]:
            for each in content:
                Interaction.from_dict(each)

    def _toml(self, block: Block) -> None:
        table = tomllib.loads(block.text)
        tools = table.get("tool", {})
        if "pytest" in tools:
            self._check_ini_keys(tools["pytest"]["ini_options"], block)
        else:
            Config.from_mapping(tools.get("agenttape", {}) if "tool" in table else table)

    def _ini(self, block: Block) -> None:
        parser = configparser.ConfigParser()
        parser.read_string(block.text)
        self._check_ini_keys(parser["pytest"], block)

    def _check_ini_keys(self, keys: Any, block: Block) -> None:
        known = {f"agenttape_{name}" for name, *_ in INI}
        unknown = {key for key in keys if key.startswith("agenttape_")} - known
        if unknown:
            _fail(block, f"{sorted(unknown)} are no ini keys")

    _actions: dict[str, Callable[[Reader, Block], None]] = {  # noqa: RUF012  # a table of methods
        "console": _console,
        "shell": _shell,
        "text": _text,
        "yaml": _yaml,
        "json": _json,
        "toml": _toml,
        "ini": _ini,
    }


def _transcript(block: Block) -> Iterator[tuple[str, str]]:
    if not block.text.startswith("$ "):
        _fail(block, "a transcript begins with '$ '")
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        yield command, shown


def _in_a_process_of_its_own(folder: Path, run: Callable[[], int]) -> tuple[int, str]:
    """Run in a fork, which has the libraries loaded already and whose patches die with it."""
    printed = folder.parent / f"{folder.name}.out"
    child = os.fork()
    if child == 0:
        gc.freeze()  # what the parent has loaded need not be searched through at the end
        status = 70
        try:
            with printed.open("w", encoding="utf-8") as out:
                os.dup2(out.fileno(), 1)
                os.dup2(out.fileno(), 2)
                sys.stdout, sys.stderr = out, out
                sys.path.insert(0, "")
                status = run()
        finally:
            os._exit(status)
    _, waited = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(waited), printed.read_text(encoding="utf-8")


def _fail(block: Block, problem: str) -> NoReturn:
    pytest.fail(f"{block.place}: {problem}", pytrace=False)


def _is_shown(shown: str, output: str) -> bool:
    parts = _plain(shown).split("...")
    return re.fullmatch(".*?".join(map(re.escape, parts)), _plain(output), re.DOTALL) is not None


def _plain(text: str) -> str:
    """Return *text* without what depends on the run or the terminal: empty lines, widths, durations, other plugins."""
    lines = (
        re.sub(r" in (?:\d+\.\d+|\.\.\.)s(?: \(.*\))?( =+)?$", r" in ...s\1", line.rstrip())
        for line in text.splitlines()
    )
    lines = (re.sub(r"^([=_-])\1+ (.*?) \1+$", r"\1\1\1 \2 \1\1\1", line) for line in lines)
    return "\n".join(filter(None, lines))


@pytest.fixture
def reader(tmp_path: Path, standin_provider: StandInProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Return a reader with an empty directory, whose clients reach the stand-in provider."""
    for library in _KEPT:
        importlib.import_module(library)
    for name in ("CI", "GITHUB_ACTIONS", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "OPENAI_BASE_URL": standin_provider.openai_url,
        "OPENAI_API_KEY": "no-key-is-needed",
        "ANTHROPIC_BASE_URL": standin_provider.anthropic_url,
        "ANTHROPIC_API_KEY": "no-key-is-needed",
        "WEATHER_API_URL": standin_provider.url,
        "COLUMNS": "80",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_PAGER": "cat",
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "HOME": str(tmp_path),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # two edits within a second must both be seen
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "examples"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    known = set(sys.modules)
    yield Reader(folder, standin_provider)
    for name in set(sys.modules) - known:
        del sys.modules[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_blocks_of_a_page_run(page: Path, reader: Reader) -> None:
    with unittest.mock.patch.dict(os.environ):  # what a page sets, the next one has not
        reader.follow(blocks_of(page))


def test_readme_has_the_blocks_that_ci_runs() -> None:
    marked = {block.comment for block in blocks_of(ROOT / "README.md") if block.language == "shell"}
    assert set(RUN_BY_CI) <= marked


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    content = _FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", content)
    ours = [target for target in targets if "://" not in target or target.startswith(SITE)]
    assert [target for target in ours if not _exists(page, _as_a_path(page, target))] == []


def test_a_page_begins_with_what_it_is_for() -> None:
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES if page.name != "changelog.md"}
    assert [name for name, text in texts.items() if not re.match(r"# .+\n\n[A-Z]", text)] == []


def test_links_of_readme_hold_wherever_it_is_shown() -> None:
    assert re.findall(r"\]\((?!https://)[^)\s]+\)", (ROOT / "README.md").read_text(encoding="utf-8")) == []


def _as_a_path(page: Path, target: str) -> str:
    """Return the path below *page*'s folder that an address of the site was made of."""
    if not target.startswith(SITE):
        return target
    path = target.removeprefix(SITE).removeprefix("_images/") or "index.html"
    return os.path.relpath(ROOT / "docs" / path.replace(".html", ".md"), page.parent)


def _exists(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", file.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
