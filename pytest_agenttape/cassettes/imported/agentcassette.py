"""agentcassette, which recorded steps without the names of positional arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_agenttape import values
from pytest_agenttape.cassettes.imported.tool import UNPLAYABLE, ReadAsset, Tool
from pytest_agenttape.errors import CassetteCorruptError, SchemaVersionError
from pytest_agenttape.model import BOUNDARY_KINDS, JSON, KINDS, require_mapping


def _is_agentcassette(root: Mapping[str, JSON]) -> bool:
    return isinstance(root.get("steps"), list) and "interactions" not in root


def _meta(root: Mapping[str, JSON]) -> dict[str, JSON]:
    if root.get("version", 1) != 1:
        raise SchemaVersionError(f"agentcassette's version {root.get('version')!r} is not supported")
    return {"model": root["model"]} if isinstance(root.get("model"), str) else {}


def _translated(raw: dict[str, JSON], _read_asset: ReadAsset) -> dict[str, JSON]:
    kind = raw.get("type")
    arguments = require_mapping(raw.get("arguments") or {}, "'arguments'")
    named = require_mapping(arguments.get("kwargs") or {}, "'kwargs'")
    positional = arguments.get("args") or []
    if not isinstance(positional, list):
        raise CassetteCorruptError("'args' must be a list")
    request: dict[str, JSON] = {"args": {name: values.encode(_fields(each)) for name, each in named.items()}}
    request["positional"] = [values.encode(_fields(each)) for each in positional]
    out: dict[str, JSON] = {
        "kind": kind if kind in ("llm", *BOUNDARY_KINDS) else "tool",
        "boundary": str(raw.get("name") or "call"),
        "request": request,
        "response": values.encode(raw.get("result")),
        "latency_ms": raw.get("duration_ms"),
    }
    given, taken = raw.get("input_tokens"), raw.get("output_tokens")
    if kind == "llm" and isinstance(given, int) and isinstance(taken, int):
        out["usage"] = {"input_tokens": given, "output_tokens": taken, "total_tokens": given + taken}
    if kind not in KINDS and isinstance(kind, str) and kind != "call":
        out["metadata"] = {"label": kind}
    problem = _first_repr(raw.get("result"), "result") or _first_repr(positional, "args") or _first_repr(named, "args")
    if problem:
        out["metadata"] = {**out.get("metadata", {}), UNPLAYABLE: problem}
    return out


def _fields(value: JSON) -> JSON:
    """Return an argument without the names of the classes that its objects had, which are not compared."""
    if isinstance(value, dict):
        return {name: _fields(each) for name, each in value.items() if name != "__type__"}
    return [_fields(each) for each in value] if isinstance(value, list) else value


def _first_repr(value: JSON, where: str) -> str | None:
    if isinstance(value, dict):
        if value.keys() == {"__repr__"}:
            return f"{where} is only the repr of an object, {str(value['__repr__'])!r}; record it again"
        found = (_first_repr(each, f"{where}.{name}") for name, each in value.items())
    elif isinstance(value, list):
        found = (_first_repr(each, f"{where}[{position}]") for position, each in enumerate(value))
    else:
        return None
    return next(filter(None, found), None)


def _notes(translated: Sequence[Mapping[str, JSON]]) -> Iterator[str]:
    if translated:
        yield "tuples and sets were recorded as lists, objects as mappings; they come back as such"
        yield (
            "positional arguments were recorded without their names and are compared by position; "
            "an argument that was not recorded counts as its default"
        )


AGENTCASSETTE = Tool(
    name="agentcassette",
    wrote=_is_agentcassette,
    listed=lambda root: root["steps"],
    translate=_translated,
    notes=_notes,
    meta=_meta,
)
