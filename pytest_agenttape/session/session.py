"""A session: one cassette open for recording or replay, and every call that reaches it."""

from __future__ import annotations

import contextlib
import copy
import os
import random
import sys
import threading
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pytest_agenttape import clocks, ownership, transports
from pytest_agenttape.cassettes import imported, paths, writing
from pytest_agenttape.cassettes.cassette import Cassette, load_with_lines
from pytest_agenttape.cassettes.pending import PendingRecording
from pytest_agenttape.errors import (
    AgentTapeError,
    AgentTapeWarning,
    CassetteCorruptError,
    CassetteNotFoundError,
    ConfigError,
    DeterminismDriftWarning,
    NetworkBlockedError,
    RecordingRefusedError,
)
from pytest_agenttape.hosts import host_rules, is_allowed
from pytest_agenttape.matching.canonical import KeyRules, canonical_text, match_key
from pytest_agenttape.matching.matchers import parse_matchers, with_any_secret
from pytest_agenttape.matching.tape import Call, Policy, Refuse, Replay, Tape
from pytest_agenttape.model import BOUNDARY_KINDS, FREEZE_FEATURES, JSON, Interaction, Mode
from pytest_agenttape.process import child_processes, network
from pytest_agenttape.process import freeze as freezing
from pytest_agenttape.process.user_stack import user_traceback
from pytest_agenttape.reading.mismatch import explain
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.reading.usage import TokenTotals, total_tokens
from pytest_agenttape.redaction import RedactionRules, Redactor
from pytest_agenttape.session import observing
from pytest_agenttape.session.decorator import decorated
from pytest_agenttape.session.run import Entries, Entry, Poison
from pytest_agenttape.session.verdict import Verdict
from pytest_agenttape.settings import selectors
from pytest_agenttape.settings.config import Config

