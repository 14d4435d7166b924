"""``--agenttape-live``: every marked test runs some calls for real and replays all others, once or several times."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_agenttape.boundaries.registry import registered_boundaries, registered_labels
from pytest_agenttape.cassettes.cassette import Cassette
from pytest_agenttape.errors import AgentTapeError, ConfigError
from pytest_agenttape.matching.selection import Selection
from pytest_agenttape.model import Interaction
from pytest_agenttape.plugin.options import flag_given, is_marked
from pytest_agenttape.plugin.pytest_privates import run_again
from pytest_agenttape.plugin.report.workers import is_worker
from pytest_agenttape.settings import selectors

_OTHERS = (
    *("agenttape_record", "agenttape_mode", "agenttape_audit", "agenttape_review"),
    *("agenttape_disable", "update_snapshots"),
)


@dataclass(frozen=True, slots=True)  # pytest before 9.1 hashes each plugin
class AnotherModel:
    """What the flags ask of every marked test; registered in each process of the run.

    Attributes:
        live: Tokens of calls that run for real, in place of those of the marker.
        model: The model that LLM calls are sent to; None for those that they name.
        times: How often each test runs.
    """

    live: frozenset[str]
    model: str | None
    times: int

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run a marked test as often as was asked for."""
        if self.times == 1 or not is_marked(item):
            return None
        for _ in range(self.times):
            run_again(item, nextitem)
            if item.session.shouldstop or item.session.shouldfail:  # -x, --maxfail
                break
        return True


ANOTHER_MODEL = pytest.StashKey[AnotherModel]()
LIVE = pytest.StashKey[frozenset[str]]()  # the tokens of --agenttape-live, whatever they are for


def tokens_of(option: argparse.Namespace) -> frozenset[str]:
    """Return what ``--agenttape-live`` names.

    Raises:
        UsageError: It is given, and names nothing.
    """
    tokens = [each.strip() for said in option.agenttape_live or () for each in said.split(",")]
    live = frozenset(filter(None, tokens))
    if not live and option.agenttape_live:
        raise pytest.UsageError("--agenttape-live names nothing; say what runs for real, such as --agenttape-live=llm")
    return live


def refuse_unknown(live: frozenset[str], paths: Iterable[Path]) -> None:
    """Refuse tokens that name nothing, before the first test; *paths* are the cassettes of the run.

    Raises:
        UsageError: A token is no kind, boundary or label that is known, and no host.
    """
    known = selectors.known_tokens([*registered_boundaries(), *registered_labels()])
    if live <= known:
        return
    recorded = [*_recorded(paths)]
    known |= {name for each in recorded for name in (each.boundary, each.label) if name}
    hosts = {each for each in live if any(map(Selection.of({each}).covers, recorded))}
    try:
        selectors.refuse_unknown(live - hosts, known, "--agenttape-live")
    except ConfigError as problem:
        raise pytest.UsageError(str(problem)) from None


def prepare(config: pytest.Config) -> None:
    """Make the run one that replays, but for what is to be live.

    Raises:
        UsageError: It is told to do something else, or no token is given.
    """
    option = config.option
    live = tokens_of(option)
    if not live:
        raise pytest.UsageError(
            "--agenttape-model and --agenttape-times need --agenttape-live=TOKENS, which says what runs for real, such "
            "as --agenttape-live=llm"
        )
    if option.agenttape_model is not None and not option.agenttape_model.strip():
        raise pytest.UsageError("--agenttape-model names nothing; name a model, such as --agenttape-model=gpt-5.5")
    other = flag_given(config, _OTHERS)
    if other is not None and not is_worker(config):  # what a worker is told, we have told it
        raise pytest.UsageError(f"--agenttape-live replays the rest; it does not go together with {other}")
    option.agenttape_mode = "none"
    asked_for = AnotherModel(live, option.agenttape_model, option.agenttape_times or 1)
    config.stash[ANOTHER_MODEL], config.stash[LIVE] = asked_for, live
    config.pluginmanager.register(asked_for, "agenttape-another-model")


def _recorded(paths: Iterable[Path]) -> Iterable[Interaction]:
    for path in paths:
        try:
            yield from Cassette.load(path).interactions
        except AgentTapeError:  # its own test fails with it
            continue
