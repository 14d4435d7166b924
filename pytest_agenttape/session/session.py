"""A session: one cassette open for recording or replay, and every call that reaches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Self

from pytest_agenttape import clocks, ownership, telemetry, transports
from pytest_agenttape.boundaries import outside
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.instances import Instances
from pytest_agenttape.matching.policy import Refuse
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.matching.tape import Replay
from pytest_agenttape.model import JSON, TELEMETRY_KIND, Call
from pytest_agenttape.ownership import guard
from pytest_agenttape.ownership.calls import Live, Served
from pytest_agenttape.process import child_processes
from pytest_agenttape.process.user_stack import is_typed_in_debugger, user_traceback
from pytest_agenttape.reading.summary import asked_line
from pytest_agenttape.session import money
from pytest_agenttape.session.before_recording import BeforeRecording
from pytest_agenttape.session.connections import Connections, Gatekeeper
from pytest_agenttape.session.entering import entering, warn_of_lost_calls
from pytest_agenttape.session.faults import Faults, Injectable
from pytest_agenttape.session.frozen_world import FrozenWorld
from pytest_agenttape.session.history import History
from pytest_agenttape.session.loaded import Loaded, load
from pytest_agenttape.session.misses import Misses, say_how_to_record
from pytest_agenttape.session.observer import SessionObserver, cover
from pytest_agenttape.session.poison import has_failed, poison_of
from pytest_agenttape.session.recording import Recording
from pytest_agenttape.session.run import Run, seconds_passed
from pytest_agenttape.session.secrets import Secrets
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.session.stand_ins import StandIns
from pytest_agenttape.session.unplayed import left_unplayed, unplayed_error
from pytest_agenttape.session.verdict import RunCut, Verdict


class Session(Injectable, Gatekeeper, History):
    """One open cassette. `use_cassette` makes them; under pytest the plugin does.

    Attributes:
        settings: What the session was opened with.
        path: The cassette file.
        mode: The record mode; compares equal to the plain word.
        title: How messages name the session.
        faults: What goes wrong in this run, and how much of it has.
        loaded: The cassette as it was when the session opened.
        run: The calls made since then.
        recording: The recording that they leave behind.
        secrets: The secrets to redact.
        verdict: The first error that decides the run.
        phase: Set during a test's teardown, and kept in the metadata of calls made then.
        allow_programs: Programs that may be started outside of a live call.
        model_override: The model that live LLM calls are sent to instead of the requested one.
    """

    propagates = True  # to threads started in it

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.path = settings.path
        self.mode = settings.mode
        self.title = settings.name
        self.model_override = settings.config.model_override
        self.allow_programs = settings.config.allow_programs
        self.is_closed = True
        self.is_debugged = False
        self._before = BeforeRecording.of(settings.config, Selection.of(settings.frozen))
        self.on_live_call: Callable[[Session], None] | None = None

    # -- life

    def empty(self) -> Self:
        """Have no recording, and no call made yet, for those who look at it before it is open."""
        self._reset(Loaded.of(self.settings, None))
        return self

    def open(self) -> Self:
        """Load the cassette; from now on, calls belong to this session.

        Raises:
            CassetteCorruptError: The file cannot be read as a cassette.
            ConfigError: A token in `frozen` names nothing; a function of the user's cannot be found.
        """
        if self.settings.config.taken:
            outside.take(self.settings.config.taken)
        loaded, problem = load(self.settings)
        self._reset(loaded)
        if problem is not None:
            self.refuse(problem)
        loaded.refuse_unknown(self.settings.frozen)
        _ = self.secrets.redactor  # now, because a secret may be removed from the environment before the first call
        self.world.enter()
        self.is_closed = False
        guard.arm()
        ownership.add(self)
        ownership.enter(self)
        try:
            transports.install()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """End the session: calls no longer belong to it; restore the clock, UUIDs and random numbers."""
        if self.is_closed:
            return
        self.recording.settle()
        self.is_closed = True
        try:
            guard.disarm()
            ownership.remove(self)
            ownership.leave(self)
        finally:
            self.world.leave()
            self.run.let_go()

    def enter(self) -> None:
        """Open the cassette for a block.

        Raises:
            ConfigError: It is open already, or would record in CI, or what another session records.
        """
        __tracebackhide__ = True
        if not self.is_closed:
            raise ConfigError(f"{self.title} is already open; open another session for a nested block")
        try:
            self.settings = entering(self.settings)
            self.mode = self.settings.mode
            if not self.settings.is_disabled:
                self.open()
        except AgentTapeError as error:
            raise error.with_traceback(None)  # noqa: B904  # the user's line matters, not where we saw it

    def leave(self, error: BaseException | None) -> None:
        """Close the cassette, and write what the block recorded unless it ends with *error*.

        Raises:
            AgentTapeError: The block has swallowed the error of a call; or it is strict and left recordings unplayed.
            RecordingRefusedError: What it recorded must not be kept, or cannot be written.
        """
        __tracebackhide__ = True
        if self.settings.is_disabled:
            return
        self.close()
        if error is not None:
            self.verdict.leave_with(error, is_recording=self.loaded.policy.records)
            self.faults.note_missed(error)
            return
        self.hear_children()
        self.verdict.refuse_swallowed(is_recording=self.loaded.policy.records)
        self.faults.refuse_missed()
        left = left_unplayed(self) if self.settings.config.strict else []
        if left:
            raise unplayed_error(self, left)
        self.recording.commit()
        warn_of_lost_calls(self.settings, (self.loaded.digest_of(each.request) for each in self.interactions))

    # -- calls

    def begin(
        self,
        kind: str,
        boundary: str | None,
        request: dict[str, JSON],
        *,
        parent: Live | None = None,
        metadata: Mapping[str, JSON] | None = None,
        instance: object = None,
    ) -> Served | Live:
        """Decide whether the call is answered by a recording or runs for real.

        Args:
            kind: One of `KINDS`.
            boundary: Name of the tool or provider operation.
            request: The call in stored form; secrets are removed here.
            parent: The live call whose body makes this one.
            metadata: Facts to record with it.
            instance: Whose method it is.

        Raises:
            UnmatchedInteractionError: No recording answers, and the mode does not let the call run for real.
        """
        __tracebackhide__ = True
        if self.run.is_forked:
            raise self.refuse(child_processes.refusal(f"a forked child of {self.title}"))
        if kind == TELEMETRY_KIND:
            return Served(self, call := Call(kind, boundary, request), telemetry.answer(call))
        self.world.freeze.progress()
        about = metadata or {}
        label, function = about.get("label"), about.get("function")
        nested, running = parent is not None, ownership.running_job()
        try:
            asked = self.secrets.redactor.request(request)
            call = Call(kind, boundary, asked, nested, False, running.number, label, function, running.name)
            if instance is not None:
                with self.run.lock:
                    call = self._instances.numbered(call, instance)
            if self._before is not None:
                call = call._replace(request=self._before.request(kind, boundary, dict(call.request)))
        except BeforeRecording.Dropped:
            live = Live(self, call, parent, is_kept=False, started=clocks.perf_counter())
            self.vet(live, request)
            return live
        except AgentTapeError as problem:
            raise self.refuse(problem) from problem.__cause__
        if self.is_debugged and is_typed_in_debugger():
            return self._begin_typed(call, parent)
        cover()
        with self.run.lock:
            self.verdict.stop()
            try:
                return self._decided(call, request, parent, metadata)
            except ConfigError as error:  # a matcher that raised
                raise self.refuse(error) from error.__cause__

    def finish(
        self,
        live: Live,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
        status: object = None,
        failure: str = "",
    ) -> None:
        """Keep the result of a live call: *response* or *error*, in stored form; secrets are removed here.

        *status* is that of an HTTP answer, *failure* the class of the exception that ended the call; only calls whose
        failures are no part of what an agent deals with have them.
        """
        with self.run.lock:
            try:
                self.run.let_time_pass(live, self.world.freeze)
                self.run.count_rounds(live)
                outcome = self.outcome(live, response=response, error=error, usage=usage, tags=tags)
                poison = poison_of(outcome, status, failure)
                if self._before is not None and live.is_kept:
                    outcome, poison = self._before.response(outcome, poison)
                live.poison = replace(poison, traceback=user_traceback()) if poison else None
                live.has_failed = poison is not None or has_failed(outcome, status, failure)
                self.run.end(live, outcome)
                money.pay(live, outcome)
            except AgentTapeError as problem:
                live.drop()
                problem.add_note(f"in {asked_line(live.call)}")
                raise self.refuse(problem) from None
        if self.on_live_call is not None:
            self.on_live_call(self)

    def vet(self, live: Live, sent: JSON) -> None:
        """Refuse what a live call is about to send, its request or more, if it holds the stand-in of a secret."""
        __tracebackhide__ = True
        with self.run.lock:
            if (refusal := self._stand_ins.refusal(live.call, sent)) is not None:
                raise self.refuse(refusal)

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Return *error*; if the plugin opened the session, it becomes the verdict of the run."""
        __tracebackhide__ = True
        self.secrets.hide_in(error)
        say_how_to_record(error, self.settings)
        if self.run.is_forked:
            child_processes.report(str(error))
        with self.run.lock:
            return self.verdict.keep(error)

    def hear_children(self) -> None:
        """Treat a refusal in a child process as one in this run."""
        __tracebackhide__ = True
        if (text := child_processes.reported()) is not None:
            self.refuse(AgentTapeError(text))

    @property
    def observer(self) -> SessionObserver:
        """Keeps the calls that listeners see."""
        return SessionObserver(self, self.loaded, self.run)

    # -- below: how

    def _reset(self, loaded: Loaded) -> None:
        settings = self.settings
        self.loaded = loaded
        self.can_execute = loaded.policy.can_execute
        self._misses = Misses(settings, loaded)
        self.run = Run(keeps_time=loaded.policy.can_execute or bool(settings.repeated))
        self.verdict = Verdict(is_sticky=settings.is_sticky)
        self.secrets = Secrets(settings.rules, loaded.texts, loaded.rules.placeholders)
        self._instances = Instances(loaded.tape)
        self._stand_ins = StandIns(settings, loaded, self.run, self.secrets)
        self.world = FrozenWorld(settings, loaded.frozen, loaded.needless_keys)
        self._connections = Connections(settings.config, self.title, records=loaded.policy.records)
        self.recording = Recording(
            settings, loaded, self.run, self.secrets, self.world, self.verdict, self._connections
        )
        self.faults = Faults(settings, loaded, self.run, self.world)
        self.phase = ""

    def _begin_typed(self, call: Call, parent: Live | None) -> Live:
        """Begin a call typed at the debugger's prompt: it runs if the mode allows it, and is not part of the run."""
        if not self.loaded.policy.records:
            raise AgentTapeError(f"typed in the debugger: {self.title} is being replayed; nothing ran for real")
        return Live(self, call, parent, is_kept=False, started=clocks.perf_counter())

    def _decided(self, call: Call, sent: JSON, parent: Live | None, about: Mapping[str, JSON] | None) -> Served | Live:
        __tracebackhide__ = True
        if self.settings.refusal is not None:
            raise RunCut from self.refuse(self.settings.refusal)  # at once: hypothesis would try further examples
        faults = self.faults if self.faults.planned else None
        decision = faults.decide(call, about) if faults else self.loaded.decide(call)
        if isinstance(decision, Replay):
            recorded, descendants, is_kept, agrees, is_repeat = decision
            if is_kept and not (agrees and self.loaded.tape.is_keyed) and not recorded.is_made_up:
                self._misses.note_divergence(call, recorded, agrees=agrees)
            turn = None if is_repeat else self.loaded.turns.of(recorded)
            given = self._stand_ins.given(recorded)
            served = Served(self, call, given, descendants, parent, is_kept, turn=turn, original=recorded)
            if (seconds := seconds_passed(recorded)) > 0:
                self.world.freeze.pass_time(seconds)
            return self.run.repeat(served) if is_repeat else self.run.serve(served)
        if isinstance(decision, Refuse):
            raise self.refuse(self._misses.unmatched(call, position=len(self.run), served=self.run.served()))
        details = dict(about or {})
        if call.job is not None:
            details |= {"job": call.job, "work": call.work}
        if self.phase:
            details["phase"] = self.phase
        if (refusal := money.refusal(call, parent)) is not None:
            raise self.refuse(refusal)
        live = Live(self, call, parent, decision.is_kept, metadata=details)
        self.vet(live, sent)
        return self.run.start(live, self.world.freeze, self.loaded.digest_of)
