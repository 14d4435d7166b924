"""The environment that a cassette was recorded in, and how the current one differs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from itertools import chain

from pytest_agenttape.model import REDACTION_PLACEHOLDER
from pytest_agenttape.redaction import placeholders_in
from pytest_agenttape.redaction.names import mentions_secret

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
    found = ((name, _shown(name, was), _shown(name, environ.get(name))) for name, was in sorted(recorded.items()))
    return [
        f"{name} was {_described(was)} when recorded, but is {_described(now)} now"
        for name, was, now in found
        if now != was and not _hides_the_same(was, now)
    ]


def _expand(name: str, environ: Mapping[str, str]) -> list[str]:
    return fnmatch.filter(environ, name) if any(sign in name for sign in "*?[") else [name]


def _shown(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = str(value)  # not text, if someone edited the file
    return REDACTION_PLACEHOLDER if text and (mentions_secret(name) or _SECRET_VALUE.search(text)) else text


def _hides_the_same(was: str | None, now: str | None) -> bool:
    """Return whether a value that was redacted in the cassette is also set now."""
    return was is not None and bool(placeholders_in(was)) and now is not None


def _described(value: str | None) -> str:
    if value is None:
        return "not set"
    if placeholders_in(value):
        return "set (not shown)"
    if _SECRET_VALUE.search(value) or _UNSHOWN_VALUE.search(value):
        return "another value (not shown)"
    return repr(value if len(value) <= 80 else value[:77] + "...")
