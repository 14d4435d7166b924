"""What ``--agenttape-diff`` found, as Markdown: fit for a comment on GitHub or GitLab, whatever a cassette says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.plugin.facts import Facts
from pytest_agenttape.plugin.report.wording import counted
from pytest_agenttape.reading.diff_text import counts_in_words, what_happened
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.suite_diff import CHANGES, RecordingChange, SharedCause, SuiteDiff
from pytest_agenttape.reading.suite_diff_text import (
    cause_of,
    changed_lines,
    divergences_of,
    following_lines,
    own_lines,
    summed_up,
    tools_in_words,
)
from pytest_agenttape.reading.timeline import timeline

_MOST_CHARACTERS = 60_000  # GitHub takes 65,536
_ROWS_SHOWN = 50
_PLACES_SHOWN = 20  # of one cause
_TICKS = re.compile("`+")


def as_markdown(diff: SuiteDiff) -> str:
    """Return *diff* as Markdown: a table of the cassettes, then each cause once, with what follows from it folded."""
    text = "\n".join(_head(diff))
    sections = [*map(_cause, diff.causes), *(_timeline(each) for each in diff.of("+"))]
    for number, section in enumerate(sections):
        if len(text) + len(section) > _MOST_CHARACTERS:
            return f"{text}\n\n… and {counted(len(sections) - number, 'more section')}, too long for a comment.\n"
        text += f"\n\n{section}"
    return f"{text}\n"


def _head(diff: SuiteDiff) -> Iterator[str]:
    yield f"### What the agents do: {as_code(diff.new)} against {as_code(diff.old)}"
    yield ""
    yield summed_up(diff)
    if not diff.changes:
        return
    yield ""
    yield "| cassette | what happened | calls | tools | tokens |"
    yield "|---|---|---|---|---|"
    for each in diff.changes[:_ROWS_SHOWN]:
        yield f"| {' | '.join(map(in_a_cell, _row(each)))} |"
    if len(diff.changes) > _ROWS_SHOWN:
        yield f"| … and {len(diff.changes) - _ROWS_SHOWN} more | | | | |"


def _row(change: RecordingChange) -> Iterator[str]:
    divergences = divergences_of(change)
    old, new = Facts.of(*change.before), Facts.of(*change.after)
    yield as_code(change.path.as_posix())
    happened = [] if change.sign == "~" else [CHANGES[change.sign]]
    happened += [] if change.was is None else [f"from {as_code(change.was.as_posix())}"]
    said = f"{' '.join(happened)}{', ' if happened and divergences else ''}"
    yield said + (as_code(what_happened(divergences[0])) if divergences else "")
    yield counts_in_words(divergences).removeprefix("calls: ") if divergences else _count(change, new, old)
    yield as_code(tools_in_words(change)) if change.tools else ""
    both = (f"{old.tokens.total:,}", f"{new.tokens.total:,}")
    yield f"{both[0]} → {both[1]}" if both[0] != both[1] else both[0]


def _count(change: RecordingChange, new: Facts, old: Facts) -> str:
    return (old if change.sign == "-" else new).calls


def _cause(cause: SharedCause) -> str:
    told: set[FieldDiff] = set()
    first = cause.first
    parts = [f"#### {as_code(cause_of(cause))}", _places(cause), _fenced(changed_lines(first, told, _nothing))]
    following = following_lines(first, told, _nothing)
    if following:
        number = sum(each.follows for each in divergences_of(first))
        said = f"{counted(number, 'call')} {'follows' if number == 1 else 'follow'} from it"
        parts.append(_folded(said, _fenced(following)))
    for each in cause.changes[1:]:
        own = own_lines(each, _nothing)
        if own:
            parts.append(_folded(f"besides, in {_code_in_html(each.path.as_posix())}", _fenced(own)))
    return "\n\n".join(parts)


def _places(cause: SharedCause) -> str:
    listed = [as_code(each.path.as_posix()) for each in cause.changes[:_PLACES_SHOWN]]
    more = len(cause.changes) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def _timeline(change: RecordingChange) -> str:
    title = f"new: {_code_in_html(change.path.as_posix())}"
    return _folded(title, _fenced(timeline(change.after).lines(), language=""))


def _nothing(_: object) -> str:
    return ""


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _fenced(lines: Sequence[Line], language: str = "diff") -> str:
    text = "\n".join(_signed(each) if language else str(each) for each in lines)
    fence = "`" * max(3, *(len(each) + 1 for each in _TICKS.findall(text)), 3)
    return f"{fence}{language}\n{text}\n{fence}"


def _signed(line: Line) -> str:
    """Return *line* with the sign at its start that a diff is coloured by."""
    sign = {"old": "-", "new": "+"}.get(line.part, " ")
    text = str(line)
    return text if text.startswith(("+", "-", "~", ">")) else sign + text[1:]


def as_code(text: str) -> str:
    """Return *text* as code, which no host takes for a mention, a link or markup."""
    shown = visible(text)
    longest = max((len(each) for each in _TICKS.findall(shown)), default=0)
    if not longest:
        return f"`{shown}`"
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}"


def _code_in_html(text: str) -> str:
    escaped = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<code>{escaped}</code>"


def in_a_cell(text: str) -> str:
    """Return *text* as it can stand in a table."""
    return text.replace("|", "\\|")
