"""The clock, UUIDs and random numbers that a session runs with, and how the cassette keeps them."""

from __future__ import annotations

import os
import random
import warnings
from typing import Any

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import CassetteCorruptError, DeterminismDriftWarning
from pytest_agenttape.model import JSON
from pytest_agenttape.process import freeze
from pytest_agenttape.session.settings import Settings


class FrozenWorld:
    """What is pinned while a session is open.

    Attributes:
        created_at: When the session opened, as an ISO 8601 time in UTC.
        freeze: Pins it; calls report progress to it, and it can restart the random numbers.

    Args:
        settings: What the session is opened with.
        recorded: The cassette whose clock and seed are taken over; None for new ones.
    """

    def __init__(self, settings: Settings, recorded: Cassette | None) -> None:
        self._settings = settings
        self._recorded = recorded
        self._state = freeze.FrozenState()
        self.freeze = freeze.Freeze(frozenset(), self._state)
        self.created_at = ""

    def enter(self) -> None:
        """Pin the clock, UUIDs and random numbers.

        Raises:
            CassetteCorruptError: The frozen state in the cassette cannot be read.
        """
        features = self._settings.freeze
        state = None if self._recorded is None else _recorded_state(self._settings, self._recorded)
        if state is None or not _covers(state, features):
            now, seed = freeze.real_utcnow().astimezone(), random.SystemRandom().getrandbits(32)
            state = freeze.capture(features, now, seed)
        self._state = state
        self.created_at = freeze.real_utcnow().isoformat()
        self.freeze = freeze.Freeze(features, state, yields=self._settings.yields_random)
        self.freeze.__enter__()

    def leave(self) -> None:
        """Restore what was there before."""
        self.freeze.__exit__(None, None, None)

    def meta(self) -> dict[str, Any]:
        """Return the metadata that a cassette keeps: ``freeze`` and ``env``, not yet redacted."""
        meta: dict[str, JSON] = {}
        frozen = self._state.to_dict()
        if frozen:
            meta["freeze"] = frozen
        env = freeze.env_snapshot(self._settings.config.env_snapshot, os.environ)
        if env:
            meta["env"] = env
        return meta


def _recorded_state(settings: Settings, recorded: Cassette) -> freeze.FrozenState:
    try:
        state = freeze.FrozenState.from_dict(recorded.meta.get("freeze") or {})
    except CassetteCorruptError as error:
        raise CassetteCorruptError(error.problem, path=settings.path) from None
    for message in freeze.env_drift(recorded.meta.get("env") or {}, os.environ):
        warnings.warn(message, DeterminismDriftWarning, stacklevel=2)
    return state


def _covers(state: freeze.FrozenState, features: frozenset[str]) -> bool:
    needs_seed = bool(features & {"uuid", "random"})
    return not ("clock" in features and state.clock is None) and not (needs_seed and state.seed is None)
