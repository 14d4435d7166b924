"""What is kept of a run whose recording is not: its answers, for the next refresh."""

from __future__ import annotations

from pytest_agenttape.model import Mode
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.run import Begun, Placed, Run


def has_outdated(run: Run) -> bool:
    """Return whether a replayed call of *run* has to be made again."""
    return any(isinstance(each, Served) and each.is_outdated for each in run)


def laid_aside(run: Run, loaded: Loaded) -> list[Placed]:
    """Return the answers that *run* got, with their places, and then the recordings that it did not come to."""
    placed = run.laid_out(without=[each for each in run if _is_no_answer(each)])
    if loaded.cassette is None or loaded.policy.mode is Mode.ALL:
        return placed
    rest = [each for each in loaded.cassette.interactions if not loaded.tape.is_played(each)]
    numbers = {each.index: len(placed) + number for number, each in enumerate(rest)}
    return placed + [
        Placed(each, numbers[each.index], numbers.get(-1 if each.parent is None else each.parent), is_live=False)
        for each in rest
    ]


def _is_no_answer(begun: Begun) -> bool:
    """Return whether a call failed, which it need not do tomorrow, or has to be made again."""
    return begun.has_failed if isinstance(begun, Live) else isinstance(begun, Served) and begun.is_outdated
