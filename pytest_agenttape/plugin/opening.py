"""Opens the session of a marked test from its claim, its configuration and the flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_agenttape.cassettes import paths
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.cassettes.pending import Pending, PendingRecording
from pytest_agenttape.errors import AgentTapeError
from pytest_agenttape.model import Mode
from pytest_agenttape.plugin.another_model import ANOTHER_MODEL, LIVE
from pytest_agenttape.plugin.claims import Claim, Claims
from pytest_agenttape.plugin.drawn_examples import problem_of_drawn_examples
from pytest_agenttape.plugin.error_place import traceback_of
from pytest_agenttape.plugin.outsiders import ConfigFixture
from pytest_agenttape.plugin.progress import Progress
from pytest_agenttape.plugin.pytest_privates import fixture_definitions
from pytest_agenttape.plugin.renames import Renames
from pytest_agenttape.session.session import Session
from pytest_agenttape.session.settings import Elsewhere, Settings


def configuration_of(request: pytest.FixtureRequest, claims: Claims) -> Any:
    """Return the value of the `agenttape_config` fixture; it must not make calls before a replay.

    Raises:
        AgentTapeError: The fixture made a call.
    """
    __tracebackhide__ = True
    item: pytest.Item = request.node
    if len(fixture_definitions(item, "agenttape_config")) < 2:  # our own, which says nothing
        return {}
    if not claims.would_replay(item):
        return request.getfixturevalue("agenttape_config")
    with ConfigFixture(claims.config_of(item)) as owner:
        overrides = request.getfixturevalue("agenttape_config")
    if owner.refused is not None:  # the fixture swallowed the refusal
        raise owner.refused
    return overrides


def open_session(
    item: pytest.Item, claim: Claim, claims: Claims, overrides: Any, pending: Pending | None, renames: Renames
) -> Session:
    """Open the session of *item*; *overrides* is the value of its `agenttape_config` fixture.

    Raises:
        AgentTapeError: A setting is invalid, or the cassette cannot be read.
    """
    __tracebackhide__ = True
    try:
        settings = _settings(item, claim, claims, overrides, pending, renames)
        session = _made(item.config, _taking_over(settings)).open()
    except AgentTapeError as error:  # about the marker, the fixture or a file: no line of code is at fault
        raise error.with_traceback(traceback_of(item)) from None
    session.verdict.place = partial(traceback_of, item)
    if session.can_execute:
        session.on_live_call = Progress(item.config, item.nodeid)
    return session


def _made(config: pytest.Config, settings: Settings) -> Session:
    if not config.option.agenttape_verify:
        return Session(settings)
    from pytest_agenttape.plugin.verifying import VerifyingSession  # most runs do not verify

    return VerifyingSession(settings, config.stash.get(LIVE, frozenset()))


def _elsewhere(path: Path, pending: Pending | None, renames: Renames) -> Elsewhere:
    """Return where else recordings of the cassette at *path* may be."""
    return Elsewhere(
        candidates=partial(renames.candidates, path),
        likely=partial(renames.former, path),
        others=partial(_beside, path),
        has_pending=lambda: pending is not None and pending.find(path) is not None,
    )


def _taking_over(settings: Settings) -> Settings:
    """Return *settings*; in a refresh, with what a renamed test had."""
    is_taken_over = settings.mode is Mode.REFRESH and settings.pending is None and not settings.path.exists()
    former = settings.elsewhere.likely() if is_taken_over and settings.elsewhere else None
    if former is None:
        return settings
    taken = PendingRecording(former, settings.path, settings.title, "", Cassette.load(former))
    return replace(settings, former=former, pending=taken)


def _beside(path: Path) -> list[Path]:
    """Return the cassettes in the folder of the one at *path*, also of tests that this run has not collected."""
    return sorted(each for each in path.parent.glob("*.*") if paths.format_by_name(each.name) and each != path)


def reseed_before(item: pytest.Function, reseed: Callable[[], None]) -> None:
    """Undo the reseeding by pytest-randomly before a TestCase runs; no hook runs in between."""
    runtest = item.runtest

    def run() -> None:
        __tracebackhide__ = True
        reseed()
        runtest()

    item.runtest = run  # type: ignore[method-assign]  # this item only


def restore_runtest(item: pytest.Function) -> None:
    """Undo `reseed_before`."""
    vars(item).pop("runtest", None)


def _settings(
    item: pytest.Item, claim: Claim, claims: Claims, overrides: Any, pending: Pending | None, renames: Renames
) -> Settings:
    __tracebackhide__ = True
    options = claim.options
    config, mode, rules = claims.settings(item, claim, overrides)
    asked = item.config.stash.get(ANOTHER_MODEL, None)
    if asked is not None and asked.model is not None:
        config = config.with_overrides(model_override=asked.model)
    return Settings(
        path=claim.path,
        mode=mode,
        config=config,
        also=claim.also,
        live=options.live if asked is None else asked.live,
        frozen=options.frozen,
        repeats=options.repeats,
        matchers=options.matchers,
        freeze=options.frozen_features(config),
        format=options.format,
        tags=options.tags,
        title=item.nodeid,
        command=f"pytest {claim.address} --agenttape-record",
        is_sticky=True,
        test=item.nodeid if claims.users(claim.path) == 1 and not options.shared else None,
        pending=pending.find(claim.path) if pending and mode is Mode.REFRESH else None,
        elsewhere=_elsewhere(claim.path, pending, renames),
        allow_errors=options.allow_errors,
        faults=options.faults,
        rules=rules,
        refusal=problem_of_drawn_examples(item),
        is_tried=asked is not None,
    )
