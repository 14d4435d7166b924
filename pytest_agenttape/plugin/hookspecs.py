"""The hooks that a conftest or an organisation's plugin can implement."""

from __future__ import annotations

from collections.abc import Mapping

import pytest


@pytest.hookspec
def pytest_agenttape_policy(config: pytest.Config) -> Mapping[str, object] | None:
    """Return `Config` keys that apply to every marked test and override markers, fixtures and files.

    The ``redact`` rules of all policies are added to those of a test; no test can remove one or switch redaction
    off. For any other key the first policy that sets it wins.
    """
