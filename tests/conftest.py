"""What holds for every test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep, of a test marked `variants(number)`, so many of its parameter sets; the slow job runs them all."""
    if os.environ.get("AGENTTAPE_SLOW") == "1":
        return
    sets: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("variants") is not None:
            sets.setdefault(item.nodeid.partition("[")[0], []).append(item)
    left = {each for every in sets.values() for each in _beyond(every)}
    if left:
        config.hook.pytest_deselected(items=list(left))
        items[:] = [item for item in items if item not in left]


def pytest_collection_finish() -> None:
    """Spare the collector of garbage the thousands of tests: each of its rounds would look at all of them."""
    gc.freeze()


def _beyond(every: list[pytest.Item]) -> set[pytest.Item]:
    """Return the parameter sets that are left out; those that run are spread evenly."""
    marker = every[0].get_closest_marker("variants")
    assert marker is not None
    (number,) = marker.args
    if len(every) <= number:
        return set()
    step = (len(every) - 1) / max(number - 1, 1)
    return set(every) - {every[round(at * step)] for at in range(number)}


@pytest.fixture(scope="session", autouse=True)
def _as_outside_of_ci() -> Iterator[None]:
    """Let tests record on a CI machine as anywhere; those about CI set the variable."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CI", raising=False)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_certificate_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let clients know one authority: to read all of certifi's takes each 25 ms, and no test asks a public server."""
    import certifi  # what httpx and requests read by default

    with open(certifi.where(), encoding="utf-8") as bundle:
        first, end, _ = bundle.read().partition("-----END CERTIFICATE-----\n")
    path = tmp_path_factory.mktemp("authorities") / "one.pem"
    path.write_text(first + end, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield
