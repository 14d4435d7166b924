"""What leaves a block: the error of a call that its code has swallowed, and nothing that a test asserts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape import (
    Cassette,
    Config,
    NetworkBlockedError,
    ProgramBlockedError,
    UnmatchedInteractionError,
    UnplayedInteractionsError,
    replay,
    tool,
    use_cassette,
)
from tests.rounds import Ran

ran = Ran()


@tool
def look_up(word: str) -> str:
    ran("look_up")
    return word.upper()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a cassette with the calls a and b."""
    with use_cassette(tmp_path / "c.yaml", mode="all"):
        look_up("a")
        look_up("b")
    ran.since()
    return tmp_path / "c.yaml"


def drift() -> None:
    with contextlib.suppress(Exception):
        look_up("z")


def connect() -> None:
    with contextlib.suppress(Exception):
        socket.create_connection(("192.0.2.1", 80), timeout=0.1)


def start() -> None:
    with contextlib.suppress(Exception):
        subprocess.run([sys.executable, "-c", ""], check=True)


SWALLOWED: dict[str, tuple[Any, type[Exception]]] = {
    "call": (drift, UnmatchedInteractionError),
    "connection": (connect, NetworkBlockedError),
    "program": (start, ProgramBlockedError),
}


@pytest.mark.parametrize("what", SWALLOWED)
@pytest.mark.parametrize("mode", ["none", "once"])
def test_what_its_code_swallowed_leaves_the_block_at_the_line_that_asked(what: str, mode: str, path: Path) -> None:
    agent, error = SWALLOWED[what]
    with pytest.raises(error) as caught, use_cassette(path, mode=mode):
        agent()
    assert any(each.name == agent.__name__ for each in caught.traceback)
    assert ran.since() == []


def test_without_a_cassette_too(tmp_path: Path) -> None:
    with pytest.raises(UnmatchedInteractionError, match="there is no cassette at"), use_cassette(tmp_path / "no.yaml"):
        drift()


def test_a_partly_live_block_writes_nothing(path: Path) -> None:
    with pytest.raises(UnmatchedInteractionError), use_cassette(path, live={"llm"}):
        drift()
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_async_block_and_all_decorated_functions_too(path: Path) -> None:
    async def block() -> None:
        async with use_cassette(path):
            drift()

    @replay(path)
    def plain() -> None:
        drift()

    @replay(path)
    async def coroutine() -> None:
        drift()

    @replay(path)
    def generator() -> Iterator[int]:
        drift()
        yield 1

    @replay(path)
    async def async_generator() -> AsyncIterator[int]:
        drift()
        yield 1

    async def read() -> list[int]:
        return [each async for each in async_generator()]

    for run in (lambda: asyncio.run(block()), plain, lambda: asyncio.run(coroutine())):
        with pytest.raises(UnmatchedInteractionError):
            run()
    for drain in (lambda: list(generator()), lambda: asyncio.run(read())):
        with pytest.raises(UnmatchedInteractionError):
            drain()


def test_a_generator_that_is_closed_early_hides_nothing(path: Path) -> None:
    @replay(path)
    def items() -> Iterator[int]:
        drift()
        yield 1

    reader = items()
    next(reader)
    with pytest.raises(UnmatchedInteractionError):
        reader.close()  # type: ignore[attr-defined]  # a generator


def test_an_inner_block_answers_for_its_own_calls(path: Path) -> None:
    def run() -> None:
        with use_cassette(path):
            assert look_up("a") == "A"
            with pytest.raises(UnmatchedInteractionError), use_cassette(path):
                drift()
            assert look_up("b") == "B"

    run()
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):  # noqa: PT012  # the order is the point
        with use_cassette(path):
            look_up("a")
        drift()


def test_what_a_test_asserts_by_name_is_no_drift(path: Path) -> None:
    with pytest.raises(UnmatchedInteractionError), use_cassette(path):
        look_up("z")
    with use_cassette(path), pytest.raises(UnmatchedInteractionError):
        look_up("z")
    with use_cassette(path), pytest.raises((ValueError, UnmatchedInteractionError)):
        look_up("z")


