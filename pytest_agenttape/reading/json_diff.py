"""Compare two JSON values by content: where they differ, how alike they are.

Values are compared as JSON trees, types included: ``1``, ``1.0`` and ``True`` are three different values.
Every comparison is close to linear in the size of its input, whatever the input is.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeAlias

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import JSON
from pytest_agenttape.reading.one_line import ABSENT, WIDTH, shorten, shown_pair

DIFF_LIMIT = 20

_MAX_CELLS = 10_000  # of one alignment table; beyond it lists are aligned by their equal items only
_CELL_BUDGET = 100_000  # of all alignment tables of one comparison
_MAX_EMBEDDED_JSON = 1_000_000  # characters
_MAX_PATH = 300

_MISSING: Final = object()

_Pairing: TypeAlias = list[tuple[int | None, int | None]]  # places in two lists


def field_diffs(
    recorded: JSON, asked: JSON, *, limit: int = DIFF_LIMIT, root: str = "", width: int = WIDTH
) -> tuple[FieldDiff, ...]:
    """Return the differing paths below *root*; beyond *limit* one last entry, without values, counts the rest."""
    shown: list[FieldDiff] = []
    more = 0
    for path, old, new in Comparison().differences(recorded, asked, root):
        if len(shown) < limit:
            shown.append(FieldDiff(path or "(value)", *_shown(old, new, width)))
        else:
            more += 1
    if more:
        shown.append(FieldDiff(f"… and {more} more", "", ""))
    return tuple(shown)


def diff_lines(
    diffs: Iterable[FieldDiff], indent: str = "", sides: tuple[str, str] = ("recorded", "asked")
) -> list[str]:
    """Return *diffs* as lines, a path each with both values below it."""
    gap = max(map(len, sides)) + 2
    lines = []
    for each in diffs:
        lines.append(f"{indent}{each.path}")
        if each.recorded or each.asked:
            lines.append(f"{indent}  {sides[0]:<{gap}}{each.recorded}")
            lines.append(f"{indent}  {sides[1]:<{gap}}{each.asked}")
    return lines


def bag_of_words(value: JSON, leaves: int = 40, sample: int = 200) -> frozenset[object]:
    """Return words of *value*, each with the name it is found under: of *leaves* texts, *sample* characters each.

    Breadth first and from the end of lists, so the last messages of a conversation are in it.
    """
    bag: set[object] = set()
    waiting: deque[tuple[str, JSON]] = deque([("", value)])
    for _ in range(8 * leaves):
        if not waiting or not leaves:
            break
        name, node = waiting.popleft()
        if isinstance(node, dict):
            waiting.extend((str(key), child) for key, child in islice(node.items(), 2 * leaves))
        elif isinstance(node, list):
            waiting.extend((name, child) for child in islice(reversed(node), leaves))
        else:
            leaves -= 1
            bag.update((name, word) for word in _words(node, sample))
    return frozenset(bag)


def likeness(a: frozenset[object], b: frozenset[object]) -> float:
    """Return how much two bags of words have in common, from 0 to 1."""
    return 2 * len(a & b) / (len(a) + len(b)) if a or b else 0.0


class Comparison:
    """Compares JSON trees; one object may compare many, and looks at each of them once."""

    def __init__(self) -> None:
        self._identities = _Identities()
        self._bags: dict[int, frozenset[object]] = {}
        self._cells = _CELL_BUDGET

    def identity(self, value: JSON) -> int:
        """Return a number that two values share exactly when they are equal, types included."""
        return self._identities.of(value)

    def differences(self, recorded: JSON, asked: JSON, root: str = "") -> Iterator[tuple[str, object, object]]:
        """Yield (path, recorded, asked) of each smallest differing part; a missing side is a private marker."""
        waiting: list[tuple[str, object, object]] = [(root, recorded, asked)]
        while waiting:
            path, old, new = waiting.pop()
            if old is not _MISSING and new is not _MISSING:
                if self.identity(old) == self.identity(new):
                    continue
                parts = self._parts(path, old, new)
                if parts is not None:
                    waiting.extend(reversed(parts))
                    continue
            yield path, old, new

    def similarity(self, a: JSON, b: JSON) -> float:
        """Return the `likeness` of two values."""
        return likeness(self._bag(a), self._bag(b))

    def _bag(self, value: JSON) -> frozenset[object]:
        number = self.identity(value)
        if number not in self._bags:
            self._bags[number] = bag_of_words(value)
        return self._bags[number]

    def _parts(self, path: str, old: object, new: object) -> list[tuple[str, object, object]] | None:
        if isinstance(old, dict) and isinstance(new, dict):
            return _dict_parts(path, old, new)
        if isinstance(old, list) and isinstance(new, list):
            return self._list_parts(path, old, new)
        if isinstance(old, str) and isinstance(new, str):
            return self._embedded_parts(path, old, new)
        return None

    def _embedded_parts(self, path: str, old: str, new: str) -> list[tuple[str, object, object]] | None:
        before, after = _embedded_json(old), _embedded_json(new)
        if before is None or after is None or self.identity(before) == self.identity(after):
            return None  # two layouts of one value differ as texts
        return self._parts(path, before, after)

    def _list_parts(self, path: str, old: list[JSON], new: list[JSON]) -> list[tuple[str, object, object]]:
        parts = []
        for i, j in self._changed_items(old, new):
            place = _longer(path, f"[{i if j is None else j}]")
            parts.append((place, _MISSING if i is None else old[i], _MISSING if j is None else new[j]))
        return parts

    def _changed_items(self, old: list[JSON], new: list[JSON]) -> _Pairing:
        ours, theirs = list(map(self.identity, old)), list(map(self.identity, new))
        start = 0
        while start < min(len(ours), len(theirs)) and ours[start] == theirs[start]:
            start += 1
        end, other_end = len(ours), len(theirs)
        while end > start and other_end > start and ours[end - 1] == theirs[other_end - 1]:
            end, other_end = end - 1, other_end - 1

        def gap(i: int, i_end: int, j: int, j_end: int) -> _Pairing:
            return self._pair_gap(old, new, range(i, i_end), range(j, j_end))

        if (end - start) * (other_end - start) <= min(_MAX_CELLS, self._cells):
            return gap(start, end, start, other_end)
        pairs: _Pairing = []
        i, j = start, start
        for at, there in (*_anchors(ours[start:end], theirs[start:other_end], start), (end, other_end)):
            pairs += gap(i, at, j, there)
            i, j = at + 1, there + 1
        return pairs

    def _pair_gap(self, old: list[JSON], new: list[JSON], ours: range, theirs: range) -> _Pairing:
        def score(i: int, j: int) -> float:
            a, b = old[ours[i]], new[theirs[j]]
            return 3.0 if self.identity(a) == self.identity(b) else 0.1 + self.similarity(a, b)

        pairs = self.best_pairs(len(ours), len(theirs), score)
        placed = [(None if i is None else ours[i], None if j is None else theirs[j]) for i, j in pairs]
        return [(i, j) for i, j in placed if i is None or j is None or self.identity(old[i]) != self.identity(new[j])]

    def best_pairs(self, rows: int, columns: int, score: Callable[[int, int], float]) -> _Pairing:
        """Return the in-order pairing of two lists with the highest sum of scores; by place if they are long."""
        cells = rows * columns
        if rows == columns == 1 or cells == 0 or cells > min(_MAX_CELLS, self._cells):
            return _pairs_by_place(rows, columns)
        self._cells -= cells
        scores = [[score(i, j) for j in range(columns)] for i in range(rows)]
        best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
        for i in reversed(range(rows)):
            for j in reversed(range(columns)):
                best[i][j] = max(best[i + 1][j + 1] + scores[i][j], best[i + 1][j], best[i][j + 1])
        return _trace(best, scores)


class _Identities:
    """Numbers values so that equal ones, types included, share a number. Nothing is looked at twice."""

    def __init__(self) -> None:
        self._numbers: dict[object, int] = {}
        self._known: dict[int, int] = {}
        self._kept: list[object] = []  # an id() is good only as long as its object lives

    def of(self, value: object) -> int:
        if not isinstance(value, dict | list):
            return self._number(_scalar_key(value))
        waiting: list[tuple[object, bool]] = [(value, False)]  # an explicit stack: the input decides the depth
        while waiting:
            node, ready = waiting.pop()
            if id(node) in self._known:
                continue
            if ready:
                self._known[id(node)] = self._number(self._container_key(node))
                self._kept.append(node)
                continue
            waiting.append((node, True))
            waiting += [(child, False) for child in _children(node) if isinstance(child, dict | list)]
        return self._known[id(value)]

    def _container_key(self, node: object) -> object:
        if isinstance(node, dict):
            return ("{", *sorted((str(key), self._child(value)) for key, value in node.items()))
        return ("[", *map(self._child, _children(node)))

    def _child(self, value: object) -> int:
        known = self._known.get(id(value)) if isinstance(value, dict | list) else None
        return self._number(_scalar_key(value)) if known is None else known

    def _number(self, key: object) -> int:
        return self._numbers.setdefault(key, len(self._numbers))


def _children(node: object) -> Iterable[object]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _scalar_key(value: object) -> object:
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, int):
        return (type(value), value)
    return (type(value), repr(value))  # NaN equals itself here, and -0.0 is not 0.0


def _dict_parts(path: str, old: dict[str, JSON], new: dict[str, JSON]) -> list[tuple[str, object, object]]:
    before = {str(key): value for key, value in old.items()}
    after = {str(key): value for key, value in new.items()}
    return [
        (_below(path, key), before.get(key, _MISSING), after.get(key, _MISSING))
        for key in dict.fromkeys([*before, *after])
    ]


def _below(path: str, key: str) -> str:
    if not re.fullmatch(r"[\w$@-]{1,80}", key):
        return _longer(path, f"[{shorten(key, 40)}]")
    return _longer(path, f".{key}") if path else key


def _longer(path: str, part: str) -> str:
    if len(path) > _MAX_PATH:
        return path if path.endswith("…") else f"{path}…"
    return path + part


def _embedded_json(text: str) -> JSON:
    if len(text) > _MAX_EMBEDDED_JSON or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _anchors(ours: list[int], theirs: list[int], offset: int) -> list[tuple[int, int]]:
    """Return the longest chain of equal items that keeps the order, the nth of a kind meeting the nth."""
    places = {key: j for j, key in enumerate(_numbered(theirs))}
    shared = [(i, places[key]) for i, key in enumerate(_numbered(ours)) if key in places]
    return [(shared[n][0] + offset, shared[n][1] + offset) for n in increasing([j for _, j in shared])]


def _numbered(keys: Iterable[int]) -> list[tuple[int, int]]:
    seen: dict[int, int] = defaultdict(int)
    numbered = []
    for key in keys:
        numbered.append((key, seen[key]))
        seen[key] += 1
    return numbered


def increasing(values: Sequence[int]) -> list[int]:
    """Return the positions of the longest increasing run of *values*, gaps allowed."""
    tails: list[int] = []
    tail_positions: list[int] = []
    before: list[int] = []
    for position, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(tail_positions[length - 1] if length else -1)
        tails[length : length + 1] = [value]
        tail_positions[length : length + 1] = [position]
    chain: list[int] = []
    position = tail_positions[-1] if tail_positions else -1
    while position >= 0:
        chain.append(position)
        position = before[position]
    return chain[::-1]


def _pairs_by_place(rows: int, columns: int) -> _Pairing:
    return [(n if n < rows else None, n if n < columns else None) for n in range(max(rows, columns))]


def _trace(best: list[list[float]], scores: list[list[float]]) -> _Pairing:
    i, j, rows, columns = 0, 0, len(scores), len(scores[0])
    pairs: _Pairing = []
    while i < rows and j < columns:
        if best[i][j] == best[i + 1][j + 1] + scores[i][j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i][j + 1]:
            pairs.append((None, j))
            j += 1
        else:
            pairs.append((i, None))
            i += 1
    return [*pairs, *((n, None) for n in range(i, rows)), *((None, n) for n in range(j, columns))]


def _shown(old: object, new: object, width: int) -> tuple[str, str]:
    if old is _MISSING:
        return ABSENT, shorten(new, width)
    if new is _MISSING:
        return shorten(old, width), ABSENT
    return shown_pair(old, new, width)


def _words(leaf: object, sample: int) -> list[object]:
    if not isinstance(leaf, str):
        return [_scalar_key(leaf)]
    half = sample // 2
    return [*(leaf if len(leaf) <= sample else f"{leaf[:half]} {leaf[-half:]}").split()] or [""]
