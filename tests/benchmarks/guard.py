"""The ratios that the project keeps: a run fails in which one is worse than the kept one by more than a third.

A ratio compares what was measured in turn, in one run, so it holds on a slower machine, too; a time does not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks import memory, table

KEPT = Path(__file__).with_name("ratios.json")
_WORSE = 4 / 3
_MEASURED_SIZE = 1_000

Measured = Mapping[str, float]


def memory_ratios(work: Path) -> Measured:
    """Return the ratios of memory, which hardly differ from run to run."""
    held, file = memory.held(work, _MEASURED_SIZE)
    first, second, third = memory.left_behind(work, (250, 500, 1_000))
    growth = min(second / first, third / second)  # what Python's own tables grow by, they grow by once
    return {"memory of 1,000 calls, to their file": held / file, "memory after twice as many cassettes": growth}


def report(measured: Measured, kept: Measured) -> tuple[list[str], list[str]]:
    """Return a table of all ratios, and a line for each that is worse than it may be, or that nothing is kept of."""
    rows = [("ratio", "kept", "now", "verdict")]
    worse = []
    for name, now in measured.items():
        before = kept.get(name)
        problem = "" if before is not None and now <= before * _WORSE else "worse" if before is not None else "not kept"
        rows.append((name, "-" if before is None else f"{before:.2f}", f"{now:.2f}", problem or "fits"))
        if problem:
            worse.append(f"{name}: {now:.2f}, kept {before}")
    return table.aligned(rows), worse


def check(measure: Callable[[], Measured], *, keeps: bool) -> int:
    """Measure, print, and return the exit status; *keeps* writes the ratios instead of judging them."""
    measured = measure()
    kept: Measured = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    lines, worse = report(measured, kept)
    print(*lines, sep="\n")
    if keeps:
        KEPT.write_text(json.dumps({name: round(each, 2) for name, each in measured.items()}, indent=2) + "\n")
        return 0
    print(*worse, sep="\n")
    return 1 if worse else 0
