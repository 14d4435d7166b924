"""Cassettes of other tools (AgentTape 0.1.x, agentcassette, vcrpy and its kin) in the words of this project.

Adding a tool is adding a module and its entry in `_TOOLS`. What a tool did not record faithfully is kept and marked
``unplayable`` with the reason, so nothing is served that differs from what the code once got.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_agenttape.cassettes.imported import python_objects
from pytest_agenttape.cassettes.imported.agentcassette import AGENTCASSETTE
from pytest_agenttape.cassettes.imported.agenttape import AGENTTAPE
from pytest_agenttape.cassettes.imported.matching import is_imported, matchers, shown_rules
from pytest_agenttape.cassettes.imported.tool import IMPORTED, UNPLAYABLE, ReadAsset, Tool
from pytest_agenttape.cassettes.imported.vcr import DDAPM_TEST_AGENT, VCRPY
from pytest_agenttape.errors import AgentTapeError, CassetteCorruptError
from pytest_agenttape.model import JSON, SCHEMA_VERSION, require_mapping

__all__ = ["is_imported", "is_other_tools", "matchers", "shown_rules", "translate"]

_TOOLS = (AGENTTAPE, AGENTCASSETTE, VCRPY, DDAPM_TEST_AGENT)
# A default ``repr``: all that is left of an object that a tool could not record.
_REPR = re.compile(r"<[^<>]{1,200}(?:<locals>[^<>]{1,200}){0,4} at 0x[0-9a-fA-F]+>")


def _no_assets(name: str) -> bytes:
    raise CassetteCorruptError(f"asset {name!r} not found: the cassette has no assets folder")


def is_other_tools(root: JSON) -> bool:
    """Return whether another tool wrote a file that says *root*: it may hold secrets."""
    return _tool_of(root) is not None


def translate(root: JSON, read_asset: ReadAsset = _no_assets) -> dict[str, JSON] | None:
    """Return the file form of another tool's cassette in this project's schema; None if no other tool wrote it.

    Raises:
        CassetteCorruptError: Another tool wrote it, but it cannot be read; the message says where and why.
        SchemaVersionError: The version of that tool's format is not known.
    """
    tool = _tool_of(root)
    if tool is None:
        return None
    listed = tool.listed(root)
    if not isinstance(listed, list):
        raise CassetteCorruptError(f"this {tool.name} cassette has no list of interactions")
    translated = [_translated(tool, each, position, read_asset) for position, each in enumerate(listed)]
    notes = [
        *tool.notes(translated),
        *(f"#{each['index']}: {each['metadata'][UNPLAYABLE]}" for each in translated if UNPLAYABLE in each["metadata"]),
    ]
    about: dict[str, JSON] = {"from": tool.name}
    if notes:
        about["problems"] = notes
    return {
        "version": SCHEMA_VERSION,
        "created_at": str(root.get("created_at") or root.get("recorded_at") or ""),
        "run_id": str(root.get("run_id") or ""),
        "meta": {IMPORTED: about, **tool.meta(root)},
        "interactions": translated,
    }


def _tool_of(root: JSON) -> Tool | None:
    return next((each for each in _TOOLS if isinstance(root, dict) and each.wrote(root)), None)


def _translated(tool: Tool, raw: JSON, position: int, read_asset: ReadAsset) -> dict[str, JSON]:
    try:
        raw, problem = python_objects.read(require_mapping(raw, "it"))
        out = tool.translate(raw, read_asset)
        _refuse_bytes(out)
    except CassetteCorruptError as error:
        raise type(error)(f"interaction #{position} of this {tool.name} cassette: {error.problem}") from error
    except AgentTapeError as error:
        raise CassetteCorruptError(f"interaction #{position} of this {tool.name} cassette: {error}") from error
    out["metadata"] = {**out.get("metadata", {}), IMPORTED: tool.name}
    ordered = {"index": position, **out}
    problem = problem or _lossy_part(ordered)
    if problem and UNPLAYABLE not in ordered["metadata"]:
        ordered["metadata"][UNPLAYABLE] = problem
    return ordered


def _refuse_bytes(value: JSON) -> None:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, bytes):
            raise CassetteCorruptError("!!binary where text is expected")
        if isinstance(each, dict | list):
            waiting += each.values() if isinstance(each, dict) else each


def _lossy_part(interaction: Mapping[str, JSON]) -> str | None:
    """Return why an interaction cannot be replayed: it holds the repr of an object instead of the object."""
    if "url" in interaction["request"]:
        return None
    for side in ("request", "response"):
        for where, value in _leaves(interaction.get(side), side):
            if isinstance(value, str) and _REPR.fullmatch(value):
                return f"{where} is only the repr of an object, {value!r}; record it again"
    return None


def _leaves(value: JSON, where: str) -> Iterator[tuple[str, JSON]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{where}.{key}")
    elif isinstance(value, list):
        for position, each in enumerate(value):
            yield from _leaves(each, f"{where}[{position}]")
    else:
        yield where, value
