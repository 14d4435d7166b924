"""Text that comes in pieces: the same field of successive events, read as one."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_agenttape.model import JSON
from pytest_agenttape.providers.streams import LABELS, PLACES

_Path = tuple[object, ...]
_Edits = dict[tuple[int, object], str]


@dataclass(slots=True)
class _Field:
    """One field across the events: where its pieces are, and what they say."""

    places: list[tuple[int, object]] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)


def redact_stream(items: Sequence[JSON], redact: Callable[[str], str], placeholder: re.Pattern[str]) -> Sequence[JSON]:
    """Return *items* without what *redact* finds in the joined pieces; the same object if it finds nothing."""
    fields: dict[_Path, _Field] = {}
    for item in items:
        for path, container, key, text in _texts(item, ()):
            found = fields.setdefault(path, _Field())
            found.places.append((id(container), key))
            found.pieces.append(text)
    edits: _Edits = {}
    for each in fields.values():
        if len(each.pieces) > 1 and any(piece != each.pieces[0] for piece in each.pieces):
            _redact_field(each, redact, placeholder, edits)
    return [_edited(item, edits) for item in items] if edits else items


def spread(pieces: Sequence[str], whole: str, placeholder: re.Pattern[str]) -> list[str]:
    """Cut *whole*, the redacted join of *pieces*, at the old borders; a placeholder stays where the secret began."""
    anchors = _anchors("".join(pieces), whole, placeholder)
    out, border, start = [], 0, 0
    for piece in pieces[:-1]:
        border += len(piece)
        end = max(start, _moved(border, anchors, len(whole)))
        out.append(whole[start:end])
        start = end
    return [*out, whole[start:]]


def _texts(node: JSON, path: _Path) -> Iterator[tuple[_Path, JSON, object, str]]:
    if isinstance(node, dict):
        marks = tuple(node[name] for name in PLACES if isinstance(node.get(name), int | str))
        entries, path = node.items(), (*path, marks)
    elif isinstance(node, list):
        entries = enumerate(node)  # type: ignore[assignment]  # keys of a list are its positions
    else:
        return
    for key, value in entries:
        if isinstance(value, str):
            if value and key not in LABELS:
                yield (*path, key), node, key, value
        elif isinstance(value, dict | list):
            step = "*" if isinstance(node, list) and isinstance(value, dict) and "index" in value else key
            yield from _texts(value, (*path, step))


def _redact_field(each: _Field, redact: Callable[[str], str], placeholder: re.Pattern[str], edits: _Edits) -> None:
    joined = "".join(each.pieces)
    redacted = redact(joined)
    if redacted is joined or redacted == joined:
        return
    for place, old, new in zip(each.places, each.pieces, spread(each.pieces, redacted, placeholder), strict=True):
        if new != old:
            edits[place] = new


def _edited(node: JSON, edits: _Edits) -> JSON:
    if isinstance(node, dict):
        copy = {key: _edited_leaf(node, key, value, edits) for key, value in node.items()}
        if "bytes" in copy and "logprob" in copy and copy.get("token") != node.get("token"):
            copy["bytes"] = None  # the same text again, as numbers
        return copy
    if isinstance(node, list):
        return [_edited_leaf(node, at, value, edits) for at, value in enumerate(node)]
    return node


def _edited_leaf(node: JSON, key: object, value: JSON, edits: _Edits) -> JSON:
    return edits[id(node), key] if (id(node), key) in edits else _edited(value, edits)


def _anchors(old: str, new: str, placeholder: re.Pattern[str]) -> list[tuple[int, int, int]]:
    """Return the stretches that both texts share, as (start in old, end in old, start in new)."""
    anchors, at_old, at_new = [], 0, 0
    kept = [(match.start(), match.end()) for match in placeholder.finditer(new)]
    for start, end in [*kept, (len(new), len(new))]:
        stretch = new[at_new:start]
        is_end = start == len(new) and old.endswith(stretch)
        found = len(old) - len(stretch) if is_end else old.find(stretch, at_old)
        if stretch and found >= at_old:
            anchors.append((found, found + len(stretch), at_new))
            at_old = found + len(stretch)
        at_new = end
    return anchors


def _moved(border: int, anchors: list[tuple[int, int, int]], length: int) -> int:
    at = bisect_left(anchors, border, key=lambda anchor: anchor[1])
    if at == len(anchors):
        return length
    start, _, moved = anchors[at]
    return moved + max(0, border - start)
