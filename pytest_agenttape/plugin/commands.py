"""``--agenttape-show`` and ``--agenttape-diff``: cassettes in the terminal, without running tests."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import imported
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.imported.redacting import redacted
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin import cassette_files
from pytest_agenttape.plugin.facts import Facts, calls_in_words
from pytest_agenttape.plugin.imposed_settings import policy_of
from pytest_agenttape.plugin.options import BROKEN_CONFTEST
from pytest_agenttape.plugin.report.wording import counted, shown
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.diff import diff_cassettes
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.timeline import timeline
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.settings.config import Config
from pytest_agenttape.settings.options import key_rules

EQUAL, DIFFERENT, UNUSABLE = 0, 1, 4


class Commands:
    """What the command line asks for instead of a run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._root = config.invocation_params.dir
        self._pruned: Sequence[str] = config.getini("norecursedirs")
        self._screen = Screen(config)

    def diff(self, old: str, new: str) -> int:
        """Print how the cassette *new* differs from *old*, given as paths or bare names.

        Returns:
            0 if they are equal, 1 if they differ, 4 if one of them cannot be used.
        """
        cassettes = [each for name in (old, new) if (each := self._only(name)) is not None]
        try:
            rules = key_rules(Config.load(self._root))
        except AgentTapeError as error:
            self._write_problem(error)
            return UNUSABLE
        if len(cassettes) < 2:
            return UNUSABLE
        diff = diff_cassettes(*cassettes, rules=rules)
        self._screen.write(diff.lines(note=_took))
        before, after = (Facts.of(*each.interactions) for each in cassettes)
        took = before.to(after)
        self._screen.write([Line(""), Line(f"total: {took}", "aside")] if took else [])
        return EQUAL if diff.identical else DIFFERENT

    def show(self, names: Sequence[str]) -> int:
        """Print the timelines of the cassettes that *names* name: paths, bare names, and folders.

        Returns:
            0, or 4 if one of them cannot be used; the others are printed.
        """
        # Paths of tests may stand beside the cassettes, as on any command line of pytest.
        named = [name for name in names if not _is_of_tests(name)] or names
        paths = [*self._paths(named)]
        found = [path for path in paths if path is not None]
        shown_calls: list[Sequence[Interaction]] = []
        for path in dict.fromkeys(found):
            cassette = self._cassette(path)
            if cassette is not None:
                self._show(cassette, path if len(found) > 1 else None)
                shown_calls.append(cassette.interactions)
        if len(shown_calls) > 1:
            self._screen.write([Line(_summed_up_all(shown_calls), "aside")])
        return EQUAL if len(shown_calls) == len({*paths}) else UNUSABLE

    def _show(self, cassette: Cassette, title: Path | None) -> None:
        """Print one timeline, below its *title* if it is one of several."""
        calls = cassette.interactions
        notes = {each.index: str(Facts.of(each)) for each in calls}
        above = [] if title is None else [Line(visible(shown(title)), "title")]
        total = [Line(""), Line(_summed_up(calls), "aside")] if any(notes.values()) else []
        below = [] if title is None else [Line("")]
        self._screen.write([*above, *timeline(calls).lines(notes), *total, *below])

    def _paths(self, names: Sequence[str]) -> Iterator[Path | None]:
        """Yield the files that *names* name; None for a name without one, after telling why."""
        for name in names:
            try:
                yield from cassette_files.named_by(name, self._root, self._pruned)
            except AgentTapeError as error:
                self._write_problem(error)
                yield None

    def _only(self, name: str) -> Cassette | None:
        try:
            path = cassette_files.the_one(name, self._root, self._pruned)
        except AgentTapeError as error:
            self._write_problem(error)
            return None
        return self._cassette(path)

    def _cassette(self, path: Path) -> Cassette | None:
        """Return the cassette at *path* without secrets; None if it cannot be used, after telling why."""
        try:
            cassette = Cassette.load(path)
            if not imported.is_imported(cassette.interactions):
                return cassette  # what we record is redacted
            redactor = Redactor(self._rules(path), os.environ)
        except AgentTapeError as error:
            self._write_problem(error)
            return None
        return redacted(redacted(cassette, redactor), redactor)  # again, for a later call may tell what is a secret

    def _rules(self, path: Path) -> RedactionRules:
        """Return what is a secret in the cassette at *path*.

        Raises:
            ConfigError: A rule cannot be used, or a conftest that may have further ones cannot be imported.
        """
        why = self._config.stash.get(BROKEN_CONFTEST, None)
        if why is not None:
            raise ConfigError(
                f"{path} is not shown: another tool recorded it, and what must be redacted is not known "
                f"without the conftest that cannot be imported: {why}"
            )
        _, imposed = policy_of(self._config)
        # The built-in rules last: where they are switched off, they still hold for what is printed.
        return RedactionRules.of(Config.load(path.parent).redact).merged(imposed).merged(RedactionRules())

    def _write_problem(self, error: AgentTapeError) -> None:
        # A message about a damaged file may quote it.
        self._screen.write_problem(Redactor(RedactionRules(), os.environ).text(str(error)))


def _is_of_tests(name: str) -> bool:
    path, mark, _ = name.partition("::")
    return bool(mark) or path.endswith(".py")


def _took(divergence: Divergence) -> str:
    """Return what a call took, before and after if both runs have it."""
    after = Facts.of(divergence.call)
    return str(after) if divergence.before is None else Facts.of(divergence.before).to(after)


def _summed_up(calls: Sequence[Interaction]) -> str:
    return f"total: {calls_in_words(calls)}, {Facts.of(*calls)}"


def _summed_up_all(cassettes: Sequence[Sequence[Interaction]]) -> str:
    calls = calls_in_words([*chain.from_iterable(cassettes)])
    took = str(Facts.sum(Facts.of(*each) for each in cassettes))
    return ", ".join(filter(None, (f"total of {counted(len(cassettes), 'cassette')}: {calls}", took)))
