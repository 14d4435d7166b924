"""Checks whether a run made its calls in the order of its cassette."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_agenttape.matching.call_tree import in_call_order
from pytest_agenttape.model import Interaction
from pytest_agenttape.reading.comparable import without_repeats
from pytest_agenttape.reading.diff import diff_interactions
from pytest_agenttape.session.session import Session


def order_drift(session: Session) -> str | None:
    """Return how the order of the calls differs from that of the cassette; None if it does not or is allowed to."""
    policy = session.loaded.policy
    if not policy.order_matters:
        return None
    recorded = list(filter(session.loaded.tape.is_played, _replayable(session, session.loaded.tape.recordings)))
    made = _replayable(session, session.interactions)
    if list(map(_identity, recorded)) == list(map(_identity, made)):
        return None
    if policy.refreshes:
        session.recording.keep_order()
        return None
    diff = diff_interactions(recorded, made)
    return f"the calls were made in a different order than in {session.path.name}\n{diff.render()}"


def _replayable(session: Session, interactions: Sequence[Interaction]) -> list[Interaction]:
    live = session.loaded.policy.live
    kept = [each for each in in_call_order(interactions) if not live.covers(each) and not each.is_made_up]
    return without_repeats(kept, session.settings.repeated, _identity)


def _identity(interaction: Interaction) -> tuple[str, str | None, Mapping[str, object]]:
    return interaction.kind, interaction.boundary, interaction.request
