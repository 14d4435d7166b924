"""The hooks of ours that a conftest or a plugin of an organisation can implement."""

from __future__ import annotations

from collections.abc import Mapping

import pytest


@pytest.hookspec
def pytest_agenttape_policy(config: pytest.Config) -> Mapping[str, object] | None:
    """Return `Config` keys that hold for every marked test, over flags of ours, markers, fixtures and files.

    Under ``redact`` the rules of all policies are added to what a test says; no test can take one away or switch
    redaction off. For any other key the first policy that names it wins.
    """
