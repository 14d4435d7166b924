"""``--agenttape-review``: a refresh of which nothing is written before the user has seen and accepted it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.options import flag_given
from pytest_agenttape.plugin.pytest_privates import terminal_given_back
from pytest_agenttape.plugin.report.ledger import LEDGER
from pytest_agenttape.plugin.report.test_record import TestRecord
from pytest_agenttape.plugin.report.wording import counted, shown
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.diff import diff_recordings
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.timeline import timeline

_OTHERS = (
    *("agenttape_record", "agenttape_mode", "agenttape_audit", "agenttape_verify", "agenttape_disable"),
    "update_snapshots",
)
_QUESTION = "accept it? y(es), n(o), a(ll that follow), q(uit): "
_ANSWERS = ("y", "n", "a", "q")


@dataclass(frozen=True, slots=True)
class _Change:
    """A recording that the user has not accepted yet."""

    nodeid: str
    record: TestRecord
    lines: Sequence[Line]


class Review:
    """Registered in the main process; asks when everything else is done and reported."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        records = self._config.stash[LEDGER].records
        kept = {nodeid: each for nodeid, each in records.items() if each.pending is not None}
        # What is to be asked is not to be announced as left over.
        records.update({nodeid: replace(each, pending=None) for nodeid, each in kept.items()})
        result = yield
        changes = [*_changes(kept)]
        if changes and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            with terminal_given_back(self._config):
                session.exitstatus = self._review(changes) or session.exitstatus
        return result

    def _review(self, changes: Sequence[_Change]) -> int:
        """Ask about each change and accept those that the user wants; return the exit status."""
        screen = Screen(self._config)
        askable = [each for each in changes if each.record.outcome == "passed"]
        accepted = _accepted(screen, changes)
        left = len(askable) - len(accepted)
        if left:
            screen.write([Line(f"{counted(left, 'recording')} kept as pending; --snapshot-update accepts them all")])
        status = self._accept([each.nodeid for each in accepted]) if accepted else 0
        return status or int(bool(left))

    def _accept(self, nodeids: Sequence[str]) -> int:
        """Run the tests once more, answered from what is pending, which writes their cassettes and views."""
        params = self._config.invocation_params
        given = {*self._config.args, "--agenttape-review"}
        kept = [each for each in params.args if str(each) not in given]
        tests = [self._address(each) for each in nodeids]
        options = ("-q", "--agenttape-mode=refresh", "--snapshot-update")
        return subprocess.run(
            [sys.executable, "-m", "pytest", *map(str, kept), *options, *tests], cwd=params.dir, check=False
        ).returncode

    def _address(self, nodeid: str) -> str:
        file, mark, rest = nodeid.partition("::")
        return os.path.relpath(self._config.rootpath / file, self._config.invocation_params.dir) + mark + rest


def prepare(config: pytest.Config) -> None:
    """Make the run a refresh of which nothing is written, and ask at its end.

    Raises:
        UsageError: There is no terminal to ask in, no cache to keep recordings in, or other things are asked for.
    """
    if not is_worker(config):
        other = flag_given(config, _OTHERS)
        if other is not None:
            raise pytest.UsageError(f"--agenttape-review asks before it writes; it does not go together with {other}")
        with terminal_given_back(config):
            has_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
        if not has_terminal:
            raise pytest.UsageError(
                "--agenttape-review asks about each change, and this is no terminal; "
                "to accept all changes: pytest --snapshot-update"
            )
        if not hasattr(config, "cache"):
            raise pytest.UsageError(
                "--agenttape-review keeps recordings in pytest's cache, which -p no:cacheprovider has switched off"
            )
        config.pluginmanager.register(Review(config), "agenttape-review")
    config.option.agenttape_mode = "refresh"


def _changes(kept: Mapping[str, TestRecord]) -> Iterator[_Change]:
    """Yield what differs from the cassettes; what does not is forgotten."""
    for nodeid, record in sorted(kept.items()):
        assert record.pending is not None
        try:
            new = Cassette.load(record.pending)
            old = Cassette.load(record.path) if record.path.exists() else None
        except AgentTapeError as error:
            yield _Change(nodeid, replace(record, outcome="failed"), [Line(str(error), "failure")])
            continue
        if old is None:
            notes = {each.index: str(Facts.of(each)) for each in new.interactions}
            yield _Change(nodeid, record, timeline(new.interactions).lines(notes))
            continue
        diff = diff_recordings(old, new)
        if not diff.identical:
            yield _Change(nodeid, record, diff.lines(note=_took))
        elif record.outcome == "passed":
            Path(record.pending).unlink(missing_ok=True)


def _accepted(screen: Screen, changes: Sequence[_Change]) -> list[_Change]:
    """Show the changes one by one, and return those that the user accepts."""
    accepted: list[_Change] = []
    takes_all = False
    for number, change in enumerate(changes, 1):
        title = f"{number} of {len(changes)}: {change.nodeid}, {shown(change.record.path)}"
        screen.write([Line(""), Line(title, "title"), *change.lines])
        if change.record.outcome != "passed":
            screen.write([Line("its test failed: mend that first", "failure")])
            continue
        answer = "y" if takes_all else _answer()
        if answer == "q":
            break
        takes_all = takes_all or answer == "a"
        if answer in ("y", "a"):
            accepted.append(change)
    return accepted


def _answer() -> str:
    while True:
        try:
            answer = input(_QUESTION).strip().lower()[:1]
        except (EOFError, KeyboardInterrupt):
            return "q"
        if answer in _ANSWERS:
            return answer


def _took(divergence: Divergence) -> str:
    after: Interaction = divergence.call
    return str(Facts.of(after)) if divergence.before is None else Facts.of(divergence.before).to(Facts.of(after))
