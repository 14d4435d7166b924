"""``--agenttape-show``: the timelines of cassettes in the terminal, without running tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.asked_cassettes import AskedCassettes
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.options import is_of_tests
from pytest_agenttape.plugin.report.wording import counted, shown
from pytest_agenttape.plugin.screen import Screen
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.timeline import timeline

ALL_SHOWN, UNUSABLE = 0, 4


def show(config: pytest.Config, names: Sequence[str]) -> int:
    """Print the timelines of the cassettes that *names* name: paths, bare names, and folders.

    They are written to the report file as well if one is asked for.

    Returns:
        0, or 4 if one of them cannot be used; the others are printed.
    """
    # Paths of tests may stand beside the cassettes, as on any command line of pytest.
    names = [each for each in names if not is_of_tests(each)] or names
    screen = Screen(config)
    asked = AskedCassettes(config, screen)
    paths = asked.paths(names)
    read: dict[Path, Cassette] = {}
    taken: list[Facts] = []
    for path in paths:
        cassette = asked.cassette(path)
        if cassette is not None:
            read[path] = cassette
            taken.append(Facts.of(*cassette.interactions))
            screen.write(_timeline_lines(cassette.interactions, taken[-1], path if len(paths) > 1 else None))
    if len(taken) > 1:
        total = Facts.sum(taken)
        screen.write([Line(_summed_up(f"total of {counted(len(taken), 'cassette')}", total), "aside")])
    if config.option.agenttape_report is not None:
        _report(config, read, asked)
    return UNUSABLE if asked.are_unusable else ALL_SHOWN


def _report(config: pytest.Config, read: Mapping[Path, Cassette], asked: AskedCassettes) -> None:
    from pytest_agenttape.plugin.report.cassettes import write_cassettes  # most only look at the terminal

    problem = write_cassettes(config.option.agenttape_report, read, config)
    if problem is not None:
        asked.refuse(AgentTapeError(problem))


def _timeline_lines(calls: Sequence[Interaction], total: Facts, title: Path | None) -> list[Line]:
    """Return the lines of one timeline, below its *title* if it is one of several."""
    notes = {each.index: str(Facts.of(each)) for each in calls}
    lines = timeline(calls).lines(notes)
    if any(notes.values()):
        lines += [Line(""), Line(_summed_up("total", total), "aside")]
    return lines if title is None else [Line(visible(shown(title)), "title"), *lines, Line("")]


def _summed_up(label: str, total: Facts) -> str:
    return ", ".join(filter(None, (f"{label}: {total.calls}", str(total))))
