"""The timeline of a run as a person reads it in a snapshot, and what `only` and `exclude` leave of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, TypeAlias

from pytest_agenttape.errors import ConfigError
from pytest_agenttape.matching.canonical import KeyRules
from pytest_agenttape.model import JSON, KINDS, Interaction
from pytest_agenttape.providers import BOUNDARIES
from pytest_agenttape.reading.lines import Line
from pytest_agenttape.reading.steps import HIDDEN, MAX_NESTING, PARTS, Step, steps_of, unnumbered
from pytest_agenttape.reading.timeline_text import final_output_lines, step_lines

FINAL_OUTPUT = "final_output"

_PartsOf: TypeAlias = Callable[[Step], Mapping[str, JSON] | None]

_NO_VALUE: Final = object()


class View:
    """A timeline as text or as plain data.

    Not a dataclass: snapshot tools show an object by its `repr`, which is the text, but list the fields of a dataclass.
    """

    def __init__(self, steps: Sequence[Step], final_output: object = _NO_VALUE) -> None:
        self.steps = tuple(steps)
        self._final_output = final_output

    def __repr__(self) -> str:
        return "\n".join(map(str, self.lines()))

    def lines(self, notes: Mapping[int, str] = MappingProxyType({})) -> list[Line]:
        """Return the text as lines; *notes* are added to calls, by their index."""
        lines = [line for step in self.steps for line in step_lines(step, notes)] or [Line("(no calls)")]
        if self._final_output is not _NO_VALUE:
            lines += map(Line, final_output_lines(self._final_output))
        return lines

    def data(self) -> list[JSON]:
        """Return the timeline as plain values: one mapping for each call."""
        steps = [_step_data(step) for step in self.steps]
        return steps if self._final_output is _NO_VALUE else [*steps, {FINAL_OUTPUT: _plain(self._final_output)}]


def timeline(
    interactions: Sequence[Interaction],
    *,
    only: Iterable[str] | str | None = None,
    exclude: Iterable[str] | str | None = None,
    final_output: object = _NO_VALUE,
    rules: KeyRules | None = None,
    names: Iterable[str] = (),
) -> View:
    """Return the view of *interactions*.

    Args:
        only: Kinds, boundary names or dotted paths; nothing else is shown.
        exclude: The same, left out. A path (``args.now``, ``get_weather.result.id``, ``messages.*.content``) leaves
            a ``…`` in its place.
        final_output: The final output that the test reports, in stored form; shown last.
        rules: Which parts of an HTTP request are volatile.
        names: Boundary names that may be named although the run has no call of them.

    Raises:
        ConfigError: A token names neither a kind nor a part nor a known boundary.
    """
    tree = steps_of(interactions, rules or KeyRules())
    known = frozenset((*names, *_names(tree)))
    kept, hidden = _tokens(only, "only", known), _tokens(exclude, "exclude", known)
    steps: Iterable[Step] = tree
    if kept:
        steps = _pruned(steps, lambda step: _kept_parts(step, kept))
    if hidden:
        steps = _pruned(steps, lambda step: _left_parts(step, hidden))
    return View(tuple(steps), _final(final_output, kept, hidden))


def _names(steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield step.name
        yield from _names(step.calls)


@dataclass(frozen=True, slots=True)
class _Token:
    """What one word of `only` or `exclude` names: a call (no path), a path in one call, or a path in all (no name)."""

    name: str | None
    path: tuple[str, ...] = ()

    def names(self, step: Step) -> bool:
        return self.name in (None, step.kind, step.name)


def _tokens(given: Iterable[str] | str | None, what: str, known: frozenset[str]) -> list[_Token]:
    listed = [given] if isinstance(given, str) else list(given or ())
    return [_token(each, what, known) for each in listed]


def _token(given: object, what: str, known: frozenset[str]) -> _Token:
    if not isinstance(given, str) or not given:
        raise ConfigError(f"{what} takes kinds, boundary names or dotted paths, found {given!r}")
    boundaries = {*known, *BOUNDARIES}
    for name in sorted((*KINDS, *boundaries), key=len, reverse=True):
        if given == name:
            return _Token(name)
        if given.startswith(f"{name}.") and _leads_somewhere(path := _path(given[len(name) + 1 :])):
            return _Token(name, path)
    if _leads_somewhere(path := _path(given)) or path[:1] == (FINAL_OUTPUT,):
        return _Token(None, path)
    raise ConfigError(
        f"{what}={given!r} is not a call of this run or part of one.\n"
        f"  kinds: {', '.join(KINDS)}\n"
        f"  boundaries: {', '.join(sorted(known)) or '(none)'}\n"
        f"  paths begin with: {', '.join((*PARTS, FINAL_OUTPUT))}"
    )


def _leads_somewhere(path: tuple[str, ...]) -> bool:
    return bool(path) and path[0] in PARTS


def _path(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"[^.\[\]]+", text))


def _pruned(steps: Iterable[Step], parts_of: _PartsOf) -> Iterator[Step]:
    """Yield the steps that have something left; the nested calls of a dropped step take its place."""
    for step in steps:
        nested = tuple(_pruned(step.calls, parts_of))
        parts = parts_of(step)
        if parts is None:
            yield from nested
        else:
            yield replace(step, parts=parts, calls=nested)


def _kept_parts(step: Step, tokens: Sequence[_Token]) -> Mapping[str, JSON] | None:
    mine = [token for token in tokens if token.names(step)]
    if any(not token.path for token in mine):
        return step.parts
    picked = _picked(step.parts, [token.path for token in mine])
    return picked if picked else None


def _left_parts(step: Step, tokens: Sequence[_Token]) -> Mapping[str, JSON] | None:
    mine = [token for token in tokens if token.names(step)]
    if any(not token.path for token in mine):
        return None
    left: Mapping[str, JSON] = _covered(step.parts, [token.path for token in mine])
    return left


def _picked(node: JSON, paths: Sequence[tuple[str, ...]]) -> JSON:
    """Return the parts of *node* that the *paths* lead to."""
    if any(not path for path in paths):
        return node
    if isinstance(node, list):
        return [_picked(each, below) for n, each in enumerate(node) if (below := _below(paths, str(n)))]
    if isinstance(node, Mapping):
        return {key: _picked(each, below) for key, each in node.items() if (below := _below(paths, key))}
    return HIDDEN


def _covered(node: JSON, paths: Sequence[tuple[str, ...]]) -> JSON:
    """Return *node* with ``…`` for each part that the *paths* lead to."""
    if not paths:
        return node
    if any(not path for path in paths):
        return HIDDEN
    if isinstance(node, list):
        return [_covered(each, _below(paths, str(n))) for n, each in enumerate(node)]
    if isinstance(node, Mapping):
        return {key: _covered(each, _below(paths, key)) for key, each in node.items()}
    return node


def _below(paths: Sequence[tuple[str, ...]], key: str) -> list[tuple[str, ...]]:
    return [path[1:] for path in paths if path[0] in (key, "*")]


def _final(final_output: object, kept: Sequence[_Token], hidden: Sequence[_Token]) -> object:
    if final_output is _NO_VALUE:
        return _NO_VALUE
    mine = [token.path for token in kept if token.path[:1] == (FINAL_OUTPUT,)]
    if kept and not mine:
        return _NO_VALUE
    covering = [token.path for token in hidden if token.path[:1] == (FINAL_OUTPUT,)]
    return _covered({FINAL_OUTPUT: unnumbered(final_output)}, covering)[FINAL_OUTPUT]


def _step_data(step: Step) -> dict[str, JSON]:
    shown = {name: _plain(part) for name, part in step.parts.items() if step.kind != "http" or name != "method"}
    out: dict[str, JSON] = {step.kind: step.name, **shown}
    return {**out, "calls": [_step_data(each) for each in step.calls]} if step.calls else out


def _plain(node: object, depth: int = 0) -> JSON:
    if node is HIDDEN:
        return "…"
    if depth > MAX_NESTING:
        return node
    if isinstance(node, Mapping):
        return {str(key): _plain(each, depth + 1) for key, each in node.items()}
    return [_plain(each, depth + 1) for each in node] if isinstance(node, list | tuple) else node
