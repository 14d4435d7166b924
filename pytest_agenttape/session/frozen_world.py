"""The clock, UUIDs, random numbers and keys that a session runs with, and how the cassette keeps them."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from typing import Any

from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.decoded import optional
from pytest_agenttape.errors import CassetteCorruptError, DeterminismDriftWarning
from pytest_agenttape.model import JSON
from pytest_agenttape.process import freeze
from pytest_agenttape.process.stand_in_keys import StandInKeys
from pytest_agenttape.process.user_stack import warn
from pytest_agenttape.session.settings import Settings


class FrozenWorld:
    """What is pinned while a session is open.

    Attributes:
        created_at: When the session opened, as an ISO 8601 time in UTC.
        freeze: Pins it; calls report progress to it, and it can restart the random numbers.

    Args:
        settings: What the session is opened with.
        recorded: The cassette whose clock and seed are taken over; None for new ones.
        keys: For each key that replayed calls do not need, but their SDKs do, the variables that hold it.
    """

    def __init__(self, settings: Settings, recorded: Cassette | None, keys: Iterable[tuple[str, ...]] = ()) -> None:
        self._settings = settings
        self._recorded = recorded
        self._keys = StandInKeys(keys)
        self._state = freeze.FrozenState()
        self.freeze = freeze.Freeze(frozenset(), self._state)
        self.created_at = ""

    def enter(self) -> None:
        """Pin the clock, UUIDs and random numbers, and set stand-ins for keys.

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
        is_new = self._recorded is None
        self.freeze = freeze.Freeze(features, state, yields=self._settings.yields_random, asks=is_new)
        self.freeze.__enter__()
        self._keys.enter()

    def leave(self) -> None:
        """Restore what was there before."""
        self._keys.leave()
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
    for message in freeze.env_drift(optional(recorded.meta.get("env"), dict) or {}, os.environ):
        warn(DeterminismDriftWarning(message))
    return state


def _covers(state: freeze.FrozenState, features: frozenset[str]) -> bool:
    needs_seed = bool(features & {"uuid", "random"})
    return not ("clock" in features and state.clock is None) and not (needs_seed and state.seed is None)
