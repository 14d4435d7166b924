"""The house rules: imports go downwards only, and each third-party library has its one room."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_agenttape"

# From the ground up. A room may import from itself and from those before it.
ROOMS = (
    "errors", "clocks", "hosts", "libraries", "model",
    "bodies", "values", "serializer", "providers", "redaction",
    "matching", "reading",
    "cassettes", "settings", "process",
    "ownership", "transports", "session", "boundaries",
    "plugin", "conflict", "snapshot",
)  # fmt: skip
# Rooms that know nothing of pytest and syrupy.
FREE_OF_PYTEST = ROOMS[: ROOMS.index("plugin")]
OWNERS = {
    "httpx": {"transports/httpcore.py"},
    "httpx2": set[str](),
    "httpcore": {"transports/httpcore.py"},
    "httpcore2": {"transports/httpcore.py"},
    "respx": {"transports/httpcore.py"},
    "requests": {"transports/requests.py"},
    "responses": {"transports/requests.py"},
    "urllib3": {"transports/requests.py", "transports/urllib3.py"},
    "yaml": {"serializer/yaml_reader.py", "serializer/yaml_writer.py"},
    "time_machine": {"process/freeze/clock.py"},
    "numpy": set[str](),
    "genai_prices": {"providers/pricing.py"},
    "jinja2": {"plugin/report/html.py"},
}
# To go: see the order of the redesign.
EXCEPTIONS = {("model", "cassettes"), ("model", "reading"), ("transports", "session")}


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


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_imports_go_downwards(path: Path) -> None:
    here = room(path)
    if here == "__init__":
        return
    assert here in ROOMS, f"{here} is not in ROOMS: say where it belongs"
    for name in imports(path):
        top, *below = name.split(".")
        if top != "pytest_agenttape" or not below:
            continue
        allowed = below[0] in ROOMS[: ROOMS.index(here) + 1] or (here, below[0]) in EXCEPTIONS
        assert allowed, f"{here} imports {below[0]}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_third_party_libraries_stay_in_their_rooms(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        top = name.split(".")[0]
        assert where in OWNERS.get(top, {where}), f"{where} imports {top}"
        if top in ("pytest", "_pytest", "syrupy"):
            assert room(path) not in FREE_OF_PYTEST, f"{where} imports {top}"
