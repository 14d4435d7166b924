"""The project that each test of the plugin starts from."""

from __future__ import annotations

import importlib

import pytest

from tests.plugin.project import AGENT, Project

# What an inner run in this process would otherwise import and lose again, patches of libraries included.
for _name in ("lifecycle", "report", "handle", "boundaries", "transports.httpcore", "transports.requests"):
    importlib.import_module(f"pytest_agenttape.{_name}")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a test file that is rewritten at once has the same time
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD"):
        monkeypatch.delenv(name, raising=False)
    made = Project(pytester)
    made.write(agent=AGENT)
    return made
