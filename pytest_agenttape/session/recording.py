"""Turns the calls of a run into the cassette that it leaves behind, and writes it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pytest_agenttape.cassettes import paths, writing
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.numbering import renamed
from pytest_agenttape.errors import AgentTapeError, RecordingRefusedError
from pytest_agenttape.model import JSON, Interaction
from pytest_agenttape.ownership.calls import Live, Poison
from pytest_agenttape.reading.one_line import visible
from pytest_agenttape.reading.summary import summary_line
from pytest_agenttape.session.appending import appended_to, one_at_a_time
from pytest_agenttape.session.aside import has_outdated, laid_aside
from pytest_agenttape.session.before_recording import without_headers
from pytest_agenttape.session.connections import Connections
from pytest_agenttape.session.frozen_world import FrozenWorld
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.missing_keys import refuse_lost_for_a_key
from pytest_agenttape.session.placeholders import Listing
from pytest_agenttape.session.poison import poisoned
from pytest_agenttape.session.run import Placed, Run
from pytest_agenttape.session.secrets import Secrets
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.session.telling_facts import TELLING, with_needed_facts
from pytest_agenttape.session.tokens import warn_of_unknown_tokens
from pytest_agenttape.session.verdict import Verdict

_WIDTH = 200  # of what a provider says about a failure


class Recording:
    """What comes out of a run: a timeline to look at, and a cassette to write."""

    def __init__(
        self,
        settings: Settings,
        loaded: Loaded,
        run: Run,
        secrets: Secrets,
        world: FrozenWorld,
        verdict: Verdict,
        connections: Connections,
    ) -> None:
        self._settings = settings
        self._loaded = loaded
        self._policy = loaded.policy
        self._run = run
        self._secrets = secrets
        self._world = world
        self._verdict = verdict
        self._left_open: AgentTapeError | None = None
        self._connections = connections
        self._has_new_order = False
        self._finished: dict[tuple[object, ...], tuple[Interaction, Interaction]] = {}
        self._listing = Listing(loaded, secrets)
        self._secrets_known = 0  # when these were redacted
        self._prepared: tuple[int, writing.Prepared] | None = None  # and how many secrets were known then

    @cached_property
    def run_id(self) -> str:
        """A number of its own for each run."""
        return str(uuid.UUID(bytes=os.urandom(16), version=4))

    # -- what happened

    @property
    def timeline(self) -> list[tuple[Interaction, bool]]:
        """The interactions as they would be recorded if the run ended now, each with whether it ran for real."""
        with self._run.lock:
            return [(self._interaction(each), each.is_live) for each in self._run.laid_out()]

    def keep_order(self) -> None:
        """Make a refreshed cassette keep the calls in the order of this run, because a test asserted on it."""
        self._has_new_order = True

    # -- what must not be kept

    def refuse_poison(self) -> None:
        """Raise if the recording contains a failed call that the agent swallowed, or lacks a call that was refused.

        Raises:
            RecordingRefusedError: A live call failed for its key, the account or the provider (`session.poison`), and
                no retry succeeded; or a call could not be recorded or replayed, and the agent went on; or a connection
                was made that nothing records.
        """
        __tracebackhide__ = True
        problem = self.problem
        if problem is not None:
            raise problem

    @property
    def problem(self) -> RecordingRefusedError | None:
        """The error for a recording that must not be kept; None if it may be."""
        return self._missing() or self._swallowed()

    @property
    def gap(self) -> RecordingRefusedError | None:
        """The error for a recording that lacks what was done over a connection that nothing records."""
        return self._connections.gap

    def _missing(self) -> RecordingRefusedError | None:
        """Return the error for a recording that lacks what the agent did."""
        refusal = self._verdict.first
        if not self._policy.records:
            return None
        if refusal is None or isinstance(refusal, RecordingRefusedError):
            return refusal or self.gap or (RecordingRefusedError(self._run.lost) if self._run.lost else None)
        error = RecordingRefusedError(
            f"a call was refused, and the run went on as if nothing had happened; the recording is not kept\n"
            f"  {refusal}"
        )
        error.__cause__ = refusal
        return error

    def _swallowed(self) -> RecordingRefusedError | None:
        """Return the error for a recording of a failure that the agent ignored."""
        call, poison = next(iter(self._poisoned()), (None, None))
        if call is None or poison is None or call.interaction is None:
            return None
        shown = self._numbered(Placed(call.interaction, self._run.index(call), None, is_live=True))
        error = RecordingRefusedError(
            f"{poison.text}, and the run went on as if nothing had happened; the recording is not kept\n"
            f"  call: {summary_line(shown)}\n"
            + (f"  answer: {visible(self._secrets.redactor.text(poison.said), _WIDTH)}\n" if poison.said else "")
            + f"  {poison.way_out}"
        )
        return error.with_traceback(poison.traceback)

    def settle(self) -> None:
        """End what the agent left unread or open."""
        self._run.settle()
        if self._verdict.first is None:
            self._left_open = self._run.judge_left_open()

    def _poisoned(self) -> list[tuple[Live, Poison]]:
        if not self._policy.can_execute:
            return []
        self._run.settle()
        return poisoned(self._run, self._settings.allow_errors, self._loaded.digest_of)

    # -- the file

    def result(self) -> Cassette | None:
        """Return the cassette that this run leaves behind; None if the file should stay as it is."""
        with self._run.lock:
            if self._is_untouched(by=self._has_new_order or self._settings.pending is not None):
                return None
            old = appended_to(self._settings, self._loaded)
            cassette = self._cassette_of(self._kept(old), old)
        # a run that makes no call needs no cassette
        return cassette if cassette.interactions or self.target().exists() else None

    def aside(self) -> Cassette | None:
        """Return what the next refresh replays if the recording is not kept; None if it needs nothing of this run."""
        self._run.settle()
        with self._run.lock:
            laid = laid_aside(self._run, self._loaded)
            if not (has_outdated(self._run) or any(each.is_live for each in laid)):
                return None
            return self._cassette_of(laid, self._loaded.cassette if self._policy.keeps_old else None)

    def target(self) -> Path:
        """Return the path of the file that `commit` writes."""
        file = self._settings.file
        return paths.derived_path(file) if self._policy.writes_derived else file

    def verify(self) -> None:
        """Make sure that the recording can be written, without writing it.

        Raises:
            RecordingRefusedError: It cannot be written.
        """
        __tracebackhide__ = True
        self._prepare()

    def commit(self) -> bool:
        """Write what this run leaves behind; return whether a file changed.

        Raises:
            AgentTapeError: A replayed conversation was left open too early.
            RecordingRefusedError: The recording must not be kept, or cannot be written; the old file is untouched.
        """
        __tracebackhide__ = True
        if self._left_open is not None:
            raise self._left_open
        self.refuse_poison()
        former = self._settings.former
        if former is not None and self._is_untouched(by=self._has_new_order):
            writing.move(former, self.target())
            return True
        with one_at_a_time(self._settings):
            prepared = self._prepare()
            has_changed = prepared is not None and self._write(prepared)
        if former is not None and self._run.served():
            writing.remove(former)
        warn_of_unknown_tokens(self._settings, self._loaded, self._run)
        return has_changed

    # -- below: how

    def _write(self, prepared: writing.Prepared) -> bool:
        has_new_seed = not self._policy.keeps_frozen_world and bool(self._world.freeze.has_drawn)
        return writing.commit(prepared, max_age=self._settings.config.max_age, is_of_its_world=has_new_seed)

    def _cassette_of(self, placed: Sequence[Placed], old: Cassette | None) -> Cassette:
        interactions = with_needed_facts([self._interaction(each, for_file=True) for each in placed], self._finished)
        before = old.meta if old else {}
        return Cassette(
            created_at=old.created_at if old else self._world.created_at,
            run_id=old.run_id if old else self.run_id,
            meta={
                **{name: each for name, each in before.items() if name != "shapes"},
                **self._meta(),
                **self._secrets.redactor.value(_tags(before.get("tags"), self._settings.tags)),
                **self._listing.of(interactions, before),
            },
            interactions=interactions,
        )

    def _prepare(self) -> writing.Prepared | None:
        """Return the checked file; the previous one, if nothing was added and no secret was learned since."""
        cassette = self.result()
        if cassette is None:
            return None
        target, known = self.target(), self._secrets.redactor.secrets_known
        if self._prepared is not None:
            known_then, prepared = self._prepared
            if known_then == known and prepared.is_of(cassette, target):
                return prepared
        if not self._policy.keeps_frozen_world:  # else keys that are not set have stand-ins
            refuse_lost_for_a_key(cassette, target)
        prepared = writing.prepare(
            cassette,
            target,
            format=self._settings.format,
            assets_threshold=self._settings.config.assets_threshold_bytes,
            scan=self._secrets.redactor.scan,
            keeps_numbers=True,
        )
        self._prepared = known, prepared
        return prepared

    def _is_untouched(self, *, by: bool) -> bool:
        return self._policy.leaves_untouched(
            live_calls=self._run.live_calls, is_all_played=not self._loaded.tape.unplayed, has_news=by
        )

    def _kept(self, old: Cassette | None) -> list[Placed]:
        if old is None:
            return self._run.laid_out()
        new = self._run.laid_out(is_live_only=True, first=len(old.interactions))
        # Another session has appended since: its secrets are others, under numbers of ours.
        moved = self._secrets.redactor.make_way(_listed(old) - _listed(self._loaded.cassette))
        if moved:
            new = [each._replace(outcome=renamed(each.outcome, moved)) for each in new]
        return [*(Placed(each, each.index, each.parent, is_live=False) for each in old.interactions), *new]

    def _interaction(self, placed: Placed, *, for_file: bool = False) -> Interaction:
        """Return a call as it is shown and recorded; cached until another secret becomes known."""
        if not (for_file or placed.is_live):  # as most are when a test is replayed: nothing to search
            return self._numbered(placed)
        known = self._secrets.redactor.secrets_known
        if known != self._secrets_known:
            self._finished.clear()
            self._secrets_known = known
        key = (id(placed.outcome), placed.number, placed.parent, placed.is_live, for_file, placed.start_ms)
        if key in self._finished:
            return self._finished[key][1]
        if for_file:  # for the file: what was recorded before may hold what is known to be a secret today
            clean = self._interaction(placed if placed.is_live else placed._replace(is_live=True))
            made = without_headers(clean, self._settings.config.drop_headers)
            facts = placed.outcome.metadata
            made = replace(made, metadata={**made.metadata, **{each: facts[each] for each in TELLING if each in facts}})
        else:
            made = self._numbered(placed)
            made = replace(made, match_key=self._loaded.digest_of(made.request))
        if placed.is_over:
            self._finished[key] = placed.outcome, made  # keeps the outcome alive, or its id could be reused
        return made

    def _numbered(self, placed: Placed) -> Interaction:
        """Return a call numbered by its place, without the secrets that became known only after it."""
        found = self._secrets.redactor.interaction(placed.outcome) if placed.is_live else placed.outcome
        metadata = {key: value for key, value in found.metadata.items() if key not in ("parent", *TELLING)}
        if placed.parent is not None:
            metadata["parent"] = placed.parent
        if placed.start_ms is not None:
            metadata["start_ms"] = placed.start_ms
        if placed.number == found.index and metadata == found.metadata:  # in its place, as most replayed calls are
            return found
        return replace(found, index=placed.number, metadata=metadata)

    def _meta(self) -> dict[str, JSON]:
        meta: dict[str, JSON] = {} if self._settings.test is None else {"test": self._settings.test}
        meta |= self._world.meta()
        if "env" in meta:
            meta["env"] = self._secrets.redactor.value(meta["env"])
        return meta


def _listed(cassette: Cassette | None) -> set[str]:
    return set() if cassette is None else set(map(str, cassette.meta.get("redacted") or ()))


def _tags(before: JSON, added: Sequence[str]) -> dict[str, JSON]:
    """Return the tags of a session as a part of `meta`, after those that stood there *before*."""
    tags = list(dict.fromkeys((*(before if isinstance(before, list) else ()), *added)))
    return {"tags": tags} if tags else {}
