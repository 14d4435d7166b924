"""The prose of a mismatch: what was asked, what is recorded, where they differ, what to do."""

from __future__ import annotations

import difflib
import heapq
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from pytest_agenttape import downloads, telemetry
from pytest_agenttape.errors import FieldDiff, UnmatchedInteractionError
from pytest_agenttape.matching.canonical import KeyRules, canonical_request
from pytest_agenttape.matching.namesakes import function_of
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.reading.json_diff import Comparison, bag_of_words, diff_lines, field_diffs, likeness
from pytest_agenttape.reading.left_out import left_out
from pytest_agenttape.reading.one_line import ABSENT, WIDTH, visible
from pytest_agenttape.reading.summary import asked_line, call_name, summary_line

IsPlayed: TypeAlias = Callable[[Interaction], bool]

_DIFFS_SHOWN = 8
_NAMES_SHOWN = 12
_PLACES_SHOWN = 5
_CANDIDATES = 50  # compared in full: the most alike by a sample of their words

_CAUSE_WIDTH = 48  # beside the name of a test, on a line of 80 columns
_IN_LIST = re.compile(r"json\.(\w+)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Departure:
    """Where a run first left the order of its recording; a side is None if that timeline has ended."""

    position: int
    recorded: Interaction | None
    asked: Interaction | None


def explain(
    asked: Interaction,
    recordings: Sequence[Interaction],
    played: IsPlayed,
    *,
    cassette_path: Path | None = None,
    lines: Sequence[int] = (),
    mode: str = "none",
    command: str = "",
    cheaper: Sequence[str] = (),
    same_key: Sequence[Interaction] = (),
    rules: KeyRules | None = None,
    served: Sequence[Interaction] = (),
    root: Path | None = None,
) -> UnmatchedInteractionError:
    """Return the error for *asked*, which none of *recordings* answers.

    Args:
        played: Returns whether a recording was already served.
        lines: The line in the file where each recording begins.
        command: The command that records again.
        cheaper: What else to do, which costs less, the cheapest first.
        same_key: The recordings of exactly the same request.
        rules: What matching leaves out.
        served: The recordings served to this run so far, in order; they show an earlier departure from that order.
        root: The path is shown relative to this folder.
    """
    case = _Case(asked, recordings, played, lines, rules or KeyRules())
    finding = _finding(case, same_key)
    message = [f"{asked_line(asked)} matches no unplayed interaction in {_shown_path(cassette_path, root)}"]
    message += [f"  {line}" for line in (*finding.lines, *_unplayable(case), *_earlier_departure(case, served))]
    url = str(asked.request.get("url", ""))
    message += [f"  {line}" for line in (*telemetry.hint(url), *downloads.hint(url))]
    message += [f"  {visible(line)}" for line in (*left_out(finding.diffs, asked), *cheaper)]
    if command:
        message.append(f"  re-record: {visible(command)}")
    return UnmatchedInteractionError(
        "\n".join(message),
        kind=asked.kind,
        boundary=asked.boundary,
        request=asked.request,
        closest=finding.closest,
        field_diffs=finding.diffs,
        cassette_path=cassette_path,
        mode=mode,
        cause=visible(finding.cause, _CAUSE_WIDTH),
    )


def nearest(asked: Interaction, candidates: Sequence[Interaction], is_played: IsPlayed) -> Interaction | None:
    """Return the candidate with the fewest differing paths, then the most alike, then one not yet played."""
    if len(candidates) > _CANDIDATES:
        candidates = _likest(asked, candidates, is_played)
    comparison = Comparison()
    ours = _without_headers(asked)

    def distance(each: Interaction) -> tuple[float, float, bool, int]:
        theirs = _without_headers(each)
        unlike = round(1 - comparison.similarity(theirs, ours), 2)
        return sum(1 for _ in comparison.differences(theirs, ours)), unlike, is_played(each), each.index

    return min(candidates, key=distance, default=None)


def first_divergence(
    served: Sequence[Interaction], recorded: Sequence[Interaction], *, rules: KeyRules | None = None
) -> Departure | None:
    """Return where *served* first leaves the order of *recorded*; None if one is the beginning of the other."""
    rules = rules or KeyRules()
    for position, (call, recording) in enumerate(zip(served, recorded, strict=False)):
        if not _is_same_call(call, recording, rules):
            return Departure(position, recording, call)
    if len(served) > len(recorded):
        return Departure(len(recorded), None, served[len(recorded)])
    return None


@dataclass(frozen=True, slots=True)
class _Case:
    """The call, and the tape it was looked up in."""

    asked: Interaction
    recordings: Sequence[Interaction]
    is_played: IsPlayed
    lines: Sequence[int]
    rules: KeyRules

    def place(self, recording: Interaction, *, with_state: bool = True) -> str:
        facts = []
        line = self._line(recording)
        if line:
            facts.append(f"line {line}")
        if with_state and self.is_played(recording):
            facts.append("already played")
        return f"#{recording.index}{' (' + ', '.join(facts) + ')' if facts else ''}"

    def _line(self, recording: Interaction) -> int:
        for position in (recording.index, *range(len(self.recordings))):  # nearly always the index is the position
            if position < len(self.recordings) and self.recordings[position] is recording:
                return self.lines[position] if position < len(self.lines) else 0
        return 0


@dataclass(frozen=True, slots=True)
class _Finding:
    lines: tuple[str, ...]
    cause: str
    closest: Interaction | None = None
    diffs: tuple[FieldDiff, ...] = ()


def _unplayable(case: _Case) -> list[str]:
    """Return why recordings that may be meant are never served: another tool recorded them with losses."""
    kept = [each for each in case.recordings if each.kind == case.asked.kind and each.unplayable is not None]
    named = [each for each in kept if each.boundary == case.asked.boundary] or kept
    lines = [f"{case.place(each)} cannot be replayed: {each.unplayable}" for each in named[:_PLACES_SHOWN]]
    more = len(named) - _PLACES_SHOWN
    return [*map(visible, lines), f"… and {more} more"] if more > 0 else list(map(visible, lines))


def _finding(case: _Case, same_key: Sequence[Interaction]) -> _Finding:
    if not case.recordings:
        return _Finding(("the cassette is empty",), "the cassette is empty")
    if same_key and all(map(case.is_played, same_key)):
        return _all_played(case, same_key)
    family = [each for each in case.recordings if _is_family(each, case.asked)]
    if not family:
        return _never_recorded(case)
    return _recorded_otherwise(case, family)


def _all_played(case: _Case, same_key: Sequence[Interaction]) -> _Finding:
    times = "once" if len(same_key) == 1 else f"{len(same_key)} times"
    places = [case.place(each, with_state=False) for each in same_key[:_PLACES_SHOWN]]
    if len(same_key) > _PLACES_SHOWN:
        places.append(f"… and {len(same_key) - _PLACES_SHOWN} more")
    lines = [f"already played {times}: this request is recorded as {', '.join(places)}"]
    token = case.asked.boundary or _host(case.asked)
    if token and case.asked.kind != "llm":  # a model that is asked again what it answered is rarely what was meant
        lines.append(f"if it may be made any number of times: repeats=[{visible(token, WIDTH)!r}]")
    return _Finding(tuple(lines), f"already played {times}: {call_name(case.asked)}", same_key[-1])


def _never_recorded(case: _Case) -> _Finding:
    name = _family_name(case.asked)
    lines = [f"never recorded: the cassette has no call of {name}"]
    counted = Counter(_family_name(each) for each in case.recordings)
    names = [f"{each} ({count})" for each, count in counted.most_common(_NAMES_SHOWN)]
    if len(counted) > _NAMES_SHOWN:
        names.append(f"… and {len(counted) - _NAMES_SHOWN} more")
    lines.append(f"recorded: {', '.join(names)}")
    alike = difflib.get_close_matches(name, list(counted)[:1_000], n=1, cutoff=0.8)
    if alike:
        lines.append(f"did the name change from {alike[0]}?")
    same_kind = [each for each in case.recordings if each.kind == case.asked.kind]
    return _Finding(tuple(lines), f"never recorded: {name}", nearest(case.asked, same_kind, case.is_played))


def _recorded_otherwise(case: _Case, family: Sequence[Interaction]) -> _Finding:
    closest = nearest(case.asked, family, case.is_played)
    assert closest is not None
    diffs = _request_diffs(closest, case)
    if not diffs:
        why, cause = "no matcher accepts it", "no matcher accepts the recording"
        if closest.parent is not None:
            why, cause = "the body of another call made it, and it belongs to that call", "recorded in another call"
        elif (function := function_of(closest)) is not None:
            why, cause = f"{function} was called, and another function has its name", "another function"
        elif all(map(case.is_played, family)):  # a matcher that looks at no request has no key to find that by
            why, cause = "all recordings of such calls are played", f"already played: {call_name(case.asked)}"
        return _Finding((f"nearest: {case.place(closest)} is the same request, but {why}",), cause, closest)
    lines = [f"nearest: {case.place(closest)}, {_where_they_part(diffs)}", *diff_lines(diffs, "  ")]
    lines += _removed_arguments(case, closest, diffs)
    if all(map(case.is_played, family)):
        count = f"all {len(family)} recordings" if len(family) > 1 else "the only recording"
        lines.append(f"{count} of {_family_name(case.asked)} {'are' if len(family) > 1 else 'is'} already played")
    return _Finding(tuple(lines), _in_short(diffs[0]), closest, diffs)


def _in_short(diff: FieldDiff) -> str:
    """Return one difference, with both values if they are short."""
    path = diff.path.removeprefix("json.").removeprefix("args.")
    both = f"{path}: {diff.recorded} -> {diff.asked}"
    return both if diff.recorded and diff.asked and len(both) <= _CAUSE_WIDTH else f"{path} changed"


def _request_diffs(closest: Interaction, case: _Case) -> tuple[FieldDiff, ...]:
    """Return what differs in what is matched; failing that, in what only the `exact` matcher sees, then anywhere."""
    theirs, ours = closest.request, case.asked.request
    for rules in (case.rules, case.rules.exact()):
        diffs = field_diffs(canonical_request(theirs, rules), canonical_request(ours, rules), limit=_DIFFS_SHOWN)
        if diffs:
            return _readable(diffs)
    return _readable(field_diffs(theirs, dict(ours), limit=_DIFFS_SHOWN))


def _readable(diffs: tuple[FieldDiff, ...]) -> tuple[FieldDiff, ...]:
    """Leave out the bytes of a gRPC message whose fields say what differs."""
    if not any(each.path.startswith("message") for each in diffs):
        return diffs
    return tuple(each for each in diffs if each.path != "body_b64")


def _removed_arguments(case: _Case, closest: Interaction, diffs: Sequence[FieldDiff]) -> list[str]:
    """Return what to do where the function no longer takes an argument; whether it had its default, nobody knows."""
    if "args" not in case.asked.request:
        return []
    paths = (each.path for each in diffs if each.asked == ABSENT)
    names = [path.removeprefix("args.") for path in paths if re.fullmatch(r"args\.\w+", path)]
    if not names:
        return []
    them = f"argument {names[0]!r}" if len(names) == 1 else f"arguments {', '.join(map(repr, names))}"
    it = "it" if len(names) == 1 else "them"
    return [
        f"if {call_name(case.asked)} no longer takes the {them}: "
        f"delete {it} from {case.place(closest, with_state=False)} in the cassette"
    ]


def _where_they_part(diffs: Sequence[FieldDiff]) -> str:
    """Return "differs at", or from which message on two conversations differ if several messages do."""
    found = [_IN_LIST.match(each.path) for each in diffs if each.recorded or each.asked]
    places = {(each[1], int(each[2])) for each in found if each}
    names = {name for name, _ in places}
    if None in found or len(names) != 1 or len(places) < 2:
        return "differs at"
    name, first = min(places)
    if first == 0:
        return f"differs from {name}[0] on"
    same = f"{name}[0] is" if first == 1 else f"{name}[0..{first - 1}] are"
    return f"differs from {name}[{first}] on; {same} as recorded"


def _earlier_departure(case: _Case, served: Sequence[Interaction]) -> tuple[str, ...]:
    asked_for = [each for each in case.recordings if not each.is_observed and each.unplayable is None]
    departure = first_divergence(served, asked_for, rules=case.rules)
    if departure is None or departure.recorded is None or departure.asked is None:
        return ()
    return (
        f"the run left the recorded order earlier, at call {departure.position}:",
        f"  recorded  {summary_line(departure.recorded)}",
        f"  asked     {summary_line(departure.asked)}",
    )


def _likest(asked: Interaction, candidates: Sequence[Interaction], is_played: IsPlayed) -> list[Interaction]:
    ours = bag_of_words(_without_headers(asked), leaves=32, sample=120)

    def rank(each: Interaction) -> tuple[float, bool, int]:
        theirs = bag_of_words(_without_headers(each), leaves=32, sample=120)
        return likeness(ours, theirs), not is_played(each), -each.index

    return heapq.nlargest(_CANDIDATES, candidates, key=rank)


def _without_headers(call: Interaction) -> JSON:
    return {key: value for key, value in call.request.items() if key != "headers"}


def _is_family(recording: Interaction, asked: Interaction) -> bool:
    if (recording.kind, recording.boundary) != (asked.kind, asked.boundary):
        return False
    return asked.boundary is not None or _host(recording) == _host(asked)


def _family_name(call: Interaction) -> str:
    if call.boundary:
        return f"{call.kind} {call_name(call)}"
    return f"{call.kind} {visible(_host(call), 80)}".rstrip()


def _host(call: Interaction) -> str:
    return urlsplit(str(call.request.get("url", ""))).hostname or ""


def _is_same_call(call: Interaction, recording: Interaction, rules: KeyRules) -> bool:
    if call is recording:
        return True
    if (call.kind, call.boundary) != (recording.kind, recording.boundary):
        return False
    comparison = Comparison()
    theirs = canonical_request(recording.request, rules)
    return comparison.identity(canonical_request(call.request, rules)) == comparison.identity(theirs)


def _shown_path(path: Path | None, root: Path | None) -> str:
    if path is None:
        return "the cassette"
    if root is not None and path.is_relative_to(root):
        path = path.relative_to(root)
    return visible(path.as_posix())
