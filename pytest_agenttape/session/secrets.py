"""The secrets that a session knows: from its rules, and from the environment, which tests may change."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

from pytest_agenttape.redaction import RedactionRules, Redactor, environment_secrets


class Secrets:
    """The redactor of one session, kept up to date with the environment.

    Args:
        rules: What is redacted in addition to the built-in rules.
        taken: Loaded text; placeholders found in it are not reused.
        issued: Takes the placeholders that are given.
    """

    def __init__(self, rules: RedactionRules, taken: Iterable[str] = (), issued: set[str] | None = None) -> None:
        self._issued = issued
        self._lock = threading.Lock()
        self._rules = rules
        self._taken = taken
        self._environment: Mapping[Any, Any] = {}  # as the redactor knows it
        self._learned: tuple[str, ...] | None = None  # the secrets in it
        self._redactor: Redactor | None = None

    @property
    def redactor(self) -> Redactor:
        """The redactor, which knows every secret now in the environment."""
        redactor = self._redactor
        if redactor is None or self._environment != getattr(os.environ, "_data", None):  # tests set keys, too
            return self._up_to_date()
        return redactor

    def hide_in(self, error: Exception) -> None:
        """Take the secrets out of what *error* says: it names keys and places by the agent's own words."""
        error.args = tuple(self.redactor.text(each) if isinstance(each, str) else each for each in error.args)

    def _up_to_date(self) -> Redactor:
        with self._lock:
            if self._redactor is None:
                self._redactor = Redactor(self._rules, taken=self._taken, issued=self._issued)
            environment, secrets = _seen.now()
            if secrets is not self._learned:  # most variables that tests set are none, as pytest's own for each phase
                self._redactor.know_environment(secrets)
                self._learned = secrets
            self._environment = environment  # only now, or another thread would think it already learned
            return self._redactor


class _SeenEnvironment:
    """The environment of the process as it was looked at last: a variable that stays as it is is read once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._variables: dict[Any, Any] = {}
        self._secrets: dict[Any, tuple[str, ...]] = {}  # of the variables that hold any
        self._all: tuple[str, ...] = ()  # the same object for as long as they stay the same

    def now(self) -> tuple[Mapping[Any, Any], tuple[str, ...]]:
        """Return the environment as it is now, and the secrets in it."""
        with self._lock:
            before, now = self._variables, dict(_raw_environment())
            changed = {name: value for name, value in now.items() if before.get(name) != value}
            kept = {name: found for name, found in self._secrets.items() if name in now and name not in changed}
            for name, value in changed.items():
                if found := tuple(environment_secrets({os.fsdecode(name): os.fsdecode(value)})):
                    kept[name] = found
            if kept != self._secrets:
                self._secrets = kept
                self._all = tuple(chain.from_iterable(kept.values()))
            self._variables = now
            return now, self._all


_seen = _SeenEnvironment()


def _raw_environment() -> Mapping[Any, Any]:
    """Return the variables as CPython 3.11-3.14 stores them: they are compared at each call, and decoding is slow."""
    environment: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return environment
