"""The house rules: imports go downwards only, and each third-party library has its one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_agenttape"

# From the ground up. A room may import from its own layer and from those below.
LAYERS = (
    {"errors", "model", "wire", "truetime"},
    {
        "hosts", "bodies", "values", "redaction", "canonical", "matchers", "shown", "calls", "comparison", "diff",
        "providers", "serializer", "tape", "diagnosis", "naming", "foreign", "views", "trajectory", "parameters",
        "telemetry",
    },
    {"prices", "store", "files", "assets", "config", "network", "freeze", "stack", "children"},
    {
        "scope", "pauses", "decorated", "entries", "watching", "verdict", "tokens", "session", "opening", "crossing",
        "generators", "boundaries", "transports", "callbacks",
    },
    {
        "hookspecs", "neighbour", "plugin", "claims", "wide", "lifecycle", "handle", "snapshot", "orphans",
        "progress", "account", "ledger", "report", "page", "audit", "show",
    },
)  # fmt: skip
OWNERS = {
    "httpx": {"transports/httpcore.py"},
    "httpx2": set[str](),
    "httpcore": {"transports/httpcore.py"},
    "httpcore2": {"transports/httpcore.py"},
    "respx": {"transports/httpcore.py"},
    "requests": {"transports/requests.py"},
    "responses": {"transports/requests.py"},
    "urllib3": {"transports/requests.py"},
    "yaml": {"serializer/yaml_reader.py", "serializer/yaml_writer.py"},
    "time_machine": {"freeze/clock.py"},
    "numpy": set[str](),
}
# The public data class has the documented `load` and `save`, whose work is the store's.
DOWNWARD_EXCEPTIONS = {("model", "store"), ("model", "calls")}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "pytest_agenttape":
                yield from (f"pytest_agenttape.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next((number for number, rooms in enumerate(LAYERS) if name in rooms), -1)


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downwards(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert layer(here) >= 0, f"{here} is not in LAYERS: say where it belongs"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "pytest_agenttape" or len(parts) == 1:
            continue
        assert layer(parts[1]) <= layer(here) or (here, parts[1]) in DOWNWARD_EXCEPTIONS, f"{here} imports {parts[1]}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_third_party_libraries_stay_in_their_rooms(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        top = name.split(".")[0]
        assert where in OWNERS.get(top, {where}), f"{where} imports {top}"
        if top in ("pytest", "_pytest", "syrupy"):
            assert layer(room(path)) == len(LAYERS) - 1, f"{where} imports {top}"
