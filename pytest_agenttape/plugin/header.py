"""The line at the top of a run that may make live calls."""

from __future__ import annotations

import contextlib
import os

import pytest

from pytest_agenttape.plugin.options import PURSE, compares_live, given, has_snapshot_update, title
from pytest_agenttape.settings.ci import is_ci


def header(config: pytest.Config) -> str | None:
    """Return the line; None if the run only replays."""
    live = f"agenttape: {title(config.option)}; all else is replayed" if compares_live(config.option) else None
    line, purse = live or _line(config), config.stash.get(PURSE, None)
    if purse is None or (line is None and config.option.agenttape_budget is None):
        return line
    return f"{line or 'agenttape: only markers and blocks ask for live calls'}; {purse}"


def may_be_live(config: pytest.Config) -> bool:
    """Return whether the flags or the configuration of a run ask for live calls."""
    return _line(config) is not None


def _line(config: pytest.Config) -> str | None:
    option = given(config)
    if option.agenttape_review:
        return (
            "agenttape: live calls are possible where a recording no longer matches; you are asked (--agenttape-review)"
        )
    if option.agenttape_verify:
        return _header_of_verifying(option.agenttape_live)
    if option.agenttape_disable:
        return "agenttape: marked tests run for real, nothing is recorded or replayed (--agenttape-disable)"
    if option.agenttape_audit:  # an audit runs no test
        return None
    if option.agenttape_mode not in (None, "none"):
        return f"agenttape: live calls are possible (--agenttape-mode={option.agenttape_mode})"
    if option.agenttape_mode is not None:
        return None
    if option.agenttape_record:
        return "agenttape: live calls are made and cassettes rewritten (--agenttape-record)"
    if has_snapshot_update(config):
        if is_ci(os.environ):
            return "agenttape: replay only; in CI --snapshot-update alone records nothing"
        return "agenttape: live calls are possible where a recording no longer matches (--snapshot-update)"
    return None if is_ci(os.environ) else _header_of_the_configuration(config)


def _header_of_verifying(live: list[str] | None) -> str:
    sent = "agenttape: recordings are replayed, and what they answer is also sent live"
    if not live:
        return f"{sent} (--agenttape-verify)"
    return f"{sent}; for real, too: {', '.join(live)} (--agenttape-verify --agenttape-live)"


def _header_of_the_configuration(config: pytest.Config) -> str | None:
    said = config.getini("agenttape_default_mode")
    if said:
        return None if said == "none" else f"agenttape: live calls are possible (agenttape_default_mode = {said})"
    for name in ("agenttape.toml", "pyproject.toml"):
        path = config.rootpath / name
        if path.is_file() and b"default_mode" in path.read_bytes():
            return _header_of_the_file(config, name)
    return None


def _header_of_the_file(config: pytest.Config, name: str) -> str | None:
    # Imported only here: most runs have no such file.
    from pytest_agenttape.errors import ConfigError
    from pytest_agenttape.settings.config import Config

    with contextlib.suppress(ConfigError):  # collection reports it
        mode = Config.load(config.rootpath).default_mode
        return None if mode == "none" else f"agenttape: live calls are possible (default_mode = {mode} in {name})"
    return None
