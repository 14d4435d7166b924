"""The numbers of secrets in a file that is rewritten: what stands in the place of a secret takes over its number.

A placeholder is what the cassette lists as one; other text that looks like it is text. Nothing in a file tells whether
a secret is the one of before, and nothing may. So a number is only taken over if no call that is kept still has it: two
secrets never come to share one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from pytest_agenttape.cassettes.file_form import unfiled
from pytest_agenttape.errors import CassetteCorruptError
from pytest_agenttape.model import JSON, SECRET_PLACEHOLDER, Interaction

_PLACEHOLDER = re.compile(rf"{SECRET_PLACEHOLDER}[0-9]{{4}}")


def with_numbers_of(old: JSON, new: dict[str, JSON]) -> dict[str, JSON]:
    """Return the cassette *new* with the numbers that the secrets have in *old*; the same if none changes."""
    calls = old.get("interactions") if isinstance(old, dict) else None
    if not isinstance(calls, list):
        return new
    before = set(_placeholders(calls))
    after = set(_placeholders(new["interactions"])) & set(new["meta"].get("redacted") or ())
    if after <= before:
        return new
    free = before - after
    renamed: dict[str, str] = {}
    for now, then in _in_the_same_place(calls, new["interactions"]):
        if now in after - before and now not in renamed and then in free:
            renamed[now] = then
            free.discard(then)
    if not renamed:
        return new
    whole = _Renaming(renamed).of(new)
    return {**whole, "meta": {**whole["meta"], "redacted": sorted(whole["meta"]["redacted"])}}


def renamed(recorded: Interaction, names: Mapping[str, str]) -> Interaction:
    """Return *recorded* with other placeholders, the new *names* by the old ones."""
    of = _Renaming(names).of
    parts = {name: of(getattr(recorded, name)) for name in ("request", "response", "error", "usage", "metadata")}
    return replace(recorded, **parts)


def _in_the_same_place(before: list[JSON], after: list[JSON]) -> Iterator[tuple[str, str]]:
    """Yield placeholders of *after* with those that stand in their places in *before*, call by call of one boundary."""
    waiting: defaultdict[tuple[object, object], list[JSON]] = defaultdict(list)
    for call in reversed(before):
        if isinstance(call, dict):
            waiting[call.get("kind"), call.get("boundary")].append(call)
    seen: set[tuple[int, int]] = set()  # what is said once is looked at once
    alive = []  # or an id could be reused
    for call in after:
        same = waiting[call["kind"], call.get("boundary")]
        if not same:
            continue
        try:
            alive.append(unfiled(same.pop()))
        except CassetteCorruptError:  # edited by hand: it has no places to compare
            continue
        yield from _pairs(call, alive[-1], seen)


def _pairs(now: JSON, then: JSON, seen: set[tuple[int, int]]) -> Iterator[tuple[str, str]]:
    waiting = [(now, then)]
    while waiting:
        a, b = waiting.pop()
        if isinstance(a, dict | list):
            pair = id(a), id(b)
            if pair in seen:
                continue
            seen.add(pair)
        if isinstance(a, str) and isinstance(b, str):
            yield from zip(_PLACEHOLDER.findall(a), _PLACEHOLDER.findall(b), strict=False)
        elif isinstance(a, dict) and isinstance(b, dict):
            waiting += [(a[key], b[key]) for key in reversed(a) if key in b]
        elif isinstance(a, list) and isinstance(b, list):
            waiting += reversed(list(zip(a, b, strict=False)))


def _placeholders(calls: list[JSON]) -> Iterator[str]:
    """Yield the placeholders in *calls*; what is said once is looked at once."""
    seen: set[int] = set()
    waiting: list[JSON] = list(calls)
    while waiting:
        node = waiting.pop()
        if isinstance(node, str):
            yield from _PLACEHOLDER.findall(node) if SECRET_PLACEHOLDER in node else ()
        elif isinstance(node, dict | list) and id(node) not in seen:
            seen.add(id(node))
            waiting += node.values() if isinstance(node, dict) else node


class _Renaming:
    """A tree with other placeholders, in which what was one object still is."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names
        self._done: dict[int, JSON] = {}

    def of(self, node: JSON) -> JSON:
        if isinstance(node, str):
            return _PLACEHOLDER.sub(self._renamed, node) if SECRET_PLACEHOLDER in node else node
        if not isinstance(node, dict | list):
            return node
        if id(node) not in self._done:
            parts = list(node.values()) if isinstance(node, dict) else list(node)
            changed = [self.of(each) for each in parts]
            if all(new is old for new, old in zip(changed, parts, strict=True)):
                self._done[id(node)] = node
            else:
                self._done[id(node)] = dict(zip(node, changed, strict=True)) if isinstance(node, dict) else changed
        return self._done[id(node)]

    def _renamed(self, found: re.Match[str]) -> str:
        return self._names.get(found[0], found[0])
