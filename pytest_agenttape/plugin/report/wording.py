"""How counts, paths and costs are shown to the user."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

from pytest_agenttape.plugin.report.test_record import Spending
from pytest_agenttape.providers import pricing

_LEAST_SHOWN = Decimal("0.0001")


def page(name: str, anchor: str) -> str:
    """Return the address of a place in the documentation."""
    return f"https://pytest-agenttape.readthedocs.io/en/latest/{name}.html#{anchor}"


def counted(count: int, noun: str) -> str:
    """Return *count* and *noun*, in the plural if needed."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def shown(path: Path) -> str:
    """Return *path* relative to the working directory if it is below that, else unchanged."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def in_words(spending: Spending) -> str:
    """Return the tokens and their cost as text."""
    money = f", {price(spending.cost)}" if spending.tokens and pricing.are_known() else ""
    return f"{spending.tokens:,} tokens{money}"


def price(cost: Decimal | None) -> str:
    """Return an amount of US dollars as text."""
    if cost is None:
        return "price unknown"
    return f"less than ${_LEAST_SHOWN}" if 0 < cost < _LEAST_SHOWN else f"${cost:.4f}"


def duration(milliseconds: float) -> str:
    """Return a time as text: ``0.4 ms``, ``812 ms``, ``3.1 s``."""
    if milliseconds < 0.05:
        return "under 0.1 ms"
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:,.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"
