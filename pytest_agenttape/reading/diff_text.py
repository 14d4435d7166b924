"""The words of a `CassetteDiff`: what changed, cause first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.folding import changes_to_tell
from pytest_agenttape.reading.json_diff import diff_lines
from pytest_agenttape.reading.lines import Line, Part
from pytest_agenttape.reading.summary import call_name, calls_in_words, summary_line, what_changed
from pytest_agenttape.reading.usage import TokenTotals

_PARTS: Mapping[str, Part] = {"~": "call", "+": "new", "-": "old", ">": "moved"}
_COUNTED = {"~": "changed", "+": "new", "-": "dropped", ">": "moved"}
_DIFFS_PER_CALL = 6


def difference_lines(
    divergences: Sequence[Divergence], more_tokens: TokenTotals, limit: int, note: Callable[[Divergence], str]
) -> list[Line]:
    """Return *divergences* for a reader, cause first; at most *limit* calls are listed, each with its *note*."""
    tokens = tokens_in_words(more_tokens)
    if not divergences:
        return [Line(f"identical: the same calls, arguments and results{tokens}")]
    head = [Line(f"{counts_in_words(divergences)}{tokens}"), Line(cause_in_words(divergences), "cause"), Line("")]
    return head + call_lines(divergences, limit, note, set())


def call_lines(
    divergences: Sequence[Divergence], limit: int, note: Callable[[Divergence], str], told: set[FieldDiff]
) -> list[Line]:
    """Return at most *limit* calls and what changed in each; what follows from a change already *told* is named only.

    The changes are added to *told*.
    """
    lines: list[Line] = []
    for each in divergences[:limit]:
        lines += _divergence_lines(each, told, note(each))
    if len(divergences) > limit:
        lines.append(Line(f"… and {len(divergences) - limit} more", "aside"))
    return lines


def counts_in_words(divergences: Sequence[Divergence]) -> str:
    """Return how many calls changed in which way: ``calls: 2 changed, 1 new; +1 in all``."""
    counts = Counter(each.sign for each in divergences)
    calls = ", ".join(f"{counts[sign]} {name}" for sign, name in _COUNTED.items() if counts[sign])
    more = counts["+"] - counts["-"]
    return f"calls: {calls}{f'; {more:+d} in all' if more else ''}"


def tokens_in_words(more: TokenTotals) -> str:
    """Return how many more tokens there are, for the end of a sentence; empty if there are as many as before."""
    if not (more.total or more.input or more.output):
        return ""
    mark = ", estimated" if more.estimated else ""
    return f"; tokens {more.total:+d} (input {more.input:+d}, output {more.output:+d}{mark})"


def cause_in_words(divergences: Sequence[Divergence]) -> str:
    """Return the first divergence as a sentence, and which calls follow from it."""
    cause = f"first divergence: {what_happened(divergences[0])}"
    followers = [each for each in divergences if each.follows]
    if not followers:
        return cause
    numbers = [each.call.index for each in followers if each.sign != "-"]
    subject = calls_in_words(numbers) if numbers else f"{len(followers)} dropped"
    return f"{cause}; {subject} {'follows' if len(followers) == 1 else 'follow'} from it"


def what_happened(divergence: Divergence) -> str:
    """Return one divergence in words: ``the system prompt changed at messages[0] in call 0 (openai.chat)``."""
    call, changed = divergence.call, divergence.changed
    if divergence.sign == "+":
        return f"{summary_line(call)} is new"
    if divergence.sign == "-":
        return f"{summary_line(call)} is gone"
    where = f"call {call.index} ({call_name(call)})"
    if changed is None or divergence.before is None:
        return f"{where} moved"
    if changed.request:
        first = changed.request[0]
        first = first._replace(path=first.path.removeprefix("request."))
        return f"{what_changed(first, divergence.before.request, call.request)} in {where}"
    if changed.error:
        return f"the error of {where} changed"
    return f"the result of {where} changed"


def _divergence_lines(divergence: Divergence, told: set[FieldDiff], note: str) -> Iterator[Line]:
    """Yield one call and what changed in it; a change that follows from one already *told* is only named."""
    moved = divergence.before
    line = f"{divergence.sign} {summary_line(divergence.call)}"
    if moved is not None and moved.index != divergence.call.index:
        line += f"  (was #{moved.index})"
    if divergence.follows:
        line += "  (follows)"
    yield Line(line, _PARTS[divergence.sign], note)
    changes = changes_to_tell(divergence)
    shown = changes[: 1 if divergence.follows else _DIFFS_PER_CALL]
    for each in shown:
        if divergence.follows and each in told:
            yield Line(f"    {each.path}  (as above)", "aside")
        else:
            yield from _change_lines(each)
    told.update(shown)
    if len(changes) > len(shown):
        yield Line(f"    … and {len(changes) - len(shown)} more", "aside")


def _change_lines(change: FieldDiff) -> Iterator[Line]:
    path, *sides = diff_lines([change], "    ", ("old", "new"))
    yield Line(path)
    parts: tuple[Part, Part] = ("old", "new")
    yield from (Line(side, part) for side, part in zip(sides, parts, strict=False))  # a count has no sides
