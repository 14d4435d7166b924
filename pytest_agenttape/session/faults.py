"""Faults in a replay: which call gets one, and whether each of them has happened."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.policy import Decision, Refuse
from pytest_agenttape.matching.tape import Replay
from pytest_agenttape.model import BOUNDARY_KINDS, JSON, Call, Interaction, Mode
from pytest_agenttape.session.frozen_world import FrozenWorld
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.run import Run
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.session.verdict import noted
from pytest_agenttape.settings.faults import Fault, parse_faults


@dataclass(slots=True)
class _Planned:
    """A fault, how many calls it could have been for, and whether one of them got it."""

    fault: Fault
    calls: int = 0
    has_happened: bool = False

    def is_due(self) -> bool:
        self.calls += 1
        return self.fault.nth <= self.calls < self.fault.nth + self.fault.times


class Injectable:
    """A session in which faults can happen.

    Attributes:
        faults: What goes wrong in this run, and how much of it has.
        is_closed: Whether no call can be made in it.
    """

    faults: Faults
    is_closed: bool

    def inject(self, *faults: Fault) -> None:
        """Let *faults* happen, each made by `fault`, to calls that are made from now on.

        Raises:
            ConfigError: The session may run calls for real, or a fault cannot happen in it, or it is not open.
        """
        if self.is_closed:
            raise ConfigError("the session is not open, so no fault can happen in it; to begin with one: faults=[...]")
        self.faults.plan(faults)


class Faults:
    """The faults of one run; callers must hold the run's lock while a call is decided.

    Attributes:
        planned: Those that there are; without any, nothing here is asked.
    """

    def __init__(self, settings: Settings, loaded: Loaded, run: Run, world: FrozenWorld) -> None:
        self._settings = settings
        self._loaded = loaded
        self._run = run
        self._world = world
        self.planned: list[_Planned] = []
        self.plan(settings.faults)

    def plan(self, faults: Iterable[Fault]) -> None:
        """Let *faults* happen to calls that are made from now on.

        Raises:
            ConfigError: The session may run calls for real, or a fault cannot happen in it.
        """
        given = parse_faults(faults)
        for each in given:
            self._check(each)
        with self._run.lock:
            self.planned += map(_Planned, given)

    def decide(self, call: Call, metadata: Mapping[str, JSON] | None) -> Decision:
        """Return what *call* gets: a fault, or what it would get without any.

        Raises:
            ConfigError: The fault is none that such a call can have.
        """
        planned = self._due(call)
        if planned is None:
            return self._loaded.decide(call)
        decision = self._late(planned.fault, call) or self._faulted(planned.fault, call, metadata)
        if isinstance(decision, Replay):
            planned.has_happened = True
            self._world.freeze.pass_time(planned.fault.delay)
        return decision

    @property
    def missed(self) -> AgentTapeError | None:
        """The error for the faults that never happened, if there are any."""
        left = [each for each in self.planned if not each.has_happened]
        if not left:
            return None
        return AgentTapeError("\n".join(map(self._missed_text, left)))

    def refuse_missed(self) -> None:
        """Raise if a fault never happened: the run shows nothing of how the agent takes it.

        Raises:
            AgentTapeError: One never did.
        """
        __tracebackhide__ = True
        missed = self.missed
        if missed is not None:
            raise missed

    def note_missed(self, error: BaseException) -> None:
        """Note on *error*, which leaves a block and is none of ours, which fault never happened."""
        missed = self.missed
        if missed is not None and not isinstance(error, AgentTapeError | GeneratorExit):
            noted(error, missed)

    def _check(self, fault: Fault) -> None:
        settings = self._settings
        if settings.mode is not Mode.NONE:
            raise ConfigError(
                f"{fault}: faults happen in a replay alone, and the mode of {settings.name} is {str(settings.mode)!r}; "
                "record without them (--deselect leaves a test out), and replay with --agenttape-mode=none"
            )
        if settings.live:
            raise ConfigError(f"{fault}: faults happen in a replay alone; {settings.name} has live calls, too")
        if fault.delay and "clock" not in settings.freeze:
            raise ConfigError(f"{fault}: delay moves the pinned clock, and {settings.name} keeps the real one")

    def _due(self, call: Call) -> _Planned | None:
        """Return the first fault that *call* gets; each counts it, whichever comes first."""
        due = [each for each in self.planned if each.fault.target.covers(call) and each.is_due()]
        return due[0] if due else None

    def _late(self, fault: Fault, call: Call) -> Decision | None:
        if not fault.delays_only:
            return None
        found = self._loaded.decide(call)
        if not isinstance(found, Replay):
            return found
        marked = {**found.recorded.metadata, "fault": str(fault), "delayed": True}
        return found._replace(recorded=replace(found.recorded, metadata=marked))

    def _faulted(self, fault: Fault, call: Call, metadata: Mapping[str, JSON] | None) -> Decision:
        recorded: Interaction | None = self._loaded.peek(call)
        if recorded is None and fault.after_events is not None:
            return Refuse()
        from pytest_agenttape.session.made_up import made_up  # few sessions have faults

        is_kept = not call.nested or call.kind in BOUNDARY_KINDS
        return Replay(made_up(fault, call, recorded, metadata or {}), is_kept=is_kept, is_repeat=True)

    def _missed_text(self, planned: _Planned) -> str:
        fault, calls = planned.fault, planned.calls
        named = ", ".join(map(repr, sorted(fault.target.names)))
        if calls >= fault.nth:
            return f"{fault} never happened: whenever it was due, another fault came first"
        if calls:
            return f"{fault} never happened: it is for call {fault.nth} of {named}, and the run made {calls}"
        called = sorted({each.call.boundary or each.call.kind for each in self._run})
        text = f"{fault} never happened: the run made no call of {named}; "
        text += f"it called {', '.join(called)}" if called else "it made none at all"
        near = difflib.get_close_matches(next(iter(fault.target.names)), called, n=1)
        return f"{text}\n  did you mean {near[0]!r}?" if near else text
