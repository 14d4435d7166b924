"""What happens to a recording when its test ends: it replaces the cassette, is kept as pending, or is dropped."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

from pytest_agenttape.cassettes import parsed
from pytest_agenttape.cassettes.pending import Pending
from pytest_agenttape.errors import RecordingRefusedError
from pytest_agenttape.plugin.attempt import Attempt
from pytest_agenttape.plugin.error_place import refused_at
from pytest_agenttape.plugin.judging import judge_teardown
from pytest_agenttape.plugin.orphans import would_be_claimed


def pending_folder(config: pytest.Config) -> Path | None:
    """Return the cache folder with the recordings of failed runs; None if there is no cache."""
    return _cache_folder(config, "agenttape")


def keep_parsed_files(config: pytest.Config) -> None:
    """Keep what cassettes say in pytest's cache, so that no run parses again what one before it did."""
    config.add_cleanup(parsed.keep_in(lambda: _cache_folder(config, "agenttape-parsed")))


def _cache_folder(config: pytest.Config, name: str) -> Path | None:
    cache = getattr(config, "cache", None)  # None under -p no:cacheprovider
    if cache is None:
        return None
    try:
        return Path(cache.mkdir(name))
    except OSError:  # a read-only checkout
        return None


def pending_store(config: pytest.Config) -> Pending | None:
    """Return the store of pending recordings; None if there is no cache to hold it."""
    folder = pending_folder(config)
    return None if folder is None else Pending(folder)


def commit(attempt: Attempt, pending: Pending | None) -> None:
    """Write the recording of *attempt* or keep it as pending, and note the result in *attempt*.

    Raises:
        AgentTapeError: The test passed but its teardown failed, or its recording cannot be written.
    """
    __tracebackhide__ = True
    session = attempt.session
    attempt.was_fresh = not session.path.exists()
    is_final = False
    try:
        is_final = _may_replace(attempt)
        if is_final:
            attempt.wrote = refused_at(attempt.item, session.recording.commit)
            if pending is not None and session.can_execute:
                pending.discard(session.path)
    except BaseException:
        is_final = False
        attempt.outcome = "failed"
        raise
    finally:
        if not is_final and pending is not None:
            attempt.kept = _keep(attempt, pending)


def prune(
    pending: Pending,
    claimed: Collection[Path],
    modules: Collection[str],
    homes: Mapping[Path, Path],
    *,
    is_whole: bool,
) -> None:
    """Delete pending recordings that are stale or old.

    If the run *is_whole*, also delete those for cassettes of collected test files that no test claims.
    """
    pending.prune()
    for each in pending.entries():
        if is_whole and each.target not in claimed and would_be_claimed(each.target, each.nodeid, modules, homes):
            pending.discard(each.target)


def _may_replace(attempt: Attempt) -> bool:
    """Return whether the recording may replace the old one."""
    __tracebackhide__ = True
    session = attempt.session
    if attempt.outcome == "passed":
        judge_teardown(attempt)
        return not attempt.is_reviewed
    if attempt.outcome != "skipped" or not attempt.was_fresh or session.verdict.error is not None:
        return False
    return bool(session.recording.timeline) and session.recording.problem is None


def _keep(attempt: Attempt, pending: Pending) -> Path | None:
    """Keep the paid-for calls of a failed recording, so that accepting them needs no second live run."""
    session = attempt.session
    if session.recording.gap or session.recording.target() != session.path:
        return None
    is_asked_later = attempt.is_reviewed and attempt.outcome == "passed"
    cassette = session.recording.result() if is_asked_later else session.recording.aside()
    if cassette is None:
        return None
    try:
        return pending.keep(cassette, session.path, attempt.item.nodeid, scan=session.secrets.redactor.scan)
    except RecordingRefusedError:
        return None  # it contains a secret, or the disk is full; the test has failed anyway
