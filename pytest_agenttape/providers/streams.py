"""Event streams of providers: how the end of one is known, and the texts that come in pieces."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_agenttape.bodies import read_event
from pytest_agenttape.model import JSON
from pytest_agenttape.providers.registry import WORDS
from pytest_agenttape.providers.tolerant import MAX_DEPTH, at, payloads
from pytest_agenttape.providers.view import View

PLACES = WORDS.places
LABELS = frozenset(WORDS.labels)
_UNREAD = frozenset(("raw", "raw_b64"))
_LAST_EVENTS = frozenset(WORDS.last_events)
_LAST_FIELDS = tuple(tuple(path.split(".")) for path in WORDS.last_fields)
_PIECES = frozenset(WORDS.pieces)


def is_whole(view: View | None, response: Mapping[str, JSON]) -> bool:
    """Return whether the last events of a stored answer, or its last object, show that nothing follows."""
    events = response.get("events")
    if isinstance(events, list) and any(map(is_last_event, events[-3:])):
        return True
    return view is not None and not _is_cut(response) and view.is_finished(payloads(response))


def _is_cut(response: Mapping[str, JSON]) -> bool:
    """Return whether a stored body ends within an event, a line or a JSON value."""
    events = response.get("events")
    if not isinstance(events, list) or not events:
        return "json" not in response
    return not _UNREAD.isdisjoint(events[-1]) or isinstance(read_event(events[-1])[1], str)


def is_last_event(entry: JSON) -> bool:
    """Return whether a stored event is one after which its provider sends nothing more."""
    name, content = read_event(entry)
    kind = content.get("type") if isinstance(content, dict) else content
    if isinstance(entry, dict) and not _UNREAD.isdisjoint(entry) and not isinstance(content, dict):
        name = None  # the event may be cut within its data
    if name in _LAST_EVENTS or (isinstance(kind, str) and kind in _LAST_EVENTS):
        return True
    return any(at(content, *path) is not None for path in _LAST_FIELDS)


def with_whole_texts(events: list[JSON]) -> list[JSON]:
    """Return *events* without keep-alives, and each run that carries one text in pieces as one event.

    Where a text was cut is chance. The whole text is added to the first event of its run under ``text``, and is empty
    where the pieces were.
    """
    runs: list[tuple[JSON, list[str]]] = []
    for event in events:
        if _is_keep_alive(event):
            continue
        frame, pieces = _frame(event)
        if len(pieces) != 1:
            runs.append((event, []))
        elif runs and runs[-1][1] and runs[-1][0] == frame:
            runs[-1][1].extend(pieces)
        else:
            runs.append((frame, pieces))
    return [{**event, "text": "".join(pieces)} if pieces else event for event, pieces in runs]


def _frame(event: JSON) -> tuple[JSON, list[str]]:
    """Return *event* with its pieces emptied, and the pieces; an empty piece next to a non-empty one does not count."""
    if not isinstance(event, dict):
        return event, []
    pieces: list[str] = []
    frame = _without_pieces(event, pieces)
    if len(pieces) > 1:
        said = list(filter(None, pieces))
        return _without_pieces(event, [], keeps_empty=False) if len(said) == 1 else frame, said or pieces
    return frame, pieces


def _is_keep_alive(event: JSON) -> bool:
    return isinstance(event, dict) and (event.keys() <= {"comment"} or event.get("event") in WORDS.keep_alives)


def _without_pieces(node: JSON, pieces: list[str], keeps_empty: bool = True, depth: int = 0) -> JSON:
    """Return *node* with its pieces emptied; unless *keeps_empty*, those already empty are removed."""
    if depth > MAX_DEPTH:
        return node
    if isinstance(node, list):
        return [_without_pieces(each, pieces, keeps_empty, depth + 1) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {}
    for key, value in node.items():
        if key not in _PIECES or not isinstance(value, str):
            kept[key] = _without_pieces(value, pieces, keeps_empty, depth + 1)
        elif value or keeps_empty:
            pieces.append(value)
            kept[key] = ""
    return kept
