"""The open sessions: what each has pinned, and which of them the running code belongs to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

from pytest_agenttape import clocks
from pytest_agenttape.errors import ConfigError
from pytest_agenttape.process import waits
from pytest_agenttape.process.cutting import Cut, cut
from pytest_agenttape.process.freeze.sequences import UuidSequence
from pytest_agenttape.process.freeze.state import SECOND, Plan

_READS_BETWEEN_CHECKS = 1024
_READS_WITHOUT_PROGRESS = 1_000 * _READS_BETWEEN_CHECKS
_READS_AFTER_A_WARNING = 10 * _READS_BETWEEN_CHECKS
_SECONDS_WITHOUT_PROGRESS = 600.0


class ClockLoop(Cut):
    """Ends a loop that keeps reading a pinned clock after an error said why it cannot end; must not be swallowed."""


class Layer:
    """One open session: its pinned time, its UUIDs, and what it has to restore."""

    __slots__ = (
        "has_drawn", "is_open", "lock", "now", "outside", "own_plan", "parent", "plan", "reads", "saved_numpy",
        "saved_random", "sequences", "slow_since", "task", "thread", "traveller", "tz", "warnings",
    )  # fmt: skip

    def __init__(self, plan: Plan, parent: Layer | None) -> None:
        self.plan = plan
        self.own_plan: Plan | None = None  # the full plan, for when another session releases random numbers
        self.parent = parent
        self.is_open = True
        self.lock = threading.Lock()
        self.now = plan.start  # for the agent
        self.outside = plan.start  # for threads that are none of its own, if that is later
        self.reads = 0
        self.slow_since = 0.0
        self.warnings = 0
        self.tz: str | None = None  # the TZ value it needs; None if the machine's own zone is right
        self.sequences: dict[str, UuidSequence] = {}
        self.traveller: Any = None  # time_machine's travel and Traveller
        self.has_drawn = False  # whether the user's own code has asked for UUIDs
        self.saved_random: object = None
        self.saved_numpy: object = None
        self.thread = threading.current_thread()
        self.task = waits.current_task()

    def begin_wait(self) -> int:
        """Return the time that the running code sees, from which it is about to wait."""
        _leave_if_serving()
        return self.seen()

    def seen(self) -> int:
        """Return the time that the running code sees."""
        return max(self.now, self.outside) if _is_outside() else self.now

    def advance(self, start: int, seconds: float) -> None:
        """Move the clock that the running code sees to the end of a sleep that began at *start*.

        Overlapping sleeps count once. What sleeps outside of the agent, such as a server in a thread of the tests,
        does not move the agent's clock: it may not be there in replay.
        """
        end = start + round(seconds * SECOND)
        self.reads = self.warnings = 0
        with self.lock:
            if _is_outside():
                self.outside = max(self.outside, end)
            else:
                self.now = max(self.now, end)
        _note(seconds)

    def read(self) -> int:
        """Return the pinned time for the caller, in nanoseconds."""
        layer = _clock_layer(CURRENT.get()) or self
        layer.reads += 1
        if not layer.reads % _READS_BETWEEN_CHECKS:
            layer.check_progress()
        return layer.seen()

    def check_progress(self) -> None:
        """Stop a loop that waits for a time that never comes.

        Raises:
            ConfigError: The clock was read too often, or for too long, with no sleep or interaction in between.
            ClockLoop: It is still being read after that error was swallowed.
        """
        if self.reads == _READS_BETWEEN_CHECKS:
            self.slow_since = clocks.monotonic()
        if self.reads < _READS_WITHOUT_PROGRESS and clocks.monotonic() - self.slow_since < _SECONDS_WITHOUT_PROGRESS:
            return
        message = _loop_message(self.reads)
        self.reads = _READS_WITHOUT_PROGRESS - _READS_AFTER_A_WARNING
        self.slow_since = clocks.monotonic()
        self.warnings += 1
        raise ConfigError(message) if self.warnings == 1 else cut(ClockLoop, message)

    def uuids(self, library: str) -> UuidSequence:
        """Return the UUIDs of *library*: a sequence of its own, so that no other library's draws change it."""
        assert self.plan.uuid_seed is not None  # or it would not be a source
        with self.lock:
            if library not in self.sequences:
                self.sequences[library] = UuidSequence(library, self.plan.uuid_seed, lambda: self.now)
            return self.sequences[library]


