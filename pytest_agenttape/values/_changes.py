"""What a call does to the objects it is given: seen when it runs, and done again to the same objects in replay.

A change is a mapping. `at` is the path that the changed object had before the call, and the rest is what was done:

    {at: args.log, from: 2, items: [done]}                   from this item on (`until` another), the items are these
    {at: args.state, set: {paid: true}, removed: [open]}     entries of a mapping, attributes of an object
    {at: args.seen, added: [1], removed: [2]}                members of a set
    {at: args.data, now: ...}                                the whole content: bytes, or a mapping in another order

`also` lists the further paths of an object that the call had several times. Where a new content holds an object that
the call was given, it is `{$type: argument, path: args.log}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_agenttape.errors import AgentTapeError, RecordingRefusedError
from pytest_agenttape.model import JSON
from pytest_agenttape.values._codec import Encoding, decode_marked, layout
from pytest_agenttape.values._codecs import ARGUMENT, has_codec
from pytest_agenttape.values._forms import MARKER, Refused, Stored
from pytest_agenttape.values._in_place import SIMPLE, Content, InPlace, cannot_redo, in_place


@dataclass(slots=True, eq=False)
class _Seen:
    """An object that the call was given, as it was before."""

    value: object
    kind: InPlace | None
    content: Content
    paths: list[str] = field(default_factory=list)


class Watch:
    """The objects among *arguments* that can be changed, as they are now."""

    def __init__(self, arguments: Mapping[str, object], where: str = "args") -> None:
        self._arguments = arguments
        self._where = where
        self._seen: dict[int, _Seen] = {}
        self.look()

    def look(self) -> None:
        """Compare with the objects as they are now from here on.

        Raises:
            RecordingRefusedError: Another thread changes them.
        """
        self._seen = {}
        try:
            self._walk(self._where, ((f".{name}", each) for name, each in self._arguments.items()))
        except RuntimeError as error:
            raise _unsteady(self._where, error) from error

    def changes(self) -> list[Stored]:
        """Return what has been done to the objects.

        Raises:
            RecordingRefusedError: It cannot be done again in replay; the message has the path.
        """
        found = []
        for each in self._seen.values():
            at, *also = each.paths
            try:
                change = self._change_of(each)
            except Refused as refused:
                raise RecordingRefusedError(refused.message(at)) from refused.__cause__
            except RecursionError as error:
                raise RecordingRefusedError(f"{at}: is nested too deeply to be recorded") from error
            except RuntimeError as error:
                raise _unsteady(at, error) from error
            if change:
                found.append({"at": at, **({"also": also} if also else {}), **change})
        return found

    def redo(self, changes: JSON) -> None:
        """Do *changes* to the objects: all of them, or none.

        Raises:
            AgentTapeError: They do not fit to the objects.
        """
        if not isinstance(changes, list | tuple) or not all(isinstance(each, dict) for each in changes):
            raise AgentTapeError("what the recorded call did to its arguments is damaged")
        by_path = {path: each for each in self._seen.values() for path in each.paths}
        for redo in [self._prepared(each, by_path) for each in changes]:
            redo()

    # -- the objects

    def _walk(self, path: str, parts: Iterable[tuple[str, object]]) -> None:
        for segment, each in parts:
            self._see(each, path + segment)

    def _see(self, value: object, path: str) -> None:
        cls = type(value)
        kind = None if has_codec(cls) else in_place(cls)
        if kind is None and not (has_codec(cls) or isinstance(value, BaseException)):
            return
        known = self._seen.get(id(value))
        if known is not None:
            known.paths.append(path)
            return
        content = layout(Encoding().encode(value)) if kind is None else kind.read(value)
        if kind is None or kind.is_changeable:
            self._seen[id(value)] = _Seen(value, kind, content, [path])
        if kind is not None:
            self._walk(path, kind.parts(content))
            for each in kind.members(content):
                if type(each) not in SIMPLE:
                    self._see_member(each, f"{path}[*]")

    def _see_member(self, value: object, path: str) -> None:
        """Look at a member of a set or the key of a mapping, which has no path of its own, so it must stay as it is."""
        kind = in_place(type(value))
        if has_codec(type(value)) or (kind is not None and kind.is_changeable):
            self._seen.setdefault(id(value), _Seen(value, None, layout(Encoding().encode(value)), [path]))
        elif kind is not None:
            for each in (*(part for _, part in kind.parts(value)), *kind.members(value)):
                self._see_member(each, path)

    # -- recording

    def _change_of(self, seen: _Seen) -> Stored:
        if seen.kind is None:
            if layout(Encoding().encode(seen.value)) != seen.content:
                raise cannot_redo(seen.value)
            return {}
        change = seen.kind.difference(seen.content, seen.kind.read(seen.value), self._is_same, self._write)
        if any(each not in seen.content for each in self._read(change.get("removed", []))):
            raise Refused("what the call took out of it cannot be found again in replay; use plain data")
        return change

    def _is_same(self, before: object, after: object) -> bool:
        if before is after:
            return True
        if type(before) is not type(after) or id(before) in self._seen or id(after) in self._seen:
            return False
        try:
            return layout(self._write(before, "")) == layout(self._write(after, ""))
        except Refused:  # writing it for the cassette says where it is
            return False

    def _write(self, value: object, segment: str) -> JSON:
        writing = _Writing(self._seen)
        try:
            stored = writing.unproved(value)
            return stored if writing.refers else Encoding().encode(value)
        except Refused as refused:
            refused.segments.append(segment)
            raise

    # -- replay

    def _prepared(self, change: Stored, by_path: Mapping[str, _Seen]) -> Callable[[], object]:
        at = change.get("at")
        seen = by_path.get(at) if isinstance(at, str) else None
        if seen is None or seen.kind is None:
            raise AgentTapeError(f"the recorded call changed {at}, which this call does not have")
        also = change.get("also")
        paths = [at, *map(str, also)] if isinstance(also, list) else [at]
        if {*paths} != {*seen.paths}:
            raise AgentTapeError(
                f"the recorded call changed {_listed(paths)}, but this call has one object as {_listed(seen.paths)}"
            )
        try:
            return seen.kind.prepare(seen.value, seen.content, change, self._read)
        except AgentTapeError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise AgentTapeError(f"what the recorded call did to {at} cannot be done to it: {error}") from error

    def _read(self, stored: JSON) -> Any:
        """Return the stored value; where it names an object that the call was given, that object."""
        kind = type(stored)
        if kind is list:
            return [self._read(each) for each in stored]
        if kind is not dict:
            return stored
        if MARKER not in stored:
            return {key: self._read(each) for key, each in stored.items()}
        if stored[MARKER] != ARGUMENT:
            return decode_marked(stored, self._read)
        for each in self._seen.values():
            if stored.get("path") in each.paths:
                return each.value
        raise AgentTapeError(f"the recorded call was given {stored.get('path')}, which this call does not have")


class _Writing(Encoding):
    """An encoding in which the objects that the call was given are named by their paths."""

    __slots__ = ("_given", "refers")

    def __init__(self, given: Mapping[int, _Seen]) -> None:
        super().__init__()
        self._given = given
        self.refers = False

    def unproved(self, value: object) -> JSON:
        """Return the stored form."""
        return self._any(value)

    def _any(self, value: object) -> JSON:
        seen = self._given.get(id(value))
        if seen is None:
            return super()._any(value)
        self.refers = True
        return {MARKER: ARGUMENT, "path": seen.paths[0]}


def _listed(paths: Iterable[object]) -> str:
    return " and ".join(map(str, paths))


def _unsteady(where: str, error: RuntimeError) -> RecordingRefusedError:
    return RecordingRefusedError(f"{where}: changed while it was being read ({error}); pass a copy")
