"""What a record mode means: what a call gets, what counts as unplayed, and whether a cassette is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from pytest_agenttape.matching.selection import NOTHING, Selection
from pytest_agenttape.matching.tape import Replay, Tape
from pytest_agenttape.model import BOUNDARY_KINDS, Call, Interaction, Mode


@dataclass(frozen=True, slots=True)
class Execute:
    """Run the call for real; if kept, it goes into a cassette."""

    is_kept: bool = True


@dataclass(frozen=True, slots=True)
class Refuse:
    """Run nothing and raise: no recording answers."""


Decision: TypeAlias = Replay | Execute | Refuse


@dataclass(frozen=True, slots=True)
class Policy:
    """The record mode, and the tokens that override it.

    Attributes:
        mode: The record mode.
        fresh: True when there was no cassette to begin with.
        live: The calls that run for real.
        frozen: The calls that are replayed in every mode.
    """

    mode: Mode
    fresh: bool
    live: Selection = NOTHING
    frozen: Selection = NOTHING

    # -- calls

    @property
    def reads_cassette(self) -> bool:
        """Whether the old recording, if there is one, answers anything."""
        return self.mode is not Mode.ALL or bool(self.frozen)

    @property
    def records(self) -> bool:
        """Whether a call without a recording runs for real and is recorded."""
        return self.mode in (Mode.NEW_EPISODES, Mode.REFRESH, Mode.ALL) or (self.mode is Mode.ONCE and self.fresh)

    @property
    def replays_only(self) -> bool:
        """Whether the mode, tokens aside, answers every call from the cassette or not at all."""
        return not self.records

    @property
    def can_execute(self) -> bool:
        """Whether anything at all may run for real."""
        return self.records or bool(self.live)

    def decide(self, call: Call, tape: Tape) -> Decision:
        """Return what *call* gets; serving a recording marks it played."""
        if call.nested and call.kind not in BOUNDARY_KINDS:
            return self._decide_inside(call, tape)
        if self.frozen.names and self.frozen.covers(call):
            return tape.take(call) or Refuse()
        if self.mode is Mode.ALL or (self.live.names and self.live.covers(call)):
            return Execute()
        return tape.take(call) or (Execute() if self.records else Refuse())

    def _decide_inside(self, call: Call, tape: Tape) -> Decision:
        """HTTP in the body of a live tool belongs to the tool: it runs with it, unless its own token forbids."""
        may_run = self.records or self.live.covers(call)
        if may_run and not self.frozen.covers(call):
            return Execute(is_kept=False)
        found = tape.take(call)
        return Refuse() if found is None else found._replace(descendants=(), is_kept=False, agrees=True)

    def observed(self, call: Call, tape: Tape) -> Replay | None:
        """Return the recording of a call that a listener sees, if the run is compared with one."""
        return None if self.mode is Mode.ALL else tape.take(call)

    # -- the run

    @property
    def refreshes(self) -> bool:
        """Whether the run renews the recording: recordings that still match are kept, the rest are made again."""
        return self.mode is Mode.REFRESH

    @property
    def starts_over(self) -> bool:
        """Whether the run records all of its calls, so no old recording can be compared with it."""
        return self.mode is Mode.ALL or (self.fresh and self.can_execute)

    @property
    def keeps_frozen_world(self) -> bool:
        """Whether the clock and the seed are those of the old recording."""
        return self.mode is not Mode.ALL

    def is_missed(self, recorded: Interaction) -> bool:
        """Return whether the run should have used *recorded*, if it was left unplayed."""
        return self.reads_cassette and recorded.parent is None and not self.live.covers(recorded)

    def answers(self, recorded: Interaction) -> bool:
        """Return whether a call like *recorded* is answered by it, and nothing runs for real."""
        return self.frozen.covers(recorded) or (self.mode is not Mode.ALL and not self.live.covers(recorded))

    @property
    def judges_unplayed(self) -> bool:
        """Whether a recording that was left unplayed is reported."""
        return not self.refreshes and not self.fresh

    @property
    def order_matters(self) -> bool:
        """Whether the order of the calls can be compared with that of the cassette."""
        return not self.fresh and self.mode not in (Mode.ALL, Mode.NEW_EPISODES)

    # -- the file

    @property
    def keeps_old(self) -> bool:
        """Whether old recordings stay in the file, whatever this run does."""
        return self.mode is Mode.NEW_EPISODES and not self.fresh

    @property
    def writes_derived(self) -> bool:
        """Whether a live call is written to ``NAME.derived.yaml`` instead of the cassette."""
        return self.replays_only

    def leaves_untouched(self, *, live_calls: int, is_all_played: bool, has_news: bool) -> bool:
        """Return whether the file stays as it is after a run of *live_calls* live calls.

        *has_news* means that there is something to write even if every call was replayed.
        """
        if not self.can_execute:
            return True
        if self.mode is Mode.ALL or self.fresh:
            return False
        if self.refreshes:
            return live_calls == 0 and is_all_played and not has_news
        return live_calls == 0


def replays_only(mode: Mode, *, has_cassette: bool) -> bool:
    """Return whether a session of *mode* would answer every call from its cassette or not at all."""
    return Policy(mode, fresh=not has_cassette).replays_only