def _loop_message(reads: int) -> str:
    return (
        f"the clock was read {reads:,} times with no sleep or recorded call in between, and it is frozen here\n"
        "  a loop that waits for a time never ends under a frozen clock: sleep in it (time.sleep, asyncio.sleep,\n"
        "  anyio.sleep, trio.sleep and timeouts move the clock), or keep the real clock: freeze=('uuid', 'random')"
    )


def note_advances(note: Callable[[float], None]) -> None:
    """Let *note* be told, by the code for which a clock is advanced, by how many seconds."""
    global _note
    _note = note


def tell_outsiders(is_outside: Callable[[], bool], leave_if_serving: Callable[[], None]) -> None:
    """Let *is_outside* say whether the running code is none of the agent's; *leave_if_serving* finds out."""
    global _is_outside, _leave_if_serving
    _is_outside, _leave_if_serving = is_outside, leave_if_serving


_note: Callable[[float], object] = float
_is_outside: Callable[[], bool] = bool
_leave_if_serving: Callable[[], object] = bool
# The open sessions in the order they started. A module global, because what they change is process-wide.
OPEN: list[Layer] = []
LOCK = threading.RLock()
CURRENT: ContextVar[Layer | None] = ContextVar("agenttape_frozen", default=None)


def nearest_open(layer: Layer | None) -> Layer | None:
    while layer is not None and not layer.is_open:
        layer = layer.parent
    return layer


def _clock_layer(layer: Layer | None) -> Layer | None:
    while layer is not None and not (layer.is_open and layer.plan.clock):
        layer = layer.parent
    return layer


def _uuid_layer(layer: Layer | None) -> Layer | None:
    while layer is not None and not (layer.is_open and layer.plan.uuid_seed is not None):
        layer = layer.parent
    return layer


def pinned() -> Layer | None:
    """Return the session whose clock the running code sees."""
    found = _clock_layer(CURRENT.get())
    return found or next((layer for layer in reversed(OPEN) if layer.plan.clock), None)


def uuid_source() -> Layer | None:
    """Return the session whose UUIDs the running code gets."""
    found = _uuid_layer(CURRENT.get())
    return found or next((layer for layer in reversed(OPEN) if layer.plan.uuid_seed is not None), None)


def refuse_sharing(layer: Layer, inherited: Layer | None, *, yields: bool) -> None:
    """Refuse a session that runs beside another one, not inside it, if they cannot both have their own values.

    If it *yields*, it does without its own random numbers instead.
    """
    ancestors = set()
    while inherited is not None:
        ancestors.add(inherited)
        inherited = inherited.parent
    for other in OPEN:
        if other in ancestors or not _runs_beside(other, layer):
            continue
        shared = _unshareable(layer, other)
        if shared == "random" and yields:
            layer.own_plan, layer.plan = layer.plan, replace(layer.plan, random_seed=None)
            shared = _unshareable(layer, other)
        if shared:
            raise ConfigError(
                f"two cassettes that freeze {shared} are open at the same time in different tasks or threads, and\n"
                f"  {shared} belongs to the whole process: open them one after the other, or freeze less in one of\n"
                f"  them, such as freeze={('clock', 'uuid') if shared == 'random' else ('uuid', 'random')}"
            )


def _unshareable(layer: Layer, other: Layer) -> str | None:
    if layer.plan.random_seed is not None and other.plan.random_seed is not None:
        return "random"
    if layer.plan.clock and other.plan.clock and layer.tz != other.tz:
        return "clock"
    return None


def _runs_beside(other: Layer, layer: Layer) -> bool:
    """Return whether *other* was opened by a task or thread that keeps running while *layer* is open.

    The main thread is assumed to wait for the threads it starts, as a test does. In the same thread, code that opened
    *other* outside of any task is a fixture or the caller.
    """
    if other.thread is not layer.thread:
        return other.thread is not threading.main_thread() and other.thread.is_alive()
    return other.task is not None and layer.task not in (None, other.task) and not _is_finished(other.task)


def _is_finished(task: Any) -> bool:  # see above
    coroutine = task.get_coro() if hasattr(task, "get_coro") else task.coro
    return getattr(coroutine, "cr_frame", None) is None
