"""What can be left out of matching, where that alone keeps a call from its recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from pytest_agenttape.errors import FieldDiff
from pytest_agenttape.model import Interaction

_NUMBERS = re.compile(r"[0-9a-fA-F-]*\d[0-9a-fA-F:.-]*")
_SHORTEST_MADE_UP = 6
# What pytest's tmp_path and the module tempfile name anew in each run.
_TEMPORARY = re.compile(r"pytest-of-[^/\\\s]+[/\\]+pytest-\d+(?:[/\\]+popen-gw\d+)?|\btmp[a-z0-9_]{8}\b")
_FOLDER = "the name of a temporary folder is new in each run: pass paths relative to it (monkeypatch.chdir(tmp_path))"


def left_out(diffs: Sequence[FieldDiff], asked: Interaction) -> tuple[str, ...]:
    """Return how to leave out of matching what differs from run to run, where all differences look like that."""
    if asked.kind == "llm" and [each.path for each in diffs] == ["url"]:
        return ("if only the address differs: match_base_url = false in agenttape.toml",) * _same_path(diffs[0])
    is_folder = all(map(_is_temporary, diffs))
    if not diffs or not (is_folder or all(map(_is_made_up, diffs))):
        return ()
    paths = [each.path for each in diffs if each.path.startswith(("json.", "args.", "form."))]
    if len(paths) < len(diffs):
        return ()
    setting = f"ignore_volatile_fields = {paths} in agenttape.toml"
    return (f"{_FOLDER}, or {setting}" if is_folder else f"if it differs on each run: {setting}",)


def _same_path(diff: FieldDiff) -> bool:
    old, new = (urlsplit(each.strip("'\"")).path for each in (diff.recorded, diff.asked))
    return old == new


def _is_temporary(diff: FieldDiff) -> bool:
    """Return whether two values only differ in the name of a temporary folder or file."""
    return diff.recorded != diff.asked and _TEMPORARY.sub("#", diff.recorded) == _TEMPORARY.sub("#", diff.asked)


def _is_made_up(diff: FieldDiff) -> bool:
    """Return whether two values only differ in what a clock or a random number makes of them: not a short number."""
    if _NUMBERS.sub("#", diff.recorded) != _NUMBERS.sub("#", diff.asked):
        return False
    numbers = "".join(_NUMBERS.findall(diff.asked))
    return len(numbers) >= _SHORTEST_MADE_UP or ":" in numbers
