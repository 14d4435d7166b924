"""The environment that a cassette was recorded in, and how the current one differs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from itertools import chain

from pytest_agenttape.model import REDACTION_PLACEHOLDER

_SECRET_NAME = re.compile(
    r"(?:^|_|api)(?:keys?|auth|pwd|pat|dsn)(?:_|$)|token(?:_|$)|secret|passw|credential|cookie|private", re.IGNORECASE
)
_SECRET_VALUE = re.compile(
    r"://[^/\s:]*:[^/\s@]*@|-----BEGIN|\b(?:sk|gh[a-z]|xox[a-z]|AKIA|AIza|hf|pk|glpat)[-_]?\w{12}"
)
_UNSHOWN_VALUE = re.compile(r"[A-Za-z0-9+/=]{20}")  # may be a secret: compared, but not printed


def env_snapshot(names: Iterable[str], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return the variables with these *names* (or patterns such as ``MODEL_*``), without secret-like values."""
    wanted = chain.from_iterable(_expand(name, environ) for name in names)
    return {name: _shown(name, environ.get(name)) for name in sorted(set(wanted))}


def env_drift(recorded: Mapping[str, object], environ: Mapping[str, str]) -> list[str]:
    """Return one message for each recorded variable that differs now; secret-like values are never shown."""
    return [
        f"{name} was {_described(was)} when recorded, but is {_described(now)} now"
        for name, was in sorted(recorded.items())
        if (now := _shown(name, environ.get(name))) != was and not _hides_the_same(was, now)
    ]


def _expand(name: str, environ: Mapping[str, str]) -> list[str]:
    return fnmatch.filter(environ, name) if any(sign in name for sign in "*?[") else [name]


def _shown(name: str, value: str | None) -> str | None:
    if value and (_SECRET_NAME.search(name) or _SECRET_VALUE.search(value)):
        return REDACTION_PLACEHOLDER
    return value


def _hides_the_same(was: object, now: str | None) -> bool:
    """Return whether a value that was redacted in the cassette is also set now."""
    return isinstance(was, str) and REDACTION_PLACEHOLDER in was and now is not None


def _described(value: object) -> str:
    if value is None:
        return "not set"
    text = str(value)
    if REDACTION_PLACEHOLDER in text:
        return "set (not shown)"
    if _SECRET_VALUE.search(text) or _UNSHOWN_VALUE.search(text):
        return "another value (not shown)"
    return repr(text if len(text) <= 80 else text[:77] + "...")
