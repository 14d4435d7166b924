"""The secrets that a session knows: from its rules, and from the environment, which tests may change."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_agenttape.redaction import RedactionRules, Redactor


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
        self._redactor: Redactor | None = None

    @property
    def redactor(self) -> Redactor:
        """The redactor, which knows every secret now in the environment."""
        redactor = self._redactor or self._made()
        if self._environment != _raw_environment():  # fixtures and tests set keys too
            self._learn_environment(redactor)
        return redactor

    def _made(self) -> Redactor:
        with self._lock:
            if self._redactor is None:
                self._environment = dict(_raw_environment())
                self._redactor = Redactor(self._rules, os.environ, taken=self._taken, issued=self._issued)
            return self._redactor

    def _learn_environment(self, redactor: Redactor) -> None:
        with self._lock:
            known, environment = self._environment, dict(_raw_environment())
            changed = [each for each in environment.items() if known.get(each[0]) != each[1]]
            redactor.learn_environment({os.fsdecode(name): os.fsdecode(value) for name, value in changed if value})
            self._environment = environment  # only now, or another thread would think it already learned


def _raw_environment() -> Mapping[Any, Any]:
    """Return the variables as CPython 3.11-3.14 stores them: they are compared at each call, and decoding is slow."""
    environment: Mapping[Any, Any] = getattr(os.environ, "_data", os.environ)
    return environment
