"""What a session starts from: the cassette, its recordings as a tape, and what the mode does with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from pytest_agenttape import clocks, downloads, telemetry, values
from pytest_agenttape.bodies.messages import header, listed
from pytest_agenttape.boundaries.registry import defaults_of, registered_boundaries, registered_labels
from pytest_agenttape.cassettes import imported
from pytest_agenttape.cassettes.cassette import Cassette, load_with_lines
from pytest_agenttape.cassettes.imported.redacting import redacted
from pytest_agenttape.errors import AgentTapeError, CassetteNotFoundError
from pytest_agenttape.matching.canonical import KeyRules, canonical_text, match_key
from pytest_agenttape.matching.completion import Completion
from pytest_agenttape.matching.matchers import by_rules_of_today, parse_matchers, with_any_secret
from pytest_agenttape.matching.policy import Decision, Execute, Policy, replays_only
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.matching.tape import Tape
from pytest_agenttape.model import JSON, SECRET_PLACEHOLDER, Call, Interaction
from pytest_agenttape.ownership.turns import Turns
from pytest_agenttape.process.garbage import uncollected
from pytest_agenttape.providers.keys import Names, key_names
from pytest_agenttape.redaction import Redactor
from pytest_agenttape.redaction.look_alikes import by_shape, shapes_of
from pytest_agenttape.session.settings import Settings
from pytest_agenttape.settings import selectors
from pytest_agenttape.settings.options import key_rules
from pytest_agenttape.telemetry import Telemetry

_HTTP_KINDS = ("llm", "http")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The cassette as it was when the session opened.

    Attributes:
        cassette: What was recorded; None if there was nothing.
        tape: The recordings that calls are answered from.
        policy: What the mode does with them.
        rules: What is ignored when requests are compared.
        telemetry: What is answered without a recording.
        turns: In which order answers are due.
        beside: The recordings of further cassettes, which answer first.
        shapes: What secrets looked like, by their placeholders; of further cassettes by recording.
        lines: The line of the file on which each recording starts.
        former: The recordings that a test without a cassette may have had under another name.
        seconds_to_load: How much of the processor's time reading the file took: waiting for it is not its fault.
    """

    cassette: Cassette | None
    tape: Tape
    policy: Policy
    rules: KeyRules
    telemetry: Telemetry
    turns: Turns
    beside: tuple[Tape, ...] = ()
    shapes: Mapping[int | None, Mapping[str, str]] = field(default_factory=dict)
    lines: tuple[int, ...] = ()
    former: Sequence[Interaction] = ()
    seconds_to_load: float = 0.0

    @classmethod
    def of(cls, settings: Settings, cassette: Cassette | None, lines: tuple[int, ...] = ()) -> Loaded:
        """Prepare *cassette* for a session with *settings*."""
        recordings = cassette.interactions if cassette is not None else []
        rules = key_rules(settings.config).fitted_to((each.request for each in recordings), _meta_of(cassette))
        answered = Telemetry.of(settings.config.telemetry_hosts, settings.config.ignore_hosts)
        policy = _policy(settings, fresh=cassette is None)
        turns = Turns(filter(policy.is_missed, recordings))
        tape = _tape(settings, recordings, rules)
        shapes: dict[int | None, Mapping[str, str]] = {None: shapes_of(_meta_of(cassette))}
        return cls(cassette, tape, policy, rules, answered, turns, shapes=shapes, lines=lines)

    def decide(self, call: Call) -> Decision:
        """Return what *call* gets; serving a recording marks it played."""
        if self.beside and not self.policy.live.covers(call):
            found = next(filter(None, (tape.take(call) for tape in self.beside)), None)
            if found is not None and self.policy.starts_over and not self.policy.frozen.covers(call):
                return Execute(is_kept=False)  # a stand-in for a secret in its recording is of no use to live calls
            if found is not None:
                return found._replace(is_kept=False, agrees=True, is_repeat=True)  # no part of the test's own recording
        return self.policy.decide(call, self.tape)

    def peek(self, call: Call) -> Interaction | None:
        """Return the recording that would answer *call*, and leave it unplayed."""
        return next(filter(None, (tape.peek(call) for tape in (*self.beside, self.tape))), None)

    @property
    def meta(self) -> Mapping[str, JSON]:
        """The `meta` of the cassette."""
        return _meta_of(self.cassette)

    def looks_of(self, recorded: Interaction) -> Mapping[str, str]:
        """Return what the secrets of the cassette looked like that *recorded* is from."""
        own = self.shapes.get(None, {})
        return own if len(self.shapes) < 2 else self.shapes.get(id(recorded.request), own)

    @property
    def frozen(self) -> Cassette | None:
        """The cassette whose clock and seed the run takes over, if any."""
        return self.cassette if self.policy.keeps_frozen_world else None

    @property
    def needless_keys(self) -> Iterable[Names]:
        """The variables for the keys of all calls that are answered by a recording or not at all."""
        recordings = (each for each in self.former or self.tape.recordings if each.kind in _HTTP_KINDS)
        replayed = (each for each in recordings if each.parent is None and self.policy.answers(each))
        asked = {(each.boundary, str(each.request.get("url", ""))) for each in replayed}  # many calls ask one service
        return {key_names(boundary, url) for boundary, url in asked}

    @property
    def texts(self) -> Iterable[str]:
        """The existing recordings as text, so that new placeholders continue their numbering; empty in pure replay."""
        return map(repr, self.tape.recordings) if self.policy.records else ()

    @property
    def unplayed(self) -> list[Interaction]:
        """The recordings that the run should have used but did not."""
        return [each for each in self.tape.unplayed if self._is_missed(each) and not self._is_no_drift(each)]

    def _is_missed(self, recorded: Interaction) -> bool:
        """Return whether the run should have used *recorded*; its own, or as a part of a call that is live."""
        if recorded.parent is None or not self.policy.live:
            return self.policy.is_missed(recorded)
        above = next((each for each in self.tape.recordings if each.index == recorded.parent), None)
        is_of_live = above is not None and self.policy.live.covers(above)
        return is_of_live and self.policy.reads_cassette and not self.policy.live.covers(recorded)

    def _is_no_drift(self, recorded: Interaction) -> bool:
        """Return whether a run may leave *recorded* out.

        It is telemetry, once recorded and now answered without a recording, or a file that its library has kept.
        """
        request = recorded.request
        method, url, headers = (request.get(name) for name in ("method", "url", "headers"))
        content_type = header(listed(headers), "content-type") if isinstance(headers, Mapping) else None
        return recorded.kind == "http" and (
            self.telemetry.covers(str(method), str(url), content_type or "") or downloads.is_kept(str(method), str(url))
        )

    def answers(self, method: str, url: str, content_type: str | None, *, is_late: bool) -> bool:
        """Return whether a request is telemetry; where an older cassette holds what it reads, it is replayed."""
        if not self.telemetry.covers(method, url, content_type):
            return False
        is_replayed = telemetry.is_lookup(method, url) and not is_late
        return not (is_replayed and any(each.request.get("url") == url for each in self.tape.unplayed))

    def digest_of(self, request: Mapping[str, JSON]) -> str:
        """Return a digest of *request*; two requests with the same digest are the same call."""
        return match_key(canonical_text(request, self.rules))

    def are_same(self, one: JSON, other: JSON) -> bool:
        """Return whether two values without secrets are equal but for which secrets were in them."""
        rules = KeyRules(placeholders=self.rules.placeholders)
        return canonical_text({"value": one}, rules) == canonical_text({"value": other}, rules)

    def known_tokens(self, called: Iterable[str | None]) -> frozenset[str]:
        """Return every name that a token can have; *called* are those of the calls of the run."""
        recorded = (name for each in self.tape.recordings for name in (each.boundary, each.label))
        return selectors.known_tokens([*registered_boundaries(), *registered_labels(), *recorded, *called])

    def refuse_unknown(self, frozen: frozenset[str]) -> None:
        """Stop before anything that was meant to be frozen runs for real.

        Raises:
            ConfigError: A token names nothing that is known.
        """
        if frozen and self.policy.can_execute:
            hosts = {each for each in frozen if any(map(Selection.of({each}).covers, self.tape.recordings))}
            selectors.refuse_unknown(frozen - hosts, self.known_tokens(()), "frozen")