def test_an_agent_that_tried_again_is_no_drift_if_the_last_error_is_asserted(path: Path) -> None:
    with use_cassette(path), pytest.raises(UnmatchedInteractionError):  # noqa: PT012  # the retries are the point
        drift()
        drift()
        look_up("z")


def test_of_a_group_too(path: Path) -> None:
    groups = getattr(pytest, "RaisesGroup", None) or pytest.skip("pytest < 8.4")

    async def agent() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(look_up, "z"))

    with use_cassette(path), groups(UnmatchedInteractionError):
        asyncio.run(agent())


@pytest.mark.parametrize("expected", [Exception, (ValueError, Exception)], ids=["one", "several"])
def test_a_wider_class_may_expect_another_error(expected: Any, path: Path) -> None:
    with pytest.raises(UnmatchedInteractionError), use_cassette(path), pytest.raises(expected):
        look_up("z")


def test_to_assert_one_error_is_not_to_assert_another(path: Path) -> None:
    with pytest.raises(UnmatchedInteractionError, match=r"look_up\(word='z'\)"), use_cassette(path):  # noqa: PT012
        with pytest.raises(UnmatchedInteractionError):
            look_up("y")
        drift()


def test_an_error_that_leaves_the_block_is_not_replaced_but_says_what_was_swallowed(path: Path) -> None:
    def run() -> None:
        with use_cassette(path):
            drift()
            raise LookupError("no answer")

    with pytest.raises(LookupError, match="no answer") as caught:
        run()
    [note] = caught.value.__notes__
    assert note.startswith("agenttape: look_up(word='z') matches no unplayed interaction in ")
    with pytest.raises(UnmatchedInteractionError) as same, use_cassette(path):
        look_up("z")
    assert not hasattr(same.value, "__notes__")


# -- strict


@pytest.mark.parametrize("how", ["argument", "setting"])
def test_a_strict_block_plays_all_of_its_cassette(how: str, path: Path) -> None:
    options: dict[str, Any] = {"strict": True} if how == "argument" else {"config": Config(strict=True)}
    text = r"""
    1 recorded interaction of c.yaml not played:
      #1 tool look_up\(word='b'\)
      re-record: pytest .* --agenttape-record
    """
    lines = [line.removeprefix("    ") for line in text.strip("\n ").splitlines()]
    with pytest.raises(UnplayedInteractionsError, match="^" + "\n".join(lines) + "$"), use_cassette(path, **options):
        look_up("a")
    with use_cassette(path, **options):
        look_up("a")
        look_up("b")
    with pytest.raises(LookupError), use_cassette(path, **options):
        raise LookupError
    with use_cassette(path):
        look_up("a")


def test_an_argument_undoes_the_setting(path: Path) -> None:
    with use_cassette(path, config=Config(strict=True), strict=False):
        look_up("a")


@pytest.mark.parametrize("mode", ["refresh", "all"])
def test_strict_asks_nothing_of_a_recording(mode: str, path: Path) -> None:
    with use_cassette(path, mode=mode, strict=True):
        look_up("a")
    assert Cassette.load(path).num_steps == 1


def test_a_strict_block_that_is_not_played_adds_nothing_to_its_file(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UnplayedInteractionsError), use_cassette(path, mode="new_episodes", strict=True):
        look_up("z")
    assert path.read_bytes() == before


# -- in a marked test


def test_a_block_in_a_marked_test_fails_it_for_what_was_swallowed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import contextlib

        import pytest
        from pytest_agenttape import UnmatchedInteractionError, tool, use_cassette

        @tool
        def look_up(word):
            return word.upper()

        @pytest.mark.agenttape
        def test_swallowed():
            with use_cassette("inner"):
                with contextlib.suppress(Exception):
                    look_up("a")

        @pytest.mark.agenttape
        def test_asserted():
            with use_cassette("inner"), pytest.raises(UnmatchedInteractionError):
                look_up("a")
        """
    )
    result = pytester.runpytest_inprocess("-rA")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            '>*look_up("a")',
            "E *CassetteNotFoundError: there is no cassette at cassettes/inner.yaml, and mode 'none' runs nothing for*",
            "PASSED *::test_asserted",
        ]
    )
