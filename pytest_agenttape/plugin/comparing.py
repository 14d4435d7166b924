"""``--agenttape-diff``: how two cassettes differ, or all those of two revisions, without running tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import pytest

from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.plugin.asked_cassettes import AskedCassettes
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.git import GitError
from pytest_agenttape.plugin.options import is_of_tests
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.diff import diff_recordings
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.suite_diff import RecordingChange, SuiteDiff, diff_suites
from pytest_agenttape.reading.suite_diff_text import suite_lines, tools_in_words
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

EQUAL, DIFFERENT, UNUSABLE = 0, 1, 4


def compare(config: pytest.Config, names: Sequence[str]) -> int:
    """Print what changed, and write it to the report file if one is asked for.

    Args:
        names: Two cassettes as paths or bare names, two folders of cassettes, or a revision and folders to look at.

    Returns:
        0 if nothing did, 1 if something did, 4 if something cannot be used.
    """
    screen = Screen(config)
    asked = AskedCassettes(config, screen)
    names = [each for each in names if not is_of_tests(each)] or names
    try:
        rules = key_rules(Config.load(config.invocation_params.dir))
        found: tuple[SuiteDiff, list[Line]] | None
        if len(names) == 2 and all(asked.has_below(each) for each in names):
            found = _diff_of_folders(asked, rules, *names)
        elif len(names) == 2 and (asked.has(names[0]) or not Path(names[1]).exists()):
            found = _diff_of_two(asked, rules, *names)
        else:
            found = _diff_of_all(config, asked, rules, *names)
    except AgentTapeError as error:
        asked.refuse(error)
        return UNUSABLE
    if found is None:
        return UNUSABLE
    diff, lines = found
    is_written = _is_written(config, diff, asked)  # first: whoever reads the lines may stop reading
    screen.write(lines)
    if not is_written or asked.are_unusable:
        return UNUSABLE
    return DIFFERENT if diff.changes else EQUAL


def _diff_of_two(asked: AskedCassettes, rules: KeyRules, old: str, new: str) -> tuple[SuiteDiff, list[Line]] | None:
    before, after = asked.only(old), asked.only(new)
    if before is None or after is None:
        return None
    diff = diff_recordings(before, after, rules=rules)
    lines = diff.lines(note=_took)
    took = Facts.of(*before.interactions).to(Facts.of(*after.interactions))
    lines += [Line(""), Line(f"total: {took}", "aside")] if took else []
    change = RecordingChange("~", PurePath(new), None, before.interactions, after.interactions, diff)
    return SuiteDiff(old, new, *(((), 1) if diff.identical else ((change,), 0))), lines


def _diff_of_folders(asked: AskedCassettes, rules: KeyRules, old: str, new: str) -> tuple[SuiteDiff, list[Line]]:
    changes, same = diff_suites(asked.below(old), asked.below(new), rules)
    diff = SuiteDiff(old, new, tuple(changes), same)
    return diff, [*suite_lines(diff, _took_together, _took)]


def _diff_of_all(
    config: pytest.Config, asked: AskedCassettes, rules: KeyRules, revision: str, *folders: str
) -> tuple[SuiteDiff, list[Line]]:
    # Imported only here: two files need no git.
    from pytest_agenttape.plugin.revisions import diff_revisions

    below = [config.invocation_params.dir / each for each in folders]
    _check_arguments(revision, below)
    try:
        diff = diff_revisions(config, asked, revision, below, rules)
    except GitError as error:
        if asked.has(revision):
            raise _no_revision(revision, below) from None
        raise ConfigError(f"--agenttape-diff {revision}: there is no such cassette, and {error}") from None
    return diff, [*suite_lines(diff, _took_together, _took)]


def _check_arguments(revision: str, below: Sequence[Path]) -> None:
    if Path(revision).is_file():
        raise _no_revision(revision, below)
    for each in below:
        if not each.exists():
            raise ConfigError(f"--agenttape-diff {revision}: there is no folder {each}")


def _no_revision(name: str, below: Sequence[Path]) -> ConfigError:
    given = f"{len(below) + 1} arguments" if below else "one folder" if Path(name).is_dir() else "one cassette"
    return ConfigError(f"--agenttape-diff takes two cassettes, two folders or a revision; given is {given}: {name}")


def _took(divergence: Divergence) -> str:
    """Return what a call took, before and after if both runs have it."""
    after = Facts.of(divergence.call)
    return str(after) if divergence.before is None else Facts.of(divergence.before).to(after)


def _took_together(change: RecordingChange) -> str:
    """Return what a cassette's calls took, before and after if it was there, and of which tools there are more."""
    before, after = Facts.of(*change.before), Facts.of(*change.after)
    if change.diff is not None:
        return ", ".join(filter(None, (tools_in_words(change), before.to(after))))
    there = after if change.sign == "+" else before
    return ", ".join(filter(None, (there.calls, str(there))))


def _is_written(config: pytest.Config, diff: SuiteDiff, asked: AskedCassettes) -> bool:
    path: Path | None = config.option.agenttape_report
    if path is None:
        return True
    from pytest_agenttape.plugin.report.changes import write_changes

    problem = write_changes(path, diff, config)
    if problem is not None:
        asked.refuse(AgentTapeError(problem))
    return problem is None
