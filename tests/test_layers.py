"""The house rules: imports go downwards and never in a circle, each third-party library has its one room, and no room
grows beyond what a reader can hold."""

from __future__ import annotations

import ast
import functools
import graphlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "pytest_agenttape"

# From the ground up. A room may import from itself and from those before it.
ROOMS = (
    "errors", "callables", "clocks", "decoded", "downloads", "hosts", "libraries", "model", "telemetry",
    "bodies", "values", "serializer", "providers", "redaction",
    "matching", "reading",
    "settings", "cassettes", "process",
    "ownership", "boundaries", "transports", "session",
    "plugin", "conflict", "snapshot",
)  # fmt: skip
# Rooms that know nothing of pytest and syrupy.
FREE_OF_PYTEST = ROOMS[: ROOMS.index("plugin")]
# Each library is imported by one module or package; an end "/" makes it a package.
OWNERS: dict[str, tuple[str, ...]] = {
    "aiohttp": ("transports/aiohttp/",),
    "google": ("transports/grpc/protobuf.py",),
    "grpc": ("transports/grpc/",),
    "anyio": ("transports/mcp/stdio.py",),
    "mcp": (),
    "httpx": ("transports/httpcore.py",),
    "httpx2": (),
    "httpcore": ("transports/httpcore.py",),
    "httpcore2": ("transports/httpcore.py",),
    "respx": ("transports/httpcore.py",),
    "requests": ("transports/requests.py",),
    "responses": ("transports/requests.py",),
    "botocore": ("transports/botocore/",),
    "boto3": (),
    "urllib3": ("transports/urllib3/", "transports/botocore/", "transports/requests.py"),
    "websockets": ("transports/websockets/",),
    "yaml": ("serializer/",),
    "time_machine": ("process/freeze/clock.py",),
    "numpy": (),
    "genai_prices": ("providers/pricing.py",),
}
MOST_LINES = 350  # of a module; a longer one says in its docstring "One module, because ..."
MOST_METHODS = 25  # of a class


@functools.cache
def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree_of(path)):
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
        assert below[0] in ROOMS[: ROOMS.index(here) + 1], f"{here} imports {below[0]}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_third_party_libraries_stay_in_their_rooms(path: Path) -> None:
    where = path.relative_to(PACKAGE).as_posix()
    for name in imports(path):
        top = name.split(".")[0]
        assert where.startswith(OWNERS.get(top, (where,))), f"{where} imports {top}"
        if top in ("pytest", "_pytest", "syrupy"):
            assert room(path) not in FREE_OF_PYTEST, f"{where} imports {top}"


def name_of(path: Path) -> str:
    """Return the dotted name of a module without the package's, which is itself called ''."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def run_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk *tree*, functions too, without what is there for type checkers alone."""
    yield tree
    if isinstance(tree, ast.If) and ast.unparse(tree.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
        children: Iterable[ast.AST] = tree.orelse
    else:
        children = ast.iter_child_nodes(tree)
    for child in children:
        yield from run_nodes(child)


def edges() -> dict[str, set[str]]:
    """Return the modules that each module imports, at its top or in a function."""
    trees = {name_of(path): tree_of(path) for path in modules()}
    return {name: {below for below in ours(tree, trees.keys()) if below != name} for name, tree in trees.items()}


def ours(tree: ast.AST, known: Iterable[str]) -> Iterator[str]:
    """Return the modules of the package that *tree* imports, or imports a name from."""
    for node in run_nodes(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            top, _, below = name.partition(".")
            if top == PACKAGE.name:
                yield below if below in known else below.rpartition(".")[0]


def test_no_module_is_in_a_circle_by_any_import() -> None:
    try:
        graphlib.TopologicalSorter(edges()).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(" imports ".join(reversed(circle.args[1])))


def test_a_module_is_short_or_says_why_it_is_not() -> None:
    long = set()
    for path in modules():
        text = path.read_text()
        if len(text.splitlines()) > MOST_LINES:
            said = " ".join((ast.get_docstring(tree_of(path)) or "").split())
            if "One module, because " not in said:
                long.add(name_of(path))
    assert not long


def test_no_class_has_too_many_methods() -> None:
    large = {
        f"{name_of(path)}.{node.name}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) for each in node.body) > MOST_METHODS
    }
    assert not large
