"""``--agenttape-block-network``: tests without a marker make no connection that leaves the machine, either."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_agenttape.errors import NetworkBlockedError
from pytest_agenttape.hosts import host_rules, is_allowed
from pytest_agenttape.ownership import guard
from pytest_agenttape.plugin.claims import Claims
from pytest_agenttape.plugin.options import is_marked
from pytest_agenttape.process import network


class BlockedNetwork:
    """Registered if the flag is given; the sessions of marked tests judge connections themselves."""

    def __init__(self, config: pytest.Config) -> None:
        self._claims = Claims(config)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if is_marked(item) and not item.config.option.agenttape_disable:
            return (yield)
        config = self._claims.config_at(item.path.parent)
        allowed = (*host_rules(config.allow_hosts), *host_rules(config.ignore_hosts))

        def judge(host: str, port: int | None) -> NetworkBlockedError | None:
            return None if is_allowed(host, port, allowed) else _blocked(host, port, item.nodeid)

        with guard.judging_unowned(judge):
            return (yield)


def _blocked(host: str, port: int | None, test: str) -> NetworkBlockedError:
    return network.blocked(
        host,
        port,
        test,
        why="--agenttape-block-network",
        way_out=f'allow_hosts = ["{host}"] in agenttape.toml; or mark the test with agenttape, and record it',
    )
