"""``--agenttape-budget``: after so much money no further live call begins, in any process of the run."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_agenttape.errors import AgentTapeError, RecordingRefusedError
from pytest_agenttape.plugin.options import PURSE
from pytest_agenttape.plugin.report.workers import is_worker

if TYPE_CHECKING:
    from pytest_agenttape.model import Interaction

_FLAG = "--agenttape-budget"
_MOST = 10**9  # US dollars; the sums of larger amounts are not exact
_FILE = "agenttape_budget"  # a key of xdist's own mapping


class Budget:
    """The money of a run; every process appends what it pays to one file, and reads what the others paid.

    Attributes:
        limit: US dollars.
        unpriced: The models without a known price, which count for nothing.
    """

    def __init__(self, limit: Decimal, file: Path, said_in: str) -> None:
        self.limit = limit
        self._said_in = said_in
        self.unpriced: dict[str, None] = {}
        self._spent = Decimal()
        self._file = file
        self._read = 0  # bytes

    def __str__(self) -> str:
        """Return what the header says."""
        return f"none begins after {dollars(self.limit)} ({self._said_in})"

    @property
    def spent(self) -> Decimal:
        """What all processes have paid so far."""
        with self._file.open("rb") as paid:
            paid.seek(self._read)
            lines = paid.read().splitlines(keepends=True)
        for line in lines:
            if not line.endswith(b"\n"):  # another process is still writing it
                break
            self._read += len(line)
            said = json.loads(line)
            self._spent += Decimal(said.get("cost", 0))
            self.unpriced |= dict.fromkeys(said.get("unpriced", ()))
        return self._spent

    def refusal(self) -> AgentTapeError | None:
        """Return the error for a live call that is about to begin; None if there is money left."""
        spent = self.spent
        if spent < self.limit:
            return None
        return RecordingRefusedError(
            f"the budget of {dollars(self.limit)} is spent ({self._said_in}); no further live call begins\n"
            f"  spent: about {dollars(spent)} by all live LLM calls of this run\n"
            "  what was recorded is kept: run again with --snapshot-update and a budget, and only the rest is paid for"
        )

    def summary(self) -> Iterator[str]:
        """Yield what is left, and the models whose calls could not be counted."""
        spent = self.spent
        if self._said_in != _FLAG and not spent and not self.unpriced:
            return  # an ini key holds for each run, and most only replay
        left = max(self.limit - spent, Decimal())
        yield f"budget: about {dollars(spent)} of {dollars(self.limit)} spent, {dollars(left)} left"
        for model in sorted(self.unpriced):
            yield f"budget: the price of {model} is unknown, so its calls are not counted"

    def pay(self, call: Interaction) -> None:
        """Count the cost of a live LLM call that has ended."""
        from pytest_agenttape.plugin.costs import cost_of  # a run that only replays loads none of them
        from pytest_agenttape.reading.calls import LLMCall
        from pytest_agenttape.reading.one_line import visible

        read = LLMCall.of(call)
        cost = cost_of(read)
        model = visible(read.model or read.answered_by or call.boundary or "an unknown model", 100)
        line = json.dumps({"unpriced": [model]} if cost is None else {"cost": f"{cost:f}"}) + "\n"
        written = os.open(self._file, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(written, line.encode())  # at once, so that lines of two processes do not mix
        finally:
            os.close(written)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:  # xdist's WorkerController
        """Tell a worker where the money is counted."""
        node.workerinput[_FILE] = str(self._file)


def prepare(config: pytest.Config) -> None:
    """Give the run its budget.

    Raises:
        UsageError: It is no amount, there are no prices, or the calls of the run cannot be counted.
    """
    said = config.option.agenttape_budget
    where = _FLAG if said is not None else "agenttape_budget"
    limit = _amount(config.getini("agenttape_budget") if said is None else said, where)
    from pytest_agenttape.providers import pricing  # not at the top: the plugin loads nothing heavy unless asked

    if not pricing.are_known():
        raise pytest.UsageError(f"{where} needs prices: pip install 'pytest-agenttape[prices]'")
    if config.option.agenttape_disable:
        raise pytest.UsageError(f"{where}: with --agenttape-disable no call is seen, so that none can be counted")
    budget = Budget(limit, _file_of(config), where)
    config.stash[PURSE] = budget
    config.pluginmanager.register(budget, "agenttape-budget")


def dollars(amount: Decimal) -> str:
    """Return an amount as text, with cents: ``$0.50``, ``$0.0312``."""
    return f"${amount.quantize(Decimal('0.0001')).normalize() + Decimal('0.00'):f}"


def _amount(said: str, where: str) -> Decimal:
    with contextlib.suppress(InvalidOperation):
        amount = Decimal(said.strip().removeprefix("$"))
        if 0 <= amount <= _MOST:
            return amount
    raise pytest.UsageError(f"{where} takes US dollars, such as 0.50; found {said!r}")


def _file_of(config: pytest.Config) -> Path:
    if is_worker(config):
        return Path(config.workerinput[_FILE])  # type: ignore[attr-defined]  # of a worker
    number, name = tempfile.mkstemp(prefix="agenttape-budget-")
    os.close(number)
    config.add_cleanup(lambda: Path(name).unlink(missing_ok=True))
    return Path(name)
