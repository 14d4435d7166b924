"""What changed from all cassettes of one revision to those of another: which are new, gone, moved, changed, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import PurePath

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.providers.common_form import common_form
from pytest_agenttape.providers.wording import last_words
from pytest_agenttape.reading.calls import TOOL_KINDS
from pytest_agenttape.reading.comparable import compared_request
from pytest_agenttape.reading.diff import CassetteDiff, Recording, diff_recordings
from pytest_agenttape.reading.summary import call_name

CHANGES = {"~": "changed", "+": "new", "-": "gone", ">": "moved"}
_ALIKE = (
    0.5  # the share of calls that ask for the same from which a cassette that is gone and a new one are one that moved
)


@dataclass(frozen=True, slots=True)
class RecordingChange:
    """What happened to one cassette.

    Attributes:
        sign: ``+`` new, ``-`` gone, ``~`` changed, ``>`` moved, and perhaps changed besides.
        path: Where it is; where it was, if it is gone.
        was: Where it was, if it moved.
        before: Its calls; none if it is new.
        after: Its calls; none if it is gone.
        diff: What changed in it; None if it is new or gone.
    """

    sign: str
    path: PurePath
    was: PurePath | None
    before: Sequence[Interaction]
    after: Sequence[Interaction]
    diff: CassetteDiff | None = None

    @property
    def has_changed(self) -> bool:
        """Whether calls of it changed."""
        return self.diff is not None and not self.diff.identical

    @property
    def tools(self) -> Mapping[str, int]:
        """How many more calls of each tool there are."""
        more = Counter(_tools_of(self.after))
        more.subtract(_tools_of(self.before))
        return {name: count for name, count in more.items() if count}


@dataclass(frozen=True, slots=True)
class SharedCause:
    """Cassettes with the same first divergence."""

    changes: tuple[RecordingChange, ...]

    @property
    def first(self) -> RecordingChange:
        """The one that is told in full."""
        return self.changes[0]


@dataclass(frozen=True, slots=True)
class SuiteDiff:
    """What changed from one set of cassettes to another.

    Attributes:
        old: What the first set is called.
        new: What the second set is called.
        changes: In the order of their paths.
        equal: How many cassettes are the same in both.
    """

    old: str
    new: str
    changes: tuple[RecordingChange, ...]
    equal: int

    @property
    def causes(self) -> tuple[SharedCause, ...]:
        """The cassettes whose calls changed, by what changed first; what changed most often comes first."""
        by_cause: dict[object, list[RecordingChange]] = {}
        for each in self.changes:
            if each.diff is not None and each.has_changed:
                by_cause.setdefault(_cause_of(each.diff), []).append(each)
        return tuple(SharedCause(tuple(each)) for each in sorted(by_cause.values(), key=lambda each: -len(each)))

    def of(self, sign: str) -> tuple[RecordingChange, ...]:
        """Return the changes with this *sign*."""
        return tuple(each for each in self.changes if each.sign == sign)


def diff_suites(
    old: Mapping[PurePath, Recording | None], new: Mapping[PurePath, Recording | None], rules: KeyRules
) -> tuple[list[RecordingChange], int]:
    """Return what changed from the cassettes *old* to the cassettes *new*, by path, and how many did not.

    Of one that is None on a side, because it cannot be read, nothing is said.
    """
    unusable = {path for side in (old, new) for path, each in side.items() if each is None}
    return _diff_of_usable(_without(old, unusable), _without(new, unusable), rules)


def _without(side: Mapping[PurePath, Recording | None], unusable: Set[PurePath]) -> dict[PurePath, Recording]:
    return {path: each for path, each in side.items() if each is not None and path not in unusable}


def _diff_of_usable(
    old: Mapping[PurePath, Recording], new: Mapping[PurePath, Recording], rules: KeyRules
) -> tuple[list[RecordingChange], int]:
    moved = _moved(old, new)
    changes, equal = [], 0
    for path, after in new.items():
        was = path if path in old else moved.get(path)
        if was is None:
            changes.append(RecordingChange("+", path, None, (), after.interactions))
            continue
        before = old[was]
        diff = diff_recordings(before, after, rules=rules)
        if was != path:
            changes.append(RecordingChange(">", path, was, before.interactions, after.interactions, diff))
        elif diff.identical:
            equal += 1
        else:
            changes.append(RecordingChange("~", path, None, before.interactions, after.interactions, diff))
    met = {*new, *moved.values()}
    changes += [RecordingChange("-", each, None, old[each].interactions, ()) for each in old if each not in met]
    return sorted(changes, key=lambda each: each.path), equal


def _moved(old: Mapping[PurePath, Recording], new: Mapping[PurePath, Recording]) -> dict[PurePath, PurePath]:
    """Return the new paths of cassettes whose calls are mostly those of one that is gone, each with its old path."""
    gone = {path: _calls_of(each) for path, each in old.items() if path not in new}
    come = {path: _calls_of(each) for path, each in new.items() if path not in old}
    holders: dict[str, list[PurePath]] = {}
    for path, calls in gone.items():
        for call in calls:
            holders.setdefault(call, []).append(path)
    scored = [
        (-share, path.name != holder.name, path, holder)
        for path, calls in come.items()
        for holder, share in _shares(calls, gone, holders).items()
        if share >= _ALIKE
    ]
    moved: dict[PurePath, PurePath] = {}
    for *_, path, holder in sorted(scored):
        if path not in moved and holder not in moved.values():
            moved[path] = holder
    return moved


def _shares(
    calls: Counter[str], gone: Mapping[PurePath, Counter[str]], holders: Mapping[str, Sequence[PurePath]]
) -> Mapping[PurePath, float]:
    """Return which share of the calls each cassette that is *gone* has in common with *calls*."""
    shared = Counter[PurePath]()
    for call, count in calls.items():
        for holder in holders.get(call, ()):
            shared[holder] += min(count, gone[holder][call])
    return {holder: count / max(calls.total(), gone[holder].total()) for holder, count in shared.items()}


def _calls_of(recording: Recording) -> Counter[str]:
    """Return what was asked for, whatever the prompt, the model and the answers were, for a renamed test may change."""
    return Counter(
        json.dumps([each.kind, each.boundary, _asked(each)], sort_keys=True, default=str)
        for each in map(common_form, recording.interactions)
    )


def _asked(call: Interaction) -> JSON:
    body = call.request.get("json")
    said = last_words(body)[0] if call.kind == "llm" and isinstance(body, dict) else ""
    return said or compared_request(call, KeyRules())


def _cause_of(diff: CassetteDiff) -> object:
    first = diff.divergences[0]
    told: FieldDiff | str = call_name(first.call)
    if first.changed is not None and first.changed.field_diffs:
        told = first.changed.field_diffs[0]
    return first.sign, told


def _tools_of(calls: Sequence[Interaction]) -> Iterator[str]:
    return (call_name(each) for each in calls if each.kind in TOOL_KINDS)
