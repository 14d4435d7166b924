"""A session's deterministic clock, UUIDs and random numbers, and the environment it was recorded in.

All three are process-wide in Python, so the open sessions are kept in one process-wide list. Clock and UUIDs
are answered per context (each task and thread sees its own session). `random` and the local time zone cannot be,
so a session that would have to share them is refused.
"""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import Self

from pytest_agenttape.process.freeze import clock, layers, randoms, sleeps, uuids, zone
from pytest_agenttape.process.freeze.clock import real_time_ns, real_utcnow, unpinned
from pytest_agenttape.process.freeze.environment import env_drift, env_snapshot
from pytest_agenttape.process.freeze.layers import ClockLoop, Layer
from pytest_agenttape.process.freeze.state import FrozenState, Plan, plan_of

__all__ = [
    "ClockLoop",
    "Freeze",
    "FrozenState",
    "capture",
    "env_drift",
    "env_snapshot",
    "real_time_ns",
    "real_utcnow",
    "unpinned",
]


def capture(features: frozenset[str], now: datetime, seed: int) -> FrozenState:
    """Return the state of a recording that starts at *now*, from which its replays start too."""
    dated = bool(features & {"clock", "uuid"})  # a version 1 UUID carries a time
    return FrozenState(
        clock=now.astimezone().isoformat(timespec="microseconds") if dated else None,
        zone=zone.machine_zone(zone.original_tz()) if "clock" in features else None,
        seed=seed if features & {"uuid", "random"} else None,
    )


class Freeze:
    """Pins the clock and starts UUIDs and random numbers from a seed; leaving it restores what was there.

    The same object can be entered again, even while it is open; each entry starts from the same state. If it *yields*,
    it leaves random numbers alone while a session running beside it has seeded them. Whoever *asks* whether UUIDs or
    random numbers were drawn has to say so before.
    """

    def __init__(
        self, features: frozenset[str], state: FrozenState, *, yields: bool = False, asks: bool = False
    ) -> None:
        self._plan = plan_of(features, state)
        self._yields = yields
        self._asks = asks
        self._open: list[Layer] = []
        self.has_drawn: bool | None = None  # whether UUIDs or random numbers were asked for; None until that is judged

    def __enter__(self) -> Self:
        if self._plan is not None:
            self._open.append(_enter(self._plan, yields=self._yields))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            if self.has_drawn is None:
                self.judge_draws()
            try:
                _leave(self._open[-1])
            finally:
                self._open.pop()

    def progress(self) -> None:
        """Note that the session made progress, so that reading the clock often does not count as an endless loop."""
        for layer in self._open:
            layer.reads = layer.warnings = 0

    def now(self) -> int:
        """Return the pinned time that the running code sees, in nanoseconds; 0 if it is not pinned."""
        return self._open[-1].begin_wait() if self._open else 0

    def pass_time(self, seconds: float, start: int | None = None) -> None:
        """Move the pinned clock as if the session had waited for so many *seconds*, from *start* on (a `now`)."""
        if seconds and self._open:
            layer = self._open[-1]
            layer.advance(layer.begin_wait() if start is None else start, seconds)

    def judge_draws(self) -> None:
        """See whether UUIDs or random numbers were asked for, before another plugin seeds them again."""
        if self._open and self._asks:
            self.has_drawn = self._open[-1].has_drawn or randoms.are_drawn(self._open[-1])

    def reseed(self) -> None:
        """Restart the random numbers, in case another plugin has seeded them in the meantime."""
        if self._open:
            randoms.seed(self._open[-1])


def _enter(plan: Plan, *, yields: bool) -> Layer:
    with layers.LOCK:
        inherited = layers.nearest_open(layers.CURRENT.get())
        layer = Layer(plan, inherited or (layers.OPEN[-1] if layers.OPEN else None))
        layer.tz = zone.needed_tz(plan) if plan.clock else None
        layers.refuse_sharing(layer, inherited, yields=yields)
        layers.OPEN.append(layer)
        try:
            clock.start(layer)
            _sync_process()
            randoms.save(layer)
            randoms.seed(layer)
        except BaseException:
            _leave(layer)
            raise
        layers.CURRENT.set(layer)
        return layer


def _leave(layer: Layer) -> None:
    with layers.LOCK:
        try:
            randoms.restore(layer)
        finally:
            try:
                clock.stop(layer)
            finally:
                layer.is_open = False
                if layer in layers.OPEN:
                    layers.OPEN.remove(layer)
                _sync_process()
                _hand_over()
    layer.saved_random = layer.saved_numpy = layer.task = None
    layer.sequences.clear()  # they read its clock: together they would wait for the garbage collector
    if layers.CURRENT.get() is layer:
        layers.CURRENT.set(layer.parent)


def _hand_over() -> None:
    """Start the random numbers of a session that had to do without, now that no other session pins them."""
    heir = next((each for each in layers.OPEN if each.own_plan is not None), None)
    if heir is None or any(each.plan.random_seed is not None for each in layers.OPEN):
        return
    heir.plan, heir.own_plan = heir.own_plan or heir.plan, None
    randoms.save(heir)
    randoms.seed(heir)


def _sync_process() -> None:
    """Adjust the process-wide zone, UUID source and sleeps to what the open sessions need."""
    try:
        zone.sync()
    finally:
        try:
            uuids.sync()
        finally:
            sleeps.sync(any(layer.plan.clock for layer in layers.OPEN))