def _meta_of(cassette: Cassette | None) -> Mapping[str, JSON]:
    return {"redacted": []} if cassette is None else cassette.meta


def load(settings: Settings) -> tuple[Loaded, AgentTapeError | None]:
    """Return what was recorded; for a test whose file cannot be read, also the problem, which becomes its verdict.

    Raises:
        AgentTapeError: The file of a block cannot be read as a cassette.
    """
    try:
        with uncollected():
            loaded = _read(settings)
            return (_with_others(settings, loaded) if settings.also else loaded), None
    except AgentTapeError as problem:
        if not settings.is_sticky:
            raise
        return Loaded.of(settings, None), problem


def _read(settings: Settings) -> Loaded:
    if settings.pending is not None:
        return Loaded.of(settings, settings.pending.cassette)
    if not _policy(settings, fresh=True).reads_cassette:
        return Loaded.of(settings, None)
    before = clocks.process_time()
    try:
        cassette, lines = _from_file(settings.file, settings)
    except CassetteNotFoundError:
        return replace(Loaded.of(settings, None), former=_former(settings))
    loaded = Loaded.of(settings, cassette, lines)
    return replace(loaded, seconds_to_load=clocks.process_time() - before)


def _former(settings: Settings) -> Sequence[Interaction]:
    """Return what a test that is only replayed has most likely recorded under another name."""
    likely = settings.elsewhere.likely() if settings.elsewhere else None
    if likely is not None and replays_only(settings.mode, has_cassette=False):
        with suppress(AgentTapeError):
            return Cassette.load(likely).interactions
    return ()


