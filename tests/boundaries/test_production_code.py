"""Boundaries stand in production code: they load next to nothing, and need no test runner there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from pytest_agenttape.model import OWN_VARIABLES
from pytest_agenttape.process import family
from tests.inner_pytest import OUTER

# Modules of any program; what is loaded beyond them is ours.
BARE = "import collections.abc, contextlib, enum, functools, gc, importlib, keyword, operator, re, sys, types, typing"
HEAVY = (
    "asyncio", "concurrent.futures", "dataclasses", "http", "inspect", "json", "logging", "pathlib", "pytest", "respx",
    "socket", "ssl", "threading", "urllib", "yaml",
)  # fmt: skip
CALLS = """
    import asyncio

    @tool
    def plain(x): return x

    @tool(name="other")
    async def coroutine(x): return x

    @retrieval
    def generator(x): yield x

    class Cart:
        @memory_write
        def add(self, x): return x

    wrapped = intercept(plain)
    assert (plain(1), wrapped(2), asyncio.run(coroutine(3)), list(generator(4)), Cart().add(5)) == (1, 2, 3, [4], 5)
    assert record_call("tool", {}, lambda: 6) == 6
"""


def run(code: str) -> str:
    """Return what *code* prints in a process of its own, as if no tests were run on this machine."""
    environment = {name: each for name, each in os.environ.items() if name not in (*OUTER, family.VARIABLE)}
    start = f"{BARE}\nimport pytest_agenttape.process.family as family\nfamily.FOLDER = '/nonexistent'\n"
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout


def test_to_import_and_decorate_loads_next_to_nothing() -> None:
    code = """
        before = set(sys.modules)
        from pytest_agenttape import memory_read, memory_write, retrieval, tool

        @tool
        def plain(x): return x

        @retrieval(name="search")
        async def coroutine(x): return x

        @memory_read
        def generator(x): yield x

        plain(1)
        print(*sorted(set(sys.modules) - before))
    """
    loaded = run(code).split()
    assert not set(HEAVY) & set(loaded)
    assert [each for each in loaded if not each.startswith("pytest_agenttape")] == []
    assert len(loaded) < 10


def test_a_call_outside_of_tests_loads_nothing_more() -> None:
    code = (
        f"from pytest_agenttape import intercept, memory_write, record_call, retrieval, tool\n{textwrap.dedent(CALLS)}"
    )
    assert run(f"{code}\nprint('pytest_agenttape.boundaries.shells' in sys.modules)") == "False\n"


def test_a_call_outside_of_tests_asks_the_system_for_nothing() -> None:
    """It looks for a parent with tests a thousand times a second at most."""
    code = """
        from pytest_agenttape import tool

        looks = []
        sys.addaudithook(lambda event, args: looks.append(args) if event in ("os.listdir", "open") else None)
        plain = tool(lambda x: x)
        print([plain(x) for x in range(1000)] == [*range(1000)], 0 < len(looks) < 100)
    """
    assert run(code) == "True True\n"


def test_a_call_beside_sessions_asks_the_system_for_nothing(tmp_path: Path) -> None:
    code = f"""
        import os
        from pathlib import Path
        from pytest_agenttape import tool, use_cassette

        plain = tool(lambda x: x)
        with use_cassette(Path({str(tmp_path / "it.yaml")!r}), mode="all"):
            plain(0)

        looks, stat = [], os.stat
        os.stat = lambda path, **more: looks.append(path) or stat(path, **more)
        print([plain(x) for x in range(1000)] == [*range(1000)], 0 < len(looks) < 100)
    """
    assert run(code) == "True True\n"


def test_neither_pytest_nor_our_other_dependencies_need_be_installed() -> None:
    code = """
        class Missing:
            def find_spec(self, name, *_):
                if name.partition(".")[0] in ("pytest", "_pytest", "yaml", "respx", "responses", "syrupy"):
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        sys.meta_path.insert(0, Missing())
        from pytest_agenttape import intercept, memory_write, record_call, retrieval, tool
    """
    assert run(f"{textwrap.dedent(code)}\n{textwrap.dedent(CALLS)}\nprint('works')") == "works\n"


def test_the_variable_that_is_looked_for_is_the_one_that_is_set() -> None:
    assert OWN_VARIABLES[0] == family.VARIABLE


def test_a_session_knows_boundaries_that_it_has_not_seen_called(tmp_path: Path) -> None:
    code = f"""
        from pathlib import Path
        from pytest_agenttape import ConfigError, tool, use_cassette

        @tool
        def charge(cents): return cents

        @tool
        def refund(cents): return cents

        charge(1)
        path = Path({str(tmp_path / "it.yaml")!r})
        with use_cassette(path, mode="all", frozen="refund"):  # a name that nothing has is refused
            print(charge(2))
        try:
            with use_cassette(path, mode="all", frozen="refunds"): ...
        except ConfigError as error:
            print("did you mean 'refund'?" in str(error) or "refund" in str(error))
        with use_cassette(path):
            print(charge(2))
    """
    assert run(code) == "2\nTrue\n2\n"
