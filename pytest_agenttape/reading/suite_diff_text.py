"""The words of a `SuiteDiff`: what happened to each cassette, and each cause once, however many cassettes have it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.reading.diff_text import call_lines, tokens_in_words, what_happened
from pytest_agenttape.reading.divergences import Divergence
from pytest_agenttape.reading.lines import Line, Part, indented
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.suite_diff import CHANGES, RecordingChange, SharedCause, SuiteDiff
from pytest_agenttape.reading.usage import TokenTotals, total_tokens

_PARTS: Mapping[str, Part] = {"~": "title", "+": "new", "-": "old", ">": "moved"}
_CALLS_SHOWN = 30  # of one cassette
_FOLDED_SHOWN = 20  # cassettes with a cause that is told in full for another


def suite_lines(
    diff: SuiteDiff, of_cassette: Callable[[RecordingChange], str], of_call: Callable[[Divergence], str]
) -> Iterator[Line]:
    """Yield *diff* for a terminal: what is new, gone and only moved, then each cause with the cassettes that have it.

    Args:
        of_cassette: What stands beside a cassette.
        of_call: What stands beside a call.
    """
    yield Line(summed_up(diff))
    if any(not each.has_changed for each in diff.changes):
        yield Line("")
    yield from (_title(each, of_cassette(each)) for each in diff.changes if not each.has_changed)
    for cause in diff.causes:
        yield Line("")
        yield Line(cause_of(cause), "cause")
        folded = 0
        for each in cause.changes:
            below = _lines_below(each, cause, of_call)
            folded += len(below) == 1
            if len(below) > 1 or folded <= _FOLDED_SHOWN:
                yield _title(each, of_cassette(each))
                yield from indented(below)
        if folded > _FOLDED_SHOWN:
            yield Line(f"… and {folded - _FOLDED_SHOWN} more, as above", "aside")


def summed_up(diff: SuiteDiff) -> str:
    """Return how many cassettes changed in which way: ``cassettes: 2 changed, 1 new, 9 equal; tokens +8 (...)``."""
    counts = [f"{len(diff.of(sign))} {name}" for sign, name in CHANGES.items() if diff.of(sign)]
    counts += [f"{diff.equal} equal"] if diff.equal or not counts else []
    more = sum((total_tokens(each.after) - total_tokens(each.before) for each in diff.changes), TokenTotals())
    return f"cassettes: {', '.join(counts)}{tokens_in_words(more)}"


def cause_of(cause: SharedCause) -> str:
    """Return a cause as a sentence, and how many cassettes it stands in."""
    told = what_happened(divergences_of(cause.first)[0])
    others = len(cause.changes) - 1
    return f"{told}, and so in {others} more cassette{'' if others == 1 else 's'}" if others else told


def divergences_of(change: RecordingChange) -> Sequence[Divergence]:
    """Return where a cassette diverges."""
    return () if change.diff is None else change.diff.divergences


def changed_lines(change: RecordingChange, told: set[FieldDiff], of_call: Callable[[Divergence], str]) -> list[Line]:
    """Return the calls that changed by themselves; their changes are added to *told*."""
    return call_lines([each for each in divergences_of(change) if not each.follows], _CALLS_SHOWN, of_call, told)


def following_lines(change: RecordingChange, told: set[FieldDiff], of_call: Callable[[Divergence], str]) -> list[Line]:
    """Return the calls whose changes follow from others, of which those *told* are only named."""
    return call_lines([each for each in divergences_of(change) if each.follows], _CALLS_SHOWN, of_call, told)


def own_lines(change: RecordingChange, of_call: Callable[[Divergence], str]) -> list[Line]:
    """Return the calls of a further cassette with a cause that neither have it nor follow from it."""
    own = [each for each in divergences_of(change)[1:] if not each.follows]
    return call_lines(own, _CALLS_SHOWN, of_call, set())


def tools_in_words(change: RecordingChange) -> str:
    """Return of which tools a cassette has more or fewer calls: ``get_weather +1, look_up -2``."""
    return ", ".join(f"{visible(name)} {count:+d}" for name, count in change.tools.items())


def _lines_below(change: RecordingChange, cause: SharedCause, of_call: Callable[[Divergence], str]) -> Sequence[Line]:
    if change is cause.first:
        return call_lines(divergences_of(change), _CALLS_SHOWN, of_call, set())
    return [Line(f"as above, {_in_words(len(divergences_of(change)))}", "aside"), *own_lines(change, of_call)]


def _in_words(calls: int) -> str:
    return f"in {calls} call{'' if calls == 1 else 's'}"


def _title(change: RecordingChange, note: str) -> Line:
    was = f"  (was {visible(change.was.as_posix())})" if change.was is not None else ""
    return Line(f"{change.sign} {visible(change.path.as_posix())}{was}", _PARTS[change.sign], note)
