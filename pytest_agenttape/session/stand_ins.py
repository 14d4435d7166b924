"""What replayed calls handed out in place of secrets, which nobody but a replay can make anything of."""

from __future__ import annotations

from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.model import JSON, Call, Interaction
from pytest_agenttape.ownership.calls import Served
from pytest_agenttape.process.stand_in_keys import VALUE
from pytest_agenttape.providers.keys import key_names
from pytest_agenttape.reading.delivery import without_cookies_of_networks
from pytest_agenttape.reading.summary import asked_line
from pytest_agenttape.redaction.handed_out import HandedOut
from pytest_agenttape.redaction.look_alikes import marked_in
from pytest_agenttape.session.loaded import Loaded
from pytest_agenttape.session.run import Run
from pytest_agenttape.session.secrets import Secrets
from pytest_agenttape.session.settings import Settings


class StandIns:
    """Keeps what stands for a secret from being sent; callers must hold the run's lock."""

    def __init__(self, settings: Settings, loaded: Loaded, run: Run, secrets: Secrets) -> None:
        self._settings = settings
        self._loaded = loaded
        self._run = run
        self._secrets = secrets
        self._seen = 0  # how many calls of the run were looked at
        self._handed_out: HandedOut[Served | None] = HandedOut()
        if loaded.policy.can_execute and loaded.needless_keys:
            self._handed_out.note(VALUE, None)

    def given(self, recorded: Interaction) -> Interaction:
        """Return *recorded* as the agent gets it: with secrets made up that look like those that were taken out."""
        looks = self._loaded.looks_of(recorded)
        return self._secrets.redactor.dressed(recorded, looks) if looks else recorded

    def refusal(self, call: Call, sent: JSON) -> RecordingRefusedError | None:
        """Return the error for a live *call* if what is *sent* holds what a replayed call handed out.

        The call that handed it out is no longer an answer: the next refresh makes it again.
        """
        found = self.found_in(sent)
        if found is None:
            return self._not_ours(call, sent)
        stand_in, giver = found
        asked = asked_line(call)
        if giver is None:
            return _needs_key(call, f"{asked} would send a stand-in for a key that is not set")
        giver.is_outdated = True
        return RecordingRefusedError(
            f"{asked} would send {stand_in}, which stands for a secret; nothing was sent\n"
            f"  it was handed out by a call that was replayed: {asked_line(giver.recorded)}\n"
            f"  {self._way_out(giver.recorded)}"
        )

    def found_in(self, sent: JSON) -> tuple[str, Served | None] | None:
        """Return what stands for a secret in *sent*, and the call that handed it out; None if nothing does."""
        self._look()
        redactor = self._secrets.redactor
        found = self._handed_out.find(sent)
        if found is None and self._handed_out:  # in what redaction decodes it may stand, too
            found = self._handed_out.find(redactor.request(sent) if isinstance(sent, dict) else redactor.value(sent))
        return None if found is None else (redactor.stands_for(found[0]), found[1])

    def _not_ours(self, call: Call, sent: JSON) -> RecordingRefusedError | None:
        """Return the error for a live *call* that would send what a replay of another cassette handed out."""
        stand_in = marked_in(repr(sent))
        if stand_in is None:
            return None
        return RecordingRefusedError(
            f"{asked_line(call)} would send {stand_in}, which stands for a secret; nothing was sent\n"
            "  it was handed out by a call that was replayed from another cassette: record that again, too"
        )

    def _look(self) -> None:
        """See what the calls that were answered since the last look have handed out."""
        for each in self._run.since(self._seen):
            if isinstance(each, Served):
                for given in (each.recorded,) if each.recorded is each.outcome else (each.outcome, each.recorded):
                    answer = repr([without_cookies_of_networks(given.response), given.error, given.metadata])
                    for stand_in in self._secrets.redactor.stand_ins_in(answer, self._loaded.rules.placeholders):
                        self._handed_out.note(stand_in, each)
        self._seen = len(self._run)

    def _way_out(self, giver: Interaction) -> str:
        policy, name = self._loaded.policy, giver.boundary or giver.kind
        if policy.frozen.covers(giver):
            return f"{name!r} is frozen: it has to run for real as well, or neither may"
        if policy.writes_derived:
            tokens = ", ".join(map(repr, sorted({*self._settings.live, name})))
            return f"let it run for real as well: live={{{tokens}}}"
        if self._settings.is_sticky:
            run = "once more in the same way" if policy.refreshes else "with --snapshot-update"
            return f"run it {run}, which then makes that call again, too; or {self._settings.advice}"
        return f"record it again: {self._settings.advice}"


def _needs_key(call: Call, problem: str) -> RecordingRefusedError:
    name = " or ".join(key_names(call.boundary, str(call.request.get("url", ""))))
    error = RecordingRefusedError(
        f"{problem}; nothing was sent\n"
        f"  it is live, so it needs the key: set {name or 'its variable in the environment'}"
    )
    error.cause = f"{name or 'its key'} is not set, and a live call needs it"
    return error