def _from_file(path: Path, settings: Settings) -> tuple[Cassette, tuple[int, ...]]:
    cassette, lines = load_with_lines(path)
    if imported.is_imported(cassette.interactions):
        redactor = Redactor(settings.rules, os.environ)
        cassette = redacted(cassette, redactor)
        looks = {f"{SECRET_PLACEHOLDER}{number}": shape for number, shape in redactor.shapes().items()}
        cassette = replace(cassette, meta={**cassette.meta, "shapes": by_shape(looks)})
    return cassette, lines


def _with_others(settings: Settings, loaded: Loaded) -> Loaded:
    """Return *loaded* with the further cassettes; what stands for a secret in them does so for the session.

    Raises:
        CassetteNotFoundError: There is no such cassette.
    """
    own, tapes, shapes = loaded.rules, [], dict(loaded.shapes)
    for path in settings.also:
        try:
            cassette, _ = _from_file(path, settings)
        except CassetteNotFoundError:
            raise CassetteNotFoundError(
                f"there is no cassette at {path}, which the marker names with also=[...]; record it first, in a test "
                "or a block of its own",
                path=path,
            ) from None
        rules = key_rules(settings.config).fitted_to((each.request for each in cassette.interactions), cassette.meta)
        tapes.append(_tape(settings, cassette.interactions, rules))
        if own.placeholders is not None:
            own.placeholders.update(rules.placeholders or ())
        shapes |= dict.fromkeys((id(each.request) for each in cassette.interactions), shapes_of(cassette.meta))
    return replace(loaded, beside=tuple(tapes), shapes=shapes)


def _policy(settings: Settings, *, fresh: bool) -> Policy:
    return Policy(settings.mode, fresh, live=Selection.of(settings.live), frozen=Selection.of(settings.frozen))


def _tape(settings: Settings, recordings: Sequence[Interaction], rules: KeyRules) -> Tape:
    specs = settings.config.default_matchers if settings.matchers is None else settings.matchers
    completion = Completion(recordings, _stored_defaults_of)
    chain = parse_matchers(specs, rules)
    older = by_rules_of_today(chain, _redaction(settings, rules))
    chain = with_any_secret(chain, completion.requests)
    matchers = (*chain, *imported.matchers(recordings, rules, defaults_of), *older)
    return Tape(recordings, matchers, rules, completion, settings.repeated)


def _stored_defaults_of(boundary: str | None) -> dict[str, JSON]:
    """Return the defaults of the arguments of *boundary* in stored form, without those that cannot be recorded."""
    stored = {}
    for name, default in defaults_of(boundary).items():
        with suppress(AgentTapeError):
            stored[name] = values.encode(default)
    return stored


def _redaction(settings: Settings, rules: KeyRules) -> Callable[[dict[str, JSON]], dict[str, JSON]]:
    @cache  # at the first miss
    def redactor() -> Redactor:
        return Redactor(settings.rules, os.environ, issued=rules.placeholders)

    return lambda request: redactor().request(request)
