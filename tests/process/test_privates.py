"""The names of time-machine and of Python that the frozen world uses: they are there, or it is said at once."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from pytest_agenttape import AgentTapeError
from pytest_agenttape.process import freeze


class TestAreThere:
    """Canaries: where one fails, a library has changed, and the file that uses the name has to follow."""

    def test_in_time_machine(self) -> None:
        travel = time_machine.travel(0, tick=False)
        traveller = travel.start()
        try:
            assert time_machine.traveller_stack == [traveller]  # type: ignore[attr-defined]  # the private
            traveller.time_ns = lambda: 5_000_000_000  # type: ignore[method-assign]  # as the session's clock does
            assert time.time() == 5
        finally:
            travel.stop()

    def test_in_uuid(self) -> None:
        assert {"os", "_generate_time_safe", "_node", "_last_timestamp"} <= vars(uuid).keys()

    def test_in_uuid_utils(self) -> None:
        assert {"_uuid4_int", "_uuid7_int"} <= vars(pytest.importorskip("uuid_utils.compat")).keys()

    def test_in_os(self) -> None:
        assert isinstance(os.environ._data, dict)  # type: ignore[attr-defined]  # the private

    def test_in_asyncio(self) -> None:
        assert asyncio._get_running_loop() is None


@pytest.fixture
def clock() -> freeze.Freeze:
    return freeze.Freeze(frozenset({"clock"}), freeze.capture(frozenset({"clock"}), datetime.now(UTC), 1))


@pytest.fixture(autouse=True)
def _the_true_time_is_back() -> Iterator[None]:
    yield
    assert time_machine.traveller_stack == []  # type: ignore[attr-defined]  # the private
    assert time.time_ns() != time.time_ns()


def test_a_clock_is_not_frozen_without_the_stack(clock: freeze.Freeze, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as renamed:
        renamed.delattr(time_machine, "traveller_stack")
        with pytest.raises(AgentTapeError, match=_lacks(r"time_machine\.traveller_stack")), clock:
            pytest.fail("the session went on")


def test_a_clock_is_not_frozen_without_the_time_of_its_top(
    clock: freeze.Freeze, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as renamed:
        renamed.delattr(time_machine.Traveller, "time_ns")
        with pytest.raises(AgentTapeError, match=_lacks(r"Traveller\.time_ns")), clock:
            pytest.fail("the session went on")


def _lacks(name: str) -> str:
    return f"^time-machine {importlib.metadata.version('time-machine')} has no {name},"