_ANSWERS_TO_CHALLENGES = ("authorization", "proxy-authorization")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that opens a session, already validated."""

    path: Path
    mode: Mode
    config: Config
    directory: Path = Path()
    live: frozenset[str] = frozenset()
    frozen: frozenset[str] = frozenset()
    matchers: object = None
    freeze: frozenset[str] = frozenset(FREEZE_FEATURES)
    yields_random: bool = False
    format: str | None = None
    tags: tuple[str, ...] = ()
    title: str = ""
    command: str = ""
    is_sticky: bool = False
    allow_errors: frozenset[object] | bool = False
    test: str | None = None
    pending: PendingRecording | None = None
    rules: RedactionRules = field(default_factory=RedactionRules)


class Session:
    """One open cassette. `use_cassette` makes them; under pytest the plugin does.

    Attributes:
        path: The cassette file.
        mode: The record mode; compares equal to the plain word.
        engine: The `Tape` of recordings that calls are answered from.
        divergences: ``{"index", "expected", "actual"}`` for each call that was answered by a recording of another
            request, or by none (``index`` None).
        verdict: The first error that decides the run.
        phase: Set while a test is torn down; what is called then says so in its metadata.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.path = settings.path
        self.mode = settings.mode
        self.title = settings.title or f"cassette {settings.path.name}"
        self.is_closed = True
        self.is_debugged = False
        self.on_live_call: Callable[[Session], None] | None = None
        self._lock = threading.RLock()
        self._environment: Mapping[Any, Any] = {}  # as the redactor knows it
        self._reset()

    # -- life

    def open(self) -> Self:
        """Load the cassette and become the session that calls belong to.

        Raises:
            CassetteCorruptError: The file cannot be read as a cassette.
            CassetteNotFoundError: Replay needs the file and it does not exist.
        """
        self._reset()
        self._load()
        self._made_redactor()  # now: what is a secret in the environment may be taken out before the first call
        self._refuse_mistyped_frozen()
        self._freeze = self._frozen_world()
        self._freeze.__enter__()
        self.is_closed = False
        network.install(_guard)
        network.arm()
        ownership.add(self)
        ownership.enter(self)
        try:
            transports.install()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop being the session that calls belong to; restore the clock, uuids and random."""
        if self.is_closed:
            return
        self._entries.settle()
        self.is_closed = True
        try:
            network.disarm()
            ownership.remove(self)
            ownership.leave(self)
        finally:
            self._freeze.__exit__(None, None, None)

    def reseed(self) -> None:
        """Start the random numbers over, where something has seeded them since the session opened."""
        self._freeze.reseed()

    def __enter__(self) -> Self:
        if not self.is_closed:
            raise ConfigError(f"{self.title} is open already; open another session for a nested block")
        self.open()
        self._require_cassette()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self.hear_children()
            self.refuse_poison()
            self.commit()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Run *function* in a session of its own at each call; what it calls of itself belongs to the same one."""
        wrapper: Callable[..., Any] = decorated(function, self._again)
        return wrapper

    # -- calls

    def begin(
        self,
        kind: str,
        boundary: str | None,
        request: Mapping[str, JSON],
        *,
        parent: Entry | None = None,
        metadata: Mapping[str, JSON] | None = None,
    ) -> Entry:
        """Decide what the call gets: an entry with its recording, or one that is to be run for real.

        *request* is in stored form, redacted already.

        Raises:
            UnmatchedInteractionError: No recording answers, and the mode runs nothing for real.
        """
        __tracebackhide__ = True
        self._freeze.progress()
        call = Call(kind, boundary, request, nested=parent is not None)
        if self.is_debugged and _is_typed():
            return self._begin_typed(call, parent)
        observing.cover()
        with self._lock:
            self.verdict.stop()
            details = dict(metadata) if metadata else {}
            if self.phase:
                details["phase"] = self.phase
            try:
                return self._decide(call, parent, details)
            except ConfigError as error:  # a matcher that raised
                raise self.refuse(error) from error.__cause__

    def finish(
        self,
        entry: Entry,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
        poison: Poison | None = None,
    ) -> None:
        """Keep what a live call gave."""
        with self._lock:
            entry.poison = replace(poison, traceback=user_traceback()) if poison else None
            entry.interaction = self.outcome(entry, response=response, error=error, usage=usage, tags=tags)
        if self.on_live_call is not None:
            self.on_live_call(self)

    def outcome(
        self,
        entry: Entry,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> Interaction:
        """Return the interaction that a live call is now."""
        elapsed = clocks.perf_counter() - entry.started
        return Interaction(
            index=0,
            kind=entry.call.kind,
            boundary=entry.call.boundary,
            request=dict(entry.call.request),
            response=response,
            error=error,
            usage=usage,
            latency_ms=round(elapsed * 1000, 3),
            tags=(*self.settings.tags, *tags),
            metadata={**entry.metadata, "start_ms": round((entry.started - self._opened) * 1000, 3)},
        )

    def watch(
        self,
        kind: str,
        boundary: str,
        request: Mapping[str, JSON],
        *,
        parent: Entry | None = None,
        is_detached: bool = False,
    ) -> Entry:
        """Note the start of a call that a listener sees and cannot answer; `conclude` ends it.

        It is recorded where calls are recorded, decides nothing, and is never missed in replay. A detached listener
        runs in another context than the call, so any call of the kind that is made meanwhile counts as the same.
        """
        call = Call(kind, boundary, request, nested=parent is not None, observed=True)
        with self._lock:
            found = None if self.mode is Mode.ALL else self.engine.take(call)
            entry = Entry(call, found is None and self._policy.records, metadata={"observed": True})
            entry.interaction = found.recorded if found else None
            self._start(entry, parent)
        if is_detached:
            entry.metadata["detached"] = True
        else:
            observing.begin(entry)
        return entry

    def conclude(
        self,
        entry: Entry,
        *,
        response: JSON = None,
        error: dict[str, JSON] | None = None,
        usage: dict[str, JSON] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """End what a listener watched: kept, unless a transport or a decorator has recorded the call itself."""
        observing.end(entry)
        with self._lock:
            if entry.metadata.pop("detached", False):
                entry.is_covered = self._entries.has_made(entry)
            if entry.is_covered:
                entry.is_live = entry.is_kept = False
            if entry.interaction is None:
                self.finish(entry, response=response, error=error, usage=usage, tags=tags)

    def refuse(self, error: AgentTapeError) -> AgentTapeError:
        """Keep *error* as the verdict of the run when the plugin opened the session; return it."""
        __tracebackhide__ = True
        if self._process != os.getpid():
            child_processes.report(str(error))
        with self._lock:
            return self.verdict.keep(error)

    def hear_children(self) -> None:
        """Take what a child process was refused for a refusal of this run."""
        __tracebackhide__ = True
        text = child_processes.reported()
        if text is not None:
            self.refuse(AgentTapeError(text))

    def admits(self, method: str, url: str) -> bool:  # noqa: ARG002  # the question other owners answer
        """Say whether an HTTP request passes by without belonging to anybody; in a session none does."""
        return False

    def blocks(self, host: str, port: int | None, crossing: Entry | None) -> NetworkBlockedError | None:
        """Return the error for a connection to *host* that nothing allows, None for one that may be made.

        What may be made while recording, and is not recorded, is told when the cassette is written.
        """
        config = self.settings.config
        if (crossing is not None and crossing.is_live) or not config.block_network:
            return None
        if is_allowed(host, port, host_rules(config.allow_hosts)):
            return None
        if self._policy.records:
            self._unrecorded.setdefault(host, network.calling_library())
            return None
        return network.blocked(host, port, self.title)

    def instance_number(self, instance: object) -> int:
        """Return which of its class *instance* is, by the order of first calls, from 0."""
        with self._lock:
            known = self._instances.setdefault(type(instance), {})
            return known.setdefault(id(instance), (len(known), instance))[0]

    @property
    def redactor(self) -> Redactor:
        """What takes the secrets out of everything that this session keys or keeps."""
        redactor = self._redactor or self._made_redactor()
        known, environment = self._environment, _raw_environment()
        if known != environment:  # fixtures and tests set keys, too
            environment = dict(environment)
            changed = [each for each in environment.items() if known.get(each[0]) != each[1]]
            redactor.learn_environment({os.fsdecode(name): os.fsdecode(value) for name, value in changed if value})
            self._environment = environment  # only now: another thread would take it for learned
        return redactor

    # -- what happened

    @property
    def interactions(self) -> list[Interaction]:
        """The calls of this run, in order of their start, as they would stand in a cassette if it ended now.

        A stream that is still being read is among them; a function that runs for real and has not returned is not.
        They are copies: a test may take out what it does not compare.
        """
        return copy.deepcopy([each for each, _ in self.timeline])

    @property
    def timeline(self) -> list[tuple[Interaction, bool]]:
        """The interactions, each with whether it ran for real."""
        with self._lock:
            timeline = self._entries.timeline()
        return [(self._clean(each) if is_live else each, is_live) for each, is_live in timeline]

    @property
    def recorded(self) -> Cassette | None:
        """What was recorded when the session opened; None when there was nothing."""
        return self._found

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings this run did not use and should have."""
        if self.mode is Mode.ALL and not self.settings.frozen:
            return []
        tokens = self.settings.live
        return [
            each
            for each in self.engine.unplayed
            if not tokens & {each.kind, each.boundary, "*"} and "parent" not in each.metadata
        ]

    @property
    def meta(self) -> Mapping[str, JSON]:
        """The `meta` of the cassette that the session was opened with."""
        return self._found.meta if self._found is not None else {}

    @property
    def remaining(self) -> int:
        """How many recordings are not played yet."""
        return len(self.engine.unplayed)

    @property
    def live_calls(self) -> int:
        """How many calls ran for real."""
        return sum(entry.is_live for entry in self._entries)

    @property
    def calls_made(self) -> int:
        """How many calls the agent itself has begun; what the body of a live tool does is not among them."""
        return self._entries.by_agent

    @property
    def is_fresh(self) -> bool:
        """Whether there was no cassette when the session opened."""
        return self._found is None

    @property
    def can_execute(self) -> bool:
        """Whether any call of this session may run for real."""
        return self._policy.can_execute

    @property
    def seconds_to_load(self) -> float:
        """How long reading the cassette took."""
        return self._seconds_to_load

    @property
    def usage(self) -> TokenTotals:
        """The tokens of this run's LLM calls, replayed ones included."""
        return total_tokens(self.interactions)

    # -- the file

    def refuse_poison(self) -> None:
        """Raise for a recording that holds a failed call which the agent swallowed, or lacks one that was refused.

        Raises:
            RecordingRefusedError: A live call failed with 401, 403, 429, 5xx or a timeout, and no retry made it good;
                or a call could not be recorded, or not be replayed, and the agent went on.
        """
        __tracebackhide__ = True
        self._refuse_gaps()
        for entry in self._poisoned():
            assert entry.poison is not None
            assert entry.interaction is not None
            error = RecordingRefusedError(
                f"{entry.poison.text}, and the run went on as if nothing had happened; the recording is not kept\n"
                f"  call: {summary_line(replace(self._clean(entry.interaction), index=self._entries.index(entry)))}\n"
                "  if the failure is what the test is about, allow it: allow_errors=True "
                "(or the statuses, such as allow_errors=[429])"
            )
            raise error.with_traceback(entry.poison.traceback)

    def _refuse_gaps(self) -> None:
        refusal = self.verdict.first
        if refusal is None or not self._policy.records:
            return
        if isinstance(refusal, RecordingRefusedError):
            raise refusal
        raise RecordingRefusedError(
            f"a call was refused, and the run went on as if nothing had happened; the recording is not kept\n"
            f"  {refusal}"
        ) from refusal

    @property
    def is_poisoned(self) -> bool:
        """Whether `refuse_poison` would raise."""
        return bool(self._poisoned())

    def result(self, *, without_poison: bool = False) -> Cassette | None:
        """Return the cassette that this run leaves behind; None when the file stays as it is."""
        with self._lock:
            if self._is_untouched():
                return None
            kept = self._kept(self._poisoned() if without_poison else ())
        old = self._found if self.mode is Mode.NEW_EPISODES else None
        return Cassette(
            created_at=old.created_at if old else self._created_at,
            run_id=old.run_id if old else str(uuid.UUID(bytes=os.urandom(16), version=4)),
            meta={**(old.meta if old else {}), **self._meta()},
            interactions=[self._finished(each) for each in kept],
        )

    def _finished(self, interaction: Interaction) -> Interaction:
        clean = self._clean(interaction)
        return replace(clean, match_key=self._digest_of(clean.request))

    def _clean(self, interaction: Interaction) -> Interaction:
        """Take out what was learned to be a secret only after this call, and what is split over items of a stream."""
        stored = interaction.to_dict()
        clean = self.redactor.value(stored)
        return interaction if clean is stored else Interaction.from_dict(clean)

    def keep_order(self) -> None:
        """Let a refreshed cassette hold the calls in the order of this run, which was asserted on."""
        self._has_new_order = True

    def verify(self) -> None:
        """Make sure that what this run leaves behind can be written; nothing is.

        Raises:
            RecordingRefusedError: It cannot.
        """
        __tracebackhide__ = True
        cassette = self.result()
        if cassette is not None:
            writing.prepare(
                cassette,
                self.target(),
                format=self.settings.format,
                assets_threshold=self.settings.config.assets_threshold_bytes,
                scan=self.redactor.scan,
            )

    def target(self) -> Path:
        """Return the file that `commit` writes."""
        return paths.derived_path(self._file) if self._writes_derived() else self._file

    @property
    def _file(self) -> Path:
        """The path, in full where the agent has left the directory that a relative one starts from."""
        directory = self.settings.directory
        return self.path if directory in (Path(), _working_directory()) else directory / self.path

    def commit(self) -> bool:
        """Write what this run leaves behind; return whether a file changed.

        Raises:
            RecordingRefusedError: The recording cannot be written as it is; the old file is untouched.
        """
        cassette = self.result()
        has_changed = cassette is not None and writing.save(
            cassette,
            self.target(),
            format=self.settings.format,
            assets_threshold=self.settings.config.assets_threshold_bytes,
            scan=self.redactor.scan,
        )
        self._warn_of_unknown_tokens()
        for host, library in self._unrecorded.items():
            warnings.warn(AgentTapeWarning(f"{self.title}: {network.unrecorded(host, library)}"), stacklevel=2)
        return has_changed

    # -- below: how

    def _again(self) -> AbstractContextManager[object]:
        found = ownership.peek()
        is_inside = found is not None and getattr(found.owner, "settings", None) is self.settings
        return contextlib.nullcontext() if is_inside else Session(self.settings)

    def _reset(self) -> None:
        self._entries = Entries()
        self._process = os.getpid()
        self._instances: dict[type, dict[int, tuple[int, object]]] = {}
        self.verdict = Verdict(is_sticky=self.settings.is_sticky)
        self._found: Cassette | None = None
        self._lines: tuple[int, ...] = ()
        self._seconds_to_load = 0.0
        self._has_new_order = False
        self.phase = ""
        self.divergences: list[dict[str, JSON]] = []
        self._unrecorded: dict[str, str | None] = {}  # the hosts that replay will block, and the library that asked
        self._use(())

    def _use(self, recordings: Sequence[Interaction]) -> None:
        config, settings = self.settings.config, self.settings
        rules = KeyRules.of(tuple(config.ignore_volatile_fields))
        self._key_rules = rules
        specs = config.default_matchers if settings.matchers is None else settings.matchers
        chain = with_any_secret(parse_matchers(specs, rules), recordings)
        self.engine = Tape(recordings, (*chain, *imported.matchers(recordings, rules, selectors.defaults_of)))
        fresh = self._found is None
        self._policy = Policy(mode=self.mode, fresh=fresh, live=settings.live, frozen=settings.frozen)
        self._redactor: Redactor | None = None

    def _made_redactor(self) -> Redactor:
        """Read the environment, and number on from what stands in the cassette already."""
        with self._lock:
            if self._redactor is None:
                taken = map(repr, self.engine.recordings) if self._policy.records else ()
                self._environment = dict(_raw_environment())
                self._redactor = Redactor(self.settings.rules, os.environ, taken=taken)
            return self._redactor

    def _load(self) -> None:
        if self.settings.pending is not None:
            self._found = self.settings.pending.cassette
            self._use(self._found.interactions)
            return
        if self.mode is Mode.ALL and not self.settings.frozen:
            return
        before = clocks.perf_counter()
        try:
            found, self._lines = load_with_lines(self._file)
        except CassetteNotFoundError:
            return
        except AgentTapeError as error:
            if not self.settings.is_sticky:
                raise
            self.refuse(error)
            return
        if imported.is_imported(found.interactions):
            found = imported.redacted(found, self.redactor)
        self._found = found
        self._use(found.interactions)
        self._seconds_to_load = clocks.perf_counter() - before

    def _refuse_mistyped_frozen(self) -> None:
        if self._policy.can_execute:
            selectors.refuse_mistyped(self.settings.frozen, self._known_tokens(), "frozen")

    def _warn_of_unknown_tokens(self) -> None:
        known = self._known_tokens()
        for what, given in (("live", self.settings.live), ("frozen", self.settings.frozen)):
            for problem in selectors.problems(given, known, what):
                warnings.warn(AgentTapeWarning(f"{self.title}: {problem}"), stacklevel=3)

    def _known_tokens(self) -> frozenset[str]:
        recorded = (each.boundary for each in self.engine.recordings)
        return selectors.known_tokens([*recorded, *(entry.call.boundary for entry in self._entries)])

    def _require_cassette(self) -> None:
        if self._found is not None or self._policy.can_execute:
            return
        self.close()
        raise self._not_found()

    def _not_found(self) -> CassetteNotFoundError:
        mode = f"mode {str(self.mode)!r} runs nothing for real"
        why = "what is frozen is only replayed" if self._policy.records else mode
        return CassetteNotFoundError(
            f"there is no cassette at {self.path}, and {why}\n  record it: {self._command()}",
            path=self.path,
        )

    def _command(self) -> str:
        return self.settings.command or "open the cassette once with mode='all'"

    def _frozen_world(self) -> freezing.Freeze:
        features = self.settings.freeze
        state = None
        if self._found is not None and self.mode is not Mode.ALL:
            state = self._recorded_state(self._found)
            self._warn_of_drift(self._found)
        if state is None or not _covers(state, features):
            state = freezing.capture(
                features, freezing.real_utcnow().astimezone(), random.SystemRandom().getrandbits(32)
            )
        self._state = state
        self._opened = clocks.perf_counter()
        self._created_at = freezing.real_utcnow().isoformat()
        return freezing.Freeze(features, state, yields=self.settings.yields_random)

    def _recorded_state(self, found: Cassette) -> freezing.FrozenState:
        try:
            return freezing.FrozenState.from_dict(found.meta.get("freeze") or {})
        except CassetteCorruptError as error:
            raise CassetteCorruptError(error.problem, path=self.path) from None

    def _warn_of_drift(self, found: Cassette) -> None:
        for message in freezing.env_drift(found.meta.get("env") or {}, os.environ):
            warnings.warn(message, DeterminismDriftWarning, stacklevel=2)

    def _meta(self) -> dict[str, JSON]:
        meta: dict[str, JSON] = {}
        if self.settings.test is not None:
            meta["test"] = self.settings.test
        frozen = self._state.to_dict()
        if frozen:
            meta["freeze"] = frozen
        env = freezing.env_snapshot(self.settings.config.env_snapshot, os.environ)
        if env:
            meta["env"] = self.redactor.value(env)
        return meta

    def _begin_typed(self, call: Call, parent: Entry | None) -> Entry:
        """What somebody types at the debugger's prompt runs where the mode allows it, and is no part of the run."""
        if not self._policy.records:
            raise AgentTapeError(f"typed in the debugger: {self.title} is replayed, nothing real was run")
        return Entry(call, True, is_kept=False, parent=parent, started=clocks.perf_counter())

    def _decide(self, call: Call, parent: Entry | None, metadata: dict[str, JSON]) -> Entry:
        __tracebackhide__ = True
        if parent is not None and call.kind not in BOUNDARY_KINDS:
            return self._decide_inside(call, parent, metadata)
        decision = self._policy.decide(call, self.engine)
        if isinstance(decision, Replay):
            recorded, descendants = decision
            if not self.engine.is_keyed:
                self._note_divergence(call, recorded)
            return self._entries.add(Entry(call, False, interaction=recorded, descendants=descendants), parent)
        if isinstance(decision, Refuse):
            raise self.refuse(self._unmatched(call))
        return self._start(Entry(call, True, metadata=metadata), parent)

    def _decide_inside(self, call: Call, parent: Entry, metadata: dict[str, JSON]) -> Entry:
        """HTTP in the body of a live tool belongs to the tool: it runs with it, unless its own token forbids."""
        __tracebackhide__ = True
        if self._policy.may_run_inside(call):
            return self._start(Entry(call, True, is_kept=False, metadata=metadata), parent)
        found = self.engine.take(call)
        if found is None:
            raise self.refuse(self._unmatched(call))
        return self._entries.add(Entry(call, False, is_kept=False, interaction=found.recorded), parent)

    def _start(self, entry: Entry, parent: Entry | None) -> Entry:
        if entry.is_live and self._process != os.getpid():
            raise self.refuse(child_processes.refusal(f"a forked child of {self.title}"))
        entry.started = clocks.perf_counter()
        return self._entries.add(entry, parent)

    def _note_divergence(self, call: Call, recorded: Interaction) -> None:
        if self._digest_of(call.request) == self._digest_of(recorded.request):
            return
        self.divergences.append(
            {"index": recorded.index, "expected": dict(recorded.request), "actual": dict(call.request)}
        )

    def _unmatched(self, call: Call) -> AgentTapeError:
        if self._process != os.getpid():
            return child_processes.refusal(f"a forked child of {self.title}")
        self.divergences.append({"index": None, "expected": None, "actual": dict(call.request)})
        if self._found is None:
            return self._not_found()
        return explain(
            Interaction(index=len(self._entries), kind=call.kind, boundary=call.boundary, request=dict(call.request)),
            self.engine.recordings,
            played=self.engine.is_played,
            cassette_path=self.path,
            lines=self._lines,
            mode=str(self.mode),
            command=self._command(),
            same_key=self.engine.same_request(call),
            rules=imported.shown_rules(self.engine.recordings, self._key_rules),
            served=self._entries.served(),
            root=_working_directory(),
        )

    def _poisoned(self) -> list[Entry]:
        """Return the failed live calls that must not be kept: not allowed, and made good by no retry."""
        if not self._policy.can_execute:
            return []
        self._entries.settle()
        return self._entries.poisoned(self._allows, self._attempt_at)

    def _attempt_at(self, call: Call) -> tuple[str, str | None, str]:
        """Return what a call and its retries have in common; only the retry of a challenge carries credentials."""
        request, headers = call.request, call.request.get("headers")
        if isinstance(headers, dict):
            asked = {name: each for name, each in headers.items() if name.lower() not in _ANSWERS_TO_CHALLENGES}
            request = {**request, "headers": asked}
        return call.kind, call.boundary, self._digest_of(request)

    def _digest_of(self, request: Mapping[str, JSON]) -> str:
        return match_key(canonical_text(request, self._key_rules))

    def _allows(self, poison: Poison) -> bool:
        allowed = self.settings.allow_errors
        return allowed if isinstance(allowed, bool) else poison.code in allowed

    def _writes_derived(self) -> bool:
        return self.mode is Mode.NONE or (self.mode is Mode.ONCE and not self.is_fresh)

    def _is_untouched(self) -> bool:
        if not self._policy.can_execute:
            return True
        if self.mode is Mode.ALL or self.is_fresh:
            return False
        if self.mode is Mode.REFRESH:
            is_same = self.live_calls == 0 and not self.engine.unplayed and not self._has_new_order
            return is_same and self.settings.pending is None
        return self.live_calls == 0

    def _kept(self, without: Sequence[Entry]) -> list[Interaction]:
        if self.mode is not Mode.NEW_EPISODES or self._found is None:
            return [each for each, _ in self._entries.timeline(without=without)]
        old = list(self._found.interactions)
        new = self._entries.timeline(without=without, is_live_only=True, first=len(old))
        return [*old, *(each for each, _ in new)]


def active_session() -> Session | None:
    """Return the session that a call made here would belong to, or None."""
    found = ownership.peek()
    return found.owner if found is not None and isinstance(found.owner, Session) else None


def _guard(host: str, port: int | None) -> None:
    """Ask whoever the connecting code belongs to; raising keeps the connection from being made."""
    found = ownership.current()
    if found is None:
        return
    error = found.owner.blocks(host, port, found.crossing)
    if error is not None:
        raise found.owner.refuse(error)


def _is_typed() -> bool:
    """Say whether the running code was typed at a prompt, rather than stepped through."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "onecmd" and frame.f_globals.get("__name__") == "cmd":
            return True
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return False


def _raw_environment() -> Mapping[Any, Any]:
    """Return the variables as CPython 3.11-3.14 keeps them: compared at each call, and decoding them costs more."""
    environment: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return environment


def _working_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # the agent has removed it
        return Path()


def _covers(state: freezing.FrozenState, features: frozenset[str]) -> bool:
    needs_seed = bool(features & {"uuid", "random"})
    return not ("clock" in features and state.clock is None) and not (needs_seed and state.seed is None)
